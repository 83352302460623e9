// SPDX-License-Identifier: Apache-2.0
// Between the second and the third stage of the short way: the rate limit, where one is set. An answer is counted as
// the plain way counts it, by the client's prefixes and the name's tag; what is over the limit is left to the plain way
// together with the verdict, so that nothing is counted twice.
#ifdef __SSE4_1__
#include "dataplane/fast_stages.h"

#include "dataplane/bytes.h"
#include "dataplane/rate_limit.h"

static_assert((int)PACKET_BURST_MAX <= (int)RATE_LIMIT_BATCH_MAX, "a burst is counted at once");

// Fits nowhere, as in the second stage.
static const struct rrset no_set = {.wire_len = FAST_NO_SET};

// The name's tag: the upper half of its hash.
static inline uint32_t name_of(const struct fast_query *q)
{
    return load32((const uint8_t *)&q->hash + 4);
}

static __attribute__((noinline)) void fill_uncommon(struct rate_limit_batch *batch, size_t lane,
                                                    const struct fast_query *q, const uint8_t *frame)
{
    const enum rate_limit_class response_class =
        q->marks & FAST_MISS ? (enum rate_limit_class)q->rate_class : RATE_LIMIT_ANSWER;
    if (q->marks & FAST_IPV6)
        rate_limit_fill6(batch, lane, fast_client_of(frame, true), response_class, name_of(q));
    else
        rate_limit_fill4(batch, lane, fast_client_of(frame, false), response_class, name_of(q));
}

void fast_limit(struct fast_burst *b, const struct packet_slot *slot, unsigned count)
{
    struct rate_limit_batch batch;
    uint8_t number[PACKET_BURST_MAX]; // of the lanes' queries
    size_t lanes = 0;
    memset(b->decided, 0, sizeof b->decided);
    rate_limit_begin(&batch, b->rate_limit, b->settings, b->now_ns);
    const struct fast_query *q = b->query;
    for (unsigned i = 0; i < count; i++, q++, slot++) {
        if (!fast_fits(q, (const struct rrset *)q->at))
            continue;
        const uint8_t *frame = slot->frame;
        if (__builtin_expect(!(q->marks & (FAST_IPV6 | FAST_MISS | FAST_COOKIE_GOOD)), 1))
            rate_limit_fill4(&batch, lanes, fast_client_of(frame, false), RATE_LIMIT_ANSWER, name_of(q));
        else if (q->marks & FAST_COOKIE_GOOD) // which shows that the address is the client's own
            continue;
        else
            fill_uncommon(&batch, lanes, q, frame);
        number[lanes++] = (uint8_t)i;
    }
    if (rate_limit_count(&batch, lanes))
        return;
    for (size_t lane = 0; lane < lanes; lane++) {
        const enum rate_limit_verdict verdict = rate_limit_verdict_of(&batch, lane);
        if (verdict == RATE_LIMIT_PASS)
            continue;
        b->decided[number[lane]] = (uint8_t)(1 + verdict);
        b->query[number[lane]].at = &no_set;
    }
}

#endif
