// SPDX-License-Identifier: Apache-2.0
// Tells signpost-control once a second how old this site's data may be: the largest lag behind any peer. It passes the
// figure on in its heartbeats, and the order stage `replication_lag` uses it. One line to its admin socket, as
// `signpostctl` would send it; a figure that is not renewed ages out there, so a dead daemon is not taken for a fresh
// one.
#include <stdio.h>
#include <stdlib.h>

#include "dbsync/daemon.h"
#include "shared/log.h"

enum { REPORT_MS = 1000, LINE_CAP = 128 };

struct control_report {
    struct daemon *daemon;
    struct call *call; // under way
    uint64_t next_ms;
    bool was_good, was_told;
};

struct call {
    uv_pipe_t pipe;
    uv_connect_t connect;
    uv_write_t write;
    struct control_report *report; // null: nobody waits any more
    char line[LINE_CAP], answer[1024];
    size_t len;
    uint64_t since_ms;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void end(struct call *c, bool is_good, const char *why)
{
    struct control_report *r = c->report;
    if (uv_is_closing((uv_handle_t *)&c->pipe))
        return;
    uv_close((uv_handle_t *)&c->pipe, on_closed);
    if (!r)
        return;
    r->call = NULL;
    if (r->was_good != is_good || !r->was_told) {
        if (is_good)
            log_info("signpost-control at %s is told the replication lag", r->daemon->config->control);
        else
            log_warning("signpost-control at %s cannot be told the replication lag: %s", r->daemon->config->control,
                        why);
    }
    r->was_good = is_good;
    r->was_told = true;
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    struct call *c = handle->data;
    (void)wanted;
    *out = uv_buf_init(c->answer + c->len, (unsigned)(sizeof c->answer - 1 - c->len));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *bytes)
{
    struct call *c = stream->data;
    (void)bytes;
    if (len < 0) {
        end(c, false, uv_strerror((int)len));
        return;
    }
    c->len += (size_t)len;
    c->answer[c->len] = 0;
    if (strchr(c->answer, '\n'))
        end(c, strstr(c->answer, "\"ok\":true") || strstr(c->answer, "\"ok\": true"), "it refuses");
}

static void on_written(uv_write_t *write, int status)
{
    struct call *c = write->data;
    if (status < 0)
        end(c, false, uv_strerror(status));
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct call *c = connect->data;
    if (status < 0) {
        end(c, false, uv_strerror(status));
        return;
    }
    uv_buf_t bytes = uv_buf_init(c->line, (unsigned)strlen(c->line));
    c->write.data = c;
    uv_write(&c->write, (uv_stream_t *)&c->pipe, &bytes, 1, on_written);
    uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
}

// The largest lag; -1 when one peer was never heard.
static int64_t lag_us(const struct daemon *d)
{
    int64_t most = 0;
    for (unsigned i = 0; i < d->peer_count; i++) {
        int64_t us = peer_lag_us(&d->peer[i]);
        if (us < 0)
            return -1;
        most = us > most ? us : most;
    }
    return most;
}

struct control_report *control_report_start(struct daemon *d)
{
    if (!d->config->control)
        return NULL;
    struct control_report *r = memory_take(sizeof *r);
    r->daemon = d;
    return r;
}

void control_report_tick(struct control_report *r)
{
    if (!r)
        return;
    uint64_t now = uv_now(r->daemon->loop);
    if (r->call && now - r->call->since_ms > 5 * REPORT_MS)
        end(r->call, false, "it does not answer");
    int64_t us = lag_us(r->daemon);
    if (r->call || now < r->next_ms || us < 0)
        return;
    r->next_ms = now + REPORT_MS;
    struct call *c = memory_take(sizeof *c);
    c->report = r;
    c->since_ms = now;
    snprintf(c->line, sizeof c->line, "{\"command\":\"lag\",\"ms\":%lld}\n", (long long)(us + 999) / 1000);
    uv_pipe_init(r->daemon->loop, &c->pipe, 0);
    c->pipe.data = c->connect.data = c;
    r->call = c;
    uv_pipe_connect(&c->connect, &c->pipe, r->daemon->config->control, on_connected);
}

void control_report_stop(struct control_report *r)
{
    if (!r)
        return;
    if (r->call) {
        r->call->report = NULL;
        end(r->call, true, "");
    }
    free(r);
}
