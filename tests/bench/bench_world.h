// SPDX-License-Identifier: Apache-2.0
// For benchmarks: one zone with many names, and services with two addresses of each family in order.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dataplane/image_map.h"
#include "table/order_image.h"
#include "table/zone_builder.h"

static const uint8_t bench_v4[4] = {192, 0, 2, 53}, bench_v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 0x53};

struct bench_world {
    unsigned names, services;
    unsigned regions;       // prefixes of the region map: /24 from 1.0.0.0 on; 0: none
    uint32_t service_flags; // ORDER_BY_REGION or 0
    unsigned groups;        // of regions that have an answer of their own, at most 8; 0: one
    bool is_limited;        // with a rate limit that nobody reaches
    uint8_t address[4];     // of the node
    uint64_t generation;    // of the order image; 0: 1
    bool is_stamped;        // the services' addresses are 10 and 11, followed by the generation's low 24 bits
    void *zone_image, *order_image;
    size_t zone_len, order_len;
};

// The image as the data plane holds it: checked, and a large one on huge pages.
static inline const void *bench_map(void *image, size_t len, enum image_kind kind, struct image_map **map)
{
    char why[IMAGE_TEXT_CAP] = "memfd";
    const int fd = memfd_create("image", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    size_t at = 0;
    for (ssize_t n; at < len && (n = write(fd, (const uint8_t *)image + at, len - at)) > 0;)
        at += (size_t)n;
    if (at < len || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) < 0 ||
        image_map_from_memfd(fd, len, kind, map, why) < 0 || image_map_check(*map, why) < 0) {
        fprintf(stderr, "an image cannot be mapped: %s\n", why);
        exit(1);
    }
    close(fd);
    return (*map)->base;
}

static inline void bench_add(struct zone_builder *b, const char *owner, uint16_t type, const void *rdata, unsigned len)
{
    uint8_t name[NAME_MAX_LEN];
    if (name_from_text(name, owner) < 0 || zone_builder_add_record(b, 0, name, type, 300, rdata, (uint16_t)len, 0) < 0)
        exit(1);
}

static inline void bench_set_regions(struct zone_builder *b, unsigned count)
{
    struct region_prefix *prefix = calloc(count, sizeof *prefix);
    for (unsigned i = 0; i < count; i++)
        prefix[i] = (struct region_prefix){
            {(uint8_t)(1 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i}, 0, 24, (uint16_t)(1 + i % 7)};
    zone_builder_set_regions(b, prefix, count);
    free(prefix);
}

static inline void bench_set_settings(struct zone_builder *b, const struct bench_world *x)
{
    struct zone_settings settings = {
        .flags = SETTING_CLIENT_SUBNET | SETTING_COOKIES, .udp_max = 1232, .cookie_secret_count = 1};
    if (x->is_limited) {
        settings.flags |= SETTING_RATE_LIMIT;
        settings.rate_per_s = settings.rate_burst = 4000000;
    }
    settings.address_count = 2;
    memcpy(settings.address[0].address, x->address, 4);
    memcpy(settings.address[1].address, bench_v6, 16);
    settings.address[1].is_ipv6 = 1;
    zone_builder_set_settings(b, &settings);
}

// host<N>.example.com, many.example.com (truncated over UDP), *.wild.example.com, www<N>.example.com (services).
static inline void bench_build_zone(struct bench_world *x)
{
    static const uint8_t soa[] = "\2ns\7example\3com\0\1h\7example\3com\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0";
    struct zone_builder *b = zone_builder_new(NULL, NULL);
    uint8_t name[NAME_MAX_LEN];
    char text[64];
    bench_set_settings(b, x);
    if (x->regions)
        bench_set_regions(b, x->regions);
    name_from_text(name, "example.com");
    zone_builder_add_zone(b, name);
    bench_add(b, "example.com", 6, soa, sizeof soa);
    bench_add(b, "*.wild.example.com", 1, bench_v4, 4);
    for (unsigned i = 0; i < x->names; i++) {
        snprintf(text, sizeof text, "host%u.example.com", i);
        bench_add(b, text, 1, bench_v4, 4);
        bench_add(b, text, 28, bench_v6, 16);
    }
    for (unsigned i = 0; i < 60; i++)
        bench_add(b, "many.example.com", 28, (const uint8_t[16]){0x20, 1, [15] = (uint8_t)i}, 16);
    for (unsigned i = 0; i < x->services; i++) {
        snprintf(text, sizeof text, "www%u.example.com", i);
        name_from_text(name, text);
        zone_builder_add_service(b, name, i);
    }
    if (zone_builder_finish(b, 1, 1, 1, &x->zone_image, &x->zone_len) < 0)
        exit(1);
    zone_builder_free(b);
}

static inline void bench_build_order(struct bench_world *x)
{
    static const uint8_t second_v4[4] = {198, 51, 100, 10}, second_v6[16] = {0x20, 1, 0xd, 0xb8, 2, [15] = 0x10};
    const uint64_t g = x->generation ? x->generation : 1;
    const uint8_t stamp[2][4] = {{10, (uint8_t)(g >> 16), (uint8_t)(g >> 8), (uint8_t)g},
                                 {11, (uint8_t)(g >> 16), (uint8_t)(g >> 8), (uint8_t)g}};
    const struct order_record four[] = {{x->is_stamped ? stamp[0] : bench_v4, 4},
                                        {x->is_stamped ? stamp[1] : second_v4, 4}},
                              six[] = {{bench_v6, 16}, {second_v6, 16}};
    const struct order_rrset sets[] = {{1, 30, four, 2}, {28, 30, six, 2}};
    struct order_answer_input answer[8];
    uint32_t classes[8];
    const unsigned groups = x->groups ? x->groups : 1;
    for (unsigned i = 0; i < 8; i++) {
        answer[i] = (struct order_answer_input){ORDER_ANSWER, 0, 0, 2, sets, 2};
        classes[i] = i % groups;
    }
    struct order_service_input *service = calloc(x->services, sizeof *service);
    for (unsigned i = 0; i < x->services; i++)
        service[i] = (struct order_service_input){x->service_flags, 1, 1u << 1 | 1u << 28, answer, groups, classes};
    if (order_image_build(service, x->services, 8, g, 1, 1, &x->order_image, &x->order_len) < 0)
        exit(1);
    free(service);
}
