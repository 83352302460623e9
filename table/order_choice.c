// SPDX-License-Identifier: Apache-2.0
#include "table/order_choice.h"

#include "table/zone_image.h"

enum { BUCKET_BITS_IPV4 = 24, BUCKET_BITS_IPV6 = 56 }; // see order_bucket

static uint8_t group_scope(const void *zone_image, const void *order_image, const struct order_group *group,
                           const struct region_match *match, const uint8_t *address, bool is_ipv6)
{
    if (!group->set_at)
        return match->scope_len; // no other region has these answers
    const void *scope = image_at(zone_image, zone_image_index(zone_image)->scope_at);
    const uint64_t *same = (const uint64_t *)image_at(order_image, group->set_at);
    return is_ipv6 ? region_scope_ipv6(scope, address, same) : region_scope_ipv4(scope, address, same);
}

struct order_choice order_choose_in(const void *zone_image, const void *order_image, unsigned service,
                                    const uint8_t *address, bool is_ipv6, struct region_match match, bool wants_scope)
{
    const struct order_service *s = order_image_service(order_image, service);
    const bool by_region = s->flags & ORDER_BY_REGION && zone_image_index(zone_image)->region_at;
    struct order_choice choice = {0};
    if (!by_region)
        match = (struct region_match){REGION_UNKNOWN, 0};
    choice.region = match.region;
    const struct order_group *group = order_service_group(order_image, s, match.region);
    if (wants_scope && by_region)
        choice.scope_len = group_scope(zone_image, order_image, group, &match, address, is_ipv6);
    if (!group->answer_at) {
        const uint8_t bits = is_ipv6 ? BUCKET_BITS_IPV6 : BUCKET_BITS_IPV4;
        choice.bucket = (uint16_t)order_bucket(address, is_ipv6);
        if (wants_scope && choice.scope_len < bits)
            choice.scope_len = bits;
    }
    choice.answer = order_group_answer(order_image, s, group, choice.bucket);
    return choice;
}

struct order_choice order_choose(const void *zone_image, const void *order_image, unsigned service,
                                 const uint8_t *address, bool is_ipv6, bool wants_scope)
{
    const uint32_t map_at = zone_image_index(zone_image)->region_at;
    struct region_match match = {REGION_UNKNOWN, 0};
    if (order_image_service(order_image, service)->flags & ORDER_BY_REGION && map_at) {
        const void *map = image_at(zone_image, map_at);
        match = is_ipv6 ? region_map_find_ipv6(map, address) : region_map_find_ipv4(map, address);
    }
    return order_choose_in(zone_image, order_image, service, address, is_ipv6, match, wants_scope);
}
