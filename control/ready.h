// SPDX-License-Identifier: Apache-2.0
// Readiness for the service manager (sd_notify(3)'s protocol, which is one datagram). Loop thread only.
#pragma once

#include "control/publisher.h"
#include "control/steering.h"

#ifdef __cplusplus
extern "C" {
#endif

// Says READY=1 once, as soon as an order image is published or, without a data plane, the verdicts are ready. No-op
// when nobody asked (NOTIFY_SOCKET).
void ready_notify(const struct steering *steering, const struct publisher *publisher);

#ifdef __cplusplus
}
#endif
