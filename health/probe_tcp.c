// SPDX-License-Identifier: Apache-2.0
// TCP probe: connect; if asked, send a text and expect one.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "health/probe_kind.h"

enum { REPLY_CAP = 4096 }; // a reply that has not said what is expected by then will not

struct tcp_run;

struct tcp_probe {
    struct probe_host *host;
    struct probe_callbacks callbacks;
    struct probe_address server, source;
    char *send, *expect;
    struct tcp_run *run; // null: idle
    unsigned open_runs;  // whose handle is not closed yet
    bool is_closing;
};

struct tcp_run {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct tcp_probe *probe;
    bool is_over;
    uint64_t started_ns;
    size_t reply_len;
    char reply[REPLY_CAP];
};

static void release(struct tcp_probe *p)
{
    if (!p->is_closing || p->open_runs)
        return;
    const struct probe_callbacks callbacks = p->callbacks;
    free(p->send);
    free(p->expect);
    free(p);
    callbacks.closed(callbacks.user);
}

static void run_closed(uv_handle_t *handle)
{
    struct tcp_run *run = handle->data;
    struct tcp_probe *p = run->probe;
    free(run);
    p->open_runs--;
    release(p);
}

// A reset spares both sides the TIME-WAIT state: this is a probe every second or so for years.
static void end_run(struct tcp_run *run)
{
    run->is_over = true;
    run->probe->run = NULL;
    if (uv_tcp_close_reset(&run->tcp, run_closed) < 0)
        uv_close((uv_handle_t *)&run->tcp, run_closed);
}

static void finish(struct tcp_run *run, const struct probe_result *result)
{
    struct tcp_probe *p = run->probe;
    if (run->is_over)
        return;
    end_run(run);
    p->callbacks.done(p->callbacks.user, result);
}

static void finish_error(struct tcp_run *run, int error)
{
    const struct probe_result result = probe_result_error(error);
    finish(run, &result);
}

static void finish_up(struct tcp_run *run)
{
    const struct probe_result result = probe_result_up(uv_hrtime() - run->started_ns);
    finish(run, &result);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    struct tcp_run *run = handle->data;
    (void)wanted;
    *buffer = uv_buf_init(run->reply + run->reply_len, (unsigned)(REPLY_CAP - run->reply_len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct tcp_run *run = stream->data;
    (void)buffer;
    if (run->is_over || n == 0)
        return;
    if (n > 0)
        run->reply_len += (size_t)n;
    if (memmem(run->reply, run->reply_len, run->probe->expect, strlen(run->probe->expect))) {
        finish_up(run);
    } else if (n < 0 && n != UV_EOF) {
        finish_error(run, (int)n);
    } else if (n == UV_EOF || run->reply_len == REPLY_CAP) {
        const struct probe_result result = probe_result_down(EVIDENCE_REASON_MISMATCH);
        finish(run, &result);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct tcp_run *run = write->handle->data;
    if (status < 0)
        finish_error(run, status);
    else if (!run->probe->expect)
        finish_up(run);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct tcp_run *run = connect->handle->data;
    if (run->is_over)
        return;
    struct tcp_probe *p = run->probe;
    int rc = status;
    if (rc == 0 && p->expect)
        rc = uv_read_start((uv_stream_t *)&run->tcp, on_alloc, on_read);
    if (rc == 0 && p->send) {
        uv_buf_t buffer = uv_buf_init(p->send, (unsigned)strlen(p->send));
        rc = uv_write(&run->write, (uv_stream_t *)&run->tcp, &buffer, 1, on_written);
    }
    if (rc < 0)
        finish_error(run, rc);
    else if (!p->send && !p->expect)
        finish_up(run);
}

static int tcp_run(void *instance)
{
    struct tcp_probe *p = instance;
    struct tcp_run *run = malloc(sizeof *run);
    if (!run)
        return -ENOMEM;
    run->probe = p;
    run->is_over = false;
    run->reply_len = 0;
    int rc = uv_tcp_init(p->host->loop, &run->tcp);
    if (rc < 0) {
        free(run);
        return rc;
    }
    run->tcp.data = run;
    p->open_runs++;
    p->run = run;
    run->started_ns = uv_hrtime();
    if (p->source.len)
        rc = uv_tcp_bind(&run->tcp, (const struct sockaddr *)&p->source.address, 0);
    if (rc == 0)
        rc = uv_tcp_connect(&run->connect, &run->tcp, (const struct sockaddr *)&p->server.address, on_connected);
    if (rc < 0)
        end_run(run);
    return rc;
}

static void tcp_abort(void *instance)
{
    struct tcp_probe *p = instance;
    if (p->run)
        end_run(p->run);
}

static void tcp_close(void *instance)
{
    struct tcp_probe *p = instance;
    tcp_abort(p);
    p->is_closing = true;
    release(p);
}

static char *copy_text(const char *text)
{
    return text && text[0] ? strdup(text) : NULL;
}

static void *tcp_open(struct probe_host *host, const struct probe_spec *spec, const struct balancer_spec *balancer,
                      const struct probe_callbacks *callbacks)
{
    (void)balancer;
    struct tcp_probe *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->host = host;
    p->callbacks = *callbacks;
    p->server = spec->server;
    p->source = spec->source;
    p->send = copy_text(spec->send);
    p->expect = copy_text(spec->expect);
    return p;
}

const struct probe_kind probe_tcp_kind = {tcp_open, tcp_run, tcp_abort, tcp_close};
