// SPDX-License-Identifier: Apache-2.0
// Builds the site-order image: two passes, the first measures, the second writes.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "table/order_image.h"

enum { RECORD_FRAME_LEN = 12, TYPE_A = 1, TYPE_AAAA = 28 };

static uint64_t round8(uint64_t n)
{
    return (n + 7) & ~7ull;
}

static uint64_t rrset_bytes(const struct order_rrset *set)
{
    uint64_t wire = 0;
    for (unsigned i = 0; i < set->record_count; i++)
        wire += RECORD_FRAME_LEN + set->record[i].rdata_len;
    return sizeof(struct rrset) + round8(wire);
}

static bool is_answer_good(const struct order_answer_input *a)
{
    if (a->rrset_count > ORDER_RRSET_MAX || (unsigned)a->mode > ORDER_SERVFAIL)
        return false;
    for (unsigned i = 0; i < a->rrset_count; i++)
        if (a->rrset[i].record_count == 0 || a->rrset[i].record_count > UINT16_MAX ||
            rrset_bytes(&a->rrset[i]) - sizeof(struct rrset) > UINT16_MAX)
            return false;
    return true;
}

static unsigned rows_of(const struct order_service_input *s, unsigned region_count)
{
    return s->flags & ORDER_BY_REGION ? region_count : 1;
}

static bool is_service_good(const struct order_service_input *s, unsigned region_count)
{
    if (s->bucket_count == 0 || s->bucket_count > ORDER_BUCKET_MAX || (s->bucket_count & (s->bucket_count - 1)) ||
        (s->bucket_count > 1 && !(s->flags & ORDER_BY_BUCKET)) || s->answer_count == 0)
        return false;
    for (unsigned i = 0; i < s->answer_count; i++)
        if (!is_answer_good(&s->answer[i]))
            return false;
    const unsigned classes = rows_of(s, region_count) * s->bucket_count;
    for (unsigned i = 0; i < classes; i++)
        if (s->class_answer[i] >= s->answer_count)
            return false;
    return true;
}

static unsigned other_count(const struct order_answer_input *a)
{
    unsigned n = 0;
    for (unsigned i = 0; i < a->rrset_count; i++)
        n += a->rrset[i].type != TYPE_A && a->rrset[i].type != TYPE_AAAA;
    return n;
}

static uint64_t answers_bytes(const struct order_service_input *s)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < s->answer_count; i++) {
        const struct order_answer_input *a = &s->answer[i];
        bytes += sizeof(struct order_answer) + other_count(a) * sizeof(struct rrset_ref);
        for (unsigned k = 0; k < a->rrset_count; k++)
            bytes += rrset_bytes(&a->rrset[k]);
    }
    return bytes;
}

struct cursor {
    uint8_t *image;
    uint64_t at; // bytes
};

static void put_u16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint32_t put_rrset(struct cursor *c, const struct order_rrset *in)
{
    const uint32_t at = (uint32_t)(c->at / 8);
    struct rrset *set = (struct rrset *)(void *)(c->image + c->at);
    uint8_t *wire = (uint8_t *)(set + 1), *p = wire;
    const uint32_t ttl = in->ttl > INT32_MAX ? INT32_MAX : in->ttl;
    for (unsigned i = 0; i < in->record_count; i++) {
        const struct order_record *r = &in->record[i];
        put_u16(p, 0xc00c);
        put_u16(p + 2, in->type);
        put_u16(p + 4, 1);
        put_u16(p + 6, ttl >> 16);
        put_u16(p + 8, ttl & 0xffff);
        put_u16(p + 10, r->rdata_len);
        memcpy(p + RECORD_FRAME_LEN, r->rdata, r->rdata_len);
        p += RECORD_FRAME_LEN + r->rdata_len;
    }
    *set = (struct rrset){.wire_len = (uint32_t)(p - wire),
                          .ttl = ttl,
                          .type = in->type,
                          .record_count = (uint16_t)in->record_count,
                          .partial_sum = image_partial_sum(wire, (size_t)(p - wire)),
                          .growth_sum = rrset_growth_sum((uint32_t)(p - wire), (uint16_t)in->record_count)};
    c->at += rrset_bytes(in);
    return at;
}

static uint32_t put_answer(struct cursor *c, const struct order_answer_input *in)
{
    const uint32_t at = (uint32_t)(c->at / 8);
    struct order_answer *a = (struct order_answer *)(void *)(c->image + c->at);
    struct rrset_ref *ref = (struct rrset_ref *)(a + 1);
    *a = (struct order_answer){
        .mode = (uint8_t)in->mode, .reason = in->reason, .ede = in->ede, .site_count = in->site_count};
    c->at += sizeof *a + other_count(in) * sizeof *ref;
    for (unsigned i = 0; i < in->rrset_count; i++) {
        const uint16_t type = in->rrset[i].type;
        const uint32_t set = put_rrset(c, &in->rrset[i]);
        if (type == TYPE_A)
            a->a_at = set;
        else if (type == TYPE_AAAA)
            a->aaaa_at = set;
        else
            ref[a->other_count++] = (struct rrset_ref){type, 0, set};
    }
    return at;
}

// ---- groups ----

struct grouping {
    unsigned count;
    uint16_t group_of[REGION_MAX + 1]; // by region
    uint16_t first[REGION_MAX + 1];    // by group: the first of its regions
    uint16_t size[REGION_MAX + 1];     // by group: how many regions
};

static const uint32_t *row(const struct order_service_input *s, unsigned region)
{
    return s->class_answer + (size_t)region * s->bucket_count;
}

static bool is_row_uniform(const struct order_service_input *s, unsigned region)
{
    const uint32_t *answer = row(s, region);
    for (unsigned i = 1; i < s->bucket_count; i++)
        if (answer[i] != answer[0])
            return false;
    return true;
}

// Groups the regions whose answers are equal in every bucket.
static void group_regions(struct grouping *g, const struct order_service_input *s, unsigned region_count)
{
    const size_t bytes = s->bucket_count * sizeof *s->class_answer;
    unsigned last = 0; // neighbours are mostly of one group
    g->count = 0;
    for (unsigned region = 0; region < rows_of(s, region_count); region++) {
        unsigned i = last;
        if (g->count == 0 || memcmp(row(s, g->first[i]), row(s, region), bytes) != 0)
            for (i = 0; i < g->count && memcmp(row(s, g->first[i]), row(s, region), bytes) != 0;)
                i++;
        if (i == g->count) {
            g->size[i] = 0;
            g->first[g->count++] = (uint16_t)region;
        }
        g->group_of[region] = (uint16_t)i;
        g->size[i]++;
        last = i;
    }
}

static uint64_t tables_bytes(const struct grouping *g, const struct order_service_input *s, unsigned region_count)
{
    uint64_t bytes = g->count * sizeof(struct order_group);
    if (s->flags & ORDER_BY_REGION)
        bytes += round8(region_count * sizeof(uint16_t));
    for (unsigned i = 0; i < g->count; i++) {
        if (g->size[i] > 1)
            bytes += region_set_words(region_count) * sizeof(uint64_t);
        if (!is_row_uniform(s, g->first[i]))
            bytes += round8(s->bucket_count * sizeof(uint32_t));
    }
    return bytes;
}

// Writes which region is of which group, and the sets of the groups of several.
static void put_regions(struct cursor *c, struct order_service *out, struct order_group *group,
                        const struct grouping *g, unsigned region_count)
{
    out->region_at = (uint32_t)(c->at / 8);
    memcpy(c->image + c->at, g->group_of, region_count * sizeof(uint16_t));
    c->at += round8(region_count * sizeof(uint16_t));
    for (unsigned i = 0; i < g->count; i++)
        if (g->size[i] > 1) {
            group[i].set_at = (uint32_t)(c->at / 8);
            c->at += region_set_words(region_count) * sizeof(uint64_t);
        }
    for (unsigned region = 0; region < region_count; region++) {
        const uint32_t at = group[g->group_of[region]].set_at;
        if (at)
            region_set_add((uint64_t *)(void *)(c->image + (size_t)at * 8), region);
    }
}

static void put_only_answer(uint8_t *image, struct order_group *group, uint32_t answer_at, uint64_t owned_types)
{
    const struct order_answer *answer = (const struct order_answer *)image_at(image, answer_at);
    group->answer_at = answer_at;
    for (unsigned family = 0; family < 2; family++)
        group->plain_at[family] = order_plain_at(owned_types, answer, family);
}

// Writes the groups of a service, and the buckets.
static void put_tables(struct cursor *c, struct order_service *out, const struct grouping *g,
                       const struct order_service_input *s, unsigned region_count, const uint32_t *answer_at)
{
    struct order_group *group = (struct order_group *)(void *)(c->image + c->at);
    out->group_at = (uint32_t)(c->at / 8);
    out->group_count = (uint16_t)g->count;
    c->at += g->count * sizeof *group;
    if (s->flags & ORDER_BY_REGION)
        put_regions(c, out, group, g, region_count);
    for (unsigned i = 0; i < g->count; i++) {
        const uint32_t *answer = row(s, g->first[i]);
        group[i].region_count = g->size[i];
        if (is_row_uniform(s, g->first[i])) {
            put_only_answer(c->image, &group[i], answer_at[answer[0]], s->owned_types);
            continue;
        }
        uint32_t *bucket = (uint32_t *)(void *)(c->image + c->at);
        group[i].bucket_at = (uint32_t)(c->at / 8);
        for (unsigned k = 0; k < s->bucket_count; k++)
            bucket[k] = answer_at[answer[k]];
        c->at += round8(s->bucket_count * sizeof *bucket);
    }
}

// Writes the answers of one service and its groups.
static int put_service(struct cursor *answers, struct cursor *tables, struct order_service *out, struct grouping *g,
                       const struct order_service_input *s, unsigned region_count)
{
    uint32_t *answer_at = calloc(s->answer_count, sizeof *answer_at);
    if (!answer_at)
        return -ENOMEM;
    for (unsigned i = 0; i < s->answer_count; i++)
        answer_at[i] = put_answer(answers, &s->answer[i]);
    *out = (struct order_service){
        .bucket_mask = (uint16_t)(s->bucket_count - 1), .flags = s->flags, .owned_types = s->owned_types};
    group_regions(g, s, region_count);
    put_tables(tables, out, g, s, region_count, answer_at);
    if (g->count == 1) {
        const struct order_group *group = (const struct order_group *)image_at(tables->image, out->group_at);
        memcpy(out->plain_at, group->plain_at, sizeof out->plain_at);
    }
    free(answer_at);
    return 0;
}

static int put_services(uint8_t *bytes, uint64_t service_at, uint64_t table_at, uint64_t answer_at, struct grouping *g,
                        const struct order_service_input *service, unsigned service_count, unsigned region_count)
{
    struct cursor tables = {bytes, table_at}, answers = {bytes, answer_at};
    struct order_service *out = (struct order_service *)(void *)(bytes + service_at);
    int rc = 0;
    for (unsigned i = 0; i < service_count && rc == 0; i++)
        rc = put_service(&answers, &tables, &out[i], g, &service[i], region_count);
    return rc;
}

int order_image_build(const struct order_service_input *service, unsigned service_count, unsigned region_count,
                      uint64_t generation, uint64_t pairing_id, uint64_t built_at_us, void **image, size_t *len)
{
    if (service_count > ORDER_SERVICE_MAX || region_count < 1 || region_count > REGION_MAX + 1)
        return -EINVAL;
    struct grouping g; // 24 KB
    const uint64_t service_at = sizeof(struct image_header) + sizeof(struct order_index);
    uint64_t table_at = service_at + service_count * sizeof(struct order_service), answer_at = table_at, total;
    for (unsigned i = 0; i < service_count; i++) {
        if (!is_service_good(&service[i], region_count))
            return -EINVAL;
        group_regions(&g, &service[i], region_count);
        answer_at += tables_bytes(&g, &service[i], region_count);
    }
    total = answer_at;
    for (unsigned i = 0; i < service_count; i++)
        total += answers_bytes(&service[i]);
    const uint64_t answer_end = total;
    total += IMAGE_TAIL;
    if (total > IMAGE_MAX_BYTES)
        return -E2BIG;
    uint8_t *bytes = calloc(1, total);
    if (!bytes)
        return -ENOMEM;
    const int rc = put_services(bytes, service_at, table_at, answer_at, &g, service, service_count, region_count);
    if (rc < 0) {
        free(bytes);
        return rc;
    }
    struct order_index index = {.service_at = (uint32_t)(service_at / 8),
                                .service_count = service_count,
                                .region_count = region_count,
                                .answer_at = (uint32_t)(answer_at / 8),
                                .answer_end = (uint32_t)(answer_end / 8)};
    memcpy(bytes + sizeof(struct image_header), &index, sizeof index);
    struct image_header *header = (struct image_header *)(void *)bytes;
    *header = (struct image_header){.magic = IMAGE_MAGIC,
                                    .version = IMAGE_VERSION,
                                    .kind = IMAGE_ORDER,
                                    .total_bytes = total,
                                    .generation = generation,
                                    .pairing_id = pairing_id,
                                    .built_at_us = built_at_us};
    header->checksum = image_checksum(bytes, total);
    *image = bytes;
    *len = total;
    return 0;
}
