// SPDX-License-Identifier: Apache-2.0
#include "health/dns_message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "table/name.h"
#include "table/wire.h"

enum {
    HEADER_LEN = 12,
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_PTR = 12,
    TYPE_MX = 15,
    TYPE_TXT = 16,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
    TYPE_DNAME = 39,
    CLASS_IN = 1,
    POINTER = 0xc0,
    JUMP_MAX = 32
};

static const struct {
    const char *name;
    uint16_t type;
} types[] = {{"A", TYPE_A},     {"NS", TYPE_NS},       {"CNAME", TYPE_CNAME}, {"SOA", TYPE_SOA},
             {"PTR", TYPE_PTR}, {"MX", TYPE_MX},       {"TXT", TYPE_TXT},     {"AAAA", TYPE_AAAA},
             {"SRV", TYPE_SRV}, {"DNAME", TYPE_DNAME}, {"CAA", 257},          {"DS", 43},
             {"DNSKEY", 48},    {"HTTPS", 65},         {"SVCB", 64},          {"ANY", 255}};

static const char *const rcodes[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
enum { RCODE_NAMES = sizeof rcodes / sizeof *rcodes };

static int type_number(const char *text)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcasecmp(text, types[i].name) == 0)
            return types[i].type;
    if (strncasecmp(text, "TYPE", 4) != 0 || text[4] < '0' || text[4] > '9')
        return -EINVAL;
    const unsigned long number = strtoul(text + 4, NULL, 10);
    return number <= UINT16_MAX ? (int)number : -EINVAL;
}

int dns_question_make(struct dns_question *q, const char *name, const char *type)
{
    uint8_t wire[NAME_MAX_LEN];
    const int name_len = name_from_text(wire, name), number = type_number(type);
    if (name_len <= 0 || number < 0)
        return -EINVAL;
    struct wire_writer w = wire_writer_init(q->message, sizeof q->message);
    wire_put(&w, "\0\0\0\0\0\1\0\0\0\0\0\0", HEADER_LEN);
    wire_put(&w, wire, (size_t)name_len);
    wire_put_u16(&w, (uint16_t)number);
    wire_put_u16(&w, CLASS_IN);
    q->len = w.at;
    q->type = (uint16_t)number;
    return w.failed ? -EINVAL : 0;
}

// ---- reading a reply ----

// A name that may be compressed, from r->at; the reader goes behind it. False: malformed.
static bool read_name(struct wire_reader *r, uint8_t out[NAME_MAX_LEN])
{
    size_t at = r->at, len = 0, behind = 0;
    for (unsigned jumps = 0; at < r->len;) {
        const uint8_t label = r->data[at];
        if ((label & POINTER) == POINTER) {
            if (at + 1 >= r->len || ++jumps > JUMP_MAX)
                return false;
            behind = behind ? behind : at + 2;
            at = (size_t)(label & ~POINTER) << 8 | r->data[at + 1];
            continue;
        }
        if (label & POINTER || len + label + 1u > NAME_MAX_LEN || at + label + 1u > r->len)
            return false;
        memcpy(out + len, r->data + at, label + 1u);
        len += label + 1u;
        at += label + 1u;
        if (label == 0) {
            r->at = behind ? behind : at;
            return true;
        }
    }
    return false;
}

static void skip_final_dot(char *text)
{
    const size_t len = strlen(text);
    if (len > 1 && text[len - 1] == '.')
        text[len - 1] = 0;
}

static bool name_text(struct wire_reader *r, char out[NAME_TEXT_CAP])
{
    uint8_t name[NAME_MAX_LEN];
    if (!read_name(r, name))
        return false;
    name_to_text(out, name);
    skip_final_dot(out);
    return true;
}

// Texts of a TXT record, one after the other in one.
static void txt_text(const uint8_t *rdata, size_t len, char *out, size_t cap)
{
    size_t at = 0, used = 0;
    while (at < len) {
        const size_t n = rdata[at] < len - at ? rdata[at] : len - at - 1;
        for (size_t i = 1; i <= n && used + 1 < cap; i++)
            out[used++] = (char)rdata[at + i];
        at += n + 1;
    }
    out[used] = 0;
}

// The data of a record as text, as far as a probe needs it. False: malformed.
static bool rdata_text(const struct wire_reader *message, uint16_t type, size_t at, size_t len,
                       char out[NAME_TEXT_CAP + 32])
{
    struct wire_reader r = *message;
    char name[NAME_TEXT_CAP];
    r.at = at;
    out[0] = 0;
    switch (type) {
    case TYPE_A:
        return len == 4 && inet_ntop(AF_INET, r.data + at, out, NAME_TEXT_CAP);
    case TYPE_AAAA:
        return len == 16 && inet_ntop(AF_INET6, r.data + at, out, NAME_TEXT_CAP);
    case TYPE_NS:
    case TYPE_CNAME:
    case TYPE_PTR:
    case TYPE_DNAME:
    case TYPE_SOA: // the primary's name
        return name_text(&r, out);
    case TYPE_MX: {
        const unsigned preference = wire_u16(&r);
        if (!name_text(&r, name))
            return false;
        snprintf(out, NAME_TEXT_CAP + 32, "%u %s", preference, name);
        return true;
    }
    case TYPE_SRV: {
        const unsigned priority = wire_u16(&r), weight = wire_u16(&r), port = wire_u16(&r);
        if (!name_text(&r, name))
            return false;
        snprintf(out, NAME_TEXT_CAP + 32, "%u %u %u %s", priority, weight, port, name);
        return true;
    }
    case TYPE_TXT:
        txt_text(r.data + at, len, out, NAME_TEXT_CAP);
        return true;
    default:
        return true;
    }
}

static bool is_expected_text(const char *expect, const char *text)
{
    char wanted[DNS_EXPECT_CAP], packed[16], seen[16];
    snprintf(wanted, sizeof wanted, "%s", expect);
    skip_final_dot(wanted);
    if (strcasecmp(wanted, text) == 0)
        return true;
    return inet_pton(AF_INET6, wanted, packed) == 1 && inet_pton(AF_INET6, text, seen) == 1 &&
           memcmp(packed, seen, sizeof packed) == 0; // other spellings of an address
}

// Looks for the expected data among the answers. -1: malformed.
static int find_answer(struct wire_reader *r, unsigned count, uint16_t type, const char *expect)
{
    uint8_t owner[NAME_MAX_LEN];
    char text[NAME_TEXT_CAP + 32];
    for (unsigned i = 0; i < count; i++) {
        if (!read_name(r, owner))
            return -1;
        const uint16_t record_type = wire_u16(r);
        wire_u16(r);
        wire_u32(r);
        const size_t len = wire_u16(r), at = r->at;
        if (!wire_take(r, len) && len)
            return -1;
        if (r->failed || !rdata_text(r, record_type, at, len, text))
            return -1;
        if (record_type == type && is_expected_text(expect, text))
            return 1;
    }
    return 0;
}

static int expected_rcode(const char *expect)
{
    for (int i = 0; i < RCODE_NAMES; i++)
        if (strcasecmp(expect, rcodes[i]) == 0)
            return i;
    return -1;
}

static struct probe_result mismatch(unsigned rcode)
{
    struct probe_result r = probe_result_down(EVIDENCE_REASON_MISMATCH);
    if (rcode < RCODE_NAMES)
        probe_result_detail(&r, "%s", rcodes[rcode]);
    else
        probe_result_detail(&r, "rcode %u", rcode);
    return r;
}

bool dns_reply_judge(const struct dns_question *q, const char *expect, const uint8_t *reply, size_t len,
                     struct probe_result *result)
{
    const size_t question_len = q->len - HEADER_LEN;
    // Id, a response, the same opcode, the same question octet by octet but for the case of the name.
    if (len < HEADER_LEN || memcmp(reply, q->message, 2) != 0 || !(reply[2] & 0x80) || (reply[2] & 0x78))
        return false;
    const unsigned rcode = reply[3] & 15u;
    if (len < q->len || reply[4] != 0 || reply[5] != 1) {
        *result = rcode ? mismatch(rcode) : probe_result_down(EVIDENCE_REASON_PROTOCOL);
        return true;
    }
    for (size_t i = 0; i < question_len; i++) {
        uint8_t a = reply[HEADER_LEN + i], b = q->message[HEADER_LEN + i];
        a = a >= 'A' && a <= 'Z' ? (uint8_t)(a + 32) : a;
        b = b >= 'A' && b <= 'Z' ? (uint8_t)(b + 32) : b;
        if (a != b)
            return false;
    }
    struct wire_reader r = wire_reader_init(reply, len);
    r.at = q->len;
    const int wanted = expected_rcode(expect);
    int found = expect[0] == 0 || wanted == (int)rcode;
    if (!found && wanted < 0 && rcode == 0)
        found = find_answer(&r, (unsigned)(reply[6] << 8 | reply[7]), q->type, expect);
    *result = found > 0   ? probe_result_up(0)
              : found < 0 ? probe_result_down(EVIDENCE_REASON_PROTOCOL)
                          : mismatch(rcode);
    return true;
}
