// SPDX-License-Identifier: Apache-2.0
// /metrics for Prometheus and /healthz. The only door of dbsync to libmicrohttpd, which runs on the loop's epoll
// without threads of its own. Null when none is configured or the address cannot be bound (logged): the daemon runs
// without.
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "dbsync/daemon.h"
#include "dbsync/log.h"

enum { CONNECTION_MAX = 32, TIMEOUT_S = 10, MEMORY_PER_CONNECTION = 32 << 10 };

struct metrics_http {
    struct daemon *daemon;
    struct MHD_Daemon *mhd;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned open_handles;
};

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, char *text,
                                 enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, mode);
    if (!response) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **state)
{
    struct metrics_http *h = user;
    (void)version, (void)body, (void)state;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, (char *)"only GET and HEAD\n",
                         MHD_RESPMEM_PERSISTENT);
    if (*body_len)
        return MHD_NO;
    if (strcmp(url, "/metrics") == 0)
        return send_text(connection, MHD_HTTP_OK, metrics_text(h->daemon), MHD_RESPMEM_MUST_FREE);
    if (strcmp(url, "/healthz") == 0)
        return send_text(connection, MHD_HTTP_OK, (char *)"ok\n", MHD_RESPMEM_PERSISTENT);
    return send_text(connection, MHD_HTTP_NOT_FOUND, (char *)"there are /metrics and /healthz\n",
                     MHD_RESPMEM_PERSISTENT);
}

static void on_timer(uv_timer_t *timer);

static void run(struct metrics_http *h)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;
    MHD_run(h->mhd);
    if (MHD_get_timeout(h->mhd, &wait_ms) == MHD_YES)
        uv_timer_start(&h->timer, on_timer, wait_ms, 0);
    else
        uv_timer_stop(&h->timer);
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

struct metrics_http *metrics_http_start(struct daemon *d)
{
    struct sockaddr_storage address = {0};
    char host[64];
    uint16_t port;
    if (!d->config->metrics || config_endpoint(d->config->metrics, host, &port) < 0)
        return NULL;
    bool is_ipv6 = strchr(host, ':') != NULL;
    if (is_ipv6)
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address);
    else
        uv_ip4_addr(host, port, (struct sockaddr_in *)&address);
    struct metrics_http *h = memory_take(sizeof *h);
    h->daemon = d;
    h->mhd = MHD_start_daemon(MHD_USE_EPOLL | (is_ipv6 ? MHD_USE_IPv6 : 0), port, NULL, NULL, on_request, h,
                              MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTION_MAX,
                              MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                              (size_t)MEMORY_PER_CONNECTION, MHD_OPTION_END);
    if (!h->mhd) {
        log_error("metrics: cannot listen on %s: %s; running without", d->config->metrics, strerror(errno));
        free(h);
        return NULL;
    }
    uv_poll_init(d->loop, &h->poll, MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    uv_timer_init(d->loop, &h->timer);
    h->open_handles = 2;
    h->poll.data = h->timer.data = h;
    uv_poll_start(&h->poll, UV_READABLE, on_ready);
    return h;
}

static void on_closed(uv_handle_t *handle)
{
    struct metrics_http *h = handle->data;
    if (--h->open_handles)
        return;
    MHD_stop_daemon(h->mhd);
    free(h);
}

void metrics_http_stop(struct metrics_http *h)
{
    if (!h)
        return;
    uv_poll_stop(&h->poll);
    uv_close((uv_handle_t *)&h->poll, on_closed);
    uv_close((uv_handle_t *)&h->timer, on_closed);
}
