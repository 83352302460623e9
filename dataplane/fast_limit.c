// SPDX-License-Identifier: Apache-2.0
// Between the second and the third stage of the short way: the rate limit, where one is set. An answer is counted as
// the plain way counts it, by the client's prefixes and the name's tag; what is over the limit is left to the plain way
// together with the verdict, so that nothing is counted twice.
#ifdef __SSE4_1__
#include "dataplane/fast.h"

#include "dataplane/cookie.h"
#include "dataplane/rate_limit.h"

// Fits nowhere, as in the second stage.
static const struct rrset no_set = {.wire_len = FAST_NO_SET};

void fast_limit(struct fast_burst *b, const struct packet_slot *slot, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct fast_query *q = &b->query[i];
        b->decided[i] = 0;
        if (!fast_fits(q, (const struct rrset *)q->at))
            continue;
        if (q->marks & FAST_OPTIONS && b->options[i].cookie_data && b->options[i].cookie == COOKIE_GOOD)
            continue; // its address is its own
        struct answer_client client = {.is_ipv6 = q->marks & FAST_IPV6};
        memcpy(client.address, fast_client(q, slot[i].frame), client.is_ipv6 ? 16 : 4);
        const enum rate_limit_verdict verdict =
            rate_limit_check(b->rate_limit, b->settings, &client, RATE_LIMIT_ANSWER, q->hash >> 32, b->now_ns);
        if (verdict == RATE_LIMIT_PASS)
            continue;
        b->decided[i] = (uint8_t)(1 + verdict);
        q->at = &no_set;
    }
}

#endif
