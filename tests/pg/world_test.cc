// SPDX-License-Identifier: Apache-2.0
// The simulator's days (tests/support/dbsync_world.h) on two PostgreSQL clusters whose clocks the test sets: each reads
// its time through libfaketime from a file that SIGNPOST_PG_CLOCK_A or _B names. SIGNPOST_PG_DAYS: how many.
#include <atomic>
#include <cstdio>
#include <sys/time.h>
#include <thread>

#include "tests/pg/pg_site.h"
#include "tests/support/dbsync_world.h"

using namespace dbsync_test;

namespace
{

class WorldSite : public pg_test::Site
{
  public:
    explicit WorldSite(unsigned number_) : Site(number_), name("site" + std::to_string(number_)) {}
    std::string table(const std::string &which)
    {
        return rows("SELECT * FROM " + which + " ORDER BY 1, 2");
    }
    std::string name;
};

struct Postgres {
    using Site = WorldSite;
    static constexpr unsigned SITES_MAX = 2;
    static constexpr const char *BEGIN = "BEGIN", *OR_REPLACE = "";
    static constexpr const char *REMOTE = "SELECT count(*) FROM dbsync.remote",
                                *PARKED = "SELECT tbl, key, reason, text FROM dbsync.parked WHERE reason <> 0",
                                *APPLIED = "SELECT applied FROM dbsync.peer WHERE site = ",
                                *ORPHANS = "SELECT (SELECT count(*) FROM p WHERE up IS NOT NULL AND up NOT IN (SELECT "
                                           "id FROM p)) + (SELECT count(*) FROM c WHERE p IS NOT NULL AND p NOT IN "
                                           "(SELECT id FROM p))";
    inline static const std::string CHANGE_TABLE = "SELECT count(*) FROM dbsync.c_";

    static std::unique_ptr<Site> make(unsigned number)
    {
        return std::make_unique<Site>(number);
    }

    // As a distance to the real time. The servers read it with each look at their clock.
    static void set_clock(Site &s, int64_t us)
    {
        timeval real;
        gettimeofday(&real, nullptr);
        std::string path = getenv(s.number % 2 ? "SIGNPOST_PG_CLOCK_A" : "SIGNPOST_PG_CLOCK_B"), fresh = path + ".new";
        FILE *f = fopen(fresh.c_str(), "w");
        ASSERT_NE(f, nullptr) << fresh;
        fprintf(f, "%+lld\n", static_cast<long long>(us / SECOND - real.tv_sec));
        fclose(f);
        rename(fresh.c_str(), path.c_str());
    }
    static void settle(const std::vector<Site *> &sites)
    {
        pg_test::settle({sites.begin(), sites.end()});
    }
    static bool is_excused(int result)
    {
        return result == -ENOTCONN;
    }
    static bool accepts(Site &s, const std::string &sql)
    {
        s.run("SAVEPOINT s");
        bool accepted = s.try_run(sql);
        s.run(accepted ? "RELEASE s" : "ROLLBACK TO s");
        return accepted;
    }
    static void before_poll(Site &, Random &) {}

    // The server ends the door's session somewhere in the work.
    template <class Work> static bool may_die(Site &s, Random &random, Work work)
    {
        unsigned after_us = random.below(20000);
        std::atomic<bool> was_there{false};
        std::thread killer([&] {
            PGconn *admin = s.connection();
            std::this_thread::sleep_for(std::chrono::microseconds(after_us));
            PGresult *r = PQexec(admin, "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
                                        "application_name = 'signpost-dbsync' AND datname = current_database()");
            was_there = PQntuples(r) == 1 && std::string(PQgetvalue(r, 0, 0)) != "0";
            PQclear(r);
            PQfinish(admin);
        });
        work();
        killer.join();
        s.close();
        s.open();
        return !was_there;
    }

    static std::vector<Change> changes(Site &s, int64_t after)
    {
        std::vector<Change> out;
        PGresult *r = PQexec(s.app, ("SELECT seq, hlc, mask0, v1, op, quote_nullable(v2), quote_nullable(v3), "
                                     "quote_nullable(v4) FROM dbsync.c_1 WHERE vers IS NULL AND seq > " +
                                     std::to_string(after) + " ORDER BY seq")
                                        .c_str());
        EXPECT_EQ(PQresultStatus(r), PGRES_TUPLES_OK) << PQresultErrorMessage(r);
        for (int i = 0; i < PQntuples(r); i++) {
            auto number = [&](int column) { return strtoll(PQgetvalue(r, i, column), nullptr, 10); };
            auto text = [&](int column) { return std::string(PQgetvalue(r, i, column)); };
            out.push_back({number(0), number(1), number(2), number(3), text(4)[0], {text(5), text(6), text(7)}});
        }
        PQclear(r);
        return out;
    }
    static std::string held(Site &s)
    {
        return s.rows("SELECT id || '|' || quote_nullable(a) || '|' || quote_nullable(b) || '|' || quote_nullable(c) "
                      "FROM t ORDER BY id");
    }

    static std::string tables(const std::string &on_delete)
    {
        return "CREATE TABLE t(id integer PRIMARY KEY, a text, b text, c text);"
               "CREATE TABLE u(id integer PRIMARY KEY, k text, n integer, v text, UNIQUE(k, n));"
               "CREATE UNIQUE INDEX u_v ON u(v) WHERE v <> 'free';"
               "CREATE TABLE p(id integer PRIMARY KEY, up integer REFERENCES p(id) ON DELETE CASCADE, v text);"
               "CREATE TABLE c(id integer PRIMARY KEY, p integer DEFAULT 1 REFERENCES p(id) ON DELETE " +
               on_delete + ", v text)";
    }
    static std::string value(unsigned kind, unsigned n)
    {
        static const char *const form[] = {"NULL", "'%u'", "'%u.5'", "repeat(md5('%u'), 100)", "'v%u'"};
        char out[64];
        snprintf(out, sizeof out, form[kind], n);
        return out;
    }
    static std::string put_t(const std::string &id, const std::string &a, const std::string &b, const std::string &c)
    {
        return "INSERT INTO t VALUES(" + id + ", " + a + ", " + b + ", " + c +
               ") ON CONFLICT (id) DO UPDATE SET a = excluded.a, b = excluded.b, c = excluded.c";
    }
    static std::string put_u(bool replaces, const std::string &id, const std::string &k, const std::string &n,
                             const std::string &v)
    {
        return "INSERT INTO u VALUES(" + id + ", 'k" + k + "', " + n + ", '" + v + "')" +
               (replaces ? " ON CONFLICT (id) DO UPDATE SET k = excluded.k, n = excluded.n, v = excluded.v" : "");
    }
};

TEST(PgWorld, the_same_days_end_equal_on_two_clusters_whose_clocks_go_wrong)
{
    const char *days = getenv("SIGNPOST_PG_DAYS");
    if (!days)
        GTEST_SKIP() << "SIGNPOST_PG_DAYS is not set; tests/lab sets it, with clusters whose clocks can be set";
    run_seeds<Postgres>(strtoull(days, nullptr, 10));
}

} // namespace
