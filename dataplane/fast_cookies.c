// SPDX-License-Identifier: Apache-2.0
// After the second stage of the short way: cookies, by batches of one family, which are hashed side by side.
#ifdef __SSE4_1__
#include "dataplane/fast.h"

#include "dataplane/cookie.h"

// Queries of clients of one family, until they are hashed.
struct lanes {
    struct cookie_batch batch;
    unsigned count;
    struct fast_query *query[COOKIE_BATCH_MAX];
    const uint8_t *client[COOKIE_BATCH_MAX]; // address, in the frame
};

static inline struct cookie_query query_of(const struct fast_options *o)
{
    const uint8_t *data = o->opt + o->shape->cookie_at;
    return (struct cookie_query){data, data + EDNS_COOKIE_CLIENT_LEN,
                                 o->shape->cookie_len - (unsigned)EDNS_COOKIE_CLIENT_LEN};
}

// Hashes the lanes and settles their queries. Inlined for each family.
static inline __attribute__((always_inline)) void answer(const struct fast_burst *b, struct lanes *l, bool is_ipv6)
{
    static const uint64_t mark[] = {
        [COOKIE_NONE] = 0, [COOKIE_GOOD] = FAST_COOKIE_GOOD, [COOKIE_BAD] = FAST_COOKIE_BAD};
    const struct zone_settings *s = b->settings;
    cookie_hash(&l->batch, l->count, is_ipv6, s->cookie_secret[0]);
    for (unsigned i = 0; i < l->count; i++) {
        struct fast_query *q = l->query[i];
        const enum cookie_verdict verdict =
            cookie_settle(&l->batch, i, (uint8_t *)q->options.server, query_of(&q->options), l->client[i], is_ipv6,
                          b->now_s, s->cookie_secret, s->cookie_secret_count);
        if (verdict != COOKIE_NONE)
            q->marks |= mark[verdict];
    }
    l->count = 0;
}

static __attribute__((noinline)) void answer4(const struct fast_burst *b, struct lanes *l)
{
    answer(b, l, false);
}

static __attribute__((noinline)) void answer6(const struct fast_burst *b, struct lanes *l)
{
    answer(b, l, true);
}

// Adds a query to its family's lanes; true when they are full.
static inline __attribute__((always_inline)) bool add(struct lanes *l, struct fast_query *q, bool is_ipv6,
                                                      uint32_t now_s)
{
    const unsigned lane = l->count++;
    const uint8_t *frame = q->options.opt - fast_end(q->name_len) - (is_ipv6 ? FAST_IPV6_SHIFT : 0);
    const uint8_t *client = fast_client_of(frame, is_ipv6);
    l->query[lane] = q;
    l->client[lane] = client;
    cookie_fill(&l->batch, lane, query_of(&q->options), client, is_ipv6, now_s);
    return l->count == COOKIE_BATCH_MAX;
}

void fast_cookies(struct fast_burst *b)
{
    struct lanes ipv4, ipv6;
    ipv4.count = ipv6.count = 0;
    for (unsigned i = 0; i < b->with_cookie_count; i++) {
        struct fast_query *q = b->with_cookie[i];
        if (q->name_len == 0) // given up since
            continue;
        if (__builtin_expect(q->marks & FAST_IPV6, 0)) {
            if (add(&ipv6, q, true, b->now_s))
                answer6(b, &ipv6);
        } else if (add(&ipv4, q, false, b->now_s)) {
            answer4(b, &ipv4);
        }
    }
    if (ipv4.count)
        answer4(b, &ipv4);
    if (ipv6.count)
        answer6(b, &ipv6);
}

#endif
