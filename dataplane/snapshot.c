// SPDX-License-Identifier: Apache-2.0
#include "dataplane/snapshot.h"

#include <stdlib.h>

#include "table/zone_image.h"

struct snapshot *snapshot_new(struct image_map *zone, struct image_map *order)
{
    struct snapshot *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->zone = image_map_take(zone);
    s->order = image_map_take(order);
    s->zone_image = zone->base;
    s->order_image = order->base;
    s->zone_generation = zone->generation;
    s->order_generation = order->generation;
    s->order_built_at_us = order->built_at_us;
    s->stale_after_s = zone_image_settings(zone->base)->stale_after_s;
    s->poison = SNAPSHOT_ALIVE;
    return s;
}

void snapshot_free(struct snapshot *snapshot)
{
    if (!snapshot)
        return;
    // The write must survive optimisation: it is there for a reader that should not exist.
    __atomic_store_n(&snapshot->poison, SNAPSHOT_DEAD, __ATOMIC_RELAXED);
    image_map_drop(snapshot->zone);
    image_map_drop(snapshot->order);
    free(snapshot);
}
