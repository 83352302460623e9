// SPDX-License-Identifier: Apache-2.0
// Of the short way: EDNS options. Taken apart in the first stage; the OPT record of the answer is made before the
// third.
#ifdef __SSE4_1__
#include "dataplane/fast.h"

#include "dataplane/bytes.h"
#include "dataplane/cookie.h"
#include "dataplane/edns.h"

enum {
    OPTIONS_MAX = 4,      // in one query; resolvers send up to three
    OPTIONS_LEN_MAX = 96, // octets of them
    OPTION_HEAD_LEN = 4,
    SUBNET_HEAD_LEN = 4,
    COOKIE_LEN = EDNS_COOKIE_CLIENT_LEN + EDNS_COOKIE_SERVER_LEN,
    OPT_WALK_MAX = FAST_OPT_LEN + OPTIONS_LEN_MAX
};
static_assert((int)FAST_NAME_AT + FAST_IPV6_SHIFT + FAST_NAME_CAP + 4 + OPT_WALK_MAX + 32 <= (int)FAST_ROOM,
              "all that is looked at lies inside the frame's buffer");

static const uint8_t keep[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

// RFC 7871 section 6; whatever is not exactly so is left to the plain way, and so is a second subnet.
static bool take_subnet(struct fast_options *o, const uint8_t *data, unsigned len)
{
    const unsigned source_len = data[2], bytes = (source_len + 7) / 8;
    const bool is_ipv6 = data[1] == 2;
    if (o->subnet_data || len < SUBNET_HEAD_LEN || data[0] != 0 || data[3] != 0 || (data[1] != 1 && !is_ipv6) ||
        source_len > (is_ipv6 ? 128 : 32) || len != SUBNET_HEAD_LEN + bytes)
        return false;
    const __m128i address = _mm_and_si128(load_block(data + SUBNET_HEAD_LEN), load_block(keep + 16 - bytes));
    store_block(o->subnet, address);
    if (source_len % 8 && o->subnet[bytes - 1] & 0xff >> source_len % 8)
        return false; // bits past the prefix
    o->subnet_data = data;
    o->subnet_len = (uint8_t)len;
    return true;
}

// RFC 7873 section 4, with a server cookie of the length of ours or none.
static bool take_cookie(struct fast_options *o, const uint8_t *data, unsigned len)
{
    if (o->cookie_data || (len != EDNS_COOKIE_CLIENT_LEN && len != COOKIE_LEN))
        return false;
    o->cookie_data = data;
    o->cookie_len = (uint8_t)len;
    return true;
}

unsigned fast_take_options(struct fast_burst *b, struct fast_query *q, const uint8_t *opt)
{
    struct fast_options *o = &b->options[q - b->query];
    // Owner 0, type 41, any size, extended rcode and version 0, flags but for DO 0.
    if ((load64(opt) & 0x7fffff0000ffffffull) != 41u << 16 || opt[8] != 0)
        return 0;
    const unsigned len = swap16(load16(opt + 9));
    if (len > OPTIONS_LEN_MAX)
        return 0;
    o->subnet_data = o->cookie_data = NULL;
    o->scope_len = 0;
    const uint8_t *data = opt + FAST_OPT_LEN;
    unsigned at = 0;
    for (unsigned i = 0; i < OPTIONS_MAX && at + OPTION_HEAD_LEN <= len; i++) {
        const unsigned code = swap16(load16(data + at)), option_len = swap16(load16(data + at + 2));
        at += OPTION_HEAD_LEN;
        if (option_len > len - at || code == EDNS_NSID)
            return 0;
        if (code == EDNS_CLIENT_SUBNET && !take_subnet(o, data + at, option_len))
            return 0;
        if (code == EDNS_COOKIE && !take_cookie(o, data + at, option_len))
            return 0;
        at += option_len; // others mean nothing over UDP (RFC 6891 section 6.1.2)
    }
    if (!(b->settings->flags & SETTING_CLIENT_SUBNET))
        o->subnet_data = NULL;
    if (!(b->settings->flags & SETTING_COOKIES) || !b->settings->cookie_secret_count)
        o->cookie_data = NULL;
    if (at != len)
        return 0;
    b->with_options[b->with_options_count++] = (uint16_t)(q - b->query);
    o->query_len = (uint16_t)(FAST_OPT_LEN + len);
    return o->query_len;
}

// The client's option with our scope (RFC 7871 section 7.2.1). Octets written.
static inline unsigned put_subnet(uint8_t *out, const struct fast_options *o)
{
    store_block(out, load_block(o->subnet_data - OPTION_HEAD_LEN));
    store_block(out + 16, load_block(o->subnet_data - OPTION_HEAD_LEN + 16));
    out[OPTION_HEAD_LEN + 3] = o->scope_len;
    return OPTION_HEAD_LEN + o->subnet_len;
}

// Cookies of a burst that wait to be answered together, by family.
struct fast_cookies {
    uint16_t number[COOKIE_BATCH_MAX]; // of the queries
    struct cookie_batch batch;
};

static void settle(struct fast_burst *b, struct fast_cookies *c, bool is_ipv6)
{
    const struct zone_settings *s = b->settings;
    cookie_answer_batch(&c->batch, is_ipv6, b->now_s, s->cookie_secret, s->cookie_secret_count);
    for (unsigned i = 0; i < c->batch.count; i++)
        b->options[c->number[i]].cookie = (uint8_t)c->batch.verdict[i];
    c->batch.count = 0;
}

// The cookie option at `at` of the reply; its server half comes when the batch is full, or at the end.
static void take_turn(struct fast_burst *b, struct fast_cookies *cookies, unsigned number, unsigned at, bool is_ipv6,
                      const uint8_t *client)
{
    const struct fast_options *o = &b->options[number];
    struct fast_cookies *c = &cookies[is_ipv6];
    uint8_t *option = b->options[number].reply + at;
    store32(option, 10 << 8 | (uint32_t)COOKIE_LEN << 24);
    store64(option + OPTION_HEAD_LEN, load64(o->cookie_data));
    const unsigned turn = c->batch.count++;
    c->number[turn] = (uint16_t)number;
    c->batch.query[turn] = (struct cookie_query){o->cookie_data, o->cookie_data + EDNS_COOKIE_CLIENT_LEN,
                                                 o->cookie_len - (unsigned)EDNS_COOKIE_CLIENT_LEN};
    c->batch.address[turn] = client;
    c->batch.out[turn] = option + OPTION_HEAD_LEN + EDNS_COOKIE_CLIENT_LEN;
    if (c->batch.count == COOKIE_BATCH_MAX)
        settle(b, c, is_ipv6);
}

// The OPT record as edns_response_write writes it, but for the cookie's server half.
static inline void start_reply(struct fast_burst *b, const struct fast_query *q, struct fast_options *o,
                               struct fast_cookies *cookies, unsigned number, const uint8_t *frame)
{
    const bool is_ipv6 = q->marks & FAST_IPV6;
    const uint8_t *opt = frame + (is_ipv6 ? FAST_IPV6_SHIFT : 0) + fast_end(q->name_len);
    unsigned len = FAST_OPT_LEN;
    if (o->subnet_data)
        len += put_subnet(o->reply + len, o);
    const unsigned cookie_at = len;
    if (o->cookie_data)
        len += OPTION_HEAD_LEN + COOKIE_LEN;
    o->reply_len = (uint16_t)len;
    store64(o->reply, b->opt | (load64(opt) & 1ull << 63)); // DO
    o->reply[8] = 0;
    store16(o->reply + 9, (uint16_t)swap16(len - FAST_OPT_LEN));
    if (o->cookie_data)
        take_turn(b, cookies, number, cookie_at, is_ipv6, fast_client(q, frame));
}

// The query's sum and length become those of a query that had come with the reply's record, but for what the record
// itself adds, since its place is not known yet. In a pass of its own: words that were stored in pieces are slow to
// read at once.
static inline void finish_reply(struct fast_query *q, struct fast_options *o, const uint8_t *frame)
{
    const unsigned end = fast_end(q->name_len), len = o->reply_len;
    const uint8_t *opt = frame + (q->marks & FAST_IPV6 ? FAST_IPV6_SHIFT : 0) + end;
    o->reply_sum = fold32(fold64(sum_octets(0, o->reply, len)));
    const uint32_t query_sum = fold32(fold64(sum_octets(0, opt, o->query_len)));
    // The length counts twice, in the upper half of its word: negative growth is made positive by a multiple of 65,535.
    const uint32_t growth = (0xffffu + len - o->query_len) << 9;
    q->sum = fold32(q->sum + growth + ((0xffff - query_sum) << end % 2 * 8));
    q->udp_len += len - o->query_len;
}

void fast_options(struct fast_burst *b, const struct packet_slot *slot)
{
    struct fast_cookies cookies[2]; // by family; what is not filled is not read
    unsigned count = 0;             // of those that are answered
    cookies[0].batch.count = cookies[1].batch.count = 0;
    for (unsigned i = 0; i < b->with_options_count; i++) {
        const unsigned number = b->with_options[i];
        const struct fast_query *q = &b->query[number];
        if (!fast_fits(q, (const struct rrset *)q->at))
            continue;
        b->with_options[count++] = (uint16_t)number;
        start_reply(b, q, &b->options[number], cookies, number, slot[number].frame);
    }
    b->with_options_count = count;
    for (unsigned family = 0; family < 2; family++)
        if (cookies[family].batch.count)
            settle(b, &cookies[family], family);
    for (unsigned i = 0; i < count; i++) {
        const unsigned number = b->with_options[i];
        finish_reply(&b->query[number], &b->options[number], slot[number].frame);
    }
}

#endif
