// SPDX-License-Identifier: Apache-2.0
// The command line of signpost-dataplane. Pure: no file, no device is looked at.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    OPTIONS_PORT_MAX = 8,
    OPTIONS_CORE_MAX = 62, // counters page: 64 blocks, two of them for other threads than workers
    OPTIONS_ADDRESS_MAX = 64,
    OPTIONS_TEXT_CAP = 200,
    OPTIONS_CPU_MAX = 1024,
    OPTIONS_INTERFACE_MAX = 15 // characters of an interface's name
};

enum port_kind { PORT_AF_PACKET, PORT_AF_XDP, PORT_MEMIF, PORT_PCI, PORT_VDEV };
enum idle_policy { IDLE_AUTO, IDLE_BUSY, IDLE_PAUSE, IDLE_SLEEP };
enum huge_policy { HUGE_AUTO, HUGE_ON, HUGE_OFF };
enum kernel_way { KERNEL_WAY_AUTO, KERNEL_WAY_TAP, KERNEL_WAY_VHOST }; // auto: vhost-net where it works, else TAP

struct port_spec {
    enum port_kind kind;
    bool is_memif_server;
    char name[OPTIONS_TEXT_CAP]; // interface, socket path, PCI address or DPDK device string
};

struct node_address {
    uint8_t address[16]; // network order; IPv4 in the first 4 bytes
    bool is_ipv6;
};

struct options {
    struct port_spec port[OPTIONS_PORT_MAX];
    unsigned port_count;
    uint16_t core[OPTIONS_CORE_MAX]; // CPU of each worker
    unsigned core_count;             // 0: one worker, the caller chooses
    struct node_address address[OPTIONS_ADDRESS_MAX];
    unsigned address_count;
    const char *socket_path;
    const char *state_dir;
    enum idle_policy idle;
    enum huge_policy huge;
    bool has_tcp;
    bool has_offloads;
    const char *kernel_interface; // null: none
    enum kernel_way kernel_way;
    bool is_verbose;
    bool wants_help, wants_version;
    char **eal; // what stood behind "--"
    unsigned eal_count;
};

// Reads argv (borrowed for the life of the options). 0, or -EINVAL with a sentence in `why` that says what is allowed.
int options_parse(struct options *options, int argc, char **argv, char *why, size_t why_cap);

// The same for signpost-standby, which has no ports, cores or memory of DPDK, but needs at least one address.
int options_parse_standby(struct options *options, int argc, char **argv, char *why, size_t why_cap);

// IDLE_BUSY, IDLE_PAUSE or IDLE_SLEEP: `auto` is busy when a port is a NIC of our own, sleep on software ports.
enum idle_policy options_idle(const struct options *options);

const char *options_usage(void);
const char *options_usage_standby(void);
const char *port_kind_name(enum port_kind kind);

// Whether DPDK's AF_XDP driver has the port, whose rings take buffers of their own: as af_xdp: or as vdev:net_af_xdp.
bool port_spec_is_xdp(const struct port_spec *spec);

#ifdef __cplusplus
}
#endif
