// SPDX-License-Identifier: Apache-2.0
// The SQLite door beyond plain rows: every storage class, capture's corners, bootstrap, verification, lists and
// decisions.
#include <gtest/gtest.h>

#include "tests/support/dbsync_site.h"

extern "C" {
#include "dbsync/door_sqlite.h"
}

using namespace dbsync_test;

namespace
{

class Pair : public SitePair
{
  protected:
    void make(const std::string &sql, const std::string &table = "t", unique_policy policy = UNIQUE_PARK)
    {
        both(sql);
        a.add(table, GRANULARITY_COLUMN, policy);
        b.add(table, GRANULARITY_COLUMN, policy);
    }
    void talk()
    {
        settle({&a, &b});
    }
    void expect_equal(const std::string &table = "t")
    {
        EXPECT_EQ(a.rows("SELECT *, typeof(x) FROM " + table + " ORDER BY 1, 2"),
                  b.rows("SELECT *, typeof(x) FROM " + table + " ORDER BY 1, 2"));
    }
    static int append(void *context, const char *json)
    {
        *static_cast<std::string *>(context) += std::string(json) + "\n";
        return 0;
    }
    // One row with a column x, changed on both sites before either hears of it; b's change is later.
    void fight_over_one_row(const std::string &columns, const std::string &row)
    {
        make("CREATE TABLE t(id INTEGER PRIMARY KEY, " + columns + ")");
        a.run("INSERT INTO t VALUES(" + row + ")");
        talk();
        clock_of(1) += 1000;
        clock_of(2) = clock_of(1) + 5000;
        a.run("UPDATE t SET x = 'from a'");
        b.run("UPDATE t SET x = 'from b'");
        talk();
    }
    std::string conflicts(Site &site)
    {
        std::string out;
        EXPECT_EQ(site.d->ops->conflicts(site.d, 10, append, &out, &site.why), 0) << site.why.text;
        return out;
    }
    std::string parked(Site &site)
    {
        std::string out;
        EXPECT_EQ(site.d->ops->parked(site.d, 0, append, &out, &site.why), 0) << site.why.text;
        return out;
    }
};

TEST_F(Pair, every_storage_class_in_any_column_arrives_to_the_bit)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y INTEGER, z TEXT, w REAL)");
    a.run("INSERT INTO t VALUES(1, 9007199254740993, 'text in an integer column', 5, 'r'),"
          "(2, 1e308, x'0001', x'', 1), (3, '', NULL, '', -1.5), (4, x'', 0, 'a' || char(0) || 'b', 9e999),"
          "(5, -9223372036854775808, 9223372036854775807, 'é', 0.1), (6, 'it''s \"quoted\" \\ back', 1, NULL, NULL)");
    talk();
    expect_equal();
    EXPECT_EQ(b.number_of("SELECT length(CAST(z AS BLOB)) FROM t WHERE id = 4"), 3);
    EXPECT_EQ(b.rows("SELECT typeof(x), typeof(y), typeof(z), typeof(w) FROM t WHERE id = 2"),
              "'real'|'blob'|'blob'|'real'\n");
    a.run("UPDATE t SET x = CAST(x AS TEXT) WHERE id = 1");
    talk();
    EXPECT_EQ(b.rows("SELECT x FROM t WHERE id = 1"), "'9007199254740993'\n") << "a change of type alone is a change";
}

TEST_F(Pair, composite_and_text_row_identifiers_without_rowid)
{
    make("CREATE TABLE t(k TEXT NOT NULL, n INTEGER NOT NULL, x, PRIMARY KEY(n, k)) WITHOUT ROWID");
    a.run("INSERT INTO t VALUES('a', 1, 1), ('a', 2, 2), ('b', 1, 3)");
    talk();
    b.run("UPDATE t SET x = 9 WHERE k = 'a' AND n = 2; DELETE FROM t WHERE k = 'b'; UPDATE t SET k = 'c' WHERE k = 'a' "
          "AND n = 1");
    talk();
    EXPECT_EQ(a.table("t"), "'a'|2|9\n'c'|1|1\n");
    expect_equal();
}

TEST_F(Pair, more_columns_than_bits_in_a_word_and_generated_columns)
{
    std::string sql = "CREATE TABLE t(id INTEGER PRIMARY KEY, x";
    for (int i = 0; i < 130; i++)
        sql += ", c" + std::to_string(i);
    make(sql + ", g GENERATED ALWAYS AS (x || '!'))");
    a.run("INSERT INTO t(id, x, c0, c63, c64, c129) VALUES(1, 'x', 0, 63, 64, 129)");
    talk();
    a.run("UPDATE t SET c64 = 'a'");
    b.run("UPDATE t SET c129 = 'b', c63 = 'b'");
    talk();
    EXPECT_EQ(a.rows("SELECT c0, c63, c64, c129, g FROM t"), "0|'b'|'a'|'b'|'x!'\n");
    expect_equal();
}

TEST_F(Pair, rows_that_replace_removed_through_another_unique_key_go_everywhere)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT UNIQUE)");
    a.run("INSERT INTO t VALUES(1, 'k'), (2, 'l')");
    talk();
    a.run("INSERT OR REPLACE INTO t VALUES(3, 'k')");
    a.run("UPDATE OR REPLACE t SET x = 'l' WHERE id = 3");
    a.run("INSERT OR IGNORE INTO t VALUES(4, 'l')");
    EXPECT_EQ(a.table("t"), "3|'l'\n");
    talk();
    EXPECT_EQ(b.table("t"), "3|'l'\n");
    EXPECT_EQ(parked(a) + parked(b), "") << "nothing clashed";
}

TEST_F(Pair, a_row_that_a_peer_deleted_is_never_taken_for_one_that_replace_removed)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT UNIQUE)");
    a.run("INSERT INTO t VALUES(1, 'k')");
    talk();
    clock_of(2) += 1000000;
    b.run("DELETE FROM t WHERE id = 1");
    auto removal = b.read(1, static_cast<uint64_t>(a.number_of("SELECT applied FROM dbsync_peer")));
    clock_of(1) += 9000000;
    a.run("INSERT OR IGNORE INTO t VALUES(2, 'k')"); // row 1 is a candidate, and stays
    EXPECT_EQ(a.apply(2, removal).verdict, APPLY_DONE);
    clock_of(2) += 1000000;
    b.run("INSERT INTO t VALUES(1, 'new')");
    talk();
    EXPECT_EQ(a.table("t"), "1|'new'\n");
    expect_equal();
}

TEST_F(Pair, an_update_that_changes_nothing_is_not_captured)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    a.run("INSERT INTO t VALUES(1, 'v')");
    talk();
    bool more;
    a.d->ops->collect(a.d, &more, &a.why);
    a.run("UPDATE t SET x = 'v'");
    EXPECT_EQ(a.number_of("SELECT count(*) FROM dbsync_c_1"), 0);
}

TEST_F(Pair, claim_16_17_18_the_change_table_holds_identifier_time_stamp_and_entire_row)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)");
    a.run("INSERT INTO t VALUES(7, 'x', 'y'); UPDATE t SET x = 'n' WHERE id = 7; DELETE FROM t WHERE id = 7");
    EXPECT_EQ(a.rows("SELECT op, mask0, v_id, v_x, v_y FROM dbsync_c_1 ORDER BY seq"),
              "'I'|-1|7|'x'|'y'\n'U'|2|7|'n'|'y'\n'D'|0|7|'n'|'y'\n");
    EXPECT_EQ(a.number_of("SELECT min(hlc) >= 1700000000000000 AND max(hlc) < 1800000000000000 FROM dbsync_c_1"), 1);
}

TEST_F(Pair, a_tombstone_stays_until_nothing_older_can_come_not_until_it_is_acknowledged)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)");
    a.run("INSERT INTO t VALUES(1, 'x', 'y')");
    talk();
    clock_of(2) += 2000000;
    b.run("UPDATE t SET x = 'older or newer'");
    auto late = b.read(1, static_cast<uint64_t>(a.number_of("SELECT applied FROM dbsync_peer"))); // still on its way
    clock_of(1) += 1000000;
    a.run("DELETE FROM t");
    EXPECT_EQ(b.apply(1, a.read(2, static_cast<uint64_t>(b.number_of("SELECT applied FROM dbsync_peer")))).verdict,
              APPLY_DONE);
    bool more;
    a.d->ops->acked(a.d, 2, 99, &a.why);
    a.d->ops->collect(a.d, &more, &a.why);
    EXPECT_EQ(a.number_of("SELECT count(*) FROM dbsync_c_1 WHERE op = 'D'"), 1);
    EXPECT_EQ(a.apply(2, late).verdict, APPLY_DONE);
    talk();
    EXPECT_EQ(a.table("t"), "1|'older or newer'|'y'\n") << "the newer update brings the row back whole";
    expect_equal();
    a.d->ops->collect(a.d, &more, &a.why);
    EXPECT_EQ(a.number_of("SELECT count(*) FROM dbsync_c_1"), 0);
}

TEST_F(Pair, insert_sync_delete_insert_sync_leaves_the_row)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    a.run("INSERT INTO t VALUES(1, 1)");
    talk();
    a.run("DELETE FROM t; INSERT INTO t VALUES(1, 2)");
    talk();
    EXPECT_EQ(b.table("t"), "1|2\n");
}

TEST_F(Pair, a_huge_transaction_is_one_batch_folded_row_by_row)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    a.run("BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) INSERT INTO t SELECT "
          "i, i FROM n;"
          "UPDATE t SET x = 'twice ' || id; DELETE FROM t WHERE id % 3 = 0; COMMIT");
    door_batch info{};
    auto batch = a.read(2, 0, &info);
    EXPECT_EQ(info.changes, 140000u);
    EXPECT_EQ(info.rows, 60000u);
    EXPECT_EQ(b.apply(1, batch).verdict, APPLY_DONE);
    EXPECT_EQ(b.number_of("SELECT count(*) FROM t WHERE x = 'twice ' || id"), 40000);
    expect_equal();
}

TEST_F(Pair, conflicting_rows_of_one_table_each_have_their_own_winner)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    a.run("INSERT INTO t VALUES(1, 0), (2, 0), (3, 0), (4, 0)");
    talk();
    for (int i = 1; i <= 4; i++) {
        clock_of(1) += i % 2 ? 2000000 : 1000;
        clock_of(2) = clock_of(1) + (i % 2 ? -1000000 : 1000000);
        a.run("UPDATE t SET x = 'a' WHERE id = " + std::to_string(i));
        b.run("UPDATE t SET x = 'b' WHERE id = " + std::to_string(i));
    }
    talk();
    EXPECT_EQ(a.table("t"), "1|'a'\n2|'b'\n3|'a'\n4|'b'\n");
    expect_equal();
}

TEST_F(Pair, tables_that_cannot_be_synchronised_are_refused_with_the_remedy)
{
    const char *const tables[][2] = {
        {"CREATE TABLE r(x, y)", "no primary key"},
        {"CREATE TABLE r(x TEXT PRIMARY KEY, y)", "NOT NULL"},
        {"CREATE TABLE r(x TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, y)", "COLLATE BINARY"},
        {"CREATE TABLE r(x INTEGER PRIMARY KEY, y); CREATE UNIQUE INDEX r_y ON r(lower(y))", "expression"},
    };
    for (auto [sql, words] : tables) {
        a.run(std::string("DROP TABLE IF EXISTS r; ") + sql);
        door_table_options options{};
        EXPECT_EQ(a.d->ops->add_table(a.d, "r", &options, &a.why), -EINVAL) << sql;
        EXPECT_NE(std::string(a.why.text).find(words), std::string::npos) << a.why.text;
    }
}

TEST_F(Pair, an_altered_table_stops_until_it_is_added_again_and_keeps_captured_changes)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    a.run("INSERT INTO t VALUES(1, 'before')");
    both("ALTER TABLE t ADD COLUMN y TEXT DEFAULT 'd'");
    const schema *s;
    EXPECT_EQ(a.d->ops->schema(a.d, &s, &a.why), -ESTALE);
    EXPECT_NE(std::string(a.why.text).find("It was:"), std::string::npos);
    a.add("t");
    b.add("t");
    a.run("UPDATE t SET y = 'new'");
    talk();
    EXPECT_EQ(b.table("t"), "1|'before'|'new'\n");
}

TEST_F(Pair, an_empty_site_is_bootstrapped_in_chunks_while_both_write)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)");
    a.d->ops->remove_table(a.d, "t", true, &a.why);
    a.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) INSERT INTO t SELECT i, "
          "'row ' || i, 0 FROM n");
    a.add("t");
    ASSERT_EQ(a.d->ops->bootstrap(a.d, 2, nullptr, &a.why), 0) << a.why.text;
    uint64_t applied = 0;
    for (int chunk = 0; chunk < 6; chunk++) {
        auto batch = a.read(2, applied);
        auto result = b.apply(1, batch);
        ASSERT_EQ(result.verdict, APPLY_DONE);
        applied = result.applied;
        a.run("UPDATE t SET y = y + 1 WHERE id % 1000 = " + std::to_string(chunk) +
              "; DELETE FROM t WHERE id % 1000 = " + std::to_string(900 + chunk));
        b.try_run("UPDATE t SET x = 'from b' WHERE id % 1000 = " + std::to_string(500 + chunk));
    }
    talk();
    EXPECT_EQ(a.number_of("SELECT count(*) FROM t"), 12000 - 72);
    EXPECT_GT(a.number_of("SELECT count(*) FROM t WHERE x = 'from b'"), 0);
    expect_equal();
}

TEST_F(Pair, source_wins_overwrites_and_removes_what_only_the_target_has)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    for (Site *s : {&a, &b})
        s->d->ops->remove_table(s->d, "t", true, &s->why);
    a.run("INSERT INTO t VALUES(1, 'a'), (2, 'a'), (4, 'a')");
    b.run("INSERT INTO t VALUES(2, 'b'), (3, 'b'), (5, 'b')");
    a.add("t");
    b.add("t");
    b.run("INSERT INTO t VALUES(6, 'written since')");
    ASSERT_EQ(b.d->ops->set_base_mode(b.d, 1, BASE_OVERWRITE, &b.why), 0);
    ASSERT_EQ(a.d->ops->bootstrap(a.d, 2, "t", &a.why), 0);
    talk();
    EXPECT_EQ(b.table("t"), "1|'a'\n2|'a'\n4|'a'\n6|'written since'\n");
    expect_equal();
}

TEST_F(Pair, verify_finds_one_differing_row_and_nothing_else)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    a.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, i "
          "FROM n");
    talk();
    bool more;
    b.d->ops->collect(b.d, &more, &b.why);
    for (bool damage : {false, true}) {
        if (damage) // behind the back of capture
            b.run("DROP TRIGGER dbsync_u_1; UPDATE t SET x = 'wrong' WHERE id = 1500");
        ASSERT_EQ(a.d->ops->verify(a.d, 2, &a.why), 0);
        door_batch info{};
        auto batch = a.read(2, static_cast<uint64_t>(b.number_of("SELECT applied FROM dbsync_peer")), &info);
        auto result = b.apply(1, batch);
        EXPECT_EQ(result.digests, 4u); // three full ones and the open end
        EXPECT_EQ(result.digests_differ, damage ? 1u : 0u);
        EXPECT_EQ(result.digests_busy, 0u);
    }
}

TEST_F(Pair, an_update_of_a_missing_row_is_parked_and_healed_by_the_whole_row)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)");
    a.run("INSERT INTO t VALUES(1, 'x', 'y')");
    talk();
    b.run("DROP TRIGGER dbsync_d_1; DELETE FROM t");
    a.run("UPDATE t SET x = 'new'");
    auto result = b.apply(1, a.read(2, static_cast<uint64_t>(b.number_of("SELECT applied FROM dbsync_peer"))));
    EXPECT_EQ(result.request_count, 1u);
    EXPECT_NE(parked(b).find("missing_row"), std::string::npos);
    buffer key_bytes{};
    value id = value_integer(1);
    key_encode(&key_bytes, &id, 1);
    key k{key_bytes.data, static_cast<uint32_t>(key_bytes.len)};
    ASSERT_EQ(a.d->ops->request_rows(a.d, 2, "t", &k, 1, &a.why), 0) << a.why.text;
    buffer_fini(&key_bytes);
    talk();
    EXPECT_EQ(b.table("t"), "1|'new'|'y'\n");
    EXPECT_EQ(parked(b), "");
}

TEST_F(Pair, a_refused_row_is_parked_the_stream_goes_on_and_the_next_change_of_it_heals)
{
    a.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)");
    b.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x CHECK (x <> 'bad'), y)");
    a.add("t");
    b.add("t");
    a.run("INSERT INTO t VALUES(1, 'bad', 'y'), (2, 'two', 'y')");
    talk();
    EXPECT_EQ(b.table("t"), "2|'two'|'y'\n");
    EXPECT_NE(parked(b).find("\"refused\", \"text\": \"CHECK constraint failed"), std::string::npos) << parked(b);
    unsigned done = 9;
    EXPECT_EQ(b.d->ops->retry(b.d, 0, &done, &b.why), 0) << b.why.text;
    EXPECT_EQ(done, 0u);
    a.run("UPDATE t SET x = 'good' WHERE id = 1");
    talk();
    EXPECT_EQ(b.table("t"), "1|'good'|'y'\n2|'two'|'y'\n");
    EXPECT_EQ(parked(b), "");
}

TEST_F(Pair, one_parked_row_is_retried_by_its_number_and_the_others_stay)
{
    a.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)");
    b.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x CHECK (x <> 'bad'), y)");
    a.add("t");
    b.add("t");
    a.run("INSERT INTO t VALUES(1, 'bad', 0), (2, 'bad', 0)");
    talk();
    EXPECT_EQ(b.table("t"), "");
    b.run("DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)");
    b.add("t");
    unsigned done = 9;
    EXPECT_EQ(b.d->ops->retry(b.d, 77, &done, &b.why), -ENOENT);
    int64_t id = b.number_of("SELECT max(id) FROM dbsync_parked");
    EXPECT_EQ(b.d->ops->retry(b.d, id, &done, &b.why), 0) << b.why.text;
    EXPECT_EQ(done, 1u);
    EXPECT_EQ(b.number_of("SELECT count(*) FROM t"), 1);
    EXPECT_EQ(b.number_of("SELECT count(*) FROM dbsync_parked"), 1);
    EXPECT_EQ(b.d->ops->retry(b.d, 0, &done, &b.why), 0) << b.why.text;
    EXPECT_EQ(done, 1u);
    EXPECT_EQ(parked(b), "");
}

TEST_F(Pair, a_refused_row_fails_the_batch_when_errors_shall_stop_the_stream)
{
    a.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)");
    b.run("CREATE TABLE t(id INTEGER PRIMARY KEY, x CHECK (x <> 'bad'), y)");
    a.add("t");
    b.add("t");
    a.run("INSERT INTO t VALUES(1, 'good', 0), (7, 'bad', 0)");
    auto batch = a.read(2, 0);
    arena memory{};
    apply_result result{};
    b.d->stops_on_error = true;
    EXPECT_EQ(b.d->ops->apply(b.d, 1, batch.data(), batch.size(), &memory, &result, &b.why), -ECANCELED);
    EXPECT_NE(std::string(b.why.text).find("row {\"id\": 7} of table t cannot be written: CHECK"), std::string::npos)
        << b.why.text;
    EXPECT_EQ(b.table("t"), "") << "nothing of the batch is there";
    EXPECT_EQ(parked(b), "");
    b.d->stops_on_error = false;
    EXPECT_EQ(b.d->ops->apply(b.d, 1, batch.data(), batch.size(), &memory, &result, &b.why), 0) << b.why.text;
    EXPECT_EQ(result.parked, 1u);
    arena_fini(&memory);
}

TEST_F(Pair, two_writes_of_a_tables_only_column_are_an_update_update_and_two_new_rows_an_insert_insert)
{
    fight_over_one_row("x", "1, 'o'");
    std::string list = conflicts(a);
    EXPECT_NE(list.find("update_update"), std::string::npos) << list;
    EXPECT_EQ(list.find("insert_insert"), std::string::npos) << list;
    a.run("INSERT INTO t VALUES(2, 'a')");
    b.run("INSERT INTO t VALUES(2, 'b')");
    talk();
    list = conflicts(a);
    EXPECT_NE(list.find("insert_insert"), std::string::npos) << list;
}

TEST_F(Pair, a_long_log_is_cut_at_noted_borders_between_transactions)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)");
    door_sqlite_note_every(a.d, 50);
    door_news news = DOOR_NO_NEWS;
    for (int i = 0; i < 10; i++) {
        a.run("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) INSERT INTO t SELECT " +
              std::to_string(i) + " * 100 + i, randomblob(1000), 0 FROM n");
        ASSERT_EQ(a.d->ops->has_news(a.d, 2, &news, &a.why), 0) << a.why.text;
    }
    door_read_request request{};
    door_batch info{};
    std::vector<uint8_t> batch;
    request.peer = 2;
    auto sink = [](void *context, const void *bytes, size_t len) {
        auto *out = static_cast<std::vector<uint8_t> *>(context);
        const auto *p = static_cast<const uint8_t *>(bytes);
        out->insert(out->end(), p, p + len);
        return 0;
    };
    request.row_limit = 200;
    ASSERT_EQ(a.d->ops->read_batch(a.d, &request, sink, &batch, &info, &a.why), 0) << a.why.text;
    EXPECT_EQ(info.changes, 180u);
    EXPECT_TRUE(info.more);
    b.apply(1, batch);
    request.after = info.number;
    request.row_limit = 0;
    request.byte_limit = 130000;
    batch.clear();
    ASSERT_EQ(a.d->ops->read_batch(a.d, &request, sink, &batch, &info, &a.why), 0) << a.why.text;
    EXPECT_EQ(info.changes, 120u);
    b.apply(1, batch);
    door_peer peer{};
    unsigned count = 0;
    ASSERT_EQ(a.d->ops->peers(a.d, &peer, 1, &count, &a.why), 0);
    EXPECT_EQ(peer.backlog_rows, 300u);
    EXPECT_NEAR(static_cast<double>(peer.backlog_bytes), 300 * 1040, 300 * 40);
    talk();
    expect_equal();
}

TEST_F(Pair, the_loser_of_a_unique_key_is_parked_on_both_sites_and_can_be_taken_back)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT UNIQUE)");
    a.run("INSERT INTO t VALUES(1, 'k')");
    clock_of(2) = clock_of(1) + 1000000;
    b.run("INSERT INTO t VALUES(2, 'k')");
    talk();
    EXPECT_EQ(a.table("t"), "2|'k'\n");
    expect_equal();
    EXPECT_NE((parked(a) + parked(b)).find("unique"), std::string::npos);
    Site &holder = parked(a).empty() ? b : a;
    int64_t id = holder.number_of("SELECT id FROM dbsync_parked");
    EXPECT_EQ(holder.d->ops->resolve(holder.d, -id, RESOLVE_TAKE_LOSER, &holder.why), -EEXIST)
        << "the key is still held";
    holder.run("UPDATE t SET x = 'other' WHERE id = 2");
    EXPECT_EQ(holder.d->ops->resolve(holder.d, -id, RESOLVE_TAKE_LOSER, &holder.why), 0) << holder.why.text;
    talk();
    EXPECT_EQ(b.table("t"), "1|'k'\n2|'other'\n");
    expect_equal();
}

TEST_F(Pair, claim_21_the_conflict_list_has_both_images_and_the_rule)
{
    fight_over_one_row("x, y", "1, 'o', 'y'");
    std::string list = conflicts(a);
    EXPECT_NE(list.find("\"winner\": {\"id\": 1, \"x\": \"from b\""), std::string::npos) << list;
    EXPECT_NE(list.find("\"loser\": {\"id\": 1, \"x\": \"from a\""), std::string::npos) << list;
    EXPECT_NE(list.find("later write wins"), std::string::npos) << list;
    EXPECT_NE(list.find("update_update"), std::string::npos) << list;
    door_counts counts{};
    ASSERT_EQ(a.d->ops->counts(a.d, &counts, &a.why), 0);
    EXPECT_EQ(counts.conflict[CONFLICT_UPDATE_UPDATE], 1u);
    EXPECT_EQ(counts.conflict_hour, 1u);
    EXPECT_EQ(
        a.number_of(
            "SELECT count(*) FROM dbsync_c_1 WHERE vers IS NULL AND v_x = 'from a' AND seq > (SELECT cut_seq FROM "
            "dbsync_peer)"),
        0)
        << "the losing change left the outbox";
}

TEST_F(Pair, compaction_bounds_the_backlog_by_rows_touched_and_changes_nothing_else)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x, y)");
    for (int i = 0; i < 300; i++)
        a.run("INSERT OR REPLACE INTO t VALUES(" + std::to_string(i % 7) + ", " + std::to_string(i) +
              ", 0); UPDATE t SET y = " + std::to_string(i) + " WHERE id = " + std::to_string(i % 5));
    uint64_t before, after;
    ASSERT_EQ(a.d->ops->compact(a.d, &before, &after, &a.why), 0) << a.why.text;
    EXPECT_GT(before, 500u);
    EXPECT_EQ(after, 7u);
    talk();
    expect_equal();
    EXPECT_EQ(b.number_of("SELECT count(*) FROM t"), 7);
}

TEST_F(Pair, a_restored_database_is_detected_on_both_sides)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    a.run("INSERT INTO t VALUES(1, 1)");
    talk();
    door_identity id{};
    a.d->ops->identity(a.d, &id, &a.why);
    auto at = [](Site &s, const char *what) {
        return static_cast<uint64_t>(s.number_of(std::string("SELECT ") + what + " FROM dbsync_peer"));
    };
    EXPECT_EQ(b.d->ops->peer_meet(b.d, 1, id.incarnation, at(a, "applied"), &b.why), 0) << b.why.text;
    EXPECT_EQ(a.d->ops->peer_meet(a.d, 2, at(a, "incarnation"), at(b, "applied") - 1, &a.why), -ESTALE);
    EXPECT_NE(std::string(a.why.text).find("restored from a backup"), std::string::npos);
    EXPECT_EQ(a.d->ops->peer_meet(a.d, 2, at(a, "incarnation"), at(b, "applied") + 1, &a.why), -ESTALE);
    EXPECT_EQ(b.d->ops->peer_meet(b.d, 1, id.incarnation + 1, 0, &b.why), -EEXIST);
    EXPECT_EQ(a.d->ops->peer_meet(a.d, 2, 77, 0, &a.why), -EEXIST) << "b's incarnation is known from its batches";
    door_peer p[2];
    unsigned count;
    b.d->ops->peers(b.d, p, 2, &count, &b.why);
    EXPECT_EQ(p[0].state, PEER_FOREIGN);
    door_news news = DOOR_HAS_NEWS;
    b.run("INSERT INTO t VALUES(2, 2)");
    b.d->ops->has_news(b.d, 1, &news, &b.why);
    EXPECT_EQ(news, DOOR_NO_NEWS) << "nothing goes to a database that is not the one we knew";
}

TEST_F(Pair, a_batch_from_far_ahead_is_held_not_dropped)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    clock_of(2) = clock_of(1) - 3600LL * 1000000;
    a.run("INSERT INTO t VALUES(1, 1)");
    auto batch = a.read(2, 0);
    auto result = b.apply(1, batch);
    EXPECT_EQ(result.verdict, APPLY_HELD_CLOCK);
    EXPECT_GT(result.hold_us, 3500LL * 1000000);
    clock_of(2) = clock_of(1);
    EXPECT_EQ(b.apply(1, batch).verdict, APPLY_DONE);
}

TEST_F(Pair, wait_learns_that_a_commit_is_applied_at_the_peer)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    a.run("INSERT INTO t VALUES(1, 1)");
    uint64_t position;
    bool reached;
    a.d->ops->position(a.d, &position, &a.why);
    a.d->ops->position_reached(a.d, 2, position, &reached, &a.why);
    EXPECT_FALSE(reached);
    talk();
    a.d->ops->position_reached(a.d, 2, position, &reached, &a.why);
    EXPECT_TRUE(reached);
}

TEST_F(Pair, a_peer_gone_too_long_lets_go_of_the_change_table_and_is_bootstrapped_when_it_is_back)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    a.run("INSERT INTO t VALUES(1, 1), (2, 2)");
    talk();
    a.run("UPDATE t SET x = 'new' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES(3, 3)");
    clock_of(1) += 60000000;
    door_peer p[2];
    unsigned count;
    ASSERT_EQ(a.d->ops->peers(a.d, p, 2, &count, &a.why), 0);
    EXPECT_EQ(p[0].backlog_rows, 3u);
    EXPECT_NEAR(static_cast<double>(p[0].backlog_age_us), 60e6, 1000);
    ASSERT_EQ(a.d->ops->peer_set_state(a.d, 2, PEER_NEEDS_BOOTSTRAP, "gone for 7 days", &a.why), 0);
    bool more;
    a.d->ops->collect(a.d, &more, &a.why);
    EXPECT_EQ(a.number_of("SELECT count(*) FROM dbsync_c_1"), 0);
    door_news news = DOOR_HAS_NEWS;
    a.d->ops->has_news(a.d, 2, &news, &a.why);
    EXPECT_EQ(news, DOOR_NO_NEWS);
    ASSERT_EQ(b.d->ops->set_base_mode(b.d, 1, BASE_OVERWRITE, &b.why), 0);
    ASSERT_EQ(a.d->ops->bootstrap(a.d, 2, nullptr, &a.why), 0);
    talk();
    EXPECT_EQ(b.table("t"), "1|'new'\n3|3\n");
    expect_equal();
}

TEST_F(Pair, doctor_names_identifiers_that_all_sites_draw_alike_and_lost_triggers)
{
    make("CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE TABLE other(id INTEGER PRIMARY KEY)");
    a.run("DROP TRIGGER dbsync_i_1");
    std::string found;
    ASSERT_EQ(a.d->ops->doctor(a.d, append, &found, &a.why), 0) << a.why.text;
    EXPECT_NE(found.find("drawn alike on all sites"), std::string::npos);
    EXPECT_NE(found.find("capture triggers are gone"), std::string::npos);
    EXPECT_NE(found.find("\"table\": \"other\", \"finding\": \"the table is not synchronised\""), std::string::npos);
}

} // namespace
