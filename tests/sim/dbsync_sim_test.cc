// SPDX-License-Identifier: Apache-2.0
// Days of two to five sites (tests/support/dbsync_world.h) with real SQLite databases, real triggers and the real core,
// under simulated clocks, links and crashes: in memory, and on files.
//
// SIGNPOST_SIM_RUNS (1000; a fifth of it is run here) runs with seeds from 1 on; SIGNPOST_SIM_SEED=N runs one seed
// alone and tells what happens. SIGNPOST_SIM_FILES (2) seeds run on files.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <unistd.h>

#include "tests/support/dbsync_site.h"
#include "tests/support/dbsync_world.h"

using namespace dbsync_test;

namespace
{

struct Memory {
    using Site = dbsync_test::Site;
    static constexpr unsigned SITES_MAX = 5;
    static constexpr const char *BEGIN = "BEGIN IMMEDIATE", *OR_REPLACE = "OR REPLACE ";
    static constexpr const char *REMOTE = "SELECT count(*) FROM dbsync_remote",
                                *PARKED = "SELECT tbl, pk, reason, text FROM dbsync_parked WHERE reason <> 0",
                                *ORPHANS = "SELECT (SELECT count(*) FROM pragma_foreign_key_check) + (SELECT count(*) "
                                           "FROM pragma_integrity_check WHERE integrity_check <> 'ok')",
                                *APPLIED = "SELECT applied FROM dbsync_peer WHERE site = ";
    inline static const std::string CHANGE_TABLE = "SELECT count(*) FROM dbsync_c_";

    static std::unique_ptr<Site> make(unsigned number)
    {
        return std::make_unique<Site>(number, "sim");
    }
    static void set_clock(Site &s, int64_t us)
    {
        clock_of(s.number) = us;
    }
    static void settle(const std::vector<Site *> &sites)
    {
        dbsync_test::settle(sites);
    }
    static bool is_excused(int)
    {
        return false;
    }
    static bool accepts(Site &s, const std::string &sql)
    {
        return s.try_run(sql) == SQLITE_OK;
    }
    static void before_poll(Site &s, Random &random)
    {
        door_sqlite_note_every(s.d, 1 + random.below(5));
    }

    static int interrupt(void *left)
    {
        return --*static_cast<int *>(left) <= 0;
    }
    // Killed at any instruction of SQLite's machine.
    template <class Work> static bool may_die(Site &s, Random &random, Work work)
    {
        int left = static_cast<int>(random.below(400));
        sqlite3 *db = static_cast<sqlite3 *>(door_sqlite_handle(s.d));
        sqlite3_progress_handler(db, 25, interrupt, &left);
        work();
        sqlite3_progress_handler(db, 0, nullptr, nullptr);
        if (left > 0)
            return true;
        s.close();
        s.open();
        return false;
    }

    static std::vector<Change> changes(Site &s, int64_t after)
    {
        std::vector<Change> out;
        sqlite3_stmt *q = nullptr;
        EXPECT_EQ(
            sqlite3_prepare_v2(s.app,
                               "SELECT seq, op, hlc, mask0, v_id, quote(v_a), quote(v_b), quote(v_c) FROM dbsync_c_1 "
                               "WHERE seq > ?1 AND vers IS NULL ORDER BY seq",
                               -1, &q, nullptr),
            SQLITE_OK);
        sqlite3_bind_int64(q, 1, after);
        auto text = [&](int column) { return reinterpret_cast<const char *>(sqlite3_column_text(q, column)); };
        while (sqlite3_step(q) == SQLITE_ROW) {
            out.push_back({sqlite3_column_int64(q, 0),
                           sqlite3_column_int64(q, 2),
                           sqlite3_column_int64(q, 3),
                           sqlite3_column_int64(q, 4),
                           text(1)[0],
                           {text(5), text(6), text(7)}});
        }
        sqlite3_finalize(q);
        return out;
    }
    // Table t as the oracle writes it.
    static std::string held(Site &s)
    {
        std::string out;
        sqlite3_stmt *q = nullptr;
        EXPECT_EQ(sqlite3_prepare_v2(
                      s.app, "SELECT id || '|' || quote(a) || '|' || quote(b) || '|' || quote(c) FROM t ORDER BY id",
                      -1, &q, nullptr),
                  SQLITE_OK);
        while (sqlite3_step(q) == SQLITE_ROW)
            out += std::string(reinterpret_cast<const char *>(sqlite3_column_text(q, 0))) + "\n";
        sqlite3_finalize(q);
        return out;
    }

    static std::string tables(const std::string &on_delete)
    {
        return "PRAGMA foreign_keys = ON; CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c);"
               "CREATE TABLE u(id INTEGER PRIMARY KEY, k TEXT, n INTEGER, v TEXT, UNIQUE(k, n));"
               "CREATE UNIQUE INDEX u_v ON u(v) WHERE v <> 'free';"
               "CREATE TABLE p(id INTEGER PRIMARY KEY, up INTEGER REFERENCES p(id) ON DELETE CASCADE, v TEXT);"
               "CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER DEFAULT 1 REFERENCES p(id) ON DELETE " +
               on_delete + ", v TEXT)";
    }
    static std::string value(unsigned kind, unsigned n)
    {
        switch (kind) {
        case 0:
            return "NULL";
        case 1:
            return std::to_string(n);
        case 2:
            return std::to_string(n) + ".5";
        case 3:
            return std::string("x'") + (n ? "00ff" : "") + "'";
        default:
            return "'v" + std::to_string(n) + "'";
        }
    }
    static std::string put_t(const std::string &id, const std::string &a, const std::string &b, const std::string &c)
    {
        return "INSERT OR REPLACE INTO t VALUES(" + id + ", " + a + ", " + b + ", " + c + ")";
    }
    static std::string put_u(bool replaces, const std::string &id, const std::string &k, const std::string &n,
                             const std::string &v)
    {
        return std::string("INSERT ") + (replaces ? OR_REPLACE : "") + "INTO u VALUES(" + id + ", 'k" + k + "', " + n +
               ", '" + v + "')";
    }
};

TEST(DbsyncSim, sites_end_equal_whatever_happens_to_clocks_links_and_processes)
{
    const char *many = getenv("SIGNPOST_SIM_RUNS");
    run_seeds<Memory>((many ? strtoull(many, nullptr, 10) : 1000) / 5);
}

std::string folder;

// Databases in files, as operators have them.
struct Files : Memory {
    static constexpr unsigned SITES_MAX = 2;
    static std::unique_ptr<Site> make(unsigned number)
    {
        std::string path = folder + "/site" + std::to_string(number);
        for (const char *end : {"", "-wal", "-shm"})
            std::filesystem::remove(path + end);
        auto site = std::make_unique<Site>(number, path, ON_DISK);
        site->rows("PRAGMA journal_mode = WAL");
        return site;
    }
};

TEST(DbsyncSim, the_same_days_end_equal_on_two_files)
{
    const char *runs = getenv("SIGNPOST_SIM_FILES");
    char name[] = "/tmp/spsimXXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder = name;
    run_seeds<Files>(runs ? strtoull(runs, nullptr, 10) : 2);
    std::filesystem::remove_all(folder);
}

} // namespace
