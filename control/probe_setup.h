// SPDX-License-Identifier: Apache-2.0
// Probes and balancer readers as the configuration asks for them. libuv loop thread only.
#pragma once

#include <uv.h>

#include "control/config.h"
#include "health/evidence.h"

#ifdef __cplusplus
extern "C" {
#endif

struct prober;

// Starts a prober for every server of every group and for every balancer; results go to `emit`. Null with the reason in
// `why`.
struct prober *probe_setup_start(uv_loop_t *loop, const struct config *config,
                                 void (*emit)(void *user, const struct evidence_event *event), void *user,
                                 char why[256]);

// No more events come; memory is freed by the loop later. Null is legal.
void probe_setup_stop(struct prober *prober);

#ifdef __cplusplus
}
#endif
