// SPDX-License-Identifier: Apache-2.0
// For the data plane's fuzz targets: one fixed node with every kind of name: aliases, loops, wildcards, delegations,
// DNAME, services by region. Built once.
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/answer.h"
#include "dataplane/rate_limit.h"
#include "table/order_image.h"
#include "table/zone_builder.h"

enum { WORLD_PREFIXES = 100, WORLD_REGIONS = 100 };

struct world {
    void *zone_image, *order_image;
    size_t zone_len, order_len;
    struct counters_block counters;
    struct answer_context context;
};

static inline void world_record(struct zone_builder *b, const char *owner, uint16_t type, const void *rdata,
                                unsigned len)
{
    uint8_t name[NAME_MAX_LEN];
    if (name_from_text(name, owner) < 0 || zone_builder_add_record(b, 0, name, type, 300, rdata, (uint16_t)len, 0) < 0)
        abort();
}

static inline void world_name_record(struct zone_builder *b, const char *owner, uint16_t type, const char *target)
{
    uint8_t name[NAME_MAX_LEN];
    int len = name_from_text(name, target);
    world_record(b, owner, type, name, (unsigned)len);
}

static inline void world_fill(struct zone_builder *b)
{
    static const uint8_t soa[] = "\2ns\7example\3com\0\1h\7example\3com\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0";
    static const uint8_t mx[] = "\0\1\4mail\7example\3com";
    world_record(b, "example.com", 6, soa, sizeof soa);
    world_name_record(b, "example.com", 2, "ns.example.com");
    world_record(b, "example.com", 15, mx, sizeof mx);
    for (uint8_t i = 0; i < 40; i++) {
        world_record(b, "ns.example.com", 1, (const uint8_t[]){192, 0, 2, i}, 4);
        world_record(b, "mail.example.com", 28, (const uint8_t[16]){0x20, 1, [15] = i}, 16);
    }
    world_name_record(b, "loop1.example.com", 5, "loop2.example.com");
    world_name_record(b, "loop2.example.com", 5, "loop1.example.com");
    world_name_record(b, "*.w.example.com", 5, "x.y.w.example.com");
    world_name_record(b, "d.example.com", 39, "long.label.of.a.dname.target.example.com");
    world_name_record(b, "dd.example.com", 39, "dd.example.com");
    world_record(b, "*.target.example.com", 16, "\5hello", 6);
    world_name_record(b, "child.example.com", 2, "ns.child.example.com");
    world_record(b, "ns.child.example.com", 1, (const uint8_t[]){192, 0, 2, 99}, 4);
    world_record(b, "f.example.com", 1, (const uint8_t[]){192, 0, 2, 98}, 4); // these two take the short way
    world_record(b, "f.example.com", 28, (const uint8_t[16]){0x20, 1, [15] = 98}, 16);
    world_record(b, "a.\\000\\255.ent.example.com", 16, "\5hello", 6);
}

static inline struct world *world_get(void)
{
    static struct world w;
    if (w.zone_image)
        return &w;
    struct zone_builder *b = zone_builder_new(NULL, NULL);
    uint8_t name[NAME_MAX_LEN];
    struct zone_settings settings = {
        .flags = SETTING_CLIENT_SUBNET | SETTING_COOKIES, .udp_max = 1232, .cookie_secret_count = 2};
    settings.nsid_len = settings.chaos_id_len = settings.chaos_version_len = 100;
    settings.address_count = 2;
    settings.address[0] = (struct setting_address){{192, 0, 2, 53}, 0, {0}};
    settings.address[1] = (struct setting_address){{0x20, 1, 0xd, 0xb8, [15] = 0x53}, 1, {0}};
    zone_builder_set_settings(b, &settings);
    struct region_prefix prefix[WORLD_PREFIXES] = {{{10}, 0, 8, 1}, {{0x20, 1}, 1, 16, 2}};
    for (unsigned i = 2; i < WORLD_PREFIXES; i++) // close together, so that the map has lists and more than one table
        prefix[i] = (struct region_prefix){{0x20, 1, 0xd, 0xb8, [4] = (uint8_t)(i & 3), [14] = (uint8_t)i},
                                           1,
                                           120,
                                           (uint16_t)(1 + i % (WORLD_REGIONS - 1))};
    zone_builder_set_regions(b, prefix, WORLD_PREFIXES);
    name_from_text(name, "example.com");
    zone_builder_add_zone(b, name);
    world_fill(b);
    name_from_text(name, "www.example.com");
    zone_builder_add_service(b, name, 0);
    name_from_text(name, "s.example.com");
    zone_builder_add_service(b, name, 1);
    if (zone_builder_finish(b, 1, 1, 1, &w.zone_image, &w.zone_len) < 0)
        abort();
    zone_builder_free(b);
    const struct order_record record[] = {{(const uint8_t[]){192, 0, 2, 1}, 4}, {(const uint8_t[]){192, 0, 2, 2}, 4}};
    const struct order_rrset set = {1, 30, record, 2};
    const struct order_answer_input answer = {ORDER_ANSWER, 0, 22, 2, &set, 1};
    const struct order_answer_input turned[] = {answer, answer}; // told apart by their number
    uint32_t classes[WORLD_REGIONS];
    for (unsigned i = 0; i < WORLD_REGIONS; i++)
        classes[i] = i % 3 != 0;
    const struct order_answer_input plain = {ORDER_ANSWER, 0, 0, 2, &set, 1};
    const struct order_service_input service[] = {{ORDER_BY_REGION, 1, 1u << 1 | 1u << 28, turned, 2, classes},
                                                  {0, 1, 1u << 1 | 1u << 28, &plain, 1, classes}};
    if (order_image_build(service, 2, WORLD_REGIONS, 1, 1, 1, &w.order_image, &w.order_len) < 0)
        abort();
    w.context = (struct answer_context){.zone_image = w.zone_image,
                                        .order_image = w.order_image,
                                        .counters = &w.counters,
                                        .now_ns = 1,
                                        .now_s = 1700000000};
    return &w;
}
