// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dbsync/spool.h"

namespace
{

class Spool : public testing::Test
{
  protected:
    std::string directory;
    struct spool *spool = nullptr;
    struct problem why = {};
    uint64_t offset = 0;
    uint8_t digest[FRAME_DIGEST_LEN];

    void SetUp() override
    {
        char name[] = "/tmp/spool_testXXXXXX";
        directory = std::string(mkdtemp(name)) + "/spool";
        open();
    }
    void TearDown() override
    {
        spool_close(spool);
        ASSERT_EQ(system(("rm -rf " + directory.substr(0, directory.rfind('/'))).c_str()), 0);
    }
    void open(uint64_t quota = 1 << 30)
    {
        spool_close(spool);
        spool = nullptr;
        ASSERT_EQ(spool_open(directory.c_str(), quota, &spool, &why), 0) << why.text;
    }
    int begin(uint64_t number, uint64_t incarnation = 1)
    {
        return spool_begin(spool, SPOOL_IN, 2, incarnation, number, &offset, &why);
    }
    int append(uint64_t number, const std::string &s)
    {
        return spool_append(spool, SPOOL_IN, 2, number, s.data(), s.size(), &why);
    }
    std::string mapped(uint64_t number)
    {
        const uint8_t *bytes;
        size_t len;
        EXPECT_EQ(spool_map(spool, SPOOL_IN, 2, number, &bytes, &len, &why), 0) << why.text;
        std::string s((const char *)bytes, len);
        spool_unmap(bytes, len);
        return s;
    }
    std::string path(uint64_t number)
    {
        return directory + "/in-2-" + std::to_string(number);
    }
};

TEST_F(Spool, a_batch_is_kept_over_a_restart_and_continued_where_it_stood)
{
    ASSERT_EQ(begin(5), 0);
    EXPECT_EQ(offset, 0u);
    ASSERT_EQ(append(5, std::string(3000, 'a')), 0);
    open(); // as after kill -9: nothing was finished
    EXPECT_EQ(spool_pending(spool, 2), 5u);
    ASSERT_EQ(begin(5), 0) << why.text;
    EXPECT_EQ(offset, 3000u);
    ASSERT_EQ(append(5, "bc"), 0);
    ASSERT_EQ(spool_finish(spool, SPOOL_IN, 2, 5, digest, &why), 0);
    EXPECT_EQ(mapped(5), std::string(3000, 'a') + "bc");
    uint8_t again[FRAME_DIGEST_LEN];
    ASSERT_EQ(spool_digest(spool, SPOOL_IN, 2, 5, 3002, again, &why), 0);
    EXPECT_EQ(memcmp(again, digest, sizeof digest), 0);
    ASSERT_EQ(spool_digest(spool, SPOOL_IN, 2, 5, 3000, again, &why), 0);
    EXPECT_NE(memcmp(again, digest, sizeof digest), 0);
    EXPECT_EQ(spool_digest(spool, SPOOL_IN, 2, 5, 3003, again, &why), -ERANGE);
    spool_drop(spool, SPOOL_IN, 2, 5);
    EXPECT_EQ(spool_pending(spool, 2), 0u);
    EXPECT_EQ(spool_bytes(spool), 0u);
    EXPECT_NE(access(path(5).c_str(), F_OK), 0);
}

TEST_F(Spool, after_another_boot_only_what_was_synced_counts)
{
    for (bool is_finished : {false, true}) { // a finished one is not synced either: its octets come again
        ASSERT_EQ(begin(5), 0);
        ASSERT_EQ(append(5, std::string(SPOOL_SYNC_BYTES + 500, 'a')), 0);
        if (is_finished) {
            ASSERT_EQ(spool_finish(spool, SPOOL_IN, 2, 5, digest, &why), 0);
        }
        spool_close(spool);
        spool = nullptr;
        uint8_t head[SPOOL_HEAD_LEN];
        std::fstream file(path(5), std::ios::in | std::ios::out | std::ios::binary);
        file.read((char *)head, sizeof head);
        struct spool_head h;
        ASSERT_EQ(spool_head_decode(head, &h), 0);
        h.boot[0] = (uint8_t)(h.boot[0] ^ 1); // another boot
        spool_head_encode(head, &h);
        file.seekp(0);
        file.write((char *)head, sizeof head);
        file.close();
        open();
        ASSERT_EQ(begin(5), 0);
        EXPECT_EQ(offset, (uint64_t)SPOOL_SYNC_BYTES);
        spool_drop(spool, SPOOL_IN, 2, 5);
    }
}

TEST_F(Spool, strange_files_of_another_database_or_damaged_heads_start_again)
{
    for (unsigned kind = 0; kind < 4; kind++) {
        ASSERT_EQ(begin(7), 0);
        ASSERT_EQ(append(7, "content"), 0);
        if (kind == 3) { // finished, then cut short
            ASSERT_EQ(spool_finish(spool, SPOOL_IN, 2, 7, digest, &why), 0);
            ASSERT_EQ(truncate(path(7).c_str(), SPOOL_HEAD_LEN + 3), 0);
        }
        if (kind == 1) {
            std::fstream file(path(7), std::ios::in | std::ios::out | std::ios::binary);
            file.seekp(20);
            file.put('!');
        }
        if (kind == 2) {
            ASSERT_EQ(truncate(path(7).c_str(), 10), 0);
        }
        open();
        ASSERT_EQ(begin(7, kind == 0 ? 2 : 1), 0) << kind << why.text;
        EXPECT_EQ(offset, 0u) << kind;
        spool_drop(spool, SPOOL_IN, 2, 7);
    }
    std::ofstream(directory + "/in-2-x") << "not ours";
    std::ofstream(directory + "/notes.txt") << "not ours";
    open();
    EXPECT_EQ(spool_pending(spool, 2), 0u);
}

TEST_F(Spool, the_quota_is_kept_and_nothing_is_half_written)
{
    open(1000);
    ASSERT_EQ(begin(1), 0);
    EXPECT_EQ(append(1, std::string(600, 'a')), 0);
    EXPECT_EQ(append(1, std::string(600, 'b')), -ENOSPC);
    EXPECT_NE(std::string(why.text).find("spool_quota"), std::string::npos) << why.text;
    EXPECT_EQ(spool_room(spool), 400u);
    EXPECT_EQ(mapped(1), std::string(600, 'a'));
    spool_drop(spool, SPOOL_IN, 2, 1);
    EXPECT_EQ(spool_room(spool), 1000u);
}

TEST_F(Spool, one_directory_has_one_daemon)
{
    struct spool *other;
    EXPECT_EQ(spool_open(directory.c_str(), 1, &other, &why), -EBUSY);
    EXPECT_EQ(spool_open("/nowhere/at/all", 1, &other, &why), -ENOENT);
    EXPECT_NE(std::string(why.text).find("/nowhere"), std::string::npos);
}

TEST_F(Spool, sides_and_peers_are_apart_and_a_dropped_batch_stays_mapped)
{
    uint64_t at;
    const uint8_t *bytes;
    size_t len;
    ASSERT_EQ(spool_begin(spool, SPOOL_OUT, 2, 1, 3, &at, &why), 0);
    ASSERT_EQ(spool_append(spool, SPOOL_OUT, 2, 3, "out", 3, &why), 0);
    ASSERT_EQ(begin(3), 0);
    ASSERT_EQ(append(3, "in"), 0);
    ASSERT_EQ(spool_map(spool, SPOOL_OUT, 2, 3, &bytes, &len, &why), 0);
    spool_drop(spool, SPOOL_OUT, 2, 3);
    EXPECT_EQ(std::string((const char *)bytes, len), "out");
    spool_unmap(bytes, len);
    EXPECT_EQ(mapped(3), "in");
}

} // namespace
