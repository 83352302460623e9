// SPDX-License-Identifier: Apache-2.0
#include "dbsync/worker.h"

#include <errno.h>
#include <stddef.h>

static void run(void *user)
{
    struct worker *w = user;
    uv_mutex_lock(&w->lock);
    for (;;) { // until worker_stop, and then until nothing waits
        struct job *job = w->waiting;
        if (!job && w->stops)
            break;
        if (!job) {
            uv_cond_wait(&w->wake, &w->lock);
            continue;
        }
        w->waiting = job->next;
        if (!w->waiting)
            w->waiting_end = &w->waiting;
        uv_mutex_unlock(&w->lock);
        job->run(job);
        uv_mutex_lock(&w->lock);
        job->next = NULL;
        *w->finished_end = job;
        w->finished_end = &job->next;
        uv_async_send(&w->async);
    }
    uv_mutex_unlock(&w->lock);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct worker *w = handle->data;
    if (w->on_closed)
        w->on_closed(w);
}

static void on_async(uv_async_t *async)
{
    struct worker *w = async->data;
    uv_mutex_lock(&w->lock);
    struct job *job = w->finished;
    w->finished = NULL;
    w->finished_end = &w->finished;
    bool stops = w->stops;
    uv_mutex_unlock(&w->lock);
    while (job) {
        struct job *next = job->next;
        w->open--;
        job->done(job);
        job = next;
    }
    if (stops && w->open == 0 && !uv_is_closing((uv_handle_t *)async))
        uv_close((uv_handle_t *)async, on_handle_closed);
}

int worker_start(struct worker *w, uv_loop_t *loop)
{
    w->waiting_end = &w->waiting;
    w->finished_end = &w->finished;
    if (uv_mutex_init(&w->lock) || uv_cond_init(&w->wake) || uv_async_init(loop, &w->async, on_async))
        return -ENOMEM;
    w->async.data = w;
    if (uv_thread_create(&w->thread, run, w))
        return -EAGAIN;
    w->is_started = true;
    return 0;
}

void worker_submit(struct worker *w, struct job *job)
{
    job->next = NULL;
    w->open++;
    uv_mutex_lock(&w->lock);
    *w->waiting_end = job;
    w->waiting_end = &job->next;
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->lock);
}

void worker_stop(struct worker *w)
{
    if (!w->is_started)
        return;
    uv_mutex_lock(&w->lock);
    w->stops = true;
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->lock);
    uv_async_send(&w->async);
}

void worker_fini(struct worker *w)
{
    if (!w->is_started)
        return;
    uv_thread_join(&w->thread);
    uv_mutex_destroy(&w->lock);
    uv_cond_destroy(&w->wake);
    w->is_started = false;
}
