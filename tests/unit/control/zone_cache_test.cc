// SPDX-License-Identifier: Apache-2.0
#include "control/zone_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/test_folder.h"

namespace
{

const uint8_t owner[] = {3, 'w', 'w', 'w', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0};

void save(const std::string &folder, const char *apex, unsigned records)
{
    zone_cache_writer *w = zone_cache_begin(folder.c_str(), apex);
    ASSERT_NE(w, nullptr);
    for (unsigned i = 0; i < records; i++) {
        const uint8_t rdata[] = {192, 0, 2, static_cast<uint8_t>(i)};
        zone_cache_put(w, owner, sizeof owner, 1, 300 + i, rdata, sizeof rdata);
    }
    ASSERT_EQ(zone_cache_commit(w), 0);
}

int take(void *user, const uint8_t *name, uint16_t type, uint32_t ttl, const uint8_t *rdata, uint16_t len)
{
    std::vector<uint8_t> *seen = static_cast<std::vector<uint8_t> *>(user);
    EXPECT_EQ(memcmp(name, owner, sizeof owner), 0);
    EXPECT_EQ(type, 1);
    EXPECT_EQ(len, 4);
    EXPECT_EQ(ttl, 300u + rdata[3]);
    seen->push_back(rdata[3]);
    return seen->size() > 1000 ? -E2BIG : 0;
}

int read(const std::string &folder, const char *apex, std::vector<uint8_t> *seen = nullptr)
{
    std::vector<uint8_t> ignored;
    uint64_t saved_s = 0;
    return zone_cache_read(folder.c_str(), apex, take, seen ? seen : &ignored, &saved_s);
}

TEST(ZoneCache, GivesBackWhatWasSaved)
{
    TestFolder f;
    std::vector<uint8_t> seen;
    save(f.path + "/zones", "Example.COM", 3);
    EXPECT_EQ(read(f.path + "/zones", "example.com", &seen), 0);
    EXPECT_EQ(seen, (std::vector<uint8_t>{0, 1, 2}));
    EXPECT_EQ(read(f.path + "/zones", "example.org"), -ENOENT);
}

TEST(ZoneCache, AVersionThatIsNotCommittedChangesNothing)
{
    TestFolder f;
    std::vector<uint8_t> seen;
    save(f.path, "example.com", 3);
    zone_cache_writer *w = zone_cache_begin(f.path.c_str(), "example.com");
    ASSERT_NE(w, nullptr);
    zone_cache_discard(w);
    EXPECT_EQ(read(f.path, "example.com", &seen), 0);
    EXPECT_EQ(seen.size(), 3u);
}

TEST(ZoneCache, EveryDamageIsFoundBeforeAnyRecordIsGiven)
{
    TestFolder f;
    save(f.path, "example.com", 3);
    const std::string path = f.path + "/example.com.zone";
    std::ifstream in(path, std::ios::binary);
    const std::string good((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    for (size_t i = 0; i < good.size(); i++) {
        std::string bad = good;
        bad[i] = static_cast<char>(bad[i] ^ 4);
        std::ofstream(path, std::ios::binary | std::ios::trunc) << bad;
        std::vector<uint8_t> seen;
        EXPECT_EQ(read(f.path, "example.com", &seen), -EBADMSG) << i;
        EXPECT_TRUE(seen.empty());
        std::ofstream(path, std::ios::binary | std::ios::trunc) << good.substr(0, i);
        EXPECT_EQ(read(f.path, "example.com", &seen), -EBADMSG) << i;
    }
}

TEST(ZoneCache, NamesOfAllSortsStayInTheFolder)
{
    TestFolder f;
    for (const char *apex : {".", "..", "../../etc", "a/b", "*.example", "with space", "%41"}) {
        save(f.path, apex, 1);
        EXPECT_EQ(read(f.path, apex), 0) << apex;
    }
    struct stat info;
    EXPECT_NE(stat((f.path + "/../etc.zone").c_str(), &info), 0);
    const char *kept[] = {"a/b"};
    zone_cache_sweep(f.path.c_str(), kept, 1);
    EXPECT_EQ(read(f.path, "a/b"), 0);
    EXPECT_EQ(read(f.path, ".."), -ENOENT);
}

} // namespace
