// SPDX-License-Identifier: Apache-2.0
#include "dataplane/siphash.h"

#include <stdbool.h>
#include <string.h>

// Of one register with AVX2; else the compiler makes two of it.
enum { WIDTH = 4 };
typedef uint64_t lanes __attribute__((vector_size(WIDTH * sizeof(uint64_t))));

// Registers in step: while one waits for a result the others go on. As many as there is room for their states.
enum { STEP = 2, STEP_AVX512 = 4 };

struct state {
    lanes v0, v1, v2, v3;
};

#define INLINE static inline __attribute__((always_inline))

INLINE void turn(lanes *v, int bits)
{
    *v = *v << bits | *v >> (64 - bits);
}

// Turns by whole octets, which a machine that can move them does in one instruction in place of three.
typedef uint8_t octets __attribute__((vector_size(sizeof(lanes))));
typedef uint32_t halves __attribute__((vector_size(sizeof(lanes))));

INLINE void turn_16(lanes *v, bool moves_octets)
{
    if (moves_octets)
        *v = (lanes)__builtin_shufflevector((octets)*v, (octets)*v, 6, 7, 0, 1, 2, 3, 4, 5, 14, 15, 8, 9, 10, 11, 12,
                                            13, 22, 23, 16, 17, 18, 19, 20, 21, 30, 31, 24, 25, 26, 27, 28, 29);
    else
        turn(v, 16);
}

INLINE void turn_32(lanes *v, bool moves_octets)
{
    if (moves_octets)
        *v = (lanes)__builtin_shufflevector((halves)*v, (halves)*v, 1, 0, 3, 2, 5, 4, 7, 6);
    else
        turn(v, 32);
}

INLINE void round_once(struct state *s, bool moves_octets)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    turn(&s->v1, 13);
    turn_16(&s->v3, moves_octets);
    s->v1 ^= s->v0;
    s->v3 ^= s->v2;
    turn_32(&s->v0, moves_octets);
    s->v2 += s->v1;
    s->v0 += s->v3;
    turn(&s->v1, 17);
    turn(&s->v3, 21);
    s->v1 ^= s->v2;
    s->v3 ^= s->v0;
    turn_32(&s->v2, moves_octets);
}

INLINE void fill(lanes *v, uint64_t word)
{
    *v = (lanes){word, word, word, word};
}

INLINE void start(struct state *s, uint64_t k0, uint64_t k1)
{
    fill(&s->v0, k0 ^ 0x736f6d6570736575ull);
    fill(&s->v1, k1 ^ 0x646f72616e646f6dull);
    fill(&s->v2, k0 ^ 0x6c7967656e657261ull);
    fill(&s->v3, k1 ^ 0x7465646279746573ull);
}

INLINE void rounds(struct state *s, unsigned step, unsigned count, bool moves_octets)
{
#pragma GCC unroll 4
    for (unsigned i = 0; i < count; i++)
#pragma GCC unroll 4
        for (unsigned k = 0; k < step; k++)
            round_once(&s[k], moves_octets);
}

INLINE void take_word(struct state *s, unsigned step, const uint64_t *word, bool moves_octets)
{
    lanes m[STEP_AVX512] = {{0}};
#pragma GCC unroll 4
    for (unsigned k = 0; k < step; k++) {
        memcpy(&m[k], word + k * WIDTH, sizeof m[k]);
        s[k].v3 ^= m[k];
    }
    rounds(s, step, 2, moves_octets);
#pragma GCC unroll 4
    for (unsigned k = 0; k < step; k++)
        s[k].v0 ^= m[k];
}

// `step` times WIDTH lanes.
INLINE void hash_step(uint64_t *out, const uint64_t *word, unsigned word_count, uint64_t k0, uint64_t k1, unsigned step,
                      bool moves_octets)
{
    struct state s[STEP_AVX512] = {{{0}}}; // not all are used
    lanes last;
    fill(&last, 0xff);
#pragma GCC unroll 4
    for (unsigned k = 0; k < step; k++)
        start(&s[k], k0, k1);
    for (unsigned i = 0; i < word_count; i++)
        take_word(s, step, word + (size_t)i * SIPHASH_LANES, moves_octets);
#pragma GCC unroll 4
    for (unsigned k = 0; k < step; k++)
        s[k].v2 ^= last;
    rounds(s, step, 4, moves_octets);
#pragma GCC unroll 4
    for (unsigned k = 0; k < step; k++) {
        const lanes result = s[k].v0 ^ s[k].v1 ^ s[k].v2 ^ s[k].v3;
        memcpy(out + k * WIDTH, &result, sizeof result);
    }
}

INLINE void hash(uint64_t *out, uint64_t (*word)[SIPHASH_LANES], unsigned word_count, unsigned lane_count,
                 const uint8_t *key, unsigned step, bool moves_octets)
{
    uint64_t k0, k1;
    memcpy(&k0, key, 8);
    memcpy(&k1, key + 8, 8);
    for (unsigned lane = lane_count; lane % (step * WIDTH); lane++)
        for (unsigned i = 0; i < word_count; i++)
            word[i][lane] = 0;
    for (unsigned lane = 0; lane < lane_count; lane += step * WIDTH)
        hash_step(out + lane, &word[0][lane], word_count, k0, k1, step, moves_octets);
}

typedef void hash_function(uint64_t *out, uint64_t (*word)[SIPHASH_LANES], unsigned word_count, unsigned lane_count,
                           const uint8_t *key);

static void hash_any(uint64_t *out, uint64_t (*word)[SIPHASH_LANES], unsigned word_count, unsigned lane_count,
                     const uint8_t *key)
{
    hash(out, word, word_count, lane_count, key, STEP, false);
}

#ifdef __x86_64__
static __attribute__((target("avx2"))) void hash_avx2(uint64_t *out, uint64_t (*word)[SIPHASH_LANES],
                                                      unsigned word_count, unsigned lane_count, const uint8_t *key)
{
    hash(out, word, word_count, lane_count, key, STEP, true);
}

// Words turned in one instruction, and twice as many registers.
static __attribute__((target("avx512f,avx512vl"))) void hash_avx512(uint64_t *out, uint64_t (*word)[SIPHASH_LANES],
                                                                    unsigned word_count, unsigned lane_count,
                                                                    const uint8_t *key)
{
    hash(out, word, word_count, lane_count, key, STEP_AVX512, false);
}
#endif

// Null where the processor has not got it.
static hash_function *function_of(enum siphash_way way)
{
#ifdef __x86_64__
    if (way == SIPHASH_AVX512)
        return __builtin_cpu_supports("avx512vl") ? hash_avx512 : NULL;
    if (way == SIPHASH_AVX2)
        return __builtin_cpu_supports("avx2") ? hash_avx2 : NULL;
#endif
    return way == SIPHASH_ANY ? hash_any : NULL;
}

bool siphash_lanes_by(enum siphash_way way, uint64_t out[SIPHASH_LANES], uint64_t (*word)[SIPHASH_LANES],
                      unsigned word_count, unsigned lane_count, const uint8_t key[16])
{
    hash_function *function = function_of(way);
    if (function)
        function(out, word, word_count, lane_count, key);
    return function != NULL;
}

void siphash_lanes(uint64_t out[SIPHASH_LANES], uint64_t (*word)[SIPHASH_LANES], unsigned word_count,
                   unsigned lane_count, const uint8_t key[16])
{
    // The look at the processor is a load and a comparison; once for a burst.
    if (!siphash_lanes_by(SIPHASH_AVX512, out, word, word_count, lane_count, key) &&
        !siphash_lanes_by(SIPHASH_AVX2, out, word, word_count, lane_count, key))
        hash_any(out, word, word_count, lane_count, key);
}
