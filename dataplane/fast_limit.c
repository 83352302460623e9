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

// A good cookie shows that the address is the client's own.
static inline bool is_counted(const struct fast_burst *b, unsigned number)
{
    const struct fast_query *q = &b->query[number];
    if (!fast_fits(q, (const struct rrset *)q->at))
        return false;
    const struct fast_options *o = &b->options[number];
    return !(q->marks & FAST_OPTIONS && o->cookie_data && o->cookie == COOKIE_GOOD);
}

static inline enum rate_limit_class class_of(const struct fast_query *q)
{
    return q->marks & FAST_MISS ? (enum rate_limit_class)q->rate_class : RATE_LIMIT_ANSWER;
}

void fast_limit(struct fast_burst *b, const struct packet_slot *slot, unsigned count)
{
    memset(b->decided, 0, sizeof b->decided);
    for (unsigned i = 0; i < count; i++) {
        struct fast_query *q = &b->query[i];
        if (is_counted(b, i)) // the hash is of no more use as such
            q->hash = rate_limit_key(b->rate_limit, fast_client(q, slot[i].frame), q->marks & FAST_IPV6, class_of(q),
                                     q->hash >> 32);
    }
    for (unsigned i = 0; i < count; i++) {
        struct fast_query *q = &b->query[i];
        if (!is_counted(b, i))
            continue;
        const enum rate_limit_verdict verdict =
            rate_limit_check(b->rate_limit, b->settings, fast_client(q, slot[i].frame), q->marks & FAST_IPV6,
                             class_of(q), q->hash, b->now_ns);
        if (verdict == RATE_LIMIT_PASS)
            continue;
        b->decided[i] = (uint8_t)(1 + verdict);
        q->at = &no_set;
    }
}

#endif
