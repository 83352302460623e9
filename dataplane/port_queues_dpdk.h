// SPDX-License-Identifier: Apache-2.0
// Queues, rings, buffers, offloads and hashing of a device: what the driver reports, cut down to what we use.
//
// There is a software way for everything a driver lacks: checksums are verified and made in packet.c, and a device with
// fewer queues than workers serves as many workers as it has. Main thread only, while no worker polls the port.
#pragma once

#include "dataplane/port.h"

#ifdef __cplusplus
extern "C" {
#endif

// Buffers that a port needs so that full rings, the workers' caches and frames on their way to and from the kernel
// never starve it: rings hold sent frames until their places are needed again.
unsigned port_queues_buffers(bool is_xdp, unsigned queue_count, unsigned rx_ring, unsigned tx_ring,
                             unsigned worker_count, bool has_door);

// Megabytes of packet buffers that a port takes.
unsigned port_memory_mb(const struct port_spec *spec, unsigned worker_count, bool has_door);

// Configures the device as port->plan says and gives it buffers (once). Used at start and again after a reset. 0 or a
// negative errno with a sentence and the remedy.
int port_queues_set_up(struct port *port, char why[PORT_WHY_CAP]);

// Starts the queues, subscribes to what the kernel or our own neighbour discovery must hear, spreads the hash over all
// queues. 0 or a negative errno with a sentence.
int port_queues_start(struct port *port, char why[PORT_WHY_CAP]);

#ifdef __cplusplus
}
#endif
