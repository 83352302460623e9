// SPDX-License-Identifier: Apache-2.0
// The evidence: probes and heartbeats, started at the start and again after a reload. Parts of daemon_parts.h; loop
// thread only.
#pragma once

#include "control/daemon_parts.h"

#ifdef __cplusplus
extern "C" {
#endif

// Without memory (logged) the sites are judged without probes.
void daemon_start_probes(struct daemon *daemon);

// 0, or a negative errno after the reason was logged.
int daemon_start_heartbeats(struct daemon *daemon);

#ifdef __cplusplus
}
#endif
