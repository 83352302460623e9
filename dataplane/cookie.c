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

// With a server cookie in the query; head and hash under the current secret are given.
static enum cookie_verdict settle_sent(uint8_t out[EDNS_COOKIE_SERVER_LEN], uint64_t head, uint64_t hash,
                                       struct cookie_query query, const uint8_t *address, bool is_ipv6, uint32_t now_s,
                                       const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count)
{
    const bool is_ours = cookie_is_in_question(query, now_s);
    if (is_ours) {
        uint64_t sent;
        memcpy(&sent, query.server + 8, sizeof sent);
        if (sent != hash) // one comparison of a whole word: its time tells nothing
            return settle_other(out, query, address, is_ipv6, now_s, secret, secret_count);
        if (cookie_age(head, now_s) > COOKIE_RENEW_S) {
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
    return settle_sent(out, head, hash, query, address, is_ipv6, now_s, secret, secret_count);
}

enum cookie_verdict cookie_settle(struct cookie_batch *batch, unsigned lane, struct cookie_query query,
                                  const uint8_t *address, bool is_ipv6, uint32_t now_s,
                                  const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count)
{
    uint64_t made[2];
    const enum cookie_verdict verdict = settle_sent((uint8_t *)made, batch->word[1][lane], batch->hash[lane], query,
                                                    address, is_ipv6, now_s, secret, secret_count);
    batch->word[1][lane] = made[0];
    batch->hash[lane] = made[1];
    return verdict;
}

void cookie_hash(struct cookie_batch *batch, unsigned count, bool is_ipv6, const uint8_t secret[COOKIE_SECRET_LEN])
{
    siphash_lanes(batch->hash, batch->word, is_ipv6 ? 5 : 3, count, secret);
}
