// SPDX-License-Identifier: Apache-2.0
// Domain names in wire form (RFC 1035 section 3.1): length-prefixed labels, a zero at the end, no compression.
//
// All functions are pure. Names have at most 255 octets and labels at most 63; any octet may stand in a label
// (RFC 2181 section 11). Comparison ignores the case of A-Z only (RFC 4343).
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE4_1__
#include <smmintrin.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum {
    NAME_MAX_LEN = 255,    // RFC 1035 section 2.3.4, with the root's zero octet
    NAME_MAX_LABELS = 127, // 127 labels of one octet and the root fill 255 octets
    LABEL_MAX_LEN = 63,    // RFC 1035 section 2.3.4
    NAME_TEXT_CAP = 1020,  // every octet escaped as \DDD, dots, and the final zero
    NAME_PADDED_CAP = 272  // a name, zero-filled to whole 16-byte blocks, for hashing and comparing by blocks
};

// Length of the name at `wire`, at most `cap` bytes away; negative -EINVAL for a pointer, an overlong label or name, or
// an unfinished one. `label_count` (may be null) receives the labels without the root.
int name_check(const uint8_t *wire, size_t cap, unsigned *label_count);

// Writes the lower-case form of the valid name `wire` of `len` octets to `out`.
void name_fold(uint8_t *out, const uint8_t *wire, size_t len);

// Equal but for case. Both are valid names.
bool name_equal(const uint8_t *a, const uint8_t *b);

// True when `name` is `ancestor` or lies below it.
bool name_is_at_or_below(const uint8_t *name, size_t name_len, const uint8_t *ancestor, size_t ancestor_len);

// From presentation form (RFC 1035 section 5.1 escapes), a missing final dot is allowed. Length, or negative -EINVAL.
int name_from_text(uint8_t out[NAME_MAX_LEN], const char *text);

// To presentation form with a final dot, special octets escaped. Returns `out`.
char *name_to_text(char out[NAME_TEXT_CAP], const uint8_t *wire);

// Hash of the lower-case name of `len` octets at `padded`, zero-filled behind its end to a whole 16-byte block (see
// NAME_PADDED_CAP), which makes every suffix of a padded name hashable in place. Not a cryptographic hash: tables keyed
// by it are built by the operator, so a client that chooses names can only make look-ups miss, whose cost is bounded by
// the table.
uint64_t name_hash(const uint8_t *padded, size_t len, uint64_t seed);

// Multiply to 128 bits and fold.
static inline uint64_t name_hash_mix(uint64_t a, uint64_t b)
{
#ifdef __x86_64__ // compilers send the 128 bits through memory where the hash is inlined into a loop
    uint64_t high;
    __asm__("mulq %2" : "+a"(a), "=d"(high) : "rm"(b) : "cc");
    return a ^ high;
#else
    const __uint128_t m = (__uint128_t)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
#endif
}

#define NAME_HASH_LOW  0xe7037ed1a0b428dbull
#define NAME_HASH_HIGH 0xa0761d6478bd642full

// One step of the hash over 16 octets as two little-endian words: multiply and fold, the construction of wyhash and
// XXH3's short inputs. The first step starts from the seed. (The length needs no place in it:
// names end in their only empty label.)
static inline uint64_t name_hash_step(uint64_t h, uint64_t low, uint64_t high)
{
    return name_hash_mix(low ^ h ^ NAME_HASH_LOW, high ^ NAME_HASH_HIGH);
}

#ifdef __SSE4_1__
// The same over a block in a register.
static inline uint64_t name_hash_block(uint64_t h, __m128i block)
{
    const __m128i v = _mm_xor_si128(block, _mm_set_epi64x((long long)NAME_HASH_HIGH, (long long)NAME_HASH_LOW));
    return name_hash_mix((uint64_t)_mm_cvtsi128_si64(v) ^ h, (uint64_t)_mm_extract_epi64(v, 1));
}
#endif

#ifdef __cplusplus
}
#endif
