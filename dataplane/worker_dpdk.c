// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker_dpdk.h"

#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>
#include <rte_prefetch.h>

#include "dataplane/capture.h"
#include "dataplane/fast_shape.h"
#include "dataplane/kernel_door_dpdk.h"
#include "dataplane/publish.h"

enum { TIMER_SLACK_NS = 1000 };

static_assert((int)WORKER_BURST <= (int)PACKET_BURST_MAX, "a burst is handled in one go");

// What becomes of one burst; its totals are added to the counters once.
struct burst {
    struct rte_mbuf *mbuf[WORKER_BURST]; // of the slots
    struct packet_slot slot[WORKER_BURST];
    struct rte_mbuf *send[WORKER_BURST], *drop[WORKER_BURST], *kernel[WORKER_BURST];
    unsigned slot_count, send_count, drop_count, kernel_count;
    uint64_t rx_bytes, tx_bytes;
};

void worker_init(struct worker *w, unsigned number, struct port *port, unsigned port_count, enum idle_policy idle,
                 struct counters_block *counters, struct rate_limit *rate_limit, const bool *stop)
{
    *w = (struct worker){.number = number,
                         .port = port,
                         .port_count = port_count,
                         .idle = idle,
                         .stop = stop,
                         .counters = counters,
                         .context = {.counters = counters, .rate_limit = rate_limit},
                         .sleep_us = WORKER_SLEEP_MIN_US,
                         .pause_ns = WORKER_PAUSE_MIN_NS};
    worker_clock_init(&w->clock, rte_get_tsc_hz());
}

// The snapshot for this burst. Its address says nothing about its contents (memory is used again): all is copied.
static void load_snapshot(struct worker *w, bool is_clock_set)
{
    struct answer_context *c = &w->context;
    const struct snapshot *s = publish_read();
    if (!s)
        return; // none yet: the context's pointers are null and queries are dropped as drop_not_ready
    c->zone_image = s->zone_image;
    c->order_image = s->order_image;
    struct counters_block *b = w->counters;
    if (is_clock_set || s->order_generation != b->order_generation || s->zone_generation != b->zone_generation) {
        c->is_stale = s->stale_after_s && w->clock.wall_us > s->order_built_at_us + s->stale_after_s * 1000000u;
        __atomic_store_n(&b->zone_generation, s->zone_generation, __ATOMIC_RELAXED);
        __atomic_store_n(&b->order_generation, s->order_generation, __ATOMIC_RELAXED);
    }
}

static enum packet_checksum checksum_of(const struct port *port, const struct rte_mbuf *m)
{
    if (!port->has_checksum_flags)
        return PACKET_CHECKSUM_UNKNOWN;
    switch (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
    case RTE_MBUF_F_RX_L4_CKSUM_BAD:
        return PACKET_CHECKSUM_BAD;
    case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
        return PACKET_CHECKSUM_GOOD;
    case RTE_MBUF_F_RX_L4_CKSUM_NONE:
        return PACKET_CHECKSUM_UNFINISHED;
    default:
        return PACKET_CHECKSUM_UNKNOWN;
    }
}

// Frames over several buffers or without room behind are larger than any query that we serve.
static void fill_slots(struct worker *w, const struct port *port, struct rte_mbuf **frame, unsigned count,
                       struct burst *b)
{
    for (unsigned i = 0; i < count; i++) {
        struct rte_mbuf *m = frame[i];
        const unsigned len = m->data_len, cap = (unsigned)(m->buf_len - m->data_off);
        b->rx_bytes += m->pkt_len;
        if (m->nb_segs != 1 || cap < len + 64) {
            counters_add(w->counters, COUNTER_drop_ethernet, 1);
            b->drop[b->drop_count++] = m;
            continue;
        }
        uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
        rte_prefetch0(data);
        rte_prefetch0(data + RTE_CACHE_LINE_SIZE); // the question
        b->mbuf[b->slot_count] = m;
        b->slot[b->slot_count++] =
            (struct packet_slot){data, (uint16_t)len, (uint16_t)cap, 0, (uint8_t)checksum_of(port, m), PACKET_DROP};
    }
}

static void sort_by_verdict(const struct port *port, struct burst *b)
{
    for (unsigned i = 0; i < b->slot_count; i++) {
        struct rte_mbuf *m = b->mbuf[i];
        const unsigned reply_len = b->slot[i].reply_len;
        if (b->slot[i].verdict != PACKET_SEND) {
            if (b->slot[i].verdict == PACKET_KERNEL && port->door)
                b->kernel[b->kernel_count++] = m;
            else
                b->drop[b->drop_count++] = m; // a kernel that shares the port has its own copy
            continue;
        }
        m->data_len = (uint16_t)reply_len; // also cuts Ethernet padding
        m->pkt_len = reply_len;
        m->ol_flags = m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED ? RTE_MBUF_F_TX_VLAN : 0;
        b->tx_bytes += reply_len;
        b->send[b->send_count++] = m;
    }
}

static void note(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static void send_burst(struct worker *w, unsigned at, struct burst *b)
{
    const uint16_t sent = rte_eth_tx_burst(w->port[at].id, (uint16_t)w->number, b->send, (uint16_t)b->send_count);
    if (sent < b->send_count) {
        for (unsigned i = sent; i < b->send_count; i++)
            b->tx_bytes -= b->send[i]->pkt_len;
        counters_add(w->counters, COUNTER_tx_full, b->send_count - sent);
        note(&w->at[at].refused, b->send_count - sent);
        rte_pktmbuf_free_bulk(b->send + sent, b->send_count - sent);
    }
    counters_add(w->counters, COUNTER_tx_packets, sent);
    counters_add(w->counters, COUNTER_tx_bytes, b->tx_bytes);
    note(&w->at[at].sent, sent);
}

// All of it: to hand a frame over costs no more than to free it. What the ring to the thread has no room for is
// dropped.
static void pass_to_kernel(struct worker *w, unsigned at, struct burst *b)
{
    const unsigned taken = kernel_door_put(w->port[at].door, b->kernel, b->kernel_count);
    if (taken == b->kernel_count)
        return;
    counters_add(w->counters, COUNTER_kernel_full, b->kernel_count - taken);
    note(&w->at[at].kernel_dropped, b->kernel_count - taken);
}

static unsigned serve_port(struct worker *w, unsigned at, uint64_t tsc)
{
    const struct port *port = &w->port[at];
    struct rte_mbuf *frame[WORKER_BURST];
    if (port->may_block)
        publish_offline();
    const unsigned n = rte_eth_rx_burst(port->id, (uint16_t)w->number, frame, WORKER_BURST);
    if (port->may_block)
        publish_online();
    if (n == 0)
        return 0;
    const bool is_clock_set = worker_clock_read(&w->clock, tsc);
    w->context.now_ns = w->clock.now_ns;
    w->context.now_s = (uint32_t)(w->clock.wall_us / 1000000u);
    load_snapshot(w, is_clock_set);
    struct burst b;
    b.slot_count = b.send_count = b.drop_count = b.kernel_count = 0;
    b.rx_bytes = b.tx_bytes = 0;
    fill_slots(w, port, frame, n, &b);
    if (capture_is_on(w->capture))
        capture_handle_burst(w->capture, w->number, &w->context, &port->packet, b.slot, b.slot_count, w->clock.wall_us);
    else
        packet_handle_burst(&w->context, &port->packet, b.slot, b.slot_count);
    sort_by_verdict(port, &b);
    counters_add(w->counters, COUNTER_rx_packets, n);
    counters_add(w->counters, COUNTER_rx_bytes, b.rx_bytes);
    if (b.send_count)
        send_burst(w, at, &b);
    if (b.drop_count)
        rte_pktmbuf_free_bulk(b.drop, b.drop_count);
    if (b.kernel_count)
        pass_to_kernel(w, at, &b);
    note(&w->at[at].received, n);
    return n;
}

// What the kernel sends by a port that it does not share. A full burst means that more is waiting: then within the
// budget.
static unsigned carry_from_kernel(struct worker *w, unsigned at, bool is_full)
{
    const struct port *port = &w->port[at];
    struct rte_mbuf *frame[WORKER_BURST];
    const unsigned n = kernel_door_take(port->door, frame, is_full ? WORKER_KERNEL_BUDGET : WORKER_BURST);
    if (n == 0)
        return 0;
    const unsigned sent = rte_eth_tx_burst(port->id, (uint16_t)w->number, frame, (uint16_t)n);
    counters_add(w->counters, COUNTER_kernel_sent, sent);
    if (sent < n) {
        counters_add(w->counters, COUNTER_kernel_send_full, n - sent);
        note(&w->at[at].kernel_dropped, n - sent);
        rte_pktmbuf_free_bulk(frame + sent, n - sent);
    }
    return n;
}

unsigned worker_turn(struct worker *w)
{
    unsigned received = 0;
    const uint64_t started = rte_rdtsc();
    for (unsigned i = 0; i < w->port_count; i++) {
        const struct port *port = &w->port[i];
        if (w->number >= port->queue_count || __atomic_load_n(&port->is_paused, __ATOMIC_ACQUIRE))
            continue;
        const unsigned n = serve_port(w, i, started);
        received += n;
        if (w->number == 0 && port->door)
            received += carry_from_kernel(w, i, n == WORKER_BURST);
    }
    counters_add(w->counters, COUNTER_loops, 1);
    if (received) {
        counters_add(w->counters, COUNTER_loops_busy, 1);
        counters_add(w->counters, COUNTER_busy_cycles, rte_rdtsc() - started);
    }
    publish_quiescent();
    return received;
}

// Until a port with a descriptor has packets, or for as long as the other ports may go unwatched.
static void wait_idle(struct worker *w)
{
    struct pollfd set[OPTIONS_PORT_MAX];
    unsigned waiting = 0, watched = 0;
    for (unsigned i = 0; i < w->port_count; i++) {
        if (w->number >= w->port[i].queue_count)
            continue;
        watched++;
        if (w->port[i].wait_fd[w->number] >= 0)
            set[waiting++] = (struct pollfd){w->port[i].wait_fd[w->number], POLLIN, 0};
    }
    struct timespec time = {0, WORKER_WAIT_MAX_MS * 1000000};
    if (waiting < watched) {
        time.tv_nsec = w->sleep_us * 1000;
        w->sleep_us = w->sleep_us * 2 < WORKER_SLEEP_MAX_US ? w->sleep_us * 2 : WORKER_SLEEP_MAX_US;
    }
    counters_add(w->counters, COUNTER_sleeps, 1);
    publish_offline();
    ppoll(set, waiting, &time, NULL);
    publish_online();
}

// Without looking at the ports: the processor rests, and a hyper-thread beside it has more of the core.
static void pause_idle(struct worker *w)
{
    const uint64_t until = rte_rdtsc() + w->pause_ns * w->clock.ticks_per_s / 1000000000u;
    w->pause_ns = w->pause_ns * 2 < WORKER_PAUSE_MAX_NS ? w->pause_ns * 2 : WORKER_PAUSE_MAX_NS;
    while (rte_rdtsc() < until)
        rte_pause();
}

int worker_run(void *argument)
{
    struct worker *w = argument;
    struct fast_shapes shapes;
    fast_shapes_init(&shapes);
    w->context.shapes = &shapes;
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0); // the default of 50 us would double the shortest waits
    __atomic_store_n(&w->counters->thread_id, (uint64_t)gettid(), __ATOMIC_RELAXED);
    publish_register();
    while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
        if (worker_turn(w)) {
            w->empty_turns = 0;
            w->sleep_us = WORKER_SLEEP_MIN_US;
            w->pause_ns = WORKER_PAUSE_MIN_NS;
        } else if (w->idle == IDLE_SLEEP && ++w->empty_turns >= WORKER_SPIN_TURNS) {
            w->empty_turns = WORKER_SPIN_TURNS;
            wait_idle(w);
        } else if (w->idle == IDLE_PAUSE && ++w->empty_turns >= WORKER_SPIN_TURNS) {
            w->empty_turns = WORKER_SPIN_TURNS;
            pause_idle(w);
        } else {
            rte_pause();
        }
    }
    publish_unregister();
    w->context.shapes = NULL;
    return 0;
}
