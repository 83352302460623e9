// SPDX-License-Identifier: Apache-2.0
// From a DNS message to its response, in place. The same code serves DPDK workers, the TCP stream thread, tests and
// fuzzers.
//
// Nothing here allocates, locks, logs or makes a system call. One answer_context per thread; the images it points to
// stay valid for as long as the caller's read-side section lasts.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "table/counters.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fast_shapes;
struct rate_limit;

struct answer_context {
    const void *zone_image; // validated images of one snapshot; null until the first is published
    const void *order_image;
    struct counters_block *counters; // this thread's own
    struct rate_limit *rate_limit;   // this thread's own; null: none
    struct fast_shapes *shapes;      // this thread's own; null: none are kept from burst to burst
    uint64_t now_ns;                 // CLOCK_MONOTONIC, once per burst
    uint8_t
        rate_decided; // 1 + enum rate_limit_verdict of the very next query when the short way has counted it; else 0
    uint32_t now_s;   // wall clock, for cookies (RFC 9018 section 4.3)
    bool is_stale;    // the order image is older than zone_settings.stale_after_s
    uint16_t tcp_keepalive_ds; // idle time-out offered over TCP in units of 100 ms (RFC 7828); 0: not offered
};

struct answer_client {
    uint8_t address[16]; // network order; IPv4 in the first 4 bytes
    bool is_ipv6;
    bool is_tcp;
    bool is_slipped; // over the rate limit: answer with TC and nothing else
};

enum {
    ANSWER_SLACK = 32, // readable bytes that `msg` must have behind `len`: names are read in 8-byte words
    ANSWER_TCP_MAX = 65535,
    ANSWER_UDP_MIN = 512 // RFC 1035 section 2.3.4; RFC 6891 section 6.2.3
};

// Turns the query msg[0..len) into its response in place. `cap` is the room at `msg`, at least len + ANSWER_SLACK.
// Returns the response's length, or 0 when there is none to send (the reason is counted). Reads and writes only
// msg[0..cap).
unsigned answer_message(struct answer_context *context, const struct answer_client *client, uint8_t *msg, unsigned len,
                        unsigned cap);

#ifdef __cplusplus
}
#endif
