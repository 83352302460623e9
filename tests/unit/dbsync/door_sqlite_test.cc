// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/support/dbsync_site.h"

using namespace dbsync_test;

namespace
{

class TwoSites : public SitePair
{
  protected:
    void SetUp() override
    {
        SitePair::SetUp();
        both("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y TEXT)");
        a.add("t");
        b.add("t");
    }
    void expect_equal(const std::string &table = "t")
    {
        EXPECT_EQ(a.table(table), b.table(table));
    }
};

TEST_F(TwoSites, inserts_updates_and_deletes_travel_both_ways)
{
    a.run("INSERT INTO t VALUES(1, 'one', 'a'), (2, 2.5, NULL)");
    b.run("INSERT INTO t VALUES(3, x'00ff', 'b')");
    settle({&a, &b});
    EXPECT_EQ(a.table("t"), "1|'one'|'a'\n2|2.5|NULL\n3|x'00ff'|'b'\n");
    expect_equal();
    a.run("UPDATE t SET x = 'uno' WHERE id = 1; DELETE FROM t WHERE id = 3");
    b.run("UPDATE t SET y = 'two' WHERE id = 2");
    settle({&a, &b});
    EXPECT_EQ(b.table("t"), "1|'uno'|'a'\n2|2.5|'two'\n");
    expect_equal();
}

TEST_F(TwoSites, updates_of_different_columns_are_both_kept_and_the_later_of_one_column_wins)
{
    a.run("INSERT INTO t VALUES(1, 'x', 'y')");
    settle({&a, &b});
    clock_of(1) += 1000;
    clock_of(2) += 2000;
    a.run("UPDATE t SET x = 'from a' WHERE id = 1");
    b.run("UPDATE t SET y = 'from b' WHERE id = 1");
    settle({&a, &b});
    EXPECT_EQ(a.table("t"), "1|'from a'|'from b'\n");
    expect_equal();
    clock_of(1) += 10000;
    clock_of(2) += 5000;
    a.run("UPDATE t SET x = 'later' WHERE id = 1");
    b.run("UPDATE t SET x = 'earlier' WHERE id = 1");
    settle({&a, &b});
    EXPECT_EQ(b.table("t"), "1|'later'|'from b'\n");
    expect_equal();
}

TEST_F(TwoSites, applied_rows_are_not_captured_again)
{
    a.run("INSERT INTO t VALUES(1, 1, 1)");
    settle({&a, &b});
    EXPECT_EQ(b.number_of("SELECT count(*) FROM dbsync_c_1"), 0);
}

TEST_F(TwoSites, a_repeated_batch_changes_nothing)
{
    a.run("INSERT INTO t VALUES(1, 1, 1)");
    auto batch = a.read(2, 0);
    EXPECT_EQ(b.apply(1, batch).verdict, APPLY_DONE);
    b.run("UPDATE t SET x = 2");
    EXPECT_EQ(b.apply(1, batch).verdict, APPLY_REPEATED);
    EXPECT_EQ(b.table("t"), "1|2|'1'\n");
    EXPECT_EQ(a.read(2, 0), batch) << "the same cut gives the same bytes";
}

} // namespace
