// SPDX-License-Identifier: Apache-2.0
// Inside the region map: what it looks like. Little-endian, offsets from the map's start, everything checked once by
// region_map_check and then trusted.
//
// Each family is a tree of tables over the address's bits. The first table (the root) and every other are indexed by
// their `stride` next bits of the address; an entry is a region, or another table for the bits that follow, or a list:
//
//     root[a.b]  ->  region and scope                      the whole slot lies in one range
//                ->  list: 3 boundaries, 4 regions         the slot lies in 2 to 16 ranges
//                ->  table of 2^stride entries  -> ...     the slot lies in more
//
// A list's boundaries are the starts of its ranges but the first one's, as the KEY bits that follow the table's bits;
// the bits behind those are zero, which is what allows short keys. Half a million prefixes are about 8 octets a range,
// 2 MB for IPv4 and 5 MB for IPv6, and a look-up is two or three reads that wait for each other, of which the first
// are in the second level of the cache.
//
// Scope without the whole range: in a list, one end of the range at least is a boundary of the list, and the other end
// only matters when it is one too, since the slot's own bits are fewer. In a slot of one range, the scope is the same
// for all addresses and stands in the entry, with the region that lies across the border where it ends.
#pragma once

#include <assert.h>

#include "table/region_map.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    REGION_MAP_MAGIC = 0x53505249, // "SPRI"
    REGION_STRIDE_MAX = 16,        // bits a table takes at once: 256 KiB of entries
    REGION_LIST_MAX = 16,          // ranges in a list: four steps, at most three cache lines with 64-bit keys
    REGION_UNIT_BYTES = 8          // of offsets in entries
};

enum region_entry_kind {
    REGION_ENTRY_LEAF = 0,    // one region
    REGION_ENTRY_TABLE = 1,   // another table: where its entries start, from table_at; stride - 1
    REGION_ENTRY_KEYS_16 = 2, // a list: where, from list_at; ranges - 1
    REGION_ENTRY_KEYS_32 = 3,
    REGION_ENTRY_KEYS_64 = 4,
    REGION_ENTRY_KEYS_128 = 5 // whole addresses: boundaries on both sides of bit 64
};

// An entry: kind in bits 0-2, count in bits 3-6, offset in units in bits 7-31. A leaf: in bits 3-7 how many bits the
// scope is shorter than the table's (no more than the table's stride: what leads to a table is of several regions),
// region in bits 8-19, the region beside in bits 20-31.
enum { REGION_OFFSET_MAX = (1 << 25) - 1, REGION_WIDER_MAX = 31 };

static inline unsigned region_entry_kind(uint32_t entry)
{
    return entry & 7;
}

// A table's stride, or the ranges in a list.
static inline unsigned region_entry_count(uint32_t entry)
{
    return (entry >> 3 & 15) + 1;
}

static inline uint32_t region_entry_offset(uint32_t entry)
{
    return entry >> 7;
}

static inline unsigned region_entry_wider(uint32_t entry)
{
    return entry >> 3 & REGION_WIDER_MAX;
}

static inline uint16_t region_entry_region(uint32_t entry)
{
    return entry >> 8 & REGION_MAX;
}

static inline uint16_t region_entry_beside(uint32_t entry)
{
    return (uint16_t)(entry >> 20);
}

// In front of each table but the root, for the checker alone.
struct region_table_head {
    uint8_t depth;  // bits of the address that led here
    uint8_t stride; // again
    uint8_t zero[6];
};
static_assert(sizeof(struct region_table_head) == REGION_UNIT_BYTES, "tables start at a unit");

struct region_family {
    uint32_t table_at, table_units; // the root, then the other tables, each behind its head; children in their order
    uint32_t list_at, list_units;   // lists: keys, regions (uint16_t), zeros up to a unit
    uint32_t root_stride;
    uint32_t zero;
};

struct region_map {
    uint32_t magic;
    uint32_t zero;
    uint64_t total_bytes;
    struct region_family family[2]; // IPv4, IPv6
} __attribute__((aligned(64)));
static_assert(sizeof(struct region_map) == 64, "a cache line");

// Octets of a list of `count` ranges, in units.
static inline uint32_t region_list_units(unsigned key_bytes, unsigned count)
{
    return (key_bytes * (count - 1) + 2 * count + REGION_UNIT_BYTES - 1) / REGION_UNIT_BYTES;
}

static inline unsigned region_key_bytes(unsigned kind)
{
    return 2u << (kind - REGION_ENTRY_KEYS_16);
}

#ifdef __cplusplus
}
#endif
