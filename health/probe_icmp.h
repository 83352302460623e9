// SPDX-License-Identifier: Apache-2.0
// Echo probes: one ICMP and one ICMPv6 socket for all of them. libuv loop thread only.
//
// A raw socket (CAP_NET_RAW) or, where the kernel allows it (net.ipv4.ping_group_range), a datagram one. Replies are
// told apart by a random mark and a number inside the payload, not by address: a server may answer from another one.
#pragma once

#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

struct icmp_engine;

// Null: out of memory. Sockets are opened when they are first needed.
struct icmp_engine *icmp_engine_new(uv_loop_t *loop);

// All probes must have been closed. `closed` (may be null) is called when the last handle is gone. Null is legal.
void icmp_engine_close(struct icmp_engine *engine, void (*closed)(void *user), void *user);

#ifdef __cplusplus
}
#endif
