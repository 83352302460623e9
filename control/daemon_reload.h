// SPDX-License-Identifier: Apache-2.0
// Reading the configuration and the zones again. Parts of daemon_parts.h; loop thread only.
#pragma once

#include "control/daemon_parts.h"

#ifdef __cplusplus
extern "C" {
#endif

// Reads the configuration again and applies it as a whole, or not at all. `done` (may be null) is called once, later.
// -EBUSY: one is running.
int daemon_reload(struct daemon *daemon, void (*done)(void *user, const struct reload *reload, bool is_applied),
                  void *user);

// The same for the configuration that the daemon started with: only its zones are still to be read.
int daemon_load_zones(struct daemon *daemon);

// Levels and format of messages, as the configuration wants them.
void daemon_apply_log(const struct config *config);

#ifdef __cplusplus
}
#endif
