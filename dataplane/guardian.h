// SPDX-License-Identifier: Apache-2.0
// A small process that stands by when the data plane is killed: it shuts the gates of shared cards (port_filter.h), so
// that the kernel hands the next query to the standby, and gives back those that stand in the rings (stranded.h).
//
// It is a fork of the data plane and so holds the cards' sockets and frame memory: they outlive the dead by the
// milliseconds that it takes. A robust mutex tells it of the death: the kernel releases those first of all, while a
// killed process closes its own sockets only after its memory has been freed.
#pragma once

#include <stdint.h>

#include "dataplane/stranded.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GUARDIAN_GATE_MAX = 8, GUARDIAN_RING_MAX = 512 };

struct guardian;

// What it guards; copied.
struct guardian_watch {
    int gate_fd[GUARDIAN_GATE_MAX]; // of the gates' maps; borrowed
    struct stranded_ring ring[GUARDIAN_RING_MAX];
    unsigned gate_count, ring_count;
};

// Forks it. Main thread, when the ports are there and before the threads of the program are. Null: it cannot be had;
// everything works without it, and a sudden death costs more queries.
struct guardian *guardian_start(const struct guardian_watch *watch);

// The start is over, the main thread only keeps house from now on: puts it first in line for a CPU, so that it dies
// first as well. Threads that it starts later are not. Null is legal.
void guardian_arm(struct guardian *guardian);

// An orderly end: the process goes, the gates stay as they are. Null is legal.
void guardian_stop(struct guardian *guardian);

#ifdef __cplusplus
}
#endif
