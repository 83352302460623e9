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

static inline unsigned put_cookie(const struct fast_burst *b, uint8_t *out, struct fast_options *o,
                                  const struct fast_query *q, const uint8_t *frame)
{
    const struct zone_settings *s = b->settings;
    store32(out, 10 << 8 | (uint32_t)COOKIE_LEN << 24);
    store64(out + OPTION_HEAD_LEN, load64(o->cookie_data));
    const struct cookie_query query = {o->cookie_data, o->cookie_data + EDNS_COOKIE_CLIENT_LEN,
                                       o->cookie_len - (unsigned)EDNS_COOKIE_CLIENT_LEN};
    o->cookie = (uint8_t)cookie_answer(out + OPTION_HEAD_LEN + EDNS_COOKIE_CLIENT_LEN, query, fast_client(q, frame),
                                       q->marks & FAST_IPV6, b->now_s, s->cookie_secret, s->cookie_secret_count);
    return OPTION_HEAD_LEN + COOKIE_LEN;
}

// The OPT record as edns_response_write writes it. The query's sum and length become those of a query that had come
// with this record, but for what the record itself adds, since its place is not known yet.
static void make_reply(const struct fast_burst *b, struct fast_query *q, struct fast_options *o, const uint8_t *frame)
{
    const unsigned end = fast_end(q->name_len);
    const uint8_t *opt = frame + (q->marks & FAST_IPV6 ? FAST_IPV6_SHIFT : 0) + end;
    unsigned at = FAST_OPT_LEN;
    if (o->subnet_data)
        at += put_subnet(o->reply + at, o);
    if (o->cookie_data)
        at += put_cookie(b, o->reply + at, o, q, frame);
    store64(o->reply, b->opt | (load64(opt) & 1ull << 63)); // DO
    o->reply[8] = 0;
    store16(o->reply + 9, (uint16_t)swap16(at - FAST_OPT_LEN));
    o->reply_len = (uint16_t)at;
    o->reply_sum = fold32(fold64(sum_octets(0, o->reply, at)));
    const uint32_t query_sum = fold32(fold64(sum_octets(0, opt, o->query_len)));
    // The length counts twice, in the upper half of its word: negative growth is made positive by a multiple of 65,535.
    const uint32_t growth = (0xffffu + at - o->query_len) << 9;
    q->sum = fold32(q->sum + growth + ((0xffff - query_sum) << end % 2 * 8));
    q->udp_len += at - o->query_len;
}

void fast_options(struct fast_burst *b, const struct packet_slot *slot)
{
    for (unsigned i = 0; i < b->with_options_count; i++) {
        const unsigned number = b->with_options[i];
        struct fast_query *q = &b->query[number];
        if (fast_fits(q, (const struct rrset *)q->at))
            make_reply(b, q, &b->options[number], slot[number].frame);
    }
}

#endif
