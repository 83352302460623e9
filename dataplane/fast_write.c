// SPDX-License-Identifier: Apache-2.0
// Third stage of the short way: the answer, in place.
#ifdef __SSE4_1__
#include "dataplane/fast_stages.h"

#include "dataplane/bytes.h"
#include "dataplane/query.h"

// Octets from an odd offset on count 256 times, modulo 65,535: the bits by which a sum over them is turned.
static inline unsigned turn_at(unsigned at)
{
    return at % 2 * 8;
}

static inline __attribute__((always_inline)) void put_records(uint8_t *out, const struct rrset *set, unsigned wire_len)
{
    const uint8_t *wire = rrset_wire(set);
    store_block(out, load_block(wire));
    store_block(out + 16, load_block(wire + 16));
    if (__builtin_expect(wire_len > 32, 0))
        for (unsigned at = 32; at < wire_len; at += 16)
            store_block(out + at, load_block(wire + at));
}

// Sets the header of the message, which stands in `frame` where it does over IPv4. Returns the complement of the sum
// over the datagram without the checksum field: `sum` is the one with the query's flags. A checksum is folded from the
// complement, not complemented after folding, so that it is never the zero that would mean "none" (RFC 768): no sum has
// all bits set.
static inline __attribute__((always_inline)) uint64_t turn_message(uint8_t *frame, const struct rrset *set,
                                                                   uint64_t sum)
{
    const unsigned kept = swap16(DNS_FLAG_RD | DNS_FLAG_CD), added = swap16(DNS_FLAG_QR | DNS_FLAG_AA);
    const unsigned flags = load16(frame + FAST_MESSAGE_AT + 2);
    store16(frame + FAST_MESSAGE_AT + 2, (uint16_t)((flags & kept) | added));
    store16(frame + FAST_MESSAGE_AT + 6, (uint16_t)swap16(set->record_count));
    return (flags & ~kept) - sum - (0xffff + added + 1); // ~(sum + 0xffff - (flags & ~kept) + added)
}

// Appends the records, and an OPT record without options behind them: turn_message's complement, to 32 bits. The
// message grows by the records only: the OPT record leaves with the length with which it came.
static inline __attribute__((always_inline)) uint32_t
write_message(const struct fast_burst *b, const struct fast_query *q, const struct rrset *set, uint8_t *frame)
{
    const unsigned end = fast_end(q->name_len), parity = turn_at(end), wire_len = set->wire_len;
    uint32_t sum = q->sum + set->growth_sum + ((uint32_t)set->partial_sum << parity);
    uint8_t *out = frame + end;
    const uint64_t opt = load64(out); // before records are written over it
    put_records(out, set, wire_len);
    if (__builtin_expect(q->marks & FAST_EDNS, 1)) {
        out += wire_len;
        store64(out, b->opt | (opt & FAST_OPT_DO));
        store32(out + 8, 0);                                          // one octet more than the record has
        sum += (b->size_sum - (uint16_t)(opt >> 24)) << (parity ^ 8); // at an odd offset in the record
    }
    return (uint32_t)turn_message(frame, set, sum);
}

// How the sum over an OPT record is found: by what comes and goes, or, where an answer has an odd length or the query
// options that are not answered, by adding up both records.
enum opt_sum { SUM_GROWTH, SUM_WHOLE };

// Writes the answer's record; what its server cookie adds to a sum, from an even offset on. `before` are the octets of
// the query's record from FAST_OPT_SIZE_AT on, which the records overwrote.
static inline __attribute__((always_inline)) uint64_t put_opt(const struct fast_burst *b, const struct fast_options *o,
                                                              const struct fast_shape *s, bool is_ipv6, uint64_t before,
                                                              uint8_t *out)
{
    store64(out, b->opt | (before << 8 * FAST_OPT_SIZE_AT & FAST_OPT_DO));
    store32(out + 8, s->reply_data_len); // one octet more than there is before the options
    if (__builtin_expect(s->subnet_at, 1)) {
        uint8_t *address = out + s->reply_subnet_at;
        store64(address - 8, s->reply_subnet);
        address[-1] = o->scope;
        store_block(address, load_block(o->subnet)); // also over the head of a cookie that follows
    }
    if (__builtin_expect(!s->cookie_at, 0))
        return 0;
    const struct fast_cookies *c = &b->cookies[is_ipv6];
    const size_t lane = o->lane;
    uint8_t *cookie = out + s->reply_cookie_at;
    store32(cookie - 4, FAST_COOKIE_HEAD);
    store64(cookie, c->batch.word[0][lane]);
    store64(cookie + 8, cookie_made_head(&c->batch, lane));
    store64(cookie + 16, cookie_made_hash(&c->batch, lane));
    return c->growth[lane] * s->cookie_weight;
}

// As write_message, with the OPT record that goes with the query's options; the complement to 64 bits. What comes back
// does not count: DO, the address, the client cookie.
static inline __attribute__((always_inline)) uint64_t
write_message_with_options(const struct fast_burst *b, const struct fast_query *q, const struct rrset *set,
                           enum opt_sum way, bool is_ipv6, uint8_t *frame)
{
    const struct fast_options *o = &q->options;
    const struct fast_shape *s = o->shape;
    const unsigned end = fast_end(q->name_len), wire_len = set->wire_len;
    uint8_t *out = frame + end;
    const uint64_t whole = way == SUM_WHOLE ? sum_octets(0, out, s->query_len) : 0;
    const uint64_t before = load64(out + FAST_OPT_SIZE_AT);
    put_records(out, set, wire_len);
    out += wire_len;
    const uint64_t servers = put_opt(b, o, s, is_ipv6, before, out);
    const uint32_t outside = q->sum + set->growth_sum + s->len_sum;
    uint64_t sum = set->partial_sum, moved = 0; // from `end` on, less than 2^43; turned already
    if (way == SUM_WHOLE) {
        sum += fold64(~whole);
        moved = (uint64_t)fold64(sum_octets(0, out, s->reply_len)) << turn_at(end + wire_len);
    } else {
        sum += s->growth_sum - (uint32_t)before + o->scope * s->scope_weight + servers;
    }
    return turn_message(frame, set, (sum << turn_at(end)) + moved + outside);
}

// Back to the sender: addresses and ports swapped, lengths, checksums, hop limit.
static inline __attribute__((always_inline)) void write_headers(const struct fast_burst *b, uint8_t *frame,
                                                                unsigned udp_len, unsigned checksum)
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
    // Source and destination address, ports, length, checksum.
    const __m128i swap = _mm_setr_epi8(4, 5, 6, 7, 0, 1, 2, 3, 10, 11, 8, 9, -1, -1, -1, -1);
    __m128i third = _mm_shuffle_epi8(load_block(ip + 12), swap);
    third = _mm_insert_epi16(third, (int)swap16(udp_len), 6);
    third = _mm_insert_epi16(third, (int)checksum, 7);
    store_block(frame, first);
    store_block(ip, second);
    store_block(ip + 12, third);
}

// The same of IPv6.
static __attribute__((noinline)) void write_headers6(const struct fast_burst *b, uint8_t *frame, unsigned udp_len,
                                                     unsigned checksum)
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
            (ports << 16 | ports >> 16) | (uint64_t)swap16(udp_len) << 32 | (uint64_t)checksum << 48);
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
    sum += (0xffff - swap16(0xc000u | DNS_HEADER_LEN) + pointer) << turn_at(end);
    store16(out, (uint16_t)pointer);
    const uint16_t *patch = (const uint16_t *)image_at(b->zone_image, set->patch_at);
    for (unsigned i = 0; i < set->patch_count; i++) { // an SOA has two names at most
        sum += (0xffff - load16(out + patch[i]) + pointer) << turn_at(end + patch[i]);
        store16(out + patch[i], (uint16_t)pointer);
    }
    return sum;
}

// Over IPv4, and there; without options,
static inline __attribute__((always_inline)) void write_common(const struct fast_burst *b, struct packet_slot *slot,
                                                               const struct fast_query *q)
{
    const struct rrset *set = (const struct rrset *)q->at;
    uint8_t *frame = slot->frame;
    const unsigned udp_len = q->udp_len + set->wire_len;
    slot->reply_len = (uint16_t)(FAST_UDP_AT + udp_len);
    write_headers(b, frame, udp_len, fold32(write_message(b, q, set, frame)));
}

// and with them.
static inline __attribute__((always_inline)) void
write_with_options(const struct fast_burst *b, struct packet_slot *slot, const struct fast_query *q)
{
    const struct rrset *set = (const struct rrset *)q->at;
    uint8_t *frame = slot->frame;
    const unsigned udp_len = q->udp_len + set->wire_len + q->options.shape->growth;
    slot->reply_len = (uint16_t)(FAST_UDP_AT + udp_len);
    write_headers(b, frame, udp_len, fold32(fold64(write_message_with_options(b, q, set, SUM_GROWTH, false, frame))));
}

// The end of one that is written over IPv6, or is not there.
static inline __attribute__((always_inline)) void finish_uncommon(const struct fast_burst *b, struct packet_slot *slot,
                                                                  const struct fast_query *q, unsigned udp_len,
                                                                  uint32_t complement)
{
    const unsigned shift = q->marks & FAST_IPV6 ? FAST_IPV6_SHIFT : 0;
    if (q->marks & FAST_MISS)
        complement = ~write_miss(b, q, (const struct rrset *)q->at, slot->frame + shift, ~complement);
    slot->reply_len = (uint16_t)(FAST_UDP_AT + shift + udp_len);
    if (shift)
        write_headers6(b, slot->frame, udp_len, fold32(complement));
    else
        write_headers(b, slot->frame, udp_len, fold32(complement));
}

static __attribute__((noinline)) void write_uncommon(const struct fast_burst *b, struct packet_slot *slot,
                                                     const struct fast_query *q)
{
    const struct rrset *set = (const struct rrset *)q->at;
    uint8_t *frame = slot->frame + (q->marks & FAST_IPV6 ? FAST_IPV6_SHIFT : 0);
    finish_uncommon(b, slot, q, q->udp_len + set->wire_len, write_message(b, q, set, frame));
}

// Or has options that are not answered.
static __attribute__((noinline)) void write_uncommon_options(const struct fast_burst *b, struct packet_slot *slot,
                                                             const struct fast_query *q)
{
    const struct rrset *set = (const struct rrset *)q->at;
    const bool is_ipv6 = q->marks & FAST_IPV6;
    uint8_t *frame = slot->frame + (is_ipv6 ? FAST_IPV6_SHIFT : 0);
    const unsigned udp_len = q->udp_len + set->wire_len + q->options.shape->growth;
    const uint64_t complement = q->marks & (FAST_UNANSWERED | FAST_MISS)
                                    ? write_message_with_options(b, q, set, SUM_WHOLE, is_ipv6, frame)
                                    : write_message_with_options(b, q, set, SUM_GROWTH, is_ipv6, frame);
    finish_uncommon(b, slot, q, udp_len, fold64(complement));
}

// From query `i` on, of whatever kind. A pass of its own: the registers of the other one are the common query's.
static __attribute__((noinline)) void write_others(struct fast_burst *b, struct packet_slot *slot, unsigned i,
                                                   unsigned count)
{
    for (; i < count; i++) {
        const struct fast_query *q = &b->query[i];
        if (__builtin_expect(!fast_fits(q, (const struct rrset *)q->at), 0)) {
            b->plain[b->plain_count++] = (uint16_t)i;
            continue;
        }
        slot[i].verdict = PACKET_SEND;
        b->marks += q->marks;
        const uint64_t kind = q->marks & (FAST_IPV6 | FAST_OPTIONS | FAST_MISS | FAST_UNANSWERED);
        if (__builtin_expect(kind == FAST_OPTIONS, 1))
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
