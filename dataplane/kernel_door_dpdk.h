// SPDX-License-Identifier: Apache-2.0
// The way from a port that DPDK owns to the kernel and back: a TAP interface with the port's hardware address. What is
// no query goes there, so that the kernel answers ARP, neighbour discovery and echo and serves TCP on the node's
// addresses, which an operator gives to that interface.
//
// The workers only put frames into a ring; a thread of its own does the system calls. What the kernel sends waits in
// another ring for worker 0. Full rings drop and count.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

enum { KERNEL_DOOR_WHY_CAP = 256, KERNEL_DOOR_NAME_CAP = 16 };

struct kernel_door;

// Makes the interface, or takes one of that name that is there (`ip tuntap add NAME mode tap`), sets its address and
// brings it up; starts the thread. Frames from the kernel are of `pool`. Null with a sentence in `why`.
struct kernel_door *kernel_door_open(const char *name, const uint8_t mac[6], struct rte_mempool *pool,
                                     char why[KERNEL_DOOR_WHY_CAP]);

// Stops the thread; an interface that is not persistent goes away. Null is legal.
void kernel_door_close(struct kernel_door *door);

// For workers, any number at once: hands over frames, and keeps none; those for which there is no room are freed.
// Number that went through.
unsigned kernel_door_put(struct kernel_door *door, struct rte_mbuf **frame, unsigned count);

// For one worker: takes up to `cap` frames that the kernel sends.
unsigned kernel_door_take(struct kernel_door *door, struct rte_mbuf **frame, unsigned cap);
