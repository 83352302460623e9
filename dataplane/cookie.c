// SPDX-License-Identifier: Apache-2.0
#include "dataplane/cookie.h"

#include "dataplane/siphash.h"
#include <sodium.h>
#include <assert.h>
#include <string.h>

static_assert((int)COOKIE_BATCH_MAX == (int)SIPHASH_LANES, "a batch is hashed at once");
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

// The first 8 octets of a cookie made now, in memory order.
static inline uint64_t head_of(uint32_t now_s)
{
    return 1 | (uint64_t)__builtin_bswap32(now_s) << 32;
}

void cookie_make(uint8_t out[EDNS_COOKIE_SERVER_LEN], const uint8_t client[EDNS_COOKIE_CLIENT_LEN],
                 const uint8_t *address, bool is_ipv6, uint32_t now_s, const uint8_t secret[COOKIE_SECRET_LEN])
{
    const uint64_t head = head_of(now_s);
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

// The head to hash under the current secret first: the sent cookie's when it is in question, else a new one.
static inline uint64_t first_head(struct cookie_query query, uint32_t now_s)
{
    uint64_t head = head_of(now_s);
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

// Given the hash over `head` under the current secret.
static inline __attribute__((always_inline)) enum cookie_verdict
settle(uint8_t *out, struct cookie_query query, uint64_t head, uint64_t hash, const uint8_t *address, bool is_ipv6,
       uint32_t now_s, const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count)
{
    if (is_in_question(query, now_s)) {
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
    return query.server_len == 0 ? COOKIE_NONE : is_in_question(query, now_s) ? COOKIE_GOOD : COOKIE_BAD;
}

enum cookie_verdict cookie_answer(uint8_t out[EDNS_COOKIE_SERVER_LEN], struct cookie_query query,
                                  const uint8_t *address, bool is_ipv6, uint32_t now_s,
                                  const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count)
{
    const uint64_t head = first_head(query, now_s);
    uint8_t cookie[EDNS_COOKIE_SERVER_LEN];
    uint64_t hash;
    memcpy(cookie, &head, sizeof head);
    put_hash(cookie, query.client, address, is_ipv6, secret[0]);
    memcpy(&hash, cookie + sizeof head, sizeof hash);
    return settle(out, query, head, hash, address, is_ipv6, now_s, secret, secret_count);
}

static inline struct cookie_query query_of(const struct cookie_turn *t)
{
    return (struct cookie_query){t->sent, t->sent + EDNS_COOKIE_CLIENT_LEN, t->server_len};
}

void cookie_answer_many(struct cookie_turn turn[], unsigned count, bool is_ipv6, uint32_t now_s,
                        const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count)
{
    // Client cookie, head, address; the last word has the input's length in its top octet.
    uint64_t word[SIPHASH_WORDS_MAX][SIPHASH_LANES] = {{0}}, hash[SIPHASH_LANES];
    for (unsigned i = 0; i < count; i++) {
        const struct cookie_turn *t = &turn[i];
        memcpy(&word[0][i], t->sent, 8);
        word[1][i] = first_head(query_of(t), now_s);
        if (is_ipv6) {
            memcpy(&word[2][i], t->address, 8);
            memcpy(&word[3][i], t->address + 8, 8);
            word[4][i] = 32ull << 56;
        } else {
            uint32_t address;
            memcpy(&address, t->address, 4);
            word[2][i] = address | 20ull << 56;
        }
    }
    siphash_lanes(hash, (const uint64_t(*)[SIPHASH_LANES])word, is_ipv6 ? 5 : 3, secret[0]);
    for (unsigned i = 0; i < count; i++) {
        struct cookie_turn *t = &turn[i];
        t->verdict =
            (uint8_t)settle(t->out, query_of(t), word[1][i], hash[i], t->address, is_ipv6, now_s, secret, secret_count);
    }
}
