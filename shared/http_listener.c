// SPDX-License-Identifier: Apache-2.0
#include "shared/http_listener.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_S = 10, MEMORY_PER_CONNECTION = 32 << 10 };

const char http_metrics_type[] = "text/plain; version=0.0.4; charset=utf-8";

struct http_listener {
    http_answer *answer;
    void *user;
    struct MHD_Daemon *mhd;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned open_handles;
};

static enum MHD_Result send_reply(struct MHD_Connection *connection, const struct http_reply *reply)
{
    if (!reply->text)
        return MHD_NO;
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(reply->text), reply->text, reply->is_owned ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (!response) {
        if (reply->is_owned)
            free(reply->text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", reply->type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
    const enum MHD_Result rc = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **state)
{
    struct http_listener *l = user;
    (void)version, (void)body, (void)state;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        const struct http_reply refused = {MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", (char *)"only GET and HEAD\n",
                                           false};
        return send_reply(connection, &refused);
    }
    if (*body_len)
        return MHD_NO;
    const struct http_reply reply = l->answer(l->user, url);
    return send_reply(connection, &reply);
}

static void on_timer(uv_timer_t *timer);

static void run(struct http_listener *l)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    MHD_run(l->mhd);
    if (MHD_get_timeout(l->mhd, &wait_ms) == MHD_YES)
        uv_timer_start(&l->timer, on_timer, wait_ms, 0);
    else
        uv_timer_stop(&l->timer);
}

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    run(poll->data);
}

struct http_listener *http_listener_start(uv_loop_t *loop, const struct sockaddr_storage *address, http_answer *answer,
                                          void *user)
{
    const bool is_ipv6 = address->ss_family == AF_INET6;
    const uint16_t port = ntohs(is_ipv6 ? ((const struct sockaddr_in6 *)address)->sin6_port
                                        : ((const struct sockaddr_in *)address)->sin_port);
    struct http_listener *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->answer = answer;
    l->user = user;
    l->mhd = MHD_start_daemon(MHD_USE_EPOLL | (is_ipv6 ? MHD_USE_IPv6 : 0), port, NULL, NULL, on_request, l,
                              MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTION_MAX,
                              MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTION_PER_CLIENT_MAX,
                              MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                              (size_t)MEMORY_PER_CONNECTION, MHD_OPTION_END);
    if (!l->mhd) {
        const int error = errno;
        free(l);
        errno = error;
        return NULL;
    }
    uv_poll_init(loop, &l->poll, MHD_get_daemon_info(l->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    uv_timer_init(loop, &l->timer);
    l->open_handles = 2;
    l->poll.data = l->timer.data = l;
    uv_poll_start(&l->poll, UV_READABLE, on_ready);
    return l;
}

static void on_closed(uv_handle_t *handle)
{
    struct http_listener *l = handle->data;
    if (--l->open_handles)
        return;
    MHD_stop_daemon(l->mhd);
    free(l);
}

void http_listener_close(struct http_listener *l)
{
    if (!l)
        return;
    uv_poll_stop(&l->poll);
    uv_close((uv_handle_t *)&l->poll, on_closed);
    uv_close((uv_handle_t *)&l->timer, on_closed);
}
