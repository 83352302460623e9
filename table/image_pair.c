// SPDX-License-Identifier: Apache-2.0
#include "table/image_pair.h"

#include <errno.h>
#include <stdio.h>

#include "table/order_image.h"
#include "table/zone_image.h"

int image_pair_check(const void *zone_image, const void *order_image, char why[IMAGE_TEXT_CAP])
{
    const struct image_header *zone = zone_image, *order = order_image;
    if (zone->pairing_id != order->pairing_id) {
        snprintf(why, IMAGE_TEXT_CAP, "the order image was made for another zone image (pairing id)");
        return -EINVAL;
    }
    if (zone_image_index(zone_image)->service_count > order_image_index(order_image)->service_count) {
        snprintf(why, IMAGE_TEXT_CAP, "the zone image names %u services, the order image has %u",
                 zone_image_index(zone_image)->service_count, order_image_index(order_image)->service_count);
        return -EINVAL;
    }
    const struct zone_index *index = zone_image_index(zone_image);
    const unsigned region = index->scope_at ? region_scope_largest_region(image_at(zone_image, index->scope_at)) : 0;
    if (region >= order_image_index(order_image)->region_count) {
        snprintf(why, IMAGE_TEXT_CAP, "the zone image maps to region %u, the order image has %u", region,
                 order_image_index(order_image)->region_count);
        return -EINVAL;
    }
    return 0;
}
