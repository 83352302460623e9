// SPDX-License-Identifier: Apache-2.0
// The life of a port: made from a --port option, one queue pair for each worker.
//
// The main thread opens, starts, polls and closes ports; between start and close the workers read them. What a driver
// does not offer (queues, RSS, checksums) is done without. No header of DPDK is needed to include this one.
#pragma once

#include "dataplane/port.h"
#include "dataplane/stranded.h"

#ifdef __cplusplus
extern "C" {
#endif

// Creates the device (after eal_start), its buffers and queues. 0 or a negative errno with a sentence and the remedy in
// `why`; after an error there is nothing to close.
int port_open(struct port *port, const struct port_spec *spec, const struct port_plan *plan, char why[PORT_WHY_CAP]);

// Wraps a DPDK port that exists already (tests: net_ring).
int port_adopt(struct port *port, uint16_t id, unsigned worker_count, char why[PORT_WHY_CAP]);

// Starts the queues. 0 or a negative errno with a sentence.
int port_start(struct port *port, char why[PORT_WHY_CAP]);

// Stops the device, resets it where its driver can, and starts it again with the same queues and buffers. No worker may
// be at the port (is_paused). 0 or a negative errno with a sentence; then the port is stopped, and this may be called
// again.
int port_reset(struct port *port, char why[PORT_WHY_CAP]);

// Asks for the link; true when it changed. Polled, because interrupts for it cannot be relied on.
bool port_poll_link(struct port *port);

// AF_XDP: whose queries the port takes from the kernel; until port_let_in it takes none. 0 or a negative errno with a
// sentence. Other kinds: nothing.
int port_set_addresses(struct port *port, const struct node_address *address, unsigned count, char why[PORT_WHY_CAP]);

// AF_XDP: takes queries from the kernel, or leaves them to it. Other kinds: nothing.
void port_let_in(struct port *port, bool is_open);

// The receive ring of an AF_XDP port's queue, all but `finished`. 0 or a negative errno.
int port_find_ring(const struct port *port, unsigned queue, struct stranded_ring *ring);

// What the card dropped since its start, or since its last reset.
void port_get_statistics(const struct port *port, struct port_statistics *statistics);

// Stops and removes the device; a memif or AF_XDP device is only stopped, see eal_stop. A zeroed port is legal.
void port_close(struct port *port);

#ifdef __cplusplus
}
#endif
