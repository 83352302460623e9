// SPDX-License-Identifier: Apache-2.0
// What the XDP program (port_filter.bpf.c) and the data plane (port_filter.c) share: the contents of its maps.
#pragma once

#include <linux/types.h>

enum { PORT_FILTER_ADDRESS_MAX = 64 }; // OPTIONS_ADDRESS_MAX

struct port_filter_gate {
    __u8 is_open;       // 0: everything is passed to the kernel
    __u8 has_addresses; // 0: every destination address is ours
    __u8 mac[6];        // of the card
};

struct port_filter_address {
    __u8 address[16]; // network order; IPv4 in the first 4 bytes
    __u8 is_ipv6;
    __u8 zero[3];
};

enum port_filter_count {
    PORT_FILTER_TAKEN,    // redirected to a queue of ours
    PORT_FILTER_OTHER,    // no unfragmented UDP to port 53
    PORT_FILTER_NOT_OURS, // another address or station
    PORT_FILTER_SHUT,     // ours, while the data plane starts or stops
    PORT_FILTER_NO_QUEUE, // ours, on a queue without a worker, or after a sudden death
    PORT_FILTER_COUNT_MAX
};
