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

#include "dataplane/log.h"
#include "dataplane/packet_sieve.h"
#include "dataplane/port_filter.h"

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif

enum {
    DESCRIPTORS = 1024,      // per ring; a power of two, as vector receive functions want it
    POOL_CACHE = 256,        // buffers kept by each worker
    POOL_SLACK = 1024,       // bursts under way, and drivers that keep some
    XDP_RING_BUFFERS = 8192, // fill, receive, transmit and completion ring of an AF_XDP queue: 2048 each
    DESCRIPTORS_LISTED_MAX = 4096
};

static int fail(int rc, char why[PORT_WHY_CAP], const struct port *port, const char *what, const char *remedy)
{
    snprintf(why, PORT_WHY_CAP, "port %.100s: %s: %s%s%s", port->label, what, strerror(-rc), remedy[0] ? "; " : "",
             remedy);
    return rc < 0 ? rc : -EIO;
}

static unsigned pool_size(enum port_kind kind, unsigned worker_count)
{
    const unsigned rings = kind == PORT_AF_XDP ? XDP_RING_BUFFERS : 2 * DESCRIPTORS;
    return worker_count * (rings + 2 * POOL_CACHE) + POOL_SLACK - 1;
}

unsigned port_memory_mb(enum port_kind kind, unsigned worker_count)
{
    const uint64_t each = RTE_MBUF_DEFAULT_BUF_SIZE + sizeof(struct rte_mbuf) + 192; // object header and alignment
    return (unsigned)(pool_size(kind, worker_count) * each >> 20) + 4;
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

// Only queries are taken from the kernel; ARP, neighbour discovery, echo and TCP stay its business.
static int probe_xdp(struct port *port, const struct port_spec *spec, unsigned number, unsigned worker_count,
                     enum idle_policy idle, char why[PORT_WHY_CAP])
{
    char device[32], arguments[OPTIONS_TEXT_CAP + 160], filter[PORT_FILTER_PATH_CAP];
    if (port_filter_remove_left(spec->name) == 1)
        log_notice("port %s: took off the XDP program that an earlier data plane left", port->label);
    const int fd = port_filter_open(filter);
    if (fd < 0)
        return fail(fd, why, port, "the XDP program cannot be made", "");
    port->packet.has_kernel = true;
    snprintf(device, sizeof device, "net_af_xdp%u", number);
    snprintf(arguments, sizeof arguments, "%s,iface=%s,start_queue=0,queue_count=%u,xdp_prog=%s%s", device, spec->name,
             worker_count, filter, idle == IDLE_SLEEP ? ",busy_budget=0" : "");
    const int rc = probe(port, device, arguments,
                         "af_xdp needs CAP_NET_ADMIN, CAP_BPF, at least one queue per worker, and no other XDP program "
                         "on the interface (`ip link` shows it, `ip link set dev IFACE xdp off` removes it)",
                         why);
    port->filter_fd = fd; // the driver reads it when the queues are set up
    return rc;
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
                             "bind it to vfio-pci first: `dpdk-devbind.py -s` shows the state")
                      : 0;
    }
    case PORT_VDEV:
        snprintf(device, sizeof device, "%.*s", (int)strcspn(spec->name, ","), spec->name);
        port->packet.has_kernel = strstr(device, "af_packet") != NULL;
        return probe(port, device, spec->name, "see DPDK's guide of this driver for its arguments", why);
    }
    return -EINVAL;
}

// ---- queues ----

static uint64_t rss_types(uint64_t offered)
{
    const uint64_t udp = RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP | RTE_ETH_RSS_IPV6_UDP_EX;
    const uint64_t ip = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_FRAG_IPV6 |
                        RTE_ETH_RSS_NONFRAG_IPV4_OTHER | RTE_ETH_RSS_NONFRAG_IPV6_OTHER;
    return offered & (udp | ip | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP);
}

static void fill_config(struct port *port, const struct rte_eth_dev_info *info, struct rte_eth_conf *config)
{
    const uint64_t rx = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
    config->rxmode.offloads = info->rx_offload_capa & rx;
    port->has_checksum_flags = config->rxmode.offloads & RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
    // Checksums of replies are made in software: most drivers leave their fast transmit path with any other offload.
    // Every buffer of a queue is of one pool and referenced once, as fast free demands.
    config->txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    const uint64_t rss = rss_types(info->flow_type_rss_offloads);
    if (port->queue_count > 1 && rss) {
        config->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        config->rx_adv_conf.rss_conf.rss_hf = rss;
    }
    if (port->queue_count > 1 && !(rss & RTE_ETH_RSS_NONFRAG_IPV4_UDP) && port->kind == PORT_PCI)
        log_warning("port %s: no hashing of UDP ports: queries of one client address use one worker", port->label);
}

static int set_up_queues(struct port *port, const struct rte_eth_dev_info *info, unsigned worker_count, int numa,
                         char why[PORT_WHY_CAP])
{
    uint16_t rx = DESCRIPTORS, tx = DESCRIPTORS;
    int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx);
    if (rc < 0)
        return fail(rc, why, port, "ring sizes", "");
    if (!port->pool) {
        char name[32];
        snprintf(name, sizeof name, "signpost_%u", port->id);
        port->pool = rte_pktmbuf_pool_create(name, pool_size(port->kind, worker_count), POOL_CACHE, 0,
                                             RTE_MBUF_DEFAULT_BUF_SIZE, numa);
        if (!port->pool)
            return fail(-rte_errno, why, port, "no memory for packet buffers", "give more huge pages, or --huge off");
    }
    for (uint16_t q = 0; q < port->queue_count; q++) {
        rc = rte_eth_rx_queue_setup(port->id, q, rx, (unsigned)numa, NULL, port->pool);
        if (rc == 0)
            rc = rte_eth_tx_queue_setup(port->id, q, tx, (unsigned)numa, NULL);
        if (rc < 0)
            return fail(rc, why, port, "queues cannot be set up",
                        port->kind == PORT_AF_XDP ? "is another program using XDP on the interface?" : "");
    }
    (void)info;
    return 0;
}

static int configure(struct port *port, unsigned worker_count, char why[PORT_WHY_CAP])
{
    struct rte_eth_dev_info info;
    struct rte_eth_conf config = {0};
    int rc = rte_eth_dev_info_get(port->id, &info);
    if (rc < 0)
        return fail(rc, why, port, "device information", "");
    unsigned queues = worker_count < info.max_rx_queues ? worker_count : info.max_rx_queues;
    queues = queues < info.max_tx_queues ? queues : info.max_tx_queues;
    if (queues < worker_count)
        log_warning("port %s: %u queues for %u workers: the others get nothing from it", port->label, queues,
                    worker_count);
    port->queue_count = (uint16_t)queues;
    fill_config(port, &info, &config);
    rc = rte_eth_dev_configure(port->id, port->queue_count, port->queue_count, &config);
    if (rc < 0)
        return fail(rc, why, port, "the device refuses the configuration", "");
    const int numa = rte_eth_dev_socket_id(port->id);
    rc = set_up_queues(port, &info, worker_count, numa < 0 ? 0 : numa, why);
    if (rc < 0)
        return rc;
    struct rte_ether_addr mac;
    rc = rte_eth_macaddr_get(port->id, &mac);
    if (rc < 0)
        return fail(rc, why, port, "hardware address", "");
    memcpy(port->packet.mac, mac.addr_bytes, sizeof mac.addr_bytes);
    return 0;
}

static void prepare(struct port *port)
{
    memset(port, 0, sizeof *port);
    port->id = RTE_MAX_ETHPORTS;
    port->filter_fd = -1;
    for (unsigned i = 0; i < OPTIONS_CORE_MAX; i++)
        port->wait_fd[i] = -1;
}

int port_open(struct port *port, const struct port_spec *spec, unsigned number, unsigned worker_count,
              enum idle_policy idle, char why[PORT_WHY_CAP])
{
    prepare(port);
    port->kind = spec->kind;
    snprintf(port->label, sizeof port->label, "%s:%s", port_kind_name(spec->kind), spec->name);
    uint8_t before[DESCRIPTORS_LISTED_MAX / 8];
    const int domain = spec->kind == PORT_AF_PACKET ? AF_PACKET : spec->kind == PORT_AF_XDP ? AF_XDP : AF_UNSPEC;
    list_sockets(domain, before);
    int rc = probe_spec(port, spec, number, worker_count, idle, why);
    if (rc == 0)
        rc = configure(port, worker_count, why);
    if (port->filter_fd >= 0)
        close(port->filter_fd);
    port->filter_fd = -1;
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
    snprintf(port->label, sizeof port->label, "dpdk:%u", id);
    return configure(port, worker_count, why);
}

int port_start(struct port *port, char why[PORT_WHY_CAP])
{
    int rc = rte_eth_dev_start(port->id);
    if (rc < 0)
        return fail(rc, why, port, "the device does not start", "");
    port->is_started = true;
    if (!port->packet.has_kernel) // neighbour solicitations come to multicast addresses
        rte_eth_allmulticast_enable(port->id);
    return 0;
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

void port_add_statistics(const struct port *port, struct port_statistics *sum)
{
    struct rte_eth_stats s;
    if (!port->is_started || rte_eth_stats_get(port->id, &s) != 0)
        return;
    sum->missed += s.imissed;
    sum->errors += s.ierrors;
    sum->no_buffer += s.rx_nombuf;
}

void port_close(struct port *port)
{
    if (port->label[0] == 0 || port->id == RTE_MAX_ETHPORTS)
        return;
    struct rte_eth_dev_info info;
    const bool has_info = rte_eth_dev_info_get(port->id, &info) == 0;
    if (port->is_started)
        rte_eth_dev_stop(port->id);
    if (port->kind == PORT_MEMIF) { // its interrupt handler uses what a close has freed while the peer is connected
        prepare(port);
        return;
    }
    rte_eth_dev_close(port->id);
    if (has_info && port->kind != PORT_PCI)
        rte_dev_remove(info.device);
    rte_mempool_free(port->pool);
    prepare(port);
}
