// SPDX-License-Identifier: Apache-2.0
// From ranges to tables and lists, breadth first: a queue of tables to be filled, each with the ranges it covers.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "table/region_map_private.h"
#include "table/region_ranges.h"

// Ranges a slot of a table has on average: fewer make tables larger, more make lists longer. Measured with half a
// million prefixes: 2 to 8 are alike for IPv4; 4 is best for IPv6.
enum { RANGES_PER_SLOT = 4 };

struct buffer {
    uint8_t *octets;
    size_t len, cap;
};

struct slot { // the addresses that begin with the first `depth` bits of `start`
    region_address start, end;
    size_t first, last; // ranges in it, both included
    unsigned depth;
};

struct pending { // a table whose entries are still to be filled
    struct slot slot;
    size_t entry_at; // octets in the tables
    unsigned stride;
};

struct work {
    const struct region_range *range;
    size_t range_count;
    struct buffer tables, lists, queue; // the queue: struct pending
};

// Room for `more` zeroed octets. Null: no memory.
static void *buffer_add(struct buffer *b, size_t more)
{
    if (b->len + more > b->cap) {
        const size_t cap = 2 * (b->len + more);
        uint8_t *grown = realloc(b->octets, cap);
        if (!grown)
            return NULL;
        b->octets = grown;
        b->cap = cap;
    }
    memset(b->octets + b->len, 0, more);
    b->len += more;
    return b->octets + b->len - more;
}

static unsigned stride_for(size_t range_count, unsigned depth)
{
    const unsigned left = 64 - depth % 64; // tables do not cross the middle of an address
    unsigned stride = 1;
    while (stride < REGION_STRIDE_MAX && stride < left && range_count >> stride > RANGES_PER_SLOT)
        stride++;
    return stride;
}

// Bits of the prefixes on which all boundaries inside of a slot stand.
static unsigned grid_of(const struct work *w, const struct slot *slot)
{
    region_address bits = 0;
    for (size_t i = slot->first + 1; i <= slot->last; i++)
        bits |= w->range[i].start;
    return (uint64_t)bits ? 128 - (unsigned)__builtin_ctzll((uint64_t)bits)
                          : 64 - (unsigned)__builtin_ctzll((uint64_t)(bits >> 64));
}

// Where a table so fine that no list is left does not take half as much again as a coarser one with its lists, of about
// 5 octets a range, it is that: a look-up has a read less.
static unsigned stride_of(const struct work *w, const struct slot *slot)
{
    const size_t range_count = slot->last - slot->first + 1;
    const unsigned coarse = stride_for(range_count, slot->depth), left = 64 - slot->depth % 64;
    if (range_count < 2)
        return coarse;
    const unsigned fine = grid_of(w, slot) - slot->depth;
    const bool is_fine = fine <= REGION_STRIDE_MAX && fine <= left &&
                         (size_t)4 << fine <= (((size_t)4 << coarse) + 5 * range_count) * 3 / 2;
    return is_fine ? fine : coarse;
}

static int add_table(struct work *w, const struct slot *slot, uint32_t *entry)
{
    const unsigned stride = stride_of(w, slot);
    if (slot->depth) { // the root has no head
        struct region_table_head *head = buffer_add(&w->tables, sizeof *head);
        if (!head)
            return -ENOMEM;
        *head = (struct region_table_head){.depth = (uint8_t)slot->depth, .stride = (uint8_t)stride};
    }
    const size_t at = w->tables.len;
    struct pending *p = buffer_add(&w->queue, sizeof *p);
    if (!p || !buffer_add(&w->tables, sizeof(uint32_t) << stride))
        return -ENOMEM;
    *p = (struct pending){*slot, at, stride};
    if (at / REGION_UNIT_BYTES > REGION_OFFSET_MAX)
        return -E2BIG;
    *entry = REGION_ENTRY_TABLE | (stride - 1) << 3 | (uint32_t)(at / REGION_UNIT_BYTES) << 7;
    return 0;
}

// The shortest keys in which all boundaries of the slot can be told apart from all addresses.
static unsigned key_kind(const struct work *w, const struct slot *slot)
{
    region_address bits = 0;
    for (size_t i = slot->first + 1; i <= slot->last; i++)
        bits |= w->range[i].start;
    if (slot->depth < 64 && (uint64_t)bits)
        return REGION_ENTRY_KEYS_128;
    const uint64_t half = (slot->depth < 64 ? (uint64_t)(bits >> 64) : (uint64_t)bits) << slot->depth % 64;
    return !(half << 16) ? REGION_ENTRY_KEYS_16 : !(half << 32) ? REGION_ENTRY_KEYS_32 : REGION_ENTRY_KEYS_64;
}

static void put_key(uint8_t *list, size_t at, unsigned kind, region_address start, unsigned depth)
{
    const uint64_t high = (uint64_t)(start >> 64), low = (uint64_t)start;
    const uint64_t half = (depth < 64 ? high : low) << depth % 64;
    if (kind == REGION_ENTRY_KEYS_16)
        ((uint16_t *)(void *)list)[at] = (uint16_t)(half >> 48);
    else if (kind == REGION_ENTRY_KEYS_32)
        ((uint32_t *)(void *)list)[at] = (uint32_t)(half >> 32);
    else if (kind == REGION_ENTRY_KEYS_64)
        ((uint64_t *)(void *)list)[at] = half;
    else
        memcpy(list + 16 * at, (const uint64_t[2]){high, low}, 16);
}

static int add_list(struct work *w, const struct slot *slot, uint32_t *entry)
{
    const unsigned kind = key_kind(w, slot), count = (unsigned)(slot->last - slot->first + 1);
    const size_t at = w->lists.len;
    uint8_t *list = buffer_add(&w->lists, (size_t)region_list_units(region_key_bytes(kind), count) * REGION_UNIT_BYTES);
    if (!list)
        return -ENOMEM;
    uint16_t *region = (uint16_t *)(void *)(list + (size_t)region_key_bytes(kind) * (count - 1));
    for (unsigned i = 0; i < count; i++) {
        if (i)
            put_key(list, i - 1, kind, w->range[slot->first + i].start, slot->depth);
        region[i] = w->range[slot->first + i].region;
    }
    if (at / REGION_UNIT_BYTES > REGION_OFFSET_MAX)
        return -E2BIG;
    *entry = kind | (count - 1) << 3 | (uint32_t)(at / REGION_UNIT_BYTES) << 7;
    return 0;
}

// Of a slot in one range. The prefix of one bit less than the scope begins before the range, or else ends behind it.
static uint32_t leaf_entry(const struct work *w, const struct slot *slot)
{
    const struct region_range *range = &w->range[slot->first];
    const region_address end = slot->first + 1 < w->range_count ? range[1].start : 0;
    const unsigned scope = region_ranges_scope(slot->start, range->start, end);
    uint32_t beside = range->region;
    if (scope > 0) {
        const region_address behind = ~(region_address)0 >> (scope - 1);
        beside = (slot->start & ~behind) < range->start ? range[-1].region : range[1].region;
    }
    return REGION_ENTRY_LEAF | (slot->depth - scope) << 3 | (uint32_t)range->region << 8 | beside << 20;
}

static int add_slot(struct work *w, const struct slot *slot, uint32_t *entry)
{
    if (slot->last - slot->first >= REGION_LIST_MAX)
        return add_table(w, slot, entry);
    if (slot->last > slot->first)
        return add_list(w, slot, entry);
    *entry = leaf_entry(w, slot);
    return 0;
}

static int fill_table(struct work *w, const struct pending *p)
{
    const region_address step = (region_address)1 << (128 - p->slot.depth - p->stride);
    struct slot slot = {.depth = p->slot.depth + p->stride, .start = p->slot.start, .first = p->slot.first};
    for (uint32_t i = 0; i < 1u << p->stride; i++, slot.start = slot.end) {
        slot.end = slot.start + step; // 0 for the last of the space
        for (slot.last = slot.first;
             slot.last < p->slot.last && (w->range[slot.last + 1].start < slot.end || !slot.end);)
            slot.last++;
        uint32_t entry;
        const int rc = add_slot(w, &slot, &entry);
        if (rc)
            return rc;
        memcpy(w->tables.octets + p->entry_at + i * sizeof entry, &entry, sizeof entry);
        slot.first = slot.last < p->slot.last && w->range[slot.last + 1].start == slot.end ? slot.last + 1 : slot.last;
    }
    return 0;
}

static int build_family(struct work *w, const struct region_range_list *list)
{
    uint32_t root;
    w->range = list->range;
    w->range_count = list->count;
    int rc = add_table(w, &(struct slot){.last = list->count - 1}, &root);
    for (size_t done = 0; rc == 0 && done < w->queue.len; done += sizeof(struct pending)) {
        const struct pending next = *(struct pending *)(void *)(w->queue.octets + done); // the queue may move
        rc = fill_table(w, &next);
    }
    return rc;
}

static int put_map(const struct work family[2], void **map, size_t *len)
{
    struct region_map h = {.magic = REGION_MAP_MAGIC};
    uint64_t at = sizeof h;
    for (unsigned i = 0; i < 2; i++) {
        const struct work *w = &family[i];
        h.family[i] = (struct region_family){
            .table_at = (uint32_t)at,
            .table_units = (uint32_t)(w->tables.len / REGION_UNIT_BYTES),
            .list_at = (uint32_t)(at + w->tables.len),
            .list_units = (uint32_t)(w->lists.len / REGION_UNIT_BYTES),
            .root_stride = ((const struct pending *)(const void *)w->queue.octets)->stride,
        };
        at = (at + w->tables.len + w->lists.len + 63) & ~(uint64_t)63;
    }
    h.total_bytes = at;
    if (at > UINT32_MAX)
        return -E2BIG;
    uint8_t *octets = aligned_alloc(sizeof h, at);
    if (!octets)
        return -ENOMEM;
    memset(octets, 0, at);
    memcpy(octets, &h, sizeof h);
    for (unsigned i = 0; i < 2; i++) {
        memcpy(octets + h.family[i].table_at, family[i].tables.octets, family[i].tables.len);
        if (family[i].lists.len)
            memcpy(octets + h.family[i].list_at, family[i].lists.octets, family[i].lists.len);
    }
    *map = octets;
    *len = at;
    return 0;
}

int region_map_build(const struct region_prefix *prefixes, size_t count, void **map, size_t *len)
{
    struct work family[2];
    int rc = count > REGION_PREFIX_MAX ? -E2BIG : 0;
    memset(family, 0, sizeof family);
    for (unsigned i = 0; rc == 0 && i < 2; i++) {
        struct region_range_list list;
        rc = region_ranges_collect(prefixes, count, i == 1, &list);
        if (rc == 0)
            rc = build_family(&family[i], &list);
        free(list.range);
    }
    if (rc == 0)
        rc = put_map(family, map, len);
    for (unsigned i = 0; i < 2; i++) {
        free(family[i].tables.octets);
        free(family[i].lists.octets);
        free(family[i].queue.octets);
    }
    return rc;
}
