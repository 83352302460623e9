// SPDX-License-Identifier: Apache-2.0
// One exchange over TCP or a Unix stream socket: connect, send a text, read an answer. Made again and again.
//
// libuv loop thread only. There is no time limit in here: who runs it aborts it.
#pragma once

#include <uv.h>

#include "health/probe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct stream_exchange;

struct stream_reply {
    int error;     // 0: what was wanted came, or the peer ended its answer; else a negative libuv code
    bool is_ended; // the peer closed
    bool is_cut;   // reply_max octets came without what was wanted
    const char *text;
    size_t len; // text has a zero octet behind it, not counted
    uint64_t response_ns;
};

struct stream_spec {
    struct probe_address server, source;
    const char *unix_socket; // instead of the address; empty: none
    const char *send;        // empty: nothing
    size_t reply_max;        // octets; 0: no answer is read
    // Gets the answer piece by piece, and says false when it is all that is wanted; nothing is kept then, and reply_max
    // bounds the pieces only. Null: the answer is kept.
    bool (*take)(void *user, const char *data, size_t len);
    // Whether the answer so far is all that is wanted. Null: read until the peer closes.
    bool (*is_enough)(void *user, const char *text, size_t len);
    // Once per run that was not aborted, from the loop.
    void (*done)(void *user, const struct stream_reply *reply);
    void (*closed)(void *user);
    void *user;
};

// Null with errno EINVAL (a path that is too long, no address) or ENOMEM. Copies `send` and the path.
struct stream_exchange *stream_exchange_new(uv_loop_t *loop, const struct stream_spec *spec);

int stream_exchange_run(struct stream_exchange *exchange); // 0 or a negative libuv code: `done` is not called then
void stream_exchange_abort(struct stream_exchange *exchange);

// Aborts; frees when the last handle is gone and then calls `closed`, from the loop.
void stream_exchange_close(struct stream_exchange *exchange);

#ifdef __cplusplus
}
#endif
