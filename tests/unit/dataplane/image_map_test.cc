// SPDX-License-Identifier: Apache-2.0
#include "tests/support/image_maker.h"

#include <gmock/gmock.h>

#include <cerrno>

namespace
{

using testing::HasSubstr;

struct ImageMap : testing::Test {
    dns_text::Image image = image_maker::zone(42, 9);
    char why[IMAGE_TEXT_CAP] = "";
    image_map *map = nullptr;
    int fd = -1;

    int from(int seals, uint64_t bytes, image_kind kind = IMAGE_ZONE)
    {
        fd = image_maker::memfd(image, seals);
        return image_map_from_memfd(fd, bytes, kind, &map, why);
    }
    ~ImageMap() override
    {
        image_map_drop(map);
        if (fd >= 0)
            close(fd);
    }
};

TEST_F(ImageMap, TakesASealedMemfdOfTheRightSize)
{
    ASSERT_EQ(from(image_maker::SEALS, image.len), 0) << why;
    ASSERT_EQ(image_map_check(map, why), 0) << why;
    EXPECT_EQ(map->generation, 42u);
    EXPECT_EQ(map->pairing_id, 9u);
    EXPECT_EQ(map->built_at_us, 1000u);
    EXPECT_EQ(memcmp(map->base, image.get(), image.len), 0);
}

TEST_F(ImageMap, RefusesAMemfdThatCouldStillChange)
{
    for (int missing : {F_SEAL_WRITE, F_SEAL_GROW, F_SEAL_SHRINK}) {
        EXPECT_EQ(from(image_maker::SEALS & ~missing, image.len), -EBADMSG);
        EXPECT_THAT(why, HasSubstr("sealed"));
        close(fd);
    }
    fd = -1;
}

TEST_F(ImageMap, RefusesWhatIsNoMemfd)
{
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(image_map_from_memfd(fd, 4096, IMAGE_ZONE, &map, why), -EBADMSG);
    EXPECT_THAT(why, HasSubstr("memfd"));
}

TEST_F(ImageMap, RefusesAnotherSizeThanTheMessageSays)
{
    for (uint64_t bytes : {uint64_t(0), uint64_t(8), uint64_t(image.len - 8), uint64_t(image.len + 8), UINT64_MAX}) {
        EXPECT_EQ(from(image_maker::SEALS, bytes), -EBADMSG) << bytes;
        close(fd);
    }
    fd = -1;
}

TEST_F(ImageMap, RefusesAnUnknownKind)
{
    EXPECT_EQ(from(image_maker::SEALS, image.len, static_cast<image_kind>(3)), -EINVAL);
}

TEST_F(ImageMap, IsCheckedAsTheKindThatTheMessageNamed)
{
    ASSERT_EQ(from(image_maker::SEALS, image.len, IMAGE_ORDER), 0);
    EXPECT_EQ(image_map_check(map, why), -EBADMSG);
    EXPECT_THAT(why, HasSubstr("kind"));
}

TEST_F(ImageMap, FindsAnyFlippedBit)
{
    static_cast<uint8_t *>(image.data.get())[image.len / 2] ^= 1;
    ASSERT_EQ(from(image_maker::SEALS, image.len), 0);
    EXPECT_EQ(image_map_check(map, why), -EBADMSG);
    EXPECT_THAT(why, HasSubstr("checksum"));
}

TEST_F(ImageMap, LivesAsLongAsItsLastReference)
{
    ASSERT_EQ(from(image_maker::SEALS, image.len), 0);
    EXPECT_EQ(image_map_take(map), map);
    image_map_drop(map);
    EXPECT_EQ(static_cast<const image_header *>(map->base)->generation, 42u) << "one reference is left";
    EXPECT_EQ(image_map_take(nullptr), nullptr);
    image_map_drop(nullptr);
}

} // namespace
