// SPDX-License-Identifier: Apache-2.0
#include "tests/support/image_maker.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>

extern "C" {
#include "dataplane/image_store.h"
}

namespace
{

using testing::HasSubstr;

struct ImageStore : testing::Test {
    char directory[64] = "/tmp/signpost-store-XXXXXX";
    image_map *zone = nullptr, *order = nullptr;
    char why[IMAGE_TEXT_CAP] = "";
    uint64_t zone_on_disk = 0, order_on_disk = 0;

    ImageStore()
    {
        EXPECT_NE(mkdtemp(directory), nullptr);
    }
    ~ImageStore() override
    {
        image_map_drop(zone);
        image_map_drop(order);
        std::filesystem::remove_all(directory);
    }
    std::string path(const char *name) const
    {
        return std::string(directory) + "/" + name;
    }
    int write(uint64_t zone_generation, uint64_t order_generation, uint64_t pairing = 7)
    {
        image_map *z = image_maker::map(image_maker::zone(zone_generation, pairing), IMAGE_ZONE);
        image_map *o = image_maker::map(image_maker::order(order_generation, pairing), IMAGE_ORDER);
        int rc = image_store_write(directory, z, o, &zone_on_disk, &order_on_disk);
        image_map_drop(z);
        image_map_drop(o);
        return rc;
    }
    int load()
    {
        return image_store_load(directory, &zone, &order, why);
    }
};

TEST_F(ImageStore, IsEmptyOnAFirstStart)
{
    EXPECT_EQ(load(), -ENOENT);
    std::filesystem::remove_all(directory);
    EXPECT_EQ(load(), -ENOENT) << "not even a directory";
}

TEST_F(ImageStore, GivesBackThePairThatWasWritten)
{
    ASSERT_EQ(write(3, 4), 0);
    ASSERT_EQ(load(), 0) << why;
    EXPECT_EQ(zone->generation, 3u);
    EXPECT_EQ(order->generation, 4u);
    EXPECT_FALSE(std::filesystem::exists(path("zone.image.new")));
    EXPECT_FALSE(std::filesystem::exists(path("order.image.new")));
    struct stat st;
    ASSERT_EQ(stat(path("zone.image").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600u) << "cookie secrets are in it";
}

TEST_F(ImageStore, WritesOnlyWhatIsNew)
{
    ASSERT_EQ(write(3, 4), 0);
    std::filesystem::remove(path("zone.image"));
    ASSERT_EQ(write(3, 5), 0);
    EXPECT_FALSE(std::filesystem::exists(path("zone.image"))) << "the zone did not change: its file is not touched";
    EXPECT_TRUE(std::filesystem::exists(path("order.image")));
    EXPECT_EQ(order_on_disk, 5u);
}

TEST_F(ImageStore, RefusesDamagedFilesWithTheirName)
{
    ASSERT_EQ(write(3, 4), 0);
    std::filesystem::resize_file(path("order.image"), 100);
    EXPECT_EQ(load(), -EBADMSG);
    EXPECT_THAT(why, HasSubstr("order.image"));
}

TEST_F(ImageStore, RefusesHalfAPair)
{
    ASSERT_EQ(write(3, 4), 0);
    std::filesystem::remove(path("zone.image"));
    EXPECT_EQ(load(), -EBADMSG);
    EXPECT_THAT(why, HasSubstr("zone.image is missing"));
}

TEST_F(ImageStore, RefusesAPairThatDoesNotBelongTogether)
{
    image_maker::write_file(path("zone.image"), image_maker::zone(1, 7));
    image_maker::write_file(path("order.image"), image_maker::order(1, 8));
    EXPECT_EQ(load(), -EBADMSG);
    EXPECT_THAT(why, HasSubstr("pairing"));
}

// The process died between the two renames: one file is new, the other's complete temporary file is there.
TEST_F(ImageStore, CompletesAWriteThatWasInterruptedAfterTheZone)
{
    ASSERT_EQ(write(1, 1, 7), 0);
    image_maker::write_file(path("zone.image"), image_maker::zone(2, 8));
    image_maker::write_file(path("order.image.new"), image_maker::order(2, 8));
    ASSERT_EQ(load(), 0) << why;
    EXPECT_EQ(zone->generation, 2u);
    EXPECT_EQ(order->generation, 2u);
    EXPECT_FALSE(std::filesystem::exists(path("order.image.new"))) << "renamed before the next write cuts it off";
}

TEST_F(ImageStore, CompletesAWriteThatWasInterruptedAfterTheOrder)
{
    ASSERT_EQ(write(1, 1, 7), 0);
    image_maker::write_file(path("order.image"), image_maker::order(2, 8));
    image_maker::write_file(path("zone.image.new"), image_maker::zone(2, 8));
    ASSERT_EQ(load(), 0) << why;
    EXPECT_EQ(zone->generation, 2u);
}

TEST_F(ImageStore, IgnoresTheRestOfAWriteThatWasInterruptedBeforeAnyRename)
{
    ASSERT_EQ(write(1, 1, 7), 0);
    image_maker::write_file(path("zone.image.new"), image_maker::zone(2, 8));
    std::filesystem::resize_file(path("zone.image.new"), 64);
    ASSERT_EQ(load(), 0) << why;
    EXPECT_EQ(zone->generation, 1u);
}

TEST_F(ImageStore, FollowsNoSymbolicLink)
{
    ASSERT_EQ(write(1, 1), 0);
    std::filesystem::rename(path("zone.image"), path("elsewhere"));
    std::filesystem::create_symlink("elsewhere", path("zone.image"));
    EXPECT_EQ(load(), -EBADMSG);
}

TEST_F(ImageStore, ReportsADirectoryThatIsNotThere)
{
    std::filesystem::remove_all(directory);
    EXPECT_EQ(write(1, 1), -ENOENT);
    EXPECT_EQ(zone_on_disk, 0u);
}

TEST_F(ImageStore, WritesTheNewestPairBeforeItEnds)
{
    image_store *store = image_store_new(directory);
    ASSERT_NE(store, nullptr);
    for (uint64_t generation = 1; generation <= 3; generation++) {
        image_map *z = image_maker::map(image_maker::zone(1), IMAGE_ZONE);
        image_map *o = image_maker::map(image_maker::order(generation), IMAGE_ORDER);
        image_store_put(store, z, o);
        image_map_drop(z);
        image_map_drop(o);
    }
    image_store_free(store, 0);
    ASSERT_EQ(load(), 0) << why;
    EXPECT_EQ(order->generation, 3u);
}

} // namespace
