// SPDX-License-Identifier: Apache-2.0
// One DNS-over-TCP connection: bytes in, whole messages answered in order, bytes out (RFC 7766).
//
// Owned by the stream thread. stream_connection_answer works on memory only; the two others make one system call each
// and never block. Memory per connection is bounded: one message in (at most 64 KiB, 4 KiB unless a longer message was
// announced), and what one call of stream_connection_answer made, out.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/answer.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    STREAM_CHUNK = 4096, // read at once: bounds the work for one connection before the next has its turn
    // Answers are collected up to this many bytes before they are sent: a pipeline's answers share segments.
    STREAM_BATCH = 16384,
    STREAM_OUT_CAP = STREAM_BATCH + 2 + ANSWER_TCP_MAX + ANSWER_SLACK
};

struct stream_connection {
    int fd; // -1: free
    struct answer_client client;
    uint8_t *in;
    uint32_t in_len, in_cap;
    uint8_t *out; // answers that the socket did not take yet
    uint32_t out_len, out_at;
    bool has_ended;                          // the client sent its end; what it asked before is still answered
    bool is_broken;                          // it sent what is no query: close when the answers before are out
    uint64_t accepted_ns;                    // CLOCK_MONOTONIC
    uint64_t active_ns;                      // last answered query, or accepted
    uint64_t partial_ns;                     // since when an incomplete message waits for its rest; 0: none
    uint64_t blocked_ns;                     // since when the client does not take answers; 0: it does
    struct stream_connection *older, *newer; // order of active_ns
};

void stream_connection_init(struct stream_connection *c, int fd, const struct answer_client *client, uint64_t now_ns);

// Closes and frees what belongs to it; fd becomes -1.
void stream_connection_fini(struct stream_connection *c);

// Reads one chunk. 1: something came, or the end (has_ended); 0: nothing there; a negative errno: the connection is
// done for. Never called while answers wait in `out`.
int stream_connection_read(struct stream_connection *c, uint64_t now_ns);

// Answers complete messages, each with its length before it, into out[0..STREAM_OUT_CAP) until STREAM_BATCH is reached
// or none is left. The bytes made. The images in `context` are those of the caller's read-side section.
unsigned stream_connection_answer(struct stream_connection *c, struct answer_context *context, uint8_t *out);

// True when a whole message waits in `in`.
bool stream_connection_has_message(const struct stream_connection *c);

// Sends bytes[0..len), or, with len 0, what waits in `out`; the rest that the socket does not take is kept. 0, also
// when a rest is kept (out_len > 0); a negative errno.
int stream_connection_write(struct stream_connection *c, const uint8_t *bytes, unsigned len, uint64_t now_ns);

#ifdef __cplusplus
}
#endif
