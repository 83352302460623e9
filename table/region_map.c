// SPDX-License-Identifier: Apache-2.0
#include "table/region_map.h"

#include <string.h>

#include "table/region_map_private.h"

struct address {
    uint64_t half[2]; // host order; IPv4 in the top of the first
};

static uint64_t number_of(const uint8_t octets[8])
{
    uint64_t n;
    memcpy(&n, octets, sizeof n);
    return __builtin_bswap64(n); // little-endian, as images are
}

static inline struct address address_of(const uint8_t *octets, bool is_ipv6)
{
    uint32_t n;
    if (is_ipv6)
        return (struct address){{number_of(octets), number_of(octets + 8)}};
    memcpy(&n, octets, sizeof n);
    return (struct address){{(uint64_t)__builtin_bswap32(n) << 32, 0}};
}

// The address's bits behind the first `depth`, as far as the same half goes, at the top of the number.
static inline uint64_t bits_behind(const struct address *a, unsigned depth, bool is_ipv6)
{
    return is_ipv6 ? a->half[depth >> 6 & 1] << (depth & 63) : a->half[0] << depth;
}

// Defines list_find_N: in a list of keys of N bits, `value` the same bits of the address. A halving search without
// branches was a fifth slower than counting.
#define LIST_FIND(bits)                                                                                                \
    static inline struct region_match list_find_##bits(const uint8_t *list, unsigned count, unsigned depth,            \
                                                       uint##bits##_t value)                                           \
    {                                                                                                                  \
        const uint##bits##_t *key = (const void *)list;                                                                \
        const unsigned key_count = count - 1;                                                                          \
        unsigned at = 0; /* keys at or below the value */                                                              \
        for (unsigned k = 0; k < key_count; k++)                                                                       \
            at += key[k] <= value;                                                                                     \
        const uint16_t region = ((const uint16_t *)(const void *)(key + key_count))[at];                               \
        unsigned scope = 0;                                                                                            \
        if (at > 0)                                                                                                    \
            scope = (unsigned)__builtin_clzll((uint64_t)(value ^ (uint##bits##_t)(key[at - 1] - 1)) << (64 - bits));   \
        if (at < key_count) {                                                                                          \
            const unsigned n = (unsigned)__builtin_clzll((uint64_t)(value ^ key[at]) << (64 - bits));                  \
            scope = n > scope ? n : scope;                                                                             \
        }                                                                                                              \
        return (struct region_match){region, (uint8_t)(depth + scope + 1)};                                            \
    }

LIST_FIND(16)
LIST_FIND(32)
LIST_FIND(64)

static unsigned leading_equal_bits(__uint128_t a, __uint128_t b)
{
    const uint64_t high = (uint64_t)((a ^ b) >> 64), low = (uint64_t)(a ^ b);
    return high ? (unsigned)__builtin_clzll(high) : 64 + (unsigned)__builtin_clzll(low | 1);
}

static struct region_match list_find_128(const uint8_t *list, unsigned count, const uint8_t *address)
{
    const uint64_t *key = (const void *)list; // pairs: high, low
    const __uint128_t value = (__uint128_t)number_of(address) << 64 | number_of(address + 8);
    __uint128_t before = 0, behind = 0; // the boundaries around the value
    unsigned at = 0;
    for (; at + 1 < count; at++) {
        behind = (__uint128_t)key[2 * at] << 64 | key[2 * at + 1];
        if (behind > value)
            break;
        before = behind;
    }
    const uint16_t region = ((const uint16_t *)(const void *)(key + 2 * (count - 1)))[at];
    const unsigned left = at > 0 ? leading_equal_bits(value, before - 1) : 0;
    const unsigned right = at + 1 < count ? leading_equal_bits(value, behind) : 0;
    return (struct region_match){region, (uint8_t)((left > right ? left : right) + 1)};
}

// Where a look-up has come to when the tables are behind it.
struct reached {
    uint64_t bits;       // of the address, behind `depth`
    const uint8_t *list; // if the entry is one
    uint32_t entry;
    uint32_t depth;
};

static inline __attribute__((always_inline)) struct reached walk_tables(const void *map, const uint8_t *octets,
                                                                        bool is_ipv6)
{
    const struct region_family *family = &((const struct region_map *)map)->family[is_ipv6];
    const uint32_t *table = (const void *)((const uint8_t *)map + family->table_at);
    const struct address a = address_of(octets, is_ipv6);
    unsigned depth = family->root_stride;
    uint32_t entry = table[a.half[0] >> (64 - depth)];
    while (region_entry_kind(entry) == REGION_ENTRY_TABLE) { // ends: tables lie behind those that lead to them
        const unsigned stride = region_entry_count(entry);
        entry = table[2 * region_entry_offset(entry) + (bits_behind(&a, depth, is_ipv6) >> (64 - stride))];
        depth += stride;
    }
    const uint8_t *list =
        (const uint8_t *)map + family->list_at + (size_t)region_entry_offset(entry) * REGION_UNIT_BYTES;
    return (struct reached){bits_behind(&a, depth, is_ipv6), list, entry, depth};
}

// Not inlined, as the lists that most IPv4 addresses lead to are.
static __attribute__((noinline)) struct region_match finish_other(const struct reached *r, const uint8_t *address)
{
    const unsigned count = region_entry_count(r->entry);
    switch (region_entry_kind(r->entry)) {
    case REGION_ENTRY_KEYS_32:
        return list_find_32(r->list, count, r->depth, (uint32_t)(r->bits >> 32));
    case REGION_ENTRY_KEYS_64:
        __builtin_prefetch(r->list + 64); // the regions, if they are in the next line
        return list_find_64(r->list, count, r->depth, r->bits);
    case REGION_ENTRY_KEYS_128:
        return list_find_128(r->list, count, address);
    default:
        return (struct region_match){region_entry_region(r->entry), region_entry_scope(r->entry)};
    }
}

static inline struct region_match finish(const struct reached *r, const uint8_t *address)
{
    if (region_entry_kind(r->entry) == REGION_ENTRY_KEYS_16)
        return list_find_16(r->list, region_entry_count(r->entry), r->depth, (uint16_t)(r->bits >> 48));
    return finish_other(r, address);
}

struct region_match region_map_find_ipv4(const void *map, const uint8_t address[4])
{
    const struct reached r = walk_tables(map, address, false);
    return finish(&r, address);
}

struct region_match region_map_find_ipv6(const void *map, const uint8_t address[16])
{
    const struct reached r = walk_tables(map, address, true);
    return finish(&r, address);
}

static __attribute__((noinline)) struct reached walk_tables6(const void *map, const uint8_t *octets)
{
    return walk_tables(map, octets, true);
}

void region_map_find_many(const void *map, const uint8_t *const address[], uint64_t is_ipv6, unsigned count,
                          struct region_match match[])
{
    struct reached r[REGION_MANY_MAX];
    for (unsigned i = 0; i < count; i++) {
        r[i] = is_ipv6 >> i & 1 ? walk_tables6(map, address[i]) : walk_tables(map, address[i], false);
        __builtin_prefetch(r[i].list);
        __builtin_prefetch(r[i].list + 64);
    }
    for (unsigned i = 0; i < count; i++)
        match[i] = finish(&r[i], address[i]);
}
