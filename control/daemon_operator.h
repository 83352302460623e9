// SPDX-License-Identifier: Apache-2.0
// Operators' words about sites, services and addresses: load, save, expire, and tell the steering. Parts of
// daemon_parts.h; loop thread only.
#pragma once

#include "control/daemon_parts.h"

#ifdef __cplusplus
extern "C" {
#endif

struct daemon_operator_request {
    enum operator_kind kind;
    // Names, or globs for several (fnmatch): a site; a service, or SERVICE/SITE; an address.
    const char *pattern;
    enum evidence_operator state;
    const char *reason;   // may be empty
    uint64_t duration_ns; // 0: until changed
    bool is_forced;       // also when a service is left without any site
};

// What an operator says about sites, sites within services, or addresses; saved over restarts. Number of them; -ENOENT:
// nothing of that name; -EPERM: a service would have no site left; -ENOSPC: too many at once; another negative errno
// when it cannot be saved. Then nothing is done. The text for people is in `why`.
int daemon_operator(struct daemon *daemon, const struct daemon_operator_request *request, char why[512]);

// Reads the saved states and applies them.
void daemon_operator_load(struct daemon *daemon);

// Tells the steering all states anew, after a reload.
void daemon_operator_apply(struct daemon *daemon);

// Forgets what is over; once a second.
void daemon_operator_expire(struct daemon *daemon);

#ifdef __cplusplus
}
#endif
