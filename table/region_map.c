// SPDX-License-Identifier: Apache-2.0
// Ranges of addresses by their start. While building, IPv4 addresses stand in the top 32 bits of a 128-bit number, so
// that one algorithm serves both families. To be searched, starts are keys of a tree: IPv4 whole, IPv6 by their first
// 64 bits; the other 64 stand aside, and are looked at only where a range starts in the middle of a /64.
#include "table/region_map.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "table/key_tree.h"

typedef __uint128_t u128;

// What a range has beside its start: the region, and for IPv6 whether the starts of this range and the next have low
// bits.
enum { REGION_BITS = 0x0fff, HAS_LOW = 0x1000, NEXT_HAS_LOW = 0x2000 };

// Offsets in bytes from the map's start.
struct region_map {
    uint32_t magic;
    uint32_t range4_count, range6_count;
    uint32_t reserved;
    uint64_t total_bytes;
    uint64_t tree4_at, region4_at, tree6_at, region6_at, low6_at;
    struct key_tree_shape shape4, shape6; // follow from the counts; kept so that a search need not work them out
    uint64_t unused[2];
} __attribute__((aligned(KEY_TREE_NODE_BYTES)));
static_assert(sizeof(struct region_map) == 3 * KEY_TREE_NODE_BYTES, "no padding: headers are compared octet by octet");
#define REGION_MAP_MAGIC 0x53505248u // "SPRH"

struct entry { // a prefix while building
    u128 start;
    uint16_t region;
    uint8_t prefix_len;
    uint32_t order;
};

static uint64_t number_of(const uint8_t octets[8])
{
    uint64_t n;
    memcpy(&n, octets, sizeof n);
    return __builtin_bswap64(n); // little-endian, as images are
}

static u128 address_number(const uint8_t address[16])
{
    return (u128)number_of(address) << 64 | number_of(address + 8);
}

static u128 prefix_mask(unsigned prefix_len)
{
    return prefix_len == 0 ? 0 : ~(u128)0 << (128 - prefix_len);
}

// By start, then wider first, then later first.
static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->prefix_len != y->prefix_len)
        return x->prefix_len < y->prefix_len ? -1 : 1;
    return x->order > y->order ? -1 : x->order < y->order;
}

struct range {
    u128 start;
    uint16_t region;
};

struct range_list {
    struct range *range;
    size_t count;
};

static void range_append(struct range_list *list, u128 start, uint16_t region)
{
    if (list->count && list->range[list->count - 1].start == start)
        list->count--; // an inner prefix starts where the outer one does
    if (list->count && list->range[list->count - 1].region == region)
        return; // merged with its neighbour
    list->range[list->count++] = (struct range){start, region};
}

// Ends every open prefix that ends before `start` and reopens the one around it. `last` address of each is inclusive.
static void close_before(struct range_list *list, const struct entry **stack, unsigned *depth, bool is_end, u128 start)
{
    while (*depth) {
        const struct entry *top = stack[*depth - 1];
        u128 last = top->start | ~prefix_mask(top->prefix_len);
        if (!is_end && last >= start)
            return;
        (*depth)--;
        if (last != ~(u128)0)
            range_append(list, last + 1, *depth ? stack[*depth - 1]->region : REGION_UNKNOWN);
    }
}

// Flattens sorted prefixes into ranges that cover the whole space. The list has room for 2 * count + 1 ranges.
static void flatten(const struct entry *entry, size_t count, struct range_list *list)
{
    const struct entry *stack[129]; // prefixes nest at most once per length
    unsigned depth = 0;
    range_append(list, 0, REGION_UNKNOWN);
    for (size_t i = 0; i < count; i++) {
        if (i && entry[i].start == entry[i - 1].start && entry[i].prefix_len == entry[i - 1].prefix_len)
            continue; // a duplicate: the latest stands first
        close_before(list, stack, &depth, false, entry[i].start);
        range_append(list, entry[i].start, entry[i].region);
        stack[depth++] = &entry[i];
    }
    close_before(list, stack, &depth, true, 0);
}

static int collect(const struct region_prefix *prefix, size_t count, bool is_ipv6, struct range_list *list)
{
    struct entry *entry = calloc(count + 1, sizeof *entry);
    list->range = calloc(2 * count + 2, sizeof *list->range);
    list->count = 0;
    if (!entry || !list->range) {
        free(entry);
        return -ENOMEM;
    }
    size_t used = 0;
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        const struct region_prefix *p = &prefix[i];
        if (p->is_ipv6 != is_ipv6)
            continue;
        u128 start = address_number(p->address) & (is_ipv6 ? ~(u128)0 : prefix_mask(32));
        if (p->prefix_len > (is_ipv6 ? 128 : 32) || (start & ~prefix_mask(p->prefix_len)) ||
            p->region == REGION_UNKNOWN || p->region > REGION_MAX)
            rc = -EINVAL;
        entry[used++] = (struct entry){start, p->region, p->prefix_len, (uint32_t)i};
    }
    if (rc == 0) {
        qsort(entry, used, sizeof *entry, compare_entries);
        flatten(entry, used, list);
    }
    free(entry);
    return rc;
}

static uint64_t whole_nodes(uint64_t bytes)
{
    return (bytes + KEY_TREE_NODE_BYTES - 1) & ~(uint64_t)(KEY_TREE_NODE_BYTES - 1);
}

// Where everything lies, from the counts alone.
static struct region_map layout(uint32_t range4_count, uint32_t range6_count)
{
    struct region_map h;
    memset(&h, 0, sizeof h);
    h.magic = REGION_MAP_MAGIC;
    h.range4_count = range4_count;
    h.range6_count = range6_count;
    h.shape4 = key_tree_shape_of(range4_count, KEY_TREE_KEYS_32);
    h.shape6 = key_tree_shape_of(range6_count, KEY_TREE_KEYS_64);
    h.tree4_at = sizeof h;
    h.region4_at = h.tree4_at + h.shape4.bytes;
    h.tree6_at = whole_nodes(h.region4_at + range4_count * sizeof(uint16_t));
    h.region6_at = h.tree6_at + h.shape6.bytes;
    h.low6_at = whole_nodes(h.region6_at + range6_count * sizeof(uint16_t));
    h.total_bytes = whole_nodes(h.low6_at + range6_count * sizeof(uint64_t));
    return h;
}

static void put_ranges4(uint8_t *map, const struct region_map *h, const struct range *range)
{
    uint32_t *start = (uint32_t *)(uintptr_t)key_tree_keys_32(map + h->tree4_at, &h->shape4);
    uint16_t *region = (uint16_t *)(void *)(map + h->region4_at);
    for (uint32_t i = 0; i < h->range4_count; i++) {
        start[i] = (uint32_t)(range[i].start >> 96);
        region[i] = range[i].region;
    }
    key_tree_finish_32(map + h->tree4_at, &h->shape4, h->range4_count);
}

static void put_ranges6(uint8_t *map, const struct region_map *h, const struct range *range)
{
    uint64_t *start = (uint64_t *)(uintptr_t)key_tree_keys_64(map + h->tree6_at, &h->shape6);
    uint16_t *region = (uint16_t *)(void *)(map + h->region6_at);
    uint64_t *low = (uint64_t *)(void *)(map + h->low6_at);
    for (uint32_t i = 0; i < h->range6_count; i++) {
        const bool next_has_low = i + 1 < h->range6_count && (uint64_t)range[i + 1].start;
        start[i] = (uint64_t)(range[i].start >> 64);
        low[i] = (uint64_t)range[i].start;
        region[i] = (uint16_t)(range[i].region | (low[i] ? HAS_LOW : 0) | (next_has_low ? NEXT_HAS_LOW : 0));
    }
    key_tree_finish_64(map + h->tree6_at, &h->shape6, h->range6_count);
}

static void *put_map(const struct range_list *v4, const struct range_list *v6, size_t *len)
{
    const struct region_map h = layout((uint32_t)v4->count, (uint32_t)v6->count);
    uint8_t *map = aligned_alloc(KEY_TREE_NODE_BYTES, h.total_bytes);
    if (!map)
        return NULL;
    memset(map, 0, h.total_bytes);
    memcpy(map, &h, sizeof h);
    put_ranges4(map, &h, v4->range);
    put_ranges6(map, &h, v6->range);
    *len = h.total_bytes;
    return map;
}

int region_map_build(const struct region_prefix *prefixes, size_t count, void **map, size_t *len)
{
    struct range_list v4 = {0}, v6 = {0};
    if (count > REGION_PREFIX_MAX)
        return -E2BIG;
    int rc = collect(prefixes, count, false, &v4);
    if (rc == 0)
        rc = collect(prefixes, count, true, &v6);
    if (rc == 0) {
        *map = put_map(&v4, &v6, len);
        rc = *map ? 0 : -ENOMEM;
    }
    free(v4.range);
    free(v6.range);
    return rc;
}

static bool are_ranges_good(const uint8_t *map, const struct region_map *h)
{
    const uint32_t *start4 = key_tree_keys_32(map + h->tree4_at, &h->shape4);
    const uint64_t *start6 = key_tree_keys_64(map + h->tree6_at, &h->shape6);
    const uint16_t *region4 = (const void *)(map + h->region4_at), *region6 = (const void *)(map + h->region6_at);
    const uint64_t *low = (const void *)(map + h->low6_at);
    if (start4[0] != 0 || start6[0] != 0 || low[0] != 0)
        return false;
    for (uint32_t i = 0; i < h->range4_count; i++)
        if (region4[i] > REGION_MAX || (i && start4[i] <= start4[i - 1]))
            return false;
    for (uint32_t i = 0; i < h->range6_count; i++) {
        const bool next_has_low = i + 1 < h->range6_count && low[i + 1];
        const unsigned flags = (low[i] ? HAS_LOW : 0u) | (next_has_low ? NEXT_HAS_LOW : 0u);
        if ((region6[i] & ~(unsigned)REGION_BITS) != flags || (region6[i] & REGION_BITS) > REGION_MAX)
            return false;
        if (i && (start6[i] < start6[i - 1] || (start6[i] == start6[i - 1] && low[i] <= low[i - 1])))
            return false;
    }
    return true;
}

int region_map_check(const void *map, size_t len)
{
    struct region_map h;
    if (len < sizeof h)
        return -EBADMSG;
    memcpy(&h, map, sizeof h);
    if (!h.range4_count || !h.range6_count)
        return -EBADMSG;
    const struct region_map wanted = layout(h.range4_count, h.range6_count);
    if (memcmp(&h, &wanted, sizeof h) != 0 || h.total_bytes != len)
        return -EBADMSG;
    const uint8_t *p = map;
    return are_ranges_good(p, &h) && key_tree_is_good_32(p + h.tree4_at, &h.shape4, h.range4_count) &&
                   key_tree_is_good_64(p + h.tree6_at, &h.shape6, h.range6_count)
               ? 0
               : -EBADMSG;
}

static unsigned leading_equal_bits(u128 a, u128 b, unsigned width)
{
    u128 diff = (a ^ b) << (128 - width);
    if (diff == 0)
        return width;
    uint64_t high = (uint64_t)(diff >> 64);
    return high ? (unsigned)__builtin_clzll(high) : 64 + (unsigned)__builtin_clzll((uint64_t)diff);
}

// Bits of the widest prefix around `address` that lies in [start, end), where end is exclusive and missing for the last
// range.
static uint8_t scope_of(u128 address, u128 start, u128 end, bool has_end, unsigned width)
{
    unsigned scope = 0;
    if (start != 0) {
        unsigned n = leading_equal_bits(address, start - 1, width) + 1;
        scope = n > scope ? n : scope;
    }
    if (has_end) {
        unsigned n = leading_equal_bits(address, end, width) + 1;
        scope = n > scope ? n : scope;
    }
    return (uint8_t)scope;
}

struct region_match region_map_find_ipv4(const void *map, const uint8_t address[4])
{
    const struct region_map *h = map;
    const void *tree = (const uint8_t *)map + h->tree4_at;
    const uint16_t *region = (const void *)((const uint8_t *)map + h->region4_at);
    const uint32_t *start = key_tree_keys_32(tree, &h->shape4);
    uint32_t a;
    memcpy(&a, address, sizeof a);
    a = __builtin_bswap32(a);
    const uint32_t at = key_tree_find_32(tree, &h->shape4, h->range4_count, a);
    const bool has_end = at + 1 < h->range4_count;
    return (struct region_match){region[at], scope_of(a, start[at], has_end ? start[at + 1] : 0, has_end, 32)};
}

// Among ranges that start in the same /64: back from the last of them to the one at or below the address.
static uint32_t last_at_or_below(const uint64_t *high, const uint64_t *low, uint32_t at, uint64_t a_low)
{
    const uint64_t same = high[at];
    uint32_t first = at, step = 1;
    while (first >= step && high[first - step] == same) { // doubles: at most 32 rounds
        first -= step;
        step *= 2;
    }
    first = first >= step ? first - step : 0; // before the first of them, or the first range of all
    while (first < at) {
        const uint32_t middle = first + (at - first + 1) / 2;
        if (high[middle] < same || low[middle] <= a_low)
            first = middle;
        else
            at = middle - 1;
    }
    return at;
}

struct region_match region_map_find_ipv6(const void *map, const uint8_t address[16])
{
    const struct region_map *h = map;
    const void *tree = (const uint8_t *)map + h->tree6_at;
    const uint16_t *region = (const void *)((const uint8_t *)map + h->region6_at);
    const uint64_t *high = key_tree_keys_64(tree, &h->shape6), *low = (const void *)((const uint8_t *)map + h->low6_at);
    const u128 a = address_number(address);
    uint32_t at = key_tree_find_64(tree, &h->shape6, h->range6_count, (uint64_t)(a >> 64));
    if (region[at] & HAS_LOW && high[at] == (uint64_t)(a >> 64) && low[at] > (uint64_t)a)
        at = last_at_or_below(high, low, at, (uint64_t)a);
    const bool has_end = at + 1 < h->range6_count;
    const u128 start = (u128)high[at] << 64 | (region[at] & HAS_LOW ? low[at] : 0);
    const u128 end = has_end ? (u128)high[at + 1] << 64 | (region[at] & NEXT_HAS_LOW ? low[at + 1] : 0) : 0;
    return (struct region_match){region[at] & REGION_BITS, scope_of(a, start, end, has_end, 128)};
}
