// SPDX-License-Identifier: Apache-2.0
// Unaligned words and blocks in memory order, and ones' complement sums; for those who read packets. Pure.
#pragma once

#include <stdint.h>
#include <string.h>

#ifdef __SSE4_1__
#include <immintrin.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

static inline uint16_t load16(const void *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}

// The number in network order.
static inline uint16_t load_be16(const void *p)
{
    const uint8_t *octet = (const uint8_t *)p;
    return (uint16_t)(octet[0] << 8 | octet[1]);
}

static inline uint32_t load32(const void *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static inline uint64_t load64(const void *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline void store16(void *p, uint16_t v)
{
    memcpy(p, &v, 2);
}

static inline void store32(void *p, uint32_t v)
{
    memcpy(p, &v, 4);
}

static inline void store64(void *p, uint64_t v)
{
    memcpy(p, &v, 8);
}

static inline unsigned swap16(unsigned v)
{
    return __builtin_bswap16((uint16_t)v);
}

#ifdef __SSE4_1__
static inline __m128i load_block(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

static inline __m128i load_aligned(const void *p)
{
    return _mm_load_si128((const __m128i *)p);
}

static inline void store_block(void *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)p, v);
}
#endif

// To 16 bits, end-around carry included: both halves of `sum` plus its rotation hold the folded sum, the upper one with
// the carry of the lower.
static inline uint16_t fold32(uint32_t sum)
{
    return (uint16_t)((sum + (sum << 16 | sum >> 16)) >> 16);
}

// To 32 bits, likewise.
static inline uint32_t fold64(uint64_t sum)
{
    return (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);
}

static inline uint64_t turn64(uint64_t v, unsigned bits)
{
    return v << bits | v >> (-bits & 63);
}

static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
    return a + b + (a + b < a);
}

// Adds `len` octets; reads up to 7 past the end.
static inline uint64_t sum_octets(uint64_t sum, const uint8_t *p, unsigned len)
{
    for (unsigned blocks = len / 16; blocks > 0; blocks--, p += 16)
        sum = add_carry(add_carry(sum, load64(p)), load64(p + 8));
    if (len & 8) {
        sum = add_carry(sum, load64(p));
        p += 8;
    }
    return add_carry(sum, load64(p) & ~(~0ull << len % 8 * 8));
}

// Whether `sum` is zero modulo 65,535, by the inverse of 65,535 modulo 2^64: a multiple of it becomes a small number.
static inline int is_sum_right(uint64_t sum)
{
    const uint64_t inverse = 0xfffefffefffeffffull; // times 65,535 is 1
    return sum * inverse <= UINT64_MAX / 65535;
}

#ifdef __cplusplus
}
#endif
