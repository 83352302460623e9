// SPDX-License-Identifier: Apache-2.0
// Which zone image and order image are published together: the decision, without I/O.
//
// An order image fits the zone image with the same pairing id. An image that arrives without its partner waits; what is
// in use goes on being served meanwhile, and order images that fit the zone image in use are still taken.
//
// arrival | its partner is                        | effect
// --------+---------------------------------------+------------------------------------------------------------
// zone    | the waiting order image               | both in use, nothing waits
// zone    | the order image in use                | in use with it
// zone    | neither                               | waits; replaces a waiting zone image
// order   | the waiting zone image                | both in use, nothing waits
// order   | the zone image in use                 | in use with it; a waiting zone image goes on waiting
// order   | neither                               | waits; replaces a waiting order image
//
// A generation that is not newer than the newest accepted one of its kind is refused (-EALREADY). Manager thread only.
#pragma once

#include "dataplane/image_map.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pairing {
    struct image_map *zone, *order;                 // in use, null before the first pair; one reference each
    struct image_map *waiting_zone, *waiting_order; // without partner; one reference each
};

// Whether an image of this kind and generation would be news: 0, or -EALREADY.
int pairing_is_news(const struct pairing *pairing, enum image_kind kind, uint64_t generation);

// Takes one more reference to `map` when it keeps it. Returns 1 when the pair in use changed, 0 when the image waits,
// -EALREADY, or -EINVAL with a sentence when the two images claim to fit and do not (then nothing changed).
int pairing_accept(struct pairing *pairing, struct image_map *map, char why[IMAGE_TEXT_CAP]);

// Drops all references.
void pairing_fini(struct pairing *pairing);

#ifdef __cplusplus
}
#endif
