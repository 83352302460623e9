// SPDX-License-Identifier: Apache-2.0
#include "dataplane/rate_limit.h"

#include <stdlib.h>
#include <string.h>

// Forward decay: instead of every cell's count shrinking with time, what one response adds grows, and so do the limits;
// only their ratio matters. Within a half-life, an epoch, nothing has to be worked out for a cell; a cell of an earlier
// epoch is halved as often as epochs have passed when it is met again. Growth within an epoch is worked out at most
// once a tick.
enum {
    EPOCH_SHIFT = 30, // 2^30 ns, 1.07 s: the half-life; a power of two keeps divisions out
    TICK_SHIFT = 14,  // 2^14 ns, 16 us: an epoch has 2^16 ticks
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
    uint64_t tick;                   // of which the rest is
    uint64_t growth;                 // what a response adds now
    uint64_t most[2][LEVEL_MAX];     // by family and level: counts above are over the limit, at an epoch's start
    uint64_t most_now[2][LEVEL_MAX]; // in units of `growth`
    struct cell cell[] __attribute__((aligned(64)));
};

// Multiples of the rate for wider prefixes, as Knot DNS found them in practice for the same ladder.
struct level {
    uint16_t multiple;
    uint64_t mask; // of a lane's `wide`, in which an address's last octet is the uppermost; the narrowest is not in it
};
static const struct level ladder[2][LEVEL_MAX] = {
    {{1, 0}, {32, UINT64_MAX}, {256, ~(0x0full << 56)}, {768, ~(0x3full << 56)}},
    {{1, 0}, {2, UINT64_MAX}, {3, UINT64_MAX >> 8}, {4, UINT64_MAX >> 16}, {64, UINT64_MAX >> 32}}};

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

// Not inlined: at full rate most bursts come within the last one's tick.
static __attribute__((noinline)) void take_time(struct rate_limit *limit, const struct zone_settings *settings,
                                                uint64_t tick)
{
    if (limit->rate_per_s != settings->rate_per_s || limit->rate_burst != settings->rate_burst)
        take_settings(limit, settings);
    if (tick > limit->tick) // never back: a cell is never of a later epoch
        limit->tick = tick;
    limit->epoch = (uint32_t)(limit->tick >> (EPOCH_SHIFT - TICK_SHIFT));
    limit->growth = growth_at(limit->tick & ((1u << (EPOCH_SHIFT - TICK_SHIFT)) - 1));
    for (unsigned i = 0; i < 2 * LEVEL_MAX; i++)
        limit->most_now[i / LEVEL_MAX][i % LEVEL_MAX] =
            limit->most[i / LEVEL_MAX][i % LEVEL_MAX] * limit->growth >> COUNT_SHIFT;
}

void rate_limit_begin(struct rate_limit_batch *batch, struct rate_limit *limit, const struct zone_settings *settings,
                      uint64_t now_ns)
{
    const uint64_t tick = now_ns >> TICK_SHIFT;
    if (tick > limit->tick || limit->rate_per_s != settings->rate_per_s || limit->rate_burst != settings->rate_burst)
        take_time(limit, settings, tick);
    batch->limit = limit;
    batch->cells = (const uint8_t *)limit->cell;
    batch->address_salt = limit->address_salt;
    batch->name_salt = limit->name_salt;
    batch->half_factor = limit->factor[1][0];
    batch->cell_mask = limit->cell_mask;
    batch->slip = settings->rate_slip;
    batch->ipv6 = batch->refused = batch->slipped = 0;
}

// ---- one response ----

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

// What is the same for all lanes: kept apart, since counts that are written would have it read anew.
struct now {
    uint64_t epoch, growth;
    uint32_t cell_mask;
};

static inline struct now now_of(const struct rate_limit *limit)
{
    return (struct now){limit->epoch, limit->growth, limit->cell_mask};
}

// Adds one to a key's cell. Whether the new count is over `most`.
static inline bool count_one(struct rate_limit *limit, struct now now, uint64_t key, uint32_t cell_at,
                             const uint64_t *most)
{
    const uint64_t stamp = key | now.epoch;
    struct cell *cell = (struct cell *)((uint8_t *)limit->cell + cell_at);
    if (__builtin_expect(cell->stamp != stamp, 0))
        cell = find_other(cell, stamp);
    return (cell->count += now.growth) > *most; // 64 bits are enough for 2^46 responses in two seconds
}

static inline uint64_t key_of(uint64_t hash)
{
    return hash & ~0xffffffffull;
}

// The same for a wider prefix of IPv4: with the class 32 bits, in the upper half of `wide`. The product with a drawn
// odd factor needs no mixing (multiply-shift: Dietzfelbinger and others 1997). Its lower word has nothing but the key,
// which no two prefixes of one length share; its upper word chooses the cell.
static inline bool count_wide4(struct rate_limit *limit, struct now now, uint64_t wide, unsigned level)
{
    const __uint128_t product = (__uint128_t)(wide & ladder[0][level].mask) * limit->factor[0][level];
    return count_one(limit, now, (uint64_t)product, (uint32_t)(product >> 64) & now.cell_mask,
                     &limit->most_now[0][level]);
}

// Of IPv6.
static inline bool count_wide6(struct rate_limit *limit, struct now now, uint64_t wide, unsigned level,
                               unsigned response_class)
{
    const uint64_t hash = rate_limit_mix(wide & ladder[1][level].mask, limit->factor[1][level] ^ response_class);
    return count_one(limit, now, key_of(hash), (uint32_t)hash & now.cell_mask, &limit->most_now[1][level]);
}

// Whether a level is over its limit. From the narrowest on: what a narrow prefix refuses does not count in the wider
// ones, or one client's flood would use up what its neighbours may have.
static inline bool climb4(struct rate_limit *limit, struct now now, const struct rate_limit_batch *batch, size_t lane)
{
    const uint64_t wide = batch->wide[lane];
    if (count_one(limit, now, key_of(batch->narrow[lane]), batch->cell_at[lane], &limit->most_now[0][0]))
        return true;
#pragma GCC unroll 4
    for (unsigned level = 1; level < LEVELS_4; level++)
        if (count_wide4(limit, now, wide, level))
            return true;
    return false;
}

// Not inlined: the registers are the other family's.
static __attribute__((noinline)) bool climb6(struct rate_limit *limit, const struct rate_limit_batch *batch,
                                             size_t lane)
{
    const struct now now = now_of(limit);
    if (count_one(limit, now, key_of(batch->narrow[lane]), batch->cell_at[lane], &limit->most_now[1][0]))
        return true;
#pragma GCC unroll 4
    for (unsigned level = 1; level < LEVELS_6; level++)
        if (count_wide6(limit, now, batch->wide[lane], level, batch->response_class[lane]))
            return true;
    return false;
}

static __attribute__((noinline)) void refuse(struct rate_limit_batch *batch, size_t lane)
{
    const uint32_t over = ++batch->limit->over;
    batch->refused |= 1ull << lane;
    if (batch->slip && over % batch->slip == 0)
        batch->slipped |= 1ull << lane;
}

bool rate_limit_count(struct rate_limit_batch *batch, size_t count)
{
    struct rate_limit *limit = batch->limit;
    const struct now now = now_of(limit);
    const uint64_t ipv6 = batch->ipv6;
    for (size_t lane = 0; lane < count; lane++) {
        const bool is_ipv6 = __builtin_expect(ipv6 >> lane & 1, 0);
        if (__builtin_expect(is_ipv6 ? climb6(limit, batch, lane) : climb4(limit, now, batch, lane), 0))
            refuse(batch, lane);
    }
    return batch->refused == 0;
}

enum rate_limit_verdict rate_limit_check(struct rate_limit *limit, const struct zone_settings *settings,
                                         uint64_t now_ns, const struct rate_limit_response *r)
{
    struct rate_limit_batch batch;
    rate_limit_begin(&batch, limit, settings, now_ns);
    if (r->is_ipv6)
        rate_limit_fill6(&batch, 0, r->client, (enum rate_limit_class)r->response_class, r->name);
    else
        rate_limit_fill4(&batch, 0, r->client, (enum rate_limit_class)r->response_class, r->name);
    rate_limit_count(&batch, 1);
    return rate_limit_verdict_of(&batch, 0);
}
