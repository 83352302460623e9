// SPDX-License-Identifier: Apache-2.0
#include "health/http_match.h"

#include <errno.h>
#include <regex.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_FIRST_BYTES = 4096 };

struct pattern {
    char *text; // null: none
    size_t len;
    regex_t regex;
    bool is_regex, is_found;
};

struct http_match {
    struct probe_status_range *statuses;
    unsigned status_count;
    struct pattern present, absent;
    uint64_t cap, seen; // bytes of the body that are looked at, and that came so far, at most cap
    bool is_cut, is_short_of_memory;
    // Texts: the last octets of the body, one fewer than the longer text. Regular expressions: all of it.
    char *kept;
    size_t kept_len, kept_cap;
};

// In "\\1" the first backslash quotes the second.
static bool has_back_reference(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p != '\\')
            continue;
        p++;
        if (*p >= '1' && *p <= '9')
            return true;
        if (!*p)
            return false;
    }
    return false;
}

static int pattern_set(struct pattern *p, const char *text, enum probe_match match)
{
    if (!text || !text[0])
        return 0;
    p->text = strdup(text);
    if (!p->text)
        return -ENOMEM;
    p->len = strlen(text);
    if (match == PROBE_MATCH_REGEX) {
        if (has_back_reference(text))
            return -EINVAL;
        const int rc = regcomp(&p->regex, text, REG_EXTENDED);
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
    if (rc == 0) {
        m->cap = spec->body_max_bytes;
        return m;
    }
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
    free(m->kept);
    free(m);
}

bool http_match_needs_body(const struct http_match *m)
{
    return m->present.text || m->absent.text;
}

static bool is_regex(const struct http_match *m)
{
    return m->present.is_regex || m->absent.is_regex;
}

void http_match_begin(struct http_match *m)
{
    m->present.is_found = m->absent.is_found = m->is_cut = m->is_short_of_memory = false;
    m->seen = 0;
    m->kept_len = 0;
    if (is_regex(m)) { // a page is not kept from one probe to the next
        free(m->kept);
        m->kept = NULL;
        m->kept_cap = 0;
    }
}

static bool grow(struct http_match *m, size_t wanted)
{
    if (wanted <= m->kept_cap)
        return true;
    size_t cap = m->kept_cap ? m->kept_cap : BODY_FIRST_BYTES;
    while (cap < wanted)
        cap *= 2;
    char *kept = realloc(m->kept, cap);
    if (!kept)
        return false;
    m->kept = kept;
    m->kept_cap = cap;
    return true;
}

static void search(struct pattern *p, const char *text, size_t len)
{
    if (p->text && !p->is_found)
        p->is_found = memmem(text, len, p->text, p->len) != NULL;
}

// Searches the piece, and the seam between the last octets and the first of the piece.
static void feed_text(struct http_match *m, const char *data, size_t len)
{
    const size_t longest = m->present.len > m->absent.len ? m->present.len : m->absent.len, tail = longest - 1;
    if (!grow(m, 2 * longest)) {
        m->is_short_of_memory = true;
        return;
    }
    const size_t seam = len < tail ? len : tail;
    memcpy(m->kept + m->kept_len, data, seam); // kept_len <= tail
    search(&m->present, m->kept, m->kept_len + seam);
    search(&m->absent, m->kept, m->kept_len + seam);
    search(&m->present, data, len);
    search(&m->absent, data, len);
    if (len >= tail) {
        memcpy(m->kept, data + len - tail, tail);
        m->kept_len = tail;
        return;
    }
    m->kept_len += seam;
    if (m->kept_len > tail) {
        memmove(m->kept, m->kept + m->kept_len - tail, tail);
        m->kept_len = tail;
    }
}

static bool is_decided(const struct http_match *m)
{
    if (m->is_cut || m->is_short_of_memory || m->absent.is_found)
        return true;
    return !m->absent.text && (!m->present.text || m->present.is_found);
}

bool http_match_feed(struct http_match *m, const char *data, size_t len)
{
    const uint64_t room = m->cap - m->seen;
    if (!http_match_needs_body(m))
        return false;
    if (len > room) {
        m->is_cut = true;
        len = (size_t)room;
    }
    m->seen += len;
    if (len && !is_regex(m))
        feed_text(m, data, len);
    else if (len && grow(m, m->kept_len + len)) {
        memcpy(m->kept + m->kept_len, data, len);
        m->kept_len += len;
    } else if (len)
        m->is_short_of_memory = true;
    return !is_decided(m);
}

// With its length given (REG_STARTEND), so that a zero octet in the page hides nothing behind it.
static void search_regex(const struct http_match *m, struct pattern *p)
{
    regmatch_t range = {0, (regoff_t)m->kept_len};
    if (p->is_regex)
        p->is_found = regexec(&p->regex, m->kept ? m->kept : "", 1, &range, REG_STARTEND) == 0;
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

enum evidence_reason http_match_end(struct http_match *m, unsigned status)
{
    if (!is_status_good(m, status))
        return EVIDENCE_REASON_STATUS;
    if (m->is_short_of_memory)
        return EVIDENCE_REASON_NONE;
    search_regex(m, &m->present);
    search_regex(m, &m->absent);
    if (m->absent.is_found)
        return EVIDENCE_REASON_KEYWORD_FORBIDDEN;
    if (m->present.text && !m->present.is_found)
        return m->is_cut ? EVIDENCE_REASON_TOO_LARGE : EVIDENCE_REASON_KEYWORD_MISSING;
    if (m->absent.text && m->is_cut)
        return EVIDENCE_REASON_TOO_LARGE;
    return EVIDENCE_REASON_OK;
}
