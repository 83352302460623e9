// SPDX-License-Identifier: Apache-2.0
// After the second stage of the short way: cookies, by batches of one family, which are hashed side by side.
#ifdef __SSE4_1__
#include "dataplane/fast.h"

#include "dataplane/cookie.h"

static inline struct cookie_query query_of(const struct fast_options *o)
{
    return (struct cookie_query){o->cookie_data, o->cookie_data + EDNS_COOKIE_CLIENT_LEN,
                                 o->cookie_len - (unsigned)EDNS_COOKIE_CLIENT_LEN};
}

// The queries with these numbers, at most COOKIE_BATCH_MAX. Inlined for each family.
static inline __attribute__((always_inline)) void answer(struct fast_burst *b, const struct packet_slot *slot,
                                                         const uint8_t *number, unsigned count, bool is_ipv6)
{
    static const uint64_t mark[] = {
        [COOKIE_NONE] = 0, [COOKIE_GOOD] = FAST_COOKIE_GOOD, [COOKIE_BAD] = FAST_COOKIE_BAD};
    const struct zone_settings *s = b->settings;
    const uint32_t now_s = b->now_s;
    struct cookie_batch batch;
    for (unsigned i = 0; i < count; i++) {
        const struct fast_query *q = &b->query[number[i]];
        cookie_fill(&batch, i, query_of(&q->options), fast_client_of(slot[number[i]].frame, is_ipv6), is_ipv6, now_s);
    }
    cookie_hash(&batch, count, is_ipv6, s->cookie_secret[0]);
    for (unsigned i = 0; i < count; i++) {
        struct fast_query *q = &b->query[number[i]];
        const uint8_t *client = fast_client_of(slot[number[i]].frame, is_ipv6);
        uint8_t *out = q->options.reply + q->options.cookie_at + EDNS_COOKIE_CLIENT_LEN;
        const enum cookie_verdict verdict = cookie_settle(&batch, i, out, query_of(&q->options), client, is_ipv6, now_s,
                                                          s->cookie_secret, s->cookie_secret_count);
        if (verdict != COOKIE_NONE)
            q->marks |= mark[verdict];
    }
}

static __attribute__((noinline)) void answer4(struct fast_burst *b, const struct packet_slot *slot,
                                              const uint8_t *number, unsigned count)
{
    answer(b, slot, number, count, false);
}

static __attribute__((noinline)) void answer6(struct fast_burst *b, const struct packet_slot *slot,
                                              const uint8_t *number, unsigned count)
{
    answer(b, slot, number, count, true);
}

void fast_cookies(struct fast_burst *b, const struct packet_slot *slot)
{
    uint8_t number[2][PACKET_BURST_MAX]; // by family, those that are answered
    unsigned count[2] = {0, 0};
    for (unsigned i = 0; i < b->with_cookie_count; i++) {
        const struct fast_query *q = &b->query[b->with_cookie[i]];
        if (!fast_fits(q, (const struct rrset *)q->at))
            continue;
        const bool is_ipv6 = q->marks & FAST_IPV6;
        number[is_ipv6][count[is_ipv6]++] = (uint8_t)b->with_cookie[i];
    }
    for (unsigned at = 0; at < count[0]; at += COOKIE_BATCH_MAX)
        answer4(b, slot, number[0] + at, count[0] - at < COOKIE_BATCH_MAX ? count[0] - at : COOKIE_BATCH_MAX);
    for (unsigned at = 0; at < count[1]; at += COOKIE_BATCH_MAX)
        answer6(b, slot, number[1] + at, count[1] - at < COOKIE_BATCH_MAX ? count[1] - at : COOKIE_BATCH_MAX);
}

#endif
