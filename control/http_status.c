// SPDX-License-Identifier: Apache-2.0
#include "control/http_status.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "control/daemon_parts.h"
#include "shared/log.h"
#include "control/metrics.h"
#include "control/status_page.h"
#include "shared/http_listener.h"

static struct http_reply on_get(void *user, const char *path)
{
    struct daemon *d = user;
    if (strcmp(path, "/metrics") == 0)
        return (struct http_reply){200, http_metrics_type, metrics_text(d), true};
    if (strcmp(path, "/") == 0)
        return (struct http_reply){200, "text/html; charset=utf-8", status_page_html(d), true};
    if (strcmp(path, "/healthz") != 0)
        return (struct http_reply){404, "text/plain", (char *)"there are /, /metrics and /healthz\n", false};
    if (steering_is_ready(d->steering) && worker_watch_is_alive(d->watch, uv_hrtime()))
        return (struct http_reply){200, "text/plain", (char *)"ok\n", false};
    return (struct http_reply){503, "text/plain", (char *)"not answering\n", false};
}

struct http_listener *http_status_start(struct daemon *d)
{
    const struct config_endpoint *at = &daemon_config(d)->control.metrics;
    if (!at->address.is_set)
        return NULL;
    struct sockaddr_storage address;
    char text[CONFIG_ENDPOINT_TEXT_CAP];
    config_socket_address(&at->address, at->port, &address);
    struct http_listener *l = http_listener_start(d->loop, &address, on_get, d);
    if (!l)
        log_error("metrics: cannot listen on %s: %s; running without", config_endpoint_text(at, text), strerror(errno));
    return l;
}
