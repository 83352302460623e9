// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

extern "C" {
#include "dataplane/answer.h"
#include "dataplane/rate_limit.h"
}

namespace
{

class RateLimit : public ::testing::Test
{
  public:
    rate_limit *limit = rate_limit_new(16, 12345, 1);
    zone_settings settings{};
    uint64_t now_ns = 1000000000;

    RateLimit()
    {
        settings.rate_per_s = 50;
        settings.rate_burst = 125;
        settings.rate_slip = 2;
    }
    ~RateLimit() override
    {
        rate_limit_free(limit);
    }

    rate_limit_verdict ask(rate_limit *by, const answer_client &client, rate_limit_class c, uint64_t name) const
    {
        const rate_limit_response response = {client.address, name, client.is_ipv6, static_cast<uint8_t>(c)};
        return rate_limit_check(by, &settings, now_ns, &response);
    }

    rate_limit_verdict check(uint32_t address, uint64_t name = 1, rate_limit_class c = RATE_LIMIT_ANSWER)
    {
        answer_client client{};
        const uint8_t bytes[4] = {static_cast<uint8_t>(address >> 24), static_cast<uint8_t>(address >> 16),
                                  static_cast<uint8_t>(address >> 8), static_cast<uint8_t>(address)};
        memcpy(client.address, bytes, 4);
        return ask(limit, client, c, name);
    }

    // How many of `count` queries at `per_s` pass.
    unsigned passed(unsigned count, unsigned per_s, uint32_t first, uint32_t addresses, bool many_names = false)
    {
        unsigned n = 0;
        for (unsigned i = 0; i < count; i++) {
            n += check(first + i % addresses, many_names ? i : 1) == RATE_LIMIT_PASS;
            now_ns += 1000000000ull / per_s;
        }
        return n;
    }
};

TEST_F(RateLimit, a_client_below_the_rate_is_never_limited)
{
    EXPECT_EQ(passed(5000, 45, 0xc6336401, 1), 5000u);
}

TEST_F(RateLimit, a_burst_passes_and_a_flood_is_cut_to_about_the_burst)
{
    unsigned n = passed(100000, 100000, 0xc6336401, 1);
    EXPECT_GE(n, 125u);
    EXPECT_LT(n, 300u);
    now_ns += 20000000000ull;
    EXPECT_EQ(check(0xc6336401), RATE_LIMIT_PASS) << "it decays";
}

TEST_F(RateLimit, a_steady_flow_passes_at_the_rate_and_not_above)
{
    struct Row {
        unsigned per_s;
        bool passes;
        const char *why;
    };
    const Row rows[] = {{25, true, "half the rate"}, {50, true, "the rate"}, {60, false, "a fifth above"}};
    settings.rate_burst = 1; // the steady flow decides alone
    uint32_t client = 0xc6336401;
    for (const Row &row : rows) {
        const unsigned count = 100 * row.per_s, n = passed(count, row.per_s, client++, 1);
        EXPECT_EQ(n == count, row.passes) << row.why << ": " << n << " of " << count;
    }
}

TEST_F(RateLimit, a_count_is_halved_in_each_half_life)
{
    settings.rate_burst = 1000;
    for (unsigned halves = 0; halves < 8; halves++) {
        const uint32_t client = 0xc6336401 + halves;
        for (unsigned i = 0; i < 1000; i++)
            ASSERT_EQ(check(client), RATE_LIMIT_PASS);
        now_ns += static_cast<uint64_t>(halves) << 30;
        unsigned n = 0;
        while (check(client) == RATE_LIMIT_PASS)
            n++;
        EXPECT_NEAR(n, 1000 - (1000 >> halves), 2) << halves;
    }
}

TEST_F(RateLimit, between_half_lives_a_count_falls_on_the_curve)
{
    settings.rate_burst = 1000;
    for (unsigned percent = 0; percent <= 200; percent += 10) {
        const uint32_t client = 0xc6336401 + (percent << 8);
        for (unsigned i = 0; i < 1000; i++)
            ASSERT_EQ(check(client), RATE_LIMIT_PASS);
        now_ns += (static_cast<uint64_t>(percent) << 30) / 100;
        unsigned n = 0;
        while (check(client) == RATE_LIMIT_PASS)
            n++;
        EXPECT_NEAR(n, 1000 - 1000 * std::exp2(-0.01 * percent), 8) << percent;
    }
}

TEST_F(RateLimit, responses_counted_together_get_the_verdicts_of_one_by_one)
{
    rate_limit *other = rate_limit_new(16, 12345, 1);
    const uint8_t clients[4][16] = {{198, 51, 100, 1}, {198, 51, 100, 2}, {0x20, 1, 0xd, 0xb8}, {0x20, 1, 0xd, 0xb9}};
    unsigned over = 0;
    settings.rate_per_s = 20;
    settings.rate_burst = 20;
    for (unsigned round = 0; round < 500; round++) {
        rate_limit_response many[RATE_LIMIT_BATCH_MAX];
        rate_limit_batch batch;
        rate_limit_begin(&batch, limit, &settings, now_ns);
        for (unsigned i = 0; i < RATE_LIMIT_BATCH_MAX; i++) {
            many[i] = {clients[(i * i + round) % 4], i % 3, (i * i + round) % 4 > 1, static_cast<uint8_t>(i / 7 % 4)};
            const auto response_class = static_cast<rate_limit_class>(many[i].response_class);
            if (many[i].is_ipv6)
                rate_limit_fill6(&batch, i, many[i].client, response_class, many[i].name);
            else
                rate_limit_fill4(&batch, i, many[i].client, response_class, many[i].name);
        }
        unsigned refused = 0;
        const bool do_all_pass = rate_limit_count(&batch, RATE_LIMIT_BATCH_MAX);
        for (unsigned i = 0; i < RATE_LIMIT_BATCH_MAX; i++) {
            const rate_limit_verdict verdict = rate_limit_check(other, &settings, now_ns, &many[i]);
            ASSERT_EQ(rate_limit_verdict_of(&batch, i), verdict);
            refused += verdict != RATE_LIMIT_PASS;
        }
        ASSERT_EQ(do_all_pass, refused == 0);
        over += refused;
        now_ns += 100000000;
    }
    EXPECT_GT(over, 1000u);
    EXPECT_LT(over, 500u * RATE_LIMIT_BATCH_MAX - 1000);
    rate_limit_free(other);
}

TEST_F(RateLimit, every_second_response_over_the_limit_slips)
{
    unsigned slipped = 0, dropped = 0;
    for (int i = 0; i < 10000; i++) {
        rate_limit_verdict v = check(0xc6336401);
        slipped += v == RATE_LIMIT_SLIP;
        dropped += v == RATE_LIMIT_DROP;
    }
    EXPECT_NEAR(slipped, dropped, 1);
    EXPECT_GT(dropped, 4000u);
}

TEST_F(RateLimit, a_spoofed_flood_from_one_network_is_cut_by_the_wider_prefix)
{
    unsigned n = passed(200000, 1000000, 0xc6336400, 256);
    EXPECT_LT(n, 10000u) << "32 times the rate for a /24";
}

TEST_F(RateLimit, each_prefix_length_has_its_multiple_of_the_rate)
{
    struct Row {
        bool is_ipv6;
        unsigned varied_from, varied_bits; // which bits of the address change from query to query
        unsigned multiple;                 // of the burst: what passes at once
        const char *why;
    };
    const Row rows[] = {
        {false, 32, 0, 1, "one IPv4 address"},
        {false, 24, 8, 32, "a /24"},
        {false, 20, 12, 256, "a /20"},
        {false, 18, 14, 768, "a /18"},
        {true, 128, 0, 1, "one IPv6 address"},
        {true, 64, 64, 2, "a /64"},
        {true, 56, 72, 3, "a /56"},
        {true, 48, 80, 4, "a /48"},
        {true, 32, 96, 64, "a /32"},
    };
    for (const Row &row : rows) {
        rate_limit *fresh = rate_limit_new(20, 99, 1);
        unsigned passed = 0;
        uint64_t state = 1;
        for (unsigned i = 0; i < 120000; i++) {
            answer_client client{};
            client.is_ipv6 = row.is_ipv6;
            memcpy(client.address, "\x20\x01\x0d\xb8\1\2\3\4\5\6\7\10\11\12\13\14", row.is_ipv6 ? 16 : 4);
            // All varied bits are drawn at random, so that every narrower prefix inside is as good as fresh.
            for (unsigned bit = row.varied_from; bit < row.varied_from + row.varied_bits; bit++) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                if (state >> 63)
                    client.address[bit / 8] = static_cast<uint8_t>(client.address[bit / 8] ^ 0x80 >> bit % 8);
            }
            passed += ask(fresh, client, RATE_LIMIT_ANSWER, 1) == RATE_LIMIT_PASS;
        }
        EXPECT_NEAR(passed, 125u * row.multiple, 0.03 * 125 * row.multiple + 1) << row.why;
        rate_limit_free(fresh);
    }
}

TEST_F(RateLimit, classes_of_responses_are_counted_apart)
{
    for (rate_limit_class c : {RATE_LIMIT_ANSWER, RATE_LIMIT_EMPTY, RATE_LIMIT_NXDOMAIN, RATE_LIMIT_ERROR}) {
        unsigned n = 0;
        for (int i = 0; i < 1000; i++)
            n += check(0xc6336401, 1, c) == RATE_LIMIT_PASS;
        EXPECT_EQ(n, 125u) << c;
    }
}

// The i-th of responses that differ little.
struct KeyRow {
    bool is_ipv6;
    unsigned prefix_len, per_prefix; // consecutive prefixes, and how many keys each has,
    unsigned names, classes;         // by name and class
    const char *why;
};

class RateLimitKeys : public RateLimit, public testing::WithParamInterface<KeyRow>
{
  public:
    rate_limit_verdict ask_key(rate_limit *by, unsigned i) const
    {
        const KeyRow &row = GetParam();
        answer_client client{};
        const uint64_t prefix = i / row.per_prefix, start = row.is_ipv6 ? 0x20010db8ull << 32 : 0xc6120000ull << 32;
        const uint64_t half = __builtin_bswap64(start + (prefix << (64 - row.prefix_len)));
        memcpy(client.address, &half, row.is_ipv6 ? 8 : 4);
        client.is_ipv6 = row.is_ipv6;
        return ask(by, client, static_cast<rate_limit_class>(i / row.names % row.classes), i % row.names * 2654435761u);
    }
};

TEST_P(RateLimitKeys, keys_that_differ_little_are_counted_apart_and_not_lost)
{
    const unsigned keys = 2000;
    settings.rate_per_s = 1;
    settings.rate_burst = 2;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        rate_limit *fresh = rate_limit_new(18, seed, 1);
        unsigned passed = 0, refused = 0;
        for (unsigned i = 0; i < 2 * keys; i++)
            passed += ask_key(fresh, i % keys) == RATE_LIMIT_PASS;
        for (unsigned i = 0; i < keys; i++)
            refused += ask_key(fresh, i) != RATE_LIMIT_PASS;
        EXPECT_EQ(passed, 2 * keys) << GetParam().why << ", seed " << seed << ": two share a cell";
        EXPECT_GT(refused, keys - keys / 100) << GetParam().why << ", seed " << seed << ": some lost theirs";
        rate_limit_free(fresh);
    }
}

INSTANTIATE_TEST_SUITE_P(Rows, RateLimitKeys,
                         testing::Values(KeyRow{false, 24, 1, 1, 1, "one client in each /24"},
                                         KeyRow{false, 20, 1, 1, 1, "one in each /20"},
                                         KeyRow{false, 18, 1, 1, 1, "one in each /18"},
                                         KeyRow{false, 24, 8, 8, 1, "eight names for each client"},
                                         KeyRow{false, 24, 4, 1, 4, "four classes for each client"},
                                         KeyRow{true, 32, 1, 1, 1, "one in each IPv6 /32"},
                                         KeyRow{true, 38, 1, 1, 1, "64 in each IPv6 /32"},
                                         KeyRow{true, 32, 4, 1, 4, "four classes for each IPv6 client"}));

TEST_F(RateLimit, neighbouring_networks_are_counted_apart_and_not_lost)
{
    struct Row {
        unsigned prefix_len, multiple;
        unsigned per_wider, wider_len; // so many in a row that a wider prefix stays within its own limit
        unsigned networks;
    };
    settings.rate_per_s = 1;
    settings.rate_burst = 2;
    for (const Row &row : {Row{24, 32, 5, 20, 400}, Row{20, 256, 2, 18, 50}, Row{18, 768, 1, 18, 16}})
        for (uint64_t seed = 1; seed <= 10; seed++) {
            rate_limit *other = rate_limit_new(18, seed, 1);
            std::swap(limit, other);
            unsigned passed = 0, refused = 0;
            const auto address = [&](unsigned network, unsigned host) {
                const unsigned networks_24 = 1 << (24 - row.prefix_len);
                return 0xc6120000 + (network / row.per_wider << (32 - row.wider_len)) +
                       (network % row.per_wider << (32 - row.prefix_len)) + host % networks_24 * 256 +
                       host / networks_24;
            };
            for (unsigned i = 0; i < row.networks; i++)
                for (unsigned host = 0; host < row.multiple * 2; host++) // once each: within its own limit
                    passed += check(address(i, host)) == RATE_LIMIT_PASS;
            for (unsigned i = 0; i < row.networks; i++)
                refused += check(address(i, row.multiple * 2)) != RATE_LIMIT_PASS;
            EXPECT_EQ(passed, row.networks * row.multiple * 2) << row.prefix_len << ", seed " << seed << ": shared";
            EXPECT_GE(refused, row.networks - row.networks / 50) << row.prefix_len << ", seed " << seed << ": lost";
            std::swap(limit, other);
            rate_limit_free(other);
        }
}

TEST_F(RateLimit, other_rates_hold_at_once)
{
    EXPECT_EQ(check(0xc6336401), RATE_LIMIT_PASS);
    settings.rate_per_s = settings.rate_burst = 1;
    EXPECT_NE(check(0xc6336401), RATE_LIMIT_PASS);
    settings.rate_burst = 125;
    EXPECT_EQ(check(0xc6336401), RATE_LIMIT_PASS);
}

TEST_F(RateLimit, workers_share_the_rate)
{
    rate_limit_free(limit);
    limit = rate_limit_new(16, 12345, 5);
    EXPECT_EQ(passed(1000, 1000000, 0xc6336401, 1), 25u) << "a fifth of the burst";
    settings.rate_burst = settings.rate_per_s = 1;
    EXPECT_EQ(check(0xc0000201), RATE_LIMIT_PASS) << "one response always passes";
    EXPECT_NE(check(0xc0000201), RATE_LIMIT_PASS);
}

TEST_F(RateLimit, nothing_slips_unless_told_and_all_does_with_1)
{
    settings.rate_slip = 0;
    passed(1000, 1000000, 0xc6336401, 1);
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(check(0xc6336401), RATE_LIMIT_DROP);
    settings.rate_slip = 1;
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(check(0xc6336401), RATE_LIMIT_SLIP);
}

TEST_F(RateLimit, a_clock_that_stands_or_jumps_harms_nobody)
{
    passed(1000, 1000000, 0xc6336401, 1);
    now_ns -= 500000; // another thread's burst may be a little older
    EXPECT_NE(check(0xc6336401), RATE_LIMIT_PASS);
    now_ns += 1000000000000ull;
    EXPECT_EQ(check(0xc6336401), RATE_LIMIT_PASS);
}

TEST_F(RateLimit, tables_have_limits)
{
    EXPECT_EQ(rate_limit_new(0, 1, 1), nullptr);
    EXPECT_EQ(rate_limit_new(29, 1, 1), nullptr);
    EXPECT_EQ(rate_limit_new(16, 1, 0), nullptr);
    rate_limit_free(nullptr);
}

TEST_F(RateLimit, random_names_do_not_evade_the_limit)
{
    EXPECT_LT(passed(200000, 1000000, 0xc6336401, 1, true), 10000u);
}

TEST_F(RateLimit, ten_thousand_resolvers_of_many_networks_pass)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < 10000; i++)
        n += check(i * 2654435761u) == RATE_LIMIT_PASS;
    EXPECT_EQ(n, 10000u);
}

} // namespace
