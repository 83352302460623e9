// SPDX-License-Identifier: Apache-2.0
// Response-rate limiting: decaying counters over several prefix lengths, one table per worker, fixed memory.
//
// A query counts in one cell for each prefix length (IPv4 /32, /24, /20, /18; IPv6 /128, /64, /56, /48, /32), keyed by
// prefix, class of response and, at the narrowest, name; wider prefixes have multiples of the rate and count only what
// the narrower ones let pass. Cells decay exponentially; a cell taken by another key is given to the newcomer when it
// is the weaker one. Nothing is allocated after rate_limit_new.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "table/zone_image.h"

#ifdef __cplusplus
extern "C" {
#endif

enum rate_limit_class { RATE_LIMIT_ANSWER, RATE_LIMIT_EMPTY, RATE_LIMIT_NXDOMAIN, RATE_LIMIT_ERROR };
enum rate_limit_verdict { RATE_LIMIT_PASS, RATE_LIMIT_SLIP, RATE_LIMIT_DROP };
enum {
    RATE_LIMIT_BITS_MAX = 27, // 2 GiB of cells
    RATE_LIMIT_MANY_MAX = 64  // responses counted in one call
};

// A table of 2^`bits` cells of 16 bytes, 1..RATE_LIMIT_BITS_MAX. `seed` keys the hash: clients choose addresses and
// names. `workers` (at least 1) share a node's traffic, so each allows that part of the rate. Null when out of memory.
struct rate_limit *rate_limit_new(unsigned bits, uint64_t seed, unsigned workers);
void rate_limit_free(struct rate_limit *limit);

// A response to be counted.
struct rate_limit_response {
    const uint8_t *client; // 4 or 16 octets
    uint64_t name;         // wider prefixes count all names together, or random names would evade them
    uint8_t is_ipv6;
    uint8_t response_class; // enum rate_limit_class
    uint8_t verdict;        // enum rate_limit_verdict: what to do with it
};

// Counts responses one after the other, `count` of them, at most RATE_LIMIT_MANY_MAX, and fills in their verdicts;
// returns how many do not pass. The memory for all is asked for at once. `settings` gives rate_per_s, rate_burst,
// rate_slip (every n-th response over the limit slips, 0: none). The rates are those of the node: receive-side scaling
// spreads a network's packets over the workers, and each acts on its share. A clock that goes back stands.
unsigned rate_limit_check(struct rate_limit *limit, const struct zone_settings *settings, uint64_t now_ns,
                          struct rate_limit_response response[], unsigned count);

#ifdef __cplusplus
}
#endif
