// SPDX-License-Identifier: Apache-2.0
#include "dataplane/siphash.h"

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

INLINE void round_once(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    turn(&s->v1, 13);
    turn(&s->v3, 16);
    s->v1 ^= s->v0;
    s->v3 ^= s->v2;
    turn(&s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    turn(&s->v1, 17);
    turn(&s->v3, 21);
    s->v1 ^= s->v2;
    s->v3 ^= s->v0;
    turn(&s->v2, 32);
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
INLINE void take_word(struct state *a, struct state *b, const uint64_t *word)
{
    lanes m, n;
    memcpy(&m, word, sizeof m);
    memcpy(&n, word + HALF, sizeof n);
    a->v3 ^= m;
    b->v3 ^= n;
    for (unsigned i = 0; i < 2; i++) {
        round_once(a);
        round_once(b);
    }
    a->v0 ^= m;
    b->v0 ^= n;
}

INLINE void put_result(struct state *s, uint64_t *out)
{
    const lanes result = s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
    memcpy(out, &result, sizeof result);
}

INLINE void hash(uint64_t *out, const uint64_t (*word)[SIPHASH_LANES], unsigned word_count, const uint8_t *key)
{
    uint64_t k0, k1;
    memcpy(&k0, key, 8);
    memcpy(&k1, key + 8, 8);
    struct state a, b;
    start(&a, k0, k1);
    start(&b, k0, k1);
    for (unsigned i = 0; i < word_count; i++)
        take_word(&a, &b, word[i]);
    lanes last;
    fill(&last, 0xff);
    a.v2 ^= last;
    b.v2 ^= last;
    for (unsigned i = 0; i < 4; i++) {
        round_once(&a);
        round_once(&b);
    }
    put_result(&a, out);
    put_result(&b, out + HALF);
}

static void hash_any(uint64_t *out, const uint64_t (*word)[SIPHASH_LANES], unsigned word_count, const uint8_t *key)
{
    hash(out, word, word_count, key);
}

#ifdef __x86_64__
static __attribute__((target("avx2"))) void hash_avx2(uint64_t *out, const uint64_t (*word)[SIPHASH_LANES],
                                                      unsigned word_count, const uint8_t *key)
{
    hash(out, word, word_count, key);
}
#endif

void siphash_lanes(uint64_t out[SIPHASH_LANES], const uint64_t (*word)[SIPHASH_LANES], unsigned word_count,
                   const uint8_t key[16])
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) {
        hash_avx2(out, word, word_count, key);
        return;
    }
#endif
    hash_any(out, word, word_count, key);
}
