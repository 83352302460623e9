// SPDX-License-Identifier: Apache-2.0
// The growing list of prefixes into which the configuration, files and GeoIP databases put those of the regions.
#pragma once

#include "table/region_map.h"

#ifdef __cplusplus
extern "C" {
#endif

struct region_list {
    struct region_prefix *prefix; // malloc'ed
    size_t count, cap;
};

// 0, -E2BIG, -ENOMEM.
int region_list_add(struct region_list *list, const struct region_prefix *prefix);

#ifdef __cplusplus
}
#endif
