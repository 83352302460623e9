// SPDX-License-Identifier: Apache-2.0
#include "table/region_scope.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "table/region_ranges.h"

enum {
    SCOPE_MAGIC = 0x53505243, // "SPRC"
    UNIT_BYTES = 64,          // of offsets: every array starts at a cache line
    BLOCK_BITS = 5,           // 32 ranges, or blocks of the level below, in a block: half as many would double the sets
    BLOCK = 1 << BLOCK_BITS,
    LEVEL_CAP = 6, // the ranges and the blocks over them: 32^5 is above what REGION_PREFIX_MAX prefixes make
    WORDS_CAP = (REGION_MAX + 64) / 64
};

// One family's ranges. Number i of level 0 is range i; of the level above, the block of the ranges 32 i to 32 i + 31.
struct family {
    uint32_t range_count, level_count; // each at least 1; the last level has one block
    uint32_t start_at;                 // uint32_t or region_address, of each range
    uint32_t block_start_at;           // the same of each block's first range: few enough for a near cache
    uint32_t level_at[LEVEL_CAP];      // uint16_t, the region of each range; uint64_t[words], the set of each block
    uint32_t zero[2];
};

struct region_scope {
    uint32_t magic;
    uint32_t largest_region;
    uint64_t total_bytes;
    struct family family[2]; // IPv4, IPv6
    uint32_t zero[4];
} __attribute__((aligned(64)));
static_assert(sizeof(struct region_scope) == 2 * UNIT_BYTES, "the arrays are aligned behind the head");
static_assert((size_t)2 * REGION_PREFIX_MAX + 1 <= (size_t)1 << BLOCK_BITS * (LEVEL_CAP - 1), "levels suffice");

static inline const void *unit(const struct region_scope *s, uint32_t at)
{
    return (const uint8_t *)s + (size_t)at * UNIT_BYTES;
}

static inline unsigned set_words(const struct region_scope *s)
{
    return region_set_words(s->largest_region + 1);
}

// Ranges or blocks of a level.
static inline uint32_t level_count(const struct family *f, unsigned level)
{
    return ((f->range_count - 1) >> BLOCK_BITS * level) + 1;
}

static inline const uint16_t *regions(const struct region_scope *s, const struct family *f)
{
    return unit(s, f->level_at[0]);
}

static inline const uint64_t *block_set(const struct region_scope *s, const struct family *f, unsigned level,
                                        uint32_t number)
{
    return (const uint64_t *)unit(s, f->level_at[level]) + (size_t)number * set_words(s);
}

static inline uint32_t block_count(const struct family *f)
{
    return (f->range_count - 1) / BLOCK + 1;
}

// ---- building ----

static uint32_t take(uint64_t *units, uint64_t bytes)
{
    const uint64_t at = *units;
    *units += (bytes + UNIT_BYTES - 1) / UNIT_BYTES;
    return (uint32_t)at;
}

// The head of a structure of so many ranges: where everything stands.
static struct region_scope layout(uint32_t largest_region, const size_t range_count[2])
{
    struct region_scope s = {.magic = SCOPE_MAGIC, .largest_region = largest_region};
    uint64_t units = sizeof s / UNIT_BYTES;
    for (unsigned i = 0; i < 2; i++) {
        struct family *f = &s.family[i];
        f->range_count = (uint32_t)range_count[i];
        const size_t start_bytes = i ? sizeof(region_address) : sizeof(uint32_t);
        f->start_at = take(&units, range_count[i] * start_bytes);
        f->block_start_at = take(&units, block_count(f) * start_bytes);
        f->level_at[0] = take(&units, range_count[i] * sizeof(uint16_t));
        for (f->level_count = 1; level_count(f, f->level_count - 1) > 1; f->level_count++)
            f->level_at[f->level_count] =
                take(&units, (uint64_t)level_count(f, f->level_count) * set_words(&s) * sizeof(uint64_t));
    }
    s.total_bytes = units * UNIT_BYTES;
    return s;
}

// Works out the set of a block from the level below.
static void make_set(const struct region_scope *s, const struct family *f, unsigned level, uint32_t number,
                     uint64_t set[WORDS_CAP])
{
    const unsigned words = set_words(s);
    const uint32_t first = number << BLOCK_BITS, below = level_count(f, level - 1),
                   last = below - first > BLOCK ? first + BLOCK : below;
    memset(set, 0, words * sizeof *set);
    for (uint32_t i = first; i < last; i++)
        if (level == 1)
            region_set_add(set, regions(s, f)[i]);
        else
            region_set_unite(set, block_set(s, f, level - 1, i), words);
}

static void put_start(struct region_scope *s, unsigned family, uint32_t array_at, uint32_t at, region_address start)
{
    void *array = (void *)(uintptr_t)unit(s, array_at);
    if (family)
        ((region_address *)array)[at] = start;
    else
        ((uint32_t *)array)[at] = (uint32_t)(start >> 96);
}

static void put_family(struct region_scope *s, unsigned number, const struct region_range *range)
{
    const struct family *f = &s->family[number];
    uint16_t *region = (uint16_t *)(uintptr_t)regions(s, f);
    for (uint32_t i = 0; i < f->range_count; i++) {
        region[i] = range[i].region;
        put_start(s, number, f->start_at, i, range[i].start);
        if (i % BLOCK == 0)
            put_start(s, number, f->block_start_at, i / BLOCK, range[i].start);
    }
    for (unsigned level = 1; level < f->level_count; level++)
        for (uint32_t i = 0; i < level_count(f, level); i++)
            make_set(s, f, level, i, (uint64_t *)(uintptr_t)block_set(s, f, level, i));
}

static uint32_t largest_region(const struct region_prefix *prefix, size_t count)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = prefix[i].region > largest ? prefix[i].region : largest;
    return largest;
}

int region_scope_build(const struct region_prefix *prefixes, size_t count, void **scope, size_t *len)
{
    struct region_range_list list[2] = {{0}, {0}};
    if (count > REGION_PREFIX_MAX)
        return -E2BIG;
    int rc = region_ranges_collect(prefixes, count, false, &list[0]);
    if (rc == 0)
        rc = region_ranges_collect(prefixes, count, true, &list[1]);
    if (rc == 0) {
        const struct region_scope head =
            layout(largest_region(prefixes, count), (const size_t[2]){list[0].count, list[1].count});
        struct region_scope *s = aligned_alloc(UNIT_BYTES, head.total_bytes);
        rc = s ? 0 : -ENOMEM;
        if (s) {
            memset(s, 0, head.total_bytes);
            *s = head;
            put_family(s, 0, list[0].range);
            put_family(s, 1, list[1].range);
            *scope = s;
            *len = head.total_bytes;
        }
    }
    free(list[0].range);
    free(list[1].range);
    return rc;
}

// ---- checking ----

static region_address start_of(const struct region_scope *s, unsigned family, uint32_t array_at, uint32_t at)
{
    return family ? ((const region_address *)unit(s, array_at))[at]
                  : (region_address)((const uint32_t *)unit(s, array_at))[at] << 96;
}

// Ranges rise from the first address on, and each set is exactly that of its block: a search that stepped into a block
// for a region finds it there.
static bool is_family_good(const struct region_scope *s, unsigned number)
{
    const struct family *f = &s->family[number];
    uint64_t set[WORDS_CAP];
    region_address last = 0;
    for (uint32_t i = 0; i < f->range_count; i++) {
        const region_address start = start_of(s, number, f->start_at, i);
        if (regions(s, f)[i] > s->largest_region || (i ? start <= last : start != 0) ||
            (i % BLOCK == 0 && start_of(s, number, f->block_start_at, i / BLOCK) != start))
            return false;
        last = start;
    }
    for (unsigned level = 1; level < f->level_count; level++)
        for (uint32_t i = 0; i < level_count(f, level); i++) {
            make_set(s, f, level, i, set);
            if (memcmp(set, block_set(s, f, level, i), set_words(s) * sizeof *set) != 0)
                return false;
        }
    return true;
}

int region_scope_check(const void *scope, size_t len)
{
    const struct region_scope *s = scope;
    if (len < sizeof *s || s->magic != SCOPE_MAGIC || s->total_bytes != len || s->largest_region > REGION_MAX)
        return -EBADMSG;
    for (unsigned i = 0; i < 2; i++)
        if (s->family[i].range_count < 1 || s->family[i].range_count > 2 * REGION_PREFIX_MAX + 1)
            return -EBADMSG;
    const struct region_scope head =
        layout(s->largest_region, (const size_t[2]){s->family[0].range_count, s->family[1].range_count});
    if (memcmp(&head, s, sizeof head) != 0 || !is_family_good(s, 0) || !is_family_good(s, 1))
        return -EBADMSG;
    return 0;
}

unsigned region_scope_largest_region(const void *scope)
{
    return ((const struct region_scope *)scope)->largest_region;
}

// ---- searching ----

struct search {
    const struct region_scope *scope;
    const struct family *family;
    const uint64_t *same;
};

static inline bool is_same(const struct search *x, unsigned level, uint32_t number)
{
    return level == 0
               ? region_set_has(x->same, regions(x->scope, x->family)[number])
               : region_set_is_within(block_set(x->scope, x->family, level, number), x->same, set_words(x->scope));
}

enum { NONE = UINT32_MAX };

// The last range below number `at` whose region does not count as the same, or NONE. Up: each turn leaves a range, a
// block or a level behind. Down: a block that is not all the same has a part that is not, and only a whole block stands
// before another.
static uint32_t last_before(const struct search *x, uint32_t at)
{
    unsigned level = 0;
    for (;;) {
        if (at == 0)
            return NONE;
        if (at % BLOCK == 0 && level + 1 < x->family->level_count) {
            at /= BLOCK;
            level++;
        } else if (!is_same(x, level, --at)) {
            break;
        }
    }
    while (level-- > 0)
        for (at = at * BLOCK + BLOCK - 1; is_same(x, level, at);)
            at--;
    return at;
}

// The first from number `at` on, likewise.
static uint32_t first_from(const struct search *x, uint32_t at)
{
    unsigned level = 0;
    for (;;) {
        if (at >= level_count(x->family, level))
            return NONE;
        if (at % BLOCK == 0 && level + 1 < x->family->level_count) {
            at /= BLOCK;
            level++;
        } else if (is_same(x, level, at)) {
            at++;
        } else {
            break;
        }
    }
    while (level-- > 0)
        for (at *= BLOCK; is_same(x, level, at);)
            at++;
    return at;
}

// Which of `count` numbers that rise is the last not above `wanted`; the first is not above it. Without jumps.
static inline uint32_t last_not_above4(const uint32_t *number, uint32_t count, uint32_t wanted)
{
    uint32_t at = 0;
    for (uint32_t left = count; left > 1; left -= left / 2)
        at += number[at + left / 2] <= wanted ? left / 2 : 0;
    return at;
}

static inline uint32_t last_not_above6(const region_address *number, uint32_t count, region_address wanted)
{
    uint32_t at = 0;
    for (uint32_t left = count; left > 1; left -= left / 2)
        at += number[at + left / 2] <= wanted ? left / 2 : 0;
    return at;
}

static inline uint32_t block_len(const struct family *f, uint32_t first)
{
    return f->range_count - first < BLOCK ? f->range_count - first : BLOCK;
}

// Out of the way of the question whether there is anything to search for.
static __attribute__((noinline)) uint8_t search_ipv4(const struct search *x, const uint8_t address[4])
{
    const struct family *f = x->family;
    const uint32_t *start = unit(x->scope, f->start_at), *block_start = unit(x->scope, f->block_start_at);
    uint32_t wanted;
    memcpy(&wanted, address, sizeof wanted);
    wanted = __builtin_bswap32(wanted);
    const uint32_t first = last_not_above4(block_start, block_count(f), wanted) * BLOCK,
                   at = first + last_not_above4(start + first, block_len(f, first), wanted),
                   before = last_before(x, at), after = first_from(x, at + 1);
    return region_ranges_scope((region_address)wanted << 96,
                               before == NONE ? 0 : (region_address)start[before + 1] << 96,
                               after == NONE ? 0 : (region_address)start[after] << 96);
}

static __attribute__((noinline)) uint8_t search_ipv6(const struct search *x, const uint8_t address[16])
{
    const struct family *f = x->family;
    const region_address *start = unit(x->scope, f->start_at), *block_start = unit(x->scope, f->block_start_at);
    uint64_t high, low;
    memcpy(&high, address, sizeof high);
    memcpy(&low, address + 8, sizeof low);
    const region_address wanted = (region_address)__builtin_bswap64(high) << 64 | __builtin_bswap64(low);
    const uint32_t first = last_not_above6(block_start, block_count(f), wanted) * BLOCK,
                   at = first + last_not_above6(start + first, block_len(f, first), wanted),
                   before = last_before(x, at), after = first_from(x, at + 1);
    return region_ranges_scope(wanted, before == NONE ? 0 : start[before + 1], after == NONE ? 0 : start[after]);
}

uint8_t region_scope_ipv4(const void *scope, const uint8_t address[4], const uint64_t *same)
{
    const struct search x = {scope, &((const struct region_scope *)scope)->family[0], same};
    return is_same(&x, x.family->level_count - 1, 0) ? 0 : search_ipv4(&x, address);
}

uint8_t region_scope_ipv6(const void *scope, const uint8_t address[16], const uint64_t *same)
{
    const struct search x = {scope, &((const struct region_scope *)scope)->family[1], same};
    return is_same(&x, x.family->level_count - 1, 0) ? 0 : search_ipv6(&x, address);
}
