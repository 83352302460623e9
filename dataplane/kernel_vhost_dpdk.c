// SPDX-License-Identifier: Apache-2.0
#include "dataplane/kernel_vhost_dpdk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/kernel_door_dpdk.h"

static int fail(int rc, char *why, const char *name, const char *what)
{
    snprintf(why, KERNEL_DOOR_WHY_CAP, "kernel interface %.15s: vhost-net: %s: %s", name, what, strerror(-rc));
    return rc;
}

static int set_up(uint16_t id, struct rte_mempool *pool)
{
    const struct rte_eth_conf nothing = {0};
    int rc = rte_eth_dev_configure(id, 1, 1, &nothing);
    if (rc == 0)
        rc = rte_eth_rx_queue_setup(id, 0, KERNEL_DOOR_VHOST_RING, (unsigned)SOCKET_ID_ANY, NULL, pool);
    if (rc == 0)
        rc = rte_eth_tx_queue_setup(id, 0, KERNEL_DOOR_VHOST_RING, (unsigned)SOCKET_ID_ANY, NULL);
    return rc == 0 ? rte_eth_dev_start(id) : rc;
}

int kernel_vhost_open(struct kernel_vhost *v, const struct kernel_door_config *c, char *why)
{
    char device[32], arguments[256];
    const uint8_t *m = c->mac;
    v->is_open = false;
    if (access("/dev/vhost-net", R_OK | W_OK) < 0)
        return fail(-errno, why, c->name, "/dev/vhost-net (`modprobe vhost_net`)");
    if (!rte_eal_has_hugepages()) // thousands of small regions are more than it can be told of
        return fail(-ENOTSUP, why, c->name, "needs huge pages");
    snprintf(device, sizeof device, "net_virtio_user%u", c->number);
    snprintf(arguments, sizeof arguments,
             "%s,path=/dev/vhost-net,queues=1,queue_size=%d,iface=%s,mac=%02x:%02x:%02x:%02x:%02x:%02x", device,
             KERNEL_DOOR_VHOST_RING, c->name, m[0], m[1], m[2], m[3], m[4], m[5]);
    int rc = rte_dev_probe(arguments);
    if (rc < 0)
        return fail(rc, why, c->name, "the device cannot be made");
    rc = rte_eth_dev_get_port_by_name(device, &v->id);
    if (rc < 0)
        return fail(rc, why, c->name, "DPDK made no port for the device");
    v->is_open = true;
    rc = set_up(v->id, c->pool);
    if (rc == 0)
        return 0;
    kernel_vhost_close(v);
    return fail(rc, why, c->name, "its rings cannot be set up");
}

void kernel_vhost_close(struct kernel_vhost *v)
{
    struct rte_eth_dev_info info;
    if (!v->is_open)
        return;
    v->is_open = false;
    const bool has_info = rte_eth_dev_info_get(v->id, &info) == 0;
    rte_eth_dev_stop(v->id);
    rte_eth_dev_close(v->id);
    if (has_info)
        rte_dev_remove(info.device);
}

unsigned kernel_vhost_write(struct kernel_vhost *v, struct rte_mbuf **frame, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        frame[i]->ol_flags = 0; // what the card said of them would be taken as wishes
    const unsigned sent = rte_eth_tx_burst(v->id, 0, frame, (uint16_t)count);
    if (sent < count)
        rte_pktmbuf_free_bulk(frame + sent, count - sent);
    return sent;
}

unsigned kernel_vhost_read(struct kernel_vhost *v, struct rte_mbuf **frame, unsigned cap)
{
    return rte_eth_rx_burst(v->id, 0, frame, (uint16_t)cap);
}
