// SPDX-License-Identifier: Apache-2.0
#include "dataplane/pairing.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "table/image_pair.h"

static uint64_t newest(const struct image_map *a, const struct image_map *b)
{
    const uint64_t x = a ? a->generation : 0, y = b ? b->generation : 0;
    return x > y ? x : y;
}

int pairing_is_news(const struct pairing *pairing, enum image_kind kind, uint64_t generation)
{
    const uint64_t held = kind == IMAGE_ZONE ? newest(pairing->zone, pairing->waiting_zone)
                                             : newest(pairing->order, pairing->waiting_order);
    return generation > held ? 0 : -EALREADY;
}

static void replace(struct image_map **slot, struct image_map *map)
{
    image_map_take(map);
    image_map_drop(*slot);
    *slot = map;
}

static bool fits(const struct image_map *a, const struct image_map *b)
{
    return a && b && a->pairing_id == b->pairing_id;
}

// Both are held by the caller. What waits and is not newer than what is in use will never be wanted again.
static int use(struct pairing *p, struct image_map *zone, struct image_map *order, char why[IMAGE_TEXT_CAP])
{
    int rc = image_pair_check(zone->base, order->base, why);
    if (rc < 0)
        return rc;
    replace(&p->zone, zone);
    replace(&p->order, order);
    if (p->waiting_zone && p->waiting_zone->generation <= zone->generation)
        replace(&p->waiting_zone, NULL);
    if (p->waiting_order && p->waiting_order->generation <= order->generation)
        replace(&p->waiting_order, NULL);
    return 1;
}

int pairing_accept(struct pairing *p, struct image_map *map, char why[IMAGE_TEXT_CAP])
{
    const bool is_zone = map->kind == IMAGE_ZONE;
    const int rc = pairing_is_news(p, is_zone ? IMAGE_ZONE : IMAGE_ORDER, map->generation);
    if (rc < 0)
        return rc;
    struct image_map *waiting = is_zone ? p->waiting_order : p->waiting_zone;
    struct image_map *in_use = is_zone ? p->order : p->zone;
    struct image_map *partner = fits(map, waiting) ? waiting : fits(map, in_use) ? in_use : NULL;
    if (partner)
        return is_zone ? use(p, map, partner, why) : use(p, partner, map, why);
    replace(is_zone ? &p->waiting_zone : &p->waiting_order, map);
    return 0;
}

void pairing_fini(struct pairing *p)
{
    image_map_drop(p->zone);
    image_map_drop(p->order);
    image_map_drop(p->waiting_zone);
    image_map_drop(p->waiting_order);
    memset(p, 0, sizeof *p);
}
