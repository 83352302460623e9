// SPDX-License-Identifier: Apache-2.0
// DNS server cookies, version 1 (RFC 9018 section 4): SipHash-2-4 over client cookie, version, time and client address,
// so that all nodes that share a secret accept each other's. Pure; the clock is passed in.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/edns.h"
#include "dataplane/siphash.h"

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

// The same for several queries from clients of one family, hashed side by side: each fills a lane, all are hashed, each
// lane is settled.
enum { COOKIE_BATCH_MAX = SIPHASH_LANES };
struct cookie_batch {
    // Client cookie, head of the server cookie, address; the last word has the input's length in its top octet.
    uint64_t word[SIPHASH_WORDS_MAX][SIPHASH_LANES];
    uint64_t hash[SIPHASH_LANES];
};

// The first 8 octets of a server cookie made now, in memory order: version, reserved, time.
static inline uint64_t cookie_head(uint32_t now_s)
{
    return 1 | (uint64_t)__builtin_bswap32(now_s) << 32;
}

// Serial number arithmetic (RFC 9018 section 4.3).
static inline int32_t cookie_age(uint64_t head, uint32_t now_s)
{
    return (int32_t)(now_s - __builtin_bswap32((uint32_t)(head >> 32)));
}

// Whether the query has a server cookie that can be one of ours, by its length, version and time.
static inline bool cookie_is_in_question(struct cookie_query query, uint32_t now_s)
{
    if (query.server_len != EDNS_COOKIE_SERVER_LEN || query.server[0] != 1)
        return false;
    uint64_t head;
    memcpy(&head, query.server, sizeof head);
    const int32_t age_s = cookie_age(head, now_s);
    return age_s <= COOKIE_MAX_AGE_S && age_s >= -COOKIE_MAX_FUTURE_S;
}

// The head to hash under the current secret first: the sent cookie's when that may be one of ours, else a new one.
static inline uint64_t cookie_head_of(struct cookie_query query, uint32_t now_s)
{
    uint64_t head = cookie_head(now_s);
    if (cookie_is_in_question(query, now_s))
        memcpy(&head, query.server, sizeof head); // RFC 9018 section 4.2: the reserved octets are hashed as they came
    return head;
}

// All but the head.
static inline void cookie_fill(struct cookie_batch *batch, unsigned lane, const uint8_t client[EDNS_COOKIE_CLIENT_LEN],
                               const uint8_t *address, bool is_ipv6)
{
    uint32_t ipv4;
    memcpy(&batch->word[0][lane], client, 8);
    if (is_ipv6) {
        memcpy(&batch->word[2][lane], address, 8);
        memcpy(&batch->word[3][lane], address + 8, 8);
        batch->word[4][lane] = 32ull << 56;
        return;
    }
    memcpy(&ipv4, address, sizeof ipv4);
    batch->word[2][lane] = ipv4 | 20ull << 56;
}

// The heads of the first `count` lanes: new ones,
static inline void cookie_fill_heads(struct cookie_batch *batch, unsigned count, uint32_t now_s)
{
    const uint64_t head = cookie_head(now_s);
    for (unsigned lane = 0; lane < count; lane += 4) // further lanes are overwritten anyway
        for (unsigned i = 0; i < 4; i++)
            batch->word[1][lane + i] = head;
}

// and then of those whose query has a server cookie.
static inline void cookie_fill_sent(struct cookie_batch *batch, unsigned lane, struct cookie_query query,
                                    uint32_t now_s)
{
    batch->word[1][lane] = cookie_head_of(query, now_s);
}

// `count` lanes are filled.
void cookie_hash(struct cookie_batch *batch, unsigned count, bool is_ipv6, const uint8_t secret[COOKIE_SECRET_LEN]);

// The server cookie that the response carries, in a lane that is hashed.
static inline uint64_t cookie_made_head(const struct cookie_batch *batch, size_t lane)
{
    return batch->word[1][lane];
}

static inline uint64_t cookie_made_hash(const struct cookie_batch *batch, size_t lane)
{
    return batch->hash[lane];
}

// Whether the query's server cookie is good and goes back as it is, by the lane.
static inline bool cookie_goes_back(const struct cookie_batch *batch, unsigned lane, struct cookie_query query,
                                    uint32_t now_s)
{
    uint64_t server[2];
    if (query.server_len != EDNS_COOKIE_SERVER_LEN)
        return false;
    memcpy(server, query.server, sizeof server);
    // One comparison of a whole word: its time tells nothing.
    return (server[0] == batch->word[1][lane]) & (server[1] == batch->hash[lane]) &&
           cookie_age(server[0], now_s) <= COOKIE_RENEW_S;
}

// As cookie_answer, of a query with a server cookie: a verdict, and what the response carries into the lane. Without
// one there is nothing to settle.
enum cookie_verdict cookie_settle(struct cookie_batch *batch, unsigned lane, struct cookie_query query,
                                  const uint8_t *address, bool is_ipv6, uint32_t now_s,
                                  const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count);

#ifdef __cplusplus
}
#endif
