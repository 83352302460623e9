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
#include "dataplane/bytes.h"
#include "dataplane/fast.h"
#include "dataplane/query.h"

// What every frame has, by family; addresses are filled in. [block][octet] of a frame.
enum { IPV4_TO = FAST_IP_AT + 16, IPV6_TO = FAST_IP_AT + 24 };
static const struct fast_family common[2] = {
    {.mask = {{255, 255, 255, 255, 255, 255, [12] = 255, 255, 255},
              {[4] = 0x3f, 255, [7] = 255},
              {[4] = 255, 255, [12] = 0xf8}},
     .expected = {{[12] = 0x08, 0, 0x45}, // no options
                  {[7] = 17},             // no fragment; UDP
                  {[5] = 53}}},           // to the port; a query, opcode 0
    {.mask = {{255, 255, 255, 255, 255, 255, [12] = 255, 255, 0xf0}, {[4] = 255}, {0}, {[8] = 255, 255}, {[0] = 0xf8}},
     .expected = {{[12] = 0x86, 0xdd, 0x60}, {[4] = 17}, {0}, {[9] = 53}}},
};

void fast_expect(struct fast_burst *b, bool is_ipv6)
{
    struct fast_family *f = &b->family[is_ipv6];
    const struct zone_settings *settings = b->settings;
    const uint8_t *mac = b->mac;
    const unsigned to = is_ipv6 ? IPV6_TO : IPV4_TO, len = is_ipv6 ? 16 : 4;
    const uint8_t *only = NULL;
    unsigned count = 0;
    for (unsigned i = 0; i < settings->address_count; i++)
        if (settings->address[i].is_ipv6 == is_ipv6) {
            only = settings->address[i].address;
            count++;
        }
    *f = common[is_ipv6];
    memcpy(f->expected[0], mac, 6);
    memcpy(f->reply_mac + 6, mac, 6);
    memcpy(f->reply_mac + 12, f->expected[0] + 12, 2);
    // The destination: compared with the node's only address, or looked for by the first stage.
    f->has_more_addresses = count != 1;
    if (count == 1) {
        memset((uint8_t *)f->mask + to, 0xff, len); // may lie across blocks
        memcpy((uint8_t *)f->expected + to, only, len);
    }
}

static_assert((int)FAST_SHAPE_MAX >= 2 * (int)PACKET_BURST_MAX, "a burst may learn as many as it has frames");

// What is kept of a record is never what is expected.
static const struct fast_shape no_shape = {.expected = {1}};

static void choose_shapes(struct fast_burst *b, struct fast_shapes *kept)
{
    struct fast_shapes *s = kept ? kept : &b->own_shapes;
    b->shapes = s;
    if (kept && s->count <= FAST_SHAPE_MAX - PACKET_BURST_MAX && s->opt == b->opt &&
        s->answers_subnets == b->answers_subnets && s->answers_cookies == b->answers_cookies)
        return;
    s->opt = b->opt;
    s->answers_subnets = b->answers_subnets;
    s->answers_cookies = b->answers_cookies;
    s->count = 0;
    for (unsigned i = 0; i < FAST_SHAPE_WAYS; i++)
        s->last_of[i] = &no_shape;
}

bool fast_begin(struct fast_burst *b, const struct answer_context *context, const struct packet_port *port)
{
    if (!context->zone_image || !context->order_image || context->is_stale)
        return false;
    const struct zone_index *index = zone_image_index(context->zone_image);
    b->settings = (const struct zone_settings *)image_at(context->zone_image, index->settings_at);
    b->rate_limit = b->settings->flags & SETTING_RATE_LIMIT ? context->rate_limit : NULL;
    b->now_ns = context->now_ns;
    b->now_s = context->now_s;
    b->tailored_count = b->missed_count = 0;
    b->cookies[0].count = b->cookies[0].sent_count = b->cookies[1].count = b->cookies[1].sent_count = 0;
    b->answers_subnets = b->settings->flags & SETTING_CLIENT_SUBNET;
    b->answers_cookies = b->settings->flags & SETTING_COOKIES && b->settings->cookie_secret_count;
    b->mac = port->mac;
    fast_expect(b, false);
    b->is_ipv6_expected = false;
    b->zone_image = context->zone_image;
    b->order_image = context->order_image;
    b->slot = (const struct zone_slot *)image_at(b->zone_image, index->slot_at);
    b->service = (const struct order_service *)image_at(b->order_image, order_image_index(b->order_image)->service_at);
    b->hash_seed = index->hash_seed;
    b->slot_mask = index->slot_mask;
    b->probe_limit = index->probe_limit;
    b->opt = 41u << 16 | (uint64_t)swap16(b->settings->udp_max) << 24;
    b->size_sum = swap16(b->settings->udp_max) + 0xffff;
    choose_shapes(b, context->shapes);
    b->checksum_known = port->is_checksum_trusted ? UINT32_MAX : PACKET_CHECKSUM_GOOD;
    b->is_checksum_trusted = port->is_checksum_trusted;
    return true;
}

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
