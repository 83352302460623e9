// SPDX-License-Identifier: Apache-2.0
// The XDP program of a shared card (port_filter.bpf.c): as the driver wants it, a file; and its maps, once the driver
// has loaded it.
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

enum { PORT_FILTER_PATH_CAP = 32 };

// The maps of a loaded program.
struct port_filter {
    int gate_fd, count_fd; // -1: none
    struct port_filter_gate gate;
};

// Makes the program a file in memory. Its descriptor, to be closed when the port is open, or a negative errno.
int port_filter_open(char path[PORT_FILTER_PATH_CAP]);

// Takes our program off an interface where a data plane that was killed left it; programs of others stay. 1: taken off,
// 0: there was none of ours, or a negative errno.
int port_filter_remove_left(const char *interface);

// Finds the maps of our program on the interface and fills in whose queries it takes. With no addresses: everybody's. 0
// or a negative errno; `filter` may be finished in either case.
int port_filter_attach(struct port_filter *filter, const char *interface, const uint8_t mac[6],
                       const struct node_address *address, unsigned address_count);

// Lets queries in, or passes them to the kernel. 0 or a negative errno.
int port_filter_set_open(struct port_filter *filter, bool is_open);

// Adds the counts of all CPUs to sum[].
void port_filter_add_counts(const struct port_filter *filter, uint64_t sum[PORT_FILTER_COUNT_MAX]);

// Closes the descriptors; the program stays. The counterpart of a failed or successful port_filter_attach.
void port_filter_fini(struct port_filter *filter);

#ifdef __cplusplus
}
#endif
