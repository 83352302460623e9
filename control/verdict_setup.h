// SPDX-License-Identifier: Apache-2.0
// The verdict engine's configuration from the operator's. Pure but for memory.
#pragma once

#include "control/config.h"
#include "health/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

// Fills `out`, whose arrays verdict_setup_fini frees. 0, -ENOMEM.
int verdict_setup(const struct config *config, struct verdict_config *out);
void verdict_setup_fini(struct verdict_config *out);

// What is probed and how, as a number: a group or balancer whose number is the same after a reload keeps its state.
uint64_t verdict_setup_group_identity(const struct config_group *group);
uint64_t verdict_setup_balancer_identity(const struct config_balancer *balancer);

#ifdef __cplusplus
}
#endif
