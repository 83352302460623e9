// SPDX-License-Identifier: Apache-2.0
#include "control/config_units.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

namespace
{

constexpr uint64_t ms = 1000000, second = 1000 * ms;

TEST(ConfigUnits, durations)
{
    struct {
        const char *text;
        int rc;
        uint64_t ns;
        const char *why;
    } const rows[] = {
        {"500ms", 0, 500 * ms, "plain"},
        {"1.5s", 0, 1500 * ms, "a fraction"},
        {"1h30m", 0, 5400 * second, "two parts"},
        {"1w2d3h4m5s6ms7us8ns", 0, 788645006007008, "all parts"},
        {"0", 0, 0, "zero needs no unit"},
        {"0s", 0, 0, "but may have one"},
        {"5", -EINVAL, 0, "a number without a unit"},
        {"", -EINVAL, 0, "nothing"},
        {"s", -EINVAL, 0, "a unit alone"},
        {"1 s", -EINVAL, 0, "a blank"},
        {"-1s", -EINVAL, 0, "negative"},
        {"1S", -EINVAL, 0, "capitals are other units elsewhere"},
        {"1sec", -EINVAL, 0, "an unknown unit"},
        {"30m1h", -EINVAL, 0, "the wrong way round"},
        {"1s1s", -EINVAL, 0, "twice the same"},
        {"1.5ns", -EINVAL, 0, "not a whole number of nanoseconds"},
        {"1.1234567891s", -EINVAL, 0, "ten digits of a fraction"},
        {"1.s", -EINVAL, 0, "a dot without digits"},
        {"18446744073709551616s", -ERANGE, 0, "past 64 bits"},
        {"600000000w", -ERANGE, 0, "past 64 bits as nanoseconds"},
        {"18446744073s999999999ns", -ERANGE, 0, "past 64 bits as a sum"},
    };
    for (const auto &row : rows) {
        uint64_t ns = 42;
        int rc = config_parse_duration(row.text, &ns);
        EXPECT_EQ(rc, row.rc) << row.text << ": " << row.why;
        EXPECT_EQ(ns, rc ? 42 : row.ns) << row.text << ": " << row.why;
    }
}

TEST(ConfigUnits, a_duration_is_printed_in_the_largest_unit_that_keeps_it)
{
    struct {
        uint64_t ns;
        const char *text;
    } const rows[] = {{0, "0"},
                      {1, "1ns"},
                      {1500, "1500ns"},
                      {50 * ms, "50ms"},
                      {90 * second, "90s"},
                      {3600 * second, "1h"},
                      {7 * 86400 * second, "1w"}};
    for (const auto &row : rows) {
        char text[32];
        uint64_t back;
        EXPECT_STREQ(config_duration_text(row.ns, text, sizeof text), row.text);
        ASSERT_EQ(config_parse_duration(text, &back), 0);
        EXPECT_EQ(back, row.ns);
    }
}

TEST(ConfigUnits, sizes_and_percentages)
{
    uint64_t bytes;
    EXPECT_EQ(config_parse_size("64K", &bytes), 0);
    EXPECT_EQ(bytes, 65536u);
    EXPECT_EQ(config_parse_size("2GiB", &bytes), 0);
    EXPECT_EQ(bytes, 2ull << 30);
    EXPECT_EQ(config_parse_size("12B", &bytes), 0);
    EXPECT_EQ(bytes, 12u);
    for (const char *bad : {"", "K", "1.5K", "64k", "64KK", "64 K", "-1"})
        EXPECT_EQ(config_parse_size(bad, &bytes), -EINVAL) << bad;
    EXPECT_EQ(config_parse_size("17179869184G", &bytes), -ERANGE);
    uint32_t percent;
    EXPECT_EQ(config_parse_percent("80%", &percent), 0);
    EXPECT_EQ(percent, 80u);
    EXPECT_EQ(config_parse_percent("100", &percent), 0);
    EXPECT_EQ(config_parse_percent("101", &percent), -ERANGE);
    for (const char *bad : {"", "%", "80 %", "8.5%", "-1%"})
        EXPECT_EQ(config_parse_percent(bad, &percent), -EINVAL) << bad;
}

TEST(ConfigUnits, addresses_endpoints_and_networks)
{
    config_address a;
    EXPECT_EQ(config_parse_address("192.0.2.1", &a), 0);
    EXPECT_FALSE(a.is_ipv6);
    EXPECT_EQ(config_parse_address("2001:db8::1", &a), 0);
    EXPECT_TRUE(a.is_ipv6);
    const std::string endless(10240, '1');
    for (const char *bad : {"", "192.0.2", "192.0.2.256", "192.0.2.01x", "::ffff:192.0.2.1", "fe80::1%eth0", "[::1]",
                            "192.0.2.1 ", "localhost", endless.c_str()})
        EXPECT_EQ(config_parse_address(bad, &a), -EINVAL) << bad;

    config_endpoint e;
    char text[CONFIG_ENDPOINT_TEXT_CAP];
    for (const char *good : {"192.0.2.1:80", "[2001:db8::1]:65535", "2001:db8::1", "192.0.2.1"}) {
        ASSERT_EQ(config_parse_endpoint(good, &e), 0) << good;
        EXPECT_STREQ(config_endpoint_text(&e, text), good);
    }
    ASSERT_EQ(config_parse_endpoint("[::1]", &e), 0);
    EXPECT_EQ(e.port, 0);
    for (const char *bad : {"192.0.2.1:", "192.0.2.1:x", "[192.0.2.1]:80", "[::1", "[::1]80", "[::1]:", ":80",
                            "192.0.2.1:080000", "192.0.2.1:8 0"})
        EXPECT_EQ(config_parse_endpoint(bad, &e), -EINVAL) << bad;
    EXPECT_EQ(config_parse_endpoint("192.0.2.1:0", &e), -ERANGE);
    EXPECT_EQ(config_parse_endpoint("192.0.2.1:65536", &e), -ERANGE);

    config_prefix p;
    EXPECT_EQ(config_parse_prefix("192.0.2.0/24", &p), 0);
    EXPECT_EQ(p.prefix_len, 24);
    EXPECT_EQ(config_parse_prefix("2001:db8::1", &p), 0);
    EXPECT_EQ(p.prefix_len, 128) << "an address alone";
    EXPECT_EQ(config_parse_prefix("0.0.0.0/0", &p), 0);
    for (const char *bad : {"192.0.2.1/24", "192.0.2.0/", "192.0.2.0/24x", "/24", "192.0.2.0/0024"})
        EXPECT_EQ(config_parse_prefix(bad, &p), -EINVAL) << bad;
    EXPECT_EQ(config_parse_prefix("192.0.2.0/33", &p), -ERANGE);
}

} // namespace
