// SPDX-License-Identifier: Apache-2.0
// systemd's readiness and watchdog protocol (sd_notify(3)): one datagram to NOTIFY_SOCKET. Without systemd nothing is
// done. Our own thirty lines instead of libsystemd, which would bring its dependencies into the process that answers.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// `state` is for instance "READY=1". 0, also when nobody listens; a negative errno.
int notify_send(const char *state);

// The interval at which systemd expects "WATCHDOG=1", in microseconds; 0: it does not.
uint64_t notify_watchdog_us(void);

#ifdef __cplusplus
}
#endif
