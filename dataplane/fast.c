// SPDX-License-Identifier: Apache-2.0
// The stages of the short way one after the other, and the plain way for what they leave.
#include "dataplane/packet.h"

static void handle_plain(struct answer_context *context, const struct packet_port *port, struct packet_slot *slot)
{
    unsigned reply_len = 0;
    slot->verdict = (uint8_t)packet_handle_plain(context, port, slot->frame, slot->len, slot->cap,
                                                 (enum packet_checksum)slot->checksum, &reply_len);
    slot->reply_len = (uint16_t)reply_len;
}

#ifdef __SSE4_1__
#include "dataplane/fast_stages.h"
#include "dataplane/query.h"

static void count_miss(struct counters_block *counters, const struct fast_query *q)
{
    if (!fast_fits(q, (const struct rrset *)q->at))
        return;
    counters_add(counters, COUNTER_answers_wildcard, q->is_wildcard);
    counters_add(counters,
                 q->rcode == RCODE_NXDOMAIN  ? COUNTER_answers_nxdomain
                 : q->rcode == RCODE_REFUSED ? COUNTER_answers_refused
                                             : COUNTER_answers_noerror,
                 1);
}

static unsigned marked(const struct fast_burst *b, uint64_t mark)
{
    return (unsigned)(b->marks / mark & FAST_MARK_COUNTS);
}

static void count_answers(struct counters_block *counters, const struct fast_burst *b)
{
    const unsigned ipv6 = marked(b, FAST_IPV6), missed = marked(b, FAST_MISS);
    counters_add(counters, COUNTER_queries_udp4, b->answer_count - ipv6);
    counters_add(counters, COUNTER_queries_udp6, ipv6);
    counters_add(counters, COUNTER_answers_noerror, b->answer_count - missed);
    counters_add(counters, COUNTER_edns_queries, marked(b, FAST_EDNS));
    counters_add(counters, COUNTER_answers_service, marked(b, FAST_SERVICE));
    for (unsigned i = 0; missed && i < b->missed_count; i++)
        count_miss(counters, &b->query[b->missed[i]]);
    if (b->marks < FAST_SUBNET)
        return;
    const unsigned good = marked(b, FAST_COOKIE_GOOD), bad = marked(b, FAST_COOKIE_BAD);
    counters_add(counters, COUNTER_client_subnet_queries, marked(b, FAST_SUBNET));
    counters_add(counters, COUNTER_cookie_none, marked(b, FAST_COOKIE) - good - bad);
    counters_add(counters, COUNTER_cookie_good, good);
    counters_add(counters, COUNTER_cookie_bad, bad);
}

void packet_handle_burst(struct answer_context *context, const struct packet_port *port, struct packet_slot *slot,
                         unsigned count)
{
    struct fast_burst burst;
    if (!fast_begin(&burst, context, port)) {
        for (unsigned i = 0; i < count; i++)
            handle_plain(context, port, &slot[i]);
        return;
    }
    fast_parse(&burst, slot, count);
    fast_find(&burst, count);
    if (burst.tailored_count)
        fast_steer(&burst, slot);
    if (burst.missed_count)
        fast_miss(&burst, slot);
    if (burst.cookies[0].count + burst.cookies[1].count > 0)
        fast_cookies(&burst);
    if (burst.rate_limit)
        fast_limit(&burst, slot, count);
    fast_write(&burst, slot, count);
    count_answers(context->counters, &burst);
    for (unsigned i = 0; i < burst.plain_count; i++) {
        const unsigned number = burst.plain[i];
        context->rate_decided = burst.rate_limit ? burst.decided[number] : 0;
        handle_plain(context, port, &slot[number]);
    }
    context->rate_decided = 0;
}

#else // no words of 16 octets: the plain way alone

void packet_handle_burst(struct answer_context *context, const struct packet_port *port, struct packet_slot *slot,
                         unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        handle_plain(context, port, &slot[i]);
}

#endif

enum packet_verdict packet_handle(struct answer_context *context, const struct packet_port *port, uint8_t *frame,
                                  unsigned len, unsigned cap, enum packet_checksum checksum, unsigned *reply_len)
{
    struct packet_slot slot = {frame, (uint16_t)len,     (uint16_t)(cap < UINT16_MAX ? cap : UINT16_MAX),
                               0,     (uint8_t)checksum, PACKET_DROP};
    packet_handle_burst(context, port, &slot, 1);
    *reply_len = slot.reply_len;
    return (enum packet_verdict)slot.verdict;
}
