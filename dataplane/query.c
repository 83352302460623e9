// SPDX-License-Identifier: Apache-2.0
#include "dataplane/query.h"

#include <string.h>

#include "dataplane/bytes.h"

enum { RECORD_MAX = 64 }; // records behind the question that we walk; more is malformed for a query

// Folds A-Z in eight octets at once: an octet is upper case when adding 63 - 26 sets its top bit but adding 63 does
// not.
static inline uint64_t fold_word(uint64_t v)
{
    const uint64_t low7 = 0x7f7f7f7f7f7f7f7full, ones = 0x0101010101010101ull;
    uint64_t seven = v & low7;
    uint64_t at_least_a = seven + ones * (0x80 - 'A');
    uint64_t above_z = seven + ones * (0x80 - 'Z' - 1);
    uint64_t is_upper = at_least_a & ~above_z & ~v & (ones * 0x80);
    return v | is_upper >> 2; // 0x80 >> 2 is the case bit
}

// Checks the name at `at` and copies it folded into the key. Its length, or 0 when malformed.
static unsigned parse_name(struct zone_key *key, const uint8_t *msg, unsigned at, unsigned len)
{
    const unsigned room = len - at < NAME_MAX_LEN ? len - at : NAME_MAX_LEN;
    unsigned used = 0, labels = 0;
    for (;;) { // at most 128 rounds: each takes an octet of at most 255
        if (used >= room)
            return 0;
        const unsigned label = msg[at + used];
        used += label + 1;
        if (label == 0)
            break;
        if (label > LABEL_MAX_LEN) // a compression pointer has nothing to point to, other label types do not exist
            return 0;
        labels++;
    }
    for (unsigned i = 0; i < used; i += 8) { // reads at most 7 octets past the name, inside the slack
        uint64_t word;
        memcpy(&word, msg + at + i, 8);
        word = fold_word(word);
        memcpy(key->name + i, &word, 8);
    }
    memset(key->name + used, 0, 16);
    key->len = used;
    key->label_count = labels;
    return used;
}

// Skips an owner name, which may be compressed. Offset behind it, or 0.
static unsigned skip_name(const uint8_t *msg, unsigned at, unsigned len)
{
    for (unsigned i = 0; i <= NAME_MAX_LABELS && at < len; i++) {
        const unsigned label = msg[at];
        if (label == 0)
            return at + 1;
        if (label >= 0xc0)
            return at + 2 <= len ? at + 2 : 0;
        if (label > LABEL_MAX_LEN)
            return 0;
        at += label + 1;
    }
    return 0;
}

// Walks the records behind the question. 0: all well; else the rcode that is due.
static unsigned parse_records(struct query *q, const uint8_t *msg, unsigned at, unsigned len, unsigned skipped,
                              unsigned additional)
{
    bool has_tsig = false;
    for (unsigned i = 0; i < skipped + additional; i++) {
        const unsigned owner_at = at;
        at = skip_name(msg, at, len);
        if (at == 0 || len - at < 10)
            return RCODE_FORMERR;
        const uint16_t type = load_be16(msg + at), class = load_be16(msg + at + 2), rdata_len = load_be16(msg + at + 8);
        const uint32_t ttl = (uint32_t)load_be16(msg + at + 4) << 16 | load_be16(msg + at + 6);
        at += 10;
        if (rdata_len > len - at)
            return RCODE_FORMERR;
        if (type == DNS_OPT) { // RFC 6891 section 6.1.1: one, in the additional section, owned by the root
            if (i < skipped || q->edns.is_present || msg[owner_at] != 0)
                return RCODE_FORMERR;
            if (!edns_parse(&q->edns, class, ttl, msg + at, rdata_len))
                return RCODE_FORMERR;
        }
        if (type == DNS_TSIG)
            has_tsig = true;
        at += rdata_len;
    }
    if (at != len)
        return RCODE_FORMERR; // octets behind the last record
    if (q->edns.is_present && q->edns.version > 0)
        return RCODE_BADVERS; // RFC 6891 section 6.1.3
    return has_tsig ? RCODE_NOTAUTH : 0;
}

static enum query_verdict fail(struct query *q, unsigned rcode)
{
    q->rcode = (uint16_t)rcode;
    return QUERY_ERROR;
}

enum query_verdict query_parse(struct query *q, const uint8_t *msg, unsigned len)
{
    if (len < DNS_HEADER_LEN)
        return QUERY_DROP_SHORT;
    q->flags = load_be16(msg + 2);
    if (q->flags & DNS_FLAG_QR)
        return QUERY_DROP_RESPONSE;
    q->has_question = false;
    q->question_end = DNS_HEADER_LEN;
    memset(&q->edns, 0, sizeof q->edns);
    const unsigned qdcount = load_be16(msg + 4), ancount = load_be16(msg + 6), nscount = load_be16(msg + 8),
                   arcount = load_be16(msg + 10);
    unsigned at = DNS_HEADER_LEN;
    if (qdcount > 0) {
        const unsigned name_len = parse_name(&q->key, msg, at, len);
        at += name_len;
        if (name_len == 0 || len - at < 4)
            return fail(q, (q->flags & DNS_OPCODE_MASK) ? RCODE_NOTIMP : RCODE_FORMERR);
        q->qtype = load_be16(msg + at);
        q->qclass = load_be16(msg + at + 2);
        at += 4;
        q->question_end = (uint16_t)at;
        q->has_question = qdcount == 1;
    }
    if (qdcount > 1) // RFC 9619
        return q->question_end = DNS_HEADER_LEN, fail(q, (q->flags & DNS_OPCODE_MASK) ? RCODE_NOTIMP : RCODE_FORMERR);
    unsigned rcode = 0;
    if (ancount + nscount + arcount > RECORD_MAX)
        rcode = RCODE_FORMERR;
    else if (ancount + nscount + arcount > 0 || at != len)
        rcode = parse_records(q, msg, at, len, ancount + nscount, arcount);
    if (q->flags & DNS_OPCODE_MASK)
        return fail(q, rcode == RCODE_BADVERS ? RCODE_BADVERS : RCODE_NOTIMP);
    if (rcode)
        return fail(q, rcode);
    if (qdcount == 0)
        return q->edns.has_cookie ? QUERY_COOKIE_ONLY : fail(q, RCODE_FORMERR);
    if (ancount || (nscount && q->qtype != DNS_IXFR))
        return fail(q, RCODE_FORMERR);
    return QUERY_ANSWER;
}
