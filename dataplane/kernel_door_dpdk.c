// SPDX-License-Identifier: Apache-2.0
#include "dataplane/kernel_door_dpdk.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/kernel_tap.h"
#include "dataplane/kernel_vhost_dpdk.h"
#include "shared/log.h"

enum {
    BURST = 32,
    FRAME_MAX = 2048,
    IDLE_WAIT_NS = 500000 // how long a frame for the kernel, or from vhost-net, may wait when the thread slept
};

struct kernel_door {
    char name[KERNEL_TAP_NAME_CAP];
    int fd;                    // of the TAP device; -1 with vhost-net
    struct kernel_vhost vhost; // in use when fd is -1
    struct rte_mempool *pool;
    struct rte_ring *to_kernel, *from_kernel;
    struct kernel_door_statistics statistics; // the thread writes, the main thread reads
    pthread_t thread;
    bool has_thread, stop;
};

static void fail(char why[KERNEL_DOOR_WHY_CAP], const char *name, const char *what, int error)
{
    snprintf(why, KERNEL_DOOR_WHY_CAP, "kernel interface %.15s: %s: %s", name, what, strerror(error));
}

static void add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

// ---- the thread ----

// A tag that the card took out of the frame goes back into it: the kernel finds VLANs by it.
static unsigned put_tags_back(struct rte_mbuf **frame, unsigned count)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < count; i++) {
        struct rte_mbuf *m = frame[i];
        if ((m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) && rte_vlan_insert(&m) < 0)
            rte_pktmbuf_free(m);
        else
            frame[kept++] = m;
    }
    return kept;
}

static unsigned write_tap(struct kernel_door *d, struct rte_mbuf **frame, unsigned count)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < count; i++)
        taken += kernel_tap_write(d->fd, rte_pktmbuf_mtod(frame[i], void *), frame[i]->data_len);
    if (count)
        rte_pktmbuf_free_bulk(frame, count);
    return taken;
}

static unsigned write_frames(struct kernel_door *d)
{
    struct rte_mbuf *frame[BURST];
    const unsigned n = rte_ring_dequeue_burst(d->to_kernel, (void **)frame, BURST, NULL);
    if (n == 0)
        return 0;
    const unsigned whole = put_tags_back(frame, n);
    const unsigned taken = d->fd >= 0 ? write_tap(d, frame, whole) : kernel_vhost_write(&d->vhost, frame, whole);
    add(&d->statistics.taken, taken);
    if (taken < n)
        add(&d->statistics.refused, n - taken);
    return n;
}

// Frames of the kernel as buffers of the port's pool; *sent counts also those for which there was none.
static unsigned read_tap(struct kernel_door *d, struct rte_mbuf *frame[BURST], unsigned *sent)
{
    uint8_t bytes[FRAME_MAX];
    unsigned count = 0;
    for (*sent = 0; *sent < BURST; (*sent)++) {
        const size_t n = kernel_tap_read(d->fd, bytes, sizeof bytes);
        if (n == 0)
            break;
        struct rte_mbuf *m = rte_pktmbuf_alloc(d->pool);
        char *to = m ? rte_pktmbuf_append(m, (uint16_t)n) : NULL;
        if (to) {
            memcpy(to, bytes, n);
            frame[count++] = m;
        } else {
            rte_pktmbuf_free(m);
        }
    }
    return count;
}

static unsigned read_frames(struct kernel_door *d)
{
    struct rte_mbuf *frame[BURST];
    unsigned sent = 0;
    const unsigned n = d->fd >= 0 ? read_tap(d, frame, &sent) : (sent = kernel_vhost_read(&d->vhost, frame, BURST));
    const unsigned queued = n ? rte_ring_enqueue_burst(d->from_kernel, (void **)frame, n, NULL) : 0;
    if (queued < n)
        rte_pktmbuf_free_bulk(frame + queued, n - queued);
    if (sent)
        add(&d->statistics.sent, sent);
    if (queued < sent)
        add(&d->statistics.lost, sent - queued);
    return sent;
}

static void *run(void *argument)
{
    struct kernel_door *d = argument;
    struct pollfd wait = {d->fd, POLLIN, 0}; // a negative descriptor is only a sleep
    const struct timespec idle = {0, IDLE_WAIT_NS};
    while (!__atomic_load_n(&d->stop, __ATOMIC_RELAXED))
        if (write_frames(d) + read_frames(d) == 0)
            ppoll(&wait, 1, &idle, NULL);
    return NULL;
}

// ---- for the workers ----

unsigned kernel_door_put(struct kernel_door *d, struct rte_mbuf **frame, unsigned count)
{
    const unsigned n = rte_ring_enqueue_burst(d->to_kernel, (void **)frame, count, NULL);
    if (n < count)
        rte_pktmbuf_free_bulk(frame + n, count - n);
    return n;
}

unsigned kernel_door_take(struct kernel_door *d, struct rte_mbuf **frame, unsigned cap)
{
    return rte_ring_dequeue_burst(d->from_kernel, (void **)frame, cap, NULL);
}

// ---- life ----

// vhost-net carries several times what a TAP device does, and is not everywhere.
static int open_way(struct kernel_door *d, const struct kernel_door_config *c, char why[KERNEL_DOOR_WHY_CAP])
{
    d->fd = -1;
    if (c->way != KERNEL_WAY_TAP) {
        int rc = kernel_vhost_open(&d->vhost, c, why);
        if (rc == 0)
            rc = kernel_tap_set_up(c->name, NULL, c->mtu, why);
        if (rc == 0 || c->way == KERNEL_WAY_VHOST)
            return rc;
        log_info("%s: a TAP device instead", why);
        kernel_vhost_close(&d->vhost);
    }
    const int fd = kernel_tap_open(c->name, why);
    if (fd < 0)
        return fd;
    d->fd = fd;
    return kernel_tap_set_up(c->name, c->mac, c->mtu, why);
}

static int open_rings(struct kernel_door *d, const struct kernel_door_config *c, char why[KERNEL_DOOR_WHY_CAP])
{
    char ring[32];
    snprintf(ring, sizeof ring, "to_%s", c->name);
    d->to_kernel = rte_ring_create(ring, KERNEL_DOOR_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
    snprintf(ring, sizeof ring, "from_%s", c->name);
    d->from_kernel = rte_ring_create(ring, KERNEL_DOOR_RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (d->to_kernel && d->from_kernel)
        return 0;
    fail(why, c->name, "rings", rte_errno);
    return -1;
}

struct kernel_door *kernel_door_open(const struct kernel_door_config *c, char why[KERNEL_DOOR_WHY_CAP])
{
    struct kernel_door *d = calloc(1, sizeof *d);
    if (!d) {
        fail(why, c->name, "memory", ENOMEM);
        return NULL;
    }
    snprintf(d->name, sizeof d->name, "%s", c->name);
    d->pool = c->pool;
    int rc = open_way(d, c, why);
    if (rc == 0)
        rc = open_rings(d, c, why);
    if (rc == 0 && (rc = pthread_create(&d->thread, NULL, run, d)) != 0)
        fail(why, c->name, "thread", rc);
    d->has_thread = rc == 0;
    if (rc == 0)
        return d;
    kernel_door_close(d);
    return NULL;
}

static void free_ring(struct rte_ring *ring)
{
    void *frame;
    while (ring && rte_ring_dequeue(ring, &frame) == 0)
        rte_pktmbuf_free(frame);
    rte_ring_free(ring);
}

void kernel_door_close(struct kernel_door *d)
{
    if (!d)
        return;
    __atomic_store_n(&d->stop, true, __ATOMIC_RELAXED);
    if (d->has_thread)
        pthread_join(d->thread, NULL);
    if (d->fd >= 0)
        close(d->fd);
    kernel_vhost_close(&d->vhost);
    free_ring(d->to_kernel);
    free_ring(d->from_kernel);
    free(d);
}

const char *kernel_door_way(const struct kernel_door *d)
{
    return d->fd >= 0 ? "TAP" : "vhost-net";
}

void kernel_door_set_carrier(struct kernel_door *d, bool is_up)
{
    const int rc = kernel_tap_set_carrier(d->name, d->fd, is_up);
    if (rc < 0)
        log_info("kernel interface %s: its carrier cannot be set (%s): it stays up without the port's link", d->name,
                 strerror(-rc));
}

void kernel_door_get_statistics(const struct kernel_door *d, struct kernel_door_statistics *s)
{
    s->taken = __atomic_load_n(&d->statistics.taken, __ATOMIC_RELAXED);
    s->refused = __atomic_load_n(&d->statistics.refused, __ATOMIC_RELAXED);
    s->sent = __atomic_load_n(&d->statistics.sent, __ATOMIC_RELAXED);
    s->lost = __atomic_load_n(&d->statistics.lost, __ATOMIC_RELAXED);
}
