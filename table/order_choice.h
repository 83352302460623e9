// SPDX-License-Identifier: Apache-2.0
// Which of a service's answers a client gets, and how far that answer reaches. Pure; reading is safe from any thread.
#pragma once

#include "table/order_image.h"
#include "table/zone_image.h"

#ifdef __cplusplus
extern "C" {
#endif

struct order_choice {
    const struct order_answer *answer;
    uint16_t region, bucket; // what the service went by; 0 when it does not
    uint8_t scope_len; // bits of the widest prefix around the address that gets this very answer; 0 unless asked for
};

// `address` stands for the client: 4 or 16 octets. The two images are a checked pair. The scope (RFC 7871 section
// 7.2.1) is that of all addresses whose region has the same answers. Buckets are drawn by /24 and /56: where they
// matter, the scope is at least that long, though neighbours may have drawn the same.
struct order_choice order_choose(const void *zone_image, const void *order_image, unsigned service,
                                 const uint8_t *address, bool is_ipv6, bool wants_scope);

enum { ORDER_BUCKET_BITS_IPV4 = 24, ORDER_BUCKET_BITS_IPV6 = 56 }; // see order_bucket

// How far the group's answer reaches around an address that lies in one of its regions; `match` is the address's.
uint8_t order_group_scope(const void *zone_image, const void *order_image, const struct order_group *group,
                          const uint8_t *address, bool is_ipv6, struct region_match match);

// The same for a service by region. Mostly nothing has to be searched for: the region beside has another answer.
static inline uint8_t order_match_scope(const void *zone_image, const void *order_image, const struct order_service *s,
                                        const struct order_group *group, const uint8_t *address, bool is_ipv6,
                                        struct region_match match)
{
    return order_service_group(order_image, s, match.beside) != group
               ? match.scope_len
               : order_group_scope(zone_image, order_image, group, address, is_ipv6, match);
}

// As order_choose when the region is known, for those who looked for many at once; `match` is of this address, or of no
// map.
static inline struct order_choice order_choose_in(const void *zone_image, const void *order_image, unsigned service,
                                                  const uint8_t *address, bool is_ipv6, struct region_match match,
                                                  bool wants_scope)
{
    const struct order_service *s = order_image_service(order_image, service);
    const bool by_region = s->flags & ORDER_BY_REGION && zone_image_index(zone_image)->region_at;
    struct order_choice choice = {NULL, by_region ? match.region : (uint16_t)REGION_UNKNOWN, 0, 0};
    const struct order_group *group = order_service_group(order_image, s, choice.region);
    if (wants_scope && by_region)
        choice.scope_len = order_match_scope(zone_image, order_image, s, group, address, is_ipv6, match);
    if (!group->answer_at) {
        const uint8_t bits = is_ipv6 ? ORDER_BUCKET_BITS_IPV6 : ORDER_BUCKET_BITS_IPV4;
        choice.bucket = (uint16_t)order_bucket(address, is_ipv6);
        if (wants_scope && choice.scope_len < bits)
            choice.scope_len = bits;
    }
    choice.answer = order_group_answer(order_image, s, group, choice.bucket);
    return choice;
}

#ifdef __cplusplus
}
#endif
