// SPDX-License-Identifier: Apache-2.0
// A configuration that worker-thread jobs may still read after a reload replaced it. References are taken and dropped
// on the loop thread only.
#pragma once

#include <stdlib.h>

#include "control/config.h"

#ifdef __cplusplus
extern "C" {
#endif

struct shared_config {
    struct config *config;
    unsigned references;
};

// Takes over `config` with one reference. Null: out of memory, `config` stays the caller's.
static inline struct shared_config *shared_config_new(struct config *config)
{
    struct shared_config *shared = (struct shared_config *)malloc(sizeof *shared);
    if (shared) {
        shared->config = config;
        shared->references = 1;
    }
    return shared;
}

static inline struct shared_config *shared_config_hold(struct shared_config *shared)
{
    shared->references++;
    return shared;
}

static inline void shared_config_drop(struct shared_config *shared)
{
    if (shared && --shared->references == 0) {
        config_free(shared->config);
        free(shared);
    }
}

#ifdef __cplusplus
}
#endif
