// SPDX-License-Identifier: Apache-2.0
// After the second stage of the short way: cookies, hashed side by side.
#ifdef __SSE4_1__
#include "dataplane/fast.h"

// Inlined for each family.
static inline __attribute__((always_inline)) void answer(const struct fast_burst *b, struct fast_cookies *c,
                                                         bool is_ipv6)
{
    const struct zone_settings *s = b->settings;
    cookie_fill_heads(&c->batch, c->count, b->now_s);
    for (unsigned i = 0; i < c->sent_count; i++) {
        const struct fast_options *o = &c->sent[i]->options;
        cookie_fill_sent(&c->batch, o->lane, fast_cookie_query(o), b->now_s);
    }
    cookie_hash(&c->batch, c->count, is_ipv6, s->cookie_secret[0]);
    for (unsigned i = 0; i < c->sent_count; i++) {
        struct fast_query *q = c->sent[i];
        if (q->name_len == 0) // given up since
            continue;
        const uint8_t *frame = q->options.opt - fast_end(q->name_len) - (is_ipv6 ? FAST_IPV6_SHIFT : 0);
        const enum cookie_verdict verdict =
            cookie_settle(&c->batch, q->options.lane, fast_cookie_query(&q->options), fast_client_of(frame, is_ipv6),
                          is_ipv6, b->now_s, s->cookie_secret, s->cookie_secret_count);
        q->marks |= verdict == COOKIE_GOOD ? FAST_COOKIE_GOOD : FAST_COOKIE_BAD;
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
