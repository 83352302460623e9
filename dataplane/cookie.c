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
    out[0] = 1; // version
    memset(out + 1, 0, 3);
    out[4] = (uint8_t)(now_s >> 24);
    out[5] = (uint8_t)(now_s >> 16);
    out[6] = (uint8_t)(now_s >> 8);
    out[7] = (uint8_t)now_s;
    put_hash(out, client, address, is_ipv6, secret);
}

// Which secret a cookie was made with; secret_count: none, or its time is out of bounds. *age_s is filled when it is
// one.
static unsigned find_secret(struct cookie_query query, const uint8_t *address, bool is_ipv6, uint32_t now_s,
                            const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count, int32_t *age_s)
{
    const uint8_t *server = query.server;
    if (query.server_len != EDNS_COOKIE_SERVER_LEN || server[0] != 1)
        return secret_count;
    const uint32_t made_s =
        (uint32_t)server[4] << 24 | (uint32_t)server[5] << 16 | (uint32_t)server[6] << 8 | server[7];
    *age_s = (int32_t)(now_s - made_s); // serial number arithmetic (RFC 9018 section 4.3)
    if (*age_s > COOKIE_MAX_AGE_S || *age_s < -COOKIE_MAX_FUTURE_S)
        return secret_count;
    for (unsigned i = 0; i < secret_count; i++) {
        uint8_t expected[EDNS_COOKIE_SERVER_LEN];
        memcpy(expected, server, 8); // RFC 9018 section 4.2: the reserved octets are hashed as they came
        put_hash(expected, query.client, address, is_ipv6, secret[i]);
        if (sodium_memcmp(expected, server, sizeof expected) == 0)
            return i;
    }
    return secret_count;
}

enum cookie_verdict cookie_answer(uint8_t out[EDNS_COOKIE_SERVER_LEN], struct cookie_query query,
                                  const uint8_t *address, bool is_ipv6, uint32_t now_s,
                                  const uint8_t (*secret)[COOKIE_SECRET_LEN], unsigned secret_count)
{
    int32_t age_s = 0;
    const unsigned by =
        query.server_len ? find_secret(query, address, is_ipv6, now_s, secret, secret_count, &age_s) : secret_count;
    if (by == 0 && age_s <= COOKIE_RENEW_S)
        memcpy(out, query.server, EDNS_COOKIE_SERVER_LEN);
    else
        cookie_make(out, query.client, address, is_ipv6, now_s, secret[0]);
    if (query.server_len == 0)
        return COOKIE_NONE;
    return by < secret_count ? COOKIE_GOOD : COOKIE_BAD;
}
