// SPDX-License-Identifier: Apache-2.0
// Workers as in the program, on a port that feeds itself: net_null makes empty frames, a callback fills them with
// queries, and what is sent is thrown away. Nothing but the workers can be the limit.
//
// usage: bench_workers WORKERS SECONDS NAMES [publish=RATE] [hosts] [limit] [cookie|good] [subnet] [one_order]
//                                                                        (one or two workers, on CPUs 0 and 1)
//   publish  on the other CPU, so many order images a second are built, mapped, checked and published as the data plane
//            does it
//   hosts    asks for the zone's names at random instead of its services
//   limit    a rate limit that nobody reaches
//   cookie   a client cookie in each query; good: with the server cookie of a minute ago
//   subnet   in each query; 65,536 prefixes lie in seven regions, of which every other one has another order, unless
//            there is only one_order
// Prints answers a second, by the clock and by the workers' processor time (which other programs on the machine do not
// disturb), the workers' mean cycles per answer, and images published.
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_mbuf.h>

#include "dataplane/checksum.h"
#include "dataplane/publish.h"
#include "dataplane/rate_limit.h"
#include "dataplane/worker_dpdk.h"
#include "table/wire.h"
#include "tests/bench/bench_query.h"
#include "tests/bench/bench_world.h"

enum { WORKERS_MAX = 2, QUERIES = 32768, FRAME_CAP = 144, SERVICES = 1024, PREFIXES = 65536 };

// What is asked for, and with what.
struct load {
    unsigned names;   // so many hosts, or 0: services
    unsigned options; // enum bench_options
    unsigned groups;  // of regions with an order of their own
    bool is_limited;
};

struct query_frame {
    uint8_t bytes[FRAME_CAP];
    uint16_t len;
};

struct feed {
    struct query_frame *frame;
    unsigned next;
} __attribute__((aligned(128)));

struct runner {
    struct worker worker;
    double cpu_s;
} __attribute__((aligned(128)));

static void put_query(struct query_frame *f, const uint8_t mac[6], unsigned number, const struct load *load)
{
    const uint8_t client[4] = {198, 18, (uint8_t)(number >> 8), (uint8_t)(number | 1)};
    char text[64];
    uint8_t name[NAME_MAX_LEN], *ip = f->bytes + 14, *udp = ip + 20;
    struct wire_writer w = wire_writer_init(udp + 8, FRAME_CAP - 42);
    if (load->names)
        snprintf(text, sizeof text, "host%u.example.com", (unsigned)((uint64_t)number * 2654435761u % load->names));
    else
        snprintf(text, sizeof text, "www%u.example.com", number % SERVICES);
    wire_put_u16(&w, (uint16_t)number);
    wire_put(&w, "\1\0\0\1\0\0\0\0\0\1", 10);
    wire_put(&w, name, (size_t)name_from_text(name, text));
    wire_put(&w, "\0\1\0\1", 4);
    bench_put_opt(&w, load->options, number, PREFIXES, client, (uint32_t)time(NULL));
    const unsigned len = (unsigned)w.at + 8;
    memcpy(f->bytes, mac, 6);
    memcpy(f->bytes + 6, "\2\0\0\0\0\2\x08\0", 8);
    const uint8_t head[12] = {0x45, 0, (uint8_t)((len + 20) >> 8), (uint8_t)(len + 20), 0, 1, 0, 0, 64, 17, 0, 0};
    memcpy(ip, head, 12);
    memcpy(ip + 12, client, 4);
    memcpy(ip + 16, bench_v4, 4);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, ip, 20));
    memcpy(ip + 10, &sum, 2);
    const uint8_t ports[8] = {0x40, (uint8_t)number, 0, 53, (uint8_t)(len >> 8), (uint8_t)len, 0, 0};
    memcpy(udp, ports, 8);
    sum = (uint16_t)~checksum_fold(checksum_add(checksum_pseudo(ip + 12, false, len, 17), udp, len));
    memcpy(udp + 6, &sum, 2);
    f->len = (uint16_t)(14 + 20 + len);
}

static uint16_t fill(uint16_t port, uint16_t queue, struct rte_mbuf **m, uint16_t count, uint16_t cap, void *user)
{
    struct feed *feed = user;
    (void)port, (void)queue, (void)cap;
    for (uint16_t i = 0; i < count; i++) {
        const struct query_frame *f = &feed->frame[feed->next++ % QUERIES];
        memcpy(rte_pktmbuf_mtod(m[i], uint8_t *), f->bytes, FRAME_CAP);
        m[i]->data_len = f->len;
        m[i]->pkt_len = f->len;
    }
    return count;
}

static int run(void *argument)
{
    struct runner *r = argument;
    struct timespec start, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    worker_run(&r->worker);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    r->cpu_s = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    return 0;
}

static void fail(const char *what)
{
    fprintf(stderr, "bench_workers: %s\n", what);
    exit(1);
}

static void done(void *user, uint64_t zone, uint64_t order, uint64_t grace_ns)
{
    (void)user, (void)zone, (void)order, (void)grace_ns;
}

static struct image_map *zone; // stays

static uint32_t service_flags; // of the order images
static unsigned groups;        // likewise

static struct image_map *build_order(uint64_t generation)
{
    struct bench_world world = {.services = SERVICES,
                                .generation = generation,
                                .is_stamped = true,
                                .service_flags = service_flags,
                                .groups = groups};
    struct image_map *order;
    bench_build_order(&world);
    bench_map(world.order_image, world.order_len, IMAGE_ORDER, &order);
    free(world.order_image);
    return order;
}

static void publish_world(unsigned names, const struct load *load)
{
    struct bench_world world = {.names = names, .services = SERVICES, .is_limited = load->is_limited};
    world.regions = load->options & BENCH_SUBNET ? PREFIXES : 0;
    service_flags = load->options & BENCH_SUBNET ? ORDER_BY_REGION : 0;
    groups = load->groups;
    memcpy(world.address, bench_v4, 4);
    bench_build_zone(&world);
    bench_map(world.zone_image, world.zone_len, IMAGE_ZONE, &zone);
    publish_init(done, NULL);
    publish_swap(snapshot_new(zone, build_order(1)));
}

// So many a second until `seconds` are over. Images published.
static unsigned publish_orders(unsigned rate, unsigned seconds)
{
    struct timespec due;
    unsigned published = 0;
    cpu_set_t other;
    CPU_ZERO(&other);
    CPU_SET(1, &other);
    sched_setaffinity(0, sizeof other, &other);
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (unsigned i = 0; i < rate * seconds; i++) {
        struct image_map *order = build_order(i + 2);
        struct snapshot *s = snapshot_new(zone, order);
        image_map_drop(order); // the snapshot has its own reference
        if (publish_swap(s) == 0)
            published++;
        else
            snapshot_free(s);
        due.tv_nsec += 1000000000 / (long)rate;
        due.tv_sec += due.tv_nsec / 1000000000;
        due.tv_nsec %= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    }
    return published;
}

static void open_port(struct port *port, struct feed *feed, const struct load *load)
{
    char why[PORT_WHY_CAP];
    if (port_adopt(port, 0, WORKERS_MAX, why) < 0 || port_start(port, why) < 0)
        fail(why);
    for (uint16_t q = 0; q < WORKERS_MAX; q++) {
        feed[q].frame = calloc(QUERIES, sizeof *feed[q].frame);
        for (unsigned i = 0; i < QUERIES; i++)
            put_query(&feed[q].frame[i], port->packet.mac, i, load);
        if (!rte_eth_add_rx_callback(port->id, q, fill, &feed[q]))
            fail("no receive callback");
    }
}

// The number behind "publish=", or 0.
static unsigned publish_rate(int argc, char **argv)
{
    for (int i = 4; i < argc; i++)
        if (strncmp(argv[i], "publish=", 8) == 0)
            return (unsigned)atoi(argv[i] + 8);
    return 0;
}

static bool has_word(int argc, char **argv, const char *word)
{
    for (int i = 4; i < argc; i++)
        if (strcmp(argv[i], word) == 0)
            return true;
    return false;
}

static struct load load_of(int argc, char **argv)
{
    struct load load = {.names = has_word(argc, argv, "hosts") ? (unsigned)atoi(argv[3]) : 0,
                        .groups = has_word(argc, argv, "one_order") ? 1 : 2,
                        .is_limited = has_word(argc, argv, "limit")};
    load.options |= has_word(argc, argv, "cookie") ? BENCH_COOKIE : 0;
    load.options |= has_word(argc, argv, "good") ? BENCH_COOKIE_GOOD : 0;
    load.options |= has_word(argc, argv, "subnet") ? BENCH_SUBNET : 0;
    return load;
}

// The workers run until `seconds` are over; images published meanwhile.
static unsigned run_for(unsigned seconds, unsigned publish_rate, bool *stop)
{
    unsigned published = 0;
    if (publish_rate)
        published = publish_orders(publish_rate, seconds);
    else
        sleep(seconds);
    __atomic_store_n(stop, true, __ATOMIC_RELEASE);
    rte_eal_mp_wait_lcore();
    return published;
}

static void print_result(const struct counters_block *counters, const struct runner *runner, unsigned workers,
                         double seconds, unsigned published)
{
    double answers = 0, by_cpu = 0, cycles = 0;
    for (unsigned i = 0; i < workers; i++) {
        const double n = (double)counters[i].value[COUNTER_answers_noerror];
        answers += n;
        by_cpu += n / runner[i].cpu_s;
        cycles += (double)counters[i].value[COUNTER_busy_cycles];
    }
    printf("%.0f %.0f %.1f %u\n", answers / seconds, by_cpu, cycles / answers, published);
}

int main(int argc, char **argv)
{
    static struct feed feed[WORKERS_MAX];
    static struct runner runner[WORKERS_MAX];
    static struct port port;
    static bool stop;
    const char *eal[] = {"bench_workers",
                         "--no-huge",
                         "--no-pci",
                         "--no-shconf",
                         "--no-telemetry",
                         "--iova-mode=va",
                         "-m",
                         "128",
                         "--lcores=0@(0,1),1@0,2@1",
                         "--log-level=*:error",
                         "--vdev=net_null0,size=64"};
    const unsigned workers = argc >= 4 ? (unsigned)atoi(argv[1]) : 0;
    if (workers < 1 || workers > WORKERS_MAX)
        return fprintf(stderr,
                       "usage: bench_workers 1|2 SECONDS NAMES [publish=RATE] [hosts] [limit] [cookie|good] [subnet] "
                       "[one_order]\n"),
               2;
    if (rte_eal_init(sizeof eal / sizeof *eal, (char **)(uintptr_t)eal) < 0)
        fail("EAL");
    const struct load load = load_of(argc, argv);
    publish_world((unsigned)atoi(argv[3]), &load);
    open_port(&port, feed, &load);
    struct counters_block *counters = aligned_alloc(128, WORKERS_MAX * sizeof *counters);
    memset(counters, 0, WORKERS_MAX * sizeof *counters);
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned i = 0; i < workers; i++) {
        struct rate_limit *limit = load.is_limited ? rate_limit_new(16, i + 1, workers) : NULL;
        worker_init(&runner[i].worker, i, &port, 1, IDLE_BUSY, &counters[i], limit, &stop);
        rte_eal_remote_launch(run, &runner[i], i + 1);
    }
    const unsigned published = run_for((unsigned)atoi(argv[2]), publish_rate(argc, argv), &stop);
    clock_gettime(CLOCK_MONOTONIC, &end);
    const double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    print_result(counters, runner, workers, seconds, published);
    return 0;
}
