// SPDX-License-Identifier: Apache-2.0
// The regions of the configuration as prefixes for the region map: those written there, those of files, and those that
// MaxMind databases give for the regions' countries, subdivisions, continents and autonomous systems.
//
// Blocks on the file system; a GeoIP database of a million networks takes a second. Any thread.
#pragma once

#include "control/config.h"
#include "table/region_map.h"

#ifdef __cplusplus
extern "C" {
#endif

// Region n of the configuration is number n + 1. Of equal prefixes the one later in this order wins: continents,
// countries, subdivisions, autonomous systems, files, the configuration itself. *prefix is malloc'ed (null when there
// are none), the caller frees it. 0; -EINVAL with the reasons in `errors`; -E2BIG, -ENOMEM.
int regions_prefixes(const struct config *config, struct config_errors *errors, struct region_prefix **prefix,
                     size_t *count);

#ifdef __cplusplus
}
#endif
