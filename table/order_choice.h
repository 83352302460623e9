// SPDX-License-Identifier: Apache-2.0
// Which of a service's answers a client gets, and how far that answer reaches. Pure; reading is safe from any thread.
#pragma once

#include "table/order_image.h"

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

// The same when the region is known, for those who looked for many at once; `match` is of this address, or of no map.
struct order_choice order_choose_in(const void *zone_image, const void *order_image, unsigned service,
                                    const uint8_t *address, bool is_ipv6, struct region_match match, bool wants_scope);

#ifdef __cplusplus
}
#endif
