// SPDX-License-Identifier: Apache-2.0
// Between the second and the third stage of the short way: the rate limit, where one is set. An answer is counted as
// the plain way counts it, by the client's prefixes and the name's tag; what is over the limit is left to the plain way
// together with the verdict, so that nothing is counted twice.
#ifdef __SSE4_1__
#include "dataplane/fast.h"

#include "dataplane/rate_limit.h"

static_assert((int)PACKET_BURST_MAX <= (int)RATE_LIMIT_MANY_MAX, "a burst is counted at once");

// Fits nowhere, as in the second stage.
static const struct rrset no_set = {.wire_len = FAST_NO_SET};

// A good cookie shows that the address is the client's own.
static inline bool is_counted(const struct fast_query *q)
{
    return fast_fits(q, (const struct rrset *)q->at) && !(q->marks & FAST_COOKIE_GOOD);
}

static inline enum rate_limit_class class_of(const struct fast_query *q)
{
    return q->marks & FAST_MISS ? (enum rate_limit_class)q->rate_class : RATE_LIMIT_ANSWER;
}

void fast_limit(struct fast_burst *b, const struct packet_slot *slot, unsigned count)
{
    struct rate_limit_response response[PACKET_BURST_MAX];
    uint8_t number[PACKET_BURST_MAX]; // of their queries
    unsigned counted = 0;
    memset(b->decided, 0, sizeof b->decided);
    for (unsigned i = 0; i < count; i++) {
        const struct fast_query *q = &b->query[i];
        if (!is_counted(q))
            continue;
        number[counted] = (uint8_t)i;
        struct rate_limit_response *r = &response[counted++];
        r->client = fast_client(q, slot[i].frame);
        r->name = q->hash >> 32;
        r->is_ipv6 = (q->marks & FAST_IPV6) != 0;
        r->response_class = (uint8_t)class_of(q);
    }
    if (rate_limit_check(b->rate_limit, b->settings, b->now_ns, response, counted) == 0)
        return;
    for (unsigned i = 0; i < counted; i++) {
        if (response[i].verdict == RATE_LIMIT_PASS)
            continue;
        b->decided[number[i]] = (uint8_t)(1 + response[i].verdict);
        b->query[number[i]].at = &no_set;
    }
}

#endif
