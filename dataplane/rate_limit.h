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
#include <string.h>

#include "table/zone_image.h"

#ifdef __cplusplus
extern "C" {
#endif

enum rate_limit_class { RATE_LIMIT_ANSWER, RATE_LIMIT_EMPTY, RATE_LIMIT_NXDOMAIN, RATE_LIMIT_ERROR };
enum rate_limit_verdict { RATE_LIMIT_PASS, RATE_LIMIT_SLIP, RATE_LIMIT_DROP };
enum {
    RATE_LIMIT_BITS_MAX = 27, // 2 GiB of cells
    RATE_LIMIT_BATCH_MAX = 64 // responses counted in one call: bits of a word
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
};

// Counts one response: what to do with it. `settings` gives rate_per_s, rate_burst, rate_slip (every n-th response over
// the limit slips, 0: none). The rates are those of the node: receive-side scaling spreads a network's packets over the
// workers, and each acts on its share. A clock that goes back stands.
enum rate_limit_verdict rate_limit_check(struct rate_limit *limit, const struct zone_settings *settings,
                                         uint64_t now_ns, const struct rate_limit_response *response);

// The same for several responses, in their order: a batch is begun, each response fills the next lane, which asks for
// its memory, the lanes are counted, each has its verdict. The fields are for the functions here alone.
struct rate_limit_batch {
    struct rate_limit *limit;
    const uint8_t *cells;
    uint64_t address_salt, name_salt; // they keep everybody outside from choosing what falls together
    uint64_t half_factor;             // for the first half of an IPv6 address
    uint32_t cell_mask, slip;
    uint64_t ipv6, refused, slipped;              // bits, by lane
    uint64_t narrow[RATE_LIMIT_BATCH_MAX];        // hash of the narrowest prefix,
    uint32_t cell_at[RATE_LIMIT_BATCH_MAX];       // and where its cell stands, in octets
    uint64_t wide[RATE_LIMIT_BATCH_MAX];          // what wider ones are cut out of
    uint8_t response_class[RATE_LIMIT_BATCH_MAX]; // with IPv6
};

void rate_limit_begin(struct rate_limit_batch *batch, struct rate_limit *limit, const struct zone_settings *settings,
                      uint64_t now_ns);

// A hash: the upper half is the key, the lower one chooses the cell. Both halves of the product go into both: a name
// may be a factor that leaves rows of addresses together in one of them.
static inline uint64_t rate_limit_mix(uint64_t a, uint64_t b)
{
    const __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline void rate_limit_fill(struct rate_limit_batch *batch, size_t lane, uint64_t wide, uint64_t narrow)
{
    const uint32_t at = (uint32_t)narrow & batch->cell_mask;
    batch->narrow[lane] = narrow;
    batch->cell_at[lane] = at;
    batch->wide[lane] = wide;
    __builtin_prefetch(batch->cells + at); // the wider prefixes are few
}

// For an IPv4 client, whose first octet is the lowest of its word.
static inline void rate_limit_fill4(struct rate_limit_batch *batch, size_t lane, const uint8_t client[4],
                                    enum rate_limit_class response_class, uint64_t name)
{
    uint32_t address;
    memcpy(&address, client, sizeof address);
    const uint64_t word = (address | (uint64_t)response_class << 32) ^ batch->address_salt;
    const uint64_t wide = word << 40 | (uint64_t)response_class << 32; // the first three octets, below them the class
    rate_limit_fill(batch, lane, wide, rate_limit_mix(word, name ^ batch->name_salt));
}

// For an IPv6 client; the word is the first half of its address.
static inline void rate_limit_fill6(struct rate_limit_batch *batch, size_t lane, const uint8_t client[16],
                                    enum rate_limit_class response_class, uint64_t name)
{
    uint64_t half[2];
    memcpy(half, client, sizeof half);
    const uint64_t word = half[0] ^ batch->address_salt;
    const uint64_t first = rate_limit_mix(word, batch->half_factor ^ response_class);
    batch->ipv6 |= 1ull << lane;
    batch->response_class[lane] = (uint8_t)response_class;
    rate_limit_fill(batch, lane, word, rate_limit_mix(first ^ half[1], name ^ batch->name_salt));
}

// Counts the first `count` lanes, at most RATE_LIMIT_BATCH_MAX. Whether all of them pass.
bool rate_limit_count(struct rate_limit_batch *batch, size_t count);

static inline enum rate_limit_verdict rate_limit_verdict_of(const struct rate_limit_batch *batch, size_t lane)
{
    if (!(batch->refused >> lane & 1))
        return RATE_LIMIT_PASS;
    return batch->slipped >> lane & 1 ? RATE_LIMIT_SLIP : RATE_LIMIT_DROP;
}

#ifdef __cplusplus
}
#endif
