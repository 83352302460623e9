// SPDX-License-Identifier: Apache-2.0
// Jobs of sending: batches read from the database into the spool, and what becomes of them when they are acknowledged.
#include <errno.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dbsync/daemon_jobs.h"

// ---- read a batch ----

struct read_job {
    struct head head;
    uint64_t after, resume, resume_at, room;
    struct outgoing found;
    uint8_t resume_digest[FRAME_DIGEST_LEN];
    int64_t took_us;
    uint64_t number; // of the file, see read_new
};

static int sink(void *context, const void *bytes, size_t len)
{
    struct read_job *j = context;
    struct side *s = j->head.side;
    return spool_append(s->spool, SPOOL_OUT, j->head.peer->config->site, j->number, bytes, len, &j->head.problem);
}

static void prefix_digest(struct read_job *j)
{
    if (j->resume != j->found.batch.number || j->resume_at > j->found.len)
        return;
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(j->found.bytes, j->resume_at));
    memcpy(j->resume_digest, canonical.digest, FRAME_DIGEST_LEN);
}

// A batch that was read before the link was cut.
static bool find_kept(struct side *s, struct read_job *j)
{
    for (unsigned i = 0; i < s->kept_count; i++) {
        if (s->kept[i].batch.previous == j->after) {
            j->found = s->kept[i];
            return true;
        }
    }
    return false;
}

// Up to three batches lie in a spool at once, and octets are known before they are read only roughly.
static uint64_t byte_limit(const struct side *s, const struct read_job *j)
{
    enum { LEAST = 1 << 20 };
    uint64_t ours = spool_quota(s->spool) / 4, theirs = j->room / 2;
    uint64_t limit = ours < theirs ? ours : theirs;
    return limit > LEAST ? limit : LEAST;
}

static int read_new(struct side *s, struct read_job *j)
{
    struct problem *problem = &j->head.problem;
    uint16_t site = j->head.peer->config->site;
    struct door_read_request request = {.peer = site,
                                        .after = j->after,
                                        .row_limit = (unsigned)j->head.peer->daemon->config->batch_rows,
                                        .byte_limit = byte_limit(s, j)};
    uint64_t offset;
    if (s->kept_count == 2 || (s->kept_count && s->kept[s->kept_count - 1].batch.number != j->after))
        side_forget_kept(s, s->kept_count); // the peer went back, or answered for all
    // The batch's number is known only when it was read. What earlier files held stays mapped as long as it is needed.
    j->number = j->after + 1;
    spool_drop(s->spool, SPOOL_OUT, site, UINT64_MAX);
    int result = spool_begin(s->spool, SPOOL_OUT, site, 1, j->number, &offset, problem);
    if (result == 0)
        result = side_judged(s, s->door->ops->read_batch(s->door, &request, sink, j, &j->found.batch, problem));
    if (result < 0 || j->found.batch.number == 0) {
        spool_drop(s->spool, SPOOL_OUT, site, UINT64_MAX);
        return result;
    }
    result = spool_finish(s->spool, SPOOL_OUT, site, j->number, j->found.digest, problem);
    if (result == 0)
        result = spool_map(s->spool, SPOOL_OUT, site, j->number, &j->found.bytes, &j->found.len, problem);
    if (result < 0)
        return result;
    j->found.batch.bytes = j->found.len;
    s->kept[s->kept_count++] = j->found;
    return 0;
}

static void run_read(struct job *job)
{
    struct read_job *j = (struct read_job *)job;
    struct side *s = j->head.side;
    int64_t start = job_micros(CLOCK_MONOTONIC);
    int result = side_open(s, &j->head.problem);
    if (result == 0 && !find_kept(s, j))
        result = read_new(s, j);
    if (result == 0 && j->found.batch.number)
        prefix_digest(j);
    j->head.result = result;
    j->took_us = job_micros(CLOCK_MONOTONIC) - start;
}

static void read_done(struct job *job)
{
    struct read_job *j = (struct read_job *)job;
    struct peer *p = j->head.peer;
    const struct door_batch *b = &j->found.batch;
    p->totals.read_us += (uint64_t)j->took_us;
    if (j->head.result < 0) {
        p->totals.read_errors++;
        peer_problem(p, j->head.problem.text);
    } else if (b->number) {
        p->totals.changes_read += b->is_new ? b->changes : 0;
        bool is_known = false;
        for (unsigned i = 0; i < p->flight_count; i++)
            is_known |= p->flight[i].number == b->number;
        if (!is_known && b->rows && p->flight_count < DAEMON_FLIGHT_MAX) {
            int64_t now = job_micros(CLOCK_REALTIME);
            p->flight[p->flight_count].number = b->number;
            p->flight[p->flight_count++].since_us = p->backlog_since_us ? p->backlog_since_us : now;
        }
    }
    if (j->head.result == 0 && !b->more)
        p->backlog_since_us = 0;
    if (j->head.result < 0 || b->number == 0)
        peer_batch_over(p);
    if (!job_is_stale(&j->head)) {
        link_batch_ready(p->link, j->head.result, b, j->found.bytes, j->found.digest, j->resume_digest);
        net_pump(p);
    }
    free(j);
}

void job_read(struct peer *p, const struct link_order *order)
{
    struct read_job *j = job_new(sizeof *j, p, &p->reader, run_read, read_done);
    j->after = order->number;
    j->resume = order->resume;
    j->resume_at = order->offset;
    j->room = order->room;
    job_submit(j);
}

// ---- acknowledged ----

static void run_acked(struct job *job)
{
    struct number_job *j = (struct number_job *)job;
    struct side *s = j->head.side;
    unsigned count = 0;
    while (count < s->kept_count && s->kept[count].batch.number <= j->number)
        count++;
    side_forget_kept(s, count);
    j->head.result = side_open(s, &j->head.problem);
    if (j->head.result == 0)
        j->head.result =
            side_judged(s, s->door->ops->acked(s->door, j->head.peer->config->site, j->number, &j->head.problem));
}

void job_acked(struct peer *p, uint64_t number)
{
    struct number_job *j = job_new(sizeof *j, p, &p->reader, run_acked, job_number_done);
    j->number = number;
    job_submit(j);
}
