// SPDX-License-Identifier: Apache-2.0
// One build of the site-order image on a libuv worker thread, from copies of all that may change meanwhile.
#pragma once

#include "control/steering.h"

#ifdef __cplusplus
extern "C" {
#endif

struct steering_build {
    // Inputs; the caller fills what new does not.
    struct shared_config *shared;
    struct verdict_site *verdict; // [verdict_count], filled by new
    struct policy_state *policy;  // [service_count], for the caller to fill
    struct overrides *overrides;  // held by new
    uint64_t now_ns, generation, evidence_ns, decided_ns;
    bool is_forced; // to be sent even when it says what the last one said
    // Results; who takes one over leaves null or -1.
    int rc, fd;
    void *image;
    size_t len;
    uint64_t pairing_id, build_ns;
    struct steering_order *order; // [service_count]
    // Own.
    uv_work_t work;
    void (*done)(void *user, struct steering_build *build);
    void *user;
};

// Null: out of memory.
struct steering_build *steering_build_new(struct shared_config *shared, const struct verdict_engine *engine,
                                          struct overrides *overrides);
void steering_build_free(struct steering_build *build);

// `done` is called on the loop thread; it frees the build. 0 or a negative errno.
int steering_build_start(struct steering_build *build, uv_loop_t *loop,
                         void (*done)(void *user, struct steering_build *build), void *user);

// The work itself, for tests and the simulator: fills the results.
void steering_build_run(struct steering_build *build);

#ifdef __cplusplus
}
#endif
