// SPDX-License-Identifier: Apache-2.0
// EDNS0 (RFC 6891) and its options: what a query asks for, and the OPT record of the response. Pure.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "table/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

enum edns_option {
    EDNS_NSID = 3,           // RFC 5001
    EDNS_CLIENT_SUBNET = 8,  // RFC 7871
    EDNS_COOKIE = 10,        // RFC 7873, 9018
    EDNS_KEEPALIVE = 11,     // RFC 7828
    EDNS_PADDING = 12,       // RFC 7830: accepted, not answered on plain transports
    EDNS_EXTENDED_ERROR = 15 // RFC 8914
};

enum {
    EDNS_OPT_LEN = 11, // an OPT record without options
    EDNS_COOKIE_CLIENT_LEN = 8,
    EDNS_COOKIE_SERVER_LEN = 16, // ours, RFC 9018 section 4
    EDNS_COOKIE_SERVER_MAX = 32
};

// Read from a query.
struct edns {
    bool is_present;
    bool wants_dnssec; // DO
    bool wants_nsid;
    bool has_keepalive;
    uint8_t version;
    uint16_t udp_size; // as the client sent it
    // client subnet
    bool has_subnet;
    bool is_subnet_ipv6;
    uint16_t subnet_family; // 1: IPv4, 2: IPv6; any when the source length is 0
    uint8_t subnet_source_len;
    uint8_t subnet[16];  // bits past the source length are zero
    bool is_subnet_last; // behind the cookie
    // cookie
    bool has_cookie;
    uint8_t cookie_client[EDNS_COOKIE_CLIENT_LEN];
    uint8_t cookie_server[EDNS_COOKIE_SERVER_MAX];
    uint8_t cookie_server_len; // 0: client cookie only
};

// Reads the body of an OPT record: class (UDP size), TTL (extended rcode, version, flags), options. False: FORMERR.
bool edns_parse(struct edns *e, uint16_t udp_size, uint32_t ttl, const uint8_t *options, unsigned len);

// What the response's OPT record carries.
struct edns_response {
    uint16_t udp_size;
    uint16_t rcode;    // whole extended rcode; the high 8 bits go here
    bool wants_dnssec; // DO is echoed (RFC 3225 section 3)
    const uint8_t *nsid;
    uint8_t nsid_len; // 0: no option
    bool has_subnet;  // echo of the client's, with our scope
    uint8_t subnet_scope_len;
    bool has_cookie;
    uint8_t cookie[EDNS_COOKIE_CLIENT_LEN + EDNS_COOKIE_SERVER_LEN];
    bool has_extended_error;
    uint16_t extended_error;
    bool has_keepalive;
    uint16_t keepalive_ds; // units of 100 ms (RFC 7828 section 3.1)
};

// Takes options out until the record has at most `room` bytes, those that are needed least first: the extended error,
// which nobody asked for; NSID; the cookie, which only a client that has no server cookie yet can find missing, since
// any other's query has room for it. What then is left is never longer than the query's own record.
void edns_response_fit(struct edns_response *r, const struct edns *query, unsigned room);

// Bytes of the OPT record.
unsigned edns_response_len(const struct edns_response *r, const struct edns *query);

// Appends the OPT record; subnet and cookie in the order in which the query has them.
void edns_response_write(struct wire_writer *w, const struct edns_response *r, const struct edns *query);

#ifdef __cplusplus
}
#endif
