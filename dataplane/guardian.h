// SPDX-License-Identifier: Apache-2.0
// A small process that shuts the gates of shared cards (port_filter.h) the moment the data plane is killed.
//
// A killed process closes its sockets only after its memory has been freed, which takes milliseconds: so long the XDP
// program would put queries into rings that nobody reads. Robust mutexes are released first of all: the guardian waits
// for one that the main thread holds, learns of the death at once, shuts the gates, and ends. What the standby needs to
// know is nothing: the kernel hands it the next query.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GUARDIAN_GATE_MAX = 8 };

struct guardian;

// Starts the process. Main thread, before any other thread. Null: it cannot be had; everything works without it, and a
// sudden death costs more queries.
struct guardian *guardian_start(void);

// The gate map with this number (the kernel's identifier of BPF maps) is to be shut. Null is legal.
void guardian_watch(struct guardian *guardian, uint32_t map_id);

// The start is over, the main thread only keeps house from now on: puts it first in line for a CPU, so that it dies
// first as well. Threads that it starts later are not. Null is legal.
void guardian_arm(struct guardian *guardian);

// An orderly end: the process goes, the gates stay as they are. Null is legal.
void guardian_stop(struct guardian *guardian);

#ifdef __cplusplus
}
#endif
