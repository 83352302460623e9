// SPDX-License-Identifier: Apache-2.0
// How far an answer reaches: the widest prefix around an address whose regions all get the same answer (RFC 7871
// section 7.2.1). Lies beside the region map in the zone image; built from the same prefixes.
//
// Which regions have one answer changes with every verdict, and differs between services; the map does not. So the
// structure says of each block of addresses which regions occur in it, and the caller which regions count as one: a
// walk from the whole space down towards the address ends at the first block that has no other.
//
// A node stands for a block (a prefix) inside which ranges of the map start in both halves or in its middle: at most
// two nodes a range. The walk has at most one step for each bit of the address, mostly as many as the logarithm of the
// number of ranges; it is needed only where several regions have one answer, since else the map itself knows the scope.
// Rejected: a map for each service, whose number has no bound, and trying out the neighbours, which takes a look-up for
// each range of them.
//
// A set of regions has 64 bits, region % 64. With more regions some share a bit, and count as equal only all together:
// the scope may then be narrower than it could be, never wider. Pure; reading is safe from any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "table/region_map.h"

#ifdef __cplusplus
extern "C" {
#endif

static inline uint64_t region_bit(unsigned region)
{
    return 1ull << (region % 64);
}

// On success *scope is allocated (the caller frees it) and *len its size, a multiple of 64. Errors as of
// region_map_build.
int region_scope_build(const struct region_prefix *prefixes, size_t count, void **scope, size_t *len);

// Checks what came from elsewhere; every later walk in it stays inside and ends. 0 or -EBADMSG.
int region_scope_check(const void *scope, size_t len);

// The largest region that any prefix has.
unsigned region_scope_largest_region(const void *scope);

// Bits of the widest prefix around the address in which every region is in the set `same`; when the address's own
// region is not in it, of the widest with that region alone.
uint8_t region_scope_ipv4(const void *scope, const uint8_t address[4], uint64_t same);
uint8_t region_scope_ipv6(const void *scope, const uint8_t address[16], uint64_t same);

#ifdef __cplusplus
}
#endif
