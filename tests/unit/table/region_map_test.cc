// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <set>
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
    EXPECT_EQ(region_map_check(p, map.len, REGION_MAX), 0);
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

// Prefixes that gather at few places, at all depths: every kind of entry appears.
std::vector<region_prefix> crowded(std::mt19937_64 &random, bool is_ipv6, int count)
{
    const unsigned width = is_ipv6 ? 128 : 32;
    uint8_t place[4][16];
    for (auto &octets : place)
        for (uint8_t &octet : octets)
            octet = static_cast<uint8_t>(random());
    std::vector<region_prefix> prefixes;
    for (int i = 0; i < count; i++) {
        region_prefix p{};
        p.is_ipv6 = is_ipv6;
        p.region = static_cast<uint16_t>(1 + random() % 4);
        p.prefix_len = static_cast<uint8_t>(random() % (width + 1));
        const auto from =
            static_cast<unsigned>(random() % (width + 1)); // bits up to here are the place's, behind it chance
        const uint8_t *at = place[random() % 4];
        for (unsigned bit = 0; bit < p.prefix_len; bit++) {
            const unsigned value = bit < from ? at[bit / 8] >> (7 - bit % 8) & 1 : random() & 1;
            p.address[bit / 8] = static_cast<uint8_t>(p.address[bit / 8] | value << (7 - bit % 8));
        }
        prefixes.push_back(p);
    }
    return prefixes;
}

using Number = unsigned __int128;

Number number(const uint8_t *address, bool is_ipv6)
{
    Number n = 0;
    for (unsigned i = 0; i < (is_ipv6 ? 16u : 4u); i++)
        n = n << 8 | address[i];
    return n;
}

// The regions of all addresses that share the first `len` bits with `address`: the region can change only where a
// prefix starts or ends.
std::set<uint16_t> regions_in(const std::vector<region_prefix> &prefixes, const uint8_t *address, bool is_ipv6,
                              unsigned len)
{
    const unsigned width = is_ipv6 ? 128 : 32;
    const auto hosts = [&](unsigned bits) {
        return bits == 0 ? ~Number(0) >> (128 - width) : (Number(1) << (width - bits)) - 1;
    };
    const Number first = number(address, is_ipv6) & ~hosts(len), last = first | hosts(len);
    std::vector<Number> changes{first};
    for (const region_prefix &p : prefixes) {
        const Number start = number(p.address, is_ipv6), behind = (start | hosts(p.prefix_len)) + 1;
        for (const Number at : {start, behind})
            if (at > first && at <= last)
                changes.push_back(at);
    }
    std::set<uint16_t> found;
    for (Number at : changes) {
        uint8_t octets[16] = {};
        for (unsigned i = width / 8; i-- > 0; at >>= 8)
            octets[i] = static_cast<uint8_t>(at);
        found.insert(trivial(prefixes, octets, is_ipv6));
    }
    return found;
}

TEST(RegionMap, region_and_scope_equal_a_trivial_map_where_prefixes_crowd)
{
    std::mt19937_64 random(20260303);
    for (int round = 0; round < 40; round++) {
        const bool is_ipv6 = round & 1;
        const std::vector<region_prefix> prefixes = crowded(random, is_ipv6, 1 + static_cast<int>(random() % 300));
        const Map map = build(prefixes);
        std::vector<const uint8_t *> asked;
        std::vector<std::array<uint8_t, 16>> addresses(REGION_MANY_MAX);
        for (auto &address : addresses) {
            memcpy(address.data(), prefixes[random() % prefixes.size()].address, 16);
            const auto flips = static_cast<unsigned>(random() % 3);
            for (unsigned i = 0; i < flips; i++)
                address[random() % (is_ipv6 ? 16 : 4)] ^= static_cast<uint8_t>(1u << random() % 8);
            asked.push_back(address.data());
            const region_match m = is_ipv6 ? region_map_find_ipv6(map.data.get(), address.data())
                                           : region_map_find_ipv4(map.data.get(), address.data());
            ASSERT_EQ(m.region, trivial(prefixes, address.data(), is_ipv6)) << "round " << round;
            ASSERT_EQ(regions_in(prefixes, address.data(), is_ipv6, m.scope_len).size(), 1u) << "too wide, " << round;
            if (m.scope_len == 0) {
                ASSERT_EQ(m.beside, m.region);
                continue;
            }
            const std::set<uint16_t> wider = regions_in(prefixes, address.data(), is_ipv6, m.scope_len - 1u);
            ASSERT_GT(wider.size(), 1u) << "too narrow, round " << round;
            ASSERT_TRUE(wider.count(m.beside)) << "round " << round;
            ASSERT_TRUE(is_ipv6 || m.beside != m.region) << "a search more than needed, round " << round;
        }
        region_match many[REGION_MANY_MAX];
        region_map_find_many(map.data.get(), asked.data(), is_ipv6 ? ~0ull : 0, REGION_MANY_MAX, many);
        for (unsigned i = 0; i < REGION_MANY_MAX; i++) {
            const region_match one = is_ipv6 ? region_map_find_ipv6(map.data.get(), asked[i])
                                             : region_map_find_ipv4(map.data.get(), asked[i]);
            ASSERT_EQ(many[i].region, one.region);
            ASSERT_EQ(many[i].scope_len, one.scope_len);
            ASSERT_EQ(many[i].beside, one.beside);
        }
    }
}

TEST(RegionMap, half_a_million_prefixes_take_eight_octets_a_range)
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
    EXPECT_LT(map.len, 2 * 500000u * 8);
}

// Sets of regions have as many bits as the largest region of an image needs; the map must name none beyond.
TEST(RegionMap, a_region_above_the_largest_one_allowed_is_refused)
{
    const std::vector<std::vector<region_prefix>> in_a_leaf_or_a_list = {{prefix("10.0.0.0/8", 5)},
                                                                         {prefix("10.1.2.128/25", 5)},
                                                                         {prefix("2001:db8::/32", 5)},
                                                                         {prefix("2001:db8::1/128", 5)}};
    for (const auto &prefixes : in_a_leaf_or_a_list) {
        const Map map = build(prefixes);
        EXPECT_EQ(region_map_check(map.data.get(), map.len, 5), 0);
        EXPECT_EQ(region_map_check(map.data.get(), map.len, 4), -EBADMSG);
    }
}

// What the check accepts must be safe to ask, whatever it says (address sanitizers watch), and its scopes be lengths.
TEST(RegionMap, a_damaged_map_is_refused_or_harmless)
{
    std::mt19937_64 random(99);
    std::vector<region_prefix> prefixes = crowded(random, false, 200), more = crowded(random, true, 200);
    prefixes.insert(prefixes.end(), more.begin(), more.end());
    const Map map = build(prefixes);
    auto *octets = static_cast<uint8_t *>(map.data.get());
    const std::vector<uint64_t> some((REGION_MAX + 64) / 64, 0x5555555555555555);
    unsigned refused = 0;
    for (size_t at = 0; at < map.len; at++) {
        const auto change = static_cast<uint8_t>(1u << random() % 8);
        octets[at] ^= change;
        if (region_map_check(octets, map.len, REGION_MAX) != 0) {
            refused++;
        } else {
            for (const region_prefix &p : prefixes) {
                const region_match m =
                    p.is_ipv6 ? region_map_find_ipv6(octets, p.address) : region_map_find_ipv4(octets, p.address);
                ASSERT_LE(m.scope_len, p.is_ipv6 ? 128 : 32) << "octet " << at;
                ASSERT_LE(m.region, REGION_MAX);
                ASSERT_LE(m.beside, REGION_MAX);
                ASSERT_LE(region_map_reach(octets, p.address, p.is_ipv6, some.data()), p.is_ipv6 ? 128 : 32);
            }
        }
        octets[at] ^= change;
    }
    EXPECT_EQ(region_map_check(octets, map.len, REGION_MAX), 0);
    EXPECT_GT(refused, map.len / 4);
    for (size_t len = 0; len < map.len; len += 8)
        EXPECT_NE(region_map_check(octets, len, REGION_MAX), 0);
}

} // namespace
