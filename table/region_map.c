// SPDX-License-Identifier: Apache-2.0
#include "table/region_map.h"

#include <string.h>

#include "table/region_map_private.h"
#include "table/region_set.h"

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

// Defines list_find_N: in a list of keys of N bits, `value` the same bits of the address. A halving search without
// branches was a fifth slower than counting. The longer of the scopes that both borders allow counts, and beside the
// region lies the one across that border.
#define LIST_FIND(bits)                                                                                                \
    static inline struct region_match list_find_##bits(const uint8_t *list, unsigned count, unsigned depth,            \
                                                       uint##bits##_t value)                                           \
    {                                                                                                                  \
        const uint##bits##_t *key = (const void *)list;                                                                \
        const unsigned key_count = count - 1;                                                                          \
        unsigned at = 0; /* keys at or below the value */                                                              \
        for (unsigned k = 0; k < key_count; k++)                                                                       \
            at += key[k] <= value;                                                                                     \
        const uint16_t *region = (const uint16_t *)(const void *)(key + key_count) + at;                               \
        unsigned scope = 0;                                                                                            \
        int across = 1;                                                                                                \
        if (at > 0) {                                                                                                  \
            scope = (unsigned)__builtin_clzll((uint64_t)(value ^ (uint##bits##_t)(key[at - 1] - 1)) << (64 - bits));   \
            across = -1;                                                                                               \
        }                                                                                                              \
        if (at < key_count) {                                                                                          \
            const unsigned n = (unsigned)__builtin_clzll((uint64_t)(value ^ key[at]) << (64 - bits));                  \
            across = n > scope ? 1 : across;                                                                           \
            scope = n > scope ? n : scope;                                                                             \
        }                                                                                                              \
        return (struct region_match){*region, (uint8_t)(depth + scope + 1), region[across]};                           \
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
    return (struct region_match){region, (uint8_t)((left > right ? left : right) + 1), region};
}

// Where a look-up has come to when the tables are behind it.
struct reached {
    uint64_t bits;         // of the address, behind `depth`
    const uint32_t *table; // the last one
    uint32_t at, entry;    // of that, which entry it was
    uint32_t depth, stride;
};

struct root {
    const uint32_t *table;
    uint32_t stride;
};

static inline struct root root_of(const void *map, bool is_ipv6)
{
    const struct region_family *family = &((const struct region_map *)map)->family[is_ipv6];
    return (struct root){(const void *)((const uint8_t *)map + family->table_at), family->root_stride};
}

// Ends: tables lie behind those that lead to them. They do not cross the middle of an address.
static inline __attribute__((always_inline)) struct reached walk_tables(struct root root, const uint8_t *octets,
                                                                        bool is_ipv6)
{
    const struct address a = address_of(octets, is_ipv6);
    struct reached r = {.bits = a.half[0], .table = root.table, .stride = root.stride};
    for (;;) {
        r.at = (uint32_t)(r.bits >> (64 - r.stride));
        r.entry = r.table[r.at];
        r.depth += r.stride;
        r.bits = is_ipv6 && r.depth == 64 ? a.half[1] : r.bits << r.stride;
        if (region_entry_kind(r.entry) != REGION_ENTRY_TABLE)
            return r;
        r.stride = region_entry_count(r.entry);
        r.table = root.table + 2 * (size_t)region_entry_offset(r.entry);
    }
}

static __attribute__((noinline)) struct reached walk_tables6(const void *map, const uint8_t *octets)
{
    return walk_tables(root_of(map, true), octets, true);
}

static inline struct reached walk(const void *map, const uint8_t *octets, bool is_ipv6)
{
    return is_ipv6 ? walk_tables6(map, octets) : walk_tables(root_of(map, false), octets, false);
}

static inline const uint8_t *list_of(const void *map, const struct reached *r, bool is_ipv6)
{
    return (const uint8_t *)map + ((const struct region_map *)map)->family[is_ipv6].list_at +
           (size_t)region_entry_offset(r->entry) * REGION_UNIT_BYTES;
}

// Where a list is behind the entry. Not inlined, but for the lists that most IPv4 addresses lead to.
static __attribute__((noinline)) struct region_match finish_other(const struct reached *r, const uint8_t *list,
                                                                  const uint8_t *address)
{
    const unsigned count = region_entry_count(r->entry);
    switch (region_entry_kind(r->entry)) {
    case REGION_ENTRY_KEYS_32:
        return list_find_32(list, count, r->depth, (uint32_t)(r->bits >> 32));
    case REGION_ENTRY_KEYS_64:
        __builtin_prefetch(list + 64); // the regions, if they are in the next line
        return list_find_64(list, count, r->depth, r->bits);
    default:
        return list_find_128(list, count, address);
    }
}

static inline struct region_match finish_list(const struct reached *r, const uint8_t *list, const uint8_t *address)
{
    if (region_entry_kind(r->entry) == REGION_ENTRY_KEYS_16)
        return list_find_16(list, region_entry_count(r->entry), r->depth, (uint16_t)(r->bits >> 48));
    return finish_other(r, list, address);
}

// One region in the whole slot.
static inline struct region_match finish_leaf(const struct reached *r)
{
    return (struct region_match){region_entry_region(r->entry), (uint8_t)(r->depth - region_entry_wider(r->entry)),
                                 region_entry_beside(r->entry)};
}

static inline struct region_match finish(const void *map, const struct reached *r, const uint8_t *address, bool is_ipv6)
{
    return region_entry_kind(r->entry) == REGION_ENTRY_LEAF ? finish_leaf(r)
                                                            : finish_list(r, list_of(map, r, is_ipv6), address);
}

struct region_match region_map_find_ipv4(const void *map, const uint8_t address[4])
{
    const struct reached r = walk(map, address, false);
    return finish(map, &r, address, false);
}

struct region_match region_map_find_ipv6(const void *map, const uint8_t address[16])
{
    const struct reached r = walk(map, address, true);
    return finish(map, &r, address, true);
}

// A look-up that a list is left of.
struct pending {
    struct reached reached;
    const uint8_t *list;
    unsigned number;
};

static inline __attribute__((always_inline)) void ask_for_list(const void *map, const struct reached *r, bool is_ipv6,
                                                               struct pending *pending)
{
    pending->reached = *r;
    pending->list = list_of(map, r, is_ipv6);
    __builtin_prefetch(pending->list);
    __builtin_prefetch(pending->list + 64);
}

// The first half of any look-up: true, with a list asked for, when there is a second one.
static __attribute__((noinline)) bool start(const void *map, const uint8_t *address, bool is_ipv6,
                                            struct region_match *match, struct pending *pending)
{
    const struct reached r = walk(map, address, is_ipv6);
    if (region_entry_kind(r.entry) == REGION_ENTRY_LEAF) {
        *match = finish_leaf(&r);
        return false;
    }
    ask_for_list(map, &r, is_ipv6, pending);
    return true;
}

// A look-up of an IPv4 address before the second table is read, if there is one: mostly the last.
struct step {
    const uint32_t *entry;
    uint32_t bits, depth; // as in struct reached, but of 32 bits
};

static inline __attribute__((always_inline)) struct step step_once(struct root root, const uint8_t *address)
{
    uint32_t bits;
    memcpy(&bits, address, sizeof bits);
    bits = __builtin_bswap32(bits);
    const uint32_t *entry = &root.table[bits >> (32 - root.stride)];
    bits <<= root.stride;
    if (region_entry_kind(*entry) != REGION_ENTRY_TABLE)
        return (struct step){entry, bits, root.stride};
    const unsigned stride = region_entry_count(*entry);
    entry = &root.table[2 * (size_t)region_entry_offset(*entry) + (bits >> (32 - stride))];
    __builtin_prefetch(entry);
    return (struct step){entry, bits << stride, root.stride + stride};
}

void region_map_find_many(const void *map, const uint8_t *const address[], uint64_t is_ipv6, unsigned count,
                          struct region_match match[])
{
    static const uint32_t not_begun = REGION_ENTRY_TABLE; // as with a third table: to be walked as a whole
    struct step step[REGION_MANY_MAX];
    struct pending pending[REGION_MANY_MAX];
    const struct root root = root_of(map, false); // a copy: nothing that is stored can change it
    unsigned left = 0;
    for (unsigned i = 0; i < count; i++)
        step[i] =
            __builtin_expect(is_ipv6 >> i & 1, 0) ? (struct step){.entry = &not_begun} : step_once(root, address[i]);
    for (unsigned i = 0; i < count; i++) {
        const struct reached r = {
            .bits = (uint64_t)step[i].bits << 32, .entry = *step[i].entry, .depth = step[i].depth};
        if (__builtin_expect(region_entry_kind(r.entry) == REGION_ENTRY_LEAF, 1)) {
            match[i] = finish_leaf(&r);
            continue;
        }
        pending[left].number = i;
        if (region_entry_kind(r.entry) == REGION_ENTRY_TABLE)
            left += start(map, address[i], is_ipv6 >> i & 1, &match[i], &pending[left]);
        else
            ask_for_list(map, &r, false, &pending[left++]);
    }
    for (unsigned i = 0; i < left; i++) {
        const struct pending *p = &pending[i];
        match[p->number] = finish_list(&p->reached, p->list, address[p->number]);
    }
}

// ---- how far regions that count as one reach ----

enum { REACH_ENTRIES_MAX = 32 }; // of a table: further away the search of region_scope.h is as fast

// In a list: the nearest borders on both sides to a region that is another, of which the nearer one decides. One that
// lies outside of the list is further away than one inside.
#define LIST_REACH(bits)                                                                                               \
    static int list_reach_##bits(const uint8_t *list, unsigned count, unsigned depth, uint##bits##_t value,            \
                                 const uint64_t *same)                                                                 \
    {                                                                                                                  \
        const uint##bits##_t *key = (const void *)list;                                                                \
        const unsigned key_count = count - 1;                                                                          \
        const uint16_t *region = (const uint16_t *)(const void *)(key + key_count);                                    \
        unsigned before = 0, behind;                                                                                   \
        int scope = -1;                                                                                                \
        while (before < key_count && key[before] <= value)                                                             \
            before++;                                                                                                  \
        for (behind = before; behind < key_count && region_set_has(same, region[behind + 1]);)                         \
            behind++;                                                                                                  \
        while (before > 0 && region_set_has(same, region[before - 1]))                                                 \
            before--;                                                                                                  \
        if (before > 0)                                                                                                \
            scope = __builtin_clzll((uint64_t)(value ^ (uint##bits##_t)(key[before - 1] - 1)) << (64 - bits));         \
        if (behind < key_count) {                                                                                      \
            const int n = __builtin_clzll((uint64_t)(value ^ key[behind]) << (64 - bits));                             \
            scope = n > scope ? n : scope;                                                                             \
        }                                                                                                              \
        return scope < 0 ? -1 : (int)depth + scope + 1;                                                                \
    }

LIST_REACH(16)
LIST_REACH(32)
LIST_REACH(64)

// In a table, where all that is looked at is of one region each: half by half, each as large as what is already known.
static int table_reach(const struct reached *r, const uint64_t *same)
{
    for (unsigned below = region_entry_wider(r->entry); below < r->stride && 1u << below <= REACH_ENTRIES_MAX;
         below++) {
        const uint32_t *other = r->table + ((r->at >> below ^ 1) << below);
        for (uint32_t i = 0; i < 1u << below; i++) {
            if (region_entry_kind(other[i]) != REGION_ENTRY_LEAF)
                return -1;
            if (!region_set_has(same, region_entry_region(other[i])))
                return (int)(r->depth - below);
        }
    }
    return -1;
}

int region_map_reach(const void *map, const uint8_t *address, bool is_ipv6, const uint64_t *same)
{
    const struct reached r = walk(map, address, is_ipv6);
    const unsigned kind = region_entry_kind(r.entry), count = region_entry_count(r.entry);
    if (kind == REGION_ENTRY_LEAF)
        return table_reach(&r, same);
    const uint8_t *list = list_of(map, &r, is_ipv6);
    switch (kind) {
    case REGION_ENTRY_KEYS_16:
        return list_reach_16(list, count, r.depth, (uint16_t)(r.bits >> 48), same);
    case REGION_ENTRY_KEYS_32:
        return list_reach_32(list, count, r.depth, (uint32_t)(r.bits >> 32), same);
    case REGION_ENTRY_KEYS_64:
        return list_reach_64(list, count, r.depth, r.bits, same);
    default:
        return -1;
    }
}
