// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_dpdk.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/if_xdp.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "shared/card.h"
#include "shared/log.h"
#include "dataplane/packet_sieve.h"
#include "dataplane/port_filter.h"
#include "dataplane/port_queues_dpdk.h"

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

enum { DESCRIPTORS_LISTED_MAX = 4096 };

static int fail(int rc, char why[PORT_WHY_CAP], const struct port *port, const char *what, const char *remedy)
{
    snprintf(why, PORT_WHY_CAP, "port %.100s: %s: %s%s%s", port->label, what, strerror(-rc), remedy[0] ? "; " : "",
             remedy);
    return rc < 0 ? rc : -EIO;
}

// ---- descriptors that announce packets: the drivers do not hand theirs out, so ours are the new ones ----

static bool is_socket_of(int fd, int domain)
{
    int got = 0;
    socklen_t len = sizeof got;
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &got, &len) == 0 && got == domain;
}

// Open sockets of a domain as a bit set, by descriptor number.
static void list_sockets(int domain, uint8_t set[DESCRIPTORS_LISTED_MAX / 8])
{
    memset(set, 0, DESCRIPTORS_LISTED_MAX / 8);
    for (int fd = 0; fd < DESCRIPTORS_LISTED_MAX; fd++)
        if (is_socket_of(fd, domain))
            set[fd / 8] |= (uint8_t)(1 << fd % 8);
}

// The drivers open one socket per queue in the order of the queues.
static void find_wait_fds(struct port *port, int domain, const uint8_t before[DESCRIPTORS_LISTED_MAX / 8])
{
    uint8_t after[DESCRIPTORS_LISTED_MAX / 8];
    list_sockets(domain, after);
    unsigned found = 0;
    for (int fd = 0; fd < DESCRIPTORS_LISTED_MAX && found < OPTIONS_CORE_MAX; fd++)
        if ((after[fd / 8] & ~before[fd / 8]) >> fd % 8 & 1)
            port->wait_fd[found++] = fd;
    if (found == port->queue_count)
        return;
    log_info("port %s: %u packet sockets for %u queues; workers will sleep instead of waiting on them", port->label,
             found, port->queue_count);
    for (unsigned i = 0; i < OPTIONS_CORE_MAX; i++)
        port->wait_fd[i] = -1;
}

// Without busy polling net_af_xdp's receive function waits up to a second in poll(2) when the driver asks to be woken,
// which only zero-copy drivers do.
static bool xdp_may_block(int fd)
{
    struct xdp_options options = {0};
    socklen_t len = sizeof options;
    int prefer = 0;
    if (fd < 0 || getsockopt(fd, SOL_XDP, XDP_OPTIONS, &options, &len) < 0)
        return true; // unknown: the safe side
    len = sizeof prefer;
    const bool is_busy_polled = getsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &prefer, &len) == 0 && prefer;
    return (options.flags & XDP_OPTIONS_ZEROCOPY) && !is_busy_polled;
}

// ---- creating the device ----

// Senders on links that are made in software leave the UDP checksum to a card that does not exist.
static bool is_software_link(const char *interface)
{
    char path[128], driver[256];
    snprintf(path, sizeof path, "/sys/class/net/%s/device/driver", interface);
    const ssize_t n = readlink(path, driver, sizeof driver - 1);
    if (n <= 0)
        return true; // veth, bridge, tap, vlan: no device below
    driver[n] = 0;
    return strstr(driver, "virtio") || strstr(driver, "hv_netvsc") || strstr(driver, "xen");
}

static int probe(struct port *port, const char *device, const char *arguments, const char *remedy,
                 char why[PORT_WHY_CAP])
{
    int rc = rte_dev_probe(arguments);
    if (rc < 0)
        return fail(rc, why, port, "the device cannot be made", remedy);
    rc = rte_eth_dev_get_port_by_name(device, &port->id);
    return rc < 0 ? fail(rc, why, port, "DPDK made no port for the device", remedy) : 0;
}

static const char xdp_remedy[] =
    "af_xdp needs CAP_NET_ADMIN, CAP_BPF and CAP_SYS_ADMIN, one queue for each worker, and "
    "no XDP program beside it that did "
    "not come by libxdp's dispatcher (`xdp-loader status` or `ip link` shows it; `ip link "
    "set dev IFACE xdp off` removes "
    "it)";

// Only queries are taken from the kernel; ARP, neighbour discovery, echo and TCP stay its business. The driver is told
// of no program: it finds ours.
static int probe_xdp(struct port *port, const struct port_spec *spec, unsigned number, unsigned worker_count,
                     enum idle_policy idle, char why[PORT_WHY_CAP])
{
    char device[32], arguments[OPTIONS_TEXT_CAP + 160], said[PORT_FILTER_WHY_CAP] = "";
    if (port_filter_remove_left(spec->name) == 1)
        log_notice("port %s: took off the XDP program that an earlier data plane left", port->label);
    int rc = port_filter_attach(&port->filter, spec->name, said);
    if (rc < 0) {
        snprintf(why, PORT_WHY_CAP, "port %.100s: the XDP program cannot be attached: %s%s%.120s; %s", port->label,
                 strerror(-rc), said[0] ? ": " : "", said, xdp_remedy);
        return rc;
    }
    if (port->filter.is_shared)
        log_notice("port %s: its XDP program shares the card through libxdp's dispatcher", port->label);
    else
        log_notice("port %s: its XDP program has the card alone, others cannot come beside it: %s", port->label,
                   said[0] ? said : "libxdp uses no dispatcher");
    if (card_feature(spec->name, CARD_VLAN_STRIPPING) == 1 && card_has_vlans(spec->name))
        log_warning(
            "port %s: the card takes VLAN tags off, where an XDP program cannot see them: queries in VLANs will be "
            "answered without their tag; `ethtool -K %s rxvlan off`",
            port->label, spec->name);
    port->packet.has_kernel = true;
    snprintf(device, sizeof device, "net_af_xdp%u", number);
    snprintf(arguments, sizeof arguments, "%s,iface=%s,start_queue=0,queue_count=%u%s", device, spec->name,
             worker_count, idle == IDLE_SLEEP ? ",busy_budget=0" : "");
    return probe(port, device, arguments, xdp_remedy, why);
}

static int probe_interface(struct port *port, const struct port_spec *spec, unsigned number, unsigned worker_count,
                           enum idle_policy idle, char why[PORT_WHY_CAP])
{
    char device[32], arguments[OPTIONS_TEXT_CAP + 160];
    if (if_nametoindex(spec->name) == 0)
        return fail(-ENODEV, why, port, "no such interface", "`ip link` lists them");
    port->packet.is_checksum_trusted = is_software_link(spec->name);
    if (spec->kind == PORT_AF_PACKET) {
        // The kernel sees every frame as well: ARP, neighbour discovery, echo and TCP are its business.
        port->packet.has_kernel = true;
        snprintf(device, sizeof device, "net_af_packet%u", number);
        snprintf(arguments, sizeof arguments,
                 "%s,iface=%s,qpairs=%u,blocksz=65536,framesz=2048,framecnt=2048,qdisc_bypass=1", device, spec->name,
                 worker_count);
        return probe(port, device, arguments, "af_packet needs CAP_NET_RAW: run as root", why);
    }
    return probe_xdp(port, spec, number, worker_count, idle, why);
}

// A socket that a killed data plane left would keep the driver from making its own. One that somebody listens on stays.
static void remove_left_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof address.sun_path) {
        if (fd >= 0)
            close(fd);
        return; // the driver says what is wrong with the path
    }
    strcpy(address.sun_path, path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

static int probe_spec(struct port *port, const struct port_spec *spec, unsigned number, unsigned worker_count,
                      enum idle_policy idle, char why[PORT_WHY_CAP])
{
    char device[64], arguments[OPTIONS_TEXT_CAP + 160];
    switch (spec->kind) {
    case PORT_AF_PACKET:
    case PORT_AF_XDP:
        return probe_interface(port, spec, number, worker_count, idle, why);
    case PORT_MEMIF:
        if (spec->is_memif_server)
            remove_left_socket(spec->name);
        snprintf(device, sizeof device, "net_memif%u", number);
        snprintf(arguments, sizeof arguments, "%s,role=%s,socket=%s,socket-abstract=no,id=0,rsize=11,bsize=2048%s",
                 device, spec->is_memif_server ? "server" : "client", spec->name, "");
        return probe(port, device, arguments, "is the directory of the socket there, and its owner us?", why);
    case PORT_PCI: {
        int rc = rte_eth_dev_get_port_by_name(spec->name, &port->id); // EAL probed it
        if (rc < 0 && strlen(spec->name) == 7) {
            snprintf(device, sizeof device, "0000:%s", spec->name);
            rc = rte_eth_dev_get_port_by_name(device, &port->id);
        }
        return rc < 0 ? fail(-ENODEV, why, port, "DPDK found no NIC there",
                             "its driver in DPDK may be missing (a package librte-net-*), or refuse it: --verbose says "
                             "more")
                      : 0;
    }
    case PORT_VDEV:
        snprintf(device, sizeof device, "%.*s", (int)strcspn(spec->name, ","), spec->name);
        port->packet.has_kernel = strstr(device, "af_packet") != NULL;
        return probe(port, device, spec->name, "see DPDK's guide of this driver for its arguments", why);
    }
    return -EINVAL;
}

// ---- life ----

static void prepare(struct port *port)
{
    memset(port, 0, sizeof *port);
    port->id = RTE_MAX_ETHPORTS;
    port->filter.gate_fd = port->filter.count_fd = -1;
    for (unsigned i = 0; i < OPTIONS_CORE_MAX; i++)
        port->wait_fd[i] = -1;
}

int port_open(struct port *port, const struct port_spec *spec, const struct port_plan *plan, char why[PORT_WHY_CAP])
{
    prepare(port);
    port->kind = spec->kind;
    port->is_xdp = port_spec_is_xdp(spec);
    port->plan = *plan;
    port->plan.has_door = plan->has_door && (spec->kind == PORT_PCI || spec->kind == PORT_MEMIF ||
                                             (spec->kind == PORT_VDEV && !strstr(spec->name, "af_packet")));
    snprintf(port->label, sizeof port->label, "%s:%s", port_kind_name(spec->kind), spec->name);
    uint8_t before[DESCRIPTORS_LISTED_MAX / 8];
    const int domain = spec->kind == PORT_AF_PACKET ? AF_PACKET : spec->kind == PORT_AF_XDP ? AF_XDP : AF_UNSPEC;
    list_sockets(domain, before);
    int rc = probe_spec(port, spec, plan->number, plan->worker_count, plan->idle, why);
    if (rc == 0)
        rc = port_queues_set_up(port, why);
    if (rc == 0 && spec->kind == PORT_AF_XDP && !port_filter_is_only(&port->filter))
        rc = fail(-EBUSY, why, port, "its sockets are not with our XDP program", xdp_remedy);
    if (rc < 0) {
        port_close(port);
        return rc;
    }
    if (domain != AF_UNSPEC)
        find_wait_fds(port, domain, before);
    for (unsigned i = 0; domain == AF_PACKET && i < port->queue_count; i++)
        if (port->wait_fd[i] < 0 || packet_sieve_attach(port->wait_fd[i]) < 0)
            log_info("port %s: no filter on queue %u: all traffic of the interface is copied", port->label, i);
    port->may_block = spec->kind == PORT_AF_XDP && xdp_may_block(port->wait_fd[0]);
    return 0;
}

int port_adopt(struct port *port, uint16_t id, unsigned worker_count, char why[PORT_WHY_CAP])
{
    prepare(port);
    port->id = id;
    port->kind = PORT_VDEV;
    port->plan = (struct port_plan){.worker_count = worker_count, .has_offloads = true};
    snprintf(port->label, sizeof port->label, "dpdk:%u", id);
    return port_queues_set_up(port, why);
}

// In a thread of DPDK's: only notes what the main thread will do.
static int note_event(uint16_t id, enum rte_eth_event_type type, void *argument, void *result)
{
    struct port *port = argument;
    (void)id;
    (void)result;
    __atomic_store_n(type == RTE_ETH_EVENT_INTR_RMV ? &port->is_removed : &port->wants_reset, true, __ATOMIC_RELAXED);
    return 0;
}

int port_set_addresses(struct port *port, const struct node_address *address, unsigned count, char why[PORT_WHY_CAP])
{
    if (port->kind != PORT_AF_XDP)
        return 0;
    const int rc = port_filter_set_addresses(&port->filter, port->packet.mac, address, count);
    return rc < 0 ? fail(rc, why, port, "the maps of the XDP program cannot be had", xdp_remedy) : 0;
}

void port_let_in(struct port *port, bool is_open)
{
    if (port->filter.gate_fd < 0)
        return;
    const int rc = port_filter_set_open(&port->filter, is_open);
    if (rc < 0)
        log_error("port %s: queries cannot be %s: %s", port->label, is_open ? "let in" : "kept out", strerror(-rc));
}

int port_start(struct port *port, char why[PORT_WHY_CAP])
{
    rte_eth_dev_callback_register(port->id, RTE_ETH_EVENT_INTR_RESET, note_event, port);
    rte_eth_dev_callback_register(port->id, RTE_ETH_EVENT_INTR_RMV, note_event, port);
    return port_queues_start(port, why);
}

int port_reset(struct port *port, char why[PORT_WHY_CAP])
{
    __atomic_store_n(&port->wants_reset, false, __ATOMIC_RELAXED);
    port->resets++;
    port->is_started = false;
    rte_eth_dev_stop(port->id);
    const int rc = rte_eth_dev_reset(port->id); // few drivers have more than stop and start to offer
    if (rc < 0 && rc != -ENOTSUP) {
        snprintf(why, PORT_WHY_CAP, "port %.100s: reset: %s", port->label, strerror(-rc));
        return rc;
    }
    const int set_up = port_queues_set_up(port, why);
    return set_up < 0 ? set_up : port_queues_start(port, why);
}

bool port_poll_link(struct port *port)
{
    struct rte_eth_link link = {0};
    const bool is_up = rte_eth_link_get_nowait(port->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
    const bool is_changed = is_up != port->is_up;
    port->is_up = is_up;
    port->link_changes += is_changed;
    return is_changed;
}

int port_find_ring(const struct port *port, unsigned queue, struct stranded_ring *ring)
{
    const struct rte_mempool_memhdr *memory = STAILQ_FIRST(&port->pool->mem_list);
    const char *interface = port->label + strlen("af_xdp:");
    *ring = (struct stranded_ring){.interface = (int)if_nametoindex(interface),
                                   .queue = queue,
                                   .frame_count = port->rx_ring,
                                   // net_af_xdp registers the pool's memory from the beginning of its first page
                                   .buffers = RTE_PTR_ALIGN_FLOOR(memory->addr, getpagesize())};
    memcpy(ring->mac, port->packet.mac, sizeof ring->mac);
    return port->wait_fd[queue] < 0 ? -ENOENT : stranded_ring_find(ring, port->wait_fd[queue]);
}

void port_get_statistics(const struct port *port, struct port_statistics *statistics)
{
    struct rte_eth_stats s;
    memset(statistics, 0, sizeof *statistics);
    if (!port->is_started || rte_eth_stats_get(port->id, &s) != 0)
        return;
    *statistics = (struct port_statistics){.missed = s.imissed, .errors = s.ierrors, .no_buffer = s.rx_nombuf};
    if (port->filter.count_fd >= 0)
        port_filter_add_counts(&port->filter, statistics->filter);
}

// Drivers that are not to be closed: memif's interrupt handler uses what a close has freed while the peer is connected,
// and AF_XDP's takes every XDP program off the interface, also those of others. Their sockets end with the process.
static bool is_left_open(const struct port *port)
{
    return port->kind == PORT_MEMIF || port->kind == PORT_AF_XDP;
}

void port_close(struct port *port)
{
    if (port->label[0] == 0)
        return;
    port_filter_fini(&port->filter);
    if (port->id == RTE_MAX_ETHPORTS)
        return;
    struct rte_eth_dev_info info;
    const bool has_info = rte_eth_dev_info_get(port->id, &info) == 0;
    rte_eth_dev_callback_unregister(port->id, RTE_ETH_EVENT_INTR_RESET, note_event, port);
    rte_eth_dev_callback_unregister(port->id, RTE_ETH_EVENT_INTR_RMV, note_event, port);
    if (port->is_started)
        rte_eth_dev_stop(port->id);
    if (is_left_open(port)) {
        prepare(port);
        return;
    }
    rte_eth_dev_close(port->id);
    if (has_info && port->kind != PORT_PCI)
        rte_dev_remove(info.device);
    rte_mempool_free(port->pool);
    prepare(port);
}
