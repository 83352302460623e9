// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

extern "C" {
#include "table/region_map.h"
}

namespace
{

struct FreeMap {
    void operator()(void *p) const
    {
        free(p);
    }
};

struct Map {
    std::unique_ptr<void, FreeMap> data;
    size_t len = 0;
};

region_prefix prefix(const std::string &text, uint16_t region)
{
    region_prefix p{};
    size_t slash = text.find('/');
    std::string address = text.substr(0, slash);
    p.is_ipv6 = address.find(':') != std::string::npos;
    EXPECT_EQ(inet_pton(p.is_ipv6 ? AF_INET6 : AF_INET, address.c_str(), p.address), 1) << text;
    p.prefix_len = static_cast<uint8_t>(std::stoi(text.substr(slash + 1)));
    p.region = region;
    return p;
}

Map build(const std::vector<region_prefix> &prefixes)
{
    Map map;
    void *p = nullptr;
    EXPECT_EQ(region_map_build(prefixes.data(), prefixes.size(), &p, &map.len), 0);
    map.data.reset(p);
    EXPECT_EQ(region_map_check(p, map.len), 0);
    return map;
}

region_match find(const Map &map, const std::string &text)
{
    uint8_t address[16] = {};
    bool is_ipv6 = text.find(':') != std::string::npos;
    inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text.c_str(), address);
    return is_ipv6 ? region_map_find_ipv6(map.data.get(), address) : region_map_find_ipv4(map.data.get(), address);
}

bool covers(const region_prefix &p, const uint8_t *address, bool is_ipv6)
{
    if (p.is_ipv6 != is_ipv6)
        return false;
    for (unsigned bit = 0; bit < p.prefix_len; bit++)
        if ((p.address[bit / 8] ^ address[bit / 8]) >> (7 - bit % 8) & 1)
            return false;
    return true;
}

// The trivial map: the longest prefix, the last of equals.
uint16_t trivial(const std::vector<region_prefix> &prefixes, const uint8_t *address, bool is_ipv6)
{
    int best = -1;
    uint16_t region = REGION_UNKNOWN;
    for (const region_prefix &p : prefixes)
        if (covers(p, address, is_ipv6) && p.prefix_len >= best) {
            best = p.prefix_len;
            region = p.region;
        }
    return region;
}

struct Row {
    const char *address;
    uint16_t region;
    unsigned scope;
    const char *why;
};

TEST(RegionMap, finds_the_longest_prefix_and_the_widest_scope_around_it)
{
    Map map = build({prefix("10.0.0.0/8", 1), prefix("10.1.0.0/16", 2), prefix("10.1.2.0/24", 1),
                     prefix("2001:db8::/32", 3), prefix("2001:db8:1::/48", 4)});
    const Row rows[] = {
        {"10.0.0.1", 1, 16, "10.0.0.0/16 is the widest without 10.1/16"},
        {"10.200.0.1", 1, 9, "the upper half of the /8 has one region"},
        {"10.1.0.1", 2, 23, "10.1.0.0/23 ends before the inner /24"},
        {"10.1.2.3", 1, 24, "an inner prefix with the outer's region"},
        {"10.1.128.0", 2, 17, "behind the inner prefix"},
        {"11.0.0.1", 0, 8, "no prefix"},
        {"200.0.0.1", 0, 1, "half of the space has none"},
        {"2001:db8::1", 3, 48, "beside the inner /48"},
        {"2001:db8:1::1", 4, 48, "inside"},
        {"2001:db8:8000::1", 3, 33, "upper half of the /32"},
        {"::1", 0, 3, "far from any"},
    };
    for (const Row &row : rows) {
        region_match m = find(map, row.address);
        EXPECT_EQ(m.region, row.region) << row.address << ": " << row.why;
        EXPECT_EQ(m.scope_len, row.scope) << row.address << ": " << row.why;
    }
}

TEST(RegionMap, an_empty_map_and_a_map_of_everything_have_scope_zero)
{
    Map map = build({prefix("0.0.0.0/0", 5)});
    EXPECT_EQ(find(map, "1.2.3.4").region, 5);
    EXPECT_EQ(find(map, "1.2.3.4").scope_len, 0);
    EXPECT_EQ(find(map, "2001::1").region, 0);
    EXPECT_EQ(find(map, "2001::1").scope_len, 0);
}

TEST(RegionMap, the_last_of_equal_prefixes_wins)
{
    Map map = build({prefix("10.0.0.0/8", 1), prefix("10.0.0.0/8", 2)});
    EXPECT_EQ(find(map, "10.9.9.9").region, 2);
}

TEST(RegionMap, refuses_bad_prefixes)
{
    void *map = nullptr;
    size_t len = 0;
    region_prefix bad[] = {prefix("10.0.0.1/8", 1), prefix("10.0.0.0/8", 0), prefix("10.0.0.0/8", 5000),
                           prefix("10.0.0.0/33", 1)};
    for (const region_prefix &p : bad)
        EXPECT_EQ(region_map_build(&p, 1, &map, &len), -EINVAL);
}

TEST(RegionMap, equals_a_trivial_map_on_random_prefixes)
{
    std::mt19937_64 random(20260101);
    for (int round = 0; round < 30; round++) {
        std::vector<region_prefix> prefixes;
        for (int i = 0; i < 60; i++) {
            region_prefix p{};
            p.is_ipv6 = random() & 1;
            unsigned width = p.is_ipv6 ? 128 : 32;
            p.prefix_len = static_cast<uint8_t>(random() % (width + 1));
            for (unsigned bit = 0; bit < p.prefix_len; bit++) // few distinct bits, so that prefixes nest
                p.address[bit / 8] =
                    static_cast<uint8_t>(p.address[bit / 8] | (random() % 5 == 0 ? 1u << (7 - bit % 8) : 0));
            p.region = static_cast<uint16_t>(1 + random() % 3);
            prefixes.push_back(p);
        }
        Map map = build(prefixes);
        for (int i = 0; i < 2000; i++) {
            uint8_t address[16] = {};
            bool is_ipv6 = random() & 1;
            const region_prefix &near = prefixes[random() % prefixes.size()];
            for (unsigned b = 0; b < (is_ipv6 ? 16u : 4u); b++)
                address[b] = static_cast<uint8_t>(near.address[b] ^ (random() % 4 == 0 ? random() : 0));
            region_match m =
                is_ipv6 ? region_map_find_ipv6(map.data.get(), address) : region_map_find_ipv4(map.data.get(), address);
            ASSERT_EQ(m.region, trivial(prefixes, address, is_ipv6)) << "round " << round;
            // Any address inside the scope has the same region.
            for (unsigned bit = m.scope_len; bit < (is_ipv6 ? 128u : 32u); bit++)
                if (random() & 1)
                    address[bit / 8] = static_cast<uint8_t>(address[bit / 8] ^ 1u << (7 - bit % 8));
            ASSERT_EQ(trivial(prefixes, address, is_ipv6), m.region) << "scope too wide, round " << round;
        }
    }
}

TEST(RegionMap, many_ranges_inside_one_64_equal_a_trivial_map)
{
    std::mt19937_64 random(64);
    for (const char *base : {"2001:db8:1:2::/64", "::/64", "ffff:ffff:ffff:ffff::/64"}) {
        std::vector<region_prefix> prefixes{prefix("2001:db8::/32", 9), prefix("2001:db8:1:3::/64", 8)};
        for (int i = 0; i < 200; i++) {
            region_prefix p = prefix(base, static_cast<uint16_t>(1 + random() % 5));
            p.prefix_len = static_cast<uint8_t>(100 + random() % 29);
            p.address[14] = static_cast<uint8_t>(random() % 4);
            p.address[15] = static_cast<uint8_t>(random());
            for (unsigned bit = p.prefix_len; bit < 128; bit++)
                p.address[bit / 8] = static_cast<uint8_t>(p.address[bit / 8] & ~(1u << (7 - bit % 8)));
            prefixes.push_back(p);
        }
        Map map = build(prefixes);
        for (int i = 0; i < 5000; i++) {
            uint8_t address[16];
            memcpy(address, prefixes[random() % prefixes.size()].address, 16);
            address[14] = static_cast<uint8_t>(random() % 5);
            address[15] = static_cast<uint8_t>(random());
            if (random() % 20 == 0)
                address[random() % 16] ^= 1;
            ASSERT_EQ(region_map_find_ipv6(map.data.get(), address).region, trivial(prefixes, address, true)) << base;
        }
    }
}

TEST(RegionMap, half_a_million_prefixes_build_and_answer)
{
    std::mt19937_64 random(7);
    std::vector<region_prefix> prefixes(500000);
    for (region_prefix &p : prefixes) {
        uint32_t address = htonl(static_cast<uint32_t>(random()) & 0xffffff00);
        memcpy(p.address, &address, 4);
        p.prefix_len = 24;
        p.region = static_cast<uint16_t>(1 + random() % 200);
    }
    Map map = build(prefixes);
    EXPECT_LT(map.len, 500000u * 24);
}

TEST(RegionMap, a_damaged_map_is_refused)
{
    Map map = build({prefix("10.0.0.0/8", 1), prefix("2001:db8::/32", 3)});
    auto *bytes = static_cast<uint8_t *>(map.data.get());
    for (size_t at :
         {size_t(0), size_t(4), size_t(8), size_t(16), size_t(24), size_t(32), size_t(40), size_t(48), size_t(60)}) {
        bytes[at] ^= 0x40;
        EXPECT_NE(region_map_check(bytes, map.len), 0) << at;
        bytes[at] ^= 0x40;
    }
    EXPECT_EQ(region_map_check(bytes, map.len), 0);
    EXPECT_NE(region_map_check(bytes, map.len - 8), 0);
}

} // namespace
