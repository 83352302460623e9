// SPDX-License-Identifier: Apache-2.0
// The part of an answer that health dictates: a service's ordered addresses for this client.
#include <string.h>

#include "dataplane/response.h"

enum { EDE_STALE_ANSWER = 3 }; // RFC 8914 section 4.4

struct locality {
    const uint8_t *address;
    bool is_ipv6;
    bool is_from_subnet;
};

// The address that stands for the client: its subnet as announced by the resolver, else where the query came from.
// A source length of zero asks not to be told apart (RFC 7871 section 7.1.2).
static struct locality client_locality(const struct response *r)
{
    const struct edns *e = &r->query->edns;
    if (r->edns.has_subnet && e->subnet_source_len > 0)
        return (struct locality){e->subnet, e->is_subnet_ipv6, true};
    return (struct locality){r->client->address, r->client->is_ipv6, false};
}

static struct region_match find_region(const void *image, const struct locality *l)
{
    const struct zone_index *index = zone_image_index(image);
    if (!index->region_at)
        return (struct region_match){REGION_UNKNOWN, 0};
    const void *map = image_at(image, index->region_at);
    return l->is_ipv6 ? region_map_find_ipv6(map, l->address) : region_map_find_ipv4(map, l->address);
}

// Finds the answer for the client's class and notes the scope for which it holds.
static const struct order_answer *find_answer(struct response *r, const struct order_service *service, unsigned number)
{
    struct region_match match = {REGION_UNKNOWN, 0};
    unsigned bucket = 0, scope = 0;
    if (service->flags) {
        const struct locality l = client_locality(r);
        if (service->flags & ORDER_BY_REGION) {
            match = find_region(r->context->zone_image, &l);
            scope = match.scope_len;
        }
        if (service->flags & ORDER_BY_BUCKET) {
            const unsigned bits = l.is_ipv6 ? 56 : 24;
            bucket = order_bucket(l.address, l.is_ipv6);
            scope = scope > bits ? scope : bits;
        }
        r->edns.subnet_scope_len = l.is_from_subnet ? (uint8_t)scope : 0;
    }
    return order_image_find(r->context->order_image, number, match.region, bucket);
}

static void note_extended_error(struct response *r, const struct order_answer *answer)
{
    if (answer->ede) {
        r->edns.has_extended_error = true;
        r->edns.extended_error = answer->ede;
        counters_add(r->context->counters, COUNTER_answers_fail_open, 1);
    } else if (r->context->is_stale) {
        r->edns.has_extended_error = true;
        r->edns.extended_error = EDE_STALE_ANSWER;
    }
    if (r->context->is_stale)
        counters_add(r->context->counters, COUNTER_answers_stale, 1);
}

bool steer(struct response *r, const struct zone_node *node, unsigned owner_at, unsigned apex_at)
{
    const void *image = r->context->order_image;
    const struct order_service *service =
        (const struct order_service *)image_at(image, order_image_index(image)->service_at) + node->service;
    if (!order_service_owns(service, r->query->qtype))
        return false;
    const struct order_answer *answer = find_answer(r, service, node->service);
    counters_add(r->context->counters, COUNTER_answers_service, 1);
    if (answer->ede | r->context->is_stale)
        note_extended_error(r, answer);
    if (answer->mode == ORDER_SERVFAIL) {
        r->rcode = RCODE_SERVFAIL;
        return true;
    }
    const struct rrset *set = order_answer_rrset(image, answer, r->query->qtype);
    if (!set || answer->mode == ORDER_NODATA)
        response_add_soa(r, node->zone, apex_at);
    else if (!response_add(r, SECTION_ANSWER, set, owner_at, apex_at))
        r->is_truncated = true;
    return true;
}
