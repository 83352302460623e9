// SPDX-License-Identifier: Apache-2.0
// The Internet checksum (RFC 1071) over plain bytes. Sums are taken in memory order, so no byte is swapped. Pure.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

// Adds `len` octets to a ones' complement sum kept in 64 bits. All pieces but the last have even lengths.
static inline uint64_t checksum_add(uint64_t sum, const uint8_t *bytes, unsigned len)
{
    unsigned at = 0;
    for (; at + 8 <= len; at += 8) {
        uint64_t word;
        memcpy(&word, bytes + at, 8);
        sum += word;
        sum += sum < word; // end-around carry
    }
    if (at < len) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, len - at);
        sum += word;
        sum += sum < word;
    }
    return sum;
}

static inline uint16_t checksum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

// Sum of the pseudo header: addresses at `addresses` (source and destination, one behind the other), length, protocol.
static inline uint64_t checksum_pseudo(const uint8_t *addresses, bool is_ipv6, unsigned len, uint8_t protocol)
{
    const uint8_t tail[4] = {(uint8_t)(len >> 8), (uint8_t)len, 0, protocol};
    return checksum_add(checksum_add(0, addresses, is_ipv6 ? 32 : 8), tail, 4);
}

#ifdef __cplusplus
}
#endif
