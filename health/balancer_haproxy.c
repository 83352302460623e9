// SPDX-License-Identifier: Apache-2.0
// HAProxy's statistics as comma-separated values.
//
// Load comes from the servers' limits and the frontends'. A backend's own `slim` is `fullconn`, which HAProxy makes a
// tenth of the frontends' limits where nobody set it: it is no limit.
#include <string.h>

#include "health/balancer_reading.h"

enum {
    BACKEND_MAX = 128, // that can be named
    COLUMN_MAX = 1024, // HAProxy 2.6 has about a hundred
    FIELD_CAP = 264,   // of a field that is looked at; a longer one matches nothing
    FULL = 1000
};

enum column { PXNAME, SVNAME, STATUS, TYPE, ACT, BCK, SCUR, SLIM, QCUR, RTIME, COLUMN_COUNT };

static const char *const column_name[COLUMN_COUNT] = {
    [PXNAME] = "pxname", [SVNAME] = "svname", [STATUS] = "status", [TYPE] = "type", [ACT] = "act",
    [BCK] = "bck",       [SCUR] = "scur",     [SLIM] = "slim",     [QCUR] = "qcur", [RTIME] = "rtime"};

struct cursor {
    const char *at, *end;
};

struct row {
    char field[COLUMN_COUNT][FIELD_CAP];
    bool is_there[COLUMN_COUNT];
};

struct proxy { // rows of one proxy stand together
    char name[FIELD_CAP];
    bool is_open, has_backend, is_up, has_act, has_limitless;
    unsigned server_rows, servers_up;
    uint64_t usable, sessions, queue, limit, rtime_ms;
};

struct judgement {
    const struct balancer_spec *spec;
    struct proxy proxy;
    bool is_found[BACKEND_MAX];
    unsigned counted, bad;
    struct probe_result bad_words; // about the first bad one
    uint64_t servers_up, servers, sessions, queue, rtime_ms;
    int32_t load;           // -1: nothing to say
    const char *unreadable; // null: fine so far
};

static bool is_line_end(char c)
{
    return c == '\n' || c == '\r';
}

// One field, unquoted, cut to its room; `out` may be null. False at an end inside quotes or a quote that goes astray.
static bool read_field(struct cursor *c, char out[FIELD_CAP])
{
    size_t len = 0;
    const bool is_quoted = c->at < c->end && *c->at == '"';
    c->at += is_quoted;
    while (c->at < c->end && (is_quoted || (*c->at != ',' && !is_line_end(*c->at)))) {
        if (is_quoted && *c->at == '"') {
            if (c->at + 1 == c->end || c->at[1] != '"')
                break;
            c->at++;
        }
        if (out && len < FIELD_CAP - 1)
            out[len++] = *c->at;
        c->at++;
    }
    if (out)
        out[len] = 0;
    if (!is_quoted)
        return true;
    if (c->at == c->end)
        return false;
    c->at++;
    return c->at == c->end || *c->at == ',' || is_line_end(*c->at);
}

// Past the comma behind a field; false when the line ends there.
static bool next_field(struct cursor *c)
{
    if (c->at == c->end || *c->at != ',')
        return false;
    c->at++;
    return true;
}

static void skip_line_ends(struct cursor *c)
{
    while (c->at < c->end && is_line_end(*c->at))
        c->at++;
}

// Which column stands where; null when it can be read.
static const char *read_header(struct cursor *c, int8_t meaning[COLUMN_MAX], unsigned *last)
{
    bool is_found[COLUMN_COUNT] = {false};
    char name[FIELD_CAP];
    *last = 0;
    while (c->at < c->end && (*c->at == '#' || *c->at == ' '))
        c->at++;
    for (unsigned i = 0; i < COLUMN_MAX; i++) {
        if (!read_field(c, name))
            return "quotes astray in the first line";
        meaning[i] = -1;
        for (int k = 0; k < COLUMN_COUNT; k++)
            if (strcmp(name, column_name[k]) == 0) {
                if (is_found[k])
                    return "a column stands twice";
                is_found[k] = true;
                meaning[i] = (int8_t)k;
                *last = i;
            }
        if (!next_field(c))
            return is_found[PXNAME] && is_found[SVNAME] && is_found[STATUS] ? NULL
                                                                            : "no columns pxname, svname and status";
    }
    return "too many columns";
}

static const char *read_row(struct cursor *c, const int8_t meaning[COLUMN_MAX], unsigned last, struct row *row)
{
    memset(row->is_there, 0, sizeof row->is_there);
    for (unsigned i = 0; i < COLUMN_MAX; i++) {
        const int k = i <= last ? meaning[i] : -1;
        if (!read_field(c, k >= 0 ? row->field[k] : NULL))
            return "quotes astray";
        if (k >= 0)
            row->is_there[k] = row->field[k][0] != 0;
        if (!next_field(c))
            return i < last ? "a row ends early" : NULL;
    }
    return "too many fields in a row";
}

// Bounded so that sums of them cannot overflow; what is no number counts as 0.
static uint64_t number(const struct row *row, enum column column)
{
    uint64_t value = 0;
    for (const char *p = row->field[column]; row->is_there[column] && *p >= '0' && *p <= '9'; p++) {
        value = 10 * value + (uint64_t)(*p - '0');
        if (value > UINT32_MAX)
            return UINT32_MAX;
    }
    return value;
}

static void raise_load(struct judgement *j, uint64_t part, uint64_t whole)
{
    const uint64_t permille = part * FULL / whole;
    const int32_t load = permille > INT32_MAX ? INT32_MAX : (int32_t)permille;
    j->load = load > j->load ? load : j->load;
}

// Does the proxy count? Notes which of the named ones it is.
static bool is_wanted(struct judgement *j, const struct proxy *p)
{
    for (unsigned i = 0; i < j->spec->backend_count && i < BACKEND_MAX; i++)
        if (strcmp(j->spec->backends[i], p->name) == 0)
            return j->is_found[i] = true;
    return j->spec->backend_count == 0;
}

static void end_proxy(struct judgement *j)
{
    struct proxy *p = &j->proxy;
    const bool is_backend = p->has_backend || p->server_rows > 0; // else a frontend
    if (!p->is_open || !is_backend || !is_wanted(j, p))
        return;
    if (!p->has_backend) {
        j->unreadable = "a backend's own row is missing";
        return;
    }
    const uint64_t up = p->has_act ? p->usable : p->servers_up;
    j->counted++;
    j->servers_up += up;
    j->servers += p->server_rows;
    j->sessions += p->sessions;
    j->queue += p->queue;
    j->rtime_ms = p->rtime_ms > j->rtime_ms ? p->rtime_ms : j->rtime_ms;
    if (j->spec->sessions_max == 0 && p->limit && !p->has_limitless)
        raise_load(j, p->sessions, p->limit);
    // One without servers (a redirection, a page of statistics) counts by its status.
    if ((p->is_up && (up >= j->spec->need || p->server_rows == 0)) || j->bad++)
        return;
    probe_result_detail(&j->bad_words, "%.60s: %llu of %u servers up%s", p->name, (unsigned long long)up,
                        p->server_rows, p->is_up ? "" : ", DOWN");
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void take_backend(struct judgement *j, const struct row *row)
{
    struct proxy *p = &j->proxy;
    const char *status = row->field[STATUS];
    if (p->has_backend)
        j->unreadable = "a backend stands twice";
    p->has_backend = true;
    p->is_up = starts_with(status, "UP");
    // What is not one of HAProxy's words is not a word against the backend.
    if (!p->is_up && !starts_with(status, "DOWN") && !starts_with(status, "MAINT") && !starts_with(status, "STOP"))
        j->unreadable = "an unknown status of a backend";
    p->has_act = row->is_there[ACT];
    p->usable = number(row, ACT) + number(row, BCK);
    p->sessions = number(row, SCUR);
    p->queue += number(row, QCUR);
    p->rtime_ms = number(row, RTIME);
}

static void take_server(struct judgement *j, const struct row *row)
{
    struct proxy *p = &j->proxy;
    const bool is_usable = starts_with(row->field[STATUS], "UP") || strcmp(row->field[STATUS], "no check") == 0;
    p->server_rows++;
    p->servers_up += is_usable;
    p->queue += number(row, QCUR);
    if (!is_usable)
        return;
    p->limit += number(row, SLIM);
    p->has_limitless |= number(row, SLIM) == 0;
}

static void begin_proxy(struct judgement *j, const struct row *row)
{
    struct proxy *p = &j->proxy;
    if (p->is_open && strcmp(p->name, row->field[PXNAME]) == 0)
        return;
    end_proxy(j);
    memset(p, 0, sizeof *p);
    memcpy(p->name, row->field[PXNAME], sizeof p->name);
    p->is_open = true;
}

static void take_row(struct judgement *j, const struct row *row)
{
    const char *server = row->field[SVNAME], *type = row->field[TYPE];
    begin_proxy(j, row);
    if (row->is_there[TYPE] ? strcmp(type, "0") == 0 : strcmp(server, "FRONTEND") == 0) {
        if (j->spec->sessions_max == 0 && number(row, SLIM))
            raise_load(j, number(row, SCUR), number(row, SLIM));
    } else if (row->is_there[TYPE] ? strcmp(type, "1") == 0 : strcmp(server, "BACKEND") == 0)
        take_backend(j, row);
    else if (!row->is_there[TYPE] || strcmp(type, "2") == 0)
        take_server(j, row);
}

static struct probe_result conclude(struct judgement *j)
{
    struct probe_result r = j->bad ? j->bad_words : probe_result_up(0);
    if (!j->bad)
        probe_result_detail(&r, "%llu of %llu servers up", (unsigned long long)j->servers_up,
                            (unsigned long long)j->servers);
    if (j->spec->sessions_max)
        raise_load(j, j->sessions, j->spec->sessions_max);
    if (j->queue && j->load < FULL)
        j->load = FULL; // requests wait
    r.response_ns = j->rtime_ms * 1000000u;
    r.load_permille = j->load;
    return r;
}

static const char *read_rows(struct cursor *c, struct judgement *j)
{
    int8_t meaning[COLUMN_MAX];
    struct row row;
    unsigned last;
    const char *why = read_header(c, meaning, &last);
    memset(&row, 0, sizeof row);
    for (skip_line_ends(c); !why && c->at < c->end; skip_line_ends(c)) {
        why = read_row(c, meaning, last, &row);
        if (!why)
            take_row(j, &row);
        if (!why)
            why = j->unreadable;
    }
    if (!why)
        end_proxy(j);
    return why ? why : j->unreadable;
}

struct probe_result balancer_read_haproxy(const char *text, size_t len, const struct balancer_spec *spec)
{
    struct cursor c = {text, text + len};
    struct judgement j = {.spec = spec, .load = -1, .bad_words = probe_result_down(EVIDENCE_REASON_BALANCER_DOWN)};
    const char *why = read_rows(&c, &j);
    if (why)
        return balancer_unreadable("no whole HAProxy statistics: %s", why);
    if (j.bad)
        return conclude(&j); // whatever became of others
    for (unsigned i = 0; i < spec->backend_count; i++)
        if (i >= BACKEND_MAX || !j.is_found[i])
            return balancer_unreadable("the statistics list no backend \"%s\"", spec->backends[i]);
    if (j.counted == 0)
        return balancer_unreadable("the statistics list no backend that counts");
    return conclude(&j);
}
