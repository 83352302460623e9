// SPDX-License-Identifier: Apache-2.0
#include "dataplane/rate_limit.h"

#include <stdlib.h>
#include <string.h>

// Half-life is one second: a cell that receives `rate` a second settles near rate / ln 2, so that unit is compared.
enum {
    DECAY_SHIFT = 30, // 2^30 ns, 1.07 s: the half-life; a power of two keeps divisions out
    CELL_WAYS = 2,    // places a key may have
    COUNT_ONE = 256   // fixed point: 8 bits behind the point
};

struct cell {
    uint32_t key;
    uint32_t count; // fixed point
    uint64_t touched_ns;
};

struct rate_limit {
    uint64_t seed;
    uint32_t mask;
    uint32_t workers;
    uint32_t over; // responses over the limit, for the slip
    struct cell cell[];
};

// Multiples of the rate for wider prefixes, as Knot DNS found them in practice for the same ladder.
struct level {
    uint8_t bits;
    uint16_t multiple;
    uint64_t mask[2]; // of the address in memory order
};
static const struct level ladder4[] = {
    {32, 1, {0xffffffff, 0}}, {24, 32, {0x00ffffff, 0}}, {20, 256, {0x00f0ffff, 0}}, {18, 768, {0x00c0ffff, 0}}};
static const struct level ladder6[] = {{128, 1, {UINT64_MAX, UINT64_MAX}},
                                       {64, 2, {UINT64_MAX, 0}},
                                       {56, 3, {0x00ffffffffffffff, 0}},
                                       {48, 4, {0x0000ffffffffffff, 0}},
                                       {32, 64, {0x00000000ffffffff, 0}}};

struct rate_limit *rate_limit_new(unsigned bits, uint64_t seed, unsigned workers)
{
    if (bits < 1 || bits > 28 || workers < 1)
        return NULL;
    struct rate_limit *limit = calloc(1, sizeof *limit + ((size_t)1 << bits) * sizeof(struct cell));
    if (!limit)
        return NULL;
    limit->seed = seed;
    limit->workers = workers;
    limit->mask = (uint32_t)((1u << bits) - 1);
    return limit;
}

void rate_limit_free(struct rate_limit *limit)
{
    free(limit);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)(a ^ 0xe7037ed1a0b428dbull) * (b ^ 0xa0761d6478bd642full);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t prefix_hash(const struct rate_limit *limit, const uint64_t address[2], const struct level *level,
                            uint64_t what)
{
    const uint64_t prefix =
        mix((address[0] & level->mask[0]) ^ limit->seed, (address[1] & level->mask[1]) ^ level->bits);
    return mix(prefix, what ^ limit->seed);
}

static uint32_t decayed(const struct cell *cell, uint64_t now_ns)
{
    const uint64_t halves = (now_ns - cell->touched_ns) >> DECAY_SHIFT;
    if (now_ns <= cell->touched_ns)
        return cell->count;
    if (halves >= 32)
        return 0;
    // Between two half-lives the count falls on a straight line, which is never above 6 % from the curve.
    const uint32_t count = cell->count >> halves;
    const uint64_t rest = (now_ns - cell->touched_ns) & ((1u << DECAY_SHIFT) - 1);
    return count - (uint32_t)((count / 2 * rest) >> DECAY_SHIFT);
}

// Adds one to the key's cell; the new count.
static uint32_t count_one(struct rate_limit *limit, uint64_t hash, uint64_t now_ns)
{
    const uint32_t key = (uint32_t)(hash >> 32) | 1;
    struct cell *best = NULL;
    uint32_t best_count = UINT32_MAX;
    for (unsigned way = 0; way < CELL_WAYS; way++) {
        struct cell *cell = &limit->cell[((uint32_t)hash ^ way) & limit->mask];
        const uint32_t count = decayed(cell, now_ns);
        if (cell->key == key) {
            best = cell;
            best_count = count;
            break;
        }
        if (count < best_count) {
            best = cell;
            best_count = count;
        }
    }
    if (best->key != key) // the weaker cell is given up; its key starts anew if it comes back
        best_count = 0;
    best->key = key;
    best->count = best_count > UINT32_MAX - COUNT_ONE ? best_count : best_count + COUNT_ONE;
    best->touched_ns = now_ns;
    return best->count;
}

enum rate_limit_verdict rate_limit_check(struct rate_limit *limit, const struct zone_settings *settings,
                                         const struct answer_client *client, enum rate_limit_class response_class,
                                         uint64_t name, uint64_t now_ns)
{
    const struct level *ladder = client->is_ipv6 ? ladder6 : ladder4;
    const unsigned levels = client->is_ipv6 ? 5 : 4;
    const uint64_t what = name << 2 | (unsigned)response_class;
    // A steady flow at the rate settles at rate / ln 2 = 1.44 * rate; a burst from nothing may reach rate_burst.
    const uint64_t steady = (uint64_t)settings->rate_per_s * COUNT_ONE * 13 / 9;
    const uint64_t burst = (uint64_t)settings->rate_burst * COUNT_ONE;
    uint64_t allowed = steady > burst ? steady : burst;
    if (allowed < (uint64_t)limit->workers * COUNT_ONE) // one response is always let through
        allowed = (uint64_t)limit->workers * COUNT_ONE;
    uint64_t address[2] = {0, 0};
    memcpy(address, client->address, client->is_ipv6 ? 16 : 4);
    unsigned level = 0;
    // From the narrowest on. What a narrow prefix refuses does not count in the wider ones, or one client's flood would
    // use up what its neighbours may have.
    for (; level < levels; level++) {
        // Wider prefixes count all names together, or random names would evade them.
        const uint64_t hash = prefix_hash(limit, address, &ladder[level], level == 0 ? what : (unsigned)response_class);
        if ((uint64_t)count_one(limit, hash, now_ns) * limit->workers > allowed * ladder[level].multiple)
            break;
    }
    if (level == levels)
        return RATE_LIMIT_PASS;
    limit->over++;
    return settings->rate_slip && limit->over % settings->rate_slip == 0 ? RATE_LIMIT_SLIP : RATE_LIMIT_DROP;
}
