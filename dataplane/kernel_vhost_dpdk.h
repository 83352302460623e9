// SPDX-License-Identifier: Apache-2.0
// An interface of the kernel behind vhost-net, by DPDK's virtio-user device: rings in shared memory, copied by a thread
// of the kernel's. No offload is negotiated, so that frames come and go whole, with finished checksums.
//
// Opened and closed by the main thread; read and written by the door's thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct kernel_door_config;
struct rte_mbuf;

struct kernel_vhost {
    bool is_open;
    uint16_t id; // DPDK's number
};

// 0, or a negative errno with a sentence (of KERNEL_DOOR_WHY_CAP); then there is nothing to close.
int kernel_vhost_open(struct kernel_vhost *vhost, const struct kernel_door_config *config, char *why);

// One that is not open is legal.
void kernel_vhost_close(struct kernel_vhost *vhost);

// Takes all frames; those for which there is no room are freed. Number that went through.
unsigned kernel_vhost_write(struct kernel_vhost *vhost, struct rte_mbuf **frame, unsigned count);

// Up to `cap` frames that the kernel sends.
unsigned kernel_vhost_read(struct kernel_vhost *vhost, struct rte_mbuf **frame, unsigned cap);
