// SPDX-License-Identifier: Apache-2.0
// The Unix socket of the commands. Only this user and root may use it; a few connections at a time, one line each way.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dbsync/admin_request.h"
#include "dbsync/daemon.h"
#include "shared/log.h"

enum { CLIENT_MAX = 16, CLIENT_MS = 10000 };

struct admin {
    uv_pipe_t pipe;
    struct daemon *daemon;
    unsigned client_count;
    struct client *client;
};

struct client {
    uv_pipe_t pipe;
    uv_timer_t timer;
    uv_write_t write;
    struct admin *admin;
    struct client *next;
    char line[ADMIN_LINE_MAX + 1];
    size_t len;
    char *answer;
    unsigned open_handles;
};

static void on_client_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    if (--c->open_handles)
        return;
    free(c->answer);
    free(c);
}

static void close_client(struct client *c)
{
    if (uv_is_closing((uv_handle_t *)&c->pipe))
        return;
    struct client **at = &c->admin->client;
    while (*at && *at != c)
        at = &(*at)->next;
    if (*at)
        *at = c->next;
    c->admin->client_count--;
    uv_close((uv_handle_t *)&c->pipe, on_client_closed);
    uv_close((uv_handle_t *)&c->timer, on_client_closed);
}

static void on_written(uv_write_t *write, int status)
{
    (void)status;
    close_client(write->data);
}

static void answer(struct client *c, json_t *result, const char *error)
{
    json_t *reply =
        result ? json_pack("{s:b, s:o}", "ok", 1, "result", result) : json_pack("{s:b, s:s}", "ok", 0, "error", error);
    char *text = reply ? json_dumps(reply, JSON_COMPACT) : NULL;
    size_t len = text ? strlen(text) : 0;
    json_decref(reply);
    c->answer = memory_take(len + 2);
    memcpy(c->answer, text ? text : "", len);
    c->answer[len] = '\n';
    free(text);
    uv_buf_t bytes = uv_buf_init(c->answer, (unsigned)len + 1);
    c->write.data = c;
    uv_read_stop((uv_stream_t *)&c->pipe);
    if (uv_write(&c->write, (uv_stream_t *)&c->pipe, &bytes, 1, on_written) != 0)
        close_client(c);
}

static void pull(struct client *c, const struct admin_request *r)
{
    struct peer *p = peer_find(c->admin->daemon, r->peer);
    struct link_status s;
    if (!p) {
        answer(c, NULL, "there is no such peer");
        return;
    }
    link_get_status(p->link, &s);
    if (!s.is_met) {
        answer(c, NULL, "the peer is not connected now");
        return;
    }
    static struct frame_request request; // large; loop thread
    request = (struct frame_request){.kind = r->table[0] ? FRAME_REQUEST_TABLE : FRAME_REQUEST_ALL,
                                     .table = value_bytes(VALUE_TEXT, r->table, strlen(r->table))};
    link_request(p->link, &request);
    net_pump(p);
    answer(c, json_object(), NULL);
}

static void handle(struct client *c)
{
    struct daemon *d = c->admin->daemon;
    struct admin_request request;
    char error[ADMIN_ERROR_CAP];
    char *text;
    if (admin_request_parse(c->line, c->len, &request, error) < 0) {
        answer(c, NULL, error);
        return;
    }
    switch (request.command) {
    case ADMIN_STATUS:
        answer(c, status_json(d), NULL);
        break;
    case ADMIN_METRICS:
        text = metrics_text(d);
        answer(c, json_string(text), NULL);
        free(text);
        break;
    case ADMIN_POLL:
        for (unsigned i = 0; i < d->peer_count; i++) {
            d->peer[i].poll_full_at_ms = 0;
            peer_poll(&d->peer[i]);
        }
        answer(c, json_object(), NULL);
        break;
    case ADMIN_PULL:
        pull(c, &request);
        break;
    case ADMIN_COMMAND_COUNT:
        break;
    }
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *out)
{
    struct client *c = handle->data;
    (void)wanted;
    *out = uv_buf_init(c->line + c->len, (unsigned)(sizeof c->line - c->len));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *bytes)
{
    struct client *c = stream->data;
    (void)bytes;
    if (len < 0) { // ENOBUFS: a line that does not end
        close_client(c);
        return;
    }
    c->len += (size_t)len;
    char *end = memchr(c->line, '\n', c->len);
    if (!end)
        return;
    c->len = (size_t)(end - c->line);
    handle(c);
}

static void on_time(uv_timer_t *timer)
{
    close_client(timer->data);
}

static bool may_use(uv_pipe_t *pipe)
{
    struct ucred who;
    socklen_t len = sizeof who;
    uv_os_fd_t fd;
    return uv_fileno((uv_handle_t *)pipe, &fd) == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 &&
           (who.uid == 0 || who.uid == geteuid());
}

static void on_client(uv_stream_t *stream, int status)
{
    struct admin *a = stream->data;
    if (status < 0)
        return;
    struct client *c = memory_take(sizeof *c);
    c->admin = a;
    c->open_handles = 2;
    uv_pipe_init(a->daemon->loop, &c->pipe, 0);
    uv_timer_init(a->daemon->loop, &c->timer);
    c->pipe.data = c->timer.data = c;
    c->next = a->client;
    a->client = c;
    a->client_count++;
    if (uv_accept(stream, (uv_stream_t *)&c->pipe) != 0 || a->client_count > CLIENT_MAX || !may_use(&c->pipe)) {
        close_client(c);
        return;
    }
    uv_timer_start(&c->timer, on_time, CLIENT_MS, 0);
    uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read);
}

static bool is_answered(struct daemon *d)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path, d->config->socket, sizeof to.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0;
    if (fd >= 0)
        close(fd);
    return is;
}

static void make_directory(const char *path)
{
    char *copy = memory_text(path), *slash = strrchr(copy, '/');
    if (slash && slash != copy) {
        *slash = 0;
        mkdir(copy, 0755); // /run/signpost after a boot; a failure shows in bind
    }
    free(copy);
}

struct admin *admin_start(struct daemon *d, struct problem *problem)
{
    struct admin *a = memory_take(sizeof *a);
    const char *path = d->config->socket;
    struct stat st;
    a->daemon = d;
    uv_pipe_init(d->loop, &a->pipe, 0);
    a->pipe.data = a;
    make_directory(path);
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && !is_answered(d))
        unlink(path);            // left by a dead process
    mode_t before = umask(0177); // private from the first moment
    int result = uv_pipe_bind(&a->pipe, path);
    umask(before);
    if (result == 0)
        result = uv_listen((uv_stream_t *)&a->pipe, CLIENT_MAX, on_client);
    if (result == 0)
        return a;
    problem_set(problem, EADDRINUSE, "socket %s: %s%s", path, uv_strerror(result),
                result == UV_EADDRINUSE ? "; another daemon answers there" : "");
    admin_stop(a);
    return NULL;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void admin_stop(struct admin *a)
{
    if (!a)
        return;
    while (a->client)
        close_client(a->client);
    uv_close((uv_handle_t *)&a->pipe, on_closed);
}
