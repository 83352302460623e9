// SPDX-License-Identifier: Apache-2.0
#include "dataplane/socket_snapshot.h"

#include <time.h>

#include "dataplane/publish.h"

void socket_snapshot_take(struct answer_context *context)
{
    const struct snapshot *now = publish_read();
    context->zone_image = now ? now->zone_image : NULL;
    context->order_image = now ? now->order_image : NULL;
    if (!now)
        return;
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME_COARSE, &wall);
    const uint64_t wall_us = (uint64_t)wall.tv_sec * 1000000u + (uint64_t)wall.tv_nsec / 1000u;
    context->now_s = (uint32_t)wall.tv_sec;
    context->is_stale = now->stale_after_s && wall_us > now->order_built_at_us + now->stale_after_s * 1000000u;
    __atomic_store_n(&context->counters->zone_generation, now->zone_generation, __ATOMIC_RELAXED);
    __atomic_store_n(&context->counters->order_generation, now->order_generation, __ATOMIC_RELAXED);
}
