// SPDX-License-Identifier: Apache-2.0
// The pure path, frame in to frame out, on prebuilt packets: no driver, no system call.
//
// usage: bench_answer CASE NAMES COUNT [zipf] [verified] [services=N] [regions=N] [groups=N] [limit]
//   CASE   a, aaaa, a_edns, a_edns_2addr, a_edns_cookie, a_edns_cookie_good (with a valid server cookie),
//   a_edns_subnet, a_edns_v6, a_edns_all (cookie, subnet, rate limit), nxdomain, wildcard, refused, tc
//
//   verified: the driver has checked the UDP checksums; without it the path does
//
// Frames are handled in bursts of 32, as a worker does. Prints nanoseconds per answer (the time of copying the queries
// into the buffers taken off) and answers made. Under callgrind with --toggle-collect=packet_handle_burst the
// instructions of the path alone are counted.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#endif

#include "dataplane/checksum.h"
#include "dataplane/fast_shape.h"
#include "dataplane/packet.h"
#include "dataplane/rate_limit.h"
#include "table/wire.h"
#include "tests/bench/bench_query.h"
#include "tests/bench/bench_world.h"

enum { FRAME_CAP = 512, FRAME_COUNT = 65536, BUFFER_CAP = 2368, NOW_S = 1700000000 };

struct frame {
    uint8_t bytes[FRAME_CAP];
    unsigned len;
};

struct bench {
    const char *name;
    struct bench_world world;
    struct frame *frame;
    enum packet_checksum checksum;
};

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

static int is_case(const struct bench *x, const char *name)
{
    return strcmp(x->name, name) == 0;
}

static void put_client(uint8_t address[4], unsigned number)
{
    memcpy(address, (const uint8_t[4]){198, 18, (uint8_t)(number >> 8), (uint8_t)(number | 1)}, 4);
}

static unsigned put_question(struct wire_writer *w, const struct bench *x, unsigned number)
{
    char text[64];
    uint8_t name[NAME_MAX_LEN];
    uint16_t type = is_case(x, "aaaa") || is_case(x, "tc") ? 28 : 1;
    if (is_case(x, "nxdomain"))
        snprintf(text, sizeof text, "nohost%u.example.com", number);
    else if (is_case(x, "wildcard"))
        snprintf(text, sizeof text, "h%u.wild.example.com", number);
    else if (is_case(x, "refused"))
        snprintf(text, sizeof text, "host%u.example.org", number);
    else if (is_case(x, "tc"))
        snprintf(text, sizeof text, "many.example.com");
    else if (is_case(x, "a_edns_2addr") || is_case(x, "a_edns_subnet") || strncmp(x->name, "a_edns_cookie", 13) == 0 ||
             is_case(x, "a_edns_v6") || is_case(x, "a_edns_all"))
        snprintf(text, sizeof text, "www%u.example.com", number % x->world.services);
    else
        snprintf(text, sizeof text, "host%u.example.com", number % x->world.names);
    wire_put(w, name, (size_t)name_from_text(name, text));
    wire_put_u16(w, type);
    wire_put_u16(w, 1);
    return type;
}

// enum bench_options.
static unsigned options_of(const struct bench *x)
{
    const bool is_all = is_case(x, "a_edns_all");
    return (is_case(x, "a_edns_cookie") || is_all ? BENCH_COOKIE : 0) |
           (is_case(x, "a_edns_cookie_good") ? BENCH_COOKIE_GOOD : 0) |
           (is_case(x, "a_edns_subnet") || is_all ? BENCH_SUBNET : 0);
}

static unsigned put_message(uint8_t *out, const struct bench *x, unsigned number)
{
    const int has_edns = strncmp(x->name, "a_edns", 6) == 0;
    struct wire_writer w = wire_writer_init(out, 400);
    wire_put_u16(&w, (uint16_t)number);
    wire_put(&w, "\1\0\0\1\0\0\0\0\0", 9);
    wire_put_u8(&w, has_edns ? 1 : 0);
    put_question(&w, x, number);
    if (!has_edns)
        return (unsigned)w.at;
    uint8_t client[4];
    put_client(client, number);
    bench_put_opt(&w, options_of(x), number, x->world.regions, client, NOW_S);
    return (unsigned)w.at;
}

static void put_frame(struct frame *f, const struct bench *x, unsigned number)
{
    const bool is_ipv6 = is_case(x, "a_edns_v6");
    const unsigned header = is_ipv6 ? 40 : 20;
    uint8_t *ip = f->bytes + 14, *udp = ip + header;
    const unsigned len = put_message(udp + 8, x, number) + 8;
    f->len = 14 + header + len;
    memcpy(f->bytes, mac, 6);
    memcpy(f->bytes + 6, "\2\0\0\0\0\2", 6);
    memcpy(f->bytes + 12, is_ipv6 ? "\x86\xdd" : "\x08\0", 2);
    if (is_ipv6) {
        const uint8_t head[8] = {0x60, 0, 0, 0, (uint8_t)(len >> 8), (uint8_t)len, 17, 64};
        memcpy(ip, head, 8);
        memcpy(ip + 8, bench_v6, 16);
        ip[22] = (uint8_t)(number | 1); // not our own address
        memcpy(ip + 24, bench_v6, 16);
    } else {
        const uint8_t head[12] = {0x45, 0, (uint8_t)((len + 20) >> 8), (uint8_t)(len + 20), 0, 1, 0, 0, 64, 17, 0, 0};
        memcpy(ip, head, 12);
        put_client(ip + 12, number);
        memcpy(ip + 16, bench_v4, 4);
        const uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, ip, 20));
        memcpy(ip + 10, &sum, 2);
    }
    const uint8_t ports[8] = {0x40, (uint8_t)number, 0, 53, (uint8_t)(len >> 8), (uint8_t)len, 0, 0};
    memcpy(udp, ports, 8);
    const uint16_t sum =
        (uint16_t)~checksum_fold(checksum_add(checksum_pseudo(is_ipv6 ? ip + 8 : ip + 12, is_ipv6, len, 17), udp, len));
    memcpy(udp + 6, &sum, 2);
}

// Zipf with exponent 1 by rejection-free inverse of the harmonic sum's approximation.
static unsigned zipf(unsigned n, unsigned *state)
{
    *state = *state * 1664525 + 1013904223;
    double u = (*state >> 8) / 16777216.0, x = 1;
    for (double p = 1; p < n && u > 0.06; u -= 0.06)
        x = p = p * 2;
    return (unsigned)x % n;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); // what others do on the machine is not counted
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double run(struct bench *x, unsigned count, struct answer_context *context, bool is_real, unsigned *answered)
{
    static uint8_t buffer[PACKET_BURST_MAX][BUFFER_CAP] __attribute__((aligned(64))); // as far apart as mbufs
    struct packet_slot slot[PACKET_BURST_MAX];
    const struct packet_port port = {{2, 0, 0, 0, 0, 1}, false, false};
    const double start = now_ns();
    for (unsigned i = 0; i < count; i += PACKET_BURST_MAX) {
        for (unsigned k = 0; k < PACKET_BURST_MAX; k++) {
            const struct frame *f = &x->frame[(i + k) & (FRAME_COUNT - 1)];
            memcpy(buffer[k], f->bytes, (f->len + 63) & ~63u);
            slot[k] =
                (struct packet_slot){buffer[k], (uint16_t)f->len, BUFFER_CAP, 0, (uint8_t)x->checksum, PACKET_DROP};
        }
        __asm__ volatile("" : : "r"(slot) : "memory");
        if (!is_real)
            continue;
        packet_handle_burst(context, &port, slot, PACKET_BURST_MAX);
        for (unsigned k = 0; k < PACKET_BURST_MAX; k++)
            *answered += slot[k].verdict == PACKET_SEND;
    }
    return now_ns() - start;
}

// The number behind "word=", or `otherwise`.
static unsigned number_of(int argc, char **argv, const char *word, unsigned otherwise)
{
    const size_t len = strlen(word);
    for (int i = 4; i < argc; i++)
        if (strncmp(argv[i], word, len) == 0 && argv[i][len] == '=')
            return (unsigned)atoi(argv[i] + len + 1);
    return otherwise;
}

static bool has_word(int argc, char **argv, const char *word)
{
    for (int i = 4; i < argc; i++)
        if (strcmp(argv[i], word) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return fprintf(stderr, "usage: bench_answer CASE NAMES COUNT [zipf]\n"), 2;
    struct bench x = {.name = argv[1], .world = {.names = (unsigned)atoi(argv[2])}};
    x.world.services = number_of(argc, argv, "services", 16);
    x.world.regions = number_of(argc, argv, "regions", 65536);
    x.world.groups = number_of(argc, argv, "groups", 1);
    memcpy(x.world.address, bench_v4, 4);
    x.world.is_limited = is_case(&x, "a_edns_all") || has_word(argc, argv, "limit");
    x.world.service_flags = is_case(&x, "a_edns_subnet") || is_case(&x, "a_edns_all") ? ORDER_BY_REGION : 0;
    const unsigned count = ((unsigned)atoi(argv[3]) + PACKET_BURST_MAX - 1) / PACKET_BURST_MAX * PACKET_BURST_MAX;
    x.checksum = has_word(argc, argv, "verified") ? PACKET_CHECKSUM_GOOD : PACKET_CHECKSUM_UNKNOWN;
    struct counters_block *counters = aligned_alloc(128, sizeof *counters);
    memset(counters, 0, sizeof *counters);
    bench_build_zone(&x.world);
    bench_build_order(&x.world);
    x.frame = calloc(FRAME_COUNT, sizeof *x.frame);
    const bool is_zipf = has_word(argc, argv, "zipf");
    unsigned state = 1;
    for (unsigned i = 0; i < FRAME_COUNT; i++) {
        const unsigned spread = (unsigned)((uint64_t)i * 2654435761u % x.world.names);
        put_frame(&x.frame[i], &x, is_zipf ? zipf(x.world.names, &state) : spread);
    }
    struct image_map *zone, *order;
    static struct fast_shapes shapes;
    fast_shapes_init(&shapes);
    struct answer_context context = {.zone_image = bench_map(x.world.zone_image, x.world.zone_len, IMAGE_ZONE, &zone),
                                     .order_image =
                                         bench_map(x.world.order_image, x.world.order_len, IMAGE_ORDER, &order),
                                     .counters = counters,
                                     .rate_limit = x.world.is_limited ? rate_limit_new(16, 1, 1) : NULL,
                                     .shapes = &shapes,
                                     .now_ns = 1,
                                     .now_s = NOW_S};
    unsigned answered = 0;
    const double copy = run(&x, count, &context, false, &answered);
    CALLGRIND_START_INSTRUMENTATION; // with --instr-atstart=no the world is built at a bearable speed
    const double real = run(&x, count, &context, true, &answered);
    printf("%.1f %u %zu\n", (real - copy) / count, answered, x.world.zone_len);
    return answered == count ? 0 : 1;
}
