// SPDX-License-Identifier: Apache-2.0
// Of the first stage of the short way: EDNS options. The OPT record of the answer is started here, while the query's is
// at hand.
#ifdef __SSE4_1__
#include "dataplane/fast.h"

#include "dataplane/bytes.h"
#include "dataplane/edns.h"

enum {
    OPTIONS_MAX = 4,      // in one query; resolvers send up to three
    OPTIONS_LEN_MAX = 96, // octets of them
    OPTION_HEAD_LEN = 4,
    SUBNET_HEAD_LEN = 4,
    SUBNET_AT = FAST_OPT_LEN, // in the reply
    COOKIE_LEN = EDNS_COOKIE_CLIENT_LEN + EDNS_COOKIE_SERVER_LEN,
    OPT_WALK_MAX = FAST_OPT_LEN + OPTIONS_LEN_MAX
};
static_assert((int)FAST_NAME_AT + FAST_IPV6_SHIFT + FAST_NAME_CAP + 4 + OPT_WALK_MAX + 32 <= (int)FAST_ROOM,
              "all that is looked at lies inside the frame's buffer");
static_assert((int)FAST_OPT_MAX <= (int)FAST_OPT_ROOM, "every reply has room");

// Heads of the common options in memory order: code and length.
#define COOKIE_CLIENT_HEAD (EDNS_COOKIE << 8 | (uint32_t)EDNS_COOKIE_CLIENT_LEN << 24)
#define COOKIE_HEAD        (EDNS_COOKIE << 8 | (uint32_t)COOKIE_LEN << 24)
// With family and scope: a subnet of IPv4 has these octets; its length and source length may be any.
#define SUBNET4_HEAD 0x0000010000000800ull
#define SUBNET4_MASK 0xff00ffff00ffffffull

// The subnet of the option at `option`, of `len` octets, whose address is given, comes back with a scope of zero for
// the time being (RFC 7871 section 7.2.1). A second one is left to the plain way.
static inline bool put_subnet(struct fast_options *o, const uint8_t *option, unsigned len, __m128i address,
                              unsigned bits, bool is_ipv6)
{
    if (o->subnet_len)
        return false;
    o->subnet_len = (uint8_t)len;
    o->subnet_bits = (uint8_t)bits;
    o->is_subnet_ipv6 = is_ipv6;
    store_block(o->subnet, address);
    store64(o->reply + SUBNET_AT, load64(option));
    store_block(o->reply + SUBNET_AT + OPTION_HEAD_LEN + SUBNET_HEAD_LEN, address);
    return true;
}

// RFC 7871 section 6 of an IPv4 subnet, `head` its first octets; whatever is not exactly so is left to the plain way.
static inline bool take_subnet4(struct fast_options *o, const uint8_t *option, uint64_t head, unsigned len)
{
    const unsigned bits = head >> 48 & 0xff, bytes = (bits + 7) / 8;
    if (bits > 32 || len != OPTION_HEAD_LEN + SUBNET_HEAD_LEN + bytes)
        return false;
    const uint32_t sent = load32(option + OPTION_HEAD_LEN + SUBNET_HEAD_LEN) & (uint32_t)((1ull << 8 * bytes) - 1);
    if (__builtin_bswap32(sent) & UINT32_MAX >> (bits & 31) && bits != 32)
        return false; // bits past the prefix
    return put_subnet(o, option, len, _mm_cvtsi32_si128((int)sent), bits, false);
}

// The same of IPv6.
static bool take_subnet6(struct fast_options *o, const uint8_t *option, unsigned option_len)
{
    static const uint8_t keep[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    const uint8_t *data = option + OPTION_HEAD_LEN;
    const unsigned bits = data[2], bytes = (bits + 7) / 8;
    if (data[0] != 0 || data[1] != 2 || data[3] != 0 || bits > 128 || option_len != SUBNET_HEAD_LEN + bytes)
        return false;
    const __m128i address = _mm_and_si128(load_block(data + SUBNET_HEAD_LEN), load_block(keep + 16 - bytes));
    if (bits % 8 && data[SUBNET_HEAD_LEN + bytes - 1] & 0xff >> bits % 8)
        return false;
    return put_subnet(o, option, OPTION_HEAD_LEN + option_len, address, bits, true);
}

// Options that are not of the most common shapes. Not inlined, as they are not.
static __attribute__((noinline)) bool take_other(struct fast_options *o, const uint8_t *option)
{
    const unsigned code = swap16(load16(option)), option_len = swap16(load16(option + 2));
    if (code == EDNS_CLIENT_SUBNET)
        return take_subnet6(o, option, option_len);
    return code != EDNS_COOKIE && code != EDNS_NSID; // others mean nothing over UDP (RFC 6891 section 6.1.2)
}

// RFC 7873 section 4, with a server cookie of the length of ours or none.
static inline bool take_cookie(struct fast_options *o, const uint8_t *option, unsigned option_len)
{
    if (o->cookie_len)
        return false;
    o->cookie_data = option + OPTION_HEAD_LEN;
    o->cookie_len = (uint8_t)option_len;
    return true;
}

// Walks the options up to `end`; false: they are left to the plain way, or, unless all are looked at, to the long walk.
// Bounds are looked at by the place where the walk ends: an option that is too long leads past it.
static inline __attribute__((always_inline)) bool walk(struct fast_options *o, const uint8_t *at, const uint8_t *end,
                                                       bool takes_all)
{
    for (unsigned i = 0; i < OPTIONS_MAX && at + OPTION_HEAD_LEN <= end; i++) {
        const uint64_t head = load64(at);
        unsigned len = OPTION_HEAD_LEN + EDNS_COOKIE_CLIENT_LEN;
        bool is_taken;
        if ((uint32_t)head == COOKIE_CLIENT_HEAD) {
            is_taken = take_cookie(o, at, EDNS_COOKIE_CLIENT_LEN);
        } else if ((head & SUBNET4_MASK) == SUBNET4_HEAD) {
            len = OPTION_HEAD_LEN + (head >> 24 & 0xff);
            is_taken = take_subnet4(o, at, head, len);
        } else if ((uint32_t)head == COOKIE_HEAD) {
            len = OPTION_HEAD_LEN + COOKIE_LEN;
            is_taken = take_cookie(o, at, COOKIE_LEN);
        } else {
            len = OPTION_HEAD_LEN + swap16((unsigned)(head >> 16));
            is_taken = takes_all && take_other(o, at);
        }
        if (!is_taken)
            return false;
        at += len;
    }
    return at == end;
}

static inline void start_opt(const struct fast_burst *b, struct fast_options *o, const uint8_t *opt)
{
    const __m128i zero = _mm_setzero_si128();
    store64(o->reply, b->opt | (load64(opt) & 1ull << 63)); // DO
    store64(o->reply + 8, 0);
    store_block(o->reply + 16, zero);
    store_block(o->reply + 32, zero);
    store_block(o->reply + 48, zero);
    o->subnet_len = o->subnet_bits = o->cookie_len = 0;
}

void fast_start_opt(const struct fast_burst *b, struct fast_options *o, const uint8_t *opt)
{
    start_opt(b, o, opt);
    o->query_len = o->reply_len = FAST_OPT_LEN;
}

// The client's cookie behind the `at` octets that the reply has; the server's comes later. The reply's length then.
static inline unsigned start_cookie(struct fast_burst *b, struct fast_query *q, unsigned at)
{
    struct fast_options *o = &q->options;
    uint8_t *option = o->reply + at;
    store32(option, COOKIE_HEAD);
    store64(option + OPTION_HEAD_LEN, load64(o->cookie_data));
    o->cookie_at = (uint8_t)(at + OPTION_HEAD_LEN);
    b->with_cookie[b->with_cookie_count++] = (uint16_t)(q - b->query);
    return at + OPTION_HEAD_LEN + COOKIE_LEN;
}

// The answer's record as far as it is known, and the query's marks.
static inline __attribute__((always_inline)) unsigned finish(struct fast_burst *b, struct fast_query *q, unsigned len)
{
    struct fast_options *o = &q->options;
    uint64_t marks = FAST_EDNS | FAST_OPTIONS;
    unsigned reply_len = FAST_OPT_LEN + o->subnet_len;
    if (o->subnet_len)
        marks |= FAST_SUBNET;
    if (o->cookie_len) {
        reply_len = start_cookie(b, q, reply_len);
        marks |= FAST_COOKIE;
    }
    store16(o->reply + 9, (uint16_t)swap16(reply_len - FAST_OPT_LEN));
    o->reply_len = (uint16_t)reply_len;
    o->query_len = (uint16_t)len;
    q->marks = marks;
    return len;
}

// With options that are not common, or that the settings do not answer.
static __attribute__((noinline)) unsigned take_long(struct fast_burst *b, struct fast_query *q, const uint8_t *opt,
                                                    unsigned len)
{
    struct fast_options *o = &q->options;
    start_opt(b, o, opt);
    if (!walk(o, opt + FAST_OPT_LEN, opt + len, true))
        return 0;
    const uint8_t cookie_len = b->answers_cookies ? o->cookie_len : 0;
    if (!b->answers_subnets)
        start_opt(b, o, opt);
    o->cookie_len = cookie_len;
    return finish(b, q, len);
}

// Nothing is called but at its end: it has the registers to itself.
unsigned fast_take_options(struct fast_burst *b, struct fast_query *q, const uint8_t *opt)
{
    struct fast_options *o = &q->options;
    // Owner 0, type 41, any size, extended rcode and version 0, flags but for DO 0.
    if ((load64(opt) & 0x7fffff0000ffffffull) != 41u << 16 || opt[8] != 0)
        return 0;
    const unsigned len = FAST_OPT_LEN + swap16(load16(opt + 9));
    if (len > OPT_WALK_MAX)
        return 0;
    start_opt(b, o, opt);
    if (!b->answers_all || !walk(o, opt + FAST_OPT_LEN, opt + len, false))
        return take_long(b, q, opt, len);
    return finish(b, q, len);
}

#endif
