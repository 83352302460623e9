// SPDX-License-Identifier: Apache-2.0
// The data plane's counters: one page in a memfd, written by the data plane, mapped read-only by the control process.
//
// One block per worker (and one for the stream thread), each on its own cache lines, single writer, plain 64-bit
// stores; readers use counters_read. Counters are monotonic and are never reset in place; a reader that wants rates
// keeps a baseline. The page is the only thing that the two processes share besides images, and it flows one way.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COUNTERS_MAGIC 0x53504354u // "SPCT"
enum {
    COUNTERS_VERSION = 3,
    COUNTERS_BLOCK_MAX = 64 // workers and the stream thread
};

// name, help text. The names are the metrics' names in every output; add at the end only.
#define COUNTERS_LIST(X)                                                                                               \
    X(loops, "iterations of the worker's loop")                                                                        \
    X(loops_busy, "iterations that received at least one packet")                                                      \
    X(sleeps, "times the worker slept because it was idle")                                                            \
    X(busy_cycles, "time stamp counter cycles spent in busy iterations")                                               \
    X(rx_packets, "packets received")                                                                                  \
    X(rx_bytes, "bytes received, without frame check sequence")                                                        \
    X(tx_packets, "packets handed to the driver")                                                                      \
    X(tx_bytes, "bytes handed to the driver")                                                                          \
    X(tx_full, "packets dropped because the driver's queue was full")                                                  \
    X(queries_udp4, "queries over UDP and IPv4")                                                                       \
    X(queries_udp6, "queries over UDP and IPv6")                                                                       \
    X(queries_tcp4, "queries over TCP and IPv4")                                                                       \
    X(queries_tcp6, "queries over TCP and IPv6")                                                                       \
    X(answers_noerror, "responses with rcode NOERROR")                                                                 \
    X(answers_formerr, "responses with rcode FORMERR")                                                                 \
    X(answers_servfail, "responses with rcode SERVFAIL")                                                               \
    X(answers_nxdomain, "responses with rcode NXDOMAIN")                                                               \
    X(answers_notimp, "responses with rcode NOTIMP")                                                                   \
    X(answers_refused, "responses with rcode REFUSED")                                                                 \
    X(answers_badvers, "responses with extended rcode BADVERS")                                                        \
    X(answers_other, "responses with another rcode")                                                                   \
    X(answers_truncated, "responses with the TC bit")                                                                  \
    X(answers_service, "responses made from the site-order table")                                                     \
    X(answers_fail_open, "service responses while no site was available, all addresses given")                         \
    X(answers_stale, "service responses from a site-order table older than allowed")                                   \
    X(answers_referral, "responses that delegate")                                                                     \
    X(answers_wildcard, "responses made from a wildcard")                                                              \
    X(edns_queries, "queries with an OPT record")                                                                      \
    X(cookie_none, "queries with a client cookie only")                                                                \
    X(cookie_good, "queries with a valid server cookie")                                                               \
    X(cookie_bad, "queries with a wrong or expired server cookie")                                                     \
    X(client_subnet_queries, "queries with a client subnet option")                                                    \
    X(arp_replies, "ARP requests answered")                                                                            \
    X(nd_replies, "neighbour solicitations answered")                                                                  \
    X(echo_replies, "ICMP and ICMPv6 echo requests answered")                                                          \
    X(kernel_packets, "packets passed to the kernel")                                                                  \
    X(kernel_full, "packets for the kernel dropped: its interface takes them too slowly")                              \
    X(drop_not_ready, "queries dropped because no table was there yet")                                                \
    X(drop_ethernet, "frames dropped: too short or of another EtherType")                                              \
    X(drop_ip, "packets dropped: malformed IP header")                                                                 \
    X(drop_fragment, "packets dropped: IP fragment")                                                                   \
    X(drop_ip_checksum, "packets dropped: wrong IPv4 header checksum")                                                 \
    X(drop_udp, "packets dropped: malformed UDP header")                                                               \
    X(drop_udp_checksum, "packets dropped: wrong UDP checksum")                                                        \
    X(drop_not_ours, "packets dropped: not to an address or port of this node")                                        \
    X(drop_bad_source, "packets dropped: source address or port that must not be answered")                            \
    X(drop_short, "messages dropped: shorter than a DNS header")                                                       \
    X(drop_response, "messages dropped: QR=1, never answered")                                                         \
    X(drop_rate_limited, "queries dropped by the rate limit")                                                          \
    X(rate_slipped, "queries over the rate limit answered with TC")                                                    \
    X(rate_dry_run, "queries that the rate limit would have dropped or slipped")                                       \
    X(drop_no_buffer, "packets dropped for want of a buffer")                                                          \
    X(tcp_accepted, "TCP connections accepted")                                                                        \
    X(tcp_refused, "TCP connections closed to keep a limit")                                                           \
    X(tcp_timeouts, "TCP connections closed after a time-out")                                                         \
    X(tcp_errors, "TCP connections closed after an error")                                                             \
    X(kernel_sent, "packets of the kernel handed to the driver")                                                       \
    X(kernel_send_full, "packets of the kernel dropped because the driver's queue was full")

enum counter {
#define COUNTERS_ENUM(name, help) COUNTER_##name,
    COUNTERS_LIST(COUNTERS_ENUM)
#undef COUNTERS_ENUM
        COUNTER_COUNT
};

// Packets of cards that are shared with the kernel (AF_XDP), by what the XDP program did with them. In the order of
// enum port_filter_count.
#define COUNTERS_FILTER_LIST(X)                                                                                        \
    X(taken, "queries for this node, taken from the kernel")                                                           \
    X(other, "passed to the kernel: no unfragmented UDP to port 53")                                                   \
    X(not_ours, "passed to the kernel: queries for other addresses or stations")                                       \
    X(shut, "passed to the kernel: queries while the data plane started or stopped")                                   \
    X(no_queue, "passed to the kernel: queries on a queue without a worker")

enum counters_filter {
#define COUNTERS_ENUM(name, help) COUNTERS_FILTER_##name,
    COUNTERS_FILTER_LIST(COUNTERS_ENUM)
#undef COUNTERS_ENUM
        COUNTERS_FILTER_COUNT
};

// One writer. Aligned so that two blocks never share a cache line (nor an adjacent-line prefetch pair).
struct counters_block {
    uint64_t zone_generation; // in use by this worker
    uint64_t order_generation;
    uint64_t thread_id; // the writer's, by its kernel's count; 0: not told. Its state shows why it stands still
    uint64_t value[COUNTER_COUNT];
} __attribute__((aligned(128)));

// Written by the manager thread only.
struct counters_page {
    uint32_t magic;
    uint32_t version;
    uint32_t block_count;   // workers, then the stream thread
    uint32_t counter_count; // COUNTER_COUNT of the writer; a reader of another version uses the smaller
    uint32_t block_bytes;   // sizeof(struct counters_block) of the writer
    uint32_t pid;
    uint64_t started_at_us; // wall clock
    uint64_t ticks_per_s;   // of busy_cycles
    // port statistics, updated once a second
    uint64_t port_missed;    // imissed: dropped by the NIC because a ring was full
    uint64_t port_errors;    // ierrors
    uint64_t port_no_buffer; // rx_nombuf
    uint64_t port_link_changes, port_resets;
    uint64_t ports_down;                   // without a link now
    uint64_t kernel_taken, kernel_refused; // packets that the kernel's interface took, or did not
    uint64_t kernel_given, kernel_lost;    // packets that it gave; of those dropped for want of a buffer or room
    uint64_t filter[COUNTERS_FILTER_COUNT];
    uint64_t images_accepted, images_refused;
    uint64_t publications;
    uint64_t grace_period_last_ns, grace_period_max_ns;
    uint64_t published_at_ns; // CLOCK_MONOTONIC of the last publication
    uint64_t manager_loops;
    struct counters_block block[];
};

static inline uint64_t counters_read(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

// By the block's owner only: a plain add whose store no reader sees torn.
static inline void counters_add(struct counters_block *block, enum counter counter, uint64_t n)
{
    __atomic_store_n(&block->value[counter], block->value[counter] + n, __ATOMIC_RELAXED);
}

// "rx_packets" for COUNTER_rx_packets, and its help text.
const char *counter_name(enum counter counter);
const char *counter_help(enum counter counter);
const char *counters_filter_name(enum counters_filter filter);

#ifdef __cplusplus
}
#endif
