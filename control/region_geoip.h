// SPDX-License-Identifier: Apache-2.0
// The regions' networks in MaxMind's databases.
//
// Blocks on the file system; a database of a million networks takes a second. Any thread.
#pragma once

#include "control/config.h"
#include "control/region_list.h"

#ifdef __cplusplus
extern "C" {
#endif

// Adds the networks whose country, subdivision, continent or autonomous system a region names. 0; -EINVAL with reasons
// in `errors`; -E2BIG, -ENOMEM.
int region_geoip_add(struct region_list *list, const struct config *config, struct config_errors *errors);

#ifdef __cplusplus
}
#endif
