// SPDX-License-Identifier: Apache-2.0
// Regions from prefixes and from MaxMind databases, good and corrupt ones. The databases are used where they are:
// SIGNPOST_TEST_DATA names the folder that has maxmind/ (default ../shared/data).
#include "control/regions.h"

#include <arpa/inet.h>
#include <unistd.h>
#include <gmock/gmock.h>

#include <cerrno>
#include <cmath>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "control/zone_build.h"
#include "tests/support/mmdb_writer.h"

namespace
{

std::string data(const std::string &name)
{
    const char *folder = getenv("SIGNPOST_TEST_DATA");
    return std::filesystem::absolute(std::string(folder ? folder : "../shared/data") + "/maxmind/" + name).string();
}

struct Regions {
    std::unique_ptr<config, void (*)(config *)> parsed{nullptr, config_free};
    config_errors errors{};
    region_prefix *prefix = nullptr;
    size_t count = 0;
    int rc = -1;
    void *map = nullptr;

    explicit Regions(const std::string &regions, const std::string &database = "", const char *key = "file")
    {
        const std::string text = R"(node = { name = "n"; };
sites = ( { name = "ams"; addresses = ("192.0.2.1"); coordinates = (52.37, 4.89); },
          { name = "nyc"; addresses = ("192.0.2.2"); coordinates = (40.71, -74.0); } );
zones = ( { name = "example.com"; } );
services = ( { name = "www.example.com"; sites = ("ams", "nyc"); policy = ( { stage = "locality"; } ); } );
)" + (database.empty() ? "" : std::string("geoip = { ") + key + " = \"" + database + "\"; };\n") +
                                 regions;
        config *c = nullptr;
        config_load_text("/etc/signpost/test.conf", text.data(), text.size(), CONFIG_LOAD_NO_FILES, &c, &errors);
        parsed.reset(c);
        if (!c)
            return;
        rc = regions_prefixes(c, &errors, &prefix, &count);
        size_t len = 0;
        if (rc == 0) {
            EXPECT_EQ(region_map_build(prefix, count, &map, &len), 0);
        }
    }
    ~Regions()
    {
        free(prefix);
        free(map);
        config_errors_fini(&errors);
    }
    Regions(const Regions &) = delete;
    unsigned of(const char *address) const
    {
        uint8_t wire[16];
        if (inet_pton(AF_INET, address, wire) == 1)
            return region_map_find_ipv4(map, wire).region;
        EXPECT_EQ(inet_pton(AF_INET6, address, wire), 1);
        return region_map_find_ipv6(map, wire).region;
    }
};

TEST(Regions, PrefixesMatchTheLongest)
{
    const Regions r(R"(regions = ( { name = "a"; prefixes = ("203.0.113.0/24", "2001:db8::/32"); sites = ("nyc"); },
                                   { name = "b"; prefixes = ("203.0.113.128/25", "2001:db8:1::/48"); sites = ("ams"); } );)");
    ASSERT_EQ(r.rc, 0);
    EXPECT_EQ(r.of("203.0.113.5"), 1u);
    EXPECT_EQ(r.of("203.0.113.200"), 2u);
    EXPECT_EQ(r.of("203.0.114.1"), 0u);
    EXPECT_EQ(r.of("2001:db8:1::1"), 2u);
    EXPECT_EQ(r.of("2001:db8:2::1"), 1u);
}

TEST(Regions, CountriesAndSubdivisionsComeFromTheDatabase)
{
    if (!std::filesystem::exists(data("GeoIP2-City-Test.mmdb")))
        GTEST_SKIP() << data("GeoIP2-City-Test.mmdb") << " is not there";
    const Regions r(R"(regions = ( { name = "gb"; countries = ("GB"); sites = ("ams"); },
                                   { name = "wa"; subdivisions = ("US-WA"); sites = ("nyc"); },
                                   { name = "us"; countries = ("US"); sites = ("nyc"); },
                                   { name = "own"; prefixes = ("2.125.160.216/29"); sites = ("ams"); } );)",
                    data("GeoIP2-City-Test.mmdb"));
    ASSERT_EQ(r.rc, 0);
    EXPECT_EQ(r.of("81.2.69.142"), 1u);
    EXPECT_EQ(r.of("216.160.83.56"), 2u) << "a subdivision wins over its country";
    EXPECT_EQ(r.of("2.125.160.217"), 4u) << "a prefix of the configuration wins over the database";
    EXPECT_EQ(r.of("127.0.0.1"), 0u);
}

// Without any region of the configuration: the sites' coordinates and the database's are enough.
TEST(Regions, ClientsGoToTheSiteNearestToWhereTheDatabaseSaysTheyAre)
{
    if (!std::filesystem::exists(data("GeoIP2-City-Test.mmdb")))
        GTEST_SKIP() << data("GeoIP2-City-Test.mmdb") << " is not there";
    const Regions r("", data("GeoIP2-City-Test.mmdb"));
    ASSERT_EQ(r.rc, 0);
    ASSERT_EQ(r.parsed->region_count, 2u);
    const auto name = [&](const char *address) {
        const unsigned region = r.of(address);
        return std::string(region ? r.parsed->regions[region - 1].name : "none");
    };
    EXPECT_EQ(name("81.2.69.142"), "nearest:ams,nyc") << "London";
    EXPECT_EQ(name("89.160.20.112"), "nearest:ams,nyc") << "Linkoping";
    EXPECT_EQ(name("216.160.83.56"), "nearest:nyc,ams") << "Milton, Washington";
    EXPECT_EQ(name("2001:218::1"), "nearest:ams,nyc") << "Japan is nearer to Amsterdam than to New York";
    EXPECT_EQ(name("127.0.0.1"), "none");
}

TEST(Regions, WhatTheConfigurationSaysWinsOverTheDistance)
{
    if (!std::filesystem::exists(data("GeoIP2-City-Test.mmdb")))
        GTEST_SKIP() << data("GeoIP2-City-Test.mmdb") << " is not there";
    const Regions r(R"(regions = ( { name = "gb"; countries = ("GB"); sites = ("nyc"); },
                                   { name = "own"; prefixes = ("216.160.83.56/29"); sites = ("ams"); } );)",
                    data("GeoIP2-City-Test.mmdb"));
    ASSERT_EQ(r.rc, 0);
    ASSERT_EQ(r.parsed->region_count, 4u);
    EXPECT_EQ(r.of("81.2.69.142"), 1u);
    EXPECT_EQ(r.of("216.160.83.57"), 2u);
    EXPECT_EQ(r.of("89.160.20.112"), 3u) << "by distance, amsterdam first";
}

// Half a million networks of two places, in stretches of 1,024: what makes no difference takes no memory.
TEST(Regions, NeighboursWithOneRegionBecomeOneNetwork)
{
    const std::string path = testing::TempDir() + "/signpost-city-" + std::to_string(getpid()) + ".mmdb";
    MmdbWriter city;
    const unsigned place[] = {city.place(48.86, 2.35), city.place(50.85, 4.35), city.place(45.5, -73.6)};
    const unsigned networks = 1 << 19;
    for (unsigned i = 0; i < networks; i++) // 16.0.0.0/8 on, each a /28; Paris and Brussels take turns, then Montreal
        city.network((16u << 24) + i * 16, 28, i / 1024 % 2 ? place[2] : place[i % 2]);
    city.write(path);
    const auto start = std::chrono::steady_clock::now();
    const Regions r("", path);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::filesystem::remove(path);
    ASSERT_EQ(r.rc, 0);
    EXPECT_EQ(r.count, networks / 1024);
    EXPECT_LT(took.count(), 10);
    printf("%u networks became %zu in %.2f s\n", networks, r.count, took.count());
    EXPECT_EQ(r.of("16.0.0.1"), r.of("16.0.63.255"));
    EXPECT_NE(r.of("16.0.63.255"), r.of("16.0.64.0"));
    EXPECT_EQ(std::string(r.parsed->regions[r.of("16.0.64.0") - 1].name), "nearest:nyc,ams");
    EXPECT_EQ(r.of("15.255.255.255"), 0u);
    EXPECT_EQ(r.of("16.128.0.0"), 0u);
}

// What stands in a database is somebody else's: degrees that are none are no place.
TEST(Regions, PlacesOutsideOfTheWorldAreNone)
{
    const std::string path = testing::TempDir() + "/signpost-nowhere-" + std::to_string(getpid()) + ".mmdb";
    MmdbWriter city;
    const double nan = std::nan(""), infinity = HUGE_VAL;
    const double bad[][2] = {{91, 0}, {0, 181}, {nan, 0}, {0, nan}, {-infinity, 0}, {0, infinity}};
    uint32_t address = 16u << 24;
    for (const auto &at : bad)
        city.network(address++, 32, city.place(at[0], at[1]));
    city.write(path);
    const Regions r("", path);
    std::filesystem::remove(path);
    ASSERT_EQ(r.rc, 0);
    EXPECT_EQ(r.count, 0u);
}

TEST(Regions, NearestCanBeTurnedOff)
{
    const Regions r("", "/nowhere/x.mmdb\"; nearest = false; asn_file = \"");
    ASSERT_TRUE(r.parsed);
    EXPECT_EQ(r.parsed->region_count, 0u);
}

TEST(Regions, NetworksOfAnOperatorComeFromTheDatabase)
{
    if (!std::filesystem::exists(data("GeoLite2-ASN-Test.mmdb")))
        GTEST_SKIP() << data("GeoLite2-ASN-Test.mmdb") << " is not there";
    const Regions r(R"(regions = ( { name = "isp"; asns = (1221); sites = ("ams"); } );)",
                    data("GeoLite2-ASN-Test.mmdb"), "asn_file");
    ASSERT_EQ(r.rc, 0);
    EXPECT_EQ(r.of("1.128.0.1"), 1u);
}

TEST(Regions, CorruptDatabasesAreRefusedOrReadWithoutHarm)
{
    if (!std::filesystem::exists(data("bad-data")))
        GTEST_SKIP() << data("bad-data") << " is not there";
    unsigned seen = 0, refused = 0;
    for (const auto &entry : std::filesystem::recursive_directory_iterator(data("bad-data"))) {
        if (entry.path().extension() != ".mmdb" && entry.path().extension() != ".raw")
            continue;
        const auto start = std::chrono::steady_clock::now();
        const Regions r(R"(regions = ( { name = "gb"; countries = ("GB"); sites = ("ams"); } );)",
                        entry.path().string());
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        EXPECT_LT(took.count(), 5) << entry.path();
        seen++;
        refused += r.rc != 0;
        if (r.rc != 0) {
            EXPECT_GT(r.errors.error_count, 0u) << entry.path() << " was refused without a word";
        }
    }
    EXPECT_GT(seen, 10u);
    printf("%u corrupt databases: %u refused, the others have nothing to read\n", seen, refused);
}

TEST(Regions, ADatabaseThatIsNotThereIsRefused)
{
    const Regions r(R"(regions = ( { name = "gb"; countries = ("GB"); sites = ("ams"); } );)", "/nowhere/x.mmdb");
    EXPECT_NE(r.rc, 0);
    config_errors errors{};
    zone_build_result result{};
    EXPECT_EQ(zone_build(r.parsed.get(), nullptr, 1, 1, &errors, &result), -EINVAL) << "and so is the whole image";
    EXPECT_GT(errors.error_count, 0u);
    config_errors_fini(&errors);
}

} // namespace
