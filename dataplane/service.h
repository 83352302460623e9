// SPDX-License-Identifier: Apache-2.0
// A program's main thread between its start and its end: signals, and duties at a steady pace with systemd's watchdog
// in mind. Used by signpost-dataplane and signpost-standby.
#pragma once

#include <signal.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// Blocks SIGTERM and SIGINT for this thread and those that it starts, and ignores SIGPIPE and SIGHUP. Call before any
// thread is started; `signals` is for service_run.
void service_block_signals(sigset_t *signals);

// Calls `duty` once a second (twice per watchdog interval where that is shorter) until SIGTERM or SIGINT comes. A duty
// that returns true is alive: the watchdog is fed.
void service_run(const sigset_t *signals, bool (*duty)(void *user), void *user);

#ifdef __cplusplus
}
#endif
