// SPDX-License-Identifier: Apache-2.0
// Cuts by transaction snapshot: whatever order transactions commit in, each change travels once. Then what else a door
// does: bootstrap, verification, compaction, drift, copies.
#include <thread>

#include "tests/pg/pg_site.h"

using namespace pg_test;

namespace
{

class PgCuts : public testing::Test
{
  protected:
    Site a{1}, b{2};
    void SetUp() override
    {
        a.peer(2);
        b.peer(1);
        both("CREATE TABLE t(id integer PRIMARY KEY, x text, n bigint NOT NULL DEFAULT 0)");
        a.add("t");
        b.add("t");
    }
    void both(const std::string &sql)
    {
        a.run(sql);
        b.run(sql);
    }
    void expect_equal(const std::string &table = "t")
    {
        EXPECT_EQ(a.table(table), b.table(table));
    }
};

TEST_F(PgCuts, long_out_of_order_prepared_and_rolled_back_transactions_are_neither_lost_nor_doubled)
{
    PGconn *slow = a.connection();
    a.run("BEGIN; INSERT INTO t VALUES(1, 'slow')", slow);
    a.run("INSERT INTO t VALUES(2, 'fast')");
    a.run("BEGIN; INSERT INTO t VALUES(3, 'prepared'); PREPARE TRANSACTION 'p'");
    a.run("BEGIN; INSERT INTO t VALUES(4, 'rolled back'); ROLLBACK");
    a.run("BEGIN; INSERT INTO t VALUES(5, 'kept'); SAVEPOINT s; INSERT INTO t VALUES(6, 'undone'); ROLLBACK TO s; "
          "SAVEPOINT u; INSERT INTO t VALUES(7, 'inner'); RELEASE u; COMMIT");
    settle({&a, &b});
    EXPECT_EQ(b.rows("SELECT id FROM t ORDER BY id"), "2\n5\n7\n");
    a.run("INSERT INTO t VALUES(8, 'later')", slow);
    a.run("UPDATE t SET n = n + 1 WHERE id = 2");
    settle({&a, &b});
    EXPECT_EQ(b.rows("SELECT id, n FROM t ORDER BY id"), "2|1\n5|0\n7|0\n");
    a.run("COMMIT", slow);
    PQfinish(slow);
    settle({&a, &b});
    EXPECT_EQ(b.rows("SELECT id FROM t ORDER BY id"), "1\n2\n5\n7\n8\n");
    a.run("COMMIT PREPARED 'p'");
    settled last = settle({&a, &b});
    EXPECT_EQ(b.rows("SELECT id FROM t ORDER BY id"), "1\n2\n3\n5\n7\n8\n");
    EXPECT_EQ(last.rows, 1u) << "what travelled does not travel again";
    expect_equal();
}

TEST_F(PgCuts, a_row_limit_parts_the_log_between_transactions)
{
    for (int i = 0; i < 20; i++)
        a.run("INSERT INTO t SELECT g, 'x' FROM generate_series(" + std::to_string(i * 100) + ", " +
              std::to_string(i * 100 + 99) + ") g");
    door_batch info{};
    a.read(2, 0, &info, 250);
    EXPECT_EQ(info.changes, 200u);
    EXPECT_TRUE(info.more);
    settled s = settle({&a, &b}, 250);
    EXPECT_GE(s.moved, 10u);
    EXPECT_EQ(s.rows, 2000u);
    expect_equal();
}

TEST_F(PgCuts, a_byte_limit_parts_the_log_between_transactions_and_never_divides_one)
{
    a.run("ALTER TABLE t ALTER COLUMN x SET STORAGE EXTERNAL");
    for (int i = 0; i < 10; i++)
        a.run("INSERT INTO t SELECT g, repeat('x', 10000) FROM generate_series(" + std::to_string(i * 10) + ", " +
              std::to_string(i * 10 + 9) + ") g");
    door_batch info{};
    auto batch = a.read(2, 0, &info, 0, 350000); // a transaction holds 100,000 octets and a little
    EXPECT_EQ(info.changes, 30u);
    EXPECT_TRUE(info.more);
    EXPECT_LT(batch.size(), 350000u);
    b.apply(1, batch);
    a.read(2, b.applied_of(1), &info, 0, 50000);
    EXPECT_EQ(info.changes, 10u) << "a transaction that is larger than the limit comes whole";
    settle({&a, &b});
    expect_equal();
}

TEST_F(PgCuts, a_clock_set_back_between_two_writes_of_a_row_that_come_in_two_cuts_does_not_turn_them_round)
{
    a.run("INSERT INTO t VALUES(1, 'old')");
    settle({&a, &b});
    a.run("UPDATE t SET x = 'first' WHERE id = 1");
    a.run("UPDATE dbsync.c_1 SET hlc = hlc + 2000000 WHERE v2 = 'first'"); // the clock ran two seconds ahead
    PGconn *slow = a.connection();
    a.run("BEGIN; UPDATE t SET x = 'second' WHERE id = 1", slow); // and was set back
    b.run("UPDATE t SET x = 'other' WHERE id = 1");
    b.run("UPDATE dbsync.c_1 SET hlc = hlc + 1000000 WHERE v2 = 'other'"); // between the two
    auto first = a.read(2, b.applied_of(1));
    a.run("COMMIT", slow);
    PQfinish(slow);
    b.apply(1, first);
    EXPECT_EQ(b.table("t"), "1|first|0\n");
    settle({&a, &b});
    EXPECT_EQ(a.table("t"), "1|second|0\n");
    expect_equal();
}

TEST_F(PgCuts, one_update_changes_identifiers_values_and_nothing_of_many_rows)
{
    both("CREATE TABLE w(w integer PRIMARY KEY, b text, s numeric, m0 json)");
    a.add("w");
    b.add("w");
    a.run("INSERT INTO w SELECT g, 'x', 1.0, '{}' FROM generate_series(1, 6) g");
    settle({&a, &b});
    a.run("UPDATE w SET w = CASE w WHEN 3 THEN 30 ELSE w END, b = CASE WHEN w < 5 THEN b || w "
          "ELSE b END, s = CASE w WHEN 5 THEN 1.00 ELSE s END"); // 6 is as it was
    EXPECT_EQ(a.rows("SELECT op, mask0, v1 FROM dbsync.c_2 WHERE op <> 'I' OR v1 = 30 ORDER BY v1, op"),
              "U|2|1\nU|2|2\nD|0|3\nU|2|4\nU|4|5\nI|-1|30\n");
    settle({&a, &b});
    EXPECT_EQ(b.table("w"), "1|x1|1.0|{}\n2|x2|1.0|{}\n4|x4|1.0|{}\n5|x|1.00|{}\n6|x|1.0|{}\n30|x3|1.0|{}\n");
    expect_equal("w");
}

TEST_F(PgCuts, truncate_removes_what_it_saw_and_newer_rows_survive)
{
    a.run("INSERT INTO t SELECT g, 'x' FROM generate_series(1, 10) g");
    settle({&a, &b});
    a.run("TRUNCATE t");
    b.run("INSERT INTO t VALUES(11, 'new')");
    b.run("UPDATE t SET x = 'newer' WHERE id = 3");
    settle({&a, &b});
    EXPECT_EQ(a.table("t"), "3|newer|0\n11|new|0\n");
    expect_equal();
}

TEST_F(PgCuts, applied_rows_do_not_echo_and_idle_change_tables_are_empty)
{
    a.run("INSERT INTO t VALUES(1, 'a')");
    settle({&a, &b});
    EXPECT_EQ(b.number_of("SELECT count(*) FROM dbsync.c_1"), 0);
    bool more = false;
    door_news news = DOOR_HAS_NEWS;
    ASSERT_EQ(a.d->ops->collect(a.d, &more, &a.why), 0) << a.why.text;
    EXPECT_EQ(a.number_of("SELECT count(*) FROM dbsync.c_1"), 0);
    ASSERT_EQ(a.d->ops->has_news(a.d, 2, &news, &a.why), 0);
    EXPECT_EQ(news, DOOR_NO_NEWS);
}

TEST_F(PgCuts, writes_of_the_applications_own_triggers_travel_in_the_order_they_act)
{
    both("CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET x = x || '!' WHERE id = "
         "NEW.id; RETURN NULL; END $$; CREATE TRIGGER a_first AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION again()");
    const schema *s = nullptr;
    a.d->ops->schema(a.d, &s, &a.why);
    a.add("t");
    b.add("t");
    a.run("INSERT INTO t VALUES(1, 'x')");
    settle({&a, &b});
    EXPECT_EQ(b.table("t"), "1|x!|0\n") << "once: triggers of the application do not fire for what is applied";
    expect_equal();
}

TEST_F(PgCuts, an_insert_that_meets_a_row_is_applied_carefully)
{
    a.run("INSERT INTO t VALUES(1, 'a')");
    settle({&a, &b});
    a.run("DELETE FROM t WHERE id = 1; INSERT INTO t VALUES(1, 'again')");
    settle({&a, &b});
    EXPECT_EQ(b.table("t"), "1|again|0\n");
    expect_equal();
}

TEST_F(PgCuts, what_the_database_refuses_is_parked_and_the_stream_goes_on)
{
    both("CREATE TABLE u(id integer PRIMARY KEY, k integer)");
    a.add("u");
    b.add("u");
    b.run("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 5 THEN RAISE 'no'; END IF; "
          "RETURN NEW; END $$; CREATE TRIGGER no BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION no(); ALTER TABLE u "
          "ENABLE ALWAYS TRIGGER no");
    a.run("INSERT INTO u SELECT g, g FROM generate_series(1, 20) g");
    settled s = settle({&a, &b});
    EXPECT_EQ(s.parked, 1u);
    EXPECT_EQ(b.number_of("SELECT count(*) FROM u"), 19);
    b.run("DROP TRIGGER no ON u");
    b.add("u");
    unsigned done = 0;
    EXPECT_EQ(b.d->ops->retry(b.d, 0, &done, &b.why), 0) << b.why.text;
    EXPECT_EQ(done, 1u);
    expect_equal("u");
}

TEST_F(PgCuts, compaction_keeps_one_change_for_each_row_touched)
{
    a.run("INSERT INTO t SELECT g, 'x' FROM generate_series(1, 10) g");
    for (int i = 0; i < 50; i++)
        a.run("UPDATE t SET n = n + 1");
    uint64_t before = 0, after = 0;
    ASSERT_EQ(a.d->ops->compact(a.d, &before, &after, &a.why), 0) << a.why.text;
    EXPECT_EQ(before, 510u);
    EXPECT_EQ(after, 10u);
    settle({&a, &b});
    EXPECT_EQ(b.rows("SELECT DISTINCT n FROM t"), "50\n");
    expect_equal();
}

TEST_F(PgCuts, bootstrap_brings_what_was_there_before_and_verify_finds_what_differs)
{
    a.run("SET session_replication_role = replica; INSERT INTO t SELECT g, 'old' || g FROM generate_series(1, 1234) g; "
          "RESET session_replication_role");
    ASSERT_EQ(a.d->ops->bootstrap(a.d, 2, nullptr, &a.why), 0) << a.why.text;
    a.run("UPDATE t SET x = 'written meanwhile' WHERE id = 600");
    settle({&a, &b});
    expect_equal();
    ASSERT_EQ(a.d->ops->verify(a.d, 2, &a.why), 0) << a.why.text;
    settled equal = settle({&a, &b});
    EXPECT_EQ(equal.digests, 2u);
    EXPECT_EQ(equal.differ, 0u);
    b.run("SET session_replication_role = replica; UPDATE t SET x = 'silently' WHERE id = 1100");
    ASSERT_EQ(a.d->ops->verify(a.d, 2, &a.why), 0) << a.why.text;
    EXPECT_EQ(settle({&a, &b}).differ, 1u);
}

TEST_F(PgCuts, positions_tell_when_a_commit_is_applied_at_the_peer)
{
    a.run("INSERT INTO t VALUES(1, 'a')");
    uint64_t position = 0;
    bool reached = true;
    ASSERT_EQ(a.d->ops->position(a.d, &position, &a.why), 0) << a.why.text;
    ASSERT_EQ(a.d->ops->position_reached(a.d, 2, position, &reached, &a.why), 0);
    EXPECT_FALSE(reached);
    settle({&a, &b});
    ASSERT_EQ(a.d->ops->position_reached(a.d, 2, position, &reached, &a.why), 0);
    EXPECT_TRUE(reached);
}

TEST_F(PgCuts, an_altered_table_stops_the_stream_and_goes_on_after_add)
{
    a.run("INSERT INTO t VALUES(1, 'before')");
    both("ALTER TABLE t ADD COLUMN more text");
    const schema *s = nullptr;
    EXPECT_EQ(a.d->ops->schema(a.d, &s, &a.why), -ESTALE);
    EXPECT_NE(std::string(a.why.text).find("more text"), std::string::npos) << "both definitions are shown";
    a.add("t");
    a.run("INSERT INTO t VALUES(2, 'after', 0, 'm')");
    auto batch = a.read(2, 0);
    b.apply(1, batch, -ESTALE);
    b.add("t");
    settle({&a, &b});
    EXPECT_EQ(b.table("t"), "1|before|0|NULL\n2|after|0|m\n");
}

TEST_F(PgCuts, a_copied_database_is_told_from_the_one_it_was)
{
    door_identity own{};
    ASSERT_EQ(a.d->ops->identity(a.d, &own, &a.why), 0);
    a.run("UPDATE dbsync.site SET system = system + 1"); // as after a dump and restore elsewhere
    EXPECT_EQ(a.d->ops->identity(a.d, &own, &a.why), -EEXIST);
    ASSERT_EQ(a.d->ops->renew(a.d, &a.why), 0) << a.why.text;
    uint64_t before = own.incarnation;
    ASSERT_EQ(a.d->ops->identity(a.d, &own, &a.why), 0);
    EXPECT_NE(own.incarnation, before);
    ASSERT_EQ(b.d->ops->peer_meet(b.d, 1, before, 0, &b.why), 0) << b.why.text;
    EXPECT_EQ(b.d->ops->peer_meet(b.d, 1, own.incarnation, 0, &b.why), -EEXIST);
    EXPECT_EQ(a.d->ops->peer_meet(a.d, 2, 7, 99, &a.why), -ESTALE) << "it has applied what we never made";
}

int count_finding(void *context, const char *json)
{
    *static_cast<std::string *>(context) += std::string(json) + "\n";
    return 0;
}

TEST_F(PgCuts, doctor_tells_of_sequences_and_disabled_triggers)
{
    a.run("CREATE TABLE s(id bigserial PRIMARY KEY)");
    a.add("s");
    a.run("ALTER TABLE t DISABLE TRIGGER \"!dbsync_u\"");
    std::string found;
    ASSERT_EQ(a.d->ops->doctor(a.d, count_finding, &found, &a.why), 0) << a.why.text;
    EXPECT_NE(found.find("two sites will draw the same number"), std::string::npos) << found;
    EXPECT_NE(found.find("is disabled"), std::string::npos) << found;
}

TEST_F(PgCuts, doctor_tells_of_capture_functions_of_an_earlier_release_and_add_renews_them)
{
    a.run("UPDATE pg_proc SET prosrc = replace(prosrc, 'signpost-dbsync capture', 'capture') WHERE proname = 'u_1'");
    std::string found;
    ASSERT_EQ(a.d->ops->doctor(a.d, count_finding, &found, &a.why), 0) << a.why.text;
    EXPECT_NE(found.find("capture functions are of an earlier release"), std::string::npos) << found;
    a.run("INSERT INTO t VALUES(1, 'o'); UPDATE t SET x = 'captured by the old ones'");
    a.add("t");
    found.clear();
    ASSERT_EQ(a.d->ops->doctor(a.d, count_finding, &found, &a.why), 0) << a.why.text;
    EXPECT_EQ(found.find("earlier release"), std::string::npos) << found;
    settle({&a, &b});
    EXPECT_EQ(b.table("t"), "1|captured by the old ones|0\n");
}

TEST_F(PgCuts, one_batch_updates_different_columns_of_different_rows)
{
    a.run("INSERT INTO t SELECT g, 'o' FROM generate_series(1, 30) g");
    settle({&a, &b});
    for (int i = 1; i <= 30; i++)
        a.run(std::string("UPDATE t SET ") +
              (i % 3 == 0   ? "x = 'new'"
               : i % 3 == 1 ? "n = 7"
                            : "x = 'both', n = 8") +
              " WHERE id = " + std::to_string(i));
    settle({&a, &b});
    expect_equal();
}

TEST_F(PgCuts, a_conflict_is_listed_with_both_images_and_can_be_decided_by_hand)
{
    a.run("INSERT INTO t VALUES(1, 'o')");
    settle({&a, &b});
    a.run("UPDATE t SET x = 'a'");
    b.run("UPDATE t SET x = 'b'");
    settle({&a, &b});
    EXPECT_EQ(a.table("t"), "1|b|0\n");
    std::string listed;
    ASSERT_EQ(a.d->ops->conflicts(a.d, 10, count_finding, &listed, &a.why), 0) << a.why.text;
    EXPECT_NE(listed.find("\"x\" : \"a\""), std::string::npos) << listed;
    EXPECT_NE(listed.find("\"x\" : \"b\""), std::string::npos) << listed;
    long id = a.number_of("SELECT max(id) FROM dbsync.conflict");
    ASSERT_EQ(a.d->ops->resolve(a.d, id, RESOLVE_TAKE_LOSER, &a.why), 0) << a.why.text;
    settle({&a, &b});
    EXPECT_EQ(b.table("t"), "1|a|0\n");
    expect_equal();
}

} // namespace
