// SPDX-License-Identifier: Apache-2.0
// Inside the region map: prefixes flattened to sorted ranges that cover the whole space of a family. Any thread.
#pragma once

#include "table/region_map.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef __uint128_t region_address; // host order; IPv4 in the top 32 bits, so that one algorithm serves both families

struct region_range {
    region_address start; // ends where the next one starts
    uint16_t region;
};

struct region_range_list {
    struct region_range *range; // malloc'ed, the caller frees; the first starts at 0, neighbours differ in region
    size_t count;
};

// Of one family's prefixes. 0, -EINVAL (see region_map_build), -ENOMEM; the list is the caller's to free in any case.
int region_ranges_collect(const struct region_prefix *prefixes, size_t count, bool is_ipv6,
                          struct region_range_list *list);

// Bits of the widest prefix around `address` that lies in [start, end); an `end` of 0 is the end of the space.
uint8_t region_ranges_scope(region_address address, region_address start, region_address end);

#ifdef __cplusplus
}
#endif
