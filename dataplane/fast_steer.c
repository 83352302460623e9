// SPDX-License-Identifier: Apache-2.0
// After the second stage of the short way: services whose answer depends on the client. Answers with an extended error
// or of another kind than addresses are left to the plain way.
#ifdef __SSE4_1__
#include "dataplane/fast.h"

#include "dataplane/query.h"
#include "table/order_choice.h"

static_assert((int)PACKET_BURST_MAX <= (int)REGION_MANY_MAX, "regions of a burst are looked up at once");

// RFC 7871 section 7.1.2: a source length of zero asks not to be told apart.
static inline bool has_subnet(const struct fast_query *q, const struct fast_options *o)
{
    return q->marks & FAST_SUBNET && o->subnet_bits > 0;
}

static inline void steer_query(struct fast_burst *b, unsigned number, const uint8_t *address, bool is_ipv6,
                               struct region_match match)
{
    struct fast_query *q = &b->query[number];
    struct fast_options *o = &q->options;
    const bool by_subnet = has_subnet(q, o);
    const struct order_choice choice =
        order_choose_in(b->zone_image, b->order_image, q->service, address, is_ipv6, match, by_subnet);
    const struct order_answer *answer = choice.answer;
    const uint32_t at = q->type == DNS_A ? answer->a_at : answer->aaaa_at;
    const bool is_owned = order_service_owns(&b->service[q->service], q->type);
    if (answer->mode != ORDER_ANSWER || answer->ede || !at || !is_owned)
        return;
    if (by_subnet)
        o->reply[FAST_SCOPE_AT] = choice.scope_len;
    q->at = image_at(b->order_image, at);
}

void fast_steer(struct fast_burst *b, const struct packet_slot *slot)
{
    const uint32_t map_at = zone_image_index(b->zone_image)->region_at;
    const uint8_t *address[PACKET_BURST_MAX]; // that stands for the client: its subnet, or where the query came from
    struct region_match match[PACKET_BURST_MAX];
    uint64_t is_ipv6 = 0; // bit by bit
    for (unsigned i = 0; i < b->tailored_count; i++) {
        const unsigned number = b->tailored[i];
        const struct fast_query *q = &b->query[number];
        const struct fast_options *o = &q->options;
        const bool by_subnet = has_subnet(q, o);
        address[i] = by_subnet ? o->subnet : fast_client(q, slot[number].frame);
        is_ipv6 |= (uint64_t)(by_subnet ? o->is_subnet_ipv6 : (q->marks & FAST_IPV6) != 0) << i;
        match[i] = (struct region_match){REGION_UNKNOWN, 0};
    }
    if (map_at)
        region_map_find_many(image_at(b->zone_image, map_at), address, is_ipv6, b->tailored_count, match);
    for (unsigned i = 0; i < b->tailored_count; i++)
        steer_query(b, b->tailored[i], address[i], is_ipv6 >> i & 1, match[i]);
}

#endif
