// SPDX-License-Identifier: Apache-2.0
// DNS over UDP on kernel sockets: one thread, the same answers as the workers give, at a kernel's speed.
//
// The standby's half of a card that is shared with the kernel: whatever the data plane's XDP program does not take
// arrives here (see docs/nic.md). The thread is a reader of publish.h, online only while it makes answers. Each address
// has a socket of its own, so that a reply leaves from the address that was asked (RFC 2181 section 4).
#pragma once

#include "dataplane/counters_page.h"
#include "dataplane/listen.h"

#ifdef __cplusplus
extern "C" {
#endif

struct datagram;
struct rate_limit;

struct datagram_config {
    const struct node_address *address; // at least one
    unsigned address_count;
    uint16_t port;                   // 53; tests: 0 for any free one
    struct counters_block *counters; // the thread's own
    struct rate_limit *rate_limit;   // the thread's own; null: none
};

// Binds. Null with a sentence in `why` when no address can be had; addresses that fail beside others that do not are
// reported in the log.
struct datagram *datagram_new(const struct datagram_config *config, char why[256]);

// The port of the first socket (tests).
uint16_t datagram_port(const struct datagram *datagram);

// Starts the thread. 0 or a negative errno.
int datagram_start(struct datagram *datagram);

// Stops the thread after it has answered what was there, and closes everything. Null is legal.
void datagram_free(struct datagram *datagram);

#ifdef __cplusplus
}
#endif
