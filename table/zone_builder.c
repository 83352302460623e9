// SPDX-License-Identifier: Apache-2.0
// Input of the zone builder: zones, names, records, services. Checks of single records happen here.
#include "table/zone_builder.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table/order_image.h"
#include "table/zone_builder_private.h"

enum { BUILDER_SEED = 0x51677, FIRST_SLOTS = 1024 };

static const struct zone_settings default_settings = {
    .udp_max = 1232,
    .any_ttl = 3789, // as RFC 8482 section 7 suggests a TTL; any value serves
};

struct zone_builder *zone_builder_new(zone_issue_fn issue, void *user)
{
    struct zone_builder *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->slot = malloc(FIRST_SLOTS * sizeof *b->slot);
    if (!b->slot) {
        free(b);
        return NULL;
    }
    memset(b->slot, 0xff, FIRST_SLOTS * sizeof *b->slot);
    b->slot_count = FIRST_SLOTS;
    b->issue = issue;
    b->user = user;
    b->settings = default_settings;
    return b;
}

void zone_builder_free(struct zone_builder *b)
{
    if (!b)
        return;
    free(b->region_map);
    free(b->region_scope);
    free(b->zone);
    free(b->node);
    free(b->record);
    free(b->arena);
    free(b->slot);
    free(b->apex_slot);
    free(b);
}

void zone_builder_set_settings(struct zone_builder *b, const struct zone_settings *settings)
{
    b->settings = *settings;
}

int zone_builder_set_regions(struct zone_builder *b, const struct region_prefix *prefixes, size_t count)
{
    void *map = NULL, *scope = NULL;
    size_t map_len = 0, scope_len = 0;
    int rc = count ? region_map_build(prefixes, count, &map, &map_len) : 0;
    if (rc == 0 && count)
        rc = region_scope_build(prefixes, count, &scope, &scope_len);
    if (rc < 0) {
        free(map);
        return rc;
    }
    free(b->region_map);
    free(b->region_scope);
    b->region_map = map;
    b->region_len = map_len;
    b->region_scope = scope;
    b->scope_len = scope_len;
    return 0;
}

void builder_report(struct zone_builder *b, enum zone_issue_level level, uint32_t node, uint64_t record,
                    const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const struct builder_node *n = &b->node[node];
    if (level == ZONE_ISSUE_ERROR)
        b->zone[n->zone].errors++;
    if (b->issue)
        b->issue(b->user, level, n->zone, builder_name(b, n), record, text);
}

// Room for one more of `size` bytes in a growing array.
static int grow(void **array, uint32_t count, uint32_t *cap, size_t size)
{
    if (count < *cap)
        return 0;
    if (*cap > UINT32_MAX / 2 - 8)
        return -E2BIG;
    uint32_t new_cap = *cap ? *cap * 2 : 64;
    void *p = realloc(*array, new_cap * size);
    if (!p)
        return -ENOMEM;
    *array = p;
    *cap = new_cap;
    return 0;
}

static int arena_add(struct zone_builder *b, const void *bytes, size_t len, uint64_t *at)
{
    if (b->arena_len + len + 8 > b->arena_cap) {
        uint64_t cap = b->arena_cap ? b->arena_cap * 2 : 1 << 16;
        uint8_t *p = realloc(b->arena, cap + len);
        if (!p)
            return -ENOMEM;
        b->arena = p;
        b->arena_cap = cap + len;
    }
    *at = b->arena_len;
    memcpy(b->arena + b->arena_len, bytes, len);
    b->arena_len += len;
    return 0;
}

static uint32_t slot_of(uint32_t slot_count, uint32_t zone, const uint8_t *name, unsigned len)
{
    uint8_t padded[NAME_PADDED_CAP];
    memcpy(padded, name, len);
    memset(padded + len, 0, 16);
    return (uint32_t)name_hash(padded, len, BUILDER_SEED + zone) & (slot_count - 1);
}

uint32_t builder_find(const struct zone_builder *b, uint32_t zone, const uint8_t *name, unsigned len)
{
    uint32_t at = b->slot[slot_of(b->slot_count, zone, name, len)];
    while (at != BUILDER_NONE) {
        const struct builder_node *n = &b->node[at];
        if (n->zone == zone && n->name_len == len && memcmp(builder_name(b, n), name, len) == 0)
            return at;
        at = n->next_in_slot;
    }
    return BUILDER_NONE;
}

uint32_t builder_find_zone(const struct zone_builder *b, const uint8_t *name, unsigned len)
{
    uint32_t at = b->apex_slot_count ? b->apex_slot[slot_of(b->apex_slot_count, 0, name, len)] : BUILDER_NONE;
    for (; at != BUILDER_NONE; at = b->zone[at].next_in_slot) {
        const struct builder_node *apex = &b->node[b->zone[at].apex];
        if (!b->zone[at].is_dropped && apex->name_len == len && memcmp(builder_name(b, apex), name, len) == 0)
            return at;
    }
    return BUILDER_NONE;
}

static void link_zone(struct zone_builder *b, uint32_t zone)
{
    const struct builder_node *apex = &b->node[b->zone[zone].apex];
    uint32_t *slot = &b->apex_slot[slot_of(b->apex_slot_count, 0, builder_name(b, apex), apex->name_len)];
    b->zone[zone].next_in_slot = *slot;
    *slot = zone;
}

// Room for one more zone, and a hash as large as that.
static int grow_zones(struct zone_builder *b)
{
    int rc = grow((void **)&b->zone, b->zone_count, &b->zone_cap, sizeof *b->zone);
    if (rc < 0 || b->apex_slot_count == b->zone_cap)
        return rc;
    uint32_t *slot = malloc(b->zone_cap * sizeof *slot);
    if (!slot)
        return -ENOMEM;
    memset(slot, 0xff, b->zone_cap * sizeof *slot);
    free(b->apex_slot);
    b->apex_slot = slot;
    b->apex_slot_count = b->zone_cap; // a power of two
    for (uint32_t i = 0; i < b->zone_count; i++)
        link_zone(b, i);
    return 0;
}

static int rehash(struct zone_builder *b)
{
    uint32_t count = b->slot_count * 2;
    uint32_t *slot = malloc(count * sizeof *slot);
    if (!slot)
        return -ENOMEM;
    memset(slot, 0xff, count * sizeof *slot);
    for (uint32_t i = 0; i < b->node_count; i++) {
        struct builder_node *n = &b->node[i];
        uint32_t s = slot_of(count, n->zone, builder_name(b, n), n->name_len);
        n->next_in_slot = slot[s];
        slot[s] = i;
    }
    free(b->slot);
    b->slot = slot;
    b->slot_count = count;
    return 0;
}

// A new node; its parent exists. Index, or negative.
static int64_t add_node(struct zone_builder *b, uint32_t zone, uint32_t parent, const uint8_t *name, unsigned len)
{
    int rc = grow((void **)&b->node, b->node_count, &b->node_cap, sizeof *b->node);
    if (rc == 0 && b->node_count >= b->slot_count)
        rc = rehash(b);
    uint64_t name_at = 0;
    if (rc == 0)
        rc = arena_add(b, name, len, &name_at);
    if (rc < 0)
        return rc;
    uint32_t at = b->node_count++;
    uint32_t s = slot_of(b->slot_count, zone, name, len);
    unsigned labels = 0;
    for (unsigned i = 0; name[i] != 0; i += name[i] + 1u)
        labels++;
    b->node[at] = (struct builder_node){.name_at = name_at,
                                        .zone = zone,
                                        .parent = parent,
                                        .first_record = BUILDER_NONE,
                                        .next_in_slot = b->slot[s],
                                        .service = -1,
                                        .cut = BUILDER_NONE,
                                        .wildcard = BUILDER_NONE,
                                        .name_len = (uint8_t)len,
                                        .label_count = (uint8_t)labels};
    b->slot[s] = at;
    if (parent != BUILDER_NONE && name[0] == 1 && name[1] == '*') {
        b->node[parent].wildcard = at;
        b->node[at].flags |= NODE_WILDCARD;
    }
    return at;
}

int zone_builder_add_zone(struct zone_builder *b, const uint8_t *apex)
{
    uint8_t folded[NAME_MAX_LEN];
    int len = name_check(apex, NAME_MAX_LEN, NULL);
    if (len < 0)
        return len;
    name_fold(folded, apex, (size_t)len);
    if (builder_find_zone(b, folded, (unsigned)len) != BUILDER_NONE)
        return -EEXIST;
    int rc = grow_zones(b);
    if (rc < 0)
        return rc;
    int64_t node = add_node(b, b->zone_count, BUILDER_NONE, folded, (unsigned)len);
    if (node < 0)
        return (int)node;
    b->node[node].flags = NODE_APEX;
    b->zone[b->zone_count] = (struct builder_zone){.apex = (uint32_t)node, .parent_cut = BUILDER_NONE};
    link_zone(b, b->zone_count);
    return (int)b->zone_count++;
}

// The node of a name at or below the apex, made with its missing ancestors. Index or negative.
static int64_t ensure_node(struct zone_builder *b, uint32_t zone, const uint8_t *name, unsigned len)
{
    unsigned missing[NAME_MAX_LABELS];
    unsigned missing_count = 0, at = 0;
    const unsigned apex_len = b->node[b->zone[zone].apex].name_len;
    uint32_t found = BUILDER_NONE;
    while (len - at >= apex_len) {
        found = builder_find(b, zone, name + at, len - at);
        if (found != BUILDER_NONE || name[at] == 0)
            break;
        missing[missing_count++] = at;
        at += name[at] + 1u;
    }
    if (found == BUILDER_NONE)
        return -EINVAL;
    while (missing_count) { // top down, so that a parent's index is lower than its children's
        unsigned from = missing[--missing_count];
        int64_t node = add_node(b, zone, found, name + from, len - from);
        if (node < 0)
            return node;
        found = (uint32_t)node;
    }
    return found;
}

int builder_rdata_name_at(uint16_t type)
{
    switch (type) {
    case TYPE_NS:
    case TYPE_CNAME:
    case TYPE_SOA:
    case TYPE_PTR:
    case TYPE_DNAME:
        return 0;
    case TYPE_MX:
    case TYPE_SVCB:
    case TYPE_HTTPS:
        return 2;
    case TYPE_SRV:
        return 6;
    default:
        return -1;
    }
}

// Are the rdata well formed, as far as the answer code depends on it?
static bool is_rdata_good(uint16_t type, const uint8_t *rdata, uint16_t len)
{
    if (type == TYPE_A)
        return len == 4;
    if (type == TYPE_AAAA)
        return len == 16;
    int at = builder_rdata_name_at(type);
    if (at < 0)
        return true;
    if (len <= at)
        return false;
    int name_len = name_check(rdata + at, (size_t)(len - at), NULL);
    if (name_len < 0)
        return false;
    if (type == TYPE_SVCB || type == TYPE_HTTPS)
        return true;
    if (type != TYPE_SOA)
        return at + name_len == len;
    int second = name_check(rdata + name_len, (size_t)(len - name_len), NULL);
    return second > 0 && name_len + second + 20 == len;
}

static void refuse_record(struct zone_builder *b, unsigned zone, const uint8_t *owner, uint64_t record,
                          const char *text)
{
    b->zone[zone].errors++;
    if (b->issue)
        b->issue(b->user, ZONE_ISSUE_ERROR, zone, owner, record, text);
}

int zone_builder_add_record(struct zone_builder *b, unsigned zone, const uint8_t *owner, uint16_t type, uint32_t ttl,
                            const uint8_t *rdata, uint16_t rdata_len, uint64_t record)
{
    uint8_t folded[NAME_MAX_LEN];
    int len = name_check(owner, NAME_MAX_LEN, NULL);
    if (len < 0 || zone >= b->zone_count)
        return -EINVAL;
    name_fold(folded, owner, (size_t)len);
    const struct builder_node *apex = &b->node[b->zone[zone].apex];
    if (!name_is_at_or_below(folded, (size_t)len, builder_name(b, apex), apex->name_len)) {
        refuse_record(b, zone, owner, record, "the owner lies outside the zone");
        return -EINVAL;
    }
    if (!is_rdata_good(type, rdata, rdata_len)) {
        refuse_record(b, zone, owner, record, "malformed record data");
        return -EINVAL;
    }
    int rc = grow((void **)&b->record, b->record_count, &b->record_cap, sizeof *b->record);
    if (rc < 0)
        return rc;
    int64_t node = ensure_node(b, zone, folded, (unsigned)len);
    if (node < 0)
        return (int)node;
    uint64_t rdata_at;
    rc = arena_add(b, rdata, rdata_len, &rdata_at);
    if (rc < 0)
        return rc;
    // RFC 2181 section 8: a TTL with the top bit set counts as zero.
    b->record[b->record_count] = (struct builder_record){.number = record,
                                                         .rdata_at = rdata_at,
                                                         .ttl = ttl > INT32_MAX ? 0 : ttl,
                                                         .next = b->node[node].first_record,
                                                         .type = type,
                                                         .rdata_len = rdata_len};
    b->node[node].first_record = b->record_count++; // the check sorts the list
    b->is_checked = 0;
    return 0;
}

int zone_builder_add_service(struct zone_builder *b, const uint8_t *owner, unsigned service)
{
    uint8_t folded[NAME_MAX_LEN];
    int len = name_check(owner, NAME_MAX_LEN, NULL);
    if (len < 0 || service >= ORDER_SERVICE_MAX)
        return -EINVAL;
    name_fold(folded, owner, (size_t)len);
    uint32_t best = builder_find_zone(b, folded, (unsigned)len);
    for (unsigned at = 0; best == BUILDER_NONE && folded[at] != 0;) { // the longest match
        at += folded[at] + 1u;
        best = builder_find_zone(b, folded + at, (unsigned)len - at);
    }
    if (best == BUILDER_NONE)
        return -ENOENT;
    int64_t node = ensure_node(b, best, folded, (unsigned)len);
    if (node < 0)
        return (int)node;
    if (b->node[node].service >= 0)
        return -EEXIST;
    b->node[node].service = (int32_t)service;
    if (service >= b->service_count)
        b->service_count = service + 1;
    b->is_checked = 0;
    return 0;
}

void zone_builder_drop_zone(struct zone_builder *b, unsigned zone)
{
    b->zone[zone].is_dropped = 1;
}

unsigned zone_builder_zone_errors(const struct zone_builder *b, unsigned zone)
{
    return b->zone[zone].errors;
}

const struct builder_record *builder_rrset(const struct zone_builder *b, const struct builder_node *node, uint16_t type)
{
    for (uint32_t i = node->first_record; i != BUILDER_NONE; i = b->record[i].next)
        if (b->record[i].type == type)
            return &b->record[i];
    return NULL;
}
