// SPDX-License-Identifier: Apache-2.0
// The XDP program of a shared card (port_filter.bpf.c): attached before DPDK's driver makes its sockets, which finds it
// by its name and puts them into its map; and its other maps.
//
// It is attached by libxdp: beside other programs, through libxdp's dispatcher, where kernel, bpf file system and
// rights allow that, else alone. At the end only our own program is taken off.
//
// Main thread. Until the gate is opened the program passes every query to the kernel, where the standby answers; it is
// opened when the workers can answer and shut before they end, so that no query waits in a ring that nobody reads.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/options.h"
#include "dataplane/port_filter_map.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PORT_FILTER_WHY_CAP = 256 };

struct bpf_object;
struct xdp_program;

// A program of ours on an interface. Before the first port_filter_attach: zero, with both descriptors -1.
struct port_filter {
    struct bpf_object *object; // null: none
    struct xdp_program *program;
    int interface;
    bool is_attached, is_shared; // is_shared: by the dispatcher, so that others may come and go beside it
    int gate_fd, count_fd;       // of the object's maps; -1: none
    struct port_filter_gate gate;
};

// Takes our program off an interface where a data plane that was killed left it; programs of others stay. 1: taken off,
// 0: there was none of ours, or a negative errno.
int port_filter_remove_left(const char *interface);

// Loads the program and attaches it, with its gate shut. 0 or a negative errno; `why` then says what libxdp said, and,
// when the program has the card alone (is_shared is false), the reason for that. `filter` may be finished in either
// case.
int port_filter_attach(struct port_filter *filter, const char *interface, char why[PORT_FILTER_WHY_CAP]);

// Whether ours is the only program on the interface that hands frames to AF_XDP sockets: a driver that found another
// one, or none, would have put its sockets elsewhere.
bool port_filter_is_only(const struct port_filter *filter);

// Fills in whose queries it takes. With no addresses: everybody's. 0 or a negative errno.
int port_filter_set_addresses(struct port_filter *filter, const uint8_t mac[6], const struct node_address *address,
                              unsigned address_count);

// Lets queries in, or passes them to the kernel. 0 or a negative errno.
int port_filter_set_open(struct port_filter *filter, bool is_open);

// Adds the counts of all CPUs to sum[].
void port_filter_add_counts(const struct port_filter *filter, uint64_t sum[PORT_FILTER_COUNT_MAX]);

// Takes the program off, and nothing else. The counterpart of a failed or successful port_filter_attach.
void port_filter_fini(struct port_filter *filter);

#ifdef __cplusplus
}
#endif
