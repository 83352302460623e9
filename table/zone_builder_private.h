// SPDX-License-Identifier: Apache-2.0
// What the three files of the zone builder share: input, check, layout. Not for others.
#pragma once

#include "table/zone_builder.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_PTR = 12,
    TYPE_MX = 15,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
    TYPE_DNAME = 39,
    TYPE_DS = 43,
    TYPE_SVCB = 64,
    TYPE_HTTPS = 65
};

#define BUILDER_NONE UINT32_MAX

// A record while building; those of one node form a list sorted by type once checked.
struct builder_record {
    uint64_t number;   // the caller's, for messages
    uint64_t rdata_at; // in the arena
    uint32_t ttl;
    uint32_t next; // BUILDER_NONE at the end
    uint16_t type;
    uint16_t rdata_len;
};

struct builder_node {
    uint64_t name_at; // lower-case, in the arena
    uint32_t zone;
    uint32_t parent; // node index, always lower than the node's own; BUILDER_NONE at an apex
    uint32_t first_record;
    uint32_t next_in_slot; // of the builder's own hash
    int32_t service;       // -1: none
    uint32_t cut;          // node index of the delegation at or above
    uint32_t wildcard;     // node index of the `*` child
    uint32_t image_at;     // set by the layout
    uint16_t flags;        // enum zone_node_flags
    uint8_t name_len, label_count;
    uint8_t is_hidden;     // in a zone above another served zone's apex: not in the image
    uint8_t is_parent_cut; // hidden, but it answers for DS of the served zone below
};

struct builder_zone {
    uint32_t apex; // node
    uint32_t errors;
    uint8_t is_dropped;
    uint32_t image_number; // counted without dropped zones
    uint32_t parent_cut;   // node in the parent zone, BUILDER_NONE
    uint32_t next_in_slot; // of the hash of apexes
};

struct zone_builder {
    zone_issue_fn issue;
    void *user;
    struct zone_settings settings;
    void *region_map, *region_scope;
    size_t region_len, scope_len;
    struct builder_zone *zone;
    uint32_t zone_count, zone_cap;
    struct builder_node *node;
    uint32_t node_count, node_cap;
    struct builder_record *record;
    uint32_t record_count, record_cap;
    uint8_t *arena;
    uint64_t arena_len, arena_cap;
    uint32_t *slot; // chains through next_in_slot
    uint32_t slot_count;
    uint32_t *apex_slot; // zones by apex, chains through next_in_slot; apex_slot_count is zone_cap
    uint32_t apex_slot_count;
    uint32_t service_count;
    uint8_t is_checked;
};

static inline const uint8_t *builder_name(const struct zone_builder *b, const struct builder_node *node)
{
    return b->arena + node->name_at;
}

static inline const uint8_t *builder_rdata(const struct zone_builder *b, const struct builder_record *record)
{
    return b->arena + record->rdata_at;
}

// Index of the node of this name in this zone, or BUILDER_NONE. `name` is lower case.
uint32_t builder_find(const struct zone_builder *b, uint32_t zone, const uint8_t *name, unsigned len);

// The zone (not dropped) whose apex is this name, or BUILDER_NONE. `name` is lower case.
uint32_t builder_find_zone(const struct zone_builder *b, const uint8_t *name, unsigned len);

// The first record of a type at a node, or null.
const struct builder_record *builder_rrset(const struct zone_builder *b, const struct builder_node *node,
                                           uint16_t type);

// Where names stand in the rdata of types that have them: first name's offset, or -1. SOA has two.
int builder_rdata_name_at(uint16_t type);

// Reports an issue and counts errors for the zone.
void builder_report(struct zone_builder *b, enum zone_issue_level level, uint32_t node, uint64_t record,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

#ifdef __cplusplus
}
#endif
