// SPDX-License-Identifier: Apache-2.0
// /metrics for Prometheus and /healthz.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dbsync/daemon.h"
#include "shared/log.h"
#include "shared/http_listener.h"

static struct http_reply on_get(void *user, const char *path)
{
    if (strcmp(path, "/metrics") == 0)
        return (struct http_reply){200, http_metrics_type, metrics_text(user), true};
    if (strcmp(path, "/healthz") == 0)
        return (struct http_reply){200, "text/plain", (char *)"ok\n", false};
    return (struct http_reply){404, "text/plain", (char *)"there are /metrics and /healthz\n", false};
}

struct http_listener *metrics_http_start(struct daemon *d)
{
    struct sockaddr_storage address = {0};
    char host[64];
    uint16_t port;
    if (!d->config->metrics || config_endpoint(d->config->metrics, host, &port) < 0)
        return NULL;
    if (strchr(host, ':'))
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)&address);
    else
        uv_ip4_addr(host, port, (struct sockaddr_in *)&address);
    struct http_listener *l = http_listener_start(d->loop, &address, on_get, d);
    if (!l)
        log_error("metrics: cannot listen on %s: %s; running without", d->config->metrics, strerror(errno));
    return l;
}
