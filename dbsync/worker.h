// SPDX-License-Identifier: Apache-2.0
// A thread that runs jobs one after the other, for work that blocks: the database and the disk.
//
// worker_submit and the jobs' `done` belong to the loop's thread, `run` to the worker's. A job is the caller's memory,
// from submission until `done` returned. Jobs run in the order of submission, and none is left out.
#pragma once

#include <stdbool.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

struct job {
    void (*run)(struct job *job);
    void (*done)(struct job *job); // on the loop
    struct job *next;
};

struct worker {
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t wake;
    uv_async_t async;
    struct job *waiting, **waiting_end; // under lock
    struct job *finished, **finished_end;
    bool stops, is_started;
    unsigned open; // jobs submitted and not done; loop thread
    void (*on_closed)(struct worker *worker);
};

int worker_start(struct worker *worker, uv_loop_t *loop);
void worker_submit(struct worker *worker, struct job *job);
// Lets the jobs that were submitted end, calls their `done`, ends the thread and calls `on_closed` from the loop. The
// thread is joined in worker_fini, after the loop has run out.
void worker_stop(struct worker *worker);
void worker_fini(struct worker *worker);

#ifdef __cplusplus
}
#endif
