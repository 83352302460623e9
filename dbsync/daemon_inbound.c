// SPDX-License-Identifier: Apache-2.0
// Jobs of receiving: octets into the spool, whole batches into the database.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "dbsync/daemon_jobs.h"

enum { BUSY_TRIES = 6 };

// ---- inbound spool ----

struct spool_job {
    struct head head;
    uint64_t number, offset, room;
    size_t len;
    uint8_t bytes[];
};

static void run_spool(struct job *job)
{
    struct spool_job *j = (struct spool_job *)job;
    struct side *s = j->head.side;
    struct problem *problem = &j->head.problem;
    uint16_t site = j->head.peer->config->site;
    uint64_t offset;
    int result = spool_begin(s->spool, SPOOL_IN, site, s->incarnation, j->number, &offset, problem);
    if (result == 0 && offset != j->offset)
        result = problem_set(problem, EIO, "the spool has %llu octets of batch %llu, not %llu",
                             (unsigned long long)offset, (unsigned long long)j->number, (unsigned long long)j->offset);
    if (result == 0)
        result = spool_append(s->spool, SPOOL_IN, site, j->number, j->bytes, j->len, problem);
    j->head.result = result;
    j->room = spool_room(s->spool);
}

static void spool_done(struct job *job)
{
    struct spool_job *j = (struct spool_job *)job;
    struct peer *p = j->head.peer;
    if (j->head.result < 0)
        peer_problem(p, j->head.problem.text);
    if (!job_is_stale(&j->head)) {
        link_spooled(p->link, j->head.result, j->room);
        net_pump(p);
    }
    free(j);
}

void job_spool(struct peer *p, const struct link_order *order)
{
    struct spool_job *j = job_new(sizeof *j + order->len, p, &p->applier, run_spool, spool_done);
    j->number = order->number;
    j->offset = order->offset;
    j->len = order->len;
    memcpy(j->bytes, order->bytes, order->len);
    job_submit(j);
}

static void run_reset(struct job *job)
{
    struct number_job *j = (struct number_job *)job;
    spool_drop(j->head.side->spool, SPOOL_IN, j->head.peer->config->site, j->number);
}

void job_reset_spool(struct peer *p, uint64_t number)
{
    struct number_job *j = job_new(sizeof *j, p, &p->applier, run_reset, job_number_done);
    j->number = number;
    job_submit(j);
}

static void run_finish(struct job *job)
{
    struct number_job *j = (struct number_job *)job;
    struct side *s = j->head.side;
    uint16_t site = j->head.peer->config->site;
    uint64_t offset;
    j->head.result = spool_begin(s->spool, SPOOL_IN, site, s->incarnation, j->number, &offset, &j->head.problem);
    if (j->head.result == 0)
        j->head.result = spool_finish(s->spool, SPOOL_IN, site, j->number, j->digest, &j->head.problem);
}

static void finish_done(struct job *job)
{
    struct number_job *j = (struct number_job *)job;
    struct peer *p = j->head.peer;
    if (j->head.result < 0)
        peer_problem(p, j->head.problem.text);
    if (!job_is_stale(&j->head)) {
        link_finished(p->link, j->head.result, j->digest);
        net_pump(p);
    }
    free(j);
}

void job_finish(struct peer *p, uint64_t number)
{
    struct number_job *j = job_new(sizeof *j, p, &p->applier, run_finish, finish_done);
    j->number = number;
    job_submit(j);
}

// ---- apply ----

struct apply_job {
    struct head head;
    uint64_t number, room, tries;
    struct apply_result result;
    int64_t took_us;
};

// Busy and deadlocks pass: try a few times with a growing, jittered pause before the link is told.
static int apply_patiently(struct side *s, struct apply_job *j, const uint8_t *bytes, size_t len)
{
    unsigned seed = (unsigned)job_micros(CLOCK_MONOTONIC);
    int result = 0;
    for (j->tries = 1; j->tries <= BUSY_TRIES; j->tries++) {
        arena_reset(&s->arena);
        result = s->door->ops->apply(s->door, j->head.peer->config->site, bytes, len, &s->arena, &j->result,
                                     &j->head.problem);
        if (result != -EAGAIN)
            break;
        uint64_t wait_us = (2000u << j->tries) + (unsigned)rand_r(&seed) % 10000u;
        struct timespec pause = {0, (long)wait_us * 1000};
        nanosleep(&pause, NULL);
    }
    return side_judged(s, result);
}

static void run_apply(struct job *job)
{
    struct apply_job *j = (struct apply_job *)job;
    struct side *s = j->head.side;
    struct problem *problem = &j->head.problem;
    uint16_t site = j->head.peer->config->site;
    const uint8_t *bytes = NULL;
    uint64_t offset;
    size_t len = 0;
    int64_t start = job_micros(CLOCK_MONOTONIC);
    int result = side_open(s, problem);
    if (result == 0)
        result = spool_begin(s->spool, SPOOL_IN, site, s->incarnation, j->number, &offset, problem);
    if (result == 0)
        result = spool_map(s->spool, SPOOL_IN, site, j->number, &bytes, &len, problem);
    if (result == 0)
        result = apply_patiently(s, j, bytes, len);
    spool_unmap(bytes, len);
    if (result == 0 && (j->result.verdict == APPLY_DONE || j->result.verdict == APPLY_REPEATED))
        spool_drop(s->spool, SPOOL_IN, site, j->number);
    j->head.result = result;
    j->room = spool_room(s->spool);
    j->took_us = job_micros(CLOCK_MONOTONIC) - start;
}

static void count_applied(struct peer *p, const struct apply_job *j)
{
    struct peer_totals *t = &p->totals;
    const struct apply_result *r = &j->result;
    t->apply_us += (uint64_t)j->took_us;
    t->retries += j->tries > 1 ? j->tries - 1 : 0;
    t->apply_errors += j->head.result < 0;
    if (j->head.result < 0 || r->verdict != APPLY_DONE)
        return;
    t->rows_applied += r->rows;
    t->inserted += r->inserted;
    t->updated += r->updated;
    t->deleted += r->deleted;
    t->unchanged += r->unchanged;
    t->repaired += r->repaired;
    t->parked += r->parked;
    t->base_rows += r->base_rows;
    t->digests += r->digests;
    t->digests_differ += r->digests_differ;
    t->digests_busy += r->digests_busy;
    for (unsigned i = 0; i < CONFLICT_KIND_COUNT; i++)
        t->conflict[i] += r->conflict[i];
    p->last_apply_ms = uv_now(p->daemon->loop);
}

// Rows that we have too little of: asked for table by table.
static void ask_for_rows(struct peer *p, const struct apply_result *r)
{
    static struct frame_request request; // large; loop thread
    for (unsigned i = 0; i < r->request_count;) {
        const struct table *table = r->request[i].table;
        request = (struct frame_request){.kind = FRAME_REQUEST_ROWS,
                                         .table = value_bytes(VALUE_TEXT, table->name, strlen(table->name))};
        size_t octets = 0;
        for (; i < r->request_count && r->request[i].table == table && request.key_count < FRAME_REQUEST_MAX; i++) {
            octets += r->request[i].key.len + 10u;
            if (request.key_count && octets > FRAME_BODY_MAX / 2)
                break;
            request.key[request.key_count++] = r->request[i].key;
        }
        link_request(p->link, &request);
    }
}

static void say_why_held(struct peer *p, const struct apply_job *j)
{
    enum apply_verdict v = j->result.verdict;
    p->hold[0] = 0;
    if (j->head.result < 0)
        snprintf(p->hold, sizeof p->hold, "%.250s", j->head.problem.text);
    else if (v == APPLY_HELD_CLOCK)
        snprintf(p->hold, sizeof p->hold, "batch %llu is ahead of our clock by more than 60 s; held for %.1f s",
                 (unsigned long long)j->number, (double)j->result.hold_us / 1e6);
    if (p->hold[0])
        peer_problem(p, p->hold);
}

static void apply_done(struct job *job)
{
    struct apply_job *j = (struct apply_job *)job;
    struct peer *p = j->head.peer;
    count_applied(p, j);
    say_why_held(p, j);
    if (!job_is_stale(&j->head)) {
        link_applied(p->link, j->head.result, &j->result, j->head.problem.text, j->room);
        if (j->head.result == 0)
            ask_for_rows(p, &j->result);
        if (j->head.result == 0 && j->result.digests)
            link_verified(p->link, p->totals.digests, p->totals.digests_differ, p->totals.digests_busy);
        if (j->head.result == -ESTALE)
            p->collect_at_ms = 0;
        net_pump(p);
    }
    free(j);
}

void job_apply(struct peer *p, uint64_t number)
{
    struct apply_job *j = job_new(sizeof *j, p, &p->applier, run_apply, apply_done);
    j->number = number;
    job_submit(j);
}
