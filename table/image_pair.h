// SPDX-License-Identifier: Apache-2.0
// Whether a zone image and an order image, each validated, may be published together. Pure.
#pragma once

#include "table/image.h"

#ifdef __cplusplus
extern "C" {
#endif

// 0 when the pairing ids are equal and every service and region that the zone image names exists in the order image;
// else -EINVAL and a sentence.
int image_pair_check(const void *zone_image, const void *order_image, char why[IMAGE_TEXT_CAP]);

#ifdef __cplusplus
}
#endif
