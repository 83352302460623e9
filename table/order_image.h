// SPDX-License-Identifier: Apache-2.0
// The site-order image: for each service and each class of clients the ordered addresses as ready answer bytes.
//
// Small, rebuilt on every change of verdict or order; its cost depends on services and classes only, never on static
// names. A client's class is its region (when the service is tailored) and its bucket (a hash of its prefix, when the
// service spills or spreads). Regions whose clients get the same answers form a group; equal answers are stored once.
#pragma once

#include "table/image.h"
#include "table/region_map.h"
#include "table/region_set.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ORDER_SERVICE_MAX = 65000,
    ORDER_BUCKET_MAX = 256, // power of two; a spill or a weight can be as fine as 1/256
    ORDER_RRSET_MAX = 8     // record sets per answer: A, AAAA, SRV, SVCB, HTTPS and room
};

enum order_mode {
    ORDER_ANSWER = 0,
    ORDER_NODATA = 1, // no site left and the service says so
    ORDER_SERVFAIL = 2
};

enum order_service_flags {
    ORDER_BY_REGION = 1, // the answer depends on the client's region
    ORDER_BY_BUCKET = 2  // and, or, on its prefix's bucket (/24 or /56, see order_bucket)
};

struct order_index {
    uint32_t service_at, service_count; // struct order_service
    uint32_t region_count;              // that a tailored service tells apart, REGION_UNKNOWN included
    uint32_t answer_at, answer_end;     // answers and their record sets, in 8-byte units
    uint32_t reserved[3];
};

struct order_service {
    uint32_t group_at;    // struct order_group[group_count]
    uint32_t region_at;   // uint16_t group_of[region_count] when ORDER_BY_REGION, else 0: all are of group 0
    uint16_t group_count; // at least 1
    uint16_t bucket_mask; // buckets - 1; 0 when not by bucket
    uint32_t flags;       // enum order_service_flags
    uint32_t plain_at[2]; // of the group, when there is only one: the answer for everybody; else 0
    uint64_t owned_types; // bit n: the type with number n (below 64), bit 63 also for HTTPS (65), bit 62 for SVCB (64):
                          // NODATA when the answer has no such set; other types at the owner come from the zone
};
static_assert(sizeof(struct order_service) == 32, "two to a cache line");

struct order_group {       // regions that have the same answers
    uint32_t answer_at;    // for all buckets; 0: by bucket
    uint32_t bucket_at;    // uint32_t answer_at[bucket_mask + 1], 0 when answer_at is given
    uint32_t set_at;       // which regions: uint64_t[region_set_words(index's region_count)]; 0 when it is only one
    uint32_t region_count; // how many; 1 when not by region
    uint32_t plain_at[2];  // the A and the AAAA set when that is the answer for all buckets and nothing is to be added;
                           // else 0
};

struct order_answer {
    uint32_t a_at, aaaa_at; // rrset, 0: none
    uint8_t mode;           // enum order_mode
    uint8_t reason;         // why this order, for statistics and explain; the control process's enumeration
    uint16_t ede;           // Extended DNS Error code (RFC 8914) to add when the client speaks EDNS; 0: none
    uint16_t other_count;   // further record sets
    uint16_t site_count;    // sites in the answer
    // followed by struct rrset_ref[other_count]
};
static_assert(sizeof(struct order_answer) == 16, "answers are multiples of 8 bytes");

static inline const struct order_index *order_image_index(const void *image)
{
    return (const struct order_index *)((const uint8_t *)image + sizeof(struct image_header));
}

// What plain_at must say of a group whose only answer is `answer`: a worker finds the common answer there without
// touching that.
static inline uint32_t order_plain_at(uint64_t owned_types, const struct order_answer *answer, bool is_ipv6)
{
    const bool is_plain = answer->mode == ORDER_ANSWER && answer->ede == 0 && (owned_types >> (is_ipv6 ? 28 : 1) & 1);
    return !is_plain ? 0 : is_ipv6 ? answer->aaaa_at : answer->a_at;
}

static inline const struct order_service *order_image_service(const void *image, unsigned service)
{
    return (const struct order_service *)image_at(image, order_image_index(image)->service_at) + service;
}

// The group of a region; one beyond region_count counts as REGION_UNKNOWN.
static inline const struct order_group *order_service_group(const void *image, const struct order_service *s,
                                                            unsigned region)
{
    const struct order_group *group = (const struct order_group *)image_at(image, s->group_at);
    if (!(s->flags & ORDER_BY_REGION))
        return group;
    const uint16_t *group_of = (const uint16_t *)image_at(image, s->region_at);
    return group + group_of[region < order_image_index(image)->region_count ? region : 0];
}

static inline const struct order_answer *order_group_answer(const void *image, const struct order_service *s,
                                                            const struct order_group *group, unsigned bucket)
{
    if (group->answer_at)
        return (const struct order_answer *)image_at(image, group->answer_at);
    const uint32_t *answer_at = (const uint32_t *)image_at(image, group->bucket_at);
    return (const struct order_answer *)image_at(image, answer_at[bucket & s->bucket_mask]);
}

// The answer for a class. `service` < service_count.
static inline const struct order_answer *order_image_find(const void *image, unsigned service, unsigned region,
                                                          unsigned bucket)
{
    const struct order_service *s = order_image_service(image, service);
    return order_group_answer(image, s, order_service_group(image, s, region), bucket);
}

// Bucket of a client prefix: 0..ORDER_BUCKET_MAX-1. IPv4 clients are taken by /24, IPv6 by /56 (as resolvers announce
// them).
unsigned order_bucket(const uint8_t *address, bool is_ipv6);

// True when the service, not the zone, decides about this type at its owner.
static inline bool order_service_owns(const struct order_service *s, uint16_t type)
{
    if (type < 62)
        return s->owned_types >> type & 1;
    return (type == 64 && (s->owned_types >> 62 & 1)) || (type == 65 && (s->owned_types >> 63 & 1));
}

// The record set of a type, or null.
const struct rrset *order_answer_rrset(const void *image, const struct order_answer *answer, uint16_t type);

// Checks everything a reader may follow. The caller compares the number of services with the zone image's. 0 or
// -EBADMSG with a sentence in `why`; -ENOMEM.
int order_image_check(const void *image, size_t len, char why[IMAGE_TEXT_CAP]);

// ---- building ----

struct order_record {
    const uint8_t *rdata;
    uint16_t rdata_len;
};

struct order_rrset { // records in the order in which clients shall see them
    uint16_t type;
    uint32_t ttl;
    const struct order_record *record;
    unsigned record_count;
};

struct order_answer_input {
    enum order_mode mode;
    uint8_t reason;
    uint16_t ede;
    uint16_t site_count;
    const struct order_rrset *rrset;
    unsigned rrset_count; // at most ORDER_RRSET_MAX
};

struct order_service_input {
    uint32_t flags;        // enum order_service_flags
    unsigned bucket_count; // power of two, 1..ORDER_BUCKET_MAX
    uint64_t owned_types;
    const struct order_answer_input *answer;
    unsigned answer_count;
    const uint32_t
        *class_answer; // [rows * bucket_count], index into answer; rows = region_count when by region, else 1
};

// Builds the image: *image is malloc'ed, the caller frees it. `region_count` includes REGION_UNKNOWN (so at least 1).
// 0, -EINVAL for an input outside the limits, -E2BIG, -ENOMEM.
int order_image_build(const struct order_service_input *service, unsigned service_count, unsigned region_count,
                      uint64_t generation, uint64_t pairing_id, uint64_t built_at_us, void **image, size_t *len);

#ifdef __cplusplus
}
#endif
