// SPDX-License-Identifier: Apache-2.0
// After the second stage of the short way: cookies, by batches of one family, which are hashed side by side.
#ifdef __SSE4_1__
#include "dataplane/fast.h"

#include "dataplane/cookie.h"

struct batch {
    struct cookie_turn turn[COOKIE_BATCH_MAX];
    uint16_t number[COOKIE_BATCH_MAX]; // of the queries
    unsigned count;
};

static void settle(struct fast_burst *b, struct batch *batch, bool is_ipv6)
{
    static const uint64_t mark[] = {
        [COOKIE_NONE] = 0, [COOKIE_GOOD] = FAST_COOKIE_GOOD, [COOKIE_BAD] = FAST_COOKIE_BAD};
    const struct zone_settings *s = b->settings;
    cookie_answer_many(batch->turn, batch->count, is_ipv6, b->now_s, s->cookie_secret, s->cookie_secret_count);
    for (unsigned i = 0; i < batch->count; i++)
        b->query[batch->number[i]].marks |= mark[batch->turn[i].verdict];
    batch->count = 0;
}

void fast_cookies(struct fast_burst *b, const struct packet_slot *slot)
{
    struct batch batch[2]; // by family; what is not filled is not read
    batch[0].count = batch[1].count = 0;
    for (unsigned i = 0; i < b->with_cookie_count; i++) {
        const unsigned number = b->with_cookie[i];
        struct fast_query *q = &b->query[number];
        struct fast_options *o = &q->options;
        const bool is_ipv6 = q->marks & FAST_IPV6;
        if (!fast_fits(q, (const struct rrset *)q->at))
            continue;
        struct batch *to = &batch[is_ipv6];
        const unsigned turn = to->count++;
        to->number[turn] = (uint16_t)number;
        to->turn[turn] = (struct cookie_turn){.sent = o->cookie_data,
                                              .address = fast_client(q, slot[number].frame),
                                              .out = o->reply + o->cookie_at + EDNS_COOKIE_CLIENT_LEN,
                                              .server_len = (uint8_t)(o->cookie_len - EDNS_COOKIE_CLIENT_LEN)};
        if (to->count == COOKIE_BATCH_MAX)
            settle(b, to, is_ipv6);
    }
    for (unsigned family = 0; family < 2; family++)
        if (batch[family].count)
            settle(b, &batch[family], family);
}

#endif
