// SPDX-License-Identifier: Apache-2.0
// Third stage of the short way: the answer, in place.
#ifdef __SSE4_1__
#include "dataplane/fast.h"

#include "dataplane/bytes.h"
#include "dataplane/query.h"

// Octets from an odd offset on count 256 times, which turns a sum of 64 bits modulo 2^64 - 1 as it does one of 16.
static inline unsigned turn_at(unsigned at)
{
    return at % 2 * 8;
}

// Of a query's OPT record, which the records overwrite.
struct opt_before {
    uint64_t head, client; // its first 8 octets, and the client's cookie if one is answered
    uint64_t sum;          // over server cookies, which leave; or over the whole record
};

// How the sum over an OPT record is found: by what comes and goes, or, where an answer has an odd length or the query
// options that are not answered, by adding up both records.
enum opt_sum { SUM_GROWTH, SUM_WHOLE };

static inline __attribute__((always_inline)) struct opt_before read_opt(const struct fast_options *o,
                                                                        const struct fast_shape *s, enum opt_sum way)
{
    const uint8_t *cookie = o->opt + s->cookie_at;
    struct opt_before before = {load64(o->opt), load64(cookie), 0};
    if (way == SUM_WHOLE)
        before.sum = sum_octets(0, o->opt, s->query_len);
    else if (s->cookie_len > 8)
        before.sum = add_carry(load64(cookie + 8), load64(cookie + 16));
    return before;
}

// The answer's record, zeros behind it.
static inline __attribute__((always_inline)) void put_opt(const struct fast_options *o, const struct fast_shape *s,
                                                          struct opt_before before, uint8_t *out)
{
#pragma GCC unroll 4
    for (unsigned at = 0; at < FAST_OPT_ROOM; at += 16)
        store_block(out + at, load_aligned(s->reply + at));
    out[7] = before.head >> 56 & 0x80; // DO
    if (__builtin_expect(s->subnet_at, 1)) {
        uint8_t *address = out + s->reply_subnet_at;
        address[-1] = o->scope;
        store_block(address, load_block(o->subnet)); // also over the head of a cookie that follows
    }
    if (__builtin_expect(s->cookie_at, 1)) {
        uint8_t *cookie = out + s->reply_cookie_at;
        store32(cookie - 4, FAST_COOKIE_HEAD);
        store64(cookie, before.client);
        store64(cookie + 8, o->server[0]);
        store64(cookie + 16, o->server[1]);
    }
}

// What the answer's record adds to a sum less what the query's did, both from an even offset on. DO, address and client
// cookie come back; the scope stands where the address does, at the other octet of a word.
static inline __attribute__((always_inline)) uint64_t opt_growth(const struct fast_options *o,
                                                                 const struct fast_shape *s, struct opt_before before)
{
    uint64_t sum = add_carry(s->growth_sum, ~(before.head & ~(1ull << 63)));
    sum = add_carry(sum, (uint64_t)o->scope << s->scope_turn);
    if (__builtin_expect(s->cookie_at, 1)) {
        uint64_t servers = add_carry(o->server[0], o->server[1]);
        if (s->cookie_len > 8)
            servers = add_carry(servers, ~before.sum);
        sum = add_carry(sum, turn64(servers, s->cookie_turn));
    }
    return sum;
}

// To the end of a message, the answer's OPT record. What it adds to the sum, with the growth of the message by its
// difference to the query's, which stood behind the question. The parities are 8 where the query's stood, and where
// `out` is, at an odd offset: octets then count 256 times, which turns a sum of 64 bits modulo 2^64 - 1 as it does one
// of 16.
static inline __attribute__((always_inline)) uint32_t write_opt(const struct fast_options *o,
                                                                const struct fast_shape *s, struct opt_before before,
                                                                enum opt_sum way, uint8_t *out, unsigned end_parity,
                                                                unsigned out_parity)
{
    uint64_t sum;
    put_opt(o, s, before, out);
    if (way == SUM_WHOLE)
        sum = add_carry(turn64(sum_octets(0, out, s->reply_len), out_parity), turn64(~before.sum, end_parity));
    else
        sum = turn64(opt_growth(o, s, before), end_parity);
    return fold32(fold64(sum)) + s->len_sum;
}

// Appends the records, moves the OPT record behind them and sets the header; `frame` is such that the message stands
// where it does over IPv4. Without `options` the message grows by the records only: the OPT record leaves with the
// length with which it came. Returns the sum over the datagram without the checksum field.
static inline __attribute__((always_inline)) uint32_t write_message(const struct fast_burst *b,
                                                                    const struct fast_query *q, const struct rrset *set,
                                                                    const struct fast_options *options,
                                                                    enum opt_sum way, uint8_t *frame)
{
    const uint8_t *wire = rrset_wire(set);
    const unsigned wire_len = set->wire_len, end = fast_end(q->name_len);
    const unsigned parity = end % 2 * 8; // octets from an odd offset on count 256 times, modulo 65,535
    uint32_t sum = q->sum + set->growth_sum + ((uint32_t)set->partial_sum << parity);
    uint8_t *out = frame + end;
    const uint64_t opt = load64(out);
    const struct fast_shape *shape = options ? options->shape : NULL; // loaded once: octets that are stored may be any
    struct opt_before before = {0, 0, 0};
    if (options)
        before = read_opt(options, shape, way);
    store_block(out, load_block(wire));
    store_block(out + 16, load_block(wire + 16));
    for (unsigned at = 32; at < wire_len; at += 16)
        store_block(out + at, load_block(wire + at));
    if (options) {
        sum += write_opt(options, shape, before, way, out + wire_len, parity, (end + wire_len) % 2 * 8);
    } else if (__builtin_expect(q->marks & FAST_EDNS, 1)) {
        out += wire_len;
        store64(out, b->opt | (opt & 1ull << 63));                    // DO
        store32(out + 8, 0);                                          // one octet more than the record has
        sum += (b->size_sum - (uint16_t)(opt >> 24)) << (parity ^ 8); // at an odd offset in the record
    }
    const unsigned flags = load16(frame + FAST_MESSAGE_AT + 2);
    const unsigned new_flags = (flags & swap16(DNS_FLAG_RD | DNS_FLAG_CD)) | swap16(DNS_FLAG_QR | DNS_FLAG_AA);
    store16(frame + FAST_MESSAGE_AT + 2, (uint16_t)new_flags);
    store16(frame + FAST_MESSAGE_AT + 6, (uint16_t)swap16(set->record_count));
    return sum + 0xffff - flags + new_flags;
}

// Back to the sender: addresses and ports swapped, lengths, checksums, hop limit.
static inline __attribute__((always_inline)) void write_headers(const struct fast_burst *b, uint8_t *frame,
                                                                unsigned udp_len, uint32_t sum)
{
    uint8_t *ip = frame + FAST_IP_AT;
    // The sender's address to the front, behind it ours and the type.
    const __m128i turn = _mm_setr_epi8(6, 7, 8, 9, 10, 11, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i first = _mm_or_si128(_mm_shuffle_epi8(load_block(frame), turn), load_aligned(b->family[0].reply_mac));
    // Do not fragment (RFC 9715 section 3.1), hop limit 64, UDP; four octets too many, which the next block covers.
    const uint32_t fixed = 0x45 + (0x4000 >> 8) + (64 | 17 << 8);
    const unsigned total_be = swap16(udp_len + FAST_IPV4_LEN);
    const uint32_t addresses = (uint32_t)load16(ip + 12) + load16(ip + 14) + load16(ip + 16) + load16(ip + 18);
    const uint32_t header = addresses + fixed + total_be;
    __m128i second = _mm_setr_epi8(0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 0, 0, 0, 0);
    second = _mm_insert_epi16(second, (int)total_be, 1);
    second = _mm_insert_epi16(second, (int)~(unsigned)fold32(header), 5);
    // Source and destination address, ports, length, checksum. The complement before folding makes a zero, which would
    // mean "none" (RFC 768), to 0xffff.
    const __m128i swap = _mm_setr_epi8(4, 5, 6, 7, 0, 1, 2, 3, 10, 11, 8, 9, -1, -1, -1, -1);
    __m128i third = _mm_shuffle_epi8(load_block(ip + 12), swap);
    third = _mm_insert_epi16(third, (int)swap16(udp_len), 6);
    third = _mm_insert_epi16(third, (int)fold32(~sum), 7);
    store_block(frame, first);
    store_block(ip, second);
    store_block(ip + 12, third);
}

// The same of IPv6.
static __attribute__((noinline)) void write_headers6(const struct fast_burst *b, uint8_t *frame, unsigned udp_len,
                                                     uint32_t sum)
{
    uint8_t *ip = frame + FAST_IP_AT;
    const __m128i turn = _mm_setr_epi8(6, 7, 8, 9, 10, 11, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i first = _mm_or_si128(_mm_shuffle_epi8(load_block(frame), turn), load_aligned(b->family[1].reply_mac));
    const __m128i source = load_block(ip + 8), destination = load_block(ip + 24);
    const uint32_t ports = load32(ip + FAST_IPV6_LEN);
    store_block(frame, first);
    store64(ip, 0x60 | (uint64_t)swap16(udp_len) << 32 | 17ull << 48 | 64ull << 56); // no class, no flow label
    store_block(ip + 8, destination);
    store_block(ip + 24, source);
    store64(ip + FAST_IPV6_LEN,
            (ports << 16 | ports >> 16) | (uint64_t)swap16(udp_len) << 32 | (uint64_t)fold32(~sum) << 48);
}

// What an answer of fast_miss has else than the common one: rcode, AA, and for an SOA section and pointers to the apex.
// `sum` with what they add.
static uint32_t write_miss(const struct fast_burst *b, const struct fast_query *q, const struct rrset *set,
                           uint8_t *frame, uint32_t sum)
{
    uint8_t *flags = frame + FAST_MESSAGE_AT + 2;
    const unsigned before = load16(flags),
                   after = (before & ~(q->rcode == RCODE_REFUSED ? swap16(DNS_FLAG_AA) : 0)) | swap16(q->rcode);
    store16(flags, (uint16_t)after);
    sum = fold32(sum) + 0xffff - before + after;
    if (!q->apex_at)
        return sum;
    const unsigned end = fast_end(q->name_len), pointer = swap16(0xc000u | q->apex_at);
    uint8_t *out = frame + end;
    store32(frame + FAST_MESSAGE_AT + 6, 1u << 24); // none in the answer section, one in the authority section
    sum += (0xffff - swap16(0xc000u | DNS_HEADER_LEN) + pointer) << end % 2 * 8;
    store16(out, (uint16_t)pointer);
    const uint16_t *patch = (const uint16_t *)image_at(b->zone_image, set->patch_at);
    for (unsigned i = 0; i < set->patch_count; i++) { // an SOA has two names at most
        sum += (0xffff - load16(out + patch[i]) + pointer) << (end + patch[i]) % 2 * 8;
        store16(out + patch[i], (uint16_t)pointer);
    }
    return sum;
}

// One with options over IPv4, which adds nothing uncommon to its sum.
static inline __attribute__((always_inline)) void
write_with_options(const struct fast_burst *b, struct packet_slot *slot, const struct fast_query *q)
{
    const struct rrset *set = (const struct rrset *)q->at;
    const struct fast_options *o = &q->options;
    uint8_t *frame = slot->frame;
    const unsigned udp_len = q->udp_len + set->wire_len + o->shape->reply_len - o->shape->query_len;
    slot->reply_len = (uint16_t)(FAST_UDP_AT + udp_len);
    write_headers(b, frame, udp_len, write_message(b, q, set, o, SUM_GROWTH, frame));
}

// The end of one that is written over IPv6, or is not there.
static inline void finish_uncommon(const struct fast_burst *b, struct packet_slot *slot, const struct fast_query *q,
                                   unsigned udp_len, uint32_t sum)
{
    const unsigned shift = q->marks & FAST_IPV6 ? FAST_IPV6_SHIFT : 0;
    if (q->marks & FAST_MISS)
        sum = write_miss(b, q, (const struct rrset *)q->at, slot->frame + shift, sum);
    slot->reply_len = (uint16_t)(FAST_UDP_AT + shift + udp_len);
    if (shift)
        write_headers6(b, slot->frame, udp_len, sum);
    else
        write_headers(b, slot->frame, udp_len, sum);
}

static __attribute__((noinline)) void write_uncommon(const struct fast_burst *b, struct packet_slot *slot,
                                                     const struct fast_query *q)
{
    const struct rrset *set = (const struct rrset *)q->at;
    uint8_t *frame = slot->frame + (q->marks & FAST_IPV6 ? FAST_IPV6_SHIFT : 0);
    finish_uncommon(b, slot, q, q->udp_len + set->wire_len, write_message(b, q, set, NULL, SUM_GROWTH, frame));
}

// Or has options that are not answered.
static __attribute__((noinline)) void write_uncommon_options(const struct fast_burst *b, struct packet_slot *slot,
                                                             const struct fast_query *q)
{
    const struct rrset *set = (const struct rrset *)q->at;
    const struct fast_options *o = &q->options;
    uint8_t *frame = slot->frame + (q->marks & FAST_IPV6 ? FAST_IPV6_SHIFT : 0);
    const unsigned udp_len = q->udp_len + set->wire_len + o->shape->reply_len - o->shape->query_len;
    finish_uncommon(b, slot, q, udp_len,
                    q->marks & (FAST_UNANSWERED | FAST_MISS) ? write_message(b, q, set, o, SUM_WHOLE, frame)
                                                             : write_message(b, q, set, o, SUM_GROWTH, frame));
}

// Over IPv4, without options, and there.
static inline __attribute__((always_inline)) void write_common(const struct fast_burst *b, struct packet_slot *slot,
                                                               const struct fast_query *q)
{
    const struct rrset *set = (const struct rrset *)q->at;
    uint8_t *frame = slot->frame;
    const unsigned udp_len = q->udp_len + set->wire_len;
    slot->reply_len = (uint16_t)(FAST_UDP_AT + udp_len);
    write_headers(b, frame, udp_len, write_message(b, q, set, NULL, SUM_GROWTH, frame));
}

// From query `i` on, of whatever kind. A pass of its own: the registers of the other one are the common query's.
static __attribute__((noinline)) void write_others(struct fast_burst *b, struct packet_slot *slot, unsigned i,
                                                   unsigned count)
{
    for (; i < count; i++) {
        const struct fast_query *q = &b->query[i];
        if (!fast_fits(q, (const struct rrset *)q->at)) {
            b->plain[b->plain_count++] = (uint16_t)i;
            continue;
        }
        slot[i].verdict = PACKET_SEND;
        b->marks += q->marks;
        const uint64_t kind = q->marks & (FAST_IPV6 | FAST_OPTIONS | FAST_MISS | FAST_UNANSWERED);
        if (kind == FAST_OPTIONS)
            write_with_options(b, &slot[i], q);
        else if (kind == 0)
            write_common(b, &slot[i], q);
        else if (kind & FAST_OPTIONS)
            write_uncommon_options(b, &slot[i], q);
        else
            write_uncommon(b, &slot[i], q);
    }
}

void fast_write(struct fast_burst *b, struct packet_slot *slot, unsigned count)
{
    uint64_t marks = 0;
    unsigned left = 0, i = 0;
    for (; i < count; i++) {
        const struct fast_query *q = &b->query[i];
        if (__builtin_expect(!fast_fits(q, (const struct rrset *)q->at), 0)) {
            b->plain[left++] = (uint16_t)i;
            continue;
        }
        if (__builtin_expect(q->marks >= FAST_IPV6, 0))
            break;
        slot[i].verdict = PACKET_SEND;
        marks += q->marks;
        write_common(b, &slot[i], q);
    }
    b->marks = marks;
    b->plain_count = left;
    if (i < count)
        write_others(b, slot, i, count);
    b->answer_count = count - b->plain_count;
}

#endif
