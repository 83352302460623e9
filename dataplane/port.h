// SPDX-License-Identifier: Apache-2.0
// A DPDK port as the workers use it, and what it is made for. The main thread writes it, between start and close the
// workers read it; no header of DPDK is needed to include this one.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/options.h"
#include "dataplane/packet_port.h"
#include "dataplane/port_filter.h"

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

#ifdef __cplusplus
}
#endif
