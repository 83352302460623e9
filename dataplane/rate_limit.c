// SPDX-License-Identifier: Apache-2.0
#include "dataplane/rate_limit.h"

#include <stdlib.h>
#include <string.h>

// Forward decay: instead of every cell's count shrinking with time, what one response adds grows, and so do the limits;
// only their ratio matters. Within a half-life, an epoch, nothing has to be worked out for a cell; a cell of an earlier
// epoch is halved as often as epochs have passed when it is met again. Growth within an epoch is worked out once a
// burst.
enum {
    EPOCH_SHIFT = 30, // 2^30 ns, 1.07 s: the half-life; a power of two keeps divisions out
    GROWTH_ONE = 1 << 16,
    COUNT_SHIFT = 8 // of `most`: 8 bits behind the point
};

// A key may stand in two neighbouring ones, in one cache line.
struct cell {
    uint64_t stamp; // the key in the upper half, the epoch in whose units `count` is in the lower
    uint64_t count; // of responses, each GROWTH_ONE at an epoch's start and twice that at its end
};

enum { LEVELS_4 = 4, LEVELS_6 = 5, LEVEL_MAX = 5 };

struct rate_limit {
    uint64_t address_salt, name_salt;
    uint64_t factor[2][LEVEL_MAX]; // by family and level, for the hash
    uint32_t cell_mask;            // of a cell's offset in octets
    uint32_t workers;
    uint32_t over;                   // responses over the limit, for the slip
    uint32_t rate_per_s, rate_burst; // of the settings that `most` was worked out from
    uint32_t epoch;
    uint64_t now_ns;                 // of which the rest is
    uint64_t growth;                 // what a response adds now
    uint64_t most[2][LEVEL_MAX];     // by family and level: counts above are over the limit, at an epoch's start
    uint64_t most_now[2][LEVEL_MAX]; // in units of `growth`
    struct cell cell[] __attribute__((aligned(64)));
};

// Multiples of the rate for wider prefixes, as Knot DNS found them in practice for the same ladder.
struct level {
    uint16_t multiple;
    uint64_t mask; // of the address, or of an IPv6 address's first half, as a number; of the narrowest: all of it
};
static const struct level ladder[2][LEVEL_MAX] = {
    {{1, UINT64_MAX}, {32, ~0xffull}, {256, ~0xfffull}, {768, ~0x3fffull}},
    {{1, UINT64_MAX}, {2, UINT64_MAX}, {3, ~0xffull}, {4, ~0xffffull}, {64, ~0xffffffffull}}};

// The next of a sequence that only who knows the seed can tell (splitmix64, Steele and others 2014).
static uint64_t draw(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

struct rate_limit *rate_limit_new(unsigned bits, uint64_t seed, unsigned workers)
{
    if (bits < 1 || bits > RATE_LIMIT_BITS_MAX || workers < 1)
        return NULL;
    const size_t bytes = sizeof(struct rate_limit) + ((size_t)1 << bits) * sizeof(struct cell);
    struct rate_limit *limit = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (!limit)
        return NULL;
    memset(limit, 0, bytes);
    limit->address_salt = draw(&seed);
    limit->name_salt = draw(&seed);
    for (unsigned i = 0; i < 2 * LEVEL_MAX; i++)
        limit->factor[i / LEVEL_MAX][i % LEVEL_MAX] = draw(&seed) | 1;
    limit->workers = workers;
    limit->rate_per_s = limit->rate_burst = UINT32_MAX; // no settings yet
    limit->cell_mask = (uint32_t)(((1u << bits) - 1) * sizeof(struct cell));
    return limit;
}

void rate_limit_free(struct rate_limit *limit)
{
    free(limit);
}

// ---- once a burst ----

// What each level allows, when the settings are others than the last time.
static void take_settings(struct rate_limit *limit, const struct zone_settings *settings)
{
    limit->rate_per_s = settings->rate_per_s;
    limit->rate_burst = settings->rate_burst;
    // A steady flow at the rate settles at rate * 1.07 s / ln 2 = 1.55 * rate, and some more just after each response;
    // a burst from nothing may reach rate_burst.
    const uint64_t steady = ((uint64_t)settings->rate_per_s << COUNT_SHIFT) * 8 / 5;
    const uint64_t burst = (uint64_t)settings->rate_burst << COUNT_SHIFT;
    uint64_t allowed = steady > burst ? steady : burst;
    if (allowed < (uint64_t)limit->workers << COUNT_SHIFT) // one response is always let through
        allowed = (uint64_t)limit->workers << COUNT_SHIFT;
    const uint64_t largest = 1ull << 46; // what is left of 64 bits by the growth, of up to 17 bits
    for (unsigned family = 0; family < 2; family++)
        for (unsigned level = 0; level < LEVEL_MAX; level++) {
            const uint64_t most = allowed * ladder[family][level].multiple / limit->workers;
            limit->most[family][level] = most < largest ? most : largest;
        }
}

// 2^x for x of an epoch, 65,536ths both: a parabola through both ends, nowhere 0.3 % away.
static uint64_t growth_at(uint64_t x)
{
    return GROWTH_ONE + (x * (43003 + (22533 * x >> 16)) >> 16);
}

// Not inlined: mostly there is nothing to do but to compare.
static __attribute__((noinline)) void take_time(struct rate_limit *limit, const struct zone_settings *settings,
                                                uint64_t now_ns)
{
    if (limit->rate_per_s != settings->rate_per_s || limit->rate_burst != settings->rate_burst)
        take_settings(limit, settings);
    if (now_ns > limit->now_ns) // never back: a cell is never of a later epoch
        limit->now_ns = now_ns;
    limit->epoch = (uint32_t)(limit->now_ns >> EPOCH_SHIFT);
    limit->growth = growth_at((limit->now_ns & ((1u << EPOCH_SHIFT) - 1)) >> (EPOCH_SHIFT - 16));
    for (unsigned i = 0; i < 2 * LEVEL_MAX; i++)
        limit->most_now[i / LEVEL_MAX][i % LEVEL_MAX] =
            limit->most[i / LEVEL_MAX][i % LEVEL_MAX] * limit->growth >> COUNT_SHIFT;
}

// ---- one response ----

// Both factors are salted, so that nobody outside can choose what falls together.
static inline uint64_t mix(uint64_t a, uint64_t b)
{
    const __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t number_of(const uint8_t *address)
{
    uint64_t n;
    memcpy(&n, address, sizeof n);
    return __builtin_bswap64(n);
}

// The client's address, or of IPv6 its first half, salted; the class stands in front of an IPv4 address.
static inline uint64_t address_word(const struct rate_limit *limit, const struct rate_limit_response *r,
                                    unsigned family)
{
    uint32_t n;
    if (family)
        return number_of(r->client) ^ limit->address_salt;
    memcpy(&n, r->client, sizeof n);
    return (__builtin_bswap32(n) | (uint64_t)r->response_class << 32) ^ limit->address_salt;
}

// Of the narrowest prefix: by address, class and name.
static inline uint64_t narrow_hash(const struct rate_limit *limit, const struct rate_limit_response *r, uint64_t word,
                                   unsigned family)
{
    const uint64_t name = r->name ^ limit->name_salt;
    if (!family)
        return mix(word, name);
    const uint64_t half = mix(word, limit->factor[1][0] ^ r->response_class);
    return mix(half ^ number_of(r->client + 8), name);
}

// Of a wider one: by prefix and class.
static inline uint64_t wide_hash(const struct rate_limit *limit, uint64_t word, unsigned family, unsigned level,
                                 unsigned response_class)
{
    const uint64_t factor = limit->factor[family][level];
    return mix(word & ladder[family][level].mask, family ? factor ^ response_class : factor);
}

static inline uint64_t count_in(const struct cell *cell, uint32_t epoch)
{
    const uint32_t halves = epoch - (uint32_t)cell->stamp;
    return halves < 64 ? cell->count >> halves : 0;
}

// Where the key's count is not ready in its first cell: it is of an earlier epoch, or in the second one, or nowhere. Of
// two cells that belong to others the weaker one is given to it; who had it starts anew if he comes back. In the second
// one for a key that counts more than the first's: they change places, so that the busy ones are found at once.
static __attribute__((noinline)) struct cell *find_other(struct cell *first, uint64_t stamp)
{
    struct cell *second = (struct cell *)((uintptr_t)first ^ sizeof *first);
    const uint32_t key = (uint32_t)(stamp >> 32), epoch = (uint32_t)stamp;
    struct cell *cell = first;
    if (first->stamp >> 32 != key && (second->stamp >> 32 == key || count_in(second, epoch) < count_in(first, epoch)))
        cell = second;
    const uint64_t count = cell->stamp >> 32 == key ? count_in(cell, epoch) : 0;
    if (cell == second && count > count_in(first, epoch)) {
        *second = *first;
        cell = first;
    }
    *cell = (struct cell){stamp, count};
    return cell;
}

static inline struct cell *cell_of(struct rate_limit *limit, uint64_t hash)
{
    return (struct cell *)((uint8_t *)limit->cell + ((uint32_t)hash & limit->cell_mask));
}

// Adds one to the key's cell; the new count.
static inline uint64_t count_one(struct rate_limit *limit, uint64_t hash, uint32_t epoch, uint64_t growth)
{
    const uint64_t stamp = hash >> 32 << 32 | epoch;
    struct cell *cell = cell_of(limit, hash);
    if (__builtin_expect(cell->stamp != stamp, 0))
        cell = find_other(cell, stamp);
    return cell->count += growth; // 64 bits are enough for 2^46 responses in two seconds
}

// Whether a level is over its limit. From the narrowest on: what a narrow prefix refuses does not count in the wider
// ones, or one client's flood would use up what its neighbours may have. Inlined for each family, whose ladder is then
// constant.
static inline __attribute__((always_inline)) bool climb(struct rate_limit *limit, uint64_t narrow, uint64_t word,
                                                        unsigned family, unsigned response_class)
{
    const unsigned levels = family ? LEVELS_6 : LEVELS_4;
    const uint32_t epoch = limit->epoch;
    const uint64_t growth = limit->growth;
    if (count_one(limit, narrow, epoch, growth) > limit->most_now[family][0])
        return true;
#pragma GCC unroll 4
    for (unsigned level = 1; level < levels; level++) {
        const uint64_t wide = wide_hash(limit, word, family, level, response_class);
        if (count_one(limit, wide, epoch, growth) > limit->most_now[family][level])
            return true;
    }
    return false;
}

// Not inlined: the registers are the other family's.
static __attribute__((noinline)) bool climb6(struct rate_limit *limit, uint64_t narrow, uint64_t word,
                                             unsigned response_class)
{
    return climb(limit, narrow, word, 1, response_class);
}

static __attribute__((noinline)) enum rate_limit_verdict refuse(struct rate_limit *limit,
                                                                const struct zone_settings *settings)
{
    limit->over++;
    return settings->rate_slip && limit->over % settings->rate_slip == 0 ? RATE_LIMIT_SLIP : RATE_LIMIT_DROP;
}

unsigned rate_limit_check(struct rate_limit *limit, const struct zone_settings *settings, uint64_t now_ns,
                          struct rate_limit_response *response, unsigned count)
{
    struct {
        uint64_t word, narrow;
    } hashed[RATE_LIMIT_MANY_MAX];
    unsigned over = 0;
    take_time(limit, settings, now_ns);
    for (unsigned i = 0; i < count; i++) {
        const struct rate_limit_response *r = &response[i];
        hashed[i].word = address_word(limit, r, r->is_ipv6);
        hashed[i].narrow = narrow_hash(limit, r, hashed[i].word, r->is_ipv6);
        __builtin_prefetch(cell_of(limit, hashed[i].narrow)); // the wider prefixes are few
    }
    for (unsigned i = 0; i < count; i++) {
        struct rate_limit_response *r = &response[i];
        const bool is_over = r->is_ipv6 ? climb6(limit, hashed[i].narrow, hashed[i].word, r->response_class)
                                        : climb(limit, hashed[i].narrow, hashed[i].word, 0, r->response_class);
        r->verdict = RATE_LIMIT_PASS;
        if (__builtin_expect(is_over, 0)) {
            r->verdict = (uint8_t)refuse(limit, settings);
            over++;
        }
    }
    return over;
}
