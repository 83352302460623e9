// SPDX-License-Identifier: Apache-2.0
// signpost-control as a whole: owns the parts, starts and stops them. libuv loop thread only.
#pragma once

#include "control/daemon_parts.h"

#ifdef __cplusplus
extern "C" {
#endif

// Starts everything over a configuration that was read already; takes it over. 0, or a negative errno after the reason
// was logged.
int daemon_start(struct daemon *daemon, uv_loop_t *loop, const char *config_path, struct config *config);

// Stops everything; the loop then runs out of handles.
void daemon_stop(struct daemon *daemon);

// After the loop has ended.
void daemon_fini(struct daemon *daemon);

#ifdef __cplusplus
}
#endif
