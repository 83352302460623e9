// SPDX-License-Identifier: Apache-2.0
#include "control/agent_server.h"

#include <stdlib.h>
#include <string.h>

#include "shared/log.h"

enum { BACKLOG = 128 };

struct agent_connection;

struct agent_server {
    struct daemon *daemon;
    uv_tcp_t listener;
    struct agent_connection *connections;
    unsigned count;
    bool is_closing, is_listener_closed;
};

struct agent_connection {
    uv_tcp_t tcp;
    uv_timer_t linger;
    uv_shutdown_t shutdown;
    struct agent_server *server;
    struct agent_connection *next, **link;
    unsigned open; // handles
    char unread[256];
};

static void release(struct agent_server *s)
{
    if (s->is_closing && s->is_listener_closed && s->count == 0)
        free(s);
}

static void handle_closed(uv_handle_t *handle)
{
    struct agent_connection *c = handle->data;
    if (--c->open)
        return;
    struct agent_server *s = c->server;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    s->count--;
    free(c);
    release(s);
}

static void close_connection(struct agent_connection *c)
{
    if (uv_is_closing((uv_handle_t *)&c->tcp))
        return;
    uv_close((uv_handle_t *)&c->tcp, handle_closed);
    uv_close((uv_handle_t *)&c->linger, handle_closed);
}

static void on_linger(uv_timer_t *timer)
{
    close_connection(timer->data);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    struct agent_connection *c = handle->data;
    (void)wanted;
    *buffer = uv_buf_init(c->unread, sizeof c->unread);
}

// What the balancer sends is not looked at, but read: a close over unread octets would reset the connection.
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    (void)buffer;
    if (n < 0)
        close_connection(stream->data);
}

static const char *line_to_tell(const struct daemon *d)
{
    const int site = daemon_config(d)->node.site_at;
    if (site == CONFIG_NONE)
        return "ready up\n";
    switch (steering_site(d->steering, (unsigned)site)->operator_state) {
    case OPERATOR_DRAIN:
        return "drain\n";
    case OPERATOR_DOWN:
        return "maint\n";
    case OPERATOR_AUTO:
    case OPERATOR_UP:
        break;
    }
    return "ready up\n";
}

static void tell(struct agent_connection *c)
{
    const char *line = line_to_tell(c->server->daemon);
    uv_buf_t buffer = uv_buf_init((char *)(uintptr_t)line, (unsigned)strlen(line));
    const bool is_told =
        uv_try_write((uv_stream_t *)&c->tcp, &buffer, 1) == (int)buffer.len && // an empty socket takes it
        uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, NULL) == 0 &&
        uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0;
    if (!is_told)
        close_connection(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct agent_server *s = listener->data;
    struct agent_connection *c = status == 0 ? calloc(1, sizeof *c) : NULL;
    if (!c)
        return;
    uv_tcp_init(s->daemon->loop, &c->tcp);
    uv_timer_init(s->daemon->loop, &c->linger);
    c->tcp.data = c->linger.data = c;
    c->server = s;
    c->open = 2;
    c->next = s->connections;
    c->link = &s->connections;
    if (c->next)
        c->next->link = &c->next;
    s->connections = c;
    const bool has_room = s->count++ < AGENT_SERVER_CONNECTION_MAX;
    uv_timer_start(&c->linger, on_linger, AGENT_SERVER_LINGER_MS, 0);
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) == 0 && has_room)
        tell(c);
    else
        close_connection(c);
}

static void listener_closed(uv_handle_t *handle)
{
    struct agent_server *s = handle->data;
    s->is_listener_closed = true;
    release(s);
}

struct agent_server *agent_server_start(struct daemon *d)
{
    const struct config *config = daemon_config(d);
    const struct config_endpoint *at = &config->control.agent;
    char text[CONFIG_ENDPOINT_TEXT_CAP];
    struct sockaddr_storage address;
    if (!at->address.is_set || config->node.site_at == CONFIG_NONE)
        return NULL;
    struct agent_server *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    config_socket_address(&at->address, at->port, &address);
    s->daemon = d;
    s->listener.data = s;
    int rc = uv_tcp_init(d->loop, &s->listener);
    rc = rc ? rc : uv_tcp_bind(&s->listener, (const struct sockaddr *)&address, 0);
    rc = rc ? rc : uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection);
    if (rc == 0)
        return s;
    log_error("control.agent: cannot listen on %s: %s; balancers are not told", config_endpoint_text(at, text),
              uv_strerror(rc));
    agent_server_close(s);
    return NULL;
}

void agent_server_close(struct agent_server *s)
{
    if (!s)
        return;
    s->is_closing = true;
    uv_close((uv_handle_t *)&s->listener, listener_closed);
    for (struct agent_connection *c = s->connections; c; c = c->next)
        close_connection(c);
}
