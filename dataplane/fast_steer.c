// SPDX-License-Identifier: Apache-2.0
// After the second stage of the short way: services whose answer depends on the client. Answers with an extended error
// or of another kind than addresses are left to the plain way.
#ifdef __SSE4_1__
#include "dataplane/fast_stages.h"

#include "dataplane/query.h"
#include "table/order_choice.h"

static_assert((int)PACKET_BURST_MAX <= (int)REGION_MANY_MAX, "regions of a burst are looked up at once");

// The client's subnet stands for the client; not when its source length is zero: that asks not to be told apart (RFC
// 7871 section 7.1.2).
static inline bool has_subnet(const struct fast_query *q)
{
    return q->marks & FAST_SUBNET && q->options.shape->subnet_bits > 0;
}

// `address` stands for the client, and lies in region `match`, if the service goes by regions.
static __attribute__((noinline)) void steer_slowly(struct fast_burst *b, struct fast_query *q, const uint8_t *address,
                                                   bool is_ipv6, struct region_match match)
{
    const bool by_subnet = address == q->options.subnet;
    const struct order_choice choice =
        order_choose_in(b->zone_image, b->order_image, q->service, address, is_ipv6, match, by_subnet);
    const struct order_answer *answer = choice.answer;
    const uint32_t at = q->type == DNS_A ? answer->a_at : answer->aaaa_at;
    const bool is_owned = b->service[q->service].owned_types >> q->type & 1;
    if (answer->mode != ORDER_ANSWER || answer->ede || !at || !is_owned)
        return;
    if (by_subnet)
        q->options.scope = choice.scope_len;
    q->at = image_at(b->order_image, at);
}

// What all queries of a burst are steered by.
struct rows {
    const uint8_t *order_image;
    const struct order_service *service;
    uint32_t region_count;
};

static inline unsigned group_of(const struct rows *r, const struct order_service *s, unsigned region)
{
    const uint16_t *group = (const uint16_t *)image_at(r->order_image, s->region_at);
    return group[region < r->region_count ? region : 0];
}

// The same with a map, for a service by region whose group has a plain answer. As order_match_scope, the scope is the
// map's where the region beside is of another group.
static inline __attribute__((always_inline)) void steer_query(struct fast_burst *b, const struct rows *r,
                                                              struct fast_query *q, const uint8_t *address,
                                                              bool is_ipv6, const struct region_match *match)
{
    const struct order_service *s = &r->service[q->service];
    const unsigned number = group_of(r, s, match->region);
    const struct order_group *group = (const struct order_group *)image_at(r->order_image, s->group_at) + number;
    const uint32_t at = group->plain_at[q->type != DNS_A];
    if (__builtin_expect(!at, 0)) {
        steer_slowly(b, q, address, is_ipv6, *match);
        return;
    }
    const struct rrset *set = (const struct rrset *)image_at(r->order_image, at);
    __builtin_prefetch(set);
    q->at = set;
    if (__builtin_expect(address != q->options.subnet, 0))
        return;
    q->options.scope = match->scope_len;
    if (__builtin_expect(group_of(r, s, match->beside) == number, 0))
        q->options.scope = order_group_scope(b->zone_image, r->order_image, group, address, is_ipv6, *match);
}

// What stands for the client.
static inline const uint8_t *address_of(const struct fast_burst *b, const struct fast_query *q,
                                        const struct packet_slot *slot, bool *is_ipv6)
{
    if (__builtin_expect(has_subnet(q), 1)) {
        *is_ipv6 = q->options.shape->is_subnet_ipv6;
        return q->options.subnet;
    }
    *is_ipv6 = q->marks & FAST_IPV6;
    return fast_client(q, slot[q - b->query].frame);
}

// Those that a look at the map decides.
struct by_region {
    struct fast_query *query[PACKET_BURST_MAX];
    const uint8_t *address[PACKET_BURST_MAX];
};

// Bit by bit in `is_ipv6`: the address.
static void steer_by_region(struct fast_burst *b, const struct by_region *found, uint64_t is_ipv6, unsigned count,
                            const void *map)
{
    struct region_match match[PACKET_BURST_MAX];
    const struct rows rows = {(const uint8_t *)b->order_image, b->service,
                              order_image_index(b->order_image)->region_count};
    region_map_find_many(map, found->address, is_ipv6, count, match);
    for (unsigned i = 0; i < count; i++)
        steer_query(b, &rows, found->query[i], found->address[i], is_ipv6 >> i & 1, &match[i]);
}

void fast_steer(struct fast_burst *b, const struct packet_slot *slot)
{
    const uint32_t map_at = zone_image_index(b->zone_image)->region_at, mapped = map_at ? ORDER_BY_REGION : 0;
    const struct order_service *service = b->service;
    struct by_region found;
    uint64_t are_ipv6 = 0, bit = 1;
    unsigned count = 0;
    for (unsigned i = 0, all = b->tailored_count; i < all; i++) {
        struct fast_query *q = b->tailored[i];
        const uint32_t flags = service[q->service].flags;
        bool is_ipv6;
        const uint8_t *address = address_of(b, q, slot, &is_ipv6);
        if (__builtin_expect(flags & mapped, 1)) {
            found.query[count] = q;
            found.address[count++] = address;
            are_ipv6 |= is_ipv6 ? bit : 0;
            bit <<= 1;
        } else if (flags) { // by bucket, or there is no map
            steer_slowly(b, q, address, is_ipv6, (struct region_match){REGION_UNKNOWN, 0, REGION_UNKNOWN});
        }
    }
    if (count)
        steer_by_region(b, &found, are_ipv6, count, image_at(b->zone_image, map_at));
}

#endif
