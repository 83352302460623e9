// SPDX-License-Identifier: Apache-2.0
// Queries and other packets at two steady rates over a memif link, and what came back of them.
//
// usage: exception_load SOCKET SECONDS QUERIES_PER_S OTHERS_PER_S QUERIES.pcap OTHERS.pcap
//        exception_load SOCKET 0 QUERIES OTHERS ...          so many at once, as fast as the link takes them
//        exception_load SOCKET SECONDS max OTHERS_PER_S ...  as many queries as the link takes
//        exception_load ... OTHERS.pcap TAP                  the link is shared with this machine's own traffic
//
// With TAP, frames of a TAP interface of that name go out as well, and what comes back and is no answer over UDP goes
// to it: real TCP beside the load. "tap_unsent" are those of its frames that found the link's ring full.
//
// Sends what is due every 100 us, queries and others evenly mixed, and receives in between; less when it was late
// itself ("queries" and "others" are what it really offered). Where it may (CAP_SYS_NICE), no ordinary program takes
// the CPU from it: a sender that stands still loses answers by itself. Prints one JSON object: "..._unsent" found
// the link's ring full, so the other end had not kept up. The link stays until standard input ends.
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/kernel_tap.h"

enum {
    FRAMES_MAX = 4096,
    FRAME_CAP = 512,
    BURST = 32,
    RING = 2048, // of the link, as the data plane makes it
    TICK_NS = 100000,
    REST_NS = 5000,
    LUMP_MAX = 768, // of the link's 2,048 frames
    CONNECT_MS = 10000,
    QUIET_MS = 500, // this long without a frame: nothing more comes back,
    LATE_S = 5,     // unless answers are missing: then this long in all
    PCAP_HEADER = 24,
    RECORD_HEADER = 16,
    PROTOCOL_AT = 23,
    UDP_SOURCE_AT = 34, // behind Ethernet and IPv4 without options
    PROTOCOL_UDP = 17,
    MTU = 1500
};

struct stream {
    const char *name;
    uint8_t frame[FRAMES_MAX][FRAME_CAP];
    uint16_t len[FRAMES_MAX];
    unsigned frames;
    bool is_unlimited;
    double rate;
    uint64_t due, sent, unsent, skipped;
};

static struct stream queries = {.name = "queries"}, others = {.name = "others"};
static uint64_t answers, strangers, tap_unsent;
static int tap = -1;
static uint16_t port;
static struct rte_mempool *pool;

static void fail(const char *what)
{
    fprintf(stderr, "exception_load: %s\n", what);
    exit(1);
}

static void read_frames(struct stream *s, const char *path)
{
    uint8_t header[PCAP_HEADER];
    uint32_t record[RECORD_HEADER / 4];
    FILE *f = fopen(path, "rb");
    if (!f || fread(header, sizeof header, 1, f) != 1)
        fail(path);
    while (s->frames < FRAMES_MAX && fread(record, sizeof record, 1, f) == 1) {
        if (record[2] > FRAME_CAP || fread(s->frame[s->frames], record[2], 1, f) != 1)
            fail(path);
        s->len[s->frames++] = (uint16_t)record[2];
    }
    fclose(f);
    if (s->frames == 0)
        fail(path);
}

static void open_link(const char *socket)
{
    char device[256];
    const struct rte_eth_conf nothing = {0};
    struct rte_eth_link link = {0};
    snprintf(device, sizeof device, "net_memif0,role=client,socket=%s,socket-abstract=no,id=0,rsize=11,bsize=2048",
             socket);
    pool = rte_pktmbuf_pool_create("load", 4 * RING + 1024, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (!pool || rte_eal_hotplug_add("vdev", "net_memif0", strchr(device, ',') + 1) < 0 ||
        rte_eth_dev_get_port_by_name("net_memif0", &port) < 0 || rte_eth_dev_configure(port, 1, 1, &nothing) < 0 ||
        rte_eth_rx_queue_setup(port, 0, RING, (unsigned)SOCKET_ID_ANY, NULL, pool) < 0 ||
        rte_eth_tx_queue_setup(port, 0, RING, (unsigned)SOCKET_ID_ANY, NULL) < 0 || rte_eth_dev_start(port) < 0)
        fail("the link cannot be made");
    for (unsigned waited = 0; waited < CONNECT_MS; waited += 10) {
        if (rte_eth_link_get_nowait(port, &link) == 0 && link.link_status)
            return;
        rte_delay_us_sleep(10000);
    }
    fail("nobody at the other end of the link");
}

static bool is_answer(const struct rte_mbuf *m)
{
    static const uint8_t dns[2] = {0, 53};
    const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
    return frame[PROTOCOL_AT] == PROTOCOL_UDP && memcmp(frame + UDP_SOURCE_AT, dns, 2) == 0;
}

static unsigned receive(void)
{
    struct rte_mbuf *m[BURST];
    const unsigned n = rte_eth_rx_burst(port, 0, m, BURST);
    for (unsigned i = 0; i < n; i++) {
        if (is_answer(m[i])) {
            answers++;
            continue;
        }
        strangers++;
        if (tap >= 0)
            kernel_tap_write(tap, rte_pktmbuf_mtod(m[i], void *), m[i]->data_len);
    }
    if (n)
        rte_pktmbuf_free_bulk(m, n);
    return n;
}

// What this machine's kernel sends, one burst of it.
static void carry_from_tap(void)
{
    struct rte_mbuf *m[BURST];
    uint8_t frame[MTU + 64];
    uint16_t count = 0;
    for (size_t len; tap >= 0 && count < BURST && (len = kernel_tap_read(tap, frame, sizeof frame)) > 0; count++) {
        m[count] = rte_pktmbuf_alloc(pool);
        if (!m[count])
            fail("no buffers");
        memcpy(rte_pktmbuf_append(m[count], (uint16_t)len), frame, len);
    }
    const uint16_t sent = count ? rte_eth_tx_burst(port, 0, m, count) : 0;
    if (sent < count)
        rte_pktmbuf_free_bulk(m + sent, count - sent);
    tap_unsent += count - sent;
}

// Up to `count` frames; those for which there was no room are lost, unless the stream has all the time it wants.
static void push(struct stream *s, unsigned count)
{
    struct rte_mbuf *m[BURST];
    if (rte_pktmbuf_alloc_bulk(pool, m, count) < 0)
        fail("no buffers");
    for (unsigned i = 0; i < count; i++) {
        const unsigned at = (unsigned)((s->sent + s->unsent + i) % s->frames);
        memcpy(rte_pktmbuf_append(m[i], s->len[at]), s->frame[at], s->len[at]);
    }
    const unsigned sent = rte_eth_tx_burst(port, 0, m, (uint16_t)count);
    s->sent += sent;
    if (sent < count)
        rte_pktmbuf_free_bulk(m + sent, count - sent);
    if (sent < count && !s->is_unlimited)
        s->unsent += count - sent;
}

static uint64_t waiting(const struct stream *s)
{
    return s->due - s->sent - s->unsent - s->skipped;
}

// Of each stream as many as make its share of a burst, so that neither comes in a lump.
static void send_due(void)
{
    for (uint64_t left; (left = waiting(&queries) + waiting(&others)) > 0;) {
        const unsigned total = left < BURST ? (unsigned)left : BURST;
        const unsigned of_others = (unsigned)((waiting(&others) * total + left - 1) / left);
        if (of_others)
            push(&others, of_others);
        if (total > of_others)
            push(&queries, total - of_others);
        carry_from_tap();
        receive();
    }
}

// What is due, but no lump for which the link would have no room: a sender that was late is not behind for ever.
static void make_due(struct stream *s, double passed)
{
    s->due = (uint64_t)(passed * s->rate);
    if (waiting(s) > LUMP_MAX)
        s->skipped += waiting(s) - LUMP_MAX;
}

static double now_s(void)
{
    return (double)rte_rdtsc() / (double)rte_get_tsc_hz();
}

static uint64_t in_ns(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec;
}

// Sleeps at least for a moment: the node's other threads share this CPU.
static void wait_for_tick(struct timespec *tick)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t soonest = in_ns(&now) + REST_NS, planned = in_ns(tick) + TICK_NS;
    const uint64_t next = planned > soonest ? planned : soonest;
    *tick = (struct timespec){(time_t)(next / 1000000000), (long)(next % 1000000000)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, tick, NULL);
}

static void run(double seconds)
{
    const double begun = now_s();
    struct timespec tick;
    clock_gettime(CLOCK_MONOTONIC, &tick);
    for (double passed; (passed = now_s() - begun) < seconds;) {
        make_due(&others, passed);
        if (queries.is_unlimited)
            queries.due = queries.sent + BURST;
        else
            make_due(&queries, passed);
        if (queries.is_unlimited) {
            if (waiting(&others))
                push(&others, waiting(&others) < BURST ? (unsigned)waiting(&others) : BURST);
            push(&queries, BURST);
            carry_from_tap();
            receive();
            receive();
            continue;
        }
        send_due();
        carry_from_tap();
        while (receive())
            ;
        wait_for_tick(&tick);
    }
}

// Leaves the CPU between looks: on a machine that is busy the node may need this one to answer at all.
static void wait_for_the_rest(void)
{
    const struct timespec rest = {0, REST_NS};
    const double begun = now_s();
    for (double last = begun;
         now_s() - last < QUIET_MS / 1e3 || (answers < queries.sent && now_s() - begun < LATE_S);) {
        if (receive())
            last = now_s();
        else
            nanosleep(&rest, NULL);
    }
}

static void set_rate(struct stream *s, const char *text, double seconds)
{
    s->is_unlimited = strcmp(text, "max") == 0;
    s->rate = strtod(text, NULL);
    if (seconds == 0)
        s->due = (uint64_t)s->rate;
}

int main(int argc, char **argv)
{
    const int used = rte_eal_init(argc, argv);
    argv += used;
    if (used < 0 || argc - used < 7 || argc - used > 8)
        fail("usage: exception_load EAL-OPTIONS -- SOCKET SECONDS QUERIES OTHERS QUERIES.pcap OTHERS.pcap [TAP]");
    const double seconds = strtod(argv[2], NULL);
    set_rate(&queries, argv[3], seconds);
    set_rate(&others, argv[4], seconds);
    read_frames(&queries, argv[5]);
    read_frames(&others, argv[6]);
    open_link(argv[1]);
    if (argc - used == 8) {
        char why[KERNEL_TAP_WHY_CAP] = "";
        tap = kernel_tap_open(argv[7], why);
        if (tap < 0 || kernel_tap_set_up(argv[7], NULL, MTU, why) < 0)
            fail(why);
    }
    const struct sched_param first = {.sched_priority = 10};
    const bool is_first = sched_setscheduler(0, SCHED_FIFO, &first) == 0;
    prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
    const double begun = now_s();
    if (seconds == 0)
        send_due();
    run(seconds);
    const double took = now_s() - begun;
    wait_for_the_rest();
    printf("{\"seconds\": %.3f, \"queries\": %lu, \"queries_unsent\": %lu, \"answers\": %lu, \"others\": %lu, "
           "\"others_unsent\": %lu, \"from_kernel\": %lu, \"tap_unsent\": %lu, \"is_real_time\": %s}\n",
           took, (unsigned long)(queries.sent + queries.unsent), (unsigned long)queries.unsent, (unsigned long)answers,
           (unsigned long)(others.sent + others.unsent), (unsigned long)others.unsent, (unsigned long)strangers,
           (unsigned long)tap_unsent, is_first ? "true" : "false");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
