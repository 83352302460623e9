// SPDX-License-Identifier: Apache-2.0
// The zone image: every name of every zone, found by hash, with its record sets in wire form; settings; regions.
//
// Layout: struct image_header, struct zone_index, then the sections it points to. A node stands for each existing name,
// empty non-terminals included (RFC 4592 section 2.2.2). A look-up folds the name once, hashes it and compares one
// candidate; on a miss it strips labels until a node is found: the closest encloser. Written by zone_builder.h, checked
// by zone_image_check before anything else may read it.
#pragma once

#include "table/image.h"
#include "table/name.h"
#include "table/region_scope.h"

#ifdef __cplusplus
extern "C" {
#endif

enum zone_settings_flags {
    SETTING_CLIENT_SUBNET = 1, // use and answer the EDNS client subnet option
    SETTING_COOKIES = 2,       // answer DNS cookies (RFC 9018)
    SETTING_RATE_LIMIT = 4,
    SETTING_RATE_LIMIT_DRY_RUN = 8 // count what would be limited, answer all the same
};

enum {
    SETTING_TEXT_CAP = 128,
    SETTING_ADDRESS_CAP = 64 // addresses of the node itself
};

struct setting_address {
    uint8_t address[16]; // network order; IPv4 in the first 4 bytes
    uint8_t is_ipv6;
    uint8_t reserved[7];
};

// What the answers depend on besides records. Travels in the zone image so that a reload changes both at once.
struct zone_settings {
    uint32_t flags;              // enum zone_settings_flags
    uint16_t udp_max;            // bytes of DNS message over UDP at most, 512..4096 (RFC 9715: 1232)
    uint16_t stale_after_s;      // age of the order image after which answers carry EDE 3 (Stale Answer); 0: never
    uint8_t cookie_secret_count; // 0..2: current, previous
    uint8_t nsid_len, chaos_version_len, chaos_id_len; // 0: not answered
    uint32_t rate_per_s, rate_burst, rate_slip;
    uint32_t address_count;
    uint32_t any_ttl; // TTL of the HINFO answer to ANY (RFC 8482)
    uint8_t cookie_secret[2][16];
    uint8_t nsid[SETTING_TEXT_CAP], chaos_version[SETTING_TEXT_CAP], chaos_id[SETTING_TEXT_CAP];
    struct setting_address address[SETTING_ADDRESS_CAP];
};
static_assert(sizeof(struct zone_settings) % 8 == 0, "sections are multiples of 8 bytes");

struct zone_slot {    // of the hash table; linear probing
    uint32_t tag;     // high half of the name's hash
    uint32_t node_at; // 0: empty, the search ends
};

struct zone_index {
    uint64_t hash_seed;
    uint32_t slot_at, slot_mask; // slots: a power of two, at most half full
    uint32_t probe_limit;        // no name stands further than this many slots from its place
    uint32_t label_limit;        // labels of the longest name; longer suffixes need not be tried
    uint32_t node_at, node_end;  // nodes, one behind the other, each with its addresses; in 8-byte units
    uint32_t node_count;
    uint32_t rrset_at, rrset_end; // the other record sets, and patches and extras
    uint32_t zone_at, zone_count; // struct zone_entry
    uint32_t settings_at;
    uint32_t region_at, region_units; // region map, its length in 8-byte units; 0: none
    uint32_t service_count;           // services that nodes may name
    uint32_t scope_at, scope_units;   // how far answers reach (region_scope.h), wherever there is a region map
    uint32_t reserved;
};

enum { ZONE_LINE_BYTES = 64 };

enum zone_node_flags {
    NODE_APEX = 1,
    NODE_CUT = 2, // NS set, not the apex: a delegation (RFC 1034 section 4.2.1)
    NODE_CNAME = 4,
    NODE_DNAME = 8,
    NODE_SERVICE = 16,   // its A and AAAA (and more, see order_image.h) come from the order image
    NODE_BELOW_CUT = 32, // glue: only referrals reach it
    NODE_WILDCARD = 64   // the first label is *
};

struct zone_node {
    uint32_t zone;        // index into the zone entries
    uint32_t cut_at;      // the delegation at or above this node, 0 when none
    uint32_t wildcard_at; // the node "*.<this name>", 0 when none
    uint16_t flags;       // enum zone_node_flags
    uint16_t service;     // index of the service when NODE_SERVICE
    uint16_t rrset_count;
    uint8_t name_len, label_count;
    uint32_t tag; // the slot's tag
    // followed by struct rrset_ref[rrset_count] sorted by type, then the lower-case name, zero-filled to the node's
    // end; behind that the node's sets of type A and AAAA, in this order, each in whole lines
};
static_assert(sizeof(struct zone_node) == 24, "nodes are multiples of 8 bytes");

// Bytes that a node takes: whole cache lines, one for a name of up to 24 octets with two record sets. Out of a million
// names each line is a miss. At least 16 octets belong to the name, for those who compare it by blocks.
static inline uint64_t zone_node_bytes(unsigned rrset_count, unsigned name_len)
{
    const uint64_t name = name_len < 16 ? 16 : (name_len + 7u) & ~7u;
    return (sizeof(struct zone_node) + rrset_count * sizeof(struct rrset_ref) + name + ZONE_LINE_BYTES - 1) /
           ZONE_LINE_BYTES * ZONE_LINE_BYTES;
}

// Lines of a set behind its node. Together they stand in one page, and what the hash slot says of the node says where
// its set is as well: both can be asked for at once.
static inline uint64_t zone_set_lines(uint64_t wire_len)
{
    return (sizeof(struct rrset) + wire_len + ZONE_LINE_BYTES - 1) / ZONE_LINE_BYTES;
}

struct zone_entry {
    uint32_t apex_at;         // node of the apex
    uint32_t soa_at;          // rrset; every zone has one
    uint32_t negative_soa_at; // the same SOA with TTL min(TTL, minimum) (RFC 2308 section 3)
    uint32_t parent_cut_at;   // node-like delegation data in a parent zone that we serve too, for DS; 0 when none
    uint32_t serial;
    uint32_t reserved;
};

// A folded name with what a look-up needs. Filled by zone_key_init.
struct zone_key {
    uint8_t name[NAME_PADDED_CAP]; // lower case, zero-filled
    unsigned len;
    unsigned label_count;
};

static inline const struct zone_index *zone_image_index(const void *image)
{
    return (const struct zone_index *)((const uint8_t *)image + sizeof(struct image_header));
}

static inline const struct rrset_ref *zone_node_refs(const struct zone_node *node)
{
    return (const struct rrset_ref *)(node + 1);
}

static inline const uint8_t *zone_node_name(const struct zone_node *node)
{
    return (const uint8_t *)(zone_node_refs(node) + node->rrset_count);
}

static inline const struct zone_settings *zone_image_settings(const void *image)
{
    return (const struct zone_settings *)image_at(image, zone_image_index(image)->settings_at);
}

// The node of exactly this name, or null.
const struct zone_node *zone_image_find(const void *image, const struct zone_key *key);

// The node of the longest existing suffix of the name, the name itself included; null when not even an apex is above
// it. *suffix_at is where that suffix starts in the name. For the DS type at an apex the caller goes by
// zone_entry.parent_cut_at.
const struct zone_node *zone_image_find_closest(const void *image, const struct zone_key *key, unsigned *suffix_at);

// The record set of a type at a node, or null. Logarithmic in the number of types there.
const struct rrset *zone_node_rrset(const void *image, const struct zone_node *node, uint16_t type);

// Folds a valid name into a key.
void zone_key_init(struct zone_key *key, const uint8_t *wire, unsigned len);

// Checks everything a look-up or an answer may follow: header, checksum, every offset, length, count and name. After it
// returned 0 no reader leaves the image. Allocates a bitmap while it runs (one bit for each 8 bytes). -EBADMSG or
// -ENOMEM, sentence in `why`.
int zone_image_check(const void *image, size_t len, char why[IMAGE_TEXT_CAP]);

#ifdef __cplusplus
}
#endif
