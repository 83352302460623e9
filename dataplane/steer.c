// SPDX-License-Identifier: Apache-2.0
#include "dataplane/steer.h"

#include "table/order_choice.h"

enum { EDE_STALE_ANSWER = 3 }; // RFC 8914 section 4.4

// Finds the answer for the client and notes the scope for which it holds. A source length of zero asks not to be told
// apart (RFC 7871 section 7.1.2). Negative answers and errors have no scope (section 7.4), and hold for everybody:
// stages turn an order, they never take the last site out of it.
static const struct order_answer *find_answer(struct response *r, unsigned number)
{
    const struct edns *e = &r->query->edns;
    const bool is_from_subnet = r->edns.has_subnet && e->subnet_source_len > 0;
    const uint8_t *address = is_from_subnet ? e->subnet : r->client->address;
    const bool is_ipv6 = is_from_subnet ? e->is_subnet_ipv6 : r->client->is_ipv6;
    const struct order_choice choice =
        order_choose(r->context->zone_image, r->context->order_image, number, address, is_ipv6, is_from_subnet);
    const struct order_answer *answer = choice.answer;
    if (is_from_subnet && answer->mode == ORDER_ANSWER &&
        order_answer_rrset(r->context->order_image, answer, r->query->qtype))
        r->edns.subnet_scope_len = choice.scope_len;
    return answer;
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
    const struct order_service *service = order_image_service(image, node->service);
    if (!order_service_owns(service, r->query->qtype))
        return false;
    const struct order_answer *answer = find_answer(r, node->service);
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
