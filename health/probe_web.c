// SPDX-License-Identifier: Apache-2.0
// HTTP and HTTPS probe: a request, and a response that must be as specified.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "health/http_match.h"
#include "health/probe_http.h"
#include "health/probe_kind.h"

// So much of a page is read although nothing depends on it: it is on its way already, and a server whose answers are
// cut off complains in its log.
enum { POLITE_BYTES = 16384 };

struct web_probe {
    struct probe_callbacks callbacks;
    struct http_fetch *fetch;
    struct http_match *match;
    uint64_t body_bytes, wanted_bytes;
    uv_idle_t closing; // so that `closed` comes from the loop, as with every kind
};

static bool on_data(void *user, const char *data, size_t len)
{
    struct web_probe *p = user;
    p->body_bytes += len;
    return http_match_feed(p->match, data, len) || p->body_bytes <= p->wanted_bytes;
}

static void on_response(void *user, struct http_response *response)
{
    struct web_probe *p = user;
    struct probe_result result = probe_result_down(response->reason);
    if (response->is_local) {
        result.result = EVIDENCE_UNKNOWN;
        result.reason = EVIDENCE_REASON_LOCAL;
    }
    if (response->reason == EVIDENCE_REASON_OK)
        result.reason = http_match_end(p->match, response->status);
    if (result.reason == EVIDENCE_REASON_NONE) { // no memory for the page
        result.result = EVIDENCE_UNKNOWN;
        result.reason = EVIDENCE_REASON_LOCAL;
    }
    if (result.reason == EVIDENCE_REASON_OK)
        result = probe_result_up(response->response_ns);
    if (result.reason == EVIDENCE_REASON_STATUS)
        snprintf(result.detail, sizeof result.detail, "status %u", response->status);
    else
        snprintf(result.detail, sizeof result.detail, "%s", response->detail);
    p->callbacks.done(p->callbacks.user, &result);
}

static void *web_open(struct probe_host *host, const struct probe_spec *spec, const struct balancer_spec *balancer,
                      const struct probe_callbacks *callbacks)
{
    (void)balancer;
    struct web_probe *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->callbacks = *callbacks;
    p->match = http_match_new(&spec->http);
    if (!p->match) {
        free(p);
        return NULL;
    }
    const struct http_fetch_spec fetch = {.is_https = spec->type == PROBE_HTTPS,
                                          .server = spec->server,
                                          .source = spec->source,
                                          .http = &spec->http,
                                          .take = on_data,
                                          .timeout_ns = spec->timeout_ns};
    // A connection is used again only when the page was read to its end.
    p->wanted_bytes = spec->http.keep_alive ? spec->http.body_max_bytes : POLITE_BYTES;
    p->fetch = http_fetch_new(probe_host_http(host), &fetch, on_response, p);
    if (!p->fetch) {
        http_match_free(p->match);
        free(p);
        errno = ENOMEM;
        return NULL;
    }
    uv_idle_init(host->loop, &p->closing);
    p->closing.data = p;
    return p;
}

static int web_run(void *instance)
{
    struct web_probe *p = instance;
    p->body_bytes = 0;
    http_match_begin(p->match);
    return http_fetch_run(p->fetch);
}

static void web_abort(void *instance)
{
    http_fetch_abort(((struct web_probe *)instance)->fetch);
}

static void on_closed(uv_handle_t *handle)
{
    struct web_probe *p = handle->data;
    const struct probe_callbacks callbacks = p->callbacks;
    free(p);
    callbacks.closed(callbacks.user);
}

static void web_close(void *instance)
{
    struct web_probe *p = instance;
    http_fetch_free(p->fetch);
    http_match_free(p->match);
    uv_close((uv_handle_t *)&p->closing, on_closed);
}

const struct probe_kind probe_http_kind = {web_open, web_run, web_abort, web_close};
