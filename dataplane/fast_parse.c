// SPDX-License-Identifier: Apache-2.0
// First stage of the short way: is the frame of the common kind, and which name does it ask for?
#ifdef __SSE4_1__
#include "dataplane/fast_stages.h"

#include "dataplane/bytes.h"
#include "dataplane/query.h"

enum {
    COUNTS_EDNS = 56 // where the additional count, 0 or 1, stands in the word of the four counts
};

// Type and class of the question in memory order.
#define TYPE_CLASS_A    (1u << 8 | 1u << 24)
#define TYPE_CLASS_AAAA (28u << 8 | 1u << 24)

// A-Z to a-z in 16 octets: moved so that 'A'..'Z' become the 26 largest signed values.
static inline __m128i fold_block(__m128i v)
{
    const __m128i moved = _mm_add_epi8(v, _mm_set1_epi8(127 - 'Z'));
    const __m128i is_upper = _mm_cmpgt_epi8(moved, _mm_set1_epi8(127 - 26));
    return _mm_or_si128(v, _mm_and_si128(is_upper, _mm_set1_epi8(0x20)));
}

static inline unsigned zeros_of(__m128i v)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128()));
}

// The block in which the name ends, by the mask of its zeros. Offset behind the first zero.
static inline unsigned take_last_block(struct fast_query *q, unsigned at, __m128i v, unsigned zeros, uint64_t hash)
{
    static const uint8_t keep[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    const unsigned end = (unsigned)__builtin_ctz(zeros);
    v = fold_block(_mm_and_si128(v, load_block(keep + (16 - end))));
    store_block(q->name + at, v);
    q->hash = name_hash_block(hash, v);
    return at + end + 1;
}

// Folds and hashes the name at `p`; its length, or 0 when its end does not come soon. Labels are not walked: a stored
// name that equals these octets, up to and with the first zero, has the same labels, and when none does the plain way
// looks properly.
static inline unsigned take_name(struct fast_query *q, const uint8_t *p, uint64_t hash)
{
#pragma GCC unroll 4
    for (unsigned at = 0; at < FAST_NAME_CAP; at += 16) {
        __m128i v = load_block(p + at);
        const unsigned zeros = zeros_of(v);
        if (zeros)
            return take_last_block(q, at, v, zeros, hash);
        v = fold_block(v);
        store_block(q->name + at, v);
        hash = name_hash_block(hash, v);
    }
    return 0;
}

// Addresses, protocols, port and the bits that must be zero, by masks (fast_begin).
static inline bool is_as_expected(const struct fast_family *f, const uint8_t *frame, unsigned blocks)
{
    __m128i wrong = _mm_setzero_si128();
#pragma GCC unroll 5
    for (unsigned i = 0; i < blocks; i++) {
        const __m128i seen = _mm_and_si128(load_block(frame + 16 * i), load_aligned(f->mask[i]));
        wrong = _mm_or_si128(wrong, _mm_xor_si128(seen, load_aligned(f->expected[i])));
    }
    return _mm_testz_si128(wrong, wrong);
}

// Sources that packet.c refuses, and ports below 256, among which are more of them.
static inline bool is_good_source(const uint8_t *frame)
{
    static const bool is_bad[256] = {[0] = true, [127] = true, [224 ... 255] = true}; // by the address' first octet
    return !is_bad[frame[FAST_IP_AT + 12]] && load32(frame + FAST_IP_AT + 12) != load32(frame + FAST_IP_AT + 16) &&
           frame[FAST_UDP_AT] != 0;
}

// The same of IPv6. Whatever starts with an octet of zeros is left to the plain way.
static inline bool is_good_source6(const uint8_t *frame)
{
    const uint8_t *source = frame + FAST_IP_AT + 8;
    return source[0] != 0 && source[0] != 0xff && memcmp(source, source + 16, 16) != 0 &&
           frame[FAST_UDP_AT + FAST_IPV6_SHIFT] != 0;
}

static inline bool is_header_right(const uint8_t *ip)
{
    return is_sum_right(add_carry(add_carry(load64(ip), load64(ip + 8)), load32(ip + 16)));
}

enum { SUM_WRONG = 0 };

// The sum over pseudo header and datagram of a query without the checksum field, for the reply; SUM_WRONG when the
// plain way has to look. `udp` with both addresses, of `addresses_len` octets together, before it. Not inlined: it
// would take the registers from the common case.
static __attribute__((noinline)) uint32_t sum_datagram(const struct fast_burst *b, const uint8_t *udp, unsigned udp_len,
                                                       unsigned addresses_len, unsigned checksum)
{
    const unsigned sent = load16(udp + 6);
    // Of the pseudo header protocol and length, which comes once more in the datagram.
    const uint64_t sum = sum_octets(swap16(17) + swap16(udp_len), udp - addresses_len, udp_len + addresses_len);
    if (checksum == PACKET_CHECKSUM_UNKNOWN && !b->is_checksum_trusted)
        return is_sum_right(sum) ? 2 * 0xffff - sent : (uint32_t)SUM_WRONG;
    // Whatever the field says, the reply's will be right.
    return checksum == PACKET_CHECKSUM_BAD ? (uint32_t)SUM_WRONG : 0xffff - sent + fold32(fold64(sum));
}

// An OPT record of version 0 without options: owner 0, type 41, any size, extended rcode 0, flags but for DO 0.
static inline bool is_plain_opt(const uint8_t *opt)
{
    return !(load32(opt + 7) >> 8) && (load64(opt) & 0x7fffff0000ffffffull) == 41u << 16;
}

// The message of a query whose UDP header stands at frame + FAST_UDP_AT: is it one question of the common kind? Fills
// all but the sum. Over IPv6 `frame` is such that the UDP header stands there.
static inline __attribute__((always_inline)) bool take_message(struct fast_burst *b, const uint8_t *frame, bool is_ipv6,
                                                               struct fast_query *q)
{
    const uint64_t counts = load64(frame + FAST_MESSAGE_AT + 4);
    if ((counts & ~(1ull << COUNTS_EDNS)) != 1 << 8)
        return false;
    const unsigned name_len = take_name(q, frame + FAST_NAME_AT, b->hash_seed);
    if (name_len == 0)
        return false;
    const uint8_t *behind = frame + FAST_NAME_AT + name_len;
    const uint32_t type_class = load32(behind);
    q->type = DNS_A;
    if (type_class == TYPE_CLASS_AAAA)
        q->type = DNS_AAAA;
    else if (type_class != TYPE_CLASS_A)
        return false;
    unsigned end = fast_end(name_len) - FAST_UDP_AT;
    q->name_len = name_len;
    q->marks = counts >> COUNTS_EDNS;
    if (__builtin_expect(q->marks != 0, 1)) {
        unsigned opt_len = FAST_OPT_LEN;
        if (__builtin_expect(!is_plain_opt(behind + 4), 0)) {
            opt_len = is_ipv6 ? fast_take_options6(q, behind + 4, b, fast_client_of(frame - FAST_IPV6_SHIFT, true))
                              : fast_take_options4(q, behind + 4, b, fast_client_of(frame, false));
            if (opt_len == 0)
                return false;
        }
        end += opt_len;
    }
    q->udp_len = end;
    return load16(frame + FAST_UDP_AT + 4) == swap16(end);
}

// The sum over all is zero, so the sum without the field is known when it is right. Queries without a checksum, and
// with one of all ones, whose sum would be SUM_WRONG, are left to the plain way.
static inline bool take_sum(const struct fast_burst *b, const struct packet_slot *slot, const uint8_t *udp,
                            unsigned addresses_len, struct fast_query *q)
{
    const uint16_t sent = load16(udp + 6);
    if ((uint16_t)(sent + 1) <= 1)
        return false;
    q->sum = 0xffffu - sent;
    if (__builtin_expect(slot->checksum == b->checksum_known, 1))
        return true;
    q->sum = sum_datagram(b, udp, q->udp_len, addresses_len, slot->checksum);
    return q->sum != SUM_WRONG;
}

// Lengths are compared with what the message turns out to be: nothing may stand behind it, and a frame may be padded.
static inline bool take_ipv4(struct fast_burst *b, const struct packet_slot *slot, struct fast_query *q)
{
    const uint8_t *frame = slot->frame;
    const struct fast_family *f = &b->family[0];
    if (slot->cap < FAST_ROOM || !is_as_expected(f, frame, 3))
        return false;
    if (f->has_more_addresses && !packet_is_own_address(b->settings, frame + FAST_IP_AT + 16, false))
        return false;
    if (!is_good_source(frame) || !is_header_right(frame + FAST_IP_AT) || !take_message(b, frame, false, q))
        return false;
    return q->udp_len + FAST_UDP_AT <= slot->len &&
           load16(frame + FAST_IP_AT + 2) == swap16(q->udp_len + FAST_IPV4_LEN) &&
           take_sum(b, slot, frame + FAST_UDP_AT, 8, q);
}

// Not inlined: the registers are the other family's.
static __attribute__((noinline)) bool take_ipv6(struct fast_burst *b, const struct packet_slot *slot,
                                                struct fast_query *q)
{
    const uint8_t *frame = slot->frame;
    const struct fast_family *f = &b->family[1];
    if (!b->is_ipv6_expected) {
        fast_expect(b, true);
        b->is_ipv6_expected = true;
    }
    if (slot->cap < FAST_ROOM || !is_as_expected(f, frame, FAST_HEADS))
        return false;
    if (f->has_more_addresses && !packet_is_own_address(b->settings, frame + FAST_IP_AT + 24, true))
        return false;
    if (!is_good_source6(frame) || !take_message(b, frame + FAST_IPV6_SHIFT, true, q))
        return false;
    q->marks |= FAST_IPV6;
    return q->udp_len + FAST_UDP_AT + FAST_IPV6_SHIFT <= slot->len &&
           load16(frame + FAST_IP_AT + 4) == swap16(q->udp_len) &&
           take_sum(b, slot, frame + FAST_UDP_AT + FAST_IPV6_SHIFT, 32, q);
}

void fast_parse(struct fast_burst *b, struct packet_slot *slot, unsigned count)
{
    static const struct zone_slot none; // without a node: the next stage gives up
    for (unsigned i = 0; i < count; i++) {
        struct fast_query *q = &b->query[i];
        const struct zone_slot *at = &none;
        if (__builtin_expect(take_ipv4(b, &slot[i], q), 1) ||
            (slot[i].frame[12] == 0x86 && take_ipv6(b, &slot[i], q))) {
            at = &b->slot[(uint32_t)q->hash & b->slot_mask];
            __builtin_prefetch(at);
        } else {
            q->name_len = 0;
        }
        q->at = at;
    }
}

#endif
