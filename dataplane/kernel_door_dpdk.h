// SPDX-License-Identifier: Apache-2.0
// The way from a port that DPDK owns to the kernel and back: an interface with the port's hardware address. What is no
// query goes there, so that the kernel answers ARP, neighbour discovery and echo and serves TCP on the node's
// addresses, which an operator gives to that interface.
//
// The workers only put frames into a ring, those of one burst a turn; a thread of its own does the rest: system calls
// on a TAP device, or bursts to vhost-net, whose thread in the kernel copies the frames. What the kernel sends waits in
// another ring for worker 0, which keeps to a budget. Full rings drop and count: no flood of frames for the kernel
// delays a query by more than handing them over costs.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/options.h"

struct rte_mbuf;
struct rte_mempool;

enum {
    KERNEL_DOOR_WHY_CAP = 256,
    KERNEL_DOOR_RING = 1024, // frames under way in each direction; a power of two
    KERNEL_DOOR_VHOST_RING = 256,
    // of the port's buffers, all that the door can hold
    KERNEL_DOOR_BUFFERS = 2 * KERNEL_DOOR_RING + 2 * KERNEL_DOOR_VHOST_RING
};

struct kernel_door;

struct kernel_door_config {
    enum kernel_way way;
    const char *name; // of the interface, at most 15 characters
    unsigned number;  // distinguishes the doors of one process
    uint8_t mac[6];
    uint16_t mtu;
    struct rte_mempool *pool; // the port's: its transmit queue wants buffers of one pool
};

// Monotonic.
struct kernel_door_statistics {
    uint64_t taken;   // frames that the kernel took
    uint64_t refused; // frames that it did not take
    uint64_t sent;    // frames that the kernel gave us
    uint64_t lost;    // of those dropped: no buffer or no room in the ring
};

// Makes the interface, sets its address and MTU and brings it up; starts the thread. Null with a sentence in `why`.
struct kernel_door *kernel_door_open(const struct kernel_door_config *config, char why[KERNEL_DOOR_WHY_CAP]);

// Stops the thread; an interface that is not persistent goes away. Null is legal.
void kernel_door_close(struct kernel_door *door);

// "vhost-net" or "TAP".
const char *kernel_door_way(const struct kernel_door *door);

void kernel_door_set_carrier(struct kernel_door *door, bool is_up);
void kernel_door_get_statistics(const struct kernel_door *door, struct kernel_door_statistics *statistics);

// For workers, any number at once: hands over frames, and keeps none; those for which there is no room are freed.
// Number that went through.
unsigned kernel_door_put(struct kernel_door *door, struct rte_mbuf **frame, unsigned count);

// For one worker: takes up to `cap` frames that the kernel sends.
unsigned kernel_door_take(struct kernel_door *door, struct rte_mbuf **frame, unsigned cap);
