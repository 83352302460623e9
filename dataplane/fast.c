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

static void set_octet(struct fast_burst *b, unsigned at, uint8_t mask, uint8_t expected)
{
    b->mask[at / 16][at % 16] = mask;
    b->expected[at / 16][at % 16] = expected;
}

// The destination address: compared with the node's only one, or looked for by the first stage.
static void expect_address(struct fast_burst *b)
{
    const uint8_t *only = NULL;
    unsigned count = 0;
    for (unsigned i = 0; i < b->settings->address_count; i++)
        if (!b->settings->address[i].is_ipv6) {
            only = b->settings->address[i].address;
            count++;
        }
    b->has_more_addresses = count != 1;
    for (unsigned i = 0; count == 1 && i < 4; i++)
        set_octet(b, FAST_IP_AT + 16 + i, 0xff, only[i]);
}

bool fast_begin(struct fast_burst *b, const struct answer_context *context, const struct packet_port *port)
{
    if (!context->zone_image || !context->order_image || context->is_stale)
        return false;
    const struct zone_index *index = zone_image_index(context->zone_image);
    b->settings = (const struct zone_settings *)image_at(context->zone_image, index->settings_at);
    b->rate_limit = b->settings->flags & SETTING_RATE_LIMIT ? context->rate_limit : NULL;
    b->now_ns = context->now_ns;
    memset(b->mask, 0, sizeof b->mask);
    memset(b->expected, 0, sizeof b->expected);
    memset(b->reply_mac, 0, sizeof b->reply_mac);
    for (unsigned i = 0; i < 6; i++)
        set_octet(b, i, 0xff, port->mac[i]);
    set_octet(b, 12, 0xff, 0x08); // IPv4
    set_octet(b, 13, 0xff, 0x00);
    set_octet(b, FAST_IP_AT, 0xff, 0x45);  // no options
    set_octet(b, FAST_IP_AT + 6, 0x3f, 0); // no fragment
    set_octet(b, FAST_IP_AT + 7, 0xff, 0);
    set_octet(b, FAST_IP_AT + 9, 0xff, 17); // UDP
    set_octet(b, FAST_UDP_AT + 2, 0xff, 0); // port 53
    set_octet(b, FAST_UDP_AT + 3, 0xff, 53);
    set_octet(b, FAST_MESSAGE_AT + 2, 0xf8, 0); // a query, opcode 0
    expect_address(b);
    memcpy(b->reply_mac + 6, port->mac, 6);
    b->reply_mac[12] = 0x08;
    b->zone_image = context->zone_image;
    b->order_image = context->order_image;
    b->slot = (const struct zone_slot *)image_at(b->zone_image, index->slot_at);
    b->service = (const struct order_service *)image_at(b->order_image, order_image_index(b->order_image)->service_at);
    b->hash_seed = index->hash_seed;
    b->slot_mask = index->slot_mask;
    b->probe_limit = index->probe_limit;
    b->opt = 41u << 16 | (uint64_t)swap16(b->settings->udp_max) << 24;
    b->size_sum = swap16(b->settings->udp_max) + 0xffff;
    b->checksum_known = port->is_checksum_trusted ? UINT32_MAX : PACKET_CHECKSUM_GOOD;
    b->is_checksum_trusted = port->is_checksum_trusted;
    return true;
}

static void count_answers(struct counters_block *counters, const struct fast_burst *b)
{
    counters_add(counters, COUNTER_queries_udp4, b->answer_count);
    counters_add(counters, COUNTER_answers_noerror, b->answer_count);
    counters_add(counters, COUNTER_edns_queries, b->marks % FAST_SERVICE);
    counters_add(counters, COUNTER_answers_service, b->marks / FAST_SERVICE);
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
