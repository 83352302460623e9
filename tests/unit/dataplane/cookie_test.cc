// SPDX-License-Identifier: Apache-2.0
#include <random>

#include <sodium.h>

#include "tests/support/dns_text.h"

extern "C" {
#include "dataplane/cookie.h"
#include "dataplane/siphash.h"
}

namespace
{

dns_text::Bytes hex(const char *text)
{
    dns_text::Bytes out;
    for (; text[0] && text[1]; text += 2)
        out.push_back(static_cast<uint8_t>(std::stoi(std::string(text, 2), nullptr, 16)));
    return out;
}

// The verdict, and the cookie that the response carries in `out`.
cookie_verdict check(const edns &query, const uint8_t *address, uint32_t now_s, const uint8_t (*secret)[16],
                     unsigned secret_count, dns_text::Bytes *out = nullptr)
{
    uint8_t made[16];
    const cookie_verdict verdict =
        cookie_answer(made, {query.cookie_client, query.cookie_server, query.cookie_server_len}, address, false, now_s,
                      secret, secret_count);
    if (out)
        out->assign(made, made + 16);
    return verdict;
}

struct Row {
    const char *client, *address, *secret;
    uint32_t now_s;
    const char *cookie, *why;
};

// RFC 9018 appendix A.
const Row rows[] = {
    {"2464c4abcf10c957", "198.51.100.100", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559731985,
     "010000005cf79f111f8130c3eee29480", "A.1: a new server cookie"},
    {"2464c4abcf10c957", "198.51.100.100", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559734385,
     "010000005cf7a871d4a564a1442aca77", "A.2: renewed for the same client"},
    {"fc93fc62807ddb86", "203.0.113.203", "e5e973e5a6b2a43f48e7dc849e37bfcf", 1559734700,
     "010000005cf7a9acf73a7810aca2381e", "A.3: renewed for another client"},
    {"22681ab97d52c298", "2001:db8:220:1:59de:d0f4:8769:82b8", "445536bcd2513298075a5d379663c962", 1559741961,
     "010000005cf7c609a6bb79d16625507a", "A.4: IPv6, after the secret rolled over"},
};

TEST(Cookie, rfc_9018_vectors)
{
    for (const Row &row : rows) {
        uint8_t address[16], out[16];
        bool is_ipv6 = std::string(row.address).find(':') != std::string::npos;
        ASSERT_EQ(inet_pton(is_ipv6 ? AF_INET6 : AF_INET, row.address, address), 1);
        cookie_make(out, hex(row.client).data(), address, is_ipv6, row.now_s, hex(row.secret).data());
        EXPECT_EQ(dns_text::Bytes(out, out + 16), hex(row.cookie)) << row.why;
    }
}

TEST(Cookie, reserved_octets_of_another_program_are_hashed_as_they_came)
{
    edns query{};
    query.has_cookie = true;
    query.cookie_server_len = 16;
    memcpy(query.cookie_client, hex("fc93fc62807ddb86").data(), 8);
    memcpy(query.cookie_server, hex("01abcdef5cf78f71a314227b6679ebf5").data(), 16); // RFC 9018 appendix A.3
    const uint8_t address[4] = {203, 0, 113, 203};
    uint8_t secret[1][16];
    memcpy(secret[0], hex("e5e973e5a6b2a43f48e7dc849e37bfcf").data(), 16);
    EXPECT_EQ(check(query, address, 0x5cf78f71 + 60, secret, 1), COOKIE_GOOD);
    query.cookie_server[1] ^= 1;
    EXPECT_EQ(check(query, address, 0x5cf78f71 + 60, secret, 1), COOKIE_BAD);
}

TEST(Cookie, previous_secret_is_accepted_and_times_are_bounded)
{
    edns query{};
    query.has_cookie = true;
    query.cookie_server_len = 16;
    const uint8_t address[4] = {192, 0, 2, 1};
    const uint8_t secrets[2][16] = {{1}, {2}};
    cookie_make(query.cookie_server, query.cookie_client, address, false, 1000000, secrets[1]);
    struct {
        uint32_t now_s;
        unsigned secret_count;
        cookie_verdict verdict;
        const char *why;
    } checks[] = {
        {1000000, 2, COOKIE_GOOD, "made with the previous secret"},
        {1000000, 1, COOKIE_BAD, "the secret is gone"},
        {1003600, 2, COOKIE_GOOD, "an hour old"},
        {1003601, 2, COOKIE_BAD, "older"},
        {999700, 2, COOKIE_GOOD, "five minutes in the future"},
        {999699, 2, COOKIE_BAD, "further"},
    };
    for (const auto &c : checks)
        EXPECT_EQ(check(query, address, c.now_s, secrets, c.secret_count), c.verdict) << c.why;
}

TEST(Cookie, the_response_carries_the_same_until_half_an_hour_then_a_new_one)
{
    edns query{};
    query.has_cookie = true;
    query.cookie_server_len = 16;
    const uint8_t address[4] = {192, 0, 2, 1};
    const uint8_t secrets[2][16] = {{1}, {2}};
    struct {
        unsigned made_with;
        uint32_t now_s;
        bool is_same;
        const char *why;
    } checks[] = {
        {0, 1000000, true, "just made"},           {0, 999700, true, "made by a node whose clock is ahead"},
        {0, 1001800, true, "half an hour old"},    {0, 1001801, false, "older"},
        {0, 1003601, false, "too old to be good"}, {1, 1000000, false, "made with the previous secret"},
    };
    for (const auto &c : checks) {
        cookie_make(query.cookie_server, query.cookie_client, address, false, 1000000, secrets[c.made_with]);
        dns_text::Bytes sent(query.cookie_server, query.cookie_server + 16), got, fresh(16);
        cookie_make(fresh.data(), query.cookie_client, address, false, c.now_s, secrets[0]);
        check(query, address, c.now_s, secrets, 2, &got);
        EXPECT_EQ(got, c.is_same ? sent : fresh) << c.why;
    }
    query.cookie_server[15] ^= 1;
    dns_text::Bytes got, fresh(16);
    cookie_make(fresh.data(), query.cookie_client, address, false, 1000000, secrets[0]);
    EXPECT_EQ(check(query, address, 1000000, secrets, 2, &got), COOKIE_BAD);
    EXPECT_EQ(got, fresh) << "a wrong cookie is not sent back";
}

TEST(Cookie, every_way_to_hash_side_by_side_is_that_of_libsodium)
{
    std::mt19937_64 random(24);
    unsigned ways = 0;
    for (int way = 0; way < SIPHASH_WAY_COUNT; way++)
        for (int round = 0; round < 2000; round++) {
            uint64_t word[SIPHASH_WORDS_MAX][SIPHASH_LANES] = {}, out[SIPHASH_LANES], one;
            uint8_t key[16], input[8 * SIPHASH_WORDS_MAX];
            for (uint8_t &octet : key)
                octet = static_cast<uint8_t>(random());
            const unsigned words = 1 + static_cast<unsigned>(random() % SIPHASH_WORDS_MAX),
                           len = 8 * (words - 1) + static_cast<unsigned>(random() % 8);
            for (unsigned i = 0; i < words; i++)
                for (uint64_t &lane : word[i])
                    lane = i + 1 < words ? random() : (random() & ((1ull << len % 8 * 8) - 1)) | uint64_t{len} << 56;
            const unsigned count = static_cast<unsigned>(random() % (SIPHASH_LANES + 1));
            uint64_t given[SIPHASH_WORDS_MAX][SIPHASH_LANES];
            memcpy(given, word, sizeof given);
            if (!siphash_lanes_by(static_cast<siphash_way>(way), out, word, words, count, key))
                break;
            ways += round == 0;
            for (unsigned lane = 0; lane < count; lane++) {
                for (unsigned i = 0; i < words; i++)
                    memcpy(input + 8 * i, &given[i][lane], 8);
                crypto_shorthash_siphash24(reinterpret_cast<uint8_t *>(&one), input, len, key);
                ASSERT_EQ(out[lane], one) << "way " << way << ", " << len << " octets";
            }
        }
    EXPECT_GE(ways, 1u);
}

TEST(Cookie, a_batch_is_answered_as_one_by_one)
{
    std::mt19937_64 random(9018);
    const uint32_t now_s = 1700000000;
    uint8_t secrets[2][16];
    for (auto &secret : secrets)
        for (uint8_t &octet : secret)
            octet = static_cast<uint8_t>(random());
    for (int round = 0; round < 20000; round++) {
        const bool is_ipv6 = round & 1;
        uint8_t sent[COOKIE_BATCH_MAX][40], address[COOKIE_BATCH_MAX][16], one[16];
        cookie_batch batch;
        cookie_query query[COOKIE_BATCH_MAX];
        const unsigned count = static_cast<unsigned>(random() % (COOKIE_BATCH_MAX + 1));
        for (unsigned i = 0; i < count; i++) {
            for (uint8_t &octet : sent[i])
                octet = static_cast<uint8_t>(random());
            for (uint8_t &octet : address[i])
                octet = static_cast<uint8_t>(random());
            if (random() % 4)
                cookie_make(sent[i] + 8, sent[i], address[i], is_ipv6,
                            now_s + 400 - static_cast<uint32_t>(random() % 4500), secrets[random() % 2]);
            const unsigned lengths[] = {0, 16, 16, 16, 8, 32};
            query[i] = {sent[i], sent[i] + 8, lengths[random() % 6]};
            cookie_fill(&batch, i, query[i].client, address[i], is_ipv6);
        }
        cookie_fill_heads(&batch, count, now_s);
        for (unsigned i = 0; i < count; i++)
            if (query[i].server_len)
                cookie_fill_sent(&batch, i, query[i], now_s);
        cookie_hash(&batch, count, is_ipv6, secrets[0]);
        for (unsigned i = 0; i < count; i++) {
            const bool goes_back = cookie_goes_back(&batch, i, query[i], now_s);
            const cookie_verdict verdict =
                query[i].server_len ? cookie_settle(&batch, i, query[i], address[i], is_ipv6, now_s, secrets, 2)
                                    : COOKIE_NONE;
            const uint64_t made[2] = {cookie_made_head(&batch, i), cookie_made_hash(&batch, i)};
            ASSERT_EQ(cookie_answer(one, query[i], address[i], is_ipv6, now_s, secrets, 2), verdict);
            ASSERT_EQ(memcmp(one, made, 16), 0);
            ASSERT_EQ(goes_back, query[i].server_len == 16 && memcmp(one, query[i].server, 16) == 0);
        }
    }
}

} // namespace
