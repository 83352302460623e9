// SPDX-License-Identifier: Apache-2.0
#include "dataplane/rate_limit.h"

#include <stdlib.h>
#include <string.h>

// Half-life is one second: a cell that receives `rate` a second settles near rate / ln 2, so that unit is compared.
enum {
    DECAY_SHIFT = 30, // 2^30 ns, 1.07 s: the half-life; a power of two keeps divisions out
    COUNT_ONE = 256   // fixed point: 8 bits behind the point
};

// A key may stand in two neighbouring ones, in one cache line.
struct cell {
    uint32_t key;
    uint32_t count; // fixed point
    uint64_t touched_ns;
};

enum { LEVELS_4 = 4, LEVELS_6 = 5, LEVEL_MAX = 5 };

struct rate_limit {
    uint64_t seed;
    uint32_t mask;
    uint32_t workers;
    uint32_t over;                   // responses over the limit, for the slip
    uint32_t rate_per_s, rate_burst; // of the settings that `most` was worked out from
    uint32_t most[2][LEVEL_MAX];     // by family and level: counts above are over the limit
    struct cell cell[] __attribute__((aligned(64)));
};

// Multiples of the rate for wider prefixes, as Knot DNS found them in practice for the same ladder.
struct level {
    uint8_t bits;
    uint16_t multiple;
    uint64_t mask[2]; // of the address in memory order
};
static const struct level ladder[2][LEVEL_MAX] = {
    {{32, 1, {0xffffffff, 0}}, {24, 32, {0x00ffffff, 0}}, {20, 256, {0x00f0ffff, 0}}, {18, 768, {0x00c0ffff, 0}}},
    {{128, 1, {UINT64_MAX, UINT64_MAX}},
     {64, 2, {UINT64_MAX, 0}},
     {56, 3, {0x00ffffffffffffff, 0}},
     {48, 4, {0x0000ffffffffffff, 0}},
     {32, 64, {0x00000000ffffffff, 0}}}};

struct rate_limit *rate_limit_new(unsigned bits, uint64_t seed, unsigned workers)
{
    if (bits < 1 || bits > 28 || workers < 1)
        return NULL;
    const size_t bytes = sizeof(struct rate_limit) + ((size_t)1 << bits) * sizeof(struct cell);
    struct rate_limit *limit = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!limit)
        return NULL;
    memset(limit, 0, bytes);
    limit->seed = seed;
    limit->workers = workers;
    limit->rate_per_s = limit->rate_burst = UINT32_MAX; // no settings yet
    limit->mask = (uint32_t)((1u << bits) - 1);
    return limit;
}

void rate_limit_free(struct rate_limit *limit)
{
    free(limit);
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __uint128_t m = (__uint128_t)(a ^ 0xe7037ed1a0b428dbull) * (b ^ 0xa0761d6478bd642full);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

// Of a level's prefix. Both factors hold the seed, so that nobody outside can choose prefixes that fall together.
static inline __attribute__((always_inline)) uint64_t prefix_hash(const struct rate_limit *limit,
                                                                  const uint64_t address[2], unsigned family,
                                                                  unsigned level, unsigned response_class)
{
    const struct level *l = &ladder[family][level];
    const uint64_t seed = limit->seed, turned = seed << 32 | seed >> 32, what = l->bits | response_class << 8;
    const uint64_t low = family ? address[1] & l->mask[1] : 0;
    return mix((address[0] & l->mask[0]) ^ seed, low ^ turned ^ what);
}

static inline uint32_t decayed(const struct cell *cell, uint64_t now_ns)
{
    if (now_ns <= cell->touched_ns) // also within a burst
        return cell->count;
    const uint64_t age_ns = now_ns - cell->touched_ns, halves = age_ns >> DECAY_SHIFT;
    if (halves >= 32)
        return 0;
    // Between two half-lives the count falls on a straight line, which is never above 6 % from the curve.
    const uint32_t count = cell->count >> halves;
    const uint64_t rest = age_ns & ((1u << DECAY_SHIFT) - 1);
    return count - (uint32_t)((count / 2 * rest) >> DECAY_SHIFT);
}

// The key's cell; of two that belong to others the weaker one, which its key gives up: it starts anew if it comes back.
static __attribute__((noinline)) struct cell *find_other(struct cell *first, uint32_t key, uint64_t now_ns)
{
    struct cell *second = (struct cell *)((uintptr_t)first ^ sizeof *first);
    if (second->key == key)
        return second;
    struct cell *weaker = decayed(second, now_ns) < decayed(first, now_ns) ? second : first;
    weaker->key = key;
    weaker->count = 0;
    return weaker;
}

// Adds one to the key's cell; the new count.
static inline uint32_t count_one(struct rate_limit *limit, uint64_t hash, uint64_t now_ns)
{
    const uint32_t key = (uint32_t)(hash >> 32) | 1;
    struct cell *cell = &limit->cell[(uint32_t)hash & limit->mask];
    if (__builtin_expect(cell->key != key, 0))
        cell = find_other(cell, key, now_ns);
    const uint32_t count = decayed(cell, now_ns);
    cell->count = count > UINT32_MAX - COUNT_ONE ? count : count + COUNT_ONE;
    cell->touched_ns = now_ns;
    return cell->count;
}

// What each level allows, when the settings are others than the last time.
static __attribute__((noinline)) void take_settings(struct rate_limit *limit, const struct zone_settings *settings)
{
    limit->rate_per_s = settings->rate_per_s;
    limit->rate_burst = settings->rate_burst;
    // A steady flow at the rate settles at rate / ln 2 = 1.44 * rate; a burst from nothing may reach rate_burst.
    const uint64_t steady = (uint64_t)settings->rate_per_s * COUNT_ONE * 13 / 9;
    const uint64_t burst = (uint64_t)settings->rate_burst * COUNT_ONE;
    uint64_t allowed = steady > burst ? steady : burst;
    if (allowed < (uint64_t)limit->workers * COUNT_ONE) // one response is always let through
        allowed = (uint64_t)limit->workers * COUNT_ONE;
    for (unsigned family = 0; family < 2; family++)
        for (unsigned level = 0; level < LEVEL_MAX; level++) {
            const uint64_t most = allowed * ladder[family][level].multiple / limit->workers;
            limit->most[family][level] = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
        }
}

// The level that is over its limit, or the number of levels. From the narrowest on: what a narrow prefix refuses does
// not count in the wider ones, or one client's flood would use up what its neighbours may have. Inlined for each
// family, whose ladder is then constant.
static inline __attribute__((always_inline)) unsigned climb(struct rate_limit *limit, const uint8_t *client,
                                                            unsigned family, uint64_t key, unsigned response_class,
                                                            uint64_t now_ns)
{
    const unsigned levels = family ? LEVELS_6 : LEVELS_4;
    uint64_t address[2] = {0, 0};
    memcpy(address, client, family ? 16 : 4);
    if (count_one(limit, key, now_ns) > limit->most[family][0])
        return 0;
#pragma GCC unroll 4
    for (unsigned level = 1; level < levels; level++) {
        const uint64_t hash = prefix_hash(limit, address, family, level, response_class);
        if (count_one(limit, hash, now_ns) > limit->most[family][level])
            return level;
    }
    return levels;
}

uint64_t rate_limit_key(const struct rate_limit *limit, const uint8_t *client, bool is_ipv6,
                        enum rate_limit_class response_class, uint64_t name)
{
    uint64_t address[2] = {0, 0}, prefix;
    if (is_ipv6) {
        memcpy(address, client, 16);
        prefix = prefix_hash(limit, address, 1, 0, response_class);
    } else {
        memcpy(address, client, 4);
        prefix = prefix_hash(limit, address, 0, 0, response_class);
    }
    const uint64_t key = mix(prefix, name ^ limit->seed);
    __builtin_prefetch(&limit->cell[(uint32_t)key & limit->mask]);
    return key;
}

enum rate_limit_verdict rate_limit_check(struct rate_limit *limit, const struct zone_settings *settings,
                                         const uint8_t *client, bool is_ipv6, enum rate_limit_class response_class,
                                         uint64_t key, uint64_t now_ns)
{
    if (__builtin_expect(limit->rate_per_s != settings->rate_per_s || limit->rate_burst != settings->rate_burst, 0))
        take_settings(limit, settings);
    const bool is_over = is_ipv6 ? climb(limit, client, 1, key, response_class, now_ns) < LEVELS_6
                                 : climb(limit, client, 0, key, response_class, now_ns) < LEVELS_4;
    if (!is_over)
        return RATE_LIMIT_PASS;
    limit->over++;
    return settings->rate_slip && limit->over % settings->rate_slip == 0 ? RATE_LIMIT_SLIP : RATE_LIMIT_DROP;
}
