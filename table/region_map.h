// SPDX-License-Identifier: Apache-2.0
// From a client's address to a region by longest prefix: a position-independent table inside the zone image.
//
// Built from any number of prefixes; flattened to sorted, non-overlapping ranges of which neighbours with equal region
// are merged, so that the scope (RFC 7871 section 7.2.1) is the widest prefix around the address with one region.
// Look-up: one or two tables indexed by the address's first bits, then a list of at most 16 ranges (see
// region_map_private.h); one or two reads outside of the second-level cache with half a million prefixes. Pure; reading
// is safe from any thread. A map starts at a multiple of 64 octets.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    REGION_UNKNOWN = 0,          // no prefix matched
    REGION_MAX = 4095,           // regions per node; the order image has a row per region and tailored service
    REGION_PREFIX_MAX = 4000000, // prefixes per map; beyond it the build fails with -E2BIG
    REGION_MANY_MAX = 64         // look-ups at once
};

struct region_prefix {
    uint8_t address[16]; // network order; IPv4 in the first 4 bytes
    uint8_t is_ipv6;
    uint8_t prefix_len; // bits, at most 32 or 128
    uint16_t region;    // 1..REGION_MAX
};

struct region_match {
    uint16_t region;
    uint8_t scope_len; // bits of the widest prefix around the address with this region; 0 with an empty map
    // A region that the prefix of one bit less has besides, which is why the scope ends there; `region` with an empty
    // map, and where that is not known. It mostly spares who holds them for different the search of region_scope.h.
    uint16_t beside;
};

// Bytes needed by a map of the prefixes, and the map itself. On success *map is allocated (the caller frees it) and
// *len its size, a multiple of 64. Later duplicates of a prefix win. -EINVAL for bits past the prefix length or a bad
// length; -E2BIG, also for a map of 4 GiB; -ENOMEM.
int region_map_build(const struct region_prefix *prefixes, size_t count, void **map, size_t *len);

// Checks a map of `len` bytes from elsewhere; every later look-up in it stays inside, and finds no region above
// `largest_region`: sets of regions may have no room for more. 0 or -EBADMSG.
int region_map_check(const void *map, size_t len, unsigned largest_region);

struct region_match region_map_find_ipv4(const void *map, const uint8_t address[4]);
struct region_match region_map_find_ipv6(const void *map, const uint8_t address[16]);

// Bits of the widest prefix around the address in which all regions are in `same` (region_set.h), to which the
// address's own belongs; as far as the part of the map tells in which the look-up ends: -1 when the prefix reaches
// further.
int region_map_reach(const void *map, const uint8_t *address, bool is_ipv6, const uint64_t *same);

// As the first two for `count` addresses, at most REGION_MANY_MAX, of which number i is IPv6 when bit i of `is_ipv6` is
// set: the reads of all are under way at once, which halves what each costs (`make bench-regions`).
void region_map_find_many(const void *map, const uint8_t *const address[], uint64_t is_ipv6, unsigned count,
                          struct region_match match[]);

#ifdef __cplusplus
}
#endif
