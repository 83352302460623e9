// SPDX-License-Identifier: Apache-2.0
// A day of a cluster, drawn from a seed: the script of the simulator, which runs on SQLite in memory (tests/sim), and
// at length on SQLite files and on PostgreSQL clusters (tests/lab).
//
// Two to five sites; a day of writes, partitions of up to six hours, clocks up to an hour wrong that stand still or
// step back, batches lost, doubled and late, applies and cuts that are killed, daemons that start again, collection and
// compaction at any time. At the end all links work and clocks agree, and then must hold:
//   - all sites hold the same rows (P1), and of the table without constraints exactly those that the latest version of
//     each register says (an oracle that reads the captured changes as they are committed): no write lost or doubled
//   - unique keys and references hold
//   - a write that sees a value beats it, whatever the clocks did (P7)
//   - the links fall silent (P9), and the change tables are empty after collection (P11)
//
// An engine says what differs between databases:
//   Site                     run, try_run, rows, number_of, add, close, open; d, why, name, number
//   SITES_MAX                how many sites a run may have
//   make(number)             a site with an empty database; where all have been made: begin(sites)
//   accepts(site, sql)       runs a statement in a transaction that goes on when it is refused; whether it was accepted
//   set_clock(site, us)      the site's wall clock
//   may_die(site, random, work)  does the work, and may kill it somewhere in it; false: it did (the site is open again)
//   is_excused(result)       what a call may return beside 0
//   changes(site, after)     captured changes of table t behind a position
//   settle(sites)            everything each has for the other, until both are silent
//   and texts of SQL: tables(on_delete), value(kind, n), put_t(...), put_u(...), OR_REPLACE, CHANGE_TABLE, REMOTE,
//   PARKED, ORPHANS (rows that refer to nothing)
#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

extern "C" {
#include "dbsync/door.h"
}

namespace dbsync_test
{

constexpr int64_t SECOND = 1000000, HOUR = 3600 * SECOND, DAY = 24 * HOUR, START = 1700000000 * SECOND;

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

struct Change { // of table t, as it was captured
    int64_t seq, hlc, mask, id;
    char op;
    std::string value[3];
};

// The latest version of each register of table t, from the captured changes of all sites.
class Oracle
{
  public:
    void take(unsigned site, const std::vector<Change> &changes)
    {
        for (const Change &change : changes) {
            last[site] = change.seq;
            std::pair<int64_t, unsigned> version{change.hlc, site};
            Row &row = rows[change.id];
            if (row.life_version < version) {
                row.life_version = version;
                row.is_live = change.op != 'D';
            }
            for (int c = 0; c < 3; c++) {
                if (change.op != 'D' && (change.op == 'I' || by_row || (change.mask >> (c + 1) & 1)) &&
                    row.version[c] < version) {
                    row.version[c] = version;
                    row.value[c] = change.value[c];
                }
            }
        }
    }
    int64_t position(unsigned site) const
    {
        return last[site];
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

template <class Engine> class World
{
    using Site = typename Engine::Site;

  public:
    World(uint64_t seed, bool loud_) : random(seed), loud(loud_)
    {
        static const char *const actions[] = {"NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"};
        options = {random.chance(50) ? 2 : 2 + random.below(Engine::SITES_MAX - 1), 60 + random.below(120),
                   random.chance(80) ? GRANULARITY_COLUMN : GRANULARITY_ROW,
                   static_cast<unique_policy>(random.below(3)), actions[random.below(5)]};
        oracle.by_row = options.by == GRANULARITY_ROW;
        for (unsigned i = 1; i <= options.sites; i++) {
            site.push_back(Engine::make(i));
            clock[i] = START + random.between(-HOUR, HOUR);
            Engine::set_clock(*site.back(), clock[i]);
        }
        for (auto &s : site)
            prepare(*s);
    }

    void run()
    {
        while (now < DAY && !testing::Test::HasFailure()) {
            pass(random.between(0, 2 * DAY / options.events));
            event();
        }
    }

    // All links work, clocks agree, and everybody talks until silence.
    void heal()
    {
        for (auto &s : site) {
            clock[s->number] = START + now + 3 * HOUR;
            Engine::set_clock(*s, clock[s->number]);
            s->open();
        }
        Engine::settle(all());
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
        EXPECT_EQ(Engine::held(*site[0]), oracle.table());
        for (auto &s : site) {
            EXPECT_EQ(s->number_of(Engine::ORPHANS), 0) << s->name << " has orphans";
            EXPECT_EQ(s->rows(Engine::PARKED), "") << s->name;
        }
    }

    void check_last_word()
    {
        Site &s = *site[random.below(static_cast<unsigned>(site.size()))];
        Engine::set_clock(s, clock[s.number] - 10 * HOUR);
        s.run("UPDATE t SET a = 'last word'");
        Engine::set_clock(s, clock[s.number]);
        Engine::settle(all());
        for (auto &other : site)
            EXPECT_EQ(other->number_of("SELECT count(*) FROM t WHERE coalesce(a, '') <> 'last word'"), 0)
                << other->name;
    }

    void check_empty()
    {
        // What was said last has to be heard to be said: a few empty batches.
        for (auto &s : site)
            collect(*s);
        for (auto &s : site) {
            for (int i = 1; i <= 4; i++)
                EXPECT_EQ(s->number_of(Engine::CHANGE_TABLE + std::to_string(i)), 0) << s->name << " table " << i;
            EXPECT_EQ(s->number_of(Engine::REMOTE), 0) << s->name;
        }
    }

  private:
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
        s.run(Engine::tables(options.on_delete));
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
        unsigned kind = random.below(5);
        return Engine::value(kind, kind == 1 || kind == 2 ? random.below(5) : kind == 3 ? random.below(2) : serial++);
    }

    std::string statement()
    {
        std::string id = number(6);
        switch (random.below(14)) {
        case 0:
        case 1:
            return Engine::put_t(id, value(), value(), value());
        case 2:
            return "UPDATE t SET a = " + value() + " WHERE id = " + id;
        case 3:
            return "UPDATE t SET b = " + value() + ", c = " + value() + " WHERE id = " + id;
        case 4:
            return "DELETE FROM t WHERE id = " + id;
        case 5:
            return "UPDATE t SET id = " + number(6) + " WHERE id = " + id;
        case 6:
            return Engine::put_u(random.chance(30), id, number(3), number(2),
                                 random.chance(50) ? "free" : "v" + number(3));
        case 7:
            return std::string("UPDATE ") + (random.chance(30) ? Engine::OR_REPLACE : "") + "u SET k = 'k" + number(3) +
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
        s.run(Engine::BEGIN);
        for (unsigned n = 1 + random.below(4); n-- > 0;) {
            std::string sql = statement();
            bool accepted = Engine::accepts(s, sql); // constraints refuse some
            tell(s.name + ": " + sql + (accepted ? "" : " (refused)"));
        }
        if (random.chance(10)) {
            s.run("ROLLBACK");
            tell(s.name + ": rolled back");
            return;
        }
        s.run("COMMIT");
        oracle.take(s.number, Engine::changes(s, oracle.position(s.number)));
    }

    // Time goes by; no clock is more than an hour wrong, as somebody sets one that is.
    void pass(int64_t us)
    {
        now += us;
        for (auto &s : site) {
            int64_t &c = clock[s->number];
            if (frozen_until[s->number] < now)
                c += us;
            c = std::min(std::max(c, START + now - HOUR), START + now + HOUR);
            Engine::set_clock(*s, c);
        }
    }

    void move_clock(Site &s)
    {
        if (random.chance(50)) {
            clock[s.number] -= random.between(0, 600 * SECOND);
            tell(s.name + ": the clock is set back");
        } else if (random.chance(50)) {
            clock[s.number] = START + now + random.between(-HOUR, HOUR);
            tell(s.name + ": the clock is set");
        } else {
            frozen_until[s.number] = now + random.between(0, HOUR);
            tell(s.name + ": the clock stands");
        }
        pass(0);
    }

    bool is_cut(unsigned from, unsigned to)
    {
        return cut_until[{from, to}] > now;
    }

    void part(Site &s, Site &other)
    {
        int64_t until = now + random.between(60 * SECOND, 6 * HOUR);
        cut_until[{s.number, other.number}] = until;
        if (random.chance(70)) // else one direction alone
            cut_until[{other.number, s.number}] = until;
        tell(s.name + " and " + other.name + ": the line is cut");
        for (unsigned i = 0; i < 10; i++)
            write(random.chance(50) ? s : other);
    }

    // With a chance to be killed in the middle.
    template <class Work> void may_crash(Site &s, Work work)
    {
        if (!random.chance(25)) {
            work();
            return;
        }
        if (!Engine::may_die(s, random, work))
            tell(s.name + ": killed");
    }

    static bool is_fine(int result)
    {
        return result == 0 || result == -EAGAIN || Engine::is_excused(result);
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
        return static_cast<uint64_t>(to.number_of(Engine::APPLIED + std::to_string(from.number)));
    }

    void send(Site &from, Site &to)
    {
        if (is_cut(from.number, to.number))
            return;
        Packet packet{from.number, to.number, {}};
        may_crash(from, [&] {
            door_read_request request{};
            door_batch info{};
            request.peer = static_cast<uint16_t>(to.number);
            request.after = applied(to, from);
            request.row_limit = random.chance(50) ? 1 + random.below(30) : 0;
            int result = from.d->ops->read_batch(from.d, &request, collect_bytes, &packet.bytes, &info, &from.why);
            EXPECT_TRUE(is_fine(result)) << from.why.text;
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
        if (is_cut(packet.from, packet.to))
            return;             // late
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
            EXPECT_TRUE(is_fine(status)) << to.why.text;
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
            ASSERT_TRUE(is_fine(result)) << s.why.text;
        }
    }

    void poll(Site &s, Site &other)
    {
        door_news news;
        Engine::before_poll(s, random);
        int result = s.d->ops->has_news(s.d, static_cast<uint16_t>(other.number), &news, &s.why);
        EXPECT_TRUE(is_fine(result)) << s.why.text;
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
            EXPECT_TRUE(is_fine(s.d->ops->compact(s.d, &before, &after, &s.why))) << s.why.text;
            break;
        }
        case 4:
            part(s, other);
            break;
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
        case 13:
            send(s, other);
            for (unsigned i = 0; i < 3; i++)
                deliver();
            break;
        case 14:
            may_crash(s, [&] { poll(s, other); });
            break;
        case 15:
            tell(s.name + ": starts again");
            s.close();
            s.open();
            break;
        default:
            write(s);
        }
    }

    Random random;
    bool loud;
    Options options{};
    int64_t now = 0;                   // since START
    std::map<unsigned, int64_t> clock; // of each site
    std::map<unsigned, int64_t> frozen_until;
    std::map<std::pair<unsigned, unsigned>, int64_t> cut_until;
    std::vector<std::unique_ptr<Site>> site;
    std::vector<Packet> network;
    Oracle oracle;
    unsigned serial = 0;
};

template <class Engine> void run_seed(uint64_t seed, bool loud)
{
    SCOPED_TRACE("SIGNPOST_SIM_SEED=" + std::to_string(seed));
    World<Engine> world(seed, loud);
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

// Seeds 1..runs, or the one that SIGNPOST_SIM_SEED names, told at length.
template <class Engine> void run_seeds(uint64_t runs)
{
    const char *one = getenv("SIGNPOST_SIM_SEED");
    if (one)
        return run_seed<Engine>(strtoull(one, nullptr, 10), true);
    for (uint64_t seed = 1; seed <= runs && !testing::Test::HasFailure(); seed++)
        run_seed<Engine>(seed, false);
}

} // namespace dbsync_test
