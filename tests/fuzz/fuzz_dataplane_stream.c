// SPDX-License-Identifier: Apache-2.0
// DNS over TCP: a client's octets, cut in two ways, get the same octets back.
//
// The first octets of the input say where to cut; the rest is what the client sends.
#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/stream_connection.h"
#include "tests/fuzz/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CUTS = 4, SENT_MAX = 3000, REPLY_MAX = 1 << 20 };

static uint8_t out[STREAM_OUT_CAP], reply[2][REPLY_MAX];

static size_t take_replies(int fd, uint8_t *to, size_t at)
{
    for (ssize_t n; at < REPLY_MAX && (n = recv(fd, to + at, REPLY_MAX - at, MSG_DONTWAIT)) > 0;)
        at += (size_t)n;
    return at;
}

// Reads, answers and writes as the stream thread does.
static void serve(struct stream_connection *c, struct answer_context *context)
{
    for (int rc = 1; rc == 1 && !c->is_broken && !c->has_ended;) {
        rc = stream_connection_read(c, 1);
        while (!c->is_broken && stream_connection_has_message(c)) {
            const unsigned made = stream_connection_answer(c, context, out);
            if (made == 0)
                break;
            assert(made <= STREAM_OUT_CAP && stream_connection_write(c, out, made, 1) == 0);
        }
    }
}

static size_t run(const uint8_t *data, size_t size, const uint8_t *cuts, uint8_t *to)
{
    struct world *w = world_get();
    struct answer_context context = w->context;
    const struct answer_client client = {.address = {198, 51, 100, 7}, .is_tcp = true};
    struct stream_connection c;
    int pair[2];
    size_t got = 0, at = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        return 0;
    const int room = REPLY_MAX;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    stream_connection_init(&c, pair[0], &client, 1);
    for (unsigned i = 0; i <= CUTS; i++) {
        size_t n = i < CUTS && cuts ? cuts[i] * (size_t)3 : size - at;
        n = n < size - at ? n : size - at;
        if (n && send(pair[1], data + at, n, MSG_NOSIGNAL) != (ssize_t)n)
            break;
        at += n;
        serve(&c, &context);
        got = take_replies(pair[1], to, got);
    }
    stream_connection_fini(&c);
    close(pair[1]);
    return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CUTS || size > SENT_MAX)
        return 0;
    const size_t whole = run(data + CUTS, size - CUTS, NULL, reply[0]);
    const size_t cut = run(data + CUTS, size - CUTS, data, reply[1]);
    assert(whole == cut && memcmp(reply[0], reply[1], whole) == 0);
    return 0;
}
