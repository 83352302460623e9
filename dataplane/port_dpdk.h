// SPDX-License-Identifier: Apache-2.0
// A DPDK port as the workers use it: made from a --port option, one queue pair for each worker.
//
// The main thread opens, starts, polls and closes ports; between start and close the workers read them. What a driver
// does not offer (queues, RSS, checksums) is done without. No header of DPDK is needed to include this one.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/options.h"
#include "dataplane/packet.h"
#include "dataplane/port_filter.h"
#include "dataplane/stranded.h"

struct rte_mempool;

#ifdef __cplusplus
extern "C" {
#endif

enum { PORT_WHY_CAP = 640, PORT_LABEL_CAP = OPTIONS_TEXT_CAP + 16, PORT_DRIVER_CAP = 32 };

struct kernel_door;

// What a port is made for.
struct port_plan {
    unsigned number; // distinguishes devices of one process
    unsigned worker_count;
    enum idle_policy idle;
    bool has_offloads; // false: nothing is asked of the card
    bool has_door;     // a way to the kernel will be opened where the port has none
};

struct port {
    uint16_t id;                   // DPDK's number
    uint16_t queue_count;          // worker n has queue n when n < queue_count
    struct packet_port packet;     // what packet_handle needs
    bool is_paused;                // written by the main thread: workers leave the port alone
    bool may_block;                // its receive function may sleep in poll(2): readers go offline around it
    bool has_checksum_flags;       // the driver reports checksums of received packets
    int wait_fd[OPTIONS_CORE_MAX]; // readable when the queue has packets; -1: none, sleep instead
    struct kernel_door *door;      // the way to the kernel where the port itself has none; null: none
    struct rte_mempool *pool;
    enum port_kind kind;
    bool is_xdp;                  // see port_spec_is_xdp
    char label[PORT_LABEL_CAP];   // "af_packet:eth0"
    bool wants_reset, is_removed; // written by a thread of DPDK's when the driver says so
    // the main thread's own
    struct port_plan plan;
    char driver[PORT_DRIVER_CAP]; // "net_e1000_em"
    uint64_t rss;                 // hash types in use, as DPDK writes them
    uint16_t mtu, rx_ring;        // rx_ring: descriptors of each receive ring
    bool is_started, is_up, is_promiscuous;
    struct port_filter filter; // of an AF_XDP port
    uint64_t link_changes, resets;
};

struct port_statistics {
    uint64_t missed, errors, no_buffer;
    uint64_t filter[PORT_FILTER_COUNT_MAX]; // of AF_XDP ports
};

// Whether DPDK's AF_XDP driver has the port, whose rings take buffers of their own: as af_xdp: or as vdev:net_af_xdp.
bool port_spec_is_xdp(const struct port_spec *spec);

// Megabytes of packet buffers that such a port takes.
unsigned port_memory_mb(const struct port_spec *spec, unsigned worker_count, bool has_door);

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
