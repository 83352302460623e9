// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "dbsync/command.h"

// ---- helpers ----

enum command_exit command_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("signpost-dbsync: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return COMMAND_FAILED;
}

enum command_exit command_done(const struct command_call *c, json_t *result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (c->is_json)
        json_dumpf(result, stdout, JSON_COMPACT | JSON_SORT_KEYS);
    else
        vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    json_decref(result);
    return fflush(stdout) ? COMMAND_FAILED : COMMAND_OK;
}

const struct config_peer *command_peer(const struct command_call *c, const char *name)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    for (unsigned i = 0; i < c->config->peer_count; i++) {
        const struct config_peer *p = &c->config->peer[i];
        if (strcmp(p->name, name) == 0 || (*name && !*end && p->site == number))
            return p;
    }
    fprintf(stderr, "signpost-dbsync: there is no peer \"%s\"; configured:", name);
    for (unsigned i = 0; i < c->config->peer_count; i++)
        fprintf(stderr, " %s", c->config->peer[i].name);
    fputc('\n', stderr);
    return NULL;
}

uint64_t command_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

bool command_pause_for(const struct command_call *c, uint64_t started_us, const char *text)
{
    static uint64_t shown_us;
    uint64_t now = command_now_us();
    if (isatty(STDERR_FILENO) && (!text ? shown_us != 0 : now - started_us > 1000000 && now - shown_us > 500000)) {
        fprintf(stderr, "\r\033[K%s", text ? text : "");
        fflush(stderr);
        shown_us = now;
    }
    if (!text)
        return true;
    if (c->timeout_us && now - started_us >= c->timeout_us)
        return false;
    nanosleep(&(struct timespec){0, 20 * 1000 * 1000}, NULL);
    return true;
}

// ---- status ----

static const char *text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : "";
}

static double real_of(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static const char *span(double s, char out[32])
{
    if (s < 0)
        snprintf(out, 32, "unknown");
    else if (s < 1)
        snprintf(out, 32, "%.0f ms", s * 1e3);
    else if (s < 120)
        snprintf(out, 32, "%.1f s", s);
    else if (s < 7200)
        snprintf(out, 32, "%.0f min", s / 60);
    else
        snprintf(out, 32, "%.1f h", s / 3600);
    return out;
}

static void print_peer(const json_t *p)
{
    char since[32], lag[32], behind[32], trip[32];
    const json_t *lag_value = json_object_get(p, "lag");
    printf("\npeer %s (site %.0f): %s%s%s\n", text_of(p, "name"), real_of(p, "site"), text_of(p, "state"),
           *text_of(p, "reason") ? ": " : "", text_of(p, "reason"));
    printf("  link      %s for %s", text_of(p, "link"), span(real_of(p, "link_since"), since));
    if (strcmp(text_of(p, "link"), "up") == 0)
        printf(", round trip %s, clock %+.3f s, %s", span(real_of(p, "round_trip"), trip), real_of(p, "skew"),
               text_of(p, "tls"));
    else if (*text_of(p, "down_reason"))
        printf(": %s", text_of(p, "down_reason"));
    printf("\n  theirs    applied up to cut %.0f, lag %s, %s\n", real_of(p, "applied"),
           span(json_is_null(lag_value) ? -1 : json_number_value(lag_value), lag), text_of(p, "receiving"));
    printf("  ours      cut %.0f, acknowledged %.0f, stable %.0f, behind %s, %.0f change rows wait, %s%s\n",
           real_of(p, "cut"), real_of(p, "acked"), real_of(p, "stable"), span(real_of(p, "behind"), behind),
           real_of(p, "backlog_rows"), text_of(p, "sending"),
           json_is_true(json_object_get(p, "waits_for_credit")) ? ", waits for credit" : "");
    printf("  rows      %.0f sent (%.1f changes a row), %.0f applied\n", real_of(p, "rows_sent"),
           real_of(p, "changes_per_row_sent"), real_of(p, "rows_applied"));
    const json_t *boot = json_object_get(p, "bootstrap"), *drift = json_object_get(p, "drift");
    if (json_is_object(boot))
        printf("  bootstrap %s, %.0f rows sent\n", text_of(boot, "table"), real_of(boot, "rows"));
    if (drift)
        printf("  drift     table %s\n    here:  %s\n    there: %s\n", text_of(drift, "table"), text_of(drift, "here"),
               text_of(drift, "there"));
    if (*text_of(p, "problem"))
        printf("  last problem here:  %s\n", text_of(p, "problem"));
    if (*text_of(p, "peer_says"))
        printf("  last problem there: %s\n", text_of(p, "peer_says"));
}

static void print_status(const json_t *s)
{
    char up[32];
    size_t i;
    const json_t *p;
    printf("site %s (%.0f), signpost-dbsync %s, running for %s\n", text_of(s, "name"), real_of(s, "site"),
           text_of(s, "version"), span(real_of(s, "uptime"), up));
    printf("  change tables: %.0f rows; remembered: %.0f; parked: %.0f; certificate: %.0f days\n",
           real_of(s, "change_rows"), real_of(s, "remembered_rows"), real_of(s, "parked"),
           real_of(s, "certificate_days"));
    if (*text_of(s, "tls_problem"))
        printf("  certificates: %s\n", text_of(s, "tls_problem"));
    json_array_foreach(json_object_get(s, "peers"), i, p) print_peer(p);
}

enum command_exit command_status(struct command_call *c)
{
    enum command_exit status;
    json_t *s = command_ask(c, "status", NULL, NULL, false, &status);
    if (!s)
        return status;
    if (c->is_json) {
        json_dumpf(s, stdout, JSON_INDENT(2) | JSON_SORT_KEYS);
        putchar('\n');
    } else {
        print_status(s);
    }
    json_decref(s);
    return fflush(stdout) ? COMMAND_FAILED : COMMAND_OK;
}

enum command_exit command_metrics(struct command_call *c)
{
    enum command_exit status;
    json_t *text = command_ask(c, "metrics", NULL, NULL, false, &status);
    if (!text)
        return status;
    fputs(json_string_value(text), stdout);
    json_decref(text);
    return COMMAND_OK;
}

// ---- lists ----

static void print_value(const json_t *value)
{
    char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    fputs(text ? text : json_string_value(value), stdout);
    free(text);
}

// "id 7  table orders  ..." : the fields in the order the database gives them.
static int on_listed(void *context, const char *json)
{
    const struct command_call *c = context;
    if (c->is_json)
        return puts(json) < 0;
    json_error_t where;
    json_t *o = json_loads(json, 0, &where), *value;
    const char *key, *gap = "";
    if (!o)
        return puts(json) < 0;
    json_object_foreach(o, key, value)
    {
        if (json_is_null(value))
            continue;
        printf("%s%s ", gap, key);
        print_value(value);
        gap = "  ";
    }
    putchar('\n');
    json_decref(o);
    return 0;
}

typedef int list_of(struct door *, unsigned, door_listed *, void *, struct problem *);

static enum command_exit list(struct command_call *c, list_of *of, const char *what)
{
    struct problem problem;
    if (!of)
        return command_fail("%s: not supported by this engine yet", what);
    if (of(c->door, (unsigned)(c->limit ? c->limit : 100), on_listed, c, &problem) < 0)
        return command_fail("%s", problem.text);
    return fflush(stdout) ? COMMAND_FAILED : COMMAND_OK;
}

enum command_exit command_conflicts(struct command_call *c)
{
    return list(c, c->door->ops->conflicts, "conflicts");
}

enum command_exit command_parked(struct command_call *c)
{
    return list(c, c->door->ops->parked, "parked");
}

static bool take_id(const char *text, int64_t *id)
{
    char *end;
    errno = 0;
    *id = strtoll(text, &end, 10);
    if (errno == 0 && *text && !*end && *id > 0)
        return true;
    fprintf(stderr, "signpost-dbsync: \"%s\" is no id; `conflicts` and `parked` show them\n", text);
    return false;
}

enum command_exit command_retry(struct command_call *c)
{
    struct problem problem;
    int64_t id = 0;
    unsigned done = 0;
    if (c->argc && !take_id(c->argv[0], &id))
        return COMMAND_USAGE;
    if (!c->door->ops->retry)
        return command_fail("retry: not supported by this engine yet");
    if (c->door->ops->retry(c->door, id, &done, &problem) < 0)
        return command_fail("%s", problem.text);
    command_nudge(c);
    return command_done(c, json_pack("{s:i}", "written", (int)done), "%u parked row%s went in", done,
                        done == 1 ? "" : "s");
}

enum command_exit command_resolve(struct command_call *c)
{
    static const char *const name[] = {"keep", "take-loser", "discard"};
    struct problem problem;
    int64_t id;
    unsigned how = 0;
    while (how < 3 && strcmp(name[how], c->argv[1]) != 0)
        how++;
    if (how == 3)
        fputs("signpost-dbsync: wanted: resolve ID keep|take-loser|discard, with parked:ID for a parked row\n", stderr);
    bool is_parked = strncmp(c->argv[0], "parked:", 7) == 0;
    if (how == 3 || !take_id(c->argv[0] + (is_parked ? 7 : 0), &id))
        return COMMAND_USAGE;
    id = is_parked ? -id : id;
    if (!c->door->ops->resolve)
        return command_fail("resolve: not supported by this engine yet");
    if (c->door->ops->resolve(c->door, id, (enum door_resolution)how, &problem) < 0)
        return command_fail("%s", problem.text);
    command_nudge(c);
    return command_done(c, json_pack("{s:s, s:s}", "id", c->argv[0], "resolved", name[how]), "%s: %s", c->argv[0],
                        name[how]);
}

// ---- pause, resume ----

static enum command_exit set_states(struct command_call *c, enum peer_state state, const char *reason)
{
    struct problem problem;
    const struct config_peer *only = c->argc ? command_peer(c, c->argv[0]) : NULL;
    if (c->argc && !only)
        return COMMAND_USAGE;
    for (unsigned i = 0; i < c->config->peer_count; i++) {
        const struct config_peer *p = &c->config->peer[i];
        if (only && p != only)
            continue;
        if (c->door->ops->peer_set_state(c->door, p->site, state, reason, &problem) < 0)
            return command_fail("%s", problem.text);
    }
    command_nudge(c);
    return command_done(c, json_pack("{s:s, s:s}", "peer", only ? only->name : "all", "state", peer_state_name(state)),
                        "%s: %s", only ? only->name : "all peers", peer_state_name(state));
}

enum command_exit command_pause(struct command_call *c)
{
    return set_states(c, PEER_PAUSED, "by the operator");
}

enum command_exit command_resume(struct command_call *c)
{
    return set_states(c, PEER_RUNNING, "");
}

// ---- long work ----

enum command_exit command_compact(struct command_call *c)
{
    struct problem problem;
    uint64_t before = 0, after = 0;
    if (!c->door->ops->compact)
        return command_fail("compact: not supported by this engine yet");
    if (c->door->ops->compact(c->door, &before, &after, &problem) < 0)
        return command_fail("%s", problem.text);
    return command_done(c, json_pack("{s:I, s:I}", "before", (json_int_t)before, "after", (json_int_t)after),
                        "%llu change rows became %llu", (unsigned long long)before, (unsigned long long)after);
}

enum command_exit command_gc(struct command_call *c)
{
    struct problem problem;
    bool more = true;
    unsigned rounds = 0;
    if (!c->door->ops->collect)
        return command_fail("gc: not supported by this engine yet");
    while (more) { // bounded work each; what is stable ends
        if (c->door->ops->collect(c->door, &more, &problem) < 0)
            return command_fail("%s", problem.text);
        rounds++;
    }
    return command_done(c, json_pack("{s:i}", "rounds", (int)rounds), "what is stable is dropped");
}

enum command_exit command_verify(struct command_call *c)
{
    const struct config_peer *peer = command_peer(c, c->argv[0]);
    struct problem problem;
    if (!peer)
        return COMMAND_USAGE;
    if (!c->door->ops->verify)
        return command_fail("verify: not supported by this engine yet");
    if (c->door->ops->verify(c->door, peer->site, &problem) < 0)
        return command_fail("%s", problem.text);
    command_nudge(c);
    return command_done(c, json_pack("{s:s}", "verifying", peer->name),
                        "%s compares its rows with ours; `status` shows the ranges that differ, there and here",
                        peer->name);
}

static enum command_exit wait_for(struct command_call *c, const struct config_peer *peer, uint64_t position,
                                  uint64_t started)
{
    struct problem problem;
    char progress[128];
    bool reached = false;
    for (;;) { // until it is reached or the time is over
        if (c->door->ops->position_reached(c->door, peer->site, position, &reached, &problem) < 0)
            return command_fail("%s", problem.text);
        if (reached)
            return COMMAND_OK;
        snprintf(progress, sizeof progress, "waiting for %s ...", peer->name);
        if (!command_pause_for(c, started, progress)) {
            command_fail("%s has not applied everything within the time", peer->name);
            return COMMAND_NOT_YET;
        }
    }
}

enum command_exit command_wait(struct command_call *c)
{
    struct problem problem;
    uint64_t position, started = command_now_us();
    const struct config_peer *only = c->argc ? command_peer(c, c->argv[0]) : NULL;
    enum command_exit status = COMMAND_OK;
    if (c->argc && !only)
        return COMMAND_USAGE;
    if (!c->door->ops->position || !c->door->ops->position_reached)
        return command_fail("wait: not supported by this engine yet");
    if (c->door->ops->position(c->door, &position, &problem) < 0)
        return command_fail("%s", problem.text);
    command_nudge(c);
    for (unsigned i = 0; i < c->config->peer_count && status == COMMAND_OK; i++)
        if (!only || only == &c->config->peer[i])
            status = wait_for(c, &c->config->peer[i], position, started);
    command_pause_for(c, started, NULL);
    if (status != COMMAND_OK)
        return status;
    return command_done(c, json_pack("{s:f}", "seconds", (double)(command_now_us() - started) / 1e6),
                        "applied at %s after %.3f s", only ? only->name : "all peers",
                        (double)(command_now_us() - started) / 1e6);
}
