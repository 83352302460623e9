// SPDX-License-Identifier: Apache-2.0
// Operators' words about sites, services and addresses: load, save, expire, and tell the steering. Parts of daemon.h;
// loop thread only.
#pragma once

#include "control/daemon.h"

#ifdef __cplusplus
extern "C" {
#endif

// Reads the saved states and applies them.
void daemon_operator_load(struct daemon *daemon);

// Tells the steering all states anew, after a reload.
void daemon_operator_apply(struct daemon *daemon);

// Forgets what is over; once a second.
void daemon_operator_expire(struct daemon *daemon);

#ifdef __cplusplus
}
#endif
