// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>

extern "C" {
#include "dataplane/rate_limit.h"
}

namespace
{

class RateLimit : public ::testing::Test
{
  public:
    rate_limit *limit = rate_limit_new(16, 12345);
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

    rate_limit_verdict check(uint32_t address, uint64_t name = 1, rate_limit_class c = RATE_LIMIT_ANSWER)
    {
        answer_client client{};
        const uint8_t bytes[4] = {static_cast<uint8_t>(address >> 24), static_cast<uint8_t>(address >> 16),
                                  static_cast<uint8_t>(address >> 8), static_cast<uint8_t>(address)};
        memcpy(client.address, bytes, 4);
        return rate_limit_check(limit, &settings, &client, c, name, now_ns);
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
