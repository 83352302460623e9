// SPDX-License-Identifier: Apache-2.0
#include "control/admin.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "control/admin_commands.h"
#include "control/admin_socket.h"
#include "control/daemon_parts.h"
#include "control/history_json.h"
#include "shared/log.h"

struct admin_connection {
    struct admin *admin; // null once closed
    uv_pipe_t pipe;
    uv_timer_t idle;
    unsigned references, open_handles;
    bool is_closing, is_watching;
    uint64_t watched; // number of the last history entry sent
    size_t len;       // of the request so far
    char request[ADMIN_REQUEST_CAP];
};

struct admin {
    struct daemon *daemon;
    uv_pipe_t listener;
    char path[108];
    struct admin_connection *connection[ADMIN_CONNECTION_MAX];
    struct log_limit limit;
};

struct reply {
    uv_write_t write;
    char *text;
};

// ---- life of a connection ----

static void release(struct admin_connection *c)
{
    if (c->references == 0 && c->open_handles == 0)
        free(c);
}

static void handle_closed(uv_handle_t *handle)
{
    struct admin_connection *c = handle->data;
    c->open_handles--;
    release(c);
}

static void close_connection(struct admin_connection *c)
{
    if (c->is_closing)
        return;
    c->is_closing = true;
    for (unsigned i = 0; c->admin && i < ADMIN_CONNECTION_MAX; i++)
        if (c->admin->connection[i] == c)
            c->admin->connection[i] = NULL;
    c->admin = NULL;
    uv_close((uv_handle_t *)&c->pipe, handle_closed);
    uv_close((uv_handle_t *)&c->idle, handle_closed);
}

void admin_hold(struct admin_connection *c)
{
    c->references++;
}

// ---- replies ----

static void write_done(uv_write_t *write, int status)
{
    struct reply *reply = (struct reply *)write;
    struct admin_connection *c = write->handle->data;
    free(reply->text);
    free(reply);
    if (status < 0)
        close_connection(c);
}

static void send_line(struct admin_connection *c, json_t *line)
{
    struct reply *reply = calloc(1, sizeof *reply);
    char *text = reply && !c->is_closing ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    if (!text || c->pipe.write_queue_size > ADMIN_UNREAD_CAP) {
        free(text);
        free(reply);
        close_connection(c);
        return;
    }
    const size_t len = strlen(text);
    text[len] = '\n'; // over the final zero, which nobody needs any more
    reply->text = text;
    uv_buf_t buffer = uv_buf_init(text, (unsigned)len + 1);
    if (uv_write(&reply->write, (uv_stream_t *)&c->pipe, &buffer, 1, write_done) < 0) {
        free(text);
        free(reply);
        close_connection(c);
    }
}

static void send_status(struct admin_connection *c, enum admin_status status, json_t *result, const char *error)
{
    if (status == ADMIN_OK)
        send_line(c, json_pack("{s:b, s:o}", "ok", 1, "result", result ? result : json_object()));
    else
        send_line(c, json_pack("{s:b, s:s, s:s, s:o*}", "ok", 0, "error", error, "code",
                               status == ADMIN_USAGE ? "usage" : "refused", "result", result));
}

void admin_reply(struct admin_connection *c, enum admin_status status, json_t *result, const char *error)
{
    c->references--;
    if (c->is_closing)
        json_decref(result);
    else
        send_status(c, status, result, error);
    release(c);
}

// ---- watching ----

static void send_news(struct admin_connection *c)
{
    const struct history *history = steering_history(c->admin->daemon->steering);
    uint64_t missed = history->count - c->watched;
    missed = missed > HISTORY_CAP ? HISTORY_CAP : missed;
    for (; missed > 0 && !c->is_closing; missed--)
        send_line(c, history_json(history_latest(history, (unsigned)missed - 1)));
    c->watched = history->count;
}

void admin_watch(struct admin_connection *c)
{
    c->is_watching = true;
    c->watched = steering_history(c->admin->daemon->steering)->count;
    uv_timer_stop(&c->idle);
}

void admin_notify(struct admin *a)
{
    for (unsigned i = 0; a && i < ADMIN_CONNECTION_MAX; i++)
        if (a->connection[i] && a->connection[i]->is_watching)
            send_news(a->connection[i]);
}

// ---- requests ----

static void run_request(struct admin_connection *c, const char *text, size_t len)
{
    json_error_t where;
    json_t *request = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    struct admin_call call = {c->admin->daemon, c, request, json_object(), ""};
    enum admin_status status = ADMIN_USAGE;
    if (!json_is_object(request))
        snprintf(call.error, sizeof call.error, "the request is not a JSON object: %s", where.text);
    else
        status = admin_command_run(&call);
    json_decref(request);
    if (status == ADMIN_LATER || (status != ADMIN_OK && json_object_size(call.result) == 0)) {
        json_decref(call.result);
        call.result = NULL;
    }
    if (status != ADMIN_LATER)
        send_status(c, status, call.result, call.error);
}

static void take_lines(struct admin_connection *c)
{
    size_t start = 0;
    for (size_t i = 0; i < c->len && !c->is_closing; i++) {
        if (c->request[i] != '\n')
            continue;
        run_request(c, c->request + start, i - start);
        start = i + 1;
    }
    if (c->is_closing)
        return;
    memmove(c->request, c->request + start, c->len - start);
    c->len -= start;
    if (c->len == sizeof c->request) {
        send_status(c, ADMIN_USAGE, NULL, "the request is longer than 64 KiB");
        close_connection(c);
    }
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    struct admin_connection *c = handle->data;
    (void)wanted;
    *buffer = uv_buf_init(c->request + c->len, (unsigned)(sizeof c->request - c->len));
}

static void on_idle(uv_timer_t *timer)
{
    close_connection(timer->data);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct admin_connection *c = stream->data;
    (void)buffer;
    if (n < 0) {
        close_connection(c);
        return;
    }
    if (!c->is_watching)
        uv_timer_start(&c->idle, on_idle, ADMIN_IDLE_MS, 0);
    c->len += (size_t)n;
    take_lines(c);
}

// ---- the listener ----

static void refuse(struct admin *a, struct admin_connection *c, const char *why)
{
    uint64_t dropped;
    if (log_limit_pass(&a->limit, uv_hrtime(), &dropped))
        log_warning("admin socket: connection refused: %s (%llu more not shown)", why, (unsigned long long)dropped);
    close_connection(c);
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct admin *a = stream->data;
    struct admin_connection *c = status < 0 ? NULL : calloc(1, sizeof *c);
    int fd;
    if (!c)
        return;
    uv_pipe_init(a->daemon->loop, &c->pipe, 0);
    uv_timer_init(a->daemon->loop, &c->idle);
    c->open_handles = 2;
    c->pipe.data = c->idle.data = c;
    if (uv_accept(stream, (uv_stream_t *)&c->pipe) < 0 || uv_fileno((uv_handle_t *)&c->pipe, &fd) < 0) {
        close_connection(c);
        return;
    }
    unsigned slot = 0;
    while (slot < ADMIN_CONNECTION_MAX && a->connection[slot])
        slot++;
    if (slot == ADMIN_CONNECTION_MAX) {
        refuse(a, c, "too many connections");
    } else if (!admin_socket_may_use(fd, daemon_config(a->daemon)->control.socket_group)) {
        refuse(a, c, "the peer is neither root, nor this program's user, nor of the socket's group");
    } else {
        c->admin = a;
        a->connection[slot] = c;
        uv_timer_start(&c->idle, on_idle, ADMIN_IDLE_MS, 0);
        uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
    }
}

struct admin *admin_start(struct daemon *d, char why[256])
{
    const struct config_control *config = &daemon_config(d)->control;
    struct admin *a = calloc(1, sizeof *a);
    if (!a) {
        snprintf(why, 256, "no memory");
        return NULL;
    }
    a->daemon = d;
    const int fd = admin_socket_listen(config->socket, config->socket_group, why);
    if (fd < 0) {
        free(a);
        return NULL;
    }
    snprintf(a->path, sizeof a->path, "%s", config->socket);
    uv_pipe_init(d->loop, &a->listener, 0);
    a->listener.data = a;
    if (uv_pipe_open(&a->listener, fd) == 0 &&
        uv_listen((uv_stream_t *)&a->listener, ADMIN_CONNECTION_MAX, on_connection) == 0)
        return a;
    snprintf(why, 256, "admin socket %.150s: cannot listen", config->socket);
    admin_close(a);
    return NULL;
}

static void listener_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void admin_close(struct admin *a)
{
    if (!a)
        return;
    for (unsigned i = 0; i < ADMIN_CONNECTION_MAX; i++)
        if (a->connection[i])
            close_connection(a->connection[i]);
    unlink(a->path);
    uv_close((uv_handle_t *)&a->listener, listener_closed);
}
