// SPDX-License-Identifier: Apache-2.0
#include "dataplane/stranded.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_xdp.h>

#include "dataplane/stranded_answer.h"

#ifndef SOL_XDP
#define SOL_XDP 283
#endif

enum {
    BURST_MAX = 64,  // frames that a worker may have in hand; more: its count is not this socket's
    SEND_TURNS = 128 // the kernel sends some 32 frames a call, and a ring has 2048
};

static const uint64_t ADDRESS_MASK = (UINT64_C(1) << XSK_UNALIGNED_BUF_OFFSET_SHIFT) - 1;

// Where this process has one of the socket's rings: the driver keeps its address to itself, and the kernel does not map
// a ring twice.
static uint8_t *find_mapping(int fd, unsigned long wanted)
{
    struct stat status;
    char line[256];
    FILE *maps = fstat(fd, &status) == 0 ? fopen("/proc/self/maps", "re") : NULL;
    uint8_t *found = NULL;
    while (maps && !found && fgets(line, sizeof line, maps)) {
        unsigned long from, offset, inode;
        if (sscanf(line, "%lx-%*x %*s %lx %*s %lu", &from, &offset, &inode) == 3 && inode == status.st_ino &&
            offset == wanted)
            found = (uint8_t *)from; // NOLINT(performance-no-int-to-ptr)
    }
    if (maps)
        fclose(maps);
    return found;
}

int stranded_ring_find(struct stranded_ring *r, int fd)
{
    struct xdp_mmap_offsets offsets = {0};
    socklen_t len = sizeof offsets;
    if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &len) < 0)
        return -errno;
    uint8_t *ring = find_mapping(fd, XDP_PGOFF_RX_RING), *tx = find_mapping(fd, XDP_PGOFF_TX_RING);
    if (!ring || !tx)
        return -ENOENT;
    r->fd = fd;
    r->producer = (const uint32_t *)(void *)(ring + offsets.rx.producer);
    r->consumer = (const uint32_t *)(void *)(ring + offsets.rx.consumer);
    r->frame = (const struct xdp_desc *)(void *)(ring + offsets.rx.desc);
    r->tx_producer = (uint32_t *)(void *)(tx + offsets.tx.producer);
    r->tx_consumer = (const uint32_t *)(void *)(tx + offsets.tx.consumer);
    r->tx_frame = (struct xdp_desc *)(void *)(tx + offsets.tx.desc);
    return 0;
}

int stranded_open_pass(void)
{
    const struct bpf_insn pass[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT},
    };
    const int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "signpost_pass", "Apache-2.0", pass, 2, NULL);
    return fd < 0 ? -errno : fd;
}

void stranded_ring_begin(struct stranded_ring *r)
{
    const uint32_t taken = __atomic_load_n(r->consumer, __ATOMIC_ACQUIRE);
    const uint32_t in_hand = taken - (uint32_t)__atomic_load_n(r->finished, __ATOMIC_ACQUIRE);
    r->next = in_hand <= BURST_MAX ? taken - in_hand : taken;
    r->taken = taken;
    // The worker counts what it has sent after the ring has it: a difference is the burst in hand.
    r->has_unsent =
        __atomic_load_n(r->tx_producer, __ATOMIC_ACQUIRE) == (uint32_t)__atomic_load_n(r->sent, __ATOMIC_ACQUIRE);
}

static void send_answers(int fd)
{
    for (unsigned i = 0; i < SEND_TURNS && sendto(fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno == EAGAIN; i++)
        ;
}

static const uint8_t *bytes_of(const struct stranded_ring *r, const struct xdp_desc *d)
{
    return r->buffers + (d->addr & ADDRESS_MASK) + (d->addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT);
}

// An answer that the worker had written, but not sent; it stands where the query stood.
static bool send_left(struct stranded_ring *r, const struct xdp_desc *d)
{
    const unsigned len = stranded_answer_len(bytes_of(r, d), r->mac);
    const uint32_t at = *r->tx_producer;
    if (len == 0 || at - __atomic_load_n(r->tx_consumer, __ATOMIC_ACQUIRE) >= r->frame_count)
        return false;
    r->tx_frame[at & (r->frame_count - 1)] = (struct xdp_desc){.addr = d->addr, .len = len};
    __atomic_store_n(r->tx_producer, at + 1, __ATOMIC_RELEASE);
    return true;
}

// A frame that the worker had begun to answer is for the client by now: the kernel drops it.
static bool give_back(const struct stranded_ring *r, const struct xdp_desc *d, int pass_fd)
{
    struct xdp_md context = {.data_end = d->len, .ingress_ifindex = (__u32)r->interface, .rx_queue_index = r->queue};
    LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = bytes_of(r, d), .data_size_in = d->len, .ctx_in = &context,
                .ctx_size_in = sizeof context, .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
    return d->len >= ETH_HLEN && bpf_prog_test_run_opts(pass_fd, &run) == 0;
}

unsigned stranded_give_back(struct stranded_ring *r, int pass_fd)
{
    const uint32_t end = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
    unsigned given = 0;
    send_answers(r->fd);
    if (end - r->next > r->frame_count) // what lies further back was overwritten
        r->next = end - r->frame_count;
    for (; r->next != end; r->next++) {
        const struct xdp_desc *d = &r->frame[r->next & (r->frame_count - 1)];
        const bool was_in_hand = (int32_t)(r->next - r->taken) < 0;
        given += (was_in_hand && r->has_unsent && send_left(r, d)) || give_back(r, d, pass_fd);
    }
    send_answers(r->fd);
    return given;
}
