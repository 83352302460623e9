// SPDX-License-Identifier: Apache-2.0
// Zones and messages that cost the answer code most, message in to message out.
//
// usage: bench_worst CASE COUNT [tcp]
//   CASE   plain (for comparison), 1000_records, 200_ns, 200_mx, 200_srv, 40_cname, 40_dname, 1000_types, 127_labels,
//          64_records (in the query), 300_options (in its OPT record)
// Prints nanoseconds per answer and the length of one. Under callgrind with --toggle-collect=answer_message the
// instructions of the answers alone are counted.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/answer.h"
#include "table/wire.h"
#include "tests/bench/bench_world.h"

enum {
    MESSAGE_CAP = 4096,
    ROOM = 65535 + ANSWER_SLACK,
    RECORDS = 1000,
    TARGETS = 200,
    CHAIN = 40,
    TYPES = 1000,
    LABELS = 127
};

struct worst {
    const char *name, *qname;
    uint16_t qtype;
};

static const struct worst worst[] = {
    {"plain", "host1.example.com", 1},
    {"1000_records", "thousand.example.com", 1},
    {"200_ns", "x.cut.example.com", 1},
    {"200_mx", "mx.example.com", 15},
    {"200_srv", "srv.example.com", 33},
    {"40_cname", "c0.example.com", 1},
    {"40_dname", "x.d0.example.com", 1},
    {"1000_types", "types.example.com", 1},
    {"127_labels", NULL, 1},
    {"64_records", "host1.example.com", 1},
    {"300_options", "host1.example.com", 1},
};

static void add_name_record(struct zone_builder *b, const char *owner, uint16_t type, const char *target)
{
    uint8_t rdata[6 + NAME_MAX_LEN] = {0};
    const unsigned head = type == 15 ? 2 : type == 33 ? 6 : 0;
    const int len = name_from_text(rdata + head, target);
    bench_add(b, owner, type, rdata, head + (unsigned)len);
}

static void add_targets(struct zone_builder *b)
{
    static const struct {
        const char *owner;
        uint16_t type;
        const char *below; // of the targets
    } set[] = {{"cut.example.com", 2, "cut.example.com"},
               {"mx.example.com", 15, "t.example.com"},
               {"srv.example.com", 33, "t.example.com"}};
    char target[64];
    for (unsigned s = 0; s < 3; s++)
        for (unsigned i = 0; i < TARGETS; i++) {
            snprintf(target, sizeof target, "n%u.%s", i, set[s].below);
            add_name_record(b, set[s].owner, set[s].type, target);
            if (s == 2)
                continue; // the targets of mx
            bench_add(b, target, 1, bench_v4, 4);
            bench_add(b, target, 28, bench_v6, 16);
        }
}

static void add_chains(struct zone_builder *b)
{
    char owner[64], target[64];
    for (unsigned i = 0; i < CHAIN; i++) {
        snprintf(owner, sizeof owner, "c%u.example.com", i);
        snprintf(target, sizeof target, "c%u.example.com", i + 1);
        add_name_record(b, owner, 5, target);
        owner[0] = target[0] = 'd';
        add_name_record(b, owner, 39, target);
    }
    bench_add(b, "c40.example.com", 1, bench_v4, 4);
    bench_add(b, "x.d40.example.com", 1, bench_v4, 4);
}

// A name of 127 labels. One that differs just below the zone makes a look-up try each of its suffixes.
static void deepest_name(char text[2 * LABELS + 1], char below_apex)
{
    for (unsigned i = 0; i < LABELS; i++)
        memcpy(text + 2 * i, "a.", 2);
    text[2 * LABELS - 4] = below_apex;
    text[2 * LABELS - 2] = 'y';
    text[2 * LABELS - 1] = 0;
}

static void build(struct bench_world *x)
{
    static const uint8_t soa[] = "\2ns\7example\3com\0\1h\7example\3com\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0";
    struct zone_builder *b = zone_builder_new(NULL, NULL);
    uint8_t name[NAME_MAX_LEN];
    char deep[2 * LABELS + 1];
    memcpy(x->address, bench_v4, 4);
    bench_set_settings(b, x);
    name_from_text(name, "example.com");
    zone_builder_add_zone(b, name);
    bench_add(b, "example.com", 6, soa, sizeof soa);
    bench_add(b, "host1.example.com", 1, bench_v4, 4);
    for (unsigned i = 0; i < RECORDS; i++)
        bench_add(b, "thousand.example.com", 1, (const uint8_t[4]){10, 0, (uint8_t)(i >> 8), (uint8_t)i}, 4);
    for (unsigned i = 0; i < TYPES; i++)
        bench_add(b, "types.example.com", (uint16_t)(2000 + i), bench_v4, 4);
    add_targets(b);
    add_chains(b);
    name_from_text(name, "y");
    zone_builder_add_zone(b, name);
    deepest_name(deep, 'a');
    name_from_text(name, deep);
    zone_builder_add_record(b, 1, (const uint8_t *)"\1y", 6, 300, soa, sizeof soa, 0);
    zone_builder_add_record(b, 1, name, 1, 300, bench_v4, 4, 0);
    if (zone_builder_finish(b, 1, 1, 1, &x->zone_image, &x->zone_len) < 0)
        exit(1);
    zone_builder_free(b);
    x->services = 1;
    bench_build_order(x);
}

static unsigned make_query(uint8_t *out, const struct worst *c)
{
    char deep[2 * LABELS + 1];
    uint8_t name[NAME_MAX_LEN];
    struct wire_writer w = wire_writer_init(out, MESSAGE_CAP);
    const bool has_records = strcmp(c->name, "64_records") == 0, has_options = strcmp(c->name, "300_options") == 0;
    deepest_name(deep, 'z');
    wire_put(&w, "\1\2\0\0\0\1\0\0\0\0\0", 11);
    wire_put_u8(&w, has_records ? 64 : 1);
    wire_put(&w, name, (size_t)name_from_text(name, c->qname ? c->qname : deep));
    wire_put_u16(&w, c->qtype);
    wire_put_u16(&w, 1);
    for (unsigned i = 1; i < (has_records ? 64u : 1u); i++)
        wire_put(&w, "\300\14\0\1\0\1\0\0\0\0\0\0", 12);
    wire_put(&w, "\0\0\51\4\320\0\0\0\0", 9);
    wire_put_u16(&w, has_options ? 1200 : 0);
    for (unsigned i = 0; has_options && i < 300; i++)
        wire_put_u32(&w, 0xff000000 + (i << 16));
    return (unsigned)w.at;
}

int main(int argc, char **argv)
{
    const unsigned cases = sizeof worst / sizeof *worst, count = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
    unsigned at = 0, len = 0, reply = 0;
    while (argc > 2 && at < cases && strcmp(worst[at].name, argv[1]) != 0)
        at++;
    if (argc < 3 || at == cases || count == 0)
        return fprintf(stderr, "usage: bench_worst CASE COUNT [tcp]\n"), 2;
    static uint8_t query[MESSAGE_CAP], buffer[ROOM];
    struct bench_world world = {0};
    struct counters_block *counters = aligned_alloc(128, sizeof *counters);
    memset(counters, 0, sizeof *counters);
    build(&world);
    struct answer_context context = {.zone_image = world.zone_image,
                                     .order_image = world.order_image,
                                     .counters = counters,
                                     .now_ns = 1,
                                     .now_s = 1};
    const struct answer_client client = {.address = {198, 51, 100, 7}, .is_tcp = argc > 3};
    len = make_query(query, &worst[at]);
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (unsigned i = 0; i < count; i++) {
        memcpy(buffer, query, len + ANSWER_SLACK);
        __asm__ volatile("" : : "r"(buffer) : "memory");
        reply = answer_message(&context, &client, buffer, len, ROOM);
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.1f %u\n", ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / count, reply);
    return reply ? 0 : 1;
}
