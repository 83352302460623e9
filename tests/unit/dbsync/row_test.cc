// SPDX-License-Identifier: Apache-2.0
// The laws of row_join, exhaustively on a small domain; consolidation against the plain log; groups.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

extern "C" {
#include "dbsync/fold.h"
#include "dbsync/merge.h"
#include "dbsync/row_codec.h"
}

namespace
{

// A table of an integer key and `columns` columns; `ties` makes groups.
schema *make_schema(unsigned columns, const std::vector<std::pair<uint16_t, uint16_t>> &ties = {})
{
    auto *s = static_cast<schema *>(memory_take(sizeof(schema)));
    s->table = static_cast<table *>(memory_take(sizeof(table)));
    s->table_count = 1;
    table &t = s->table[0];
    t.name = memory_text("t");
    t.column_count = static_cast<uint16_t>(columns + 1);
    t.column = static_cast<column *>(memory_take(t.column_count * sizeof(column)));
    for (unsigned c = 0; c < t.column_count; c++) {
        t.column[c].name = memory_text(("c" + std::to_string(c)).c_str());
        t.column[c].type = memory_text("");
    }
    t.key = static_cast<uint16_t *>(memory_take(sizeof(uint16_t)));
    t.key_count = 1;
    for (auto [a, b] : ties)
        schema_tie(&t, a, b);
    schema_finish(s);
    return s;
}

class Rows : public testing::Test
{
  protected:
    arena memory{};
    schema *s = make_schema(2);
    const table *t = &s->table[0];
    ~Rows() override
    {
        arena_fini(&memory);
        schema_free(s);
    }
    key make_key(int64_t id)
    {
        buffer b{};
        value v = value_integer(id);
        key_encode(&b, &v, 1);
        key k{static_cast<const uint8_t *>(arena_copy(&memory, b.data, b.len)), static_cast<uint32_t>(b.len)};
        buffer_fini(&b);
        return k;
    }
    row *blank(int64_t id = 1)
    {
        return row_new(&memory, t, make_key(id));
    }
    row *joined(const row *a, const row *b)
    {
        row *r = row_clone(&memory, a);
        row_join(r, b);
        return r;
    }
    // Every row over few versions and values. Equal versions with different values are among them: join must not care.
    std::vector<row *> domain()
    {
        std::vector<row *> out;
        for (int life = 0; life < 3; life++) {
            for (int lv = 0; lv < 3; lv++) {
                for (int a = 0; a < 5; a++) {
                    for (int b = 0; b < 3; b++) {
                        row *r = blank();
                        if ((life == LIFE_UNKNOWN) != (lv == 0))
                            continue;
                        r->life = static_cast<uint8_t>(life);
                        r->life_version = lv ? version_make(lv, VERSION_USER, 1) : version_make(0, VERSION_USER, 0);
                        if (a)
                            row_set(r, 1, value_integer(a % 2), version_make(1 + a / 3, VERSION_USER, 1));
                        if (b)
                            row_set(r, 2, value_integer(b), version_make(1, b == 1 ? VERSION_USER : VERSION_REPAIR, 2));
                        out.push_back(r);
                    }
                }
            }
        }
        return out;
    }
};

TEST_F(Rows, join_is_commutative_associative_and_idempotent_on_every_triple_of_a_small_domain)
{
    auto all = domain();
    ASSERT_GT(all.size(), 50u);
    for (row *a : all) {
        ASSERT_TRUE(row_equal(joined(a, a), a));
        for (row *b : all) {
            row *ab = joined(a, b);
            ASSERT_TRUE(row_equal(ab, joined(b, a)));
            for (row *c : all)
                ASSERT_TRUE(row_equal(joined(ab, c), joined(a, joined(b, c))));
        }
    }
}

TEST_F(Rows, a_group_is_one_register_that_is_never_mixed)
{
    schema_free(s);
    s = make_schema(3, {{1, 3}});
    t = &s->table[0];
    row *a = blank(), *b = blank();
    for (unsigned c = 1; c <= 3; c++) {
        row_set(a, c, value_integer(10 + c), version_make(0, VERSION_USER, 0));
        row_set(b, c, value_integer(20 + c), version_make(0, VERSION_USER, 0));
    }
    a->version[1] = version_make(5, VERSION_USER, 1);
    b->version[3] = version_make(6, VERSION_USER, 2);
    row_close_groups(a);
    row_close_groups(b);
    row_join(a, b);
    EXPECT_EQ(a->value[1].integer, 21);
    EXPECT_EQ(a->value[3].integer, 23);
}

TEST_F(Rows, equal_versions_of_a_group_are_decided_by_the_values_of_the_whole_group)
{
    schema_free(s);
    s = make_schema(2, {{1, 2}});
    t = &s->table[0];
    row *a = blank(), *b = blank();
    row_set(a, 1, value_integer(1), version_make(5, VERSION_REPAIR, 1));
    row_set(a, 2, value_integer(9), version_make(5, VERSION_REPAIR, 1));
    row_set(b, 1, value_integer(2), version_make(5, VERSION_REPAIR, 1));
    row_set(b, 2, value_integer(3), version_make(5, VERSION_REPAIR, 1));
    row *ab = joined(a, b), *ba = joined(b, a);
    EXPECT_TRUE(row_equal(ab, ba));
    EXPECT_EQ(ab->value[1].integer, 2);
    EXPECT_EQ(ab->value[2].integer, 3);
}

TEST_F(Rows, a_repair_beats_both_writes_that_made_it_necessary)
{
    for (int64_t h1 = 0; h1 < 4; h1++) {
        for (int64_t h2 = 0; h2 < 4; h2++) {
            for (int k1 = 0; k1 < 2; k1++) {
                for (int k2 = 0; k2 < 2; k2++) {
                    for (uint16_t s1 = 1; s1 < 4; s1++) {
                        for (uint16_t s2 = 1; s2 < 4; s2++) {
                            version a = version_make(h1, static_cast<version_kind>(k1), s1);
                            version b = version_make(h2, static_cast<version_kind>(k2), s2);
                            version r = version_repair(a, b);
                            EXPECT_GT(version_compare(r, a), 0);
                            EXPECT_GT(version_compare(r, b), 0);
                            EXPECT_FALSE(version_is_stable(r));
                        }
                    }
                }
            }
        }
    }
}

// ---- consolidation ----

class Logs : public Rows
{
  protected:
    // A change as capture writes it: the whole row, registers where it was changed.
    row *change(char op, int64_t hlc, int64_t a, int64_t b, unsigned mask, int64_t id)
    {
        row *r = blank(id);
        version v = version_make(hlc, VERSION_USER, 1), none = version_make(0, VERSION_USER, 0);
        r->life = op == 'D' ? LIFE_DEAD : LIFE_LIVE;
        r->life_version = v;
        row_set(r, 1, value_integer(a), op == 'I' || (op == 'U' && (mask & 1)) ? v : none);
        row_set(r, 2, value_integer(b), op == 'I' || (op == 'U' && (mask & 2)) ? v : none);
        return r;
    }
    // A log as one site makes it: each change follows from the row as it stands.
    std::vector<row *> random_log(std::mt19937_64 &random, unsigned length)
    {
        struct State {
            bool live = false;
            int64_t a = 0, b = 0;
        } state[3];
        std::vector<row *> out;
        int64_t clock = 10;
        while (out.size() < length) {
            int64_t id = static_cast<int64_t>(random() % 3);
            State &st = state[id];
            clock += static_cast<int64_t>(random() % 3); // may stand still
            if (!st.live) {
                st = {true, static_cast<int64_t>(random() % 9), static_cast<int64_t>(random() % 9)};
                out.push_back(change('I', clock, st.a, st.b, 3, id));
            } else if (random() % 3 == 0) {
                out.push_back(change('D', clock, st.a, st.b, 0, id));
                st.live = false;
            } else {
                unsigned mask = 1 + static_cast<unsigned>(random() % 3);
                st.a = mask & 1 ? static_cast<int64_t>(random() % 9) : st.a;
                st.b = mask & 2 ? static_cast<int64_t>(random() % 9) : st.b;
                out.push_back(change('U', clock, st.a, st.b, mask, id));
            }
        }
        return out;
    }
    // What a table shows after changes are applied one by one, or folded: "id:a,b;" of live rows.
    std::string apply(const std::vector<row *> &changes)
    {
        std::vector<row *> rows(3, nullptr);
        for (row *c : changes) {
            size_t id = static_cast<size_t>(c->value[0].integer);
            merge_input in{};
            in.incoming = c;
            in.local = rows[id];
            in.presence = rows[id] && rows[id]->life == LIFE_LIVE ? PRESENCE_PRESENT : PRESENCE_ABSENT;
            merge_result out{};
            merge_decide(&memory, &in, &out);
            rows[id] = row_clone(&memory, out.state);
        }
        std::string shown;
        for (size_t id = 0; id < 3; id++) {
            if (rows[id] && rows[id]->life == LIFE_LIVE)
                shown += std::to_string(id) + ":" + std::to_string(rows[id]->value[1].integer) + "," +
                         std::to_string(rows[id]->value[2].integer) + ";";
        }
        return shown;
    }
    std::vector<row *> folded(const std::vector<row *> &log)
    {
        fold f{};
        for (row *c : log)
            fold_add(&f, c);
        std::vector<row *> out;
        for (uint32_t i = 0; i < f.count; i++) {
            out.push_back(row_clone(&memory, f.entry[i].row));
            row_own(&memory, out.back());
        }
        fold_fini(&f);
        return out;
    }
};

TEST_F(Logs, claim_19_20_applying_the_consolidated_log_is_applying_the_log)
{
    std::mt19937_64 random(1);
    for (int run = 0; run < 3000; run++) {
        auto log = random_log(random, 1 + static_cast<unsigned>(random() % 12));
        // As one site's log with rising versions: the order of the log and of versions agree.
        for (size_t i = 0; i < log.size(); i++) {
            for (version *v : {&log[i]->life_version, &log[i]->version[1], &log[i]->version[2]}) {
                if (!version_is_stable(*v))
                    v->hlc = static_cast<int64_t>(100 + i);
            }
        }
        auto once = folded(log);
        ASSERT_EQ(apply(once), apply(log));
        size_t cut = random() % (log.size() + 1);
        std::vector<row *> first(log.begin(), log.begin() + static_cast<long>(cut)),
            rest(log.begin() + static_cast<long>(cut), log.end());
        auto parts = folded(first);
        parts.insert(parts.end(), rest.begin(), rest.end());
        auto twice = folded(parts);
        ASSERT_EQ(once.size(), twice.size());
        for (size_t i = 0; i < once.size(); i++)
            ASSERT_TRUE(row_equal(once[i], twice[i])) << "folding in parts is folding at once";
        ASSERT_LE(once.size(), 3u) << "one record for each row touched";
        if (run % 100 == 0)
            arena_reset(&memory);
    }
}

TEST_F(Logs, a_clock_that_stands_still_or_goes_back_does_not_reorder_one_sites_writes)
{
    auto out = folded({change('I', 50, 1, 1, 3, 1), change('U', 50, 2, 1, 1, 1), change('U', 20, 3, 1, 1, 1)});
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0]->value[1].integer, 3);
    EXPECT_GT(out[0]->version[1].hlc, 50);
}

TEST_F(Logs, an_insert_and_a_delete_leave_a_delete_not_nothing)
{
    auto out = folded({change('I', 1, 1, 1, 3, 1), change('D', 2, 1, 1, 0, 1)});
    ASSERT_EQ(out.size(), 1u);
    EXPECT_EQ(out[0]->life, LIFE_DEAD);
    EXPECT_TRUE(row_has_group(out[0], t->column[1].group)) << "with the columns it absorbed";
}

TEST_F(Logs, rows_and_versions_survive_their_encoding)
{
    std::mt19937_64 random(2);
    for (row *r : random_log(random, 200)) {
        buffer bytes{};
        row_encode(&bytes, r);
        row *back = row_decode(&memory, t, r->key, bytes.data, bytes.len);
        ASSERT_TRUE(back);
        EXPECT_TRUE(row_equal(back, r));
        for (size_t len = 0; len < bytes.len; len++)
            EXPECT_FALSE(row_decode(&memory, t, r->key, bytes.data, len)) << "cut at " << len;
        row_own(&memory, back);
        buffer_fini(&bytes);
    }
}

} // namespace
