// SPDX-License-Identifier: Apache-2.0
// From the configuration to the zone image: settings, regions, every zone's records, and the services over them.
//
// Blocks on the file system and takes seconds for a million names: runs on a worker thread. A zone with errors is left
// out and reported, the others are built.
#pragma once

#include "control/config.h"
#include "table/zone_image.h"

#ifdef __cplusplus
extern "C" {
#endif

struct zone_build_result {
    void *image; // malloc'ed; the caller frees it
    size_t len;
    unsigned zones_loaded, zones_failed;
    unsigned zones_kept;      // of the failed ones: served from their last good version
    unsigned services_failed; // whose zone is not there
};

// `errors` receives problems of zones, regions and services with file, line and owner. 0; -EINVAL when no image could
// be made at all, -E2BIG, -ENOMEM.
// `cache_folder`: where last good versions of zones are kept and taken from; null: nowhere.
int zone_build(const struct config *config, const char *cache_folder, uint64_t generation, uint64_t built_at_us,
               struct config_errors *errors, struct zone_build_result *result);

// The settings part alone, for tests.
void zone_build_settings(const struct config *config, struct zone_settings *settings);

#ifdef __cplusplus
}
#endif
