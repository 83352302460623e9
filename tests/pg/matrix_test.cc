// SPDX-License-Identifier: Apache-2.0
// The conflict matrix, every cell, on two PostgreSQL databases.
#include <sstream>

#include "tests/pg/pg_site.h"
#include "tests/support/dbsync_matrix.h"

using namespace pg_test;

namespace
{

void prepare(Site &site, const matrix_cell &cell, unsigned peer)
{
    site.peer(peer);
    site.run(cell.tables);
    std::istringstream names(cell.add);
    for (std::string name; std::getline(names, name, ',');)
        site.add(name, static_cast<granularity>(cell.granularity), static_cast<unique_policy>(cell.policy));
}

class PgMatrix : public testing::TestWithParam<std::tuple<size_t, bool>>
{
};

TEST_P(PgMatrix, both_sites_hold_what_the_cell_says)
{
    const matrix_cell &cell = matrix_cells[std::get<0>(GetParam())];
    SCOPED_TRACE(std::string(cell.name) + ": " + cell.why);
    Site a{1}, b{2};
    prepare(a, cell, 2);
    prepare(b, cell, 1);
    a.run(cell.setup);
    std::vector<Site *> order = {&a, &b};
    settle(order);
    // Both clusters have one clock: who writes later is later.
    if (cell.later == LATER_A) {
        b.run(cell.b);
        a.run(cell.a);
    } else {
        a.run(cell.a);
        b.run(cell.b);
    }
    if (std::get<1>(GetParam()))
        std::swap(order[0], order[1]);
    settle(order);
    EXPECT_EQ(a.rows(cell.query), cell.want) << "site A";
    EXPECT_EQ(b.rows(cell.query), cell.want) << "site B";
    if (cell.conflicts >= 0) {
        long listed =
            a.number_of("SELECT count(*) FROM dbsync.conflict") + b.number_of("SELECT count(*) FROM dbsync.conflict");
        EXPECT_EQ(listed > 0, cell.conflicts > 0);
    }
    for (Site *site : order) {
        bool more = false;
        EXPECT_EQ(site->d->ops->collect(site->d, &more, &site->why), 0) << site->why.text;
        door_counts counts{};
        EXPECT_EQ(site->d->ops->counts(site->d, &counts, &site->why), 0) << site->why.text;
        EXPECT_EQ(counts.change_rows, 0u) << "an idle database has empty change tables";
    }
}

INSTANTIATE_TEST_SUITE_P(Cells, PgMatrix,
                         testing::Combine(testing::Range(size_t{0}, std::size(matrix_cells)), testing::Bool()),
                         [](const auto &cell) {
                             return std::string(matrix_cells[std::get<0>(cell.param)].name) +
                                    (std::get<1>(cell.param) ? "_b_first" : "_a_first");
                         });

} // namespace
