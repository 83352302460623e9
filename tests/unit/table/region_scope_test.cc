// SPDX-License-Identifier: Apache-2.0
// How far an answer reaches, against trying every prefix.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/support/dns_text.h"

extern "C" {
#include "table/image_pair.h"
#include "table/order_choice.h"
#include "table/region_map.h"
#include "table/region_scope.h"
#include "table/zone_image.h"
}

namespace
{

typedef unsigned __int128 Number; // an address in the top bits

Number number(const uint8_t *address, unsigned octets)
{
    Number n = 0;
    for (unsigned i = 0; i < octets; i++)
        n |= static_cast<Number>(address[i]) << (120 - 8 * i);
    return n;
}

void octets_of(Number n, uint8_t address[16])
{
    for (unsigned i = 0; i < 16; i++)
        address[i] = static_cast<uint8_t>(n >> (120 - 8 * i));
}

Number mask(unsigned prefix_len)
{
    return prefix_len ? ~static_cast<Number>(0) << (128 - prefix_len) : 0;
}

// Random prefixes that nest and neighbour each other: few distinct bits, in a small part of the space or in all of it.
std::vector<region_prefix> random_prefixes(std::mt19937_64 &random, bool is_ipv6, unsigned regions,
                                           unsigned count_max = 40, unsigned bits_least = 4)
{
    std::vector<region_prefix> prefixes;
    const unsigned width = is_ipv6 ? 128 : 32, count = 1 + static_cast<unsigned>(random() % count_max);
    const Number base = (static_cast<Number>(random()) << 64 | random()) & mask(width);
    const unsigned shared = static_cast<unsigned>(random() % 3) * width / 3,
                   bits = bits_least + static_cast<unsigned>(random() % 8);
    for (unsigned i = 0; i < count; i++) {
        region_prefix p{};
        p.is_ipv6 = is_ipv6;
        p.prefix_len =
            static_cast<uint8_t>(std::min<unsigned>(width, shared + static_cast<unsigned>(random() % (bits + 1))));
        if (random() % 10 == 0)
            p.prefix_len = static_cast<uint8_t>(random() % (width + 1));
        const Number varied = static_cast<Number>(random()) << 64 | random();
        octets_of(((base & mask(shared)) | (varied & ~mask(shared))) & mask(p.prefix_len), p.address);
        p.region = static_cast<uint16_t>(1 + random() % regions);
        prefixes.push_back(p);
    }
    return prefixes;
}

// By longest prefix, the latest of equals, the slow way.
struct Trivial {
    std::map<std::pair<unsigned, Number>, unsigned> region_of; // by length and address
    explicit Trivial(const std::vector<region_prefix> &prefixes)
    {
        for (const region_prefix &p : prefixes)
            region_of[{p.prefix_len, number(p.address, 16)}] = p.region;
    }
    unsigned operator()(Number address) const
    {
        for (unsigned len = 129; len-- > 0;)
            if (const auto found = region_of.find({len, address & mask(len)}); found != region_of.end())
                return found->second;
        return REGION_UNKNOWN;
    }
};

// What the prefixes say, worked out the slow way: the region changes where a prefix starts or has ended, nowhere else.
struct Truth {
    std::map<Number, unsigned> region_from; // of the addresses from there to the next

    explicit Truth(const std::vector<region_prefix> &prefixes)
    {
        const Trivial trivial(prefixes);
        region_from[0] = trivial(0);
        for (const region_prefix &p : prefixes) {
            const Number start = number(p.address, 16), end = (start | ~mask(p.prefix_len)) + 1;
            region_from[start] = trivial(start);
            region_from[end] = trivial(end);
        }
    }
    unsigned region(Number address) const
    {
        return std::prev(region_from.upper_bound(address))->second;
    }
    // The widest prefix in which every address has the answer of `address`.
    template <typename Answer> unsigned scope(Number address, unsigned width, Answer answer) const
    {
        const unsigned own = answer(region(address));
        for (unsigned len = 0; len < width; len++) {
            bool is_uniform = answer(region(address & mask(len))) == own;
            const auto end = region_from.upper_bound(address | ~mask(len));
            for (auto at = region_from.lower_bound(address & mask(len)); at != end && is_uniform; ++at)
                is_uniform = answer(at->second) == own;
            if (is_uniform)
                return len;
        }
        return width;
    }
};

unsigned itself(unsigned region)
{
    return region;
}

struct Scope {
    void *data = nullptr;
    size_t len = 0;
    explicit Scope(const std::vector<region_prefix> &prefixes)
    {
        EXPECT_EQ(region_scope_build(prefixes.data(), prefixes.size(), &data, &len), 0);
        EXPECT_EQ(region_scope_check(data, len), 0);
    }
    ~Scope()
    {
        free(data);
    }
    unsigned of(Number address, bool is_ipv6, uint64_t same) const // of the regions 0 to 63
    {
        uint8_t octets[16];
        octets_of(address, octets);
        return is_ipv6 ? region_scope_ipv6(data, octets, &same) : region_scope_ipv4(data, octets, &same);
    }
};

Number address_near(std::mt19937_64 &random, const std::vector<region_prefix> &prefixes, unsigned width)
{
    const region_prefix &near = prefixes[random() % prefixes.size()];
    Number a = number(near.address, 16);
    switch (random() % 4) {
    case 0:
        a -= static_cast<Number>(1) << (128 - width); // the address before it
        break;
    case 1:
        a |= (static_cast<Number>(random()) << 64 | random()) & ~mask(near.prefix_len);
        break;
    case 2:
        a ^= static_cast<Number>(1) << (127 - random() % width);
        break;
    }
    return a & mask(width);
}

class RegionScope : public ::testing::TestWithParam<bool>
{
};

TEST_P(RegionScope, is_the_widest_prefix_whose_regions_have_one_answer)
{
    const bool is_ipv6 = GetParam();
    const unsigned width = is_ipv6 ? 128 : 32;
    std::mt19937_64 random(7871);
    unsigned wider = 0;
    for (int round = 0; round < 400; round++) {
        const unsigned regions = 1 + static_cast<unsigned>(random() % 6);
        const std::vector<region_prefix> prefixes = random_prefixes(random, is_ipv6, regions);
        const Scope scope(prefixes);
        const Truth truth(prefixes);
        std::vector<unsigned> answer(regions + 1);
        for (unsigned &a : answer)
            a = static_cast<unsigned>(random() % 3);
        for (int i = 0; i < 60; i++) {
            const Number address = address_near(random, prefixes, width);
            uint64_t same = 0;
            for (unsigned region = 0; region <= regions; region++)
                if (answer[region] == answer[truth.region(address)])
                    region_set_add(&same, region);
            const unsigned wanted = truth.scope(address, width, [&](unsigned region) { return answer[region]; });
            ASSERT_EQ(scope.of(address, is_ipv6, same), wanted) << "round " << round << ", address " << i;
            wider += wanted < truth.scope(address, width, itself);
        }
    }
    EXPECT_GT(wider, 2000u) << "regions are to be merged";
}

// A pair of images with one service, whose answers to classes are known.
struct Chooser {
    dns_text::ZoneSource zones;
    dns_text::OrderSource orders;
    dns_text::Image zone, order;

    Chooser(const std::vector<region_prefix> &prefixes, unsigned regions, uint32_t flags, unsigned buckets,
            const std::vector<uint32_t> &classes)
    {
        zones.zone("example.com.", "@ 60 SOA ns.example.com. h.example.com. 1 2 3 4 5\n@ 60 NS ns.example.org.\n");
        EXPECT_EQ(zone_builder_set_regions(zones.builder, prefixes.data(), prefixes.size()), 0);
        orders.regions = regions;
        orders.services.resize(1);
        orders.services[0].flags = flags;
        orders.services[0].buckets = buckets;
        orders.services[0].classes = classes;
        for (unsigned i = 0; i < 4; i++)
            orders.services[0].answers.push_back({{"192.0.2." + std::to_string(i)}});
        zone = zones.build();
        order = orders.build();
        char why[IMAGE_TEXT_CAP] = "";
        EXPECT_EQ(zone_image_check(zone.get(), zone.len, why), 0) << why;
        EXPECT_EQ(order_image_check(order.get(), order.len, why), 0) << why;
        EXPECT_EQ(image_pair_check(zone.get(), order.get(), why), 0) << why;
    }
    order_choice choose(Number address, bool is_ipv6) const
    {
        uint8_t octets[16];
        octets_of(address, octets);
        return order_choose(zone.get(), order.get(), 0, octets, is_ipv6, true);
    }
    // Which of the answers 0..3, by the last octet of its address.
    unsigned answer(const order_choice &choice) const
    {
        const rrset *set = order_answer_rrset(order.get(), choice.answer, 1);
        return rrset_wire(set)[set->wire_len - 1];
    }
};

TEST_P(RegionScope, a_client_gets_the_answer_of_its_class_and_its_scope_holds_for_nobody_else)
{
    const bool is_ipv6 = GetParam();
    const unsigned width = is_ipv6 ? 128 : 32;
    std::mt19937_64 random(24);
    unsigned merged = 0, by_bucket = 0;
    for (int round = 0; round < 200; round++) {
        const unsigned regions = 2 + static_cast<unsigned>(random() % 5), buckets = random() % 2 ? 16 : 1;
        const std::vector<region_prefix> prefixes = random_prefixes(random, is_ipv6, regions - 1);
        std::vector<uint32_t> classes(regions * buckets);
        for (unsigned region = 0; region < regions; region++)
            for (unsigned bucket = 0, first = static_cast<unsigned>(random() % 3),
                          spreads = static_cast<unsigned>(random() % 2);
                 bucket < buckets; bucket++)
                classes[region * buckets + bucket] = bucket && spreads && random() % 3 == 0 ? 3 : first;
        const Chooser node(prefixes, regions, ORDER_BY_REGION | (buckets > 1 ? ORDER_BY_BUCKET : 0), buckets, classes);
        const Truth truth(prefixes);
        auto row = [&](unsigned region) {
            unsigned number = 0; // of the first region with the same answers
            while (!std::equal(classes.begin() + number * buckets, classes.begin() + (number + 1) * buckets,
                               classes.begin() + region * buckets))
                number++;
            return number;
        };
        for (int i = 0; i < 40; i++) {
            const Number address = address_near(random, prefixes, width);
            const unsigned region = truth.region(address);
            uint8_t octets[16];
            octets_of(address, octets);
            const order_choice choice = node.choose(address, is_ipv6);
            const unsigned bucket = order_bucket(octets, is_ipv6) % buckets;
            ASSERT_EQ(node.answer(choice), classes[region * buckets + bucket]) << "round " << round;
            const auto begin = classes.begin() + region * buckets;
            const bool spreads = std::count(begin, begin + buckets, *begin) != buckets;
            const unsigned wanted = truth.scope(address, width, row);
            ASSERT_EQ(choice.scope_len, spreads ? std::max(wanted, is_ipv6 ? 56u : 24u) : wanted) << "round " << round;
            merged += wanted < truth.scope(address, width, itself);
            by_bucket += spreads;
            for (int k = 0; k < 20; k++) {
                const Number other = address ^ ((static_cast<Number>(random()) << 64 | random()) &
                                                ~mask(choice.scope_len) & mask(width));
                ASSERT_EQ(node.answer(node.choose(other, is_ipv6)), node.answer(choice)) << "round " << round;
            }
        }
    }
    EXPECT_GT(merged, 100u);
    EXPECT_GT(by_bucket, 100u);
}

// The maximum of regions among them, and maps of more ranges than three levels of blocks hold.
TEST_P(RegionScope, is_exact_with_any_number_of_regions)
{
    const bool is_ipv6 = GetParam();
    const unsigned width = is_ipv6 ? 128 : 32;
    std::mt19937_64 random(4095);
    unsigned wider = 0, asked = 0;
    for (unsigned regions : {2u, 64u, 65u, 128u, 250u, REGION_MAX + 1u})
        for (unsigned prefix_count : {40u, 700u, 4000u})
            for (unsigned mostly : {2u, 20u, 300u}) { // one region in so many has the other answer
                const std::vector<region_prefix> prefixes =
                    random_prefixes(random, is_ipv6, regions - 1, prefix_count, 12);
                std::vector<uint32_t> classes(regions);
                for (uint32_t &c : classes)
                    c = random() % mostly ? 0 : 1;
                const Chooser node(prefixes, regions, ORDER_BY_REGION, 1, classes);
                const Truth truth(prefixes);
                for (int i = 0; i < 150; i++) {
                    const Number address = address_near(random, prefixes, width);
                    const unsigned wanted = truth.scope(address, width, [&](unsigned r) { return classes[r]; });
                    ASSERT_EQ(node.choose(address, is_ipv6).scope_len, wanted)
                        << regions << " regions, " << prefix_count << " prefixes, address " << i;
                    wider += wanted < truth.scope(address, width, itself);
                    asked++;
                }
            }
    EXPECT_GT(wider, asked / 4) << "regions are to be merged";
}

INSTANTIATE_TEST_SUITE_P(Family, RegionScope, ::testing::Bool(),
                         [](const auto &family) { return family.param ? "IPv6" : "IPv4"; });

TEST(RegionScopeBounds, without_prefixes_everything_is_one)
{
    const Scope scope({});
    EXPECT_EQ(scope.of(number(reinterpret_cast<const uint8_t *>("\1\2\3\4"), 4), false, 0), 0u);
    EXPECT_EQ(scope.of(~static_cast<Number>(0), true, 0), 0u);
}

// Whatever octet is damaged: refused, or harmless, since where a range starts is known to nobody else.
TEST(RegionScopeBounds, what_is_damaged_is_refused_or_cannot_mislead_a_search)
{
    std::mt19937_64 random(1);
    std::vector<region_prefix> prefixes = random_prefixes(random, false, 5, 400, 12),
                               six = random_prefixes(random, true, 5, 400, 12);
    prefixes.insert(prefixes.end(), six.begin(), six.end());
    const Scope scope(prefixes);
    auto *bytes = static_cast<uint8_t *>(scope.data);
    unsigned refused = 0;
    for (size_t at = 0; at < scope.len; at++)
        for (const uint8_t flip : std::initializer_list<uint8_t>{0x01, 0x40, 0x80}) {
            bytes[at] ^= flip;
            const bool is_refused = region_scope_check(bytes, scope.len) != 0;
            EXPECT_TRUE(is_refused || at == 4 || at >= 128) << "the head, octet " << at;
            refused += is_refused;
            for (int i = 0; i < 4 && !is_refused; i++) {
                ASSERT_LE(scope.of(address_near(random, prefixes, 32), false, random()), 32u) << at;
                ASSERT_LE(scope.of(address_near(random, prefixes, 128), true, random()), 128u) << at;
            }
            bytes[at] ^= flip;
        }
    EXPECT_GT(refused, scope.len / 2);
    EXPECT_EQ(region_scope_check(bytes, scope.len), 0);
    EXPECT_NE(region_scope_check(bytes, scope.len - 64), 0);
    EXPECT_NE(region_scope_check(bytes, 8), 0);
}

TEST(RegionScopeBounds, a_set_that_is_not_that_of_its_block_is_refused)
{
    std::mt19937_64 random(2);
    const std::vector<region_prefix> prefixes = random_prefixes(random, true, REGION_MAX, 4000, 12);
    const Scope scope(prefixes);
    auto *bytes = static_cast<uint8_t *>(scope.data);
    const size_t sets_at = scope.len - 64 * 8; // the one of all ranges stands last
    for (size_t at = sets_at - 64 * 8 * 3; at < scope.len; at += 5) {
        bytes[at] ^= 0x10;
        EXPECT_NE(region_scope_check(bytes, scope.len), 0) << at;
        bytes[at] ^= 0x10;
    }
    EXPECT_EQ(region_scope_check(bytes, scope.len), 0);
}

TEST(RegionScopeBounds, a_group_whose_set_is_not_its_regions_is_refused)
{
    std::vector<uint32_t> classes(130);
    for (unsigned i = 0; i < classes.size(); i++)
        classes[i] = i == 7 ? 2 : i % 2;
    dns_text::OrderSource source;
    source.regions = static_cast<unsigned>(classes.size());
    source.services.resize(1);
    source.services[0].flags = ORDER_BY_REGION;
    source.services[0].classes = classes;
    for (unsigned i = 0; i < 3; i++)
        source.services[0].answers.push_back({{"192.0.2." + std::to_string(i)}});
    const dns_text::Image order = source.build();
    auto *bytes = static_cast<uint8_t *>(const_cast<void *>(order.get()));
    const order_service *service = order_image_service(order.get(), 0);
    auto *group = reinterpret_cast<order_group *>(bytes + service->group_at * 8);
    char why[IMAGE_TEXT_CAP] = "";
    auto damaged = [&](auto &field, auto value) {
        const auto kept = field;
        field = static_cast<std::decay_t<decltype(field)>>(value);
        reinterpret_cast<image_header *>(bytes)->checksum = image_checksum(bytes, order.len);
        const int rc = order_image_check(bytes, order.len, why);
        field = kept;
        return rc;
    };
    ASSERT_EQ(service->group_count, 3);
    ASSERT_EQ(group[2].region_count, 1u);
    EXPECT_EQ(group[2].set_at, 0u) << "the map itself knows how far one region reaches";
    EXPECT_EQ(damaged(group[0].region_count, group[0].region_count), 0) << why;
    EXPECT_EQ(damaged(group[0].plain_at[0], group[1].plain_at[0]), -EBADMSG) << "another group's answer";
    EXPECT_EQ(damaged(group[2].plain_at[1], group[2].plain_at[0]), -EBADMSG) << "a set of the other family";
    for (unsigned i = 0; i < 2; i++) {
        auto *set = reinterpret_cast<uint64_t *>(bytes + group[i].set_at * 8);
        for (unsigned bit = 0; bit < 192; bit++)
            EXPECT_EQ(damaged(set[bit / 64], set[bit / 64] ^ 1ull << (bit % 64)), -EBADMSG) << i << ", bit " << bit;
        EXPECT_EQ(damaged(set[0], set[0] << 1), -EBADMSG) << "as many, but others";
        EXPECT_EQ(damaged(group[i].set_at, 0), -EBADMSG) << i;
        EXPECT_EQ(damaged(group[i].set_at, order.len / 8 - 1), -EBADMSG) << i;
        EXPECT_EQ(damaged(group[i].set_at, 0xffffffff), -EBADMSG) << i;
    }
    EXPECT_EQ(damaged(group[2].set_at, group[0].set_at), -EBADMSG);
    for (unsigned i = 0; i < 3; i++)
        for (unsigned count : {0u, 1u, group[i].region_count + 1, 0xffffffffu})
            EXPECT_TRUE(count == group[i].region_count || damaged(group[i].region_count, count) == -EBADMSG) << i;
}

TEST(RegionScopeBounds, a_map_with_regions_that_have_no_answers_is_refused)
{
    std::mt19937_64 random(1);
    const std::vector<region_prefix> prefixes = random_prefixes(random, false, 5);
    const Chooser small({prefixes[0]}, 6, ORDER_BY_REGION, 1, {0, 1, 2, 3, 0, 1});
    char why[IMAGE_TEXT_CAP] = "";
    dns_text::OrderSource fewer = small.orders;
    fewer.regions = prefixes[0].region;
    const dns_text::Image order = fewer.build();
    EXPECT_EQ(image_pair_check(small.zone.get(), order.get(), why), -EINVAL);
    region_prefix bad = prefixes[0];
    bad.region = 0;
    void *map = nullptr;
    size_t len;
    EXPECT_EQ(region_scope_build(&bad, 1, &map, &len), -EINVAL);
}

} // namespace
