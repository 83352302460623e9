// SPDX-License-Identifier: Apache-2.0
// Drives one peer's link: what it orders becomes a job or a line of the log.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "dbsync/daemon.h"
#include "shared/log.h"

static int open_side(struct side *s, struct peer *p, const char *name, struct problem *problem)
{
    struct daemon *d = p->daemon;
    size_t len = strlen(d->config->spool) + 32;
    s->peer = p;
    s->spool_directory = memory_take(len);
    snprintf(s->spool_directory, len, "%s/%s-%u", d->config->spool, name, p->config->site);
    int result = worker_start(&s->worker, d->loop);
    return result < 0 ? problem_set(problem, -result, "%s: no thread can be started", p->config->name) : 0;
}

int peer_open(struct daemon *d, struct peer *p, const struct config_peer *config, struct problem *problem)
{
    p->daemon = d;
    p->config = config;
    p->down_since_ms = uv_now(d->loop);
    struct link_config link = {.site = d->config->site,
                               .peer = config->site,
                               .incarnation = d->own.incarnation,
                               .credit_bytes = d->config->credit_bytes,
                               .compression_level = (int)d->config->compression_level};
    memcpy(link.uuid, d->own.uuid, sizeof link.uuid);
    p->link = link_new(&link);
    int result = open_side(&p->reader, p, "out", problem);
    if (result == 0)
        result = open_side(&p->applier, p, "in", problem);
    // A second daemon on the same spool or a wrong database are told at once, before there are threads at work.
    if (result == 0)
        result = side_open(&p->reader, problem);
    if (result == 0)
        result = side_open(&p->applier, problem);
    return result;
}

void peer_stop(struct peer *p)
{
    if (p->poller.type != UV_UNKNOWN_HANDLE)
        uv_close((uv_handle_t *)&p->poller, NULL);
    worker_stop(&p->reader.worker);
    worker_stop(&p->applier.worker);
}

void peer_fini(struct peer *p)
{
    worker_fini(&p->reader.worker);
    worker_fini(&p->applier.worker);
    side_close(&p->reader);
    side_close(&p->applier);
    free(p->reader.spool_directory);
    free(p->applier.spool_directory);
    free(p->drift.ours);
    free(p->drift.theirs);
    link_free(p->link);
}

struct peer *peer_find(struct daemon *d, const char *name)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);
    for (unsigned i = 0; i < d->peer_count; i++)
        if (strcmp(d->peer[i].config->name, name) == 0 || (*name && !*end && d->peer[i].config->site == number))
            return &d->peer[i];
    return NULL;
}

void peer_problem(struct peer *p, const char *text)
{
    if (strncmp(p->problem, text, sizeof p->problem - 1) == 0)
        return;
    snprintf(p->problem, sizeof p->problem, "%s", text);
    log_warning("%s: %s", p->config->name, text);
}

void peer_down(struct peer *p, const char *reason)
{
    p->down_since_ms = uv_now(p->daemon->loop);
    p->read_at_ms = 0;
    p->hold[0] = 0;
    snprintf(p->down_reason, sizeof p->down_reason, "%s", reason);
    log_notice("%s: disconnected: %s", p->config->name, reason);
    net_wait_to_dial(p);
}

// ---- lag ----

int64_t peer_behind_us(const struct peer *p)
{
    int64_t now = net_now().wall_us;
    int64_t since = p->flight_count ? p->flight[0].since_us : p->backlog_since_us;
    if (since == 0)
        return 0;
    return now > since ? now - since : 1;
}

int64_t peer_lag_us(const struct peer *p)
{
    struct link_status s;
    link_get_status(p->link, &s);
    if (!s.heard_us)
        return -1;
    int64_t silent = net_now().mono_us - s.heard_us;
    if (s.is_met && silent < 3 * LINK_PING_US)
        return s.peer_behind_us;
    return s.peer_behind_us + silent; // what was written there meanwhile is not known
}

static unsigned lag_bucket(uint64_t us)
{
    static const uint64_t edge_us[DAEMON_LAG_BUCKETS - 1] = {5000,   10000,   25000,   50000,    100000,  250000,
                                                             500000, 1000000, 2500000, 10000000, 60000000};
    unsigned i = 0;
    while (i < DAEMON_LAG_BUCKETS - 1 && us > edge_us[i])
        i++;
    return i;
}

static void acknowledged(struct peer *p, uint64_t number)
{
    unsigned count = 0;
    int64_t now = net_now().wall_us;
    while (count < p->flight_count && p->flight[count].number <= number) {
        int64_t took = now - p->flight[count++].since_us;
        uint64_t us = took > 0 ? (uint64_t)took : 0;
        p->totals.lag_count[lag_bucket(us)]++;
        p->totals.lag_sum_us += us;
        p->totals.lag_total++;
    }
    p->flight_count -= count;
    memmove(p->flight, p->flight + count, p->flight_count * sizeof p->flight[0]);
}

// ---- orders ----

static void on_poll(uv_timer_t *timer)
{
    peer_poll(timer->data);
}

static void show(struct peer *p, const struct frame *f)
{
    const char *name = p->config->name;
    switch (f->type) {
    case FRAME_ERROR:
        snprintf(p->peer_error, sizeof p->peer_error, "%.*s", (int)f->error.text.len, f->error.text.bytes);
        log_warning("%s says: %s", name, p->peer_error);
        break;
    case FRAME_HOLD:
        snprintf(p->peer_error, sizeof p->peer_error, "holds batch %llu (%s) for %.1f s",
                 (unsigned long long)f->hold.number,
                 f->hold.verdict < APPLY_VERDICT_COUNT ? apply_verdict_name((enum apply_verdict)f->hold.verdict) : "?",
                 (double)f->hold.hold_us / 1e6);
        break;
    case FRAME_SCHEMA:
        free(p->drift.theirs);
        p->drift.theirs = memory_take(f->schema.definition.len + 1u);
        memcpy(p->drift.theirs, f->schema.definition.bytes, f->schema.definition.len);
        snprintf(p->drift.table, sizeof p->drift.table, "%.*s", (int)f->schema.table.len, f->schema.table.bytes);
        log_error("%s: table %s differs; there: %s; here: %s", name, p->drift.table, p->drift.theirs,
                  p->drift.ours ? p->drift.ours : "(not compared yet)");
        break;
    case FRAME_VERIFIED:
        if (f->verified.differ > p->verified_there.differ)
            log_error("%s: verify found ranges of rows there that differ from ours: %llu in all", name,
                      (unsigned long long)f->verified.differ);
        p->verified_there = f->verified;
        break;
    case FRAME_HELLO:
    case FRAME_BATCH:
    case FRAME_DATA:
    case FRAME_END:
    case FRAME_ACK:
    case FRAME_PING:
    case FRAME_PONG:
    case FRAME_REQUEST:
    case FRAME_TYPE_END:
        break;
    }
}

void peer_order(struct peer *p, const struct link_order *o)
{
    switch (o->wish) {
    case LINK_READ_BATCH:
        p->read_at_ms = uv_now(p->daemon->loop);
        job_read(p, o);
        break;
    case LINK_SPOOL:
        job_spool(p, o);
        break;
    case LINK_RESET_SPOOL:
        job_reset_spool(p, o->number);
        break;
    case LINK_FINISH:
        job_finish(p, o->number);
        break;
    case LINK_APPLY:
        job_apply(p, o->number);
        break;
    case LINK_ACKED:
        acknowledged(p, o->number);
        peer_batch_over(p);
        job_acked(p, o->number);
        break;
    case LINK_MEET:
        job_meet(p, &o->frame->hello);
        break;
    case LINK_REQUESTED:
        job_requested(p, &o->frame->request);
        break;
    case LINK_SHOW:
        show(p, o->frame);
        break;
    case LINK_NOTHING:
    case LINK_SEND:
    case LINK_CLOSE:
        break;
    }
}

// ---- time ----

// Batches follow each other no faster than `poll`, and where one takes long, because the machine is busy or the peer
// is far, the pause grows with it: fewer and larger ones cost both sites less. It grows by two polls at most.
void peer_batch_over(struct peer *p)
{
    uint64_t now = uv_now(p->daemon->loop), poll_ms = p->daemon->config->poll_us / 1000;
    if (p->read_at_ms == 0)
        return;
    uint64_t took_ms = now - p->read_at_ms, pause_ms = took_ms * 3 / 2;
    uint64_t end_ms = now + (pause_ms < 2 * poll_ms ? pause_ms : 2 * poll_ms);
    p->rest_ms = end_ms > p->read_at_ms + poll_ms ? end_ms : p->read_at_ms + poll_ms;
    p->read_at_ms = 0;
    uint64_t left_ms = p->rest_ms > now ? p->rest_ms - now : 0;
    if (p->backlog_since_us && p->poller.type != UV_UNKNOWN_HANDLE && !p->daemon->is_stopping)
        uv_timer_start(&p->poller, on_poll, left_ms, poll_ms);
}

bool peer_rests(const struct peer *p)
{
    return p->read_at_ms || uv_now(p->daemon->loop) < p->rest_ms;
}

void peer_start_polling(struct peer *p)
{
    uv_timer_init(p->daemon->loop, &p->poller);
    p->poller.data = p;
    uv_timer_start(&p->poller, on_poll, 0, p->daemon->config->poll_us / 1000);
}

void peer_poll(struct peer *p)
{
    uint64_t now = uv_now(p->daemon->loop);
    if (p->is_polling || p->daemon->is_stopping)
        return;
    bool is_full = now >= p->poll_full_at_ms;
    if (is_full)
        p->poll_full_at_ms = UINT64_MAX; // until it is done
    job_poll(p, is_full);
}

void peer_tick(struct peer *p)
{
    struct link_time now = net_now();
    link_behind(p->link, peer_behind_us(p));
    link_tick(p->link, now);
    if (!p->is_collecting && uv_now(p->daemon->loop) >= p->collect_at_ms)
        job_collect(p);
    net_pump(p);
}
