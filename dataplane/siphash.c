// SPDX-License-Identifier: Apache-2.0
#include "dataplane/siphash.h"

#include <stdbool.h>
#include <string.h>

// Half of them: a register with AVX2, else the compiler makes two of it.
enum { HALF = SIPHASH_LANES / 2 };
typedef uint64_t lanes __attribute__((vector_size(HALF * sizeof(uint64_t))));

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

// Two halves in step: while one waits for a result the other goes on.
INLINE void take_word(struct state *a, struct state *b, const uint64_t *word, bool moves_octets)
{
    lanes m, n;
    memcpy(&m, word, sizeof m);
    memcpy(&n, word + HALF, sizeof n);
    a->v3 ^= m;
    b->v3 ^= n;
    for (unsigned i = 0; i < 2; i++) {
        round_once(a, moves_octets);
        round_once(b, moves_octets);
    }
    a->v0 ^= m;
    b->v0 ^= n;
}

INLINE void put_result(struct state *s, uint64_t *out)
{
    const lanes result = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
    memcpy(out, &result, sizeof result);
}

INLINE void hash(uint64_t *out, const uint64_t (*word)[SIPHASH_LANES], unsigned word_count, const uint8_t *key,
                 bool moves_octets)
{
    uint64_t k0, k1;
    memcpy(&k0, key, 8);
    memcpy(&k1, key + 8, 8);
    struct state a, b;
    start(&a, k0, k1);
    start(&b, k0, k1);
    for (unsigned i = 0; i < word_count; i++)
        take_word(&a, &b, word[i], moves_octets);
    lanes last;
    fill(&last, 0xff);
    a.v2 ^= last;
    b.v2 ^= last;
    for (unsigned i = 0; i < 4; i++) {
        round_once(&a, moves_octets);
        round_once(&b, moves_octets);
    }
    put_result(&a, out);
    put_result(&b, out + HALF);
}

typedef void hash_function(uint64_t *out, const uint64_t (*word)[SIPHASH_LANES], unsigned word_count,
                           const uint8_t *key);

static void hash_any(uint64_t *out, const uint64_t (*word)[SIPHASH_LANES], unsigned word_count, const uint8_t *key)
{
    hash(out, word, word_count, key, false);
}

#ifdef __x86_64__
static __attribute__((target("avx2"))) void hash_avx2(uint64_t *out, const uint64_t (*word)[SIPHASH_LANES],
                                                      unsigned word_count, const uint8_t *key)
{
    hash(out, word, word_count, key, true);
}

// Words turned in one instruction.
static __attribute__((target("avx512f,avx512vl"))) void
hash_avx512(uint64_t *out, const uint64_t (*word)[SIPHASH_LANES], unsigned word_count, const uint8_t *key)
{
    hash(out, word, word_count, key, false);
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

bool siphash_lanes_by(enum siphash_way way, uint64_t out[SIPHASH_LANES], const uint64_t (*word)[SIPHASH_LANES],
                      unsigned word_count, const uint8_t key[16])
{
    hash_function *function = function_of(way);
    if (function)
        function(out, word, word_count, key);
    return function != NULL;
}

void siphash_lanes(uint64_t out[SIPHASH_LANES], const uint64_t (*word)[SIPHASH_LANES], unsigned word_count,
                   const uint8_t key[16])
{
    // The look at the processor is a load and a comparison; once for eight inputs.
    if (!siphash_lanes_by(SIPHASH_AVX512, out, word, word_count, key) &&
        !siphash_lanes_by(SIPHASH_AVX2, out, word, word_count, key))
        hash_any(out, word, word_count, key);
}
