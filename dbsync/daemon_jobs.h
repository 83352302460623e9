// SPDX-License-Identifier: Apache-2.0
// What the files of jobs share. Only daemon_jobs.c, daemon_inbound.c and daemon_outbound.c include it.
//
// `run_*` of a job is on the worker's thread, `*_done` on the loop. A job carries what it needs and what it found; the
// answers of a connection that is gone are dropped (epoch), their effects are in the database anyway.
#pragma once

#include <time.h>

#include "dbsync/daemon.h"

#ifdef __cplusplus
extern "C" {
#endif

struct head { // first member of every job
    struct job job;
    struct peer *peer;
    struct side *side;
    unsigned epoch;
    int result;
    struct problem problem;
};

struct number_job {
    struct head head;
    uint64_t number, room;
    uint8_t digest[FRAME_DIGEST_LEN];
};

// Zeroed memory for a job that starts with struct head; its `done` frees it.
void *job_new(size_t size, struct peer *peer, struct side *side, void (*run)(struct job *), void (*done)(struct job *));
void job_submit(void *job);
void job_number_done(struct job *job); // for jobs whose result is only an error to be told

// After a call on the door: a lost database is opened anew by the next job. Returns `result`.
int side_judged(struct side *side, int result);
// The peer's record in the database.
int side_peer(struct side *side, struct door_peer *found, struct problem *problem);
void side_forget_kept(struct side *side, unsigned count); // the oldest

static inline bool job_is_stale(const struct head *h)
{
    return h->epoch != h->peer->epoch;
}

static inline int64_t job_micros(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

#ifdef __cplusplus
}
#endif
