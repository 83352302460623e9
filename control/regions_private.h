// SPDX-License-Identifier: Apache-2.0
// Shared by regions.c and region_geoip.c: the growing list of prefixes.
#pragma once

#include "control/regions.h"

#ifdef __cplusplus
extern "C" {
#endif

struct region_list {
    struct region_prefix *prefix;
    size_t count, cap;
};

// 0, -E2BIG, -ENOMEM.
int regions_add(struct region_list *list, const struct region_prefix *prefix);

// Networks of the MaxMind databases whose country, subdivision, continent or autonomous system a region names. 0;
// -EINVAL with reasons in `errors`; -E2BIG, -ENOMEM.
int regions_add_geoip(struct region_list *list, const struct config *config, struct config_errors *errors);

#ifdef __cplusplus
}
#endif
