// SPDX-License-Identifier: Apache-2.0
// A balancer's specification that outlives the call that brought it.
#pragma once

#include "health/balancer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct balancer_copy {
    struct balancer_spec spec; // what a reading needs: need, sessions_max, the texts below; no url, credentials, tls
    char **backend;
    char *text[5];
};

struct balancer_copy *balancer_copy_new(const struct balancer_spec *spec); // null: no memory
void balancer_copy_free(struct balancer_copy *copy);                       // null is legal

#ifdef __cplusplus
}
#endif
