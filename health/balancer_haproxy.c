// SPDX-License-Identifier: Apache-2.0
// HAProxy's statistics as comma-separated values.
#include <stdlib.h>
#include <string.h>

#include "health/balancer_reading.h"

enum { FIELD_CAP = 256, BACKEND_MAX = 256, COLUMN_NONE = -1 };

// The columns that are looked at.
enum column { PROXY, SERVER, STATUS, SESSIONS, SESSIONS_LIMIT, QUEUE, TYPE, RESPONSE, COLUMN_COUNT };
static const char *const column_names[COLUMN_COUNT] = {"pxname", "svname", "status", "scur",
                                                       "slim",   "qcur",   "type",   "rtime"};

// One line, field by field.
struct reader {
    const char *at, *end;
    bool is_line_over;
};

struct row {
    char field[COLUMN_COUNT][FIELD_CAP]; // longer fields are cut; empty: not there
};

struct backend {
    char name[FIELD_CAP];
    bool is_down, has_row;
    unsigned up, servers;
    uint64_t sessions, limit; // of the servers that are up
    bool is_limit_known;
    uint64_t own_sessions, own_limit, queue, response_ms;
};

struct summary {
    struct backend backend[BACKEND_MAX];
    unsigned count;
};

// The next field into `out`; quoted ones may hold commas and doubled quotes. At the end of a line is_line_over is set.
static void next_field(struct reader *r, char out[FIELD_CAP])
{
    size_t len = 0;
    bool is_quoted = r->at < r->end && *r->at == '"';
    r->at += is_quoted;
    for (; r->at < r->end; r->at++) {
        const char c = *r->at;
        if (is_quoted && c == '"') {
            if (r->at + 1 < r->end && r->at[1] == '"')
                r->at++; // a doubled quote is one
            else {
                is_quoted = false;
                continue;
            }
        } else if (!is_quoted && (c == ',' || c == '\n')) {
            break;
        }
        if (len + 1 < FIELD_CAP && c != '\r')
            out[len++] = c;
    }
    out[len] = 0;
    r->is_line_over = r->at >= r->end || *r->at == '\n';
    if (r->at < r->end)
        r->at++;
}

// Which column of the table stands where. False when one that is needed is missing.
static bool read_head(struct reader *r, int place[COLUMN_COUNT])
{
    char name[FIELD_CAP];
    for (unsigned c = 0; c < COLUMN_COUNT; c++)
        place[c] = COLUMN_NONE;
    r->is_line_over = false;
    for (int at = 0; !r->is_line_over; at++) {
        next_field(r, name);
        const char *bare = at == 0 ? name + strspn(name, "# ") : name;
        for (unsigned c = 0; c < COLUMN_COUNT; c++)
            if (place[c] == COLUMN_NONE && strcmp(bare, column_names[c]) == 0)
                place[c] = at;
    }
    return place[PROXY] != COLUMN_NONE && place[SERVER] != COLUMN_NONE && place[STATUS] != COLUMN_NONE;
}

static void read_row(struct reader *r, const int place[COLUMN_COUNT], struct row *row)
{
    char field[FIELD_CAP];
    memset(row, 0, sizeof *row);
    r->is_line_over = false;
    for (int at = 0; !r->is_line_over; at++) {
        next_field(r, field);
        for (unsigned c = 0; c < COLUMN_COUNT; c++)
            if (place[c] == at)
                memcpy(row->field[c], field, sizeof field);
    }
}

static uint64_t number(const char *text)
{
    return text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : 0;
}

static struct backend *find_backend(struct summary *s, const char *name)
{
    for (unsigned i = 0; i < s->count; i++)
        if (strcmp(s->backend[i].name, name) == 0)
            return &s->backend[i];
    if (s->count == BACKEND_MAX)
        return NULL;
    struct backend *b = &s->backend[s->count++];
    memset(b, 0, sizeof *b);
    strcpy(b->name, name);
    b->is_limit_known = true;
    return b;
}

// "UP", "UP 1/3" (failing, but still used), "no check" and "OPEN" take new sessions.
static bool is_up(const char *status)
{
    return strncmp(status, "UP", 2) == 0 || strncmp(status, "no check", 8) == 0 || strncmp(status, "OPEN", 4) == 0;
}

static void take_row(struct summary *s, const struct row *row, const struct balancer_spec *spec)
{
    const char *server = row->field[SERVER], *type = row->field[TYPE];
    const bool is_backend = type[0] ? strcmp(type, "1") == 0 : strcmp(server, "BACKEND") == 0;
    const bool is_server =
        type[0] ? strcmp(type, "2") == 0 : !is_backend && strcmp(server, "FRONTEND") != 0 && server[0] != 0;
    if ((!is_backend && !is_server) || !balancer_counts(spec, row->field[PROXY]))
        return;
    struct backend *b = find_backend(s, row->field[PROXY]);
    if (!b)
        return;
    if (is_backend) {
        b->has_row = true;
        b->is_down = !is_up(row->field[STATUS]);
        b->own_sessions = number(row->field[SESSIONS]);
        b->own_limit = number(row->field[SESSIONS_LIMIT]);
        b->queue = number(row->field[QUEUE]);
        b->response_ms = number(row->field[RESPONSE]);
        return;
    }
    b->servers++;
    if (!is_up(row->field[STATUS]))
        return;
    b->up++;
    b->sessions += number(row->field[SESSIONS]);
    b->limit += number(row->field[SESSIONS_LIMIT]);
    b->is_limit_known &= number(row->field[SESSIONS_LIMIT]) > 0;
}

static int32_t permille(uint64_t part, uint64_t whole)
{
    if (whole == 0)
        return -1;
    const uint64_t share = part > UINT64_MAX / 1000 ? UINT64_MAX / whole : part * 1000 / whole;
    return share > 1000000 ? 1000000 : (int32_t)share;
}

static int32_t load_of(const struct backend *b)
{
    int32_t load =
        b->up && b->is_limit_known ? permille(b->sessions, b->limit) : permille(b->own_sessions, b->own_limit);
    if (b->queue && load < 1000)
        load = 1000;
    return load;
}

static struct probe_result judge(const struct summary *s, const struct balancer_spec *spec)
{
    struct probe_result r = probe_result_up(0);
    uint64_t sessions = 0;
    unsigned up = 0, servers = 0;
    for (unsigned i = 0; i < s->count; i++) {
        const struct backend *b = &s->backend[i];
        const bool is_short = b->servers > 0 && b->up < spec->need;
        sessions += b->own_sessions;
        up += b->up;
        servers += b->servers;
        r.load_permille = load_of(b) > r.load_permille ? load_of(b) : r.load_permille;
        r.response_ns = b->response_ms * 1000000u > r.response_ns ? b->response_ms * 1000000u : r.response_ns;
        if ((!b->is_down && !is_short) || r.result == EVIDENCE_DOWN)
            continue;
        r.result = EVIDENCE_DOWN;
        r.reason = EVIDENCE_REASON_BALANCER_DOWN;
        probe_result_detail(&r, "%s: %u of %u servers up%s", b->name, b->up, b->servers, b->is_down ? ", DOWN" : "");
    }
    if (spec->sessions_max)
        r.load_permille = permille(sessions, spec->sessions_max);
    if (r.result == EVIDENCE_UP)
        probe_result_detail(&r, "%u of %u servers up", up, servers);
    return r;
}

struct probe_result balancer_read_haproxy(const char *text, size_t len, const struct balancer_spec *spec)
{
    struct reader reader = {text, text + len, false};
    int place[COLUMN_COUNT];
    struct row row;
    if (!read_head(&reader, place))
        return balancer_unreadable("no HAProxy statistics: the columns pxname, svname, status are not all there");
    struct summary *s = calloc(1, sizeof *s);
    if (!s)
        return probe_result_unknown(EVIDENCE_REASON_LOCAL);
    while (reader.at < reader.end) {
        read_row(&reader, place, &row);
        take_row(s, &row, spec);
    }
    struct probe_result r = judge(s, spec);
    bool has_row = s->count > 0;
    for (unsigned i = 0; i < s->count; i++)
        has_row &= s->backend[i].has_row;
    if (!has_row)
        r = balancer_unreadable("the statistics list no backend that counts");
    for (unsigned i = 0; i < spec->backend_count; i++) {
        unsigned at = 0;
        while (at < s->count && strcmp(s->backend[at].name, spec->backends[i]) != 0)
            at++;
        if (at == s->count)
            r = balancer_unreadable("the statistics list no backend \"%s\"", spec->backends[i]);
    }
    free(s);
    return r;
}
