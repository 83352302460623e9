// SPDX-License-Identifier: Apache-2.0
// One walk over the tables in the order in which they lie. Each must be where the next table, or list, has to follow,
// so that the tables are a tree, nothing is used twice and nothing is left over.
#include <errno.h>
#include <string.h>

#include "table/region_map_private.h"

struct walk {
    const uint8_t *tables, *lists;
    uint32_t table_units, list_units;
    uint32_t next_table, next_list; // where the next one has to start; a table with its head
    unsigned width;                 // bits of an address
    unsigned largest_region;
};

static uint32_t table_units(unsigned stride)
{
    return (uint32_t)(sizeof(uint32_t) << stride) / REGION_UNIT_BYTES;
}

// Bits of an address up to the end of its half.
static unsigned half_end(const struct walk *w, unsigned depth)
{
    return w->width < 64 ? w->width : depth < 64 ? 64 : 128;
}

static bool is_table_good(struct walk *w, uint32_t entry, unsigned depth)
{
    const unsigned stride = region_entry_count(entry);
    const struct region_table_head wanted = {.depth = (uint8_t)depth, .stride = (uint8_t)stride};
    const uint64_t head_at = (uint64_t)w->next_table * REGION_UNIT_BYTES;
    if (depth >= w->width || depth + stride > half_end(w, depth) || region_entry_offset(entry) != w->next_table + 1 ||
        w->table_units - w->next_table < 1 + table_units(stride) ||
        memcmp(w->tables + head_at, &wanted, sizeof wanted) != 0)
        return false;
    w->next_table += 1 + table_units(stride);
    return true;
}

static __uint128_t key_at(const uint8_t *list, unsigned key_bytes, unsigned at)
{
    uint64_t key[2] = {0};
    memcpy(key, list + (size_t)key_bytes * at, key_bytes);
    return key_bytes == 16 ? (__uint128_t)key[0] << 64 | key[1] : key[0];
}

// Boundaries rise, the first is above 0, and they have no bits behind the end of the address: then no look-up's scope
// is longer than an address.
static bool are_keys_good(const struct walk *w, const uint8_t *list, unsigned key_bytes, unsigned count, unsigned depth)
{
    const unsigned end = half_end(w, depth), key_end = key_bytes == 16 ? 0 : depth + 8 * key_bytes;
    const unsigned excess = key_end > end ? key_end - end : 0;
    __uint128_t before = 0;
    for (unsigned i = 0; i + 1 < count; i++) {
        const __uint128_t key = key_at(list, key_bytes, i);
        if (key <= before || (uint64_t)key & (((uint64_t)1 << excess) - 1))
            return false;
        before = key;
    }
    return true;
}

static bool is_list_good(struct walk *w, uint32_t entry, unsigned depth)
{
    const unsigned count = region_entry_count(entry), key_bytes = region_key_bytes(region_entry_kind(entry));
    const uint32_t units = region_list_units(key_bytes, count);
    if (count < 2 || depth >= w->width || (key_bytes == 16 && w->width < 128) ||
        region_entry_offset(entry) != w->next_list || w->list_units - w->next_list < units)
        return false;
    const uint8_t *list = w->lists + (size_t)w->next_list * REGION_UNIT_BYTES;
    const uint16_t *region = (const void *)(list + (size_t)key_bytes * (count - 1));
    for (unsigned i = 0; i < count; i++)
        if (region[i] > w->largest_region)
            return false;
    w->next_list += units;
    return are_keys_good(w, list, key_bytes, count, depth);
}

static bool is_entry_good(struct walk *w, uint32_t entry, unsigned depth)
{
    switch (region_entry_kind(entry)) {
    case REGION_ENTRY_LEAF:
        return region_entry_wider(entry) <= depth && region_entry_region(entry) <= w->largest_region &&
               region_entry_beside(entry) <= w->largest_region;
    case REGION_ENTRY_TABLE:
        return is_table_good(w, entry, depth);
    case REGION_ENTRY_KEYS_16:
    case REGION_ENTRY_KEYS_32:
    case REGION_ENTRY_KEYS_64:
    case REGION_ENTRY_KEYS_128:
        return is_list_good(w, entry, depth);
    default:
        return false;
    }
}

static bool are_tables_good(struct walk *w, unsigned root_stride)
{
    unsigned depth = 0, stride = root_stride;
    uint32_t at = 0; // this table's entries, in units
    w->next_table = table_units(root_stride);
    for (;;) {
        const uint32_t *entry = (const void *)(w->tables + (size_t)at * REGION_UNIT_BYTES);
        for (uint32_t i = 0; i < 1u << stride; i++)
            if (!is_entry_good(w, entry[i], depth + stride))
                return false;
        at += table_units(stride);
        if (at == w->next_table) // it was the last one
            return at == w->table_units && w->next_list == w->list_units;
        struct region_table_head head; // compared when its entry was met
        memcpy(&head, w->tables + (size_t)at * REGION_UNIT_BYTES, sizeof head);
        depth = head.depth;
        stride = head.stride;
        at++;
    }
}

static bool is_family_good(const uint8_t *map, const struct region_family *f, uint64_t at, unsigned width, uint64_t len,
                           unsigned largest_region)
{
    const uint64_t table_bytes = (uint64_t)f->table_units * REGION_UNIT_BYTES;
    const uint64_t list_bytes = (uint64_t)f->list_units * REGION_UNIT_BYTES;
    if (f->zero || f->table_at != at || f->list_at != at + table_bytes || at + table_bytes + list_bytes > len ||
        f->root_stride < 1 || f->root_stride > REGION_STRIDE_MAX || table_units(f->root_stride) > f->table_units)
        return false;
    struct walk w = {.tables = map + f->table_at,
                     .lists = map + f->list_at,
                     .table_units = f->table_units,
                     .list_units = f->list_units,
                     .width = width,
                     .largest_region = largest_region};
    return are_tables_good(&w, f->root_stride);
}

static uint64_t family_end(const struct region_family *f)
{
    return (f->list_at + (uint64_t)f->list_units * REGION_UNIT_BYTES + 63) & ~(uint64_t)63;
}

int region_map_check(const void *map, size_t len, unsigned largest_region)
{
    struct region_map h;
    if (len < sizeof h || len > UINT32_MAX)
        return -EBADMSG;
    memcpy(&h, map, sizeof h);
    if (h.magic != REGION_MAP_MAGIC || h.zero || h.total_bytes != len)
        return -EBADMSG;
    return is_family_good(map, &h.family[0], sizeof h, 32, len, largest_region) &&
                   is_family_good(map, &h.family[1], family_end(&h.family[0]), 128, len, largest_region) &&
                   family_end(&h.family[1]) == len
               ? 0
               : -EBADMSG;
}
