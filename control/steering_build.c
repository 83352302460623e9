// SPDX-License-Identifier: Apache-2.0
#include "control/steering_build.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/image_memfd.h"
#include "control/order_build.h"
#include "control/steering_report.h"
#include "shared/clock.h"

struct steering_build *steering_build_new(struct shared_config *shared, const struct verdict_engine *engine,
                                          struct overrides *overrides)
{
    const struct config *config = shared->config;
    struct steering_build *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->fd = -1;
    b->shared = shared_config_hold(shared);
    b->overrides = overrides_hold(overrides);
    b->verdict = calloc(config->verdict_count + 1, sizeof *b->verdict);
    b->policy = calloc(config->service_count + 1, sizeof *b->policy);
    b->order = calloc(config->service_count + 1, sizeof *b->order);
    if (!b->verdict || !b->policy || !b->order) {
        steering_build_free(b);
        return NULL;
    }
    for (unsigned i = 0; i < config->verdict_count; i++)
        b->verdict[i] = *verdict_view(engine, i);
    b->work.data = b;
    return b;
}

void steering_build_free(struct steering_build *b)
{
    if (!b)
        return;
    shared_config_drop(b->shared);
    overrides_drop(b->overrides);
    free(b->verdict);
    free(b->policy);
    free(b->order);
    free(b->image);
    if (b->fd >= 0)
        close(b->fd);
    free(b);
}

void steering_build_run(struct steering_build *b)
{
    const struct config *config = b->shared->config;
    const uint64_t start_ns = uv_hrtime();
    const uint64_t wall_us = clock_wall_us();
    const struct order_build_input input = {config,        b->policy, b->verdict,  b->now_ns,
                                            b->generation, wall_us,   b->overrides};
    b->rc = order_build(&input, &b->image, &b->len);
    if (b->rc == 0) {
        b->pairing_id = ((const struct image_header *)b->image)->pairing_id;
        b->fd = image_memfd_make(b->image, b->len);
        b->rc = b->fd < 0 ? b->fd : 0;
    }
    for (unsigned i = 0; b->rc == 0 && i < config->service_count; i++) {
        const struct policy_input policy = {config, i, b->verdict, b->now_ns, b->overrides};
        struct policy_order order;
        policy_decide(&order, &b->policy[i], &policy, REGION_UNKNOWN, 0, NULL);
        b->order[i] = steering_order_of(&order);
    }
    b->build_ns = uv_hrtime() - start_ns;
}

static void on_work(uv_work_t *work)
{
    steering_build_run(work->data);
}

static void on_done(uv_work_t *work, int status)
{
    struct steering_build *b = work->data;
    if (status < 0)
        b->rc = -ECANCELED;
    b->done(b->user, b);
}

int steering_build_start(struct steering_build *b, uv_loop_t *loop,
                         void (*done)(void *user, struct steering_build *build), void *user)
{
    b->done = done;
    b->user = user;
    return uv_queue_work(loop, &b->work, on_work, on_done);
}
