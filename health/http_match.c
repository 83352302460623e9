// SPDX-License-Identifier: Apache-2.0
#include "health/http_match.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

struct pattern {
    char *text; // null: none
    regex_t regex;
    bool is_regex;
};

struct http_match {
    struct probe_status_range *statuses;
    unsigned status_count;
    struct pattern present, absent;
};

static int pattern_set(struct pattern *p, const char *text, enum probe_match match)
{
    if (!text || !text[0])
        return 0;
    p->text = strdup(text);
    if (!p->text)
        return -ENOMEM;
    if (match == PROBE_MATCH_REGEX) {
        const int rc = regcomp(&p->regex, text, REG_EXTENDED | REG_NOSUB);
        if (rc)
            return rc == REG_ESPACE ? -ENOMEM : -EINVAL;
        p->is_regex = true;
    }
    return 0;
}

static void pattern_fini(struct pattern *p)
{
    free(p->text);
    if (p->is_regex)
        regfree(&p->regex);
}

struct http_match *http_match_new(const struct probe_http *spec)
{
    struct http_match *m = calloc(1, sizeof *m);
    int rc = m ? 0 : -ENOMEM;
    if (rc == 0 && spec->status_count) {
        m->statuses = calloc(spec->status_count, sizeof *m->statuses);
        rc = m->statuses ? 0 : -ENOMEM;
    }
    if (rc == 0 && spec->status_count) {
        memcpy(m->statuses, spec->statuses, spec->status_count * sizeof *m->statuses);
        m->status_count = spec->status_count;
    }
    rc = rc ? rc : pattern_set(&m->present, spec->keyword, spec->match);
    rc = rc ? rc : pattern_set(&m->absent, spec->keyword_absent, spec->match);
    if (rc == 0)
        return m;
    http_match_free(m);
    errno = -rc;
    return NULL;
}

void http_match_free(struct http_match *m)
{
    if (!m)
        return;
    pattern_fini(&m->present);
    pattern_fini(&m->absent);
    free(m->statuses);
    free(m);
}

bool http_match_needs_body(const struct http_match *m)
{
    return m->present.text || m->absent.text;
}

static bool is_status_good(const struct http_match *m, unsigned status)
{
    if (m->status_count == 0)
        return status >= 200 && status < 300;
    for (unsigned i = 0; i < m->status_count; i++)
        if (status >= m->statuses[i].first && status <= m->statuses[i].last)
            return true;
    return false;
}

static bool is_found(const struct pattern *p, const char *body, size_t len)
{
    return p->is_regex ? regexec(&p->regex, body, 0, NULL, 0) == 0
                       : memmem(body, len, p->text, strlen(p->text)) != NULL;
}

enum evidence_reason http_match_check(const struct http_match *m, unsigned status, char *body, size_t len, bool is_cut)
{
    if (!is_status_good(m, status))
        return EVIDENCE_REASON_STATUS;
    if (m->present.is_regex || m->absent.is_regex)
        for (size_t i = 0; i < len; i++)
            body[i] = body[i] ? body[i] : ' ';
    if (m->absent.text && is_found(&m->absent, body, len))
        return EVIDENCE_REASON_KEYWORD_FORBIDDEN;
    if (m->present.text && !is_found(&m->present, body, len))
        return is_cut ? EVIDENCE_REASON_TOO_LARGE : EVIDENCE_REASON_KEYWORD_MISSING;
    if (m->absent.text && is_cut) // the rest might have it
        return EVIDENCE_REASON_TOO_LARGE;
    return EVIDENCE_REASON_OK;
}
