// SPDX-License-Identifier: Apache-2.0
#include "table/region_ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry { // a prefix while building
    region_address start;
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

static region_address address_number(const uint8_t address[16])
{
    return (region_address)number_of(address) << 64 | number_of(address + 8);
}

static region_address prefix_mask(unsigned prefix_len)
{
    return prefix_len == 0 ? 0 : ~(region_address)0 << (128 - prefix_len);
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

static void range_append(struct region_range_list *list, region_address start, uint16_t region)
{
    if (list->count && list->range[list->count - 1].start == start)
        list->count--; // an inner prefix starts where the outer one does
    if (list->count && list->range[list->count - 1].region == region)
        return; // merged with its neighbour
    list->range[list->count++] = (struct region_range){start, region};
}

// Ends every open prefix that ends before `start` and reopens the one around it. `last` address of each is inclusive.
static void close_before(struct region_range_list *list, const struct entry **stack, unsigned *depth, bool is_end,
                         region_address start)
{
    while (*depth) {
        const struct entry *top = stack[*depth - 1];
        region_address last = top->start | ~prefix_mask(top->prefix_len);
        if (!is_end && last >= start)
            return;
        (*depth)--;
        if (last != ~(region_address)0)
            range_append(list, last + 1, *depth ? stack[*depth - 1]->region : REGION_UNKNOWN);
    }
}

// Flattens sorted prefixes into ranges that cover the whole space. The list has room for 2 * count + 1 ranges.
static void flatten(const struct entry *entry, size_t count, struct region_range_list *list)
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

int region_ranges_collect(const struct region_prefix *prefix, size_t count, bool is_ipv6,
                          struct region_range_list *list)
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
        region_address start = address_number(p->address) & (is_ipv6 ? ~(region_address)0 : prefix_mask(32));
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

static unsigned leading_equal_bits(region_address a, region_address b)
{
    const region_address diff = a ^ b;
    const uint64_t high = (uint64_t)(diff >> 64), low = (uint64_t)diff;
    return high ? (unsigned)__builtin_clzll(high) : low ? 64 + (unsigned)__builtin_clzll(low) : 128;
}

uint8_t region_ranges_scope(region_address address, region_address start, region_address end)
{
    const unsigned after_start = start ? leading_equal_bits(address, start - 1) + 1 : 0;
    const unsigned before_end = end ? leading_equal_bits(address, end) + 1 : 0;
    return (uint8_t)(after_start > before_end ? after_start : before_end);
}
