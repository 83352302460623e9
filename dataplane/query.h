// SPDX-License-Identifier: Apache-2.0
// A DNS query taken apart: header, question, EDNS. Pure; the message stays untouched.
//
// The verdict says what kind of response is due; the fields are filled as far as the message was good, so that an error
// response can still echo the question and speak EDNS.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/edns.h"
#include "table/zone_image.h"

#ifdef __cplusplus
extern "C" {
#endif

enum dns_rcode {
    RCODE_NOERROR = 0,
    RCODE_FORMERR = 1,
    RCODE_SERVFAIL = 2,
    RCODE_NXDOMAIN = 3,
    RCODE_NOTIMP = 4,
    RCODE_REFUSED = 5,
    RCODE_YXDOMAIN = 6, // RFC 6672 section 2.2
    RCODE_NOTAUTH = 9,  // RFC 8945: signed by a key we do not have
    RCODE_BADVERS = 16  // extended: its high bits travel in the OPT record
};

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_HINFO = 13,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_DNAME = 39,
    DNS_OPT = 41,
    DNS_DS = 43,
    DNS_TKEY = 249,
    DNS_TSIG = 250,
    DNS_IXFR = 251,
    DNS_MAILA = 254,
    DNS_ANY = 255
};

enum dns_class { DNS_IN = 1, DNS_CH = 3 };

enum { DNS_HEADER_LEN = 12 };

// Bits of the header's second 16-bit word.
enum {
    DNS_FLAG_QR = 0x8000,
    DNS_FLAG_AA = 0x0400,
    DNS_FLAG_TC = 0x0200,
    DNS_FLAG_RD = 0x0100,
    DNS_FLAG_CD = 0x0010,
    DNS_OPCODE_MASK = 0x7800
};

enum query_verdict {
    QUERY_ANSWER,       // a well-formed question
    QUERY_COOKIE_ONLY,  // no question, a cookie asked for (RFC 7873 section 5.4)
    QUERY_ERROR,        // respond with `rcode`
    QUERY_DROP_SHORT,   // shorter than a header: nothing to respond to
    QUERY_DROP_RESPONSE // QR=1: never answered, or two servers would talk for ever
};

struct query {
    uint16_t flags;         // host byte order
    uint16_t qtype, qclass; // of the question, when has_question
    uint16_t rcode;         // enum dns_rcode, for QUERY_ERROR
    uint16_t question_end;  // offset behind the question; DNS_HEADER_LEN without one
    bool has_question;
    struct edns edns;
    struct zone_key key; // the name asked for, folded
};

// Takes apart msg[0..len); ANSWER_SLACK bytes behind it are readable.
enum query_verdict query_parse(struct query *q, const uint8_t *msg, unsigned len);

#ifdef __cplusplus
}
#endif
