// SPDX-License-Identifier: Apache-2.0
// Ranges of addresses by their start. IPv4 addresses stand in the top 32 bits of a 128-bit number, so that one
// algorithm serves both families and the first 16 bits index both.
#include "table/region_map.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef __uint128_t u128;

struct range4 {
    uint32_t start;
    uint32_t region;
};

struct range6 {
    uint64_t high, low; // of the start
    uint64_t region;
};

enum { FIRST_BITS = 16, FIRST_COUNT = (1 << FIRST_BITS) + 1 };

// Offsets in bytes from the map's start. index[i] is the number of the last range that starts at or before i << 16
// (of the address' first 16 bits), so the range of an address lies in index[first16] .. index[first16 + 1].
struct region_map {
    uint32_t magic;
    uint32_t range4_count, range6_count;
    uint32_t reserved;
    uint64_t total_bytes;
    uint64_t index4_at, range4_at, index6_at, range6_at;
};
#define REGION_MAP_MAGIC 0x53505247u // "SPRG"

struct entry { // a prefix while building
    u128 start;
    uint16_t region;
    uint8_t prefix_len;
    uint32_t order;
};

static u128 address_number(const uint8_t *address, unsigned bytes)
{
    u128 v = 0;
    for (unsigned i = 0; i < 16; i++)
        v = v << 8 | (i < bytes ? address[i] : 0);
    return v;
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

static void fill_index(uint32_t *index, const struct range *range, size_t count)
{
    size_t at = 0;
    for (uint32_t first = 0; first < FIRST_COUNT - 1; first++) {
        u128 start = (u128)first << (128 - FIRST_BITS);
        while (at + 1 < count && range[at + 1].start <= start)
            at++;
        index[first] = (uint32_t)at;
    }
    index[FIRST_COUNT - 1] = (uint32_t)(count - 1);
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
        u128 start = address_number(p->address, is_ipv6 ? 16 : 4);
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

static size_t round8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

static void *layout(const struct range_list *v4, const struct range_list *v6, size_t *len)
{
    struct region_map head = {
        .magic = REGION_MAP_MAGIC, .range4_count = (uint32_t)v4->count, .range6_count = (uint32_t)v6->count};
    const size_t index_bytes = round8(FIRST_COUNT * sizeof(uint32_t));
    head.index4_at = sizeof head;
    head.range4_at = head.index4_at + index_bytes;
    head.index6_at = head.range4_at + v4->count * sizeof(struct range4);
    head.range6_at = head.index6_at + index_bytes;
    head.total_bytes = head.range6_at + v6->count * sizeof(struct range6);
    uint8_t *map = calloc(1, head.total_bytes);
    if (!map)
        return NULL;
    memcpy(map, &head, sizeof head);
    fill_index((uint32_t *)(void *)(map + head.index4_at), v4->range, v4->count);
    fill_index((uint32_t *)(void *)(map + head.index6_at), v6->range, v6->count);
    struct range4 *r4 = (struct range4 *)(void *)(map + head.range4_at);
    for (size_t i = 0; i < v4->count; i++)
        r4[i] = (struct range4){(uint32_t)(v4->range[i].start >> 96), v4->range[i].region};
    struct range6 *r6 = (struct range6 *)(void *)(map + head.range6_at);
    for (size_t i = 0; i < v6->count; i++)
        r6[i] =
            (struct range6){(uint64_t)(v6->range[i].start >> 64), (uint64_t)v6->range[i].start, v6->range[i].region};
    *len = head.total_bytes;
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
        *map = layout(&v4, &v6, len);
        rc = *map ? 0 : -ENOMEM;
    }
    free(v4.range);
    free(v6.range);
    return rc;
}

static bool is_index_good(const uint32_t *index, uint32_t count)
{
    for (uint32_t i = 0; i < FIRST_COUNT; i++)
        if (index[i] >= count || (i && index[i] < index[i - 1]))
            return false;
    return true;
}

int region_map_check(const void *map, size_t len)
{
    struct region_map h;
    if (len < sizeof h)
        return -EBADMSG;
    memcpy(&h, map, sizeof h);
    const uint64_t index_bytes = round8(FIRST_COUNT * sizeof(uint32_t));
    const uint64_t bytes4 = (uint64_t)h.range4_count * sizeof(struct range4),
                   bytes6 = (uint64_t)h.range6_count * sizeof(struct range6);
    if (h.magic != REGION_MAP_MAGIC || h.total_bytes != len || !h.range4_count || !h.range6_count)
        return -EBADMSG;
    if (h.index4_at != sizeof h || h.range4_at != h.index4_at + index_bytes || h.index6_at != h.range4_at + bytes4 ||
        h.range6_at != h.index6_at + index_bytes || h.total_bytes != h.range6_at + bytes6)
        return -EBADMSG;
    const uint8_t *p = map;
    const struct range4 *r4 = (const void *)(p + h.range4_at);
    const struct range6 *r6 = (const void *)(p + h.range6_at);
    if (!is_index_good((const void *)(p + h.index4_at), h.range4_count) ||
        !is_index_good((const void *)(p + h.index6_at), h.range6_count))
        return -EBADMSG;
    if (r4[0].start != 0 || r6[0].high != 0 || r6[0].low != 0)
        return -EBADMSG;
    for (uint32_t i = 0; i < h.range4_count; i++)
        if (r4[i].region > REGION_MAX || (i && r4[i].start <= r4[i - 1].start))
            return -EBADMSG;
    for (uint32_t i = 0; i < h.range6_count; i++)
        if (r6[i].region > REGION_MAX ||
            (i && (r6[i].high < r6[i - 1].high || (r6[i].high == r6[i - 1].high && r6[i].low <= r6[i - 1].low))))
            return -EBADMSG;
    return 0;
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
    const uint32_t *index = (const void *)((const uint8_t *)map + h->index4_at);
    const struct range4 *range = (const void *)((const uint8_t *)map + h->range4_at);
    uint32_t a = (uint32_t)address[0] << 24 | (uint32_t)address[1] << 16 | (uint32_t)address[2] << 8 | address[3];
    uint32_t low = index[a >> 16], high = index[(a >> 16) + 1];
    while (low < high) { // at most 16 rounds: the bucket holds at most 65,536 starts
        uint32_t mid = low + (high - low + 1) / 2;
        if (range[mid].start <= a)
            low = mid;
        else
            high = mid - 1;
    }
    bool has_end = low + 1 < h->range4_count;
    return (struct region_match){(uint16_t)range[low].region,
                                 scope_of(a, range[low].start, has_end ? range[low + 1].start : 0, has_end, 32)};
}

struct region_match region_map_find_ipv6(const void *map, const uint8_t address[16])
{
    const struct region_map *h = map;
    const uint32_t *index = (const void *)((const uint8_t *)map + h->index6_at);
    const struct range6 *range = (const void *)((const uint8_t *)map + h->range6_at);
    u128 a = address_number(address, 16);
    uint64_t a_high = (uint64_t)(a >> 64), a_low = (uint64_t)a;
    uint32_t low = index[a_high >> 48], high = index[(a_high >> 48) + 1];
    while (low < high) { // at most log2 of the ranges in the bucket
        uint32_t mid = low + (high - low + 1) / 2;
        if (range[mid].high < a_high || (range[mid].high == a_high && range[mid].low <= a_low))
            low = mid;
        else
            high = mid - 1;
    }
    bool has_end = low + 1 < h->range6_count;
    u128 start = (u128)range[low].high << 64 | range[low].low;
    u128 end = has_end ? (u128)range[low + 1].high << 64 | range[low + 1].low : 0;
    return (struct region_match){(uint16_t)range[low].region, scope_of(a, start, end, has_end, 128)};
}
