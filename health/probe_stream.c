// SPDX-License-Identifier: Apache-2.0
#include "health/probe_stream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { REPLY_FIRST_BYTES = 2048 };

struct stream_run;

struct stream_exchange {
    uv_loop_t *loop;
    struct stream_spec spec;
    char *send, *unix_socket; // null: none
    uv_idle_t closing;        // so that `closed` comes from the loop even when no run is under way
    struct stream_run *run;   // null: idle
    unsigned open;            // handles that are not closed yet
};

struct stream_run {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    };
    uv_connect_t connect;
    uv_write_t write;
    struct stream_exchange *exchange;
    bool is_over;
    uint64_t started_ns;
    char *reply;
    size_t len, cap;
};

static void release(struct stream_exchange *x)
{
    if (--x->open)
        return;
    const struct stream_spec spec = x->spec;
    free(x->send);
    free(x->unix_socket);
    free(x);
    spec.closed(spec.user);
}

static void run_closed(uv_handle_t *handle)
{
    struct stream_run *run = handle->data;
    struct stream_exchange *x = run->exchange;
    free(run->reply);
    free(run);
    release(x);
}

// A reset spares both sides the TIME-WAIT state: this happens every second or so for years.
static void end_run(struct stream_run *run)
{
    run->is_over = true;
    run->exchange->run = NULL;
    if (run->handle.type != UV_TCP || uv_tcp_close_reset(&run->tcp, run_closed) < 0)
        uv_close(&run->handle, run_closed);
}

static void finish(struct stream_run *run, int error, bool is_ended)
{
    struct stream_exchange *x = run->exchange;
    if (run->is_over)
        return;
    char none[1] = "";
    const struct stream_reply reply = {.error = error,
                                       .is_ended = is_ended,
                                       .is_cut =
                                           !error && !is_ended && x->spec.reply_max && run->len >= x->spec.reply_max,
                                       .text = run->reply ? run->reply : none,
                                       .len = run->len,
                                       .response_ns = uv_hrtime() - run->started_ns};
    end_run(run); // frees in a later turn of the loop
    x->spec.done(x->spec.user, &reply);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    struct stream_run *run = handle->data;
    const size_t max = run->exchange->spec.reply_max;
    (void)wanted;
    *buffer = uv_buf_init(NULL, 0); // read then reports ENOBUFS
    if (run->len + 1 >= run->cap) {
        size_t cap = run->cap ? 2 * run->cap : REPLY_FIRST_BYTES;
        cap = cap < max + 1 ? cap : max + 1;
        char *grown = realloc(run->reply, cap);
        if (!grown)
            return;
        run->reply = grown;
        run->cap = cap;
    }
    *buffer = uv_buf_init(run->reply + run->len, (unsigned)(run->cap - run->len - 1));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct stream_run *run = stream->data;
    const struct stream_spec *spec = &run->exchange->spec;
    (void)buffer;
    if (run->is_over || n == 0)
        return;
    if (n > 0 && spec->take) {
        if (!spec->take(spec->user, run->reply, (size_t)n))
            finish(run, 0, false);
        return;
    }
    if (n > 0) {
        run->len += (size_t)n;
        run->reply[run->len] = 0;
    }
    if (n == UV_EOF)
        finish(run, 0, true);
    else if (n < 0)
        finish(run, n == UV_ENOBUFS ? UV_ENOMEM : (int)n, false);
    else if ((spec->is_enough && spec->is_enough(spec->user, run->reply, run->len)) || run->len >= spec->reply_max)
        finish(run, 0, false);
}

static void on_written(uv_write_t *write, int status)
{
    struct stream_run *run = write->handle->data;
    if (status < 0)
        finish(run, status, false);
    else if (run->exchange->spec.reply_max == 0)
        finish(run, 0, false);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct stream_run *run = connect->handle->data;
    struct stream_exchange *x = run->exchange;
    if (run->is_over)
        return;
    int rc = status;
    if (rc == 0 && x->spec.reply_max)
        rc = uv_read_start(&run->stream, on_alloc, on_read);
    if (rc == 0 && x->send) {
        uv_buf_t buffer = uv_buf_init(x->send, (unsigned)strlen(x->send));
        rc = uv_write(&run->write, &run->stream, &buffer, 1, on_written);
    }
    if (rc < 0)
        finish(run, rc, false);
    else if (!x->send && x->spec.reply_max == 0)
        finish(run, 0, false);
}

// Where we speak first, the handshake's last ACK goes with what we say: one packet less for either side.
static void save_an_ack(const struct stream_run *run)
{
    const int off = 0;
    uv_os_fd_t fd;
    if (uv_fileno(&run->handle, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off); // without it all works as well
}

static int connect_tcp(struct stream_run *run)
{
    const struct stream_spec *spec = &run->exchange->spec;
    int rc = 0;
    if (run->exchange->send)
        save_an_ack(run);
    if (spec->source.len)
        rc = uv_tcp_bind(&run->tcp, (const struct sockaddr *)&spec->source.address, 0);
    if (rc == 0)
        rc = uv_tcp_connect(&run->connect, &run->tcp, (const struct sockaddr *)&spec->server.address, on_connected);
    return rc;
}

int stream_exchange_run(struct stream_exchange *x)
{
    struct stream_run *run = calloc(1, sizeof *run);
    if (!run)
        return UV_ENOMEM;
    run->exchange = x;
    int rc = x->unix_socket ? uv_pipe_init(x->loop, &run->pipe, 0)
                            : uv_tcp_init_ex(x->loop, &run->tcp, x->spec.server.address.ss_family);
    if (rc < 0) {
        free(run);
        return rc;
    }
    run->handle.data = run;
    x->open++;
    x->run = run;
    run->started_ns = uv_hrtime();
    if (x->unix_socket) // reports its errors to the callback
        uv_pipe_connect(&run->connect, &run->pipe, x->unix_socket, on_connected);
    else
        rc = connect_tcp(run);
    if (rc < 0)
        end_run(run);
    return rc;
}

void stream_exchange_abort(struct stream_exchange *x)
{
    if (x->run)
        end_run(x->run);
}

static void on_closing(uv_handle_t *handle)
{
    release(handle->data);
}

void stream_exchange_close(struct stream_exchange *x)
{
    stream_exchange_abort(x);
    uv_close((uv_handle_t *)&x->closing, on_closing);
}

static bool copy_text(const char *text, char **copy)
{
    *copy = text && text[0] ? strdup(text) : NULL;
    return *copy || !text || !text[0];
}

struct stream_exchange *stream_exchange_new(uv_loop_t *loop, const struct stream_spec *spec)
{
    const bool is_unix = spec->unix_socket && spec->unix_socket[0];
    if (is_unix ? strlen(spec->unix_socket) >= sizeof((struct sockaddr_un *)0)->sun_path : spec->server.len == 0) {
        errno = EINVAL;
        return NULL;
    }
    struct stream_exchange *x = calloc(1, sizeof *x);
    if (!x || !copy_text(spec->send, &x->send) || !copy_text(spec->unix_socket, &x->unix_socket)) {
        if (x)
            free(x->send);
        free(x);
        errno = ENOMEM;
        return NULL;
    }
    x->loop = loop;
    x->spec = *spec;
    x->spec.send = x->spec.unix_socket = NULL; // borrowed; the copies stand beside
    uv_idle_init(loop, &x->closing);
    x->closing.data = x;
    x->open = 1;
    return x;
}
