// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_queues_dpdk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/kernel_door_dpdk.h"
#include "shared/log.h"
#include "dataplane/worker_dpdk.h"

enum {
    DESCRIPTORS = 1024,      // per ring; a power of two, as vector receive functions want it
    POOL_CACHE = 256,        // buffers kept by each worker; the library lets it grow to half as many again
    POOL_SLACK = 1024,       // drivers that keep some
    XDP_RING_BUFFERS = 8192, // fill, receive, transmit and completion ring of an AF_XDP queue: 2048 each
    RETA_MAX = 512           // entries of the largest redirection table known
};

static int fail(int rc, char why[PORT_WHY_CAP], const struct port *port, const char *what, const char *remedy)
{
    snprintf(why, PORT_WHY_CAP, "port %.100s: %s: %s%s%s", port->label, what, strerror(-rc), remedy[0] ? "; " : "",
             remedy);
    return rc < 0 ? rc : -EIO;
}

unsigned port_queues_buffers(bool is_xdp, unsigned queue_count, unsigned rx_ring, unsigned tx_ring,
                             unsigned worker_count, bool has_door)
{
    const unsigned rings = is_xdp ? XDP_RING_BUFFERS : rx_ring + tx_ring;
    return queue_count * rings + worker_count * (POOL_CACHE * 3 / 2 + 2 * WORKER_BURST) +
           (has_door ? KERNEL_DOOR_BUFFERS : 0) + POOL_SLACK - 1;
}

unsigned port_memory_mb(const struct port_spec *spec, unsigned worker_count, bool has_door)
{
    const uint64_t each = RTE_MBUF_DEFAULT_BUF_SIZE + sizeof(struct rte_mbuf) + 192; // object header and alignment
    const unsigned count =
        port_queues_buffers(port_spec_is_xdp(spec), worker_count, DESCRIPTORS, DESCRIPTORS, worker_count, has_door);
    return (unsigned)(count * each >> 20) + 4;
}

// ---- what the driver reports, and what we make of it ----

static uint64_t rss_types(uint64_t offered)
{
    const uint64_t udp = RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP | RTE_ETH_RSS_IPV6_UDP_EX;
    const uint64_t ip = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_FRAG_IPV6 |
                        RTE_ETH_RSS_NONFRAG_IPV4_OTHER | RTE_ETH_RSS_NONFRAG_IPV6_OTHER;
    return offered & (udp | ip | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP);
}

static bool is_virtio(const struct rte_eth_dev_info *info)
{
    return strcmp(info->driver_name, "net_virtio") == 0;
}

static void fill_config(struct port *port, const struct rte_eth_dev_info *info, struct rte_eth_conf *config)
{
    uint64_t rx = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
    // virtio then takes frames whose checksums their sender, on the same machine, left unfinished. We could answer
    // them, but not pass them to the kernel.
    if (!port->plan.has_offloads || (is_virtio(info) && port->plan.has_door))
        rx = 0;
    config->rxmode.offloads = info->rx_offload_capa & rx;
    port->has_checksum_flags = config->rxmode.offloads & RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
    // Checksums of replies are made in software: most drivers leave their fast transmit path with any other offload.
    // Every buffer of a queue is of one pool and referenced once, as fast free demands.
    if (port->plan.has_offloads)
        config->txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
    port->rss = rss_types(info->flow_type_rss_offloads);
    if (port->queue_count > 1 && port->rss) {
        config->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        config->rx_adv_conf.rss_conf.rss_hf = port->rss;
    }
    if (port->queue_count > 1 && port->kind == PORT_PCI && !port->rss)
        log_warning("port %s: its driver %s spreads nothing: all queries use the first worker", port->label,
                    info->driver_name);
    else if (port->queue_count > 1 && port->kind == PORT_PCI && !(port->rss & RTE_ETH_RSS_NONFRAG_IPV4_UDP))
        log_warning("port %s: no hashing of UDP ports: queries of one client address use one worker", port->label);
}

static int make_pool(struct port *port, unsigned rx, unsigned tx, int numa, char why[PORT_WHY_CAP])
{
    char name[32];
    const unsigned count =
        port_queues_buffers(port->is_xdp, port->queue_count, rx, tx, port->plan.worker_count, port->plan.has_door);
    // The door's thread takes and gives buffers as well and, unlike the workers, may lose its CPU in the middle of it:
    // with the relaxed ring no worker waits until it has it back.
    const char *ring = port->plan.has_door ? "ring_mt_rts" : RTE_MBUF_DEFAULT_MEMPOOL_OPS;
    snprintf(name, sizeof name, "signpost_%u", port->id);
    port->pool = rte_pktmbuf_pool_create_by_ops(name, count, POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, numa, ring);
    if (!port->pool && numa != SOCKET_ID_ANY) { // memory of another node is slower, and better than none
        port->pool =
            rte_pktmbuf_pool_create_by_ops(name, count, POOL_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, ring);
        if (port->pool)
            log_warning("port %s: no memory for packet buffers on its NUMA node %d: taken from another one; "
                        "`scripts/hugepages reserve --node %d MB` reserves some there",
                        port->label, numa, numa);
    }
    if (!port->pool)
        return fail(-rte_errno, why, port, "no memory for packet buffers",
                    "`scripts/hugepages reserve MB` reserves more, --huge off does without");
    return 0;
}

static int set_up_rings(struct port *port, int numa, char why[PORT_WHY_CAP])
{
    uint16_t rx = DESCRIPTORS, tx = DESCRIPTORS;
    int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx, &tx);
    if (rc < 0)
        return fail(rc, why, port, "ring sizes", "");
    port->rx_ring = rx;
    if (!port->pool)
        rc = make_pool(port, rx, tx, numa, why);
    if (rc < 0)
        return rc;
    for (uint16_t q = 0; q < port->queue_count; q++) {
        rc = rte_eth_rx_queue_setup(port->id, q, rx, (unsigned)numa, NULL, port->pool);
        if (rc == 0)
            rc = rte_eth_tx_queue_setup(port->id, q, tx, (unsigned)numa, NULL);
        if (rc < 0)
            return fail(rc, why, port, "queues cannot be set up",
                        port->kind == PORT_AF_XDP ? "is another program using XDP on the interface?" : "");
    }
    log_info("port %s: rings of %u and %u, %u buffers on NUMA node %d", port->label, rx, tx, port->pool->size, numa);
    return 0;
}

int port_queues_set_up(struct port *port, char why[PORT_WHY_CAP])
{
    struct rte_eth_dev_info info;
    struct rte_eth_conf config = {0};
    const unsigned worker_count = port->plan.worker_count;
    int rc = rte_eth_dev_info_get(port->id, &info);
    if (rc < 0)
        return fail(rc, why, port, "device information", "");
    unsigned queues = worker_count < info.max_rx_queues ? worker_count : info.max_rx_queues;
    queues = queues < info.max_tx_queues ? queues : info.max_tx_queues;
    if (queues < worker_count)
        log_warning("port %s: %u queues for %u workers: the others get nothing from it", port->label, queues,
                    worker_count);
    snprintf(port->driver, sizeof port->driver, "%s", info.driver_name);
    port->queue_count = (uint16_t)queues;
    port->is_promiscuous = is_virtio(&info);
    fill_config(port, &info, &config);
    rc = rte_eth_dev_configure(port->id, port->queue_count, port->queue_count, &config);
    if (rc < 0)
        return fail(rc, why, port, "the device refuses the configuration", "--offloads off asks nothing of it");
    const int numa = rte_eth_dev_socket_id(port->id);
    rc = set_up_rings(port, numa < 0 ? 0 : numa, why);
    if (rc < 0)
        return rc;
    struct rte_ether_addr mac;
    rc = rte_eth_macaddr_get(port->id, &mac);
    if (rc < 0)
        return fail(rc, why, port, "hardware address", "");
    memcpy(port->packet.mac, mac.addr_bytes, sizeof mac.addr_bytes);
    if (rte_eth_dev_get_mtu(port->id, &port->mtu) < 0)
        port->mtu = RTE_ETHER_MTU;
    return 0;
}

// ---- running ----

// Drivers fill the redirection table each in their own way; some leave it to queue 0.
static void spread_hash(const struct port *port)
{
    struct rte_eth_dev_info info;
    struct rte_eth_rss_reta_entry64 table[RETA_MAX / RTE_ETH_RETA_GROUP_SIZE] = {0};
    if (port->queue_count < 2 || !port->rss || rte_eth_dev_info_get(port->id, &info) < 0 || info.reta_size == 0 ||
        info.reta_size > RETA_MAX)
        return;
    for (unsigned i = 0; i < info.reta_size; i++) {
        struct rte_eth_rss_reta_entry64 *group = &table[i / RTE_ETH_RETA_GROUP_SIZE];
        group->mask |= UINT64_C(1) << i % RTE_ETH_RETA_GROUP_SIZE;
        group->reta[i % RTE_ETH_RETA_GROUP_SIZE] = (uint16_t)(i % port->queue_count);
    }
    const int rc = rte_eth_dev_rss_reta_update(port->id, table, info.reta_size);
    if (rc < 0 && rc != -ENOTSUP)
        log_warning("port %s: its redirection table cannot be set (%s): see that all workers receive", port->label,
                    strerror(-rc));
}

// What the card really spreads by; some take less than they were asked for without a word.
static void read_back_hash(struct port *port)
{
    struct rte_eth_rss_conf in_use = {0};
    if (port->queue_count < 2 || !port->rss)
        return;
    const int rc = rte_eth_dev_rss_hash_conf_get(port->id, &in_use);
    if (rc < 0) {
        log_info("port %s: its driver does not tell what it spreads queries by (%s)", port->label, strerror(-rc));
        return;
    }
    const uint64_t udp = RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV6_UDP;
    if (port->rss & udp & ~in_use.rss_hf)
        log_warning("port %s: asked to hash UDP ports of IPv4 and IPv6, the card does it for %s: queries of one client "
                    "address use one worker",
                    port->label, in_use.rss_hf & udp ? "one of them" : "none of them");
    port->rss = in_use.rss_hf;
    log_info("port %s: spreads over %u queues by hash types 0x%llx (IPv4 UDP ports %s, IPv6 UDP ports %s)", port->label,
             port->queue_count, (unsigned long long)port->rss, port->rss & RTE_ETH_RSS_NONFRAG_IPV4_UDP ? "yes" : "no",
             port->rss & RTE_ETH_RSS_NONFRAG_IPV6_UDP ? "yes" : "no");
}

int port_queues_start(struct port *port, char why[PORT_WHY_CAP])
{
    const int rc = rte_eth_dev_start(port->id);
    if (rc < 0)
        return fail(rc, why, port, "the device does not start", "");
    port->is_started = true;
    if (!port->packet.has_kernel || port->plan.has_door) // neighbour solicitations come to multicast addresses
        rte_eth_allmulticast_enable(port->id);
    // virtio's filter drops every tagged frame until its VLAN is named; frames to strangers we drop ourselves.
    if (port->is_promiscuous)
        rte_eth_promiscuous_enable(port->id);
    spread_hash(port);
    read_back_hash(port);
    return 0;
}
