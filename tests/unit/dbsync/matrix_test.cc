// SPDX-License-Identifier: Apache-2.0
// The conflict matrix on SQLite; the same rows run on PostgreSQL in the laboratory tests.
#include <gtest/gtest.h>

#include <sstream>

#include "tests/support/dbsync_matrix.h"
#include "tests/support/dbsync_site.h"

using namespace dbsync_test;

namespace
{

std::string plain(Site &site, const std::string &query)
{
    std::string out;
    sqlite3_stmt *s = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(site.app, query.c_str(), -1, &s, nullptr), SQLITE_OK) << sqlite3_errmsg(site.app);
    while (sqlite3_step(s) == SQLITE_ROW) {
        for (int c = 0; c < sqlite3_column_count(s); c++) {
            const auto *text = reinterpret_cast<const char *>(sqlite3_column_text(s, c));
            out += (c ? "|" : "") + std::string(text ? text : "NULL");
        }
        out += "\n";
    }
    sqlite3_finalize(s);
    return out;
}

void prepare(Site &site, const matrix_cell &cell, unsigned peer)
{
    ASSERT_EQ(site.d->ops->peer_add(site.d, static_cast<uint16_t>(peer), "peer", &site.why), 0);
    site.run("PRAGMA foreign_keys = ON");
    site.run(cell.tables);
    std::istringstream names(cell.add);
    for (std::string name; std::getline(names, name, ',');)
        site.add(name, static_cast<granularity>(cell.granularity), static_cast<unique_policy>(cell.policy));
}

class Matrix : public testing::TestWithParam<std::tuple<size_t, bool>>
{
};

TEST_P(Matrix, both_sites_hold_what_the_cell_says)
{
    const matrix_cell &cell = matrix_cells[std::get<0>(GetParam())];
    SCOPED_TRACE(std::string(cell.name) + ": " + cell.why);
    Site a{1, "a"}, b{2, "b"};
    prepare(a, cell, 2);
    prepare(b, cell, 1);
    clock_of(1) = clock_of(2) = 1700000000000000;
    a.run(cell.setup);
    std::vector<Site *> order = {&a, &b};
    settle(order);
    clock_of(1) += cell.later == LATER_A ? 2000000 : 1000000;
    clock_of(2) += cell.later == LATER_A ? 1000000 : 2000000;
    a.run(cell.a);
    b.run(cell.b);
    clock_of(1) = clock_of(2) = 1700000100000000;
    if (std::get<1>(GetParam()))
        std::swap(order[0], order[1]);
    settle(order);
    EXPECT_EQ(plain(a, cell.query), cell.want) << "site A";
    EXPECT_EQ(plain(b, cell.query), cell.want) << "site B";
    if (cell.conflicts >= 0) {
        int64_t listed =
            a.number_of("SELECT count(*) FROM dbsync_conflict") + b.number_of("SELECT count(*) FROM dbsync_conflict");
        EXPECT_EQ(listed > 0, cell.conflicts > 0);
    }
    EXPECT_EQ(a.number_of("PRAGMA foreign_key_check"), -1);
    EXPECT_EQ(b.number_of("PRAGMA foreign_key_check"), -1);
}

INSTANTIATE_TEST_SUITE_P(Cells, Matrix,
                         testing::Combine(testing::Range(size_t{0}, std::size(matrix_cells)), testing::Bool()),
                         [](const auto &cell) {
                             return std::string(matrix_cells[std::get<0>(cell.param)].name) +
                                    (std::get<1>(cell.param) ? "_b_first" : "_a_first");
                         });

} // namespace
