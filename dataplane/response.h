// SPDX-License-Identifier: Apache-2.0
// A response while it is written behind the question, in place; shared by answer.c, resolve.c and steer.c.
#pragma once

#include "dataplane/answer.h"
#include "dataplane/query.h"
#include "table/order_image.h"
#include "table/wire.h"
#include "table/zone_image.h"

#ifdef __cplusplus
extern "C" {
#endif

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

// Answers from the zones and services: sections, rcode, AA, TC, client-subnet scope, extended error.
void resolve(struct response *r);

// The answer of a service for this client, of the type asked. Returns false when the service does not own the type.
bool steer(struct response *r, const struct zone_node *node, unsigned owner_at, unsigned apex_at);

// NODATA or NXDOMAIN: the zone's SOA in the authority section (RFC 2308 section 3).
void response_add_soa(struct response *r, uint32_t zone, unsigned apex_at);

#ifdef __cplusplus
}
#endif
