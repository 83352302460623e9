// SPDX-License-Identifier: Apache-2.0
// What the workers answer from: one zone image and the order image that fits it, published together.
//
// Made by the manager thread, immutable afterwards, freed whole after a grace period (publish.h). The pointers and
// generations stand first so that a worker's load of the snapshot touches one cache line.
#pragma once

#include <stdint.h>

#include "dataplane/image_map.h"

#ifdef __cplusplus
extern "C" {
#endif

struct snapshot {
    const void *zone_image, *order_image; // validated
    uint64_t zone_generation, order_generation;
    uint64_t order_built_at_us;     // wall clock, for the age of the order image
    uint64_t stale_after_s;         // zone_settings.stale_after_s; 0: never
    struct image_map *zone, *order; // one reference each
    struct snapshot *next;          // while it waits to be freed; the reclaimer's
    uint32_t poison;                // SNAPSHOT_ALIVE, or SNAPSHOT_DEAD once freed: tests look for use after reclaim
};

enum { SNAPSHOT_ALIVE = 0x11fe11fe, SNAPSHOT_DEAD = 0x0badbeef };

// Takes references to both. Null when out of memory.
struct snapshot *snapshot_new(struct image_map *zone, struct image_map *order);
// Drops both references. Null is legal.
void snapshot_free(struct snapshot *snapshot);

#ifdef __cplusplus
}
#endif
