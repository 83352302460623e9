// SPDX-License-Identifier: Apache-2.0
// From checked input to the bytes of a zone image.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "table/order_image.h"
#include "table/zone_builder_private.h"

#define HASH_SEED 0x5167f0a57c0de5edull
enum { RECORD_FRAME_LEN = 12, SLOT_MIN = 8 };

struct layout {
    struct zone_builder *b;
    uint8_t *image; // grows while record sets are written
    uint64_t len, cap;
    uint32_t node_count, zone_count;
    uint32_t slot_at, slot_count, node_at, node_end, zone_at, settings_at, region_at, scope_at, rrset_at;
};

enum { REGION_ALIGNMENT = 64 }; // of the region map and the scopes: they are read by whole cache lines

static uint64_t round8(uint64_t n)
{
    return (n + 7) & ~7ull;
}

// Room for `len` zeroed bytes at the end, from an 8-byte boundary; offset in 8-byte units, or negative.
static int64_t layout_add(struct layout *l, uint64_t len)
{
    uint64_t at = round8(l->len), end = round8(at + len);
    if (end > IMAGE_MAX_BYTES)
        return -E2BIG;
    if (end > l->cap) {
        uint64_t cap = l->cap * 2 > end ? l->cap * 2 : end + (1 << 16);
        cap = (cap + 63) & ~63ull;
        uint8_t *p = realloc(l->image, cap);
        if (!p)
            return -ENOMEM;
        l->image = p;
        l->cap = cap;
    }
    memset(l->image + l->len, 0, end - l->len);
    l->len = end;
    return (int64_t)(at / 8);
}

static void *layout_at(const struct layout *l, uint32_t at)
{
    return l->image + (uint64_t)at * 8;
}

static bool is_in_image(const struct zone_builder *b, uint32_t node)
{
    return !b->node[node].is_hidden || b->node[node].is_parent_cut;
}

static unsigned type_count(const struct zone_builder *b, const struct builder_node *n)
{
    unsigned count = 0;
    uint32_t last = UINT32_MAX;
    for (uint32_t i = n->first_record; i != BUILDER_NONE; i = b->record[i].next) {
        count += b->record[i].type != last;
        last = b->record[i].type;
    }
    return count;
}

// Sets of addresses, which the short way answers with, stand behind their node.
static bool is_beside_node(uint16_t type)
{
    return type == TYPE_A || type == TYPE_AAAA;
}

// The records of one type from `first` on: their number, what they take as a set if no name is compressed, and the
// first one of the next type.
static unsigned measure_set(const struct zone_builder *b, uint32_t first, uint64_t *wire_len, uint32_t *next)
{
    unsigned count = 0;
    uint32_t i = first;
    *wire_len = 0;
    for (; i != BUILDER_NONE && b->record[i].type == b->record[first].type; i = b->record[i].next) {
        *wire_len += RECORD_FRAME_LEN + b->record[i].rdata_len;
        count++;
    }
    *next = i;
    return count;
}

// Bytes from a node to the next one.
static uint64_t node_stride(const struct zone_builder *b, const struct builder_node *n)
{
    uint64_t bytes = zone_node_bytes(type_count(b, n), n->name_len), wire_len;
    for (uint32_t first = n->first_record, next; first != BUILDER_NONE; first = next) {
        measure_set(b, first, &wire_len, &next);
        if (is_beside_node(b->record[first].type))
            bytes += zone_set_lines(wire_len) * ZONE_LINE_BYTES;
    }
    return bytes;
}

// Writes a name of the rdata. A name in the zone ends in a pointer to the apex, left open; its place is returned in
// *patch. Length written.
static unsigned put_name(const struct layout *l, const struct builder_node *apex, uint8_t *out, const uint8_t *name,
                         bool is_compressible, unsigned *patch)
{
    unsigned len = (unsigned)name_check(name, NAME_MAX_LEN, NULL);
    *patch = UINT32_MAX;
    // A pointer saves nothing on the root.
    if (!is_compressible || apex->name_len < 3 ||
        !name_is_at_or_below(name, len, builder_name(l->b, apex), apex->name_len)) {
        memcpy(out, name, len);
        return len;
    }
    unsigned head = len - apex->name_len;
    memcpy(out, name, head);
    out[head] = 0xc0;
    out[head + 1] = 0;
    *patch = head;
    return head + 2;
}

static bool is_compressible_type(uint16_t type) // RFC 3597 section 4: only the types of RFC 1035
{
    return type == TYPE_NS || type == TYPE_CNAME || type == TYPE_SOA || type == TYPE_PTR || type == TYPE_MX;
}

struct wire {
    uint8_t *bytes;
    uint32_t len;
    uint16_t *patch; // two per record at most
    unsigned patch_count;
};

static void put_rdata(const struct layout *l, struct wire *w, const struct builder_node *apex,
                      const struct builder_record *r)
{
    const uint8_t *rdata = builder_rdata(l->b, r);
    const int name_at = builder_rdata_name_at(r->type);
    uint8_t *out = w->bytes + w->len;
    if (name_at < 0 || !is_compressible_type(r->type)) {
        memcpy(out, rdata, r->rdata_len);
        w->len += r->rdata_len;
        return;
    }
    unsigned used = (unsigned)name_at, at = (unsigned)name_at, patch;
    memcpy(out, rdata, used);
    for (unsigned i = 0; i < (r->type == TYPE_SOA ? 2u : 1u); i++) {
        unsigned start = at;
        at += put_name(l, apex, out + at, rdata + used, true, &patch);
        if (patch != UINT32_MAX)
            w->patch[w->patch_count++] = (uint16_t)(w->len + start + patch);
        used += (unsigned)name_check(rdata + used, NAME_MAX_LEN, NULL);
    }
    memcpy(out + at, rdata + used, r->rdata_len - used);
    w->len += at + r->rdata_len - used;
}

static void put_u16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put_record(const struct layout *l, struct wire *w, const struct builder_node *apex,
                       const struct builder_record *r, uint32_t ttl)
{
    uint8_t *p = w->bytes + w->len;
    put_u16(p, 0xc00c);
    put_u16(p + 2, r->type);
    put_u16(p + 4, 1);
    put_u16(p + 6, ttl >> 16);
    put_u16(p + 8, ttl & 0xffff);
    w->len += RECORD_FRAME_LEN;
    put_rdata(l, w, apex, r);
    put_u16(p + 10, (unsigned)(w->bytes + w->len - p) - RECORD_FRAME_LEN);
}

// The node whose addresses belong in the additional section for this record, or BUILDER_NONE.
static uint32_t extra_node(const struct zone_builder *b, uint32_t owner, const struct builder_record *r,
                           bool *is_in_domain)
{
    const struct builder_node *n = &b->node[owner], *apex = &b->node[b->zone[n->zone].apex];
    *is_in_domain = false;
    if (r->type != TYPE_NS && r->type != TYPE_MX && r->type != TYPE_SRV && r->type != TYPE_SVCB &&
        r->type != TYPE_HTTPS)
        return BUILDER_NONE;
    const uint8_t *target = builder_rdata(b, r) + builder_rdata_name_at(r->type);
    int len = name_check(target, NAME_MAX_LEN, NULL);
    if (len <= 1 || !name_is_at_or_below(target, (size_t)len, builder_name(b, apex), apex->name_len))
        return BUILDER_NONE;
    uint8_t folded[NAME_MAX_LEN];
    name_fold(folded, target, (size_t)len);
    uint32_t at = builder_find(b, n->zone, folded, (unsigned)len);
    if (at == BUILDER_NONE || b->node[at].is_hidden ||
        (!builder_rrset(b, &b->node[at], TYPE_A) && !builder_rrset(b, &b->node[at], TYPE_AAAA)))
        return BUILDER_NONE;
    *is_in_domain = (n->flags & NODE_CUT) && name_is_at_or_below(folded, (size_t)len, builder_name(b, n), n->name_len);
    return at;
}

static int64_t put_extras(struct layout *l, uint32_t owner, uint32_t first, unsigned count, uint32_t rrset_at)
{
    struct zone_builder *b = l->b;
    int64_t extra_at = 0;
    unsigned used = 0;
    uint32_t wire_at = 0, record = first;
    for (unsigned i = 0; i < count; i++, record = b->record[record].next) {
        const struct rrset *set = layout_at(l, rrset_at);
        const uint8_t *wire = rrset_wire(set) + wire_at;
        bool is_in_domain;
        uint32_t node = extra_node(b, owner, &b->record[record], &is_in_domain);
        if (node != BUILDER_NONE) {
            // The pieces stand one behind the other: nothing else is added in between.
            int64_t at = layout_add(l, sizeof(struct rrset_extra));
            if (at < 0)
                return at;
            extra_at = used ? extra_at : at;
            struct rrset_extra *extra = layout_at(l, (uint32_t)at);
            *extra = (struct rrset_extra){
                b->node[node].image_at,
                (uint16_t)(wire_at + RECORD_FRAME_LEN + (unsigned)builder_rdata_name_at(b->record[record].type)),
                is_in_domain ? RRSET_EXTRA_IN_DOMAIN : 0};
            struct rrset *again = layout_at(l, rrset_at);
            again->extra_at = (uint32_t)extra_at;
            again->extra_count = (uint16_t)++used;
            again->flags |= is_in_domain ? RRSET_GLUE_REQUIRED : 0;
            wire = rrset_wire(again) + wire_at;
        }
        wire_at += RECORD_FRAME_LEN + (uint32_t)(wire[10] << 8 | wire[11]);
    }
    return 0;
}

// Writes the set of `count` records from `first` on, to `place` or, when that is 0, to the end. Offset, or negative.
static int64_t put_rrset(struct layout *l, uint32_t owner, uint32_t first, unsigned count, uint32_t ttl, uint32_t place)
{
    struct zone_builder *b = l->b;
    const struct builder_node *apex = &b->node[b->zone[b->node[owner].zone].apex];
    uint64_t bytes = 0;
    uint32_t record = first;
    for (unsigned i = 0; i < count; i++, record = b->record[record].next)
        bytes += RECORD_FRAME_LEN + b->record[record].rdata_len + 1u; // a compressed name is never longer by more
    if (bytes > UINT16_MAX)                                           // zone_builder_check refuses it before
        return -E2BIG;
    struct wire w = {malloc(bytes), 0, malloc((size_t)count * 2 * sizeof *w.patch), 0};
    int64_t at = w.bytes && w.patch ? 0 : -ENOMEM;
    record = first;
    for (unsigned i = 0; i < count && at == 0; i++, record = b->record[record].next)
        put_record(l, &w, apex, &b->record[record], ttl);
    if (at == 0)
        at = place ? place : layout_add(l, sizeof(struct rrset) + w.len);
    if (at >= 0) {
        struct rrset *set = layout_at(l, (uint32_t)at);
        *set = (struct rrset){.wire_len = w.len,
                              .ttl = ttl,
                              .type = b->record[first].type,
                              .record_count = (uint16_t)count,
                              .partial_sum = image_partial_sum(w.bytes, w.len),
                              .growth_sum = rrset_growth_sum(w.len, (uint16_t)count),
                              .patch_count = (uint16_t)w.patch_count};
        memcpy(set + 1, w.bytes, w.len);
    }
    if (at >= 0 && w.patch_count) {
        int64_t patch_at = layout_add(l, w.patch_count * sizeof *w.patch);
        if (patch_at >= 0) {
            memcpy(layout_at(l, (uint32_t)patch_at), w.patch, w.patch_count * sizeof *w.patch);
            ((struct rrset *)layout_at(l, (uint32_t)at))->patch_at = (uint32_t)patch_at;
        }
        at = patch_at < 0 ? patch_at : at;
    }
    free(w.bytes);
    free(w.patch);
    int64_t rc = at < 0 ? at : put_extras(l, owner, first, count, (uint32_t)at);
    return rc < 0 ? rc : at;
}

static int put_node_rrsets(struct layout *l, uint32_t node)
{
    struct zone_builder *b = l->b;
    const struct builder_node *n = &b->node[node];
    unsigned ref_at = 0;
    uint32_t beside = n->image_at + (uint32_t)(zone_node_bytes(type_count(b, n), n->name_len) / 8);
    for (uint32_t first = n->first_record, next; first != BUILDER_NONE; first = next) {
        const uint16_t type = b->record[first].type;
        uint64_t wire_len;
        const unsigned count = measure_set(b, first, &wire_len, &next);
        const uint16_t lines = is_beside_node(type) ? (uint16_t)zone_set_lines(wire_len) : 0;
        int64_t at = put_rrset(l, node, first, count, b->record[first].ttl, lines ? beside : 0);
        if (at < 0)
            return (int)at;
        struct rrset_ref *ref = (struct rrset_ref *)((struct zone_node *)layout_at(l, n->image_at) + 1) + ref_at++;
        *ref = (struct rrset_ref){type, lines, (uint32_t)at};
        beside += lines * (ZONE_LINE_BYTES / 8u);
    }
    return 0;
}

static void put_slot(struct layout *l, struct zone_index *index, const struct builder_node *n, uint32_t *tag)
{
    uint8_t padded[NAME_PADDED_CAP] = {0};
    memcpy(padded, builder_name(l->b, n), n->name_len);
    const uint64_t hash = name_hash(padded, n->name_len, HASH_SEED);
    struct zone_slot *slot = layout_at(l, l->slot_at);
    *tag = (uint32_t)(hash >> 32);
    uint32_t i = 0;
    while (slot[((uint32_t)hash + i) & (l->slot_count - 1)].node_at)
        i++;
    slot[((uint32_t)hash + i) & (l->slot_count - 1)] = (struct zone_slot){*tag, n->image_at};
    if (i > index->probe_limit)
        index->probe_limit = i;
    if (n->label_count > index->label_limit)
        index->label_limit = n->label_count;
}

static uint32_t node_image_at(const struct zone_builder *b, uint32_t node)
{
    return node == BUILDER_NONE ? 0 : b->node[node].image_at;
}

static void put_node(struct layout *l, struct zone_index *index, uint32_t at)
{
    struct zone_builder *b = l->b;
    const struct builder_node *n = &b->node[at];
    struct zone_node *node = layout_at(l, n->image_at);
    const bool has_wildcard = n->wildcard != BUILDER_NONE && !b->node[n->wildcard].is_hidden;
    *node = (struct zone_node){.zone = b->zone[n->zone].image_number,
                               .cut_at = node_image_at(b, n->cut),
                               .wildcard_at = has_wildcard ? b->node[n->wildcard].image_at : 0,
                               .flags = n->flags,
                               .service = n->service < 0 ? 0 : (uint16_t)n->service,
                               .rrset_count = (uint16_t)type_count(b, n),
                               .name_len = n->name_len,
                               .label_count = n->label_count};
    memcpy((uint8_t *)(node + 1) + node->rrset_count * sizeof(struct rrset_ref), builder_name(b, n), n->name_len);
    if (!n->is_hidden)
        put_slot(l, index, n, &node->tag);
}

static int put_zone_entry(struct layout *l, uint32_t zone)
{
    struct zone_builder *b = l->b;
    const struct builder_zone *z = &b->zone[zone];
    const struct builder_node *apex = &b->node[z->apex];
    const struct builder_record *soa = builder_rrset(b, apex, TYPE_SOA);
    const uint8_t *tail = builder_rdata(b, soa) + soa->rdata_len - 20;
    uint32_t minimum = (uint32_t)tail[16] << 24 | (uint32_t)tail[17] << 16 | (uint32_t)tail[18] << 8 | tail[19];
    uint32_t first = (uint32_t)(soa - b->record);
    int64_t negative =
        put_rrset(l, z->apex, first, 1, soa->ttl < minimum ? soa->ttl : minimum, 0); // RFC 2308 section 3
    if (negative < 0)
        return (int)negative;
    uint32_t soa_at = 0;
    const struct zone_node *node = layout_at(l, apex->image_at);
    for (unsigned i = 0; i < node->rrset_count; i++)
        if (zone_node_refs(node)[i].type == TYPE_SOA)
            soa_at = zone_node_refs(node)[i].rrset_at;
    struct zone_entry *entry = (struct zone_entry *)layout_at(l, l->zone_at) + z->image_number;
    *entry = (struct zone_entry){.apex_at = apex->image_at,
                                 .soa_at = soa_at,
                                 .negative_soa_at = (uint32_t)negative,
                                 .parent_cut_at = node_image_at(b, z->parent_cut),
                                 .serial = (uint32_t)tail[0] << 24 | (uint32_t)tail[1] << 16 | (uint32_t)tail[2] << 8 |
                                           tail[3]};
    return 0;
}

// Reserves every section of known size and gives each node its place.
static int reserve_sections(struct layout *l)
{
    struct zone_builder *b = l->b;
    uint64_t node_bytes = 0;
    for (uint32_t i = 0; i < b->zone_count; i++)
        if (!b->zone[i].is_dropped)
            b->zone[i].image_number = l->zone_count++;
    for (uint32_t i = 0; i < b->node_count; i++) {
        struct builder_node *n = &b->node[i];
        n->image_at = 0;
        if (n->is_hidden && !is_in_image(b, i))
            continue;
        n->image_at = (uint32_t)(node_bytes / 8);
        node_bytes += node_stride(b, n);
        l->node_count++;
        if (node_bytes > IMAGE_MAX_BYTES)
            return -E2BIG;
    }
    l->slot_count = SLOT_MIN;
    while (l->slot_count < 2 * (uint64_t)l->node_count)
        l->slot_count *= 2;
    int64_t at[7] = {
        layout_add(l, sizeof(struct image_header) + sizeof(struct zone_index)),
        layout_add(l, sizeof(struct zone_settings)),
        layout_add(l, b->region_len ? b->region_len + REGION_ALIGNMENT - 8 : 0),
        layout_add(l, b->scope_len ? b->scope_len + REGION_ALIGNMENT - 8 : 0),
        layout_add(l, l->zone_count * sizeof(struct zone_entry)),
        layout_add(l, l->slot_count * sizeof(struct zone_slot)),
        layout_add(l, node_bytes + ZONE_LINE_BYTES - 8),
    };
    for (unsigned i = 0; i < 7; i++)
        if (at[i] < 0)
            return (int)at[i];
    l->settings_at = (uint32_t)at[1];
    const int64_t units = REGION_ALIGNMENT / 8;
    l->region_at = b->region_len ? (uint32_t)((at[2] + units - 1) / units * units) : 0;
    l->scope_at = b->scope_len ? (uint32_t)((at[3] + units - 1) / units * units) : 0;
    l->zone_at = (uint32_t)at[4];
    l->slot_at = (uint32_t)at[5];
    const int64_t line = ZONE_LINE_BYTES / 8;
    l->node_at = (uint32_t)((at[6] + line - 1) / line * line);
    l->node_end = l->node_at + (uint32_t)(node_bytes / 8);
    l->rrset_at = l->node_end;
    for (uint32_t i = 0; i < b->node_count; i++)
        if (!b->node[i].is_hidden || is_in_image(b, i))
            b->node[i].image_at += l->node_at;
    return 0;
}

static int fill(struct layout *l)
{
    struct zone_builder *b = l->b;
    struct zone_index index = {.hash_seed = HASH_SEED,
                               .slot_at = l->slot_at,
                               .slot_mask = l->slot_count - 1,
                               .node_at = l->node_at,
                               .node_end = l->node_end,
                               .node_count = l->node_count,
                               .rrset_at = l->rrset_at,
                               .zone_at = l->zone_at,
                               .zone_count = l->zone_count,
                               .settings_at = l->settings_at,
                               .region_at = l->region_at,
                               .region_units = (uint32_t)(b->region_len / 8),
                               .scope_at = l->scope_at,
                               .scope_units = (uint32_t)(b->scope_len / 8),
                               .service_count = b->service_count};
    memcpy(layout_at(l, l->settings_at), &b->settings, sizeof b->settings);
    if (b->region_len)
        memcpy(layout_at(l, l->region_at), b->region_map, b->region_len);
    if (b->scope_len)
        memcpy(layout_at(l, l->scope_at), b->region_scope, b->scope_len);
    int rc = 0;
    for (uint32_t i = 0; i < b->node_count && rc == 0; i++) {
        if (b->node[i].image_at == 0)
            continue;
        put_node(l, &index, i);
        rc = put_node_rrsets(l, i);
    }
    for (uint32_t i = 0; i < b->zone_count && rc == 0; i++)
        if (!b->zone[i].is_dropped)
            rc = put_zone_entry(l, i);
    index.rrset_end = (uint32_t)(l->len / 8);
    memcpy(l->image + sizeof(struct image_header), &index, sizeof index);
    return rc;
}

int zone_builder_finish(struct zone_builder *b, uint64_t generation, uint64_t pairing_id, uint64_t built_at_us,
                        void **image, size_t *len)
{
    if (zone_builder_check(b) > 0)
        return -EINVAL;
    struct layout l = {.b = b};
    int rc = reserve_sections(&l);
    if (rc == 0)
        rc = fill(&l);
    if (rc == 0 && layout_add(&l, IMAGE_TAIL) < 0)
        rc = -ENOMEM;
    if (rc < 0) {
        free(l.image);
        return rc;
    }
    struct image_header *header = (struct image_header *)(void *)l.image;
    *header = (struct image_header){.magic = IMAGE_MAGIC,
                                    .version = IMAGE_VERSION,
                                    .kind = IMAGE_ZONE,
                                    .total_bytes = l.len,
                                    .generation = generation,
                                    .pairing_id = pairing_id,
                                    .built_at_us = built_at_us};
    header->checksum = image_checksum(l.image, l.len);
    *image = l.image;
    *len = l.len;
    return 0;
}
