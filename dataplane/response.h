// SPDX-License-Identifier: Apache-2.0
// A response while it is written behind the question, in place; shared by answer.c, resolve.c and steer.c. One thread.
#pragma once

#include "dataplane/answer.h"
#include "dataplane/query.h"
#include "table/order_image.h"
#include "table/wire.h"
#include "table/zone_image.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    RECORD_FRAME_LEN = 12, // of a record: what stands before its data when its owner is a pointer
    POINTER_MAX = 0x3fff   // a compression pointer reaches no further (RFC 1035 section 4.1.4)
};

enum response_section { SECTION_ANSWER, SECTION_AUTHORITY, SECTION_ADDITIONAL, SECTION_COUNT };

struct response {
    struct answer_context *context;
    const struct answer_client *client;
    const struct query *query;
    struct wire_writer writer; // its cap leaves room for the OPT record
    uint16_t count[SECTION_COUNT];
    uint16_t rcode;
    uint16_t query_len; // of the whole message
    bool is_authoritative;
    bool is_truncated;
    struct edns_response edns;
};

// Appends a record set. `owner_at` is where its owner's name starts in the message, `apex_at` where its zone's apex
// does. False, and nothing appended, when there is no room, or was none before: what follows a gap helps nobody.
bool response_add(struct response *r, enum response_section section, const struct rrset *set, unsigned owner_at,
                  unsigned apex_at);

// NODATA or NXDOMAIN: the zone's SOA in the authority section (RFC 2308 section 3).
void response_add_soa(struct response *r, uint32_t zone, unsigned apex_at);

// Addresses of the names in a set that was added at `set_at` of the message, to the additional section. Without room:
// TC for required glue, else they are left out.
void response_add_extras(struct response *r, const struct rrset *set, unsigned set_at, unsigned apex_at);

static inline const struct zone_entry *response_zone(const struct response *r, uint32_t zone)
{
    const struct zone_index *index = zone_image_index(r->context->zone_image);
    return (const struct zone_entry *)image_at(r->context->zone_image, index->zone_at) + zone;
}

#ifdef __cplusplus
}
#endif
