// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/support/dbsync_site.h"

extern "C" {
#include "dbsync/batch.h"
}

using namespace dbsync_test;

namespace
{

class Batches : public testing::Test
{
  protected:
    Site site{1, "batch"};
    const schema *s = nullptr;
    arena memory{};
    problem why{};
    void SetUp() override
    {
        site.d->ops->peer_add(site.d, 2, "b", &why);
        site.run("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b); CREATE TABLE u(k TEXT NOT NULL, n INTEGER NOT NULL, v, "
                 "PRIMARY KEY(k, n))");
        site.add("t");
        site.add("u");
        ASSERT_EQ(site.d->ops->schema(site.d, &s, &why), 0) << why.text;
    }
    void TearDown() override
    {
        arena_fini(&memory);
    }
};

TEST_F(Batches, every_cut_and_every_flipped_bit_of_a_batch_is_refused)
{
    site.run("INSERT INTO t VALUES(1, 'x', 2.5), (2, NULL, x'00'); INSERT INTO u VALUES('k', 1, 'v'); DELETE FROM t "
             "WHERE id = 1");
    auto bytes = site.read(2, 0);
    batch_reader r;
    for (size_t len = 0; len < bytes.size(); len++) {
        EXPECT_EQ(batch_open(&r, bytes.data(), len, s, &why), -EBADMSG) << len;
        batch_close(&r);
    }
    for (size_t bit = 0; bit < bytes.size() * 8; bit++) {
        auto bad = bytes;
        bad[bit / 8] = static_cast<uint8_t>(bad[bit / 8] ^ 1 << bit % 8);
        EXPECT_LT(batch_open(&r, bad.data(), bad.size(), s, &why), 0) << bit;
        batch_close(&r);
    }
}

TEST_F(Batches, a_table_that_differs_is_drift_not_damage)
{
    Site other{2, "other"};
    other.d->ops->peer_add(other.d, 1, "a", &why);
    other.run("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c)");
    other.add("t");
    site.run("INSERT INTO t VALUES(1, 1, 1)");
    auto bytes = site.read(2, 0);
    apply_result result{};
    EXPECT_EQ(other.d->ops->apply(other.d, 1, bytes.data(), bytes.size(), &memory, &result, &why), -ESTALE);
    EXPECT_NE(std::string(why.text).find("table t"), std::string::npos);
    EXPECT_EQ(other.table("t"), "");
}

TEST_F(Batches, claim_19_a_thousand_updates_of_one_row_are_one_record)
{
    site.run("INSERT INTO t VALUES(1, 0, 0)");
    for (int i = 0; i < 1000; i++)
        site.run("UPDATE t SET a = " + std::to_string(i + 1) + " WHERE id = 1");
    door_batch info{};
    site.read(2, 0, &info);
    EXPECT_EQ(info.changes, 1001u);
    EXPECT_EQ(info.rows, 1u);
    EXPECT_LT(info.bytes, 200u);
}

} // namespace
