// SPDX-License-Identifier: Apache-2.0
// How far an answer reaches: the widest prefix around an address whose regions all get the same answer (RFC 7871
// section 7.2.1). Lies beside the region map in the zone image; built from the same prefixes.
//
// Which regions have one answer changes with every verdict, and differs between services; the map does not. So the
// structure says where which regions lie, and the caller which of them count as one (region_set.h):
//
//     blocks of blocks   a set: which regions occur there                              ... up to one block of all
//     blocks             a set: which regions occur in 32 ranges
//     ranges             where each starts, its region; sorted, neighbours differ
//
// From the address's own range the search goes to either side until it meets a region that does not count as one,
// stepping over whole blocks where it can; the two ranges it met bound the prefix. Exact with any number of regions.
// A few steps where answers change from range to range; at most 31 on each level, up and down, to each side. Needed
// only where several regions have one answer, since else the map itself knows the scope.
//
// Memory: 6 octets for each range of IPv4, 18 of IPv6, and a set for each 32 of them, which is 1 octet a range with 200
// regions, 17 with the most there can be (`make bench-regions`). Rejected: a map for each service, whose number has no
// bound; a tree of prefixes with a set of 64 regions at each node, inexact with more, and with sets of any size a
// multiple of this.
//
// Pure; reading is safe from any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "table/region_map.h"
#include "table/region_set.h"

#ifdef __cplusplus
extern "C" {
#endif

// On success *scope is allocated (the caller frees it) and *len its size, a multiple of 64. Errors as of
// region_map_build.
int region_scope_build(const struct region_prefix *prefixes, size_t count, void **scope, size_t *len);

// Checks what came from elsewhere; every later search in it stays inside and ends. 0 or -EBADMSG.
int region_scope_check(const void *scope, size_t len);

// The largest region that any prefix has.
unsigned region_scope_largest_region(const void *scope);

// Bits of the widest prefix around the address in which every region is in `same`: a set of the regions up to the
// largest at least, the address's own among them.
uint8_t region_scope_ipv4(const void *scope, const uint8_t address[4], const uint64_t *same);
uint8_t region_scope_ipv6(const void *scope, const uint8_t address[16], const uint64_t *same);

#ifdef __cplusplus
}
#endif
