// SPDX-License-Identifier: Apache-2.0
// Keeps the kernel quiet about UDP port 53 where it sees the same frames as we do (af_packet).
//
// Without a socket there, the kernel answers each query with ICMP port unreachable beside our answer. The sockets made
// here are bound, never read, and a filter drops every datagram before it is queued. Main thread, at start and end.
#pragma once

#include "dataplane/listen.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kernel_quiet {
    int fd[LISTEN_MAX];
    unsigned count;
};

// With no addresses: all of them; when another program has port 53 on some address, those of `interface` only.
// Addresses that cannot be had are reported in the log and left out. Number of sockets.
unsigned kernel_quiet_open(struct kernel_quiet *quiet, const struct node_address *address, unsigned count,
                           const char *interface);

void kernel_quiet_close(struct kernel_quiet *quiet);

#ifdef __cplusplus
}
#endif
