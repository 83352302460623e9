// SPDX-License-Identifier: Apache-2.0
// Reads the configuration and builds the zone image on a libuv worker thread; changes nothing by itself.
//
// At start, after SIGHUP, and for `signpostctl reload`. One at a time; the caller decides what to do with the result.
#pragma once

#include <uv.h>

#include "control/shared_config.h"
#include "control/zone_build.h"

#ifdef __cplusplus
extern "C" {
#endif

struct reload {
    char *path;
    uint64_t generation; // of the zone image
    // Results; who takes one over leaves null or -1.
    int rc;                        // 0, or why there is no image; -EINVAL: see errors
    struct shared_config *shared;  // null when the configuration has errors
    struct config_errors errors;   // of the configuration and of zones, regions, services
    struct zone_build_result zone; // image null: already in fd
    int fd;                        // sealed memfd with the zone image
    uint64_t took_ns;
    // Own.
    uv_work_t work;
    void (*done)(void *user, struct reload *reload);
    void *user;
};

// Reads the file at `path`; with `shared` (a reference is taken) only builds its zones anew. `done` is called on the
// loop thread; it frees the reload. Null: out of memory.
struct reload *reload_start(uv_loop_t *loop, const char *path, struct shared_config *shared, uint64_t generation,
                            void (*done)(void *user, struct reload *reload), void *user);

void reload_free(struct reload *reload);

#ifdef __cplusplus
}
#endif
