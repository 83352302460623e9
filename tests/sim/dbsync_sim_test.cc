// SPDX-License-Identifier: Apache-2.0
// Two to five sites with real SQLite databases in memory, real triggers and the real core, under simulated clocks,
// links and crashes: a day of writes, partitions, skew of an hour either way, clocks that stand still or step back,
// batches lost, doubled and late, applies and cuts that die at any instruction, collection and compaction at any time.
//
// SIGNPOST_SIM_RUNS (1000; a fifth of it is run here) runs with seeds from 1 on; SIGNPOST_SIM_SEED=N runs one seed
// alone and tells what happens. At the end all links work and clocks agree, and then must hold:
//   - all sites hold the same rows (P1), and of the table without constraints exactly those that the latest version of
//   each
//     register says (an oracle that reads the captured changes as they are committed): no write lost or doubled
//   - unique keys and references hold
//   - a write that sees a value beats it, whatever the clocks did (P7)
//   - the links fall silent (P9), and the change tables are empty after collection (P11)
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <random>

#include "tests/support/dbsync_site.h"

using namespace dbsync_test;

namespace
{

constexpr int64_t SECOND = 1000000, HOUR = 3600 * SECOND, START = 1700000000 * SECOND;

struct Random {
    std::mt19937_64 generator;
    explicit Random(uint64_t seed) : generator(seed) {}
    unsigned below(unsigned limit)
    {
        return static_cast<unsigned>(generator() % limit);
    }
    bool chance(unsigned percent)
    {
        return below(100) < percent;
    }
    int64_t between(int64_t low, int64_t high)
    {
        return low + static_cast<int64_t>(generator() % static_cast<uint64_t>(high - low + 1));
    }
};

// The latest version of each register of table t, from the captured changes of all sites.
class Oracle
{
  public:
    void take(Site &site)
    {
        sqlite3_stmt *s = nullptr;
        ASSERT_EQ(
            sqlite3_prepare_v2(site.app,
                               "SELECT seq, op, hlc, mask0, v_id, quote(v_a), quote(v_b), quote(v_c) FROM dbsync_c_1 "
                               "WHERE seq > ?1 AND vers IS NULL ORDER BY seq",
                               -1, &s, nullptr),
            SQLITE_OK);
        sqlite3_bind_int64(s, 1, last[site.number]);
        while (sqlite3_step(s) == SQLITE_ROW) {
            last[site.number] = sqlite3_column_int64(s, 0);
            char op = reinterpret_cast<const char *>(sqlite3_column_text(s, 1))[0];
            std::pair<int64_t, unsigned> version{sqlite3_column_int64(s, 2), site.number};
            int64_t mask = sqlite3_column_int64(s, 3);
            Row &row = rows[sqlite3_column_int64(s, 4)];
            if (row.life_version < version) {
                row.life_version = version;
                row.is_live = op != 'D';
            }
            for (int c = 0; c < 3; c++) {
                if (op != 'D' && (op == 'I' || by_row || (mask >> (c + 1) & 1)) && row.version[c] < version) {
                    row.version[c] = version;
                    row.value[c] = reinterpret_cast<const char *>(sqlite3_column_text(s, 5 + c));
                }
            }
        }
        sqlite3_finalize(s);
    }
    bool by_row = false; // every write sets all columns
    std::string table() const
    {
        std::string out;
        for (const auto &[id, row] : rows) {
            if (row.is_live)
                out += std::to_string(id) + "|" + row.value[0] + "|" + row.value[1] + "|" + row.value[2] + "\n";
        }
        return out;
    }

  private:
    struct Row {
        bool is_live = false;
        std::pair<int64_t, unsigned> life_version, version[3];
        std::string value[3];
    };
    std::map<int64_t, Row> rows;
    int64_t last[16] = {};
};

struct Packet {
    unsigned from, to;
    std::vector<uint8_t> bytes;
};

struct Options {
    unsigned sites, events;
    granularity by;
    unique_policy policy;
    const char *on_delete;
};

class World
{
  public:
    World(uint64_t seed, bool loud_) : random(seed), loud(loud_)
    {
        static const char *const actions[] = {"NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"};
        options = {random.chance(50) ? 2 : 2 + random.below(4), 60 + random.below(120),
                   random.chance(80) ? GRANULARITY_COLUMN : GRANULARITY_ROW,
                   static_cast<unique_policy>(random.below(3)), actions[random.below(5)]};
        oracle.by_row = options.by == GRANULARITY_ROW;
        for (unsigned i = 1; i <= options.sites; i++) {
            clock_of(i) = START + random.between(-HOUR, HOUR);
            drift.push_back(0);
            site.push_back(std::make_unique<Site>(i, "sim"));
            prepare(*site.back());
        }
    }

    void run()
    {
        for (unsigned i = 0; i < options.events && !testing::Test::HasFailure(); i++)
            event();
    }

    // All links work, clocks agree, and everybody talks until silence.
    void heal()
    {
        int64_t latest = START;
        for (auto &s : site)
            latest = std::max(latest, clock_of(s->number));
        for (auto &s : site) {
            clock_of(s->number) = latest + 2 * HOUR;
            s->open();
        }
        settle(all());
    }

    std::vector<Site *> all()
    {
        std::vector<Site *> out;
        for (auto &s : site)
            out.push_back(s.get());
        return out;
    }

    void check()
    {
        static const char *const tables[] = {"t", "u", "p", "c"};
        for (const char *table : tables) {
            for (size_t i = 1; i < site.size(); i++)
                EXPECT_EQ(site[0]->table(table), site[i]->table(table))
                    << "table " << table << " of sites 1 and " << i + 1;
        }
        EXPECT_EQ(
            site[0]->rows("SELECT id || '|' || quote(a) || '|' || quote(b) || '|' || quote(c) FROM t ORDER BY id"),
            quoted(oracle.table()));
        for (auto &s : site) {
            EXPECT_EQ(s->number_of("PRAGMA foreign_key_check"), -1) << s->name << " has orphans";
            EXPECT_EQ(s->rows("PRAGMA integrity_check"), "'ok'\n");
            EXPECT_EQ(s->rows("SELECT tbl, pk, reason, text FROM dbsync_parked WHERE reason <> 0"), "") << s->name;
        }
    }

    void check_last_word()
    {
        Site &s = *site[random.below(static_cast<unsigned>(site.size()))];
        clock_of(s.number) -= 10 * HOUR;
        s.run("UPDATE t SET a = 'last word'");
        clock_of(s.number) += 10 * HOUR;
        settle(all());
        for (auto &other : site)
            EXPECT_EQ(other->number_of("SELECT count(*) FROM t WHERE a IS NOT 'last word'"), 0) << other->name;
    }

    void check_empty()
    {
        // What was said last has to be heard to be said: a few empty batches.
        for (auto &s : site)
            collect(*s);
        for (auto &s : site) {
            for (int i = 1; i <= 4; i++)
                EXPECT_EQ(s->number_of("SELECT count(*) FROM dbsync_c_" + std::to_string(i)), 0)
                    << s->name << " table " << i;
            EXPECT_EQ(s->number_of("SELECT count(*) FROM dbsync_remote"), 0) << s->name;
        }
    }

  private:
    static std::string quoted(const std::string &lines)
    {
        std::string out;
        size_t start = 0;
        for (size_t end; (end = lines.find('\n', start)) != std::string::npos; start = end + 1)
            out += "'" + lines.substr(start, end - start) + "'\n";
        return out;
    }

    void tell(const std::string &what)
    {
        if (loud)
            printf("%s\n", what.c_str());
    }

    void prepare(Site &s)
    {
        for (unsigned i = 1; i <= options.sites; i++) {
            if (i == s.number)
                continue;
            EXPECT_EQ(s.d->ops->peer_add(s.d, static_cast<uint16_t>(i), "peer", &s.why), 0) << s.why.text;
        }
        s.run("PRAGMA foreign_keys = ON; CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c);"
              "CREATE TABLE u(id INTEGER PRIMARY KEY, k TEXT, n INTEGER, v TEXT, UNIQUE(k, n));"
              "CREATE UNIQUE INDEX u_v ON u(v) WHERE v <> 'free';"
              "CREATE TABLE p(id INTEGER PRIMARY KEY, up INTEGER REFERENCES p(id) ON DELETE CASCADE, v TEXT);"
              "CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER DEFAULT 1 REFERENCES p(id) ON DELETE " +
              std::string(options.on_delete) + ", v TEXT)");
        s.add("t", options.by);
        s.add("u", options.by, options.policy);
        s.add("p");
        s.add("c");
    }

    std::string number(unsigned limit)
    {
        return std::to_string(random.below(limit));
    }

    std::string value()
    {
        switch (random.below(5)) {
        case 0:
            return "NULL";
        case 1:
            return number(5);
        case 2:
            return number(5) + ".5";
        case 3:
            return "x'" + std::string(random.chance(50) ? "00ff" : "") + "'";
        default:
            return "'v" + std::to_string(serial++) + "'";
        }
    }

    std::string statement()
    {
        std::string id = number(6);
        switch (random.below(14)) {
        case 0:
        case 1:
            return "INSERT OR REPLACE INTO t VALUES(" + id + ", " + value() + ", " + value() + ", " + value() + ")";
        case 2:
            return "UPDATE t SET a = " + value() + " WHERE id = " + id;
        case 3:
            return "UPDATE t SET b = " + value() + ", c = " + value() + " WHERE id = " + id;
        case 4:
            return "DELETE FROM t WHERE id = " + id;
        case 5:
            return "UPDATE t SET id = " + number(6) + " WHERE id = " + id;
        case 6:
            return std::string(random.chance(30) ? "INSERT OR REPLACE" : "INSERT") + " INTO u VALUES(" + id + ", 'k" +
                   number(3) + "', " + number(2) + ", '" + (random.chance(50) ? "free" : "v" + number(3)) + "')";
        case 7:
            return std::string(random.chance(30) ? "UPDATE OR REPLACE" : "UPDATE") + " u SET k = 'k" + number(3) +
                   "' WHERE id = " + id;
        case 8:
            return random.chance(50)
                       ? "DELETE FROM u WHERE id = " + id
                       : "UPDATE u SET v = '" + std::string(random.chance(50) ? "free" : "v1") + "' WHERE id = " + id;
        case 9:
            return "INSERT INTO p VALUES(" + id + ", " + (random.chance(50) ? "NULL" : number(6)) + ", 'p')";
        case 10:
            return "DELETE FROM p WHERE id = " + id;
        case 11:
            return "INSERT INTO c VALUES(" + id + ", " + (random.chance(20) ? "NULL" : number(6)) + ", 'c')";
        case 12:
            return "UPDATE c SET p = " + number(6) + " WHERE id = " + id;
        default:
            return random.chance(50) ? "DELETE FROM c WHERE id = " + id
                                     : "UPDATE c SET v = 'w" + number(9) + "' WHERE id = " + id;
        }
    }

    void write(Site &s)
    {
        s.run("BEGIN IMMEDIATE");
        for (unsigned n = 1 + random.below(4); n-- > 0;) {
            std::string sql = statement();
            int code = s.try_run(sql); // constraints refuse some
            tell(s.name + ": " + sql + (code == SQLITE_OK ? "" : " (refused)"));
        }
        if (random.chance(10)) {
            s.run("ROLLBACK");
            tell(s.name + ": rolled back");
            return;
        }
        s.run("COMMIT");
        oracle.take(s);
    }

    void move_clock(Site &s)
    {
        int64_t &clock = clock_of(s.number);
        switch (random.below(6)) {
        case 0:
            clock -= random.between(0, 600 * SECOND); // stepped back
            break;
        case 1:
            break; // frozen
        default:
            for (auto &other : site)
                clock_of(other->number) += random.between(0, 1200 * SECOND);
        }
    }

    static int interrupt(void *left)
    {
        return --*static_cast<int *>(left) <= 0;
    }

    // Runs what is given with a chance to be killed after some instructions; true: it was not.
    template <class Work> bool may_crash(Site &s, Work work)
    {
        if (!random.chance(25)) {
            work();
            return true;
        }
        int left = static_cast<int>(random.below(400));
        sqlite3 *db = door_connection(s);
        sqlite3_progress_handler(db, 25, interrupt, &left);
        work();
        bool survived = left > 0;
        sqlite3_progress_handler(db, 0, nullptr, nullptr);
        if (!survived) {
            tell(s.name + ": killed");
            s.close();
            s.open();
        }
        return survived;
    }

    static sqlite3 *door_connection(Site &s)
    {
        return static_cast<sqlite3 *>(door_sqlite_handle(s.d));
    }

    static int collect_bytes(void *context, const void *bytes, size_t len)
    {
        auto *out = static_cast<std::vector<uint8_t> *>(context);
        const auto *p = static_cast<const uint8_t *>(bytes);
        out->insert(out->end(), p, p + len);
        return 0;
    }

    uint64_t applied(Site &to, Site &from)
    {
        return static_cast<uint64_t>(
            to.number_of("SELECT applied FROM dbsync_peer WHERE site = " + std::to_string(from.number)));
    }

    void send(Site &from, Site &to)
    {
        Packet packet{from.number, to.number, {}};
        may_crash(from, [&] {
            door_read_request request{};
            door_batch info{};
            request.peer = static_cast<uint16_t>(to.number);
            request.after = applied(to, from);
            request.row_limit = random.chance(50) ? 1 + random.below(30) : 0;
            int result = from.d->ops->read_batch(from.d, &request, collect_bytes, &packet.bytes, &info, &from.why);
            EXPECT_TRUE(result == 0 || result == -EAGAIN) << from.why.text;
            if (result < 0)
                packet.bytes.clear();
            if (!packet.bytes.empty())
                tell(from.name + ": batch " + std::to_string(info.number) + " for " + to.name + ", rows " +
                     std::to_string(info.rows));
        });
        if (!packet.bytes.empty())
            network.push_back(packet);
    }

    void deliver()
    {
        if (network.empty())
            return;
        size_t at = random.below(static_cast<unsigned>(network.size()));
        Packet packet = network[at];
        if (!random.chance(15)) // else it comes once more, later
            network.erase(network.begin() + static_cast<long>(at));
        if (random.chance(10))
            return; // lost
        Site &to = *site[packet.to - 1];
        may_crash(to, [&] {
            arena memory{};
            apply_result result{};
            int status = to.d->ops->apply(to.d, static_cast<uint16_t>(packet.from), packet.bytes.data(),
                                          packet.bytes.size(), &memory, &result, &to.why);
            EXPECT_TRUE(status == 0 || status == -EAGAIN) << to.why.text;
            tell(to.name + ": from " + std::to_string(packet.from) + ": " +
                 (status == 0 ? apply_verdict_name(result.verdict) : to.why.text));
            arena_fini(&memory);
        });
    }

    void collect(Site &s)
    {
        bool more = true;
        while (more) {
            int result = s.d->ops->collect(s.d, &more, &s.why);
            ASSERT_TRUE(result == 0 || result == -EAGAIN) << s.why.text;
        }
    }

    void poll(Site &s, Site &other)
    {
        door_news news;
        door_sqlite_note_every(s.d, 1 + random.below(5));
        int result = s.d->ops->has_news(s.d, static_cast<uint16_t>(other.number), &news, &s.why);
        EXPECT_TRUE(result == 0 || result == -EAGAIN) << s.why.text;
    }

    void event()
    {
        unsigned n = static_cast<unsigned>(site.size());
        Site &s = *site[random.below(n)];
        Site &other = *site[(s.number - 1 + 1 + random.below(n - 1)) % n];
        switch (random.below(20)) {
        case 0:
        case 1:
            move_clock(s);
            break;
        case 2:
            tell(s.name + ": collects");
            collect(s);
            break;
        case 3: {
            uint64_t before, after;
            tell(s.name + ": compacts");
            EXPECT_EQ(s.d->ops->compact(s.d, &before, &after, &s.why), 0) << s.why.text;
            break;
        }
        case 4: { // a partition: sides stop talking for a while
            for (unsigned i = 0; i < 20; i++)
                write(*site[random.below(n)]);
            break;
        }
        case 5:
        case 6:
        case 7:
        case 8:
            send(s, other);
            break;
        case 9:
        case 10:
        case 11:
        case 12:
            deliver();
            break;
        case 14:
            may_crash(s, [&] { poll(s, other); });
            break;
        case 13:
            send(s, other);
            for (unsigned i = 0; i < 3; i++)
                deliver();
            break;
        default:
            write(s);
        }
    }

    Random random;
    bool loud;
    Options options{};
    std::vector<std::unique_ptr<Site>> site;
    std::vector<int64_t> drift;
    std::vector<Packet> network;
    Oracle oracle;
    unsigned serial = 0;
};

void run_seed(uint64_t seed, bool loud)
{
    SCOPED_TRACE("SIGNPOST_SIM_SEED=" + std::to_string(seed));
    World world(seed, loud);
    world.run();
    if (!testing::Test::HasFailure())
        world.heal();
    if (!testing::Test::HasFailure())
        world.check();
    if (!testing::Test::HasFailure())
        world.check_last_word();
    if (!testing::Test::HasFailure())
        world.check_empty();
}

TEST(DbsyncSim, sites_end_equal_whatever_happens_to_clocks_links_and_processes)
{
    const char *one = getenv("SIGNPOST_SIM_SEED"), *many = getenv("SIGNPOST_SIM_RUNS");
    if (one) {
        run_seed(strtoull(one, nullptr, 10), true);
        return;
    }
    uint64_t runs = (many ? strtoull(many, nullptr, 10) : 1000) / 5;
    for (uint64_t seed = 1; seed <= runs && !HasFailure(); seed++)
        run_seed(seed, false);
}

} // namespace
