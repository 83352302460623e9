// SPDX-License-Identifier: Apache-2.0
// After the second stage of the short way: services whose answer depends on the client. Answers with an extended error
// or of another kind than addresses are left to the plain way.
#ifdef __SSE4_1__
#include "dataplane/fast.h"

#include "dataplane/query.h"
#include "dataplane/steer.h"

// RFC 7871 section 7.1.2: a source length of zero asks not to be told apart.
static bool has_subnet(const struct fast_query *q, const struct fast_options *o)
{
    return q->marks & FAST_OPTIONS && o->subnet_data && o->subnet_data[2] > 0;
}

static void steer_query(struct fast_burst *b, const uint8_t *frame, unsigned number)
{
    struct fast_query *q = &b->query[number];
    struct fast_options *o = &b->options[number];
    const bool by_subnet = has_subnet(q, o);
    struct steer_place place = {fast_client(q, frame), q->marks & FAST_IPV6};
    if (by_subnet)
        place = (struct steer_place){o->subnet, o->subnet_data[1] == 2};
    const struct order_answer *answer =
        steer_find(b->zone_image, b->order_image, q->service, place, by_subnet ? &o->scope_len : NULL);
    const uint32_t at = q->type == DNS_A ? answer->a_at : answer->aaaa_at;
    const bool is_owned = order_service_owns(&b->service[q->service], q->type);
    if (answer->mode != ORDER_ANSWER || answer->ede || !at || !is_owned)
        return;
    q->at = image_at(b->order_image, at);
}

void fast_steer(struct fast_burst *b, const struct packet_slot *slot)
{
    for (unsigned i = 0; i < b->tailored_count; i++)
        steer_query(b, slot[b->tailored[i]].frame, b->tailored[i]);
}

#endif
