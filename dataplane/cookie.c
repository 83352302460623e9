// SPDX-License-Identifier: Apache-2.0
#include "dataplane/cookie.h"

#include <sodium.h>
#include <assert.h>
#include <string.h>

static_assert(crypto_shorthash_siphash24_KEYBYTES == COOKIE_SECRET_LEN, "the secret is SipHash's key");

// The hash half of a cookie whose first 8 octets (version, reserved, time) stand at `cookie`, written behind them.
static void put_hash(uint8_t cookie[EDNS_COOKIE_SERVER_LEN], const uint8_t client[EDNS_COOKIE_CLIENT_LEN],
                     const uint8_t *address, bool is_ipv6, const uint8_t secret[COOKIE_SECRET_LEN])
{
    uint8_t input[EDNS_COOKIE_CLIENT_LEN + 8 + 16];
    const unsigned address_len = is_ipv6 ? 16 : 4;
    memcpy(input, client, EDNS_COOKIE_CLIENT_LEN);
    memcpy(input + EDNS_COOKIE_CLIENT_LEN, cookie, 8);
    memcpy(input + EDNS_COOKIE_CLIENT_LEN + 8, address, address_len);
    crypto_shorthash_siphash24(cookie + 8, input, EDNS_COOKIE_CLIENT_LEN + 8 + address_len, secret);
}

void cookie_make(uint8_t out[EDNS_COOKIE_SERVER_LEN], const uint8_t client[EDNS_COOKIE_CLIENT_LEN],
                 const uint8_t *address, bool is_ipv6, uint32_t now_s, const uint8_t secret[COOKIE_SECRET_LEN])
{
    const uint64_t head = cookie_head(now_s);
    memcpy(out, &head, sizeof head);
    put_hash(out, client, address, is_ipv6, secret);
}

// Serial number arithmetic (RFC 9018 section 4.3).
static inline int32_t age_of(uint64_t head, uint32_t now_s)
{
    return (int32_t)(now_s - __builtin_bswap32((uint32_t)(head >> 32)));
}

// Whether the query has a server cookie that can be one of ours, by its length, version and time.
static inline bool is_in_question(struct cookie_query query, uint32_t now_s)
{
    if (query.server_len != EDNS_COOKIE_SERVER_LEN || query.server[0] != 1)
        return false;
    uint64_t head;
    memcpy(&head, query.server, sizeof head);
    const int32_t age_s = age_of(head, now_s);
    return age_s <= COOKIE_MAX_AGE_S && age_s >= -COOKIE_MAX_FUTURE_S;
}

uint64_t cookie_head_of(struct cookie_query query, uint32_t now_s)
{
    uint64_t head = cookie_head(now_s);
    if (is_in_question(query, now_s))
        memcpy(&head, query.server, sizeof head); // RFC 9018 section 4.2: the reserved octets are hashed as they came
    return head;
}

// With a server cookie in question that is not of the current secret.
static enum cookie_verdict settle_other(uint8_t *out, struct cookie_query query, const uint8_t *address, bool is_ipv6,
                                        uint32_t now_s, const uint8_t (*secret)[COOKIE_SECRET_LEN],
                                        unsigned secret_count)
{
    enum cookie_verdict verdict = COOKIE_BAD;
    for (unsigned i = 1; i < secret_count; i++) {
        uint8_t expected[EDNS_COOKIE_SERVER_LEN];
        memcpy(expected, query.server, 8);
        put_hash(expected, query.client, address, is_ipv6, secret[i]);
        if (sodium_memcmp(expected, query.server, sizeof expected) == 0)
            verdict = COOKIE_GOOD;
    }
    cookie_make(out, query.client, address, is_ipv6, now_s, secret[0]);
    return verdict;
}

enum cookie_verdict cookie_settle_sent(uint8_t out[EDNS_COOKIE_SERVER_LEN], uint64_t head, uint64_t hash,
                                       struct cookie_query query, const uint8_t *address, bool is_ipv6, uint32_t now_s,
                                       const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count)
{
    const bool is_ours = is_in_question(query, now_s);
    if (is_ours) {
        uint64_t sent;
        memcpy(&sent, query.server + 8, sizeof sent);
        if (sent != hash) // one comparison of a whole word: its time tells nothing
            return settle_other(out, query, address, is_ipv6, now_s, secret, secret_count);
        if (age_of(head, now_s) > COOKIE_RENEW_S) {
            cookie_make(out, query.client, address, is_ipv6, now_s, secret[0]);
            return COOKIE_GOOD;
        }
    }
    memcpy(out, &head, sizeof head);
    memcpy(out + sizeof head, &hash, sizeof hash);
    return is_ours ? COOKIE_GOOD : COOKIE_BAD;
}

enum cookie_verdict cookie_answer(uint8_t out[EDNS_COOKIE_SERVER_LEN], struct cookie_query query,
                                  const uint8_t *address, bool is_ipv6, uint32_t now_s,
                                  const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count)
{
    const uint64_t head = cookie_head_of(query, now_s);
    uint64_t hash;
    memcpy(out, &head, sizeof head);
    put_hash(out, query.client, address, is_ipv6, secret[0]);
    memcpy(&hash, out + sizeof head, sizeof hash);
    if (query.server_len == 0)
        return COOKIE_NONE;
    return cookie_settle_sent(out, head, hash, query, address, is_ipv6, now_s, secret, secret_count);
}

void cookie_hash(struct cookie_batch *batch, unsigned count, bool is_ipv6, const uint8_t secret[COOKIE_SECRET_LEN])
{
    const unsigned words = is_ipv6 ? 5 : 3;
    for (unsigned lane = count; lane < SIPHASH_LANES; lane++)
        for (unsigned i = 0; i < words; i++)
            batch->word[i][lane] = 0;
    siphash_lanes(batch->hash, (const uint64_t(*)[SIPHASH_LANES])batch->word, words, secret);
}
