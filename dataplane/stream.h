// SPDX-License-Identifier: Apache-2.0
// DNS over TCP (RFC 7766, RFC 9210): kernel sockets, one thread, the same answers as the workers give.
//
// The thread is a reader of publish.h, online only while it makes answers. It runs at a lower priority than the
// workers: whatever TCP clients do, UDP goes first. Connections are limited in all and per client; to stay within a
// limit the one that has been idle longest is closed.
#pragma once

#include "dataplane/counters_page.h"
#include "dataplane/listen.h"

#ifdef __cplusplus
extern "C" {
#endif

struct stream;

enum {
    STREAM_CONNECTION_MAX = 1024, // 1,024 times at most 150 KiB; RFC 7766 section 6.2.2 asks for a limit
    STREAM_CLIENT_MAX = 64,       // of one IPv4 address or IPv6 /64
    STREAM_IDLE_MS = 10000,       // RFC 7766 section 6.2.3: "a few seconds"; offered by edns-tcp-keepalive
    STREAM_PARTIAL_MS = 5000,     // for a message, once its first byte came; for answers to be taken
    STREAM_TOTAL_MS = 300000      // longest life of a connection
};

struct stream_config {
    const struct node_address *address; // none: all addresses, or those of `interface` where port 53 is taken elsewhere
    unsigned address_count;
    const char *interface;               // may be null
    uint16_t port;                       // 53; tests: 0 for any free one
    unsigned connection_max, client_max; // 0: the values above
    uint32_t idle_ms, partial_ms, total_ms;
    struct counters_block *counters; // the stream thread's own
};

// Binds and listens. Null with a sentence in `why` when no address can be had; addresses that fail beside others that
// do not are reported in the log.
struct stream *stream_new(const struct stream_config *config, char why[256]);

// The port of the first listening socket (tests).
uint16_t stream_port(const struct stream *stream);

// Starts the thread. 0 or a negative errno.
int stream_start(struct stream *stream);

// Stops the thread and closes everything. Null is legal.
void stream_free(struct stream *stream);

#ifdef __cplusplus
}
#endif
