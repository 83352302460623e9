// SPDX-License-Identifier: Apache-2.0
#include "dataplane/kernel_door_dpdk.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_tun.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

enum {
    RING_SIZE = 1024, // power of two
    BURST = 32,
    FRAME_MAX = 2048,
    IDLE_WAIT_NS = 500000 // how long a frame for the kernel may wait when the thread slept
};

struct kernel_door {
    int fd;
    struct rte_mempool *pool;
    struct rte_ring *to_kernel, *from_kernel;
    pthread_t thread;
    bool has_thread, stop;
};

static int fail(char why[KERNEL_DOOR_WHY_CAP], const char *name, const char *what, int error)
{
    snprintf(why, KERNEL_DOOR_WHY_CAP, "kernel interface %.15s: %s: %s", name, what, strerror(error));
    return -1;
}

// ---- the interface ----

static int set_up_interface(const char *name, const uint8_t mac[6], char why[KERNEL_DOOR_WHY_CAP])
{
    struct ifreq request = {0};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(why, name, "socket", errno);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(request.ifr_hwaddr.sa_data, mac, 6);
    int rc = ioctl(fd, SIOCSIFHWADDR, &request) < 0 ? fail(why, name, "setting the port's hardware address", errno) : 0;
    if (rc == 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags |= IFF_UP;
        if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
            rc = fail(why, name, "bringing it up", errno);
    }
    close(fd);
    return rc;
}

static int open_tap(const char *name, const uint8_t mac[6], char why[KERNEL_DOOR_WHY_CAP])
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return fail(why, name, "/dev/net/tun", errno);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        fail(why, name, "making it needs CAP_NET_ADMIN, and a name that no other interface has", errno);
        close(fd);
        return -1;
    }
    if (set_up_interface(name, mac, why) == 0)
        return fd;
    close(fd);
    return -1;
}

// ---- the thread ----

static unsigned write_frames(struct kernel_door *d)
{
    struct rte_mbuf *frame[BURST];
    const unsigned n = rte_ring_dequeue_burst(d->to_kernel, (void **)frame, BURST, NULL);
    for (unsigned i = 0; i < n; i++) // the kernel drops what it has no room for, as a wire would
        (void)!write(d->fd, rte_pktmbuf_mtod(frame[i], void *), frame[i]->data_len);
    if (n)
        rte_pktmbuf_free_bulk(frame, n);
    return n;
}

static unsigned read_frames(struct kernel_door *d)
{
    uint8_t bytes[FRAME_MAX];
    unsigned count = 0;
    for (; count < BURST; count++) {
        const ssize_t n = read(d->fd, bytes, sizeof bytes);
        if (n <= 0)
            break;
        struct rte_mbuf *m = rte_pktmbuf_alloc(d->pool);
        char *to = m ? rte_pktmbuf_append(m, (uint16_t)n) : NULL;
        if (to)
            memcpy(to, bytes, (size_t)n);
        if (!to || rte_ring_enqueue(d->from_kernel, m) < 0)
            rte_pktmbuf_free(m);
    }
    return count;
}

static void *run(void *argument)
{
    struct kernel_door *d = argument;
    struct pollfd wait = {d->fd, POLLIN, 0};
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

struct kernel_door *kernel_door_open(const char *name, const uint8_t mac[6], struct rte_mempool *pool,
                                     char why[KERNEL_DOOR_WHY_CAP])
{
    char ring[32];
    struct kernel_door *d = calloc(1, sizeof *d);
    if (!d) {
        fail(why, name, "memory", ENOMEM);
        return NULL;
    }
    d->pool = pool;
    d->fd = open_tap(name, mac, why);
    if (d->fd < 0) {
        free(d);
        return NULL;
    }
    snprintf(ring, sizeof ring, "to_%s", name);
    d->to_kernel = rte_ring_create(ring, RING_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
    snprintf(ring, sizeof ring, "from_%s", name);
    d->from_kernel = rte_ring_create(ring, RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (!d->to_kernel || !d->from_kernel)
        fail(why, name, "rings", rte_errno);
    else if ((errno = pthread_create(&d->thread, NULL, run, d)) != 0)
        fail(why, name, "thread", errno);
    else
        d->has_thread = true;
    if (d->has_thread)
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
    close(d->fd);
    free_ring(d->to_kernel);
    free_ring(d->from_kernel);
    free(d);
}
