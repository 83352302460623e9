// SPDX-License-Identifier: Apache-2.0
// One site of a test on a real PostgreSQL: an empty database in the cluster that SIGNPOST_PG_A or _B names, an
// application's connection and a door.
#pragma once

#include <gtest/gtest.h>
#include <postgresql/libpq-fe.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

extern "C" {
#include "dbsync/door.h"
}

namespace pg_test
{

inline const char *cluster_of(unsigned number)
{
    return std::getenv(number % 2 ? "SIGNPOST_PG_A" : "SIGNPOST_PG_B");
}

class Site
{
  public:
    explicit Site(unsigned number_) : number(number_)
    {
        std::string base = cluster_of(number), database = "site" + std::to_string(number);
        conninfo = base.substr(0, base.find("dbname=")) + "dbname=" + database;
        PGconn *admin = PQconnectdb(base.c_str());
        PQclear(PQexec(admin, ("CREATE DATABASE " + database).c_str()));
        PQfinish(admin);
        app = PQconnectdb(conninfo.c_str());
        EXPECT_EQ(PQstatus(app), CONNECTION_OK) << PQerrorMessage(app);
        run("SET client_min_messages = error; DROP SCHEMA IF EXISTS dbsync CASCADE; DROP SCHEMA public CASCADE; CREATE "
            "SCHEMA public");
        open();
        EXPECT_EQ(d->ops->init(d, static_cast<uint16_t>(number), "site", &why), 0) << why.text;
    }
    ~Site()
    {
        close();
        PQfinish(app);
    }
    Site(const Site &) = delete;

    void open()
    {
        if (!d) {
            ASSERT_EQ(door_open(conninfo.c_str(), &d, &why), 0) << why.text;
        }
    }
    void close()
    {
        if (d)
            d->ops->close(d);
        d = nullptr;
    }

    // The application: true when all went well.
    bool try_run(const std::string &sql, PGconn *on = nullptr)
    {
        PGresult *r = PQexec(on ? on : app, sql.c_str());
        bool ok = PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK;
        error = PQresultErrorMessage(r);
        PQclear(r);
        return ok;
    }
    void run(const std::string &sql, PGconn *on = nullptr)
    {
        ASSERT_TRUE(sql.empty() || try_run(sql, on)) << sql << ": " << error;
    }
    std::string rows(const std::string &query)
    {
        std::string out;
        PGresult *r = PQexec(app, query.c_str());
        EXPECT_EQ(PQresultStatus(r), PGRES_TUPLES_OK) << query << PQresultErrorMessage(r);
        for (int i = 0; i < PQntuples(r); i++) {
            for (int c = 0; c < PQnfields(r); c++)
                out += std::string(c ? "|" : "") + (PQgetisnull(r, i, c) ? "NULL" : PQgetvalue(r, i, c));
            out += "\n";
        }
        PQclear(r);
        return out;
    }
    std::string table(const std::string &which)
    {
        return rows("SELECT * FROM " + which + " ORDER BY 1");
    }
    long number_of(const std::string &query)
    {
        return std::atol(rows(query).c_str());
    }
    PGconn *connection()
    {
        return PQconnectdb(conninfo.c_str());
    }

    void add(const std::string &table, granularity g = GRANULARITY_COLUMN, unique_policy u = UNIQUE_PARK)
    {
        door_table_options options{g, u};
        ASSERT_EQ(d->ops->add_table(d, table.c_str(), &options, &why), 0) << why.text;
    }
    void peer(unsigned site)
    {
        ASSERT_EQ(d->ops->peer_add(d, static_cast<uint16_t>(site), "peer", &why), 0) << why.text;
    }
    uint64_t applied_of(unsigned site)
    {
        door_peer peers[8];
        unsigned count = 0;
        EXPECT_EQ(d->ops->peers(d, peers, 8, &count, &why), 0) << why.text;
        for (unsigned i = 0; i < count; i++) {
            if (peers[i].site == site)
                return peers[i].applied;
        }
        return 0;
    }
    static int collect_bytes(void *context, const void *bytes, size_t len)
    {
        auto *out = static_cast<std::vector<uint8_t> *>(context);
        const auto *p = static_cast<const uint8_t *>(bytes);
        out->insert(out->end(), p, p + len);
        return 0;
    }
    // The next batch for a peer behind `after`; empty: nothing to send.
    std::vector<uint8_t> read(unsigned to, uint64_t after, door_batch *info = nullptr, unsigned row_limit = 0,
                              uint64_t byte_limit = 0)
    {
        std::vector<uint8_t> batch;
        door_read_request request{};
        request.peer = static_cast<uint16_t>(to);
        request.after = after;
        request.row_limit = row_limit;
        request.byte_limit = byte_limit;
        request.boot_rows = 100;
        door_batch ignored;
        int result = d->ops->read_batch(d, &request, collect_bytes, &batch, info ? info : &ignored, &why);
        EXPECT_EQ(result, 0) << why.text;
        return batch;
    }
    apply_result apply(unsigned from, const std::vector<uint8_t> &batch, int want = 0)
    {
        arena memory{};
        apply_result result{};
        int status = d->ops->apply(d, static_cast<uint16_t>(from), batch.data(), batch.size(), &memory, &result, &why);
        EXPECT_EQ(status, want) << why.text;
        result.request = nullptr;
        arena_fini(&memory);
        return result;
    }

    unsigned number;
    std::string conninfo, error;
    PGconn *app = nullptr;
    door *d = nullptr;
    problem why{};
};

struct settled {
    unsigned moved;
    uint64_t digests, differ, busy, parked, rows;
};

// Everything each has for the other, until both are silent.
inline settled settle(const std::vector<Site *> &sites, unsigned row_limit = 0)
{
    settled s{};
    for (bool again = true; again && s.moved < 2000;) {
        again = false;
        for (Site *from : sites) {
            for (Site *to : sites) {
                door_batch info{};
                if (from == to)
                    continue;
                auto batch = from->read(to->number, to->applied_of(from->number), &info, row_limit);
                if (info.number == 0)
                    continue;
                apply_result r = to->apply(from->number, batch);
                EXPECT_EQ(r.verdict, APPLY_DONE) << apply_verdict_name(r.verdict);
                if (r.verdict != APPLY_DONE)
                    return s;
                from->d->ops->acked(from->d, static_cast<uint16_t>(to->number), r.applied, &from->why);
                s.digests += r.digests;
                s.differ += r.digests_differ;
                s.busy += r.digests_busy;
                s.parked += r.parked;
                s.rows += r.rows;
                again = true;
                s.moved++;
            }
        }
    }
    EXPECT_LT(s.moved, 2000u) << "the sites do not fall silent";
    return s;
}

} // namespace pg_test
