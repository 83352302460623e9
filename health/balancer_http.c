// SPDX-License-Identifier: Apache-2.0
// Reading a balancer over HTTP: statistics, monitor page, Envoy, JSON.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health/balancer_copy.h"
#include "health/balancer_reading.h"
#include "health/probe_http.h"
#include "health/probe_kind.h"

enum { AUTHORITY_CAP = 80 };

struct reader {
    struct probe_callbacks callbacks;
    struct balancer_copy *copy;
    struct http_fetch *fetch;
    uv_idle_t closing; // so that `closed` comes from the loop, as with every kind
};

static unsigned text_max(enum balancer_type type)
{
    return type == BALANCER_HAPROXY_CSV ? BALANCER_STATISTICS_MAX : BALANCER_TEXT_MAX;
}

static struct probe_result read_document(struct reader *b, const struct http_response *response)
{
    const struct balancer_spec *spec = &b->copy->spec;
    if (spec->type == BALANCER_HTTP)
        return balancer_read_status(response->status);
    if (response->status != 200)
        return balancer_unreadable("status %u", response->status);
    if (response->is_cut)
        return balancer_unreadable("the document is longer than %u octets", text_max(spec->type));
    switch (spec->type) {
    case BALANCER_ENVOY:
        return balancer_read_envoy(response->body, response->len, spec);
    case BALANCER_JSON:
        return balancer_read_json(response->body, response->len, spec);
    case BALANCER_HAPROXY_CSV:
    case BALANCER_HAPROXY_SOCKET:
    case BALANCER_HTTP:
    case BALANCER_AGENT:
        break;
    }
    return balancer_read_haproxy(response->body, response->len, spec);
}

static void on_response(void *user, struct http_response *response)
{
    struct reader *b = user;
    struct probe_result result = probe_result_unknown(response->is_local ? EVIDENCE_REASON_LOCAL : response->reason);
    if (response->reason == EVIDENCE_REASON_OK)
        result = read_document(b, response);
    else
        probe_result_detail(&result, "%s", response->detail);
    b->callbacks.done(b->callbacks.user, &result);
}

// "http://192.0.2.1:8404/stats;csv" or with an IPv6 address in brackets. The path starts in `url`; empty means "/".
static bool split_url(const char *url, bool *is_https, struct probe_address *server, const char **path)
{
    char host[AUTHORITY_CAP];
    *is_https = strncmp(url, "https://", 8) == 0;
    if (!*is_https && strncmp(url, "http://", 7) != 0)
        return false;
    const char *at = url + (*is_https ? 8 : 7);
    const size_t len = strcspn(at, "/?#");
    if (len == 0 || len >= sizeof host)
        return false;
    memcpy(host, at, len);
    host[len] = 0;
    *path = at + len;
    const bool is_ipv6 = host[0] == '[';
    char *end = is_ipv6 ? strchr(host, ']') : host + strcspn(host, ":");
    if (!end)
        return false;
    const char *port_text = strchr(end, ':');
    const unsigned long port = port_text ? strtoul(port_text + 1, NULL, 10) : *is_https ? 443 : 80;
    *end = 0;
    memset(server, 0, sizeof *server);
    if (is_ipv6) {
        struct sockaddr_in6 *to = (struct sockaddr_in6 *)&server->address;
        *to = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        server->len = sizeof *to;
        return inet_pton(AF_INET6, host + 1, &to->sin6_addr) == 1;
    }
    struct sockaddr_in *to = (struct sockaddr_in *)&server->address;
    *to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    server->len = sizeof *to;
    return inet_pton(AF_INET, host, &to->sin_addr) == 1;
}

static void *open_reader(struct probe_host *host, const struct probe_spec *probe, const struct balancer_spec *spec,
                         const struct probe_callbacks *callbacks)
{
    struct http_fetch_spec fetch = {.timeout_ns = spec->timeout_ns};
    const char *path;
    (void)probe;
    if (!spec->url || !split_url(spec->url, &fetch.is_https, &fetch.server, &path)) {
        errno = EINVAL;
        return NULL;
    }
    const struct probe_http http = {.method = "GET",
                                    .path = path[0] ? path : "/",
                                    .host = spec->host,
                                    .body_max_bytes = text_max(spec->type),
                                    .credentials = spec->credentials,
                                    .tls = spec->tls};
    struct reader *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    fetch.http = &http;
    b->callbacks = *callbacks;
    b->copy = balancer_copy_new(spec);
    b->fetch = b->copy ? http_fetch_new(probe_host_http(host), &fetch, on_response, b) : NULL;
    if (!b->fetch) {
        balancer_copy_free(b->copy);
        free(b);
        errno = ENOMEM;
        return NULL;
    }
    uv_idle_init(host->loop, &b->closing);
    b->closing.data = b;
    return b;
}

static int run_reader(void *instance)
{
    return http_fetch_run(((struct reader *)instance)->fetch);
}

static void abort_reader(void *instance)
{
    http_fetch_abort(((struct reader *)instance)->fetch);
}

static void on_closed(uv_handle_t *handle)
{
    struct reader *b = handle->data;
    const struct probe_callbacks callbacks = b->callbacks;
    balancer_copy_free(b->copy);
    free(b);
    callbacks.closed(callbacks.user);
}

static void close_reader(void *instance)
{
    struct reader *b = instance;
    http_fetch_free(b->fetch);
    uv_close((uv_handle_t *)&b->closing, on_closed);
}

const struct probe_kind balancer_http_kind = {open_reader, run_reader, abort_reader, close_reader};
