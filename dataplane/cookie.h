// SPDX-License-Identifier: Apache-2.0
// DNS server cookies, version 1 (RFC 9018 section 4): SipHash-2-4 over client cookie, version, time and client address,
// so that all nodes that share a secret accept each other's. Pure; the clock is passed in.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/edns.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cookie_verdict { COOKIE_NONE, COOKIE_GOOD, COOKIE_BAD };

enum {
    COOKIE_SECRET_LEN = 16,
    COOKIE_MAX_AGE_S = 3600,   // RFC 9018 section 4.3
    COOKIE_MAX_FUTURE_S = 300, // the same: clocks of nodes that share a secret may differ
    COOKIE_RENEW_S = 1800      // the same: an older one is replaced
};

// `address` has 4 or 16 octets. Writes the 16 octets of the server cookie.
void cookie_make(uint8_t out[EDNS_COOKIE_SERVER_LEN], const uint8_t client[EDNS_COOKIE_CLIENT_LEN],
                 const uint8_t *address, bool is_ipv6, uint32_t now_s, const uint8_t secret[COOKIE_SECRET_LEN]);

// What a query's cookie option holds.
struct cookie_query {
    const uint8_t *client; // EDNS_COOKIE_CLIENT_LEN octets
    const uint8_t *server; // server_len octets
    unsigned server_len;   // 0: client cookie only
};

// Checks the query's cookie against the current and previous secret, and writes to `out` the server cookie that the
// response carries: the same when it is good, of the current secret and not older than COOKIE_RENEW_S, else a new one.
// `secret_count` is 1 or 2.
enum cookie_verdict cookie_answer(uint8_t out[EDNS_COOKIE_SERVER_LEN], struct cookie_query query,
                                  const uint8_t *address, bool is_ipv6, uint32_t now_s,
                                  const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count);

// The same for several queries from clients of one family, at most COOKIE_BATCH_MAX, side by side.
enum { COOKIE_BATCH_MAX = 8 };
struct cookie_turn {
    const uint8_t *sent; // the client cookie, and server_len octets of a server cookie behind it
    const uint8_t *address;
    uint8_t *out;
    uint8_t server_len;
    uint8_t verdict; // enum cookie_verdict, filled in
};
void cookie_answer_many(struct cookie_turn turn[], unsigned count, bool is_ipv6, uint32_t now_s,
                        const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count);

#ifdef __cplusplus
}
#endif
