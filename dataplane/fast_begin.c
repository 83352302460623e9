// SPDX-License-Identifier: Apache-2.0
// Before the stages of the short way: what is the same for the whole burst.
#ifdef __SSE4_1__
#include "dataplane/fast_stages.h"

#include "dataplane/bytes.h"
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

#endif
