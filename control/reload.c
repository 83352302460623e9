// SPDX-License-Identifier: Apache-2.0
#include "control/reload.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/image_memfd.h"
#include "shared/clock.h"

static int load(struct reload *r)
{
    struct config *config;
    const int rc = config_load(r->path, &config, &r->errors);
    if (rc)
        return rc;
    r->shared = shared_config_new(config);
    if (r->shared)
        return 0;
    config_free(config);
    return -ENOMEM;
}

static int build_zones(struct reload *r, uint64_t wall_us)
{
    char folder[PATH_MAX];
    const struct config *config = r->shared->config;
    snprintf(folder, sizeof folder, "%s/zones", config->control.state_dir);
    return zone_build(config, folder, r->generation, wall_us, &r->errors, &r->zone);
}

static void on_work(uv_work_t *work)
{
    struct reload *r = work->data;
    const uint64_t start_ns = uv_hrtime();
    const uint64_t wall_us = clock_wall_us();
    r->rc = r->shared ? 0 : load(r);
    if (r->rc == 0)
        r->rc = build_zones(r, wall_us);
    if (r->rc == 0) {
        r->fd = image_memfd_make(r->zone.image, r->zone.len);
        r->rc = r->fd < 0 ? r->fd : 0;
    }
    free(r->zone.image);
    r->zone.image = NULL;
    r->took_ns = uv_hrtime() - start_ns;
}

static void on_done(uv_work_t *work, int status)
{
    struct reload *r = work->data;
    if (status < 0)
        r->rc = -ECANCELED;
    r->done(r->user, r);
}

struct reload *reload_start(uv_loop_t *loop, const char *path, struct shared_config *shared, uint64_t generation,
                            void (*done)(void *user, struct reload *reload), void *user)
{
    struct reload *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->fd = -1;
    r->path = strdup(path);
    r->shared = shared ? shared_config_hold(shared) : NULL;
    r->generation = generation;
    r->done = done;
    r->user = user;
    r->work.data = r;
    if (r->path && uv_queue_work(loop, &r->work, on_work, on_done) == 0)
        return r;
    reload_free(r);
    return NULL;
}

void reload_free(struct reload *r)
{
    if (!r)
        return;
    shared_config_drop(r->shared);
    config_errors_fini(&r->errors);
    free(r->zone.image);
    if (r->fd >= 0)
        close(r->fd);
    free(r->path);
    free(r);
}
