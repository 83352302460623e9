// SPDX-License-Identifier: Apache-2.0
// The short way for the common query: an untagged frame, UDP over IPv4, one question of type A or AAAA and class IN, no
// EDNS option, a name that has a plain set or an untailored service. Everything else, and every doubt, is left to
// packet_handle_plain, to which it is held equal by a test.
//
// Stages: frame, message, look-up, answer, headers. Each stage only reads until the answer is certain, so that giving
// up costs nothing but its own instructions. Checksums: the sum over the received datagram is verified and then updated
// by what changes (RFC 1624), so that each octet is added once.
#include "dataplane/packet.h"

#include <smmintrin.h>
#include <string.h>

#include "dataplane/query.h"
#include "table/order_image.h"

enum {
    ETHERNET_LEN = 14,
    IPV4_LEN = 20,
    UDP_LEN = 8,
    OPT_LEN = 11,
    NAME_BLOCKS = 4, // names of up to 64 octets; longer ones are rare and take the plain way
    COPY_SLACK = 32  // the answer is copied in blocks
};

static inline uint16_t load16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline void store16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, 2);
}

static inline void store32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, 4);
}

static inline void store64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, 8);
}

static inline unsigned swap16(unsigned v)
{
    return __builtin_bswap16((uint16_t)v);
}

// The name as folded blocks, zero-filled. Labels are not walked: a stored name that equals these octets, up to and with
// the first zero, has the same labels, and when none does the plain way looks properly.
struct question {
    __m128i name[NAME_BLOCKS];
    uint64_t hash;
    unsigned name_len;
    unsigned end; // offset behind the question in the message
    uint16_t type;
    bool has_edns;
    bool wants_dnssec;
};

static inline __m128i load_block(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

// A-Z to a-z in 16 octets: moved so that 'A'..'Z' become the 26 largest signed values.
static inline __m128i fold_block(__m128i v)
{
    const __m128i moved = _mm_add_epi8(v, _mm_set1_epi8(127 - 'Z'));
    const __m128i is_upper = _mm_cmpgt_epi8(moved, _mm_set1_epi8(127 - 26));
    return _mm_or_si128(v, _mm_and_si128(is_upper, _mm_set1_epi8(0x20)));
}

// Folds and hashes the name at `p`, which may read 16 octets past it. False when its end does not come soon.
static inline bool take_name(struct question *q, const uint8_t *p, uint64_t seed)
{
    static const uint8_t keep[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    uint64_t h = seed;
    for (unsigned i = 0; i < NAME_BLOCKS; i++) {
        __m128i v = load_block(p + 16 * i);
        const unsigned zeros = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128()));
        const unsigned end = (unsigned)__builtin_ctz(zeros | 0x10000);
        v = fold_block(_mm_and_si128(v, load_block(keep + 16 - end)));
        q->name[i] = v;
        h = name_hash_step(h, (uint64_t)_mm_cvtsi128_si64(v), (uint64_t)_mm_extract_epi64(v, 1));
        if (zeros) {
            q->name_len = 16 * i + end + 1;
            q->hash = name_hash_end(h);
            return true;
        }
    }
    return false;
}

// The message of `len` octets: exactly one question of the common kind, no options.
static inline bool take_question(struct question *q, const uint8_t *msg, unsigned len, uint64_t seed)
{
    // Flags, question, answer and authority counts in one word: a query, opcode 0, one question, nothing else.
    const uint64_t counts = load64(msg + 2);
    const uint64_t mask = 0xffffffffffff0000ull | (uint64_t)swap16(DNS_FLAG_QR | DNS_OPCODE_MASK);
    if ((counts & mask) != (uint64_t)swap16(1) << 16)
        return false;
    if (!take_name(q, msg + DNS_HEADER_LEN, seed))
        return false;
    const unsigned at = DNS_HEADER_LEN + q->name_len;
    if (at + 4 > len)
        return false;
    const uint32_t type_class = load32(msg + at);
    q->end = at + 4;
    if (type_class == (swap16(DNS_A) | swap16(DNS_IN) << 16))
        q->type = DNS_A;
    else if (type_class == (swap16(DNS_AAAA) | swap16(DNS_IN) << 16))
        q->type = DNS_AAAA;
    else
        return false;
    const unsigned additional = load16(msg + 10);
    q->has_edns = additional != 0;
    q->wants_dnssec = false;
    if (!q->has_edns)
        return q->end == len;
    // Owner 0, type 41, size, extended rcode any, version 0, flags, no options.
    const uint8_t *opt = msg + q->end;
    if (additional != swap16(1) || q->end + OPT_LEN != len || (load32(opt) & 0xffffff) != 41u << 16 || opt[6] != 0 ||
        load16(opt + 9))
        return false;
    q->wants_dnssec = opt[7] & 0x80;
    return true;
}

// The node of exactly this name.
static inline const struct zone_node *find_node(const void *image, const struct zone_index *index,
                                                const struct question *q)
{
    const struct zone_slot *slots = (const struct zone_slot *)image_at(image, index->slot_at);
    const uint32_t tag = (uint32_t)(q->hash >> 32);
    const struct zone_slot *slot = &slots[(uint32_t)q->hash & index->slot_mask];
    for (uint32_t i = 1; slot->tag != tag; i++) {
        if (slot->node_at == 0 || i > index->probe_limit)
            return NULL;
        slot = &slots[((uint32_t)q->hash + i) & index->slot_mask];
    }
    const struct zone_node *node = (const struct zone_node *)image_at(image, slot->node_at);
    if (slot->node_at == 0 || node->name_len != q->name_len)
        return NULL; // two names with one tag: the plain way finds it
    const uint8_t *name = zone_node_name(node);
    __m128i difference = _mm_setzero_si128();
    for (unsigned i = 0; 16 * i < q->name_len; i++)
        difference = _mm_or_si128(difference, _mm_xor_si128(load_block(name + 16 * i), q->name[i]));
    return _mm_testz_si128(difference, difference) ? node : NULL;
}

// The set to append, or null when the plain way must look: nothing there, aliases, delegations, tailored or failing
// services.
static inline const struct rrset *find_set(const struct answer_context *context, const struct zone_index *index,
                                           const struct question *q, bool *is_service)
{
    const struct zone_node *node = find_node(context->zone_image, index, q);
    if (!node || (node->flags & ~(NODE_APEX | NODE_SERVICE)))
        return NULL;
    *is_service = node->flags & NODE_SERVICE;
    if (!*is_service) {
        const struct rrset_ref *ref = zone_node_refs(node);
        for (unsigned i = 0; i < node->rrset_count; i++)
            if (ref[i].type == q->type)
                return (const struct rrset *)image_at(context->zone_image, ref[i].rrset_at);
        return NULL;
    }
    const void *image = context->order_image;
    const struct order_service *service =
        (const struct order_service *)image_at(image, order_image_index(image)->service_at) + node->service;
    if (service->flags || context->is_stale || !(service->owned_types >> q->type & 1))
        return NULL;
    const uint32_t *table = (const uint32_t *)image_at(image, service->table_at);
    const struct order_answer *answer = (const struct order_answer *)image_at(image, table[0]);
    const uint32_t at = q->type == DNS_A ? answer->a_at : answer->aaaa_at;
    return answer->mode == ORDER_ANSWER && answer->ede == 0 && at ? (const struct rrset *)image_at(image, at) : NULL;
}

// Ones' complement sum of `len` octets as 16-bit words, to 32 bits; reads up to 7 octets past the end.
static inline uint64_t sum_octets(const uint8_t *p, unsigned len)
{
    __uint128_t sum = 0;
    unsigned at = 0;
    for (; at + 16 <= len; at += 16) {
        sum += load64(p + at);
        sum += load64(p + at + 8);
    }
    if (len & 8) {
        sum += load64(p + at);
        at += 8;
    }
    sum += load64(p + at) & ((1ull << 8 * (len & 7)) - 1);
    const uint64_t low = (uint64_t)sum;
    return (low >> 32) + (low & 0xffffffff) + (uint64_t)(sum >> 64);
}

// To 16 bits, from anything below 2^48.
static inline uint16_t fold16(uint64_t sum)
{
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)((sum >> 16) + sum);
}

// Appends the set and the OPT record and brings the sum over the datagram from the query to the response. Length of the
// response; the caller has checked that it fits.
static inline unsigned write_answer(uint8_t *msg, const struct question *q, const struct rrset *set, unsigned udp_max,
                                    uint64_t *datagram_sum)
{
    const uint8_t *wire = rrset_wire(set);
    uint8_t *out = msg + q->end;
    uint64_t tail = set->partial_sum;
    if (q->has_edns) // what falls away is added as its complement
        tail += 0xffffffffull * 2 - ((load64(out) >> 32) + (load64(out) & 0xffffffff) + (load32(out + 7) >> 8));
    for (unsigned at = 0; at < set->wire_len; at += 16)
        _mm_storeu_si128((__m128i *)(void *)(out + at), load_block(wire + at));
    const unsigned flags = load16(msg + 2);
    const unsigned kept = swap16(DNS_FLAG_RD | DNS_FLAG_CD), set_bits = swap16(DNS_FLAG_QR | DNS_FLAG_AA);
    const unsigned new_flags = (flags & kept) | set_bits;
    store16(msg + 2, (uint16_t)new_flags);
    store32(msg + 6, swap16(set->record_count));
    out += set->wire_len;
    if (q->has_edns) {
        const uint64_t opt = 41u << 16 | (uint64_t)swap16(udp_max) << 24 | (uint64_t)(q->wants_dnssec ? 0x80 : 0) << 56;
        store64(out, opt);
        store32(out + 7, q->wants_dnssec ? 0x80 : 0);
        tail += (opt >> 32) + (opt & 0xffffffff);
        out += OPT_LEN;
    }
    // Records have even lengths, so that one parity holds for the whole tail.
    unsigned tail_sum = fold16(tail);
    tail_sum = q->end & 1 ? swap16(tail_sum) : tail_sum;
    *datagram_sum += tail_sum + new_flags + (0xffff - flags) + swap16(set->record_count);
    return (unsigned)(out - msg);
}

static inline bool is_our_ipv4(const struct zone_settings *s, uint32_t address)
{
    for (unsigned i = 0; i < s->address_count; i++)
        if (load32(s->address[i].address) == address && !s->address[i].is_ipv6)
            return true;
    return false;
}

// Sources that packet.c refuses.
static inline bool is_good_source(uint32_t source, uint32_t destination, unsigned port)
{
    const unsigned first = source & 0xff;
    const bool is_bad_port = port < 20 && (1u << port & (1u << 0 | 1u << 7 | 1u << 17 | 1u << 19));
    return first != 0 && first != 127 && first < 224 && source != destination && !is_bad_port;
}

// Swaps addresses and ports, writes lengths and checksums of an IPv4 reply. `datagram_sum` is the sum over pseudo
// header and datagram but for the two lengths and the checksum.
static inline void finish_ipv4(const struct packet_port *port, uint8_t *frame, uint8_t *ip, unsigned len,
                               uint64_t datagram_sum)
{
    uint8_t *udp = ip + IPV4_LEN;
    const unsigned udp_len = len + UDP_LEN, udp_len_be = swap16(udp_len), total_be = swap16(udp_len + IPV4_LEN);
    const uint64_t addresses = load64(ip + 12);
    const uint32_t ports = load32(udp);
    const uint64_t address_sum = (addresses & 0xffffffff) + (addresses >> 32);
    const uint64_t fixed = 0x45u + swap16(0x4000) + (64u | 17u << 8); // do not fragment, hop limit 64, UDP
    store64(ip, 0x45u | (uint64_t)total_be << 16 | (uint64_t)swap16(0x4000) << 48);
    store32(ip + 8, (64u | 17u << 8) | (uint32_t)(uint16_t)~fold16(fixed + total_be + address_sum) << 16);
    store64(ip + 12, addresses >> 32 | addresses << 32);
    const uint16_t sum = (uint16_t)~fold16(datagram_sum + 2 * udp_len_be);
    store64(udp, (ports >> 16 | ports << 16) | (uint64_t)udp_len_be << 32 | (uint64_t)(sum ? sum : 0xffff) << 48);
    const uint64_t sender = load64(frame + 6);
    store64(frame, (sender & 0xffffffffffffull) | load64(port->mac) << 48);
    store32(frame + 8, load32(port->mac + 2));
}

struct datagram {
    uint8_t *ip, *msg;
    unsigned udp_len;
    uint64_t sum; // over pseudo header and datagram but for the two lengths and the checksum
};

// Frame, IPv4 and UDP headers of a query to us, checksums right.
static inline bool take_datagram(const struct zone_settings *settings, const struct packet_port *port, uint8_t *frame,
                                 unsigned len, enum packet_checksum checksum, struct datagram *d)
{
    uint8_t *ip = frame + ETHERNET_LEN, *udp = ip + IPV4_LEN;
    if (load16(frame + 12) != swap16(0x0800) || ((load64(frame) ^ load64(port->mac)) & 0xffffffffffffull))
        return false;
    const uint32_t first = load32(ip), third = load32(ip + 8), source = load32(ip + 12), destination = load32(ip + 16);
    const unsigned total = swap16(first >> 16);
    if ((first & 0xff) != 0x45 || total > len - ETHERNET_LEN || (third >> 8 & 0xff) != 17 ||
        (load16(ip + 6) & swap16(0x3fff)))
        return false;
    if (fold16((uint64_t)first + load32(ip + 4) + third + source + destination) != 0xffff)
        return false;
    const uint64_t head = load64(udp); // ports, length, checksum
    const unsigned udp_len_be = head >> 32 & 0xffff, udp_len = swap16(udp_len_be), sent = (unsigned)(head >> 48);
    if ((head >> 16 & 0xffff) != swap16(53) || udp_len != total - IPV4_LEN || udp_len < UDP_LEN + DNS_HEADER_LEN + 5)
        return false;
    if (!is_our_ipv4(settings, destination) || !is_good_source(source, destination, swap16(head & 0xffff)))
        return false;
    if (sent == 0 || port->is_checksum_trusted || checksum == PACKET_CHECKSUM_BAD ||
        checksum == PACKET_CHECKSUM_UNFINISHED)
        return false;
    if (checksum == PACKET_CHECKSUM_UNKNOWN &&
        fold16((uint64_t)source + destination + swap16(17) + udp_len_be + sum_octets(udp, udp_len)) != 0xffff)
        return false;
    // The whole sums up to 0xffff, which is zero; the two lengths and the checksum are taken off as complements.
    *d = (struct datagram){ip, udp + UDP_LEN, udp_len, 3 * 0xffffull - 2 * udp_len_be - sent};
    return true;
}

static inline unsigned size_limit(const struct question *q, const uint8_t *msg, const struct zone_settings *settings)
{
    if (!q->has_edns)
        return ANSWER_UDP_MIN;
    const unsigned size = swap16(load16(msg + q->end + 3));
    return size < ANSWER_UDP_MIN ? ANSWER_UDP_MIN : size < settings->udp_max ? size : settings->udp_max;
}

static inline bool fast_answer(struct answer_context *context, const struct packet_port *port, uint8_t *frame,
                               unsigned len, unsigned cap, enum packet_checksum checksum, unsigned *reply_len)
{
    if (len < ETHERNET_LEN + IPV4_LEN + UDP_LEN + DNS_HEADER_LEN + 5 || !context->order_image || !context->zone_image)
        return false;
    const struct zone_index *index = zone_image_index(context->zone_image);
    const struct zone_settings *settings =
        (const struct zone_settings *)image_at(context->zone_image, index->settings_at);
    struct datagram d;
    struct question q;
    bool is_service;
    if ((settings->flags & SETTING_RATE_LIMIT) || !take_datagram(settings, port, frame, len, checksum, &d))
        return false;
    if (!take_question(&q, d.msg, d.udp_len - UDP_LEN, index->hash_seed))
        return false;
    const struct rrset *set = find_set(context, index, &q, &is_service);
    if (!set)
        return false;
    // The plain way keeps 6 octets back for an extended error: near the limit it decides.
    const unsigned needed = q.end + set->wire_len + OPT_LEN + 6;
    if (needed > size_limit(&q, d.msg, settings) || ETHERNET_LEN + IPV4_LEN + UDP_LEN + needed + COPY_SLACK > cap)
        return false;
    const unsigned reply = write_answer(d.msg, &q, set, settings->udp_max, &d.sum);
    finish_ipv4(port, frame, d.ip, reply, d.sum);
    *reply_len = ETHERNET_LEN + IPV4_LEN + UDP_LEN + reply;
    counters_add(context->counters, COUNTER_queries_udp4, 1);
    counters_add(context->counters, COUNTER_edns_queries, q.has_edns);
    counters_add(context->counters, COUNTER_answers_service, is_service);
    counters_add(context->counters, COUNTER_answers_noerror, 1);
    return true;
}

enum packet_verdict packet_handle(struct answer_context *context, const struct packet_port *port, uint8_t *frame,
                                  unsigned len, unsigned cap, enum packet_checksum checksum, unsigned *reply_len)
{
    if (fast_answer(context, port, frame, len, cap, checksum, reply_len))
        return PACKET_SEND;
    return packet_handle_plain(context, port, frame, len, cap, checksum, reply_len);
}
