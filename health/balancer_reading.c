// SPDX-License-Identifier: Apache-2.0
#include "health/balancer_reading.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct probe_result balancer_unreadable(const char *format, ...)
{
    struct probe_result r = probe_result_unknown(EVIDENCE_REASON_UNREADABLE);
    char text[EVIDENCE_DETAIL_CAP];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    probe_result_detail(&r, "%s", text);
    return r;
}

bool balancer_counts(const struct balancer_spec *spec, const char *name)
{
    for (unsigned i = 0; i < spec->backend_count; i++)
        if (strcmp(spec->backends[i], name) == 0)
            return true;
    return spec->backend_count == 0;
}

struct probe_result balancer_read_status(unsigned status)
{
    struct probe_result r = probe_result_up(0);
    if (status < 200 || status > 299)
        r = probe_result_down(EVIDENCE_REASON_BALANCER_DOWN);
    probe_result_detail(&r, "status %u", status);
    return r;
}

// ---- agent-check ----

enum { AGENT_LINE_MAX = 256 };

static bool take_word(const char *word, struct probe_result *r)
{
    static const char *const good[] = {"up", "ready"}, *const bad[] = {"down", "failed", "stopped", "maint", "drain"};
    for (unsigned i = 0; i < sizeof good / sizeof *good; i++)
        if (strcasecmp(word, good[i]) == 0) {
            if (r->result == EVIDENCE_UNKNOWN)
                r->result = EVIDENCE_UP;
            return true;
        }
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        if (strcasecmp(word, bad[i]) == 0) {
            r->result = EVIDENCE_DOWN;
            return true;
        }
    char *end;
    const unsigned long weight = strtoul(word, &end, 10);
    if (end == word || strcmp(end, "%") != 0 || word[0] == '-' || weight > 10000)
        return false;
    r->load_permille = weight < 100 ? (int32_t)(1000 - weight * 10) : 0;
    if (weight == 0)
        r->result = EVIDENCE_DOWN;
    else if (r->result == EVIDENCE_UNKNOWN)
        r->result = EVIDENCE_UP;
    return true;
}

struct probe_result balancer_read_agent(const char *text, size_t len)
{
    char line[AGENT_LINE_MAX], words[AGENT_LINE_MAX];
    const char *end = memchr(text, '\n', len);
    const size_t line_len = end ? (size_t)(end - text) : len;
    if (line_len >= sizeof line)
        return balancer_unreadable("the agent's line is longer than %d octets", AGENT_LINE_MAX - 1);
    memcpy(line, text, line_len);
    line[line_len] = 0;
    memcpy(words, line, line_len + 1);
    struct probe_result r = probe_result_unknown(EVIDENCE_REASON_UNREADABLE);
    words[strcspn(words, "#")] = 0; // what follows is for people
    char *rest = NULL;
    for (char *word = strtok_r(words, " \t,\r", &rest); word; word = strtok_r(NULL, " \t,\r", &rest))
        take_word(word, &r);
    if (r.result == EVIDENCE_UNKNOWN)
        return balancer_unreadable("the agent said \"%s\"", line);
    r.reason = r.result == EVIDENCE_UP ? EVIDENCE_REASON_OK : EVIDENCE_REASON_BALANCER_DOWN;
    line[strcspn(line, "\r")] = 0;
    probe_result_detail(&r, "%s", line);
    return r;
}
