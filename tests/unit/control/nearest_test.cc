// SPDX-License-Identifier: Apache-2.0
#include "control/nearest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace
{

struct Place {
    double latitude, longitude;
};

// By the haversine formula, as the policy reckons.
double distance(const Place &a, const Place &b)
{
    const double rad = M_PI / 180;
    const double s = std::sin((b.latitude - a.latitude) * rad / 2), t = std::sin((b.longitude - a.longitude) * rad / 2);
    return std::asin(std::sqrt(std::min(1.0, s * s + std::cos(a.latitude * rad) * std::cos(b.latitude * rad) * t * t)));
}

struct World {
    std::vector<Place> sites;
    std::vector<config_site> site;
    config conf{};
    std::unique_ptr<nearest> n = std::make_unique<nearest>();

    explicit World(std::vector<Place> places) : sites(std::move(places)), site(sites.size())
    {
        for (size_t i = 0; i < sites.size(); i++)
            site[i].coordinates = {sites[i].latitude, sites[i].longitude, true};
        conf.sites = site.data();
        conf.site_count = static_cast<unsigned>(site.size());
        nearest_init(n.get(), &conf);
    }
    const nearest_class &at(const Place &p) const
    {
        const unsigned number = nearest_find(n.get(), p.latitude, p.longitude);
        EXPECT_LT(number, n->class_count);
        return n->class_of[number];
    }
};

Place somewhere(std::mt19937_64 &random)
{
    return {std::uniform_real_distribution<double>(-90, 90)(random),
            std::uniform_real_distribution<double>(-180, 180)(random)};
}

const Place amsterdam{52.37, 4.89}, new_york{40.71, -74.0}, singapore{1.35, 103.82};

TEST(Nearest, TwoSitesHaveTwoOrdersAndThreeSix)
{
    const World two({amsterdam, new_york});
    ASSERT_EQ(two.n->class_count, 2u);
    EXPECT_EQ(two.at({48.86, 2.35}).order[0], 0) << "Paris";
    EXPECT_EQ(two.at({45.5, -73.6}).order[0], 1) << "Montreal";
    EXPECT_EQ(World({amsterdam, new_york, singapore}).n->class_count, 6u);
    EXPECT_EQ(World({amsterdam, amsterdam}).n->class_count, 1u) << "in one place there is nothing to tell apart";
}

TEST(Nearest, TwoSitesOfOneTownAreToldApart)
{
    const World w({{52.370, 4.89}, {52.372, 4.89}});
    EXPECT_EQ(w.at({52.3705, 4.89}).order[0], 0);
    EXPECT_EQ(w.at({52.3715, 4.89}).order[0], 1);
}

TEST(Nearest, ASiteWithoutCoordinatesIsLeftOut)
{
    World w({amsterdam, new_york, singapore});
    w.site[0].coordinates.is_set = false;
    nearest_init(w.n.get(), &w.conf);
    ASSERT_EQ(w.n->site_count, 2u);
    EXPECT_EQ(w.n->site[w.at(amsterdam).order[0]], 1u);
}

// The class's order is the order by distance, but for slivers near a border between two orders.
TEST(Nearest, TheOrderIsThatOfTheDistances)
{
    std::mt19937_64 random(4);
    for (unsigned count = 2; count <= 5; count++) {
        std::vector<Place> places;
        for (unsigned i = 0; i < count; i++)
            places.push_back(somewhere(random));
        const World w(places);
        ASSERT_EQ(w.n->depth, count);
        unsigned other = 0, first_other = 0;
        for (int i = 0; i < 2000; i++) {
            const Place p = somewhere(random);
            std::vector<unsigned> order(count);
            std::iota(order.begin(), order.end(), 0u);
            std::stable_sort(order.begin(), order.end(),
                             [&](unsigned a, unsigned b) { return distance(p, w.sites[a]) < distance(p, w.sites[b]); });
            const nearest_class &c = w.at(p);
            other += !std::equal(order.begin(), order.end(), c.order);
            first_other += c.order[0] != order[0];
        }
        EXPECT_LE(other, 10u) << count << " sites";
        EXPECT_EQ(first_other, 0u) << count << " sites";
    }
}

// What a region stands for is decided by its coordinates: they must lie in the class.
TEST(Nearest, TheCoordinatesOfAClassAreInIt)
{
    std::mt19937_64 random(5);
    std::vector<Place> places;
    for (unsigned i = 0; i < 6; i++)
        places.push_back(somewhere(random));
    const World w(places);
    for (unsigned i = 0; i < w.n->class_count; i++)
        EXPECT_EQ(
            nearest_find(w.n.get(), w.n->class_of[i].coordinates.latitude, w.n->class_of[i].coordinates.longitude), i);
}

TEST(Nearest, ManySitesStayWithinBoundsAndTheNearestIsRight)
{
    std::mt19937_64 random(6);
    std::vector<Place> places;
    for (unsigned i = 0; i < NEAREST_SITE_MAX; i++)
        places.push_back(somewhere(random));
    const World w(places);
    EXPECT_GE(w.n->depth, 1u);
    EXPECT_LE(w.n->class_count, static_cast<unsigned>(NEAREST_CLASS_MAX));
    for (int i = 0; i < 1000; i++) {
        const Place p = somewhere(random);
        const auto best = std::min_element(places.begin(), places.end(), [&](const Place &a, const Place &b) {
            return distance(p, a) < distance(p, b);
        });
        EXPECT_NEAR(distance(p, places[w.at(p).order[0]]), distance(p, *best), 1e-9);
    }
}

} // namespace
