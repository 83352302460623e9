// SPDX-License-Identifier: Apache-2.0
#include "health/balancer_agent.h"

#include <stdio.h>
#include <string.h>

enum { FULL = 1000, WEIGHT_MAX = 1000 };

struct words {
    int is_operating, is_in_service; // -1: not said
    long weight;                     // percent; -1: not said
};

static bool is_separator(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}

static bool is_end(char c)
{
    return c == '\n' || c == '\r' || c == 0;
}

static bool is_word(const char *word, size_t len, const char *wanted)
{
    return strlen(wanted) == len && memcmp(word, wanted, len) == 0;
}

// A percentage, or -1.
static long percentage(const char *word, size_t len)
{
    long value = 0;
    if (len < 2 || word[len - 1] != '%')
        return -1;
    for (size_t i = 0; i + 1 < len; i++) {
        if (word[i] < '0' || word[i] > '9')
            return -1;
        value = 10 * value + (word[i] - '0');
        value = value > WEIGHT_MAX ? WEIGHT_MAX : value;
    }
    return value;
}

static void take_word(struct words *w, const char *word, size_t len)
{
    static const struct {
        const char *word;
        bool is_health, is_good;
    } known[] = {{"up", true, true},      {"down", true, false},  {"stopped", true, false}, {"fail", true, false},
                 {"failed", true, false}, {"ready", false, true}, {"drain", false, false},  {"maint", false, false}};
    const long weight = percentage(word, len);
    if (weight >= 0)
        w->weight = weight;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (is_word(word, len, known[i].word))
            *(known[i].is_health ? &w->is_operating : &w->is_in_service) = known[i].is_good;
}

static struct words read_words(const char *text, size_t len)
{
    struct words w = {-1, -1, -1};
    for (size_t at = 0; at < len && !is_end(text[at]) && text[at] != '#';) {
        size_t end = at;
        while (end < len && !is_end(text[end]) && !is_separator(text[end]) && text[end] != '#')
            end++;
        take_word(&w, text + at, end - at);
        at = end < len && is_separator(text[end]) ? end + 1 : end;
    }
    return w;
}

static size_t line_length(const char *text, size_t len)
{
    size_t n = 0;
    while (n < len && !is_end(text[n]))
        n++;
    return n;
}

bool balancer_agent_is_line(const char *text, size_t len)
{
    return line_length(text, len) < len;
}

struct probe_result balancer_agent_judge(const char *text, size_t len, bool is_ended)
{
    struct probe_result r = probe_result_unknown(EVIDENCE_REASON_UNREADABLE);
    const size_t line = line_length(text, len);
    if (line == len && !is_ended) {
        probe_result_detail(&r, "no end of the line within %d octets", BALANCER_AGENT_MAX_BYTES);
        return r;
    }
    const struct words w = read_words(text, len);
    if (w.is_operating < 0 && w.is_in_service < 0 && w.weight < 0) {
        probe_result_detail(&r, "no state in \"%.*s\"", (int)(line < 60 ? line : 60), text);
        return r;
    }
    const bool is_good = w.is_operating != 0 && w.is_in_service != 0 && w.weight != 0;
    r = is_good ? probe_result_up(0) : probe_result_down(EVIDENCE_REASON_BALANCER_DOWN);
    if (w.weight >= 0)
        r.load_permille = w.weight < 100 ? (int32_t)(FULL - 10 * w.weight) : 0;
    probe_result_detail(&r, "\"%.*s\"", (int)(line < 80 ? line : 80), text);
    return r;
}

size_t balancer_agent_line(char out[BALANCER_AGENT_LINE_CAP], enum evidence_operator state, const char *comment)
{
    static const char *const words[] = {[OPERATOR_AUTO] = "up ready",
                                        [OPERATOR_UP] = "up ready",
                                        [OPERATOR_DOWN] = "down ready",
                                        [OPERATOR_DRAIN] = "up drain"};
    int len = snprintf(out, BALANCER_AGENT_LINE_CAP, "%s%s%.120s", words[state], comment[0] ? " #" : "", comment);
    for (int i = 0; i < len; i++)
        if (out[i] < ' ' || out[i] > '~')
            out[i] = '?';
    out[len++] = '\n';
    return (size_t)len;
}
