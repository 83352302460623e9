// SPDX-License-Identifier: Apache-2.0
#include "control/http_status.h"

#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/daemon.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/status_page.h"

enum { CONNECTION_MAX = 64, CONNECTION_PER_CLIENT_MAX = 16, TIMEOUT_S = 10, MEMORY_PER_CONNECTION = 32 << 10 };

struct http_status {
    struct daemon *daemon;
    struct MHD_Daemon *mhd;
    uv_poll_t poll;
    uv_timer_t timer;
    unsigned open_handles;
};

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned status, const char *type, char *text,
                                 enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, mode);
    if (!response) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(text);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
    const enum MHD_Result rc = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return rc;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *body, size_t *body_len, void **state)
{
    struct http_status *h = user;
    (void)version, (void)body, (void)state;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return send_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n",
                         MHD_RESPMEM_PERSISTENT);
    if (*body_len)
        return MHD_NO;
    char *page = NULL;
    const char *type = "text/html; charset=utf-8";
    if (strcmp(url, "/metrics") == 0) {
        page = metrics_text(h->daemon);
        type = "text/plain; version=0.0.4; charset=utf-8";
    } else if (strcmp(url, "/") == 0) {
        page = status_page_html(h->daemon);
    } else if (strcmp(url, "/healthz") == 0) {
        const bool is_good =
            steering_is_ready(h->daemon->steering) && worker_watch_is_alive(h->daemon->watch, uv_hrtime());
        return send_text(connection, is_good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain",
                         is_good ? "ok\n" : "not answering\n", MHD_RESPMEM_PERSISTENT);
    } else {
        return send_text(connection, MHD_HTTP_NOT_FOUND, "text/plain", "there are /, /metrics and /healthz\n",
                         MHD_RESPMEM_PERSISTENT);
    }
    return page ? send_text(connection, MHD_HTTP_OK, type, page, MHD_RESPMEM_MUST_FREE) : MHD_NO;
}

static void on_timer(uv_timer_t *timer);

static void run(struct http_status *h)
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

static void set_address(struct sockaddr_storage *out, const struct config_endpoint *endpoint)
{
    memset(out, 0, sizeof *out);
    if (endpoint->address.is_ipv6) {
        struct sockaddr_in6 *to = (struct sockaddr_in6 *)out;
        to->sin6_family = AF_INET6;
        to->sin6_port = htons(endpoint->port);
        memcpy(&to->sin6_addr, endpoint->address.address, 16);
    } else {
        struct sockaddr_in *to = (struct sockaddr_in *)out;
        to->sin_family = AF_INET;
        to->sin_port = htons(endpoint->port);
        memcpy(&to->sin_addr, endpoint->address.address, 4);
    }
}

struct http_status *http_status_start(struct daemon *d)
{
    const struct config_endpoint *at = &daemon_config(d)->control.metrics;
    if (!at->address.is_set)
        return NULL;
    struct http_status *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->daemon = d;
    struct sockaddr_storage address;
    char text[CONFIG_ENDPOINT_TEXT_CAP];
    set_address(&address, at);
    h->mhd = MHD_start_daemon(MHD_USE_EPOLL | (at->address.is_ipv6 ? MHD_USE_IPv6 : 0), at->port, NULL, NULL,
                              on_request, h, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_CONNECTION_LIMIT,
                              (unsigned)CONNECTION_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                              (unsigned)CONNECTION_PER_CLIENT_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
                              MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_CONNECTION, MHD_OPTION_END);
    if (!h->mhd) {
        log_error("metrics: cannot listen on %s: %s; running without", config_endpoint_text(at, text), strerror(errno));
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

static void handle_closed(uv_handle_t *handle)
{
    struct http_status *h = handle->data;
    if (--h->open_handles)
        return;
    MHD_stop_daemon(h->mhd);
    free(h);
}

void http_status_close(struct http_status *h)
{
    if (!h)
        return;
    uv_poll_stop(&h->poll);
    uv_close((uv_handle_t *)&h->poll, handle_closed);
    uv_close((uv_handle_t *)&h->timer, handle_closed);
}
