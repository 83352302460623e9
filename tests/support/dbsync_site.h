// SPDX-License-Identifier: Apache-2.0
// One site of a test: a SQLite database in memory that an application writes and a door reads and writes.
//
// The databases live in SQLite's "memdb" file system, so that application and door have connections of their own, as
// they have to a file, or in files. Both ask a wrapper of the file system for the time: each site has its own clock,
// which the test sets.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <vector>

extern "C" {
#include "dbsync/door.h"
#include "dbsync/door_sqlite.h"
}

namespace dbsync_test
{

// A number of a site's own clock: microseconds since 1970.
int64_t &clock_of(unsigned site);

enum storage { IN_MEMORY, ON_DISK };

class Site
{
  public:
    // `database`: a prefix of its name in memory, or a path.
    Site(unsigned number, const std::string &database, storage where = IN_MEMORY);
    ~Site();
    Site(const Site &) = delete;

    // The application.
    void run(const std::string &sql);
    int try_run(const std::string &sql);
    // Rows as lines, columns joined by "|", quoted as SQL literals; NULL as "NULL".
    std::string rows(const std::string &query);
    std::string table(const std::string &which)
    {
        return rows("SELECT * FROM " + which + " ORDER BY 1, 2");
    }
    int64_t number_of(const std::string &query);

    void add(const std::string &table, granularity g = GRANULARITY_COLUMN, unique_policy u = UNIQUE_PARK);
    void open();
    void close();

    // The next batch for a peer behind `after`; empty: nothing to send.
    std::vector<uint8_t> read(unsigned peer, uint64_t after, door_batch *info = nullptr);
    apply_result apply(unsigned peer, const std::vector<uint8_t> &batch);

    unsigned number;
    std::string name, url;
    sqlite3 *app = nullptr;
    door *d = nullptr;
    problem why{};
};

// Two sites that know each other, both at the same moment; no tables yet.
class SitePair : public testing::Test
{
  protected:
    Site a{1, "a"}, b{2, "b"};
    void both(const std::string &sql)
    {
        a.run(sql);
        b.run(sql);
    }
    void SetUp() override
    {
        clock_of(1) = clock_of(2) = 1700000000000000;
        ASSERT_EQ(a.d->ops->peer_add(a.d, 2, "b", &a.why), 0) << a.why.text;
        ASSERT_EQ(b.d->ops->peer_add(b.d, 1, "a", &b.why), 0) << b.why.text;
    }
};

// Everything each has for the other, until both are silent. Number of batches moved; fails the test beyond a bound.
unsigned settle(const std::vector<Site *> &sites);

} // namespace dbsync_test
