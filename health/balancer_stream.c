// SPDX-License-Identifier: Apache-2.0
// Reading a balancer over a stream: HAProxy's runtime socket, and an agent.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "health/balancer_copy.h"
#include "health/balancer_reading.h"
#include "health/probe_kind.h"
#include "health/probe_stream.h"

enum { AGENT_REPLY_MAX = 512 };

struct reader {
    struct probe_callbacks callbacks;
    struct balancer_copy *copy;
    struct stream_exchange *exchange;
};

static bool has_line(void *user, const char *text, size_t len)
{
    (void)user;
    return memchr(text, '\n', len) != NULL;
}

// The runtime socket ends its answers with an empty line; without it HAProxy went away in the middle.
static bool is_whole(const struct stream_reply *reply)
{
    return reply->len >= 2 && memcmp(reply->text + reply->len - 2, "\n\n", 2) == 0;
}

static void on_reply(void *user, const struct stream_reply *reply)
{
    struct reader *b = user;
    struct probe_result result;
    if (reply->error) {
        result = probe_result_error(reply->error);
        result.result = EVIDENCE_UNKNOWN;
    } else if (reply->is_cut) {
        result = balancer_unreadable("the answer is longer than %zu octets", reply->len);
    } else if (b->copy->spec.type == BALANCER_AGENT) {
        result = balancer_read_agent(reply->text, reply->len);
    } else if (!is_whole(reply)) {
        result = balancer_unreadable("the answer was cut off after %zu octets", reply->len);
    } else {
        result = balancer_read_haproxy(reply->text, reply->len, &b->copy->spec);
    }
    b->callbacks.done(b->callbacks.user, &result);
}

static void on_closed(void *user)
{
    struct reader *b = user;
    const struct probe_callbacks callbacks = b->callbacks;
    balancer_copy_free(b->copy);
    free(b);
    callbacks.closed(callbacks.user);
}

static void *open_reader(struct probe_host *host, const struct probe_spec *probe, const struct balancer_spec *spec,
                         const struct probe_callbacks *callbacks)
{
    struct reader *b = calloc(1, sizeof *b);
    const bool is_agent = spec->type == BALANCER_AGENT;
    (void)probe;
    if (!b)
        return NULL;
    b->callbacks = *callbacks;
    b->copy = balancer_copy_new(spec);
    const struct stream_spec stream = {.server = spec->address,
                                       .unix_socket = is_agent ? NULL : spec->socket,
                                       .send = is_agent ? NULL : "show stat\n",
                                       .reply_max = is_agent ? AGENT_REPLY_MAX : BALANCER_STATISTICS_MAX,
                                       .is_enough = is_agent ? has_line : NULL,
                                       .done = on_reply,
                                       .closed = on_closed,
                                       .user = b};
    errno = ENOMEM;
    b->exchange = b->copy ? stream_exchange_new(host->loop, &stream) : NULL;
    if (b->exchange)
        return b;
    const int error = errno;
    balancer_copy_free(b->copy);
    free(b);
    errno = error;
    return NULL;
}

static int run_reader(void *instance)
{
    return stream_exchange_run(((struct reader *)instance)->exchange);
}

static void abort_reader(void *instance)
{
    stream_exchange_abort(((struct reader *)instance)->exchange);
}

static void close_reader(void *instance)
{
    stream_exchange_close(((struct reader *)instance)->exchange);
}

const struct probe_kind balancer_stream_kind = {open_reader, run_reader, abort_reader, close_reader};
