// SPDX-License-Identifier: Apache-2.0
// Which of a service's answers a client gets, and for how many others that answer holds. Pure.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "table/order_image.h"

#ifdef __cplusplus
extern "C" {
#endif

// The address by which an answer is chosen: the client's subnet as its resolver announced it, bits past the source
// length zero, else where the query came from.
struct steer_place {
    const uint8_t *address; // 4 or 16 octets
    bool is_ipv6;
};

// The answer of service `number` for the place. *scope_len: bits of the widest prefix around the address that gets it
// (RFC 7871 section 7.2.1), 0 when it is the same for everybody; scope_len may be null, and finding it is not free.
const struct order_answer *steer_find(const void *zone_image, const void *order_image, unsigned number,
                                      struct steer_place place, uint8_t *scope_len);

#ifdef __cplusplus
}
#endif
