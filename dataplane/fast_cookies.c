// SPDX-License-Identifier: Apache-2.0
// After the second stage of the short way: cookies, hashed side by side.
#ifdef __SSE4_1__
#include "dataplane/fast_stages.h"

#include "dataplane/bytes.h"

// The sum over a word, less than 2^33.
static inline uint64_t sum_of(uint64_t word)
{
    return (uint32_t)word + (word >> 32);
}

static inline void sum_all(struct fast_cookies *c, uint32_t now_s)
{
    const __m128i head = _mm_set1_epi64x((int64_t)sum_of(cookie_head(now_s))), half = _mm_set1_epi64x(UINT32_MAX);
    const unsigned count = c->count;
    for (unsigned lane = 0; lane < count; lane += 2) { // maybe one more than there is
        const __m128i hash = load_block(&c->batch.hash[lane]);
        const __m128i sum = _mm_add_epi64(_mm_and_si128(hash, half), _mm_srli_epi64(hash, 32));
        store_block(&c->growth[lane], _mm_add_epi64(sum, head));
    }
}

// A cookie that was sent has the length of ours: shapes have no others.
static inline struct cookie_query query_of(const struct fast_query *q)
{
    const uint8_t *cookie = q->options.cookie;
    return (struct cookie_query){cookie, cookie + EDNS_COOKIE_CLIENT_LEN, EDNS_COOKIE_SERVER_LEN};
}

static inline const uint8_t *client_of(const struct fast_query *q, bool is_ipv6)
{
    const unsigned cookie_at = fast_end(q->name_len) + q->options.shape->cookie_at;
    return fast_client_of(q->options.cookie - cookie_at - (is_ipv6 ? FAST_IPV6_SHIFT : 0), is_ipv6);
}

// The verdict on one that was sent.
static inline __attribute__((always_inline)) void settle(const struct fast_burst *b, struct fast_cookies *c,
                                                         struct fast_query *q, bool is_ipv6)
{
    const struct zone_settings *s = b->settings;
    const unsigned lane = q->options.lane;
    const struct cookie_query query = query_of(q);
    if (__builtin_expect(cookie_goes_back(&c->batch, lane, query, b->now_s), 1)) {
        c->growth[lane] = 0;
        q->marks |= FAST_COOKIE_GOOD;
        return;
    }
    const enum cookie_verdict verdict = cookie_settle(&c->batch, lane, query, client_of(q, is_ipv6), is_ipv6, b->now_s,
                                                      s->cookie_secret, s->cookie_secret_count);
    c->growth[lane] = sum_of(cookie_made_head(&c->batch, lane)) + sum_of(cookie_made_hash(&c->batch, lane)) +
                      sum_of(~load64(query.server)) + sum_of(~load64(query.server + 8));
    q->marks |= verdict == COOKIE_GOOD ? FAST_COOKIE_GOOD : FAST_COOKIE_BAD;
}

// Inlined for each family.
static inline __attribute__((always_inline)) void answer(const struct fast_burst *b, struct fast_cookies *c,
                                                         bool is_ipv6)
{
    cookie_fill_heads(&c->batch, c->count, b->now_s);
    for (unsigned i = 0; i < c->sent_count; i++) {
        const struct fast_query *q = c->sent[i];
        cookie_fill_sent(&c->batch, q->options.lane, query_of(q), b->now_s);
    }
    cookie_hash(&c->batch, c->count, is_ipv6, b->settings->cookie_secret[0]);
    sum_all(c, b->now_s);
    for (unsigned i = 0; i < c->sent_count; i++) {
        struct fast_query *q = c->sent[i];
        if (q->name_len == 0) // given up since
            continue;
        settle(b, c, q, is_ipv6);
    }
}

static __attribute__((noinline)) void answer6(struct fast_burst *b)
{
    answer(b, &b->cookies[1], true);
}

void fast_cookies(struct fast_burst *b)
{
    if (b->cookies[0].count)
        answer(b, &b->cookies[0], false);
    if (b->cookies[1].count)
        answer6(b);
}

#endif
