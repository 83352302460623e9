// SPDX-License-Identifier: Apache-2.0
// Of the first stage of the short way: EDNS options. A record is taken apart when it is the first of its shape; of the
// others it is only seen that they are of that shape.
#ifdef __SSE4_1__
#include "dataplane/fast_stages.h"

#include "dataplane/bytes.h"
#include "dataplane/edns.h"

enum {
    OPTION_HEAD_LEN = 4,
    SUBNET_HEAD_LEN = 4,
    COOKIE_LEN = EDNS_COOKIE_CLIENT_LEN + EDNS_COOKIE_SERVER_LEN,
    RECORD_MAX = 16 * FAST_SHAPE_BLOCKS
};
static_assert((int)FAST_NAME_AT + FAST_IPV6_SHIFT + FAST_NAME_CAP + 4 + RECORD_MAX + 16 <= (int)FAST_ROOM,
              "all that is looked at lies inside the frame's buffer");

// ---- the first of its shape ----

// These octets of the record may be any.
static void open_octets(struct fast_shape *s, unsigned at, unsigned len)
{
    memset(s->mask + at, 0, len);
}

// RFC 7871 section 6 of the option whose data, of `len` octets, stand at `at`; whatever is not exactly so, and a second
// one, is left to the plain way.
static bool take_subnet(struct fast_shape *s, const uint8_t *opt, unsigned at, unsigned len)
{
    const uint8_t *data = opt + at;
    if (s->subnet_at || len < SUBNET_HEAD_LEN || data[0] != 0 || (data[1] != 1 && data[1] != 2) || data[3] != 0)
        return false;
    const unsigned bits = data[2], bytes = (bits + 7) / 8, address_at = at + SUBNET_HEAD_LEN;
    if (bits > (data[1] == 1 ? 32 : 128) || len != SUBNET_HEAD_LEN + bytes)
        return false;
    if (bits % 8 && data[len - 1] & 0xff >> bits % 8)
        return false; // bits past the prefix, which the mask then keeps away
    s->subnet_at = (uint8_t)address_at;
    s->subnet_bits = (uint8_t)bits;
    s->is_subnet_ipv6 = data[1] == 2;
    memset(s->subnet_keep, 0xff, bytes);
    open_octets(s, address_at, bytes);
    if (bits % 8)
        s->mask[address_at + bytes - 1] = (uint8_t)(0xff >> bits % 8);
    return true;
}

// RFC 7873 section 4, with a server cookie of the length of ours or none.
static bool take_cookie(struct fast_shape *s, unsigned at, unsigned len)
{
    if (s->cookie_at || (len != EDNS_COOKIE_CLIENT_LEN && len != COOKIE_LEN))
        return false;
    s->cookie_at = (uint8_t)at;
    s->cookie_len = (uint8_t)len;
    open_octets(s, at, len);
    return true;
}

static bool take_option(struct fast_shape *s, const uint8_t *opt, unsigned at, unsigned len)
{
    const unsigned code = swap16(load16(opt + at - OPTION_HEAD_LEN));
    if (code == EDNS_CLIENT_SUBNET)
        return take_subnet(s, opt, at, len);
    if (code == EDNS_COOKIE)
        return take_cookie(s, at, len);
    s->has_other |= len > 0;
    open_octets(s, at, len);
    return code != EDNS_NSID; // others mean nothing over UDP (RFC 6891 section 6.1.2)
}

static bool take_all(struct fast_shape *s, const uint8_t *opt, unsigned record_len)
{
    unsigned at = FAST_OPT_LEN;
    while (at < record_len) { // each round takes at least 4 octets
        if (at + OPTION_HEAD_LEN > record_len)
            return false;
        const unsigned len = swap16(load16(opt + at + 2));
        at += OPTION_HEAD_LEN;
        if (len > record_len - at || !take_option(s, opt, at, len))
            return false;
        at += len;
    }
    return true;
}

// Options that the settings do not answer are looked at all the same, and then forgotten.
static void forget_unanswered(const struct fast_burst *b, struct fast_shape *s)
{
    if (s->subnet_at && !b->answers_subnets) {
        s->subnet_at = s->subnet_bits = 0;
        s->has_other = true;
    }
    if (s->cookie_at && !b->answers_cookies) {
        s->cookie_at = s->cookie_len = 0;
        s->has_other = true;
    }
}

// The subnet comes back with a scope of zero for the time being (RFC 7871 section 7.2.1).
static void start_subnet(struct fast_shape *s, const uint8_t *opt)
{
    s->reply_subnet = load64(opt + s->subnet_at - OPTION_HEAD_LEN - SUBNET_HEAD_LEN);
    s->reply_subnet_at = (uint8_t)(s->reply_len + OPTION_HEAD_LEN + SUBNET_HEAD_LEN);
    s->reply_len = (uint8_t)(s->reply_subnet_at + (s->subnet_bits + 7u) / 8);
    s->scope_weight = s->reply_subnet_at % 2 ? 1 : 256;
    s->marks |= FAST_SUBNET;
}

static void start_cookie(struct fast_shape *s)
{
    s->reply_cookie_at = (uint8_t)(s->reply_len + OPTION_HEAD_LEN);
    s->reply_len = (uint8_t)(s->reply_cookie_at + COOKIE_LEN);
    s->cookie_weight = s->reply_cookie_at % 2 ? 256 : 1;
    s->marks |= FAST_COOKIE;
}

// Both records from an even offset on. What stands at an odd one is turned there and back.
static uint32_t growth_sum(const struct fast_burst *b, const struct fast_shape *s)
{
    uint64_t sum = add_carry(b->opt, (uint64_t)s->reply_data_len);
    if (s->subnet_at)
        sum = add_carry(sum, turn64(s->reply_subnet, s->reply_subnet_at % 2 * 8));
    if (s->cookie_at)
        sum = add_carry(sum, (uint64_t)FAST_COOKIE_HEAD << s->reply_cookie_at % 2 * 8);
    sum = add_carry(sum, ~sum_octets(0, s->expected, s->query_len));
    sum = add_carry(sum, load32(s->expected + FAST_OPT_SIZE_AT)); // is counted with the size
    return (0xffffu << 9) + fold32(fold64(sum));                  // so that no size makes it negative
}

// The answer's record, its options in the order of the query's: what comes back then is at an even offset again if it
// was, since cookies grow by 0 or 16 octets, and does not change a sum. (With others in between it may not be.)
static void start_reply(const struct fast_burst *b, struct fast_shape *s, const uint8_t *opt)
{
    s->marks = FAST_EDNS | FAST_OPTIONS | (s->has_other ? FAST_UNANSWERED : 0);
    s->reply_len = FAST_OPT_LEN;
    if (s->subnet_at && s->subnet_at < s->cookie_at)
        start_subnet(s, opt);
    if (s->cookie_at)
        start_cookie(s);
    if (s->subnet_at > s->cookie_at)
        start_subnet(s, opt);
    s->reply_data_len = swap16(s->reply_len - (unsigned)FAST_OPT_LEN) << 8;
    s->growth_sum = growth_sum(b, s);
    s->growth = (uint32_t)s->reply_len - s->query_len;
    // The length counts twice, in the upper half of its word: negative growth is made positive by a multiple of 65,535.
    s->len_sum = (0xffffu + s->growth) << 9;
}

// What is open is none of what is expected.
static void clear_open(struct fast_shape *s)
{
    for (unsigned at = 0; at < RECORD_MAX; at += 16)
        store_block(s->expected + at, _mm_and_si128(load_block(s->expected + at), load_block(s->mask + at)));
}

// The shape of a record of `len` octets; null: it is left to the plain way. A burst learns no more than it has frames.
static const struct fast_shape *learn(struct fast_burst *b, const uint8_t *opt, unsigned len)
{
    if (len > RECORD_MAX)
        return NULL;
    struct fast_shape *s = &b->shapes->shape[b->shapes->count];
    memset(s, 0, sizeof *s);
    memset(s->mask, 0xff, len);
    open_octets(s, 3, 2); // the size
    s->mask[7] = 0x7f;    // DO
    memcpy(s->expected, opt, len);
    clear_open(s);
    // Owner 0, type 41, extended rcode and version 0, flags but for DO 0.
    if (load64(s->expected) != 41u << 16 || s->expected[8] != 0 || !take_all(s, opt, len))
        return NULL;
    clear_open(s);
    forget_unanswered(b, s);
    s->query_len = (uint8_t)len;
    start_reply(b, s, opt);
    b->shapes->last_of[fast_shape_way(opt)] = s;
    b->shapes->count++;
    return s;
}

// ---- all of them ----

static inline __m128i difference(const struct fast_shape *s, const uint8_t *opt, unsigned at)
{
    const __m128i seen = _mm_and_si128(load_block(opt + at), load_aligned(s->mask + at));
    return _mm_xor_si128(seen, load_aligned(s->expected + at));
}

// Most records are of one to three blocks; what the mask keeps of a block that is not there is nothing.
static inline bool is_of_shape(const struct fast_shape *s, const uint8_t *opt)
{
    __m128i wrong = _mm_or_si128(_mm_or_si128(difference(s, opt, 0), difference(s, opt, 16)), difference(s, opt, 32));
    for (unsigned at = 48; at < s->query_len; at += 16)
        wrong = _mm_or_si128(wrong, difference(s, opt, at));
    return _mm_testz_si128(wrong, wrong);
}

static inline __attribute__((always_inline)) void fill_cookie(struct fast_burst *b, struct fast_query *q,
                                                              const uint8_t *opt, const struct fast_shape *s,
                                                              unsigned cookie_at, const uint8_t *client, bool is_ipv6)
{
    struct fast_cookies *c = &b->cookies[is_ipv6];
    const unsigned lane = c->count++;
    q->options.lane = (uint8_t)lane;
    cookie_fill(&c->batch, lane, opt + cookie_at, client, is_ipv6);
    if (__builtin_expect(s->cookie_len > EDNS_COOKIE_CLIENT_LEN, 0)) {
        q->options.cookie = opt + cookie_at;
        c->sent[c->sent_count++] = q;
    }
}

static inline __attribute__((always_inline)) unsigned take(struct fast_burst *b, struct fast_query *q,
                                                           const uint8_t *opt, const struct fast_shape *s,
                                                           const uint8_t *client, bool is_ipv6)
{
    // Loaded once: octets that are stored may be any.
    const unsigned query_len = s->query_len, cookie_at = s->cookie_at;
    struct fast_options *o = &q->options;
    o->shape = s;
    o->scope = 0;
    q->marks = s->marks;
    store_block(o->subnet, _mm_and_si128(load_block(opt + s->subnet_at), load_aligned(s->subnet_keep)));
    if (cookie_at)
        fill_cookie(b, q, opt, s, cookie_at, client, is_ipv6);
    return query_len;
}

static __attribute__((noinline)) unsigned take_first(struct fast_burst *b, struct fast_query *q, const uint8_t *opt,
                                                     const uint8_t *client, bool is_ipv6)
{
    const unsigned len = FAST_OPT_LEN + swap16(load16(opt + 9));
    const struct fast_shape *s = learn(b, opt, len);
    return s ? take(b, q, opt, s, client, is_ipv6) : 0;
}

static inline __attribute__((always_inline)) unsigned
take_options(struct fast_burst *b, struct fast_query *q, const uint8_t *opt, const uint8_t *client, bool is_ipv6)
{
    const struct fast_shape *s = b->shapes->last_of[fast_shape_way(opt)];
    if (__builtin_expect(!is_of_shape(s, opt), 0))
        return take_first(b, q, opt, client, is_ipv6);
    return take(b, q, opt, s, client, is_ipv6);
}

// Nothing is called but at their ends: they have the registers to themselves.
unsigned fast_take_options4(struct fast_query *q, const uint8_t *opt, struct fast_burst *b, const uint8_t *client)
{
    return take_options(b, q, opt, client, false);
}

unsigned fast_take_options6(struct fast_query *q, const uint8_t *opt, struct fast_burst *b, const uint8_t *client)
{
    return take_options(b, q, opt, client, true);
}

#endif
