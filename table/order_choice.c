// SPDX-License-Identifier: Apache-2.0
#include "table/order_choice.h"

uint8_t order_group_scope(const void *zone_image, const void *order_image, const struct order_group *group,
                          const uint8_t *address, bool is_ipv6, struct region_match match)
{
    if (!group->set_at) // only this region
        return match.scope_len;
    if (group->region_count == order_image_index(order_image)->region_count)
        return 0;
    const uint64_t *same = (const uint64_t *)image_at(order_image, group->set_at);
    const struct zone_index *index = zone_image_index(zone_image);
    const int near = region_map_reach(image_at(zone_image, index->region_at), address, is_ipv6, same);
    if (near >= 0)
        return (uint8_t)near;
    const void *scope = image_at(zone_image, index->scope_at);
    return is_ipv6 ? region_scope_ipv6(scope, address, same) : region_scope_ipv4(scope, address, same);
}

struct order_choice order_choose(const void *zone_image, const void *order_image, unsigned service,
                                 const uint8_t *address, bool is_ipv6, bool wants_scope)
{
    const uint32_t map_at = zone_image_index(zone_image)->region_at;
    struct region_match match = {REGION_UNKNOWN, 0, REGION_UNKNOWN};
    if (order_image_service(order_image, service)->flags & ORDER_BY_REGION && map_at) {
        const void *map = image_at(zone_image, map_at);
        match = is_ipv6 ? region_map_find_ipv6(map, address) : region_map_find_ipv4(map, address);
    }
    return order_choose_in(zone_image, order_image, service, address, is_ipv6, match, wants_scope);
}
