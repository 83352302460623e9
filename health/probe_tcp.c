// SPDX-License-Identifier: Apache-2.0
// TCP probe: connect; if asked, send a text and expect one.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "health/probe_kind.h"
#include "health/probe_stream.h"

enum { REPLY_MAX = 4096 }; // a reply that has not said what is expected by then will not

struct tcp_probe {
    struct probe_callbacks callbacks;
    struct stream_exchange *exchange;
    char *expect; // null: nothing
};

static bool has_expected(void *user, const char *text, size_t len)
{
    const struct tcp_probe *p = user;
    return memmem(text, len, p->expect, strlen(p->expect)) != NULL;
}

static void on_reply(void *user, const struct stream_reply *reply)
{
    struct tcp_probe *p = user;
    struct probe_result result = probe_result_up(reply->response_ns);
    if (reply->error)
        result = probe_result_error(reply->error);
    else if (p->expect && !has_expected(p, reply->text, reply->len))
        result = probe_result_down(EVIDENCE_REASON_MISMATCH);
    p->callbacks.done(p->callbacks.user, &result);
}

static void on_closed(void *user)
{
    struct tcp_probe *p = user;
    const struct probe_callbacks callbacks = p->callbacks;
    free(p->expect);
    free(p);
    callbacks.closed(callbacks.user);
}

static int tcp_run(void *instance)
{
    return stream_exchange_run(((struct tcp_probe *)instance)->exchange);
}

static void tcp_abort(void *instance)
{
    stream_exchange_abort(((struct tcp_probe *)instance)->exchange);
}

static void tcp_close(void *instance)
{
    stream_exchange_close(((struct tcp_probe *)instance)->exchange);
}

static void *tcp_open(struct probe_host *host, const struct probe_spec *spec, const struct balancer_spec *balancer,
                      const struct probe_callbacks *callbacks)
{
    (void)balancer;
    struct tcp_probe *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    const bool has_expect = spec->expect && spec->expect[0];
    p->callbacks = *callbacks;
    p->expect = has_expect ? strdup(spec->expect) : NULL;
    const struct stream_spec stream = {.server = spec->server,
                                       .source = spec->source,
                                       .send = spec->send,
                                       .reply_max = has_expect ? REPLY_MAX : 0,
                                       .is_enough = has_expected,
                                       .done = on_reply,
                                       .closed = on_closed,
                                       .user = p};
    p->exchange = has_expect && !p->expect ? NULL : stream_exchange_new(host->loop, &stream);
    if (p->exchange)
        return p;
    const int error = errno;
    free(p->expect);
    free(p);
    errno = error;
    return NULL;
}

const struct probe_kind probe_tcp_kind = {tcp_open, tcp_run, tcp_abort, tcp_close};
