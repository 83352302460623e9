// SPDX-License-Identifier: Apache-2.0
// Whole clusters in one process: the real verdict engine and the real heartbeat messages of every node, under a
// simulated clock, links that lose, delay, double, reorder and cut, clocks that drift and jump, processes that stall,
// crash and come back, web tiers and pages that fail, operators that drain sites, reloads of the configuration.
//
// SIGNPOST_SIM_RUNS (1000) runs with seeds from 1 on; SIGNPOST_SIM_SEED=N runs one seed alone and tells what happens.
// What must hold stands in `Checker`.
#include <gtest/gtest.h>
#include <sodium.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "health/heartbeat_receive.h"

namespace
{

constexpr uint64_t MS = 1000000, SECOND = 1000 * MS, TICK = 10 * MS, START = 1000 * SECOND;
constexpr uint64_t INTERVAL = 50 * MS, PERIOD = 100 * MS, PROBE = 500 * MS, DWELL = SECOND, TOLERANCE = 30 * SECOND;
constexpr unsigned PERIODS = 3, RISE = 2, FALL = 2;
constexpr uint8_t KEY[2][HEARTBEAT_KEY_LEN] = {{7}, {0}};

// Long enough for every rule to come to its end: probes, periods, the words of others, dwell, and delays on the way.
constexpr uint64_t SETTLE_UP = (RISE + 1) * PROBE + (PERIODS + 2) * PERIOD + 2 * DWELL + 600 * MS;
constexpr uint64_t SETTLE_DOWN = (FALL + 1) * PROBE + (PERIODS + 2) * PERIOD + DWELL + 600 * MS;

struct Random {
    std::mt19937_64 generator;
    explicit Random(uint64_t seed) : generator(seed) {}
    uint64_t below(uint64_t limit)
    {
        return limit ? generator() % limit : 0;
    }
    bool chance(double p)
    {
        return static_cast<double>(generator() >> 11) * 0x1p-53 < p;
    }
};

struct Packet {
    uint64_t at;
    uint64_t order; // ties in the order of sending
    unsigned to;
    std::shared_ptr<std::vector<uint8_t>> data;
    bool operator<(const Packet &other) const
    {
        return at != other.at ? at > other.at : order > other.order;
    }
};

struct World;

struct Node {
    std::string name;
    int site; // -1: a witness
    unsigned number_in_site = 0;
    bool is_alive = true;
    uint64_t stalled_until = 0, stalled_since = 0;
    int64_t drift_ppm = 0, mono_offset = 0, wall_offset = 0;
    uint64_t incarnation = 0, sequence = 0, next_send = 0, next_probe = 0;
    bool has_news = true;              // an event asked for a tick
    std::array<uint64_t, 8> said_at{}; // when its operator last spoke of a site
    uint64_t due = 0;                  // of the next tick without an event, by its own clock
    heartbeat_receiver receiver{};
    std::unique_ptr<verdict_engine, void (*)(verdict_engine *)> engine{nullptr, verdict_free};
    std::vector<unsigned> voice_of; // by number in receiver.sender
    std::vector<uint64_t> backlog;  // arrivals are handled after a stall
    std::vector<std::shared_ptr<std::vector<uint8_t>>> waiting;

    uint64_t mono(uint64_t t) const
    {
        return static_cast<uint64_t>(static_cast<int64_t>(t) + mono_offset +
                                     static_cast<int64_t>(t / 1000000) * drift_ppm);
    }
    uint64_t wall_us(uint64_t t) const
    {
        return static_cast<uint64_t>(static_cast<int64_t>(t) + wall_offset) / 1000 + 1700000000000000;
    }
    bool is_running(uint64_t t) const
    {
        return is_alive && t >= stalled_until;
    }
};

struct SiteTruth {
    int web_faults = 0, page_faults = 0;
    bool is_web_up() const
    {
        return web_faults == 0;
    }
    bool has_keyword() const
    {
        return page_faults == 0;
    }
};

struct World {
    uint64_t seed, now = START, order = 0;
    Random random;
    bool is_told;
    unsigned site_count;
    std::vector<Node> nodes;
    std::vector<SiteTruth> truth;
    std::vector<std::vector<int>> is_cut; // [from node][to node]: cuts that lie on it
    std::priority_queue<Packet> wire;
    double loss, doubling;
    uint64_t delay, jitter;
    std::vector<std::vector<uint64_t>> drained_until;        // [node][site]: its operator's drain; 0: none
    std::vector<std::set<std::array<uint64_t, 3>>> accepted; // per receiver: sender, incarnation, sequence

    // The configuration that all nodes share.
    std::vector<std::array<verdict_group_config, 2>> group;
    std::vector<verdict_site_config> site;

    World(uint64_t seed_, bool is_told_) : seed(seed_), random(seed_), is_told(is_told_)
    {
        site_count = 2 + static_cast<unsigned>(random.below(4));
        truth.resize(site_count);
        for (unsigned s = 0; s < site_count; s++)
            for (unsigned k = 0, count = random.chance(0.3) ? 2 : 1; k < count; k++)
                add_node(static_cast<int>(s), k);
        if (random.chance(0.3))
            add_node(-1, 0);
        is_cut.assign(nodes.size(), std::vector<int>(nodes.size(), 0));
        accepted.resize(nodes.size());
        drained_until.assign(nodes.size(), std::vector<uint64_t>(site_count, 0));
        const double losses[] = {0, 0.01, 0.05};
        loss = losses[random.below(3)];
        doubling = random.chance(0.5) ? 0.02 : 0;
        delay = random.below(30) * MS;
        jitter = random.below(20) * MS;
        make_config();
        for (unsigned n = 0; n < nodes.size(); n++)
            start(n);
    }
    void add_node(int at, unsigned number)
    {
        Node n;
        n.name = at < 0 ? "witness" : "n" + std::to_string(at) + std::to_string(number);
        n.site = at;
        n.number_in_site = number;
        n.drift_ppm = static_cast<int64_t>(random.below(200)) - 100;
        n.mono_offset = static_cast<int64_t>(random.below(1000000)) * static_cast<int64_t>(SECOND) / 1000;
        n.wall_offset = (static_cast<int64_t>(random.below(2000)) - 1000) * static_cast<int64_t>(MS);
        nodes.push_back(std::move(n));
    }
    unsigned nodes_of(unsigned s) const
    {
        unsigned count = 0;
        for (const Node &n : nodes)
            count += n.site == static_cast<int>(s);
        return count;
    }
    void make_config()
    {
        group.resize(site_count);
        site.resize(site_count);
        for (unsigned s = 0; s < site_count; s++) {
            for (unsigned g = 0; g < 2; g++) {
                verdict_group_config &c = group[s][g];
                c = {};
                strcpy(c.name, g ? "database" : "web");
                c.is_required = true;
                c.is_page = g == 1;
                c.need = c.member_count = 1;
                c.rise = RISE;
                c.fall = FALL;
                c.max_age_ns = 5 * SECOND;
                c.identity = g;
            }
            site[s] = {};
            snprintf(site[s].name, sizeof site[s].name, "s%u", s);
            site[s].group = group[s].data();
            site[s].group_count = 2;
            site[s].node_count = nodes_of(s);
            site[s].nodes_need = 1;
            site[s].dwell_ns = DWELL;
        }
    }

    // ---- life of a node ----

    // Makes a node's engine, or lets it read its configuration again.
    void configure(unsigned number)
    {
        Node &n = nodes[number];
        verdict_config config{};
        std::vector<verdict_site_config> own = site;
        config.site = own.data();
        config.site_count = site_count;
        config.heartbeat = {PERIOD, PERIODS};
        config.start_wait_ns = 3 * SECOND;
        const heartbeat_receiver before = n.receiver;
        n.receiver = {};
        memcpy(n.receiver.key, KEY, sizeof KEY);
        n.receiver.key_count = 1;
        n.receiver.clock_tolerance_ns = TOLERANCE;
        for (unsigned s = 0; s < site_count; s++) {
            own[s].is_self = n.site == static_cast<int>(s);
            for (const Node &other : nodes)
                if (other.site == static_cast<int>(s) && other.name != n.name)
                    add_voice(n, config, other);
        }
        for (const Node &other : nodes)
            if (other.site < 0 && other.name != n.name)
                add_voice(n, config, other);
        if (n.engine) {
            n.receiver = before; // the link goes on
            ASSERT_EQ(verdict_reconfigure(n.engine.get(), &config, n.mono(now)), 0);
            n.has_news = true;
        } else {
            n.engine.reset(verdict_new(&config, n.mono(now)));
        }
    }
    void start(unsigned number)
    {
        Node &n = nodes[number];
        n.engine.reset();
        configure(number);
        n.incarnation = std::max(n.wall_us(now), n.incarnation + 1);
        n.sequence = 0;
        n.next_send = now;
        n.next_probe = now + random.below(100) * MS;
        n.is_alive = true;
        n.has_news = true;
        n.due = 0;
        n.stalled_until = 0;
        n.waiting.clear();
        accepted[number].clear();
        for (unsigned s = 0; s < site_count; s++)
            if (drained_until[number][s] > now) // it was saved
                say(number, s, OPERATOR_DRAIN, drained_until[number][s] - now);
    }
    void say(unsigned number, unsigned s, evidence_operator state, uint64_t duration_ns)
    {
        Node &n = nodes[number];
        evidence_event e{};
        e.at_ns = n.mono(now);
        e.kind = EVIDENCE_OPERATOR;
        e.site = static_cast<uint16_t>(s);
        e.operator_state = state;
        n.said_at[s] = now;
        e.duration_ns = duration_ns;
        e.load_permille = -1;
        e.lag_ms = -1;
        n.has_news |= verdict_event(n.engine.get(), &e);
    }
    // Is the site drained by an operator whom this node follows: its own, or the site's?
    bool is_drained(unsigned number, unsigned s) const
    {
        for (unsigned m = 0; m < nodes.size(); m++)
            if (drained_until[m][s] > now && (m == number || nodes[m].site == static_cast<int>(s)))
                return true;
        return false;
    }
    static void add_voice(Node &n, verdict_config &config, const Node &other)
    {
        heartbeat_sender &s = n.receiver.sender[n.receiver.sender_count++];
        snprintf(s.name, sizeof s.name, "%s", other.name.c_str());
        s.site = other.site < 0 ? static_cast<uint16_t>(HEARTBEAT_NO_SITE) : static_cast<uint16_t>(other.site);
        s.node = static_cast<uint16_t>(other.number_in_site);
        config.voice_site[config.voice_count++] = static_cast<int16_t>(other.site);
    }

    // ---- messages ----

    void send(unsigned number)
    {
        Node &n = nodes[number];
        heartbeat_message m{};
        snprintf(m.node, sizeof m.node, "%s", n.name.c_str());
        m.incarnation = n.incarnation;
        m.sequence = ++n.sequence;
        m.wall_us = n.wall_us(now);
        m.load_permille = -1;
        m.lag_ms = -1;
        for (unsigned s = 0; s < site_count; s++) {
            snprintf(m.site[s].name, sizeof m.site[s].name, "s%u", s);
            m.site[s].state =
                static_cast<uint8_t>(heartbeat_word(verdict_of_site(n.engine.get(), s), n.site == static_cast<int>(s)));
        }
        m.site_count = static_cast<uint8_t>(site_count);
        auto data = std::make_shared<std::vector<uint8_t>>(HEARTBEAT_MAX_LEN);
        const int len = heartbeat_encode(data->data(), &m, KEY[0]);
        ASSERT_GT(len, 0);
        data->resize(static_cast<size_t>(len));
        for (unsigned to = 0; to < nodes.size(); to++) {
            if (to == number || is_cut[number][to] || random.chance(loss))
                continue;
            for (unsigned copies = random.chance(doubling) ? 2 : 1; copies > 0; copies--)
                wire.push({now + delay + random.below(jitter + 1), order++, to, data});
        }
    }
    void take(unsigned number, const std::vector<uint8_t> &data)
    {
        Node &n = nodes[number];
        heartbeat_received received;
        const uint64_t at = n.mono(now);
        if (heartbeat_receive(&n.receiver, data.data(), data.size(), at, n.wall_us(now), &received) != HEARTBEAT_GOOD)
            return;
        const bool is_new =
            accepted[number].insert({received.sender, received.message.incarnation, received.message.sequence}).second;
        ASSERT_TRUE(is_new) << "seed " << seed << ": a message was accepted twice";
        for (unsigned i = 0; i < received.message.site_count; i++) {
            const evidence_event word = heartbeat_word_event(
                at, i, received.sender, static_cast<verdict_state>(received.message.site[i].state));
            n.has_news |= verdict_event(n.engine.get(), &word);
        }
        if (received.event.site != HEARTBEAT_NO_SITE)
            n.has_news |= verdict_event(n.engine.get(), &received.event);
    }
    // Do probes of a node reach a site? By any link between their nodes; sites without a cut are reached.
    bool is_reached(unsigned number, unsigned s) const
    {
        if (nodes[number].site == static_cast<int>(s))
            return true;
        for (unsigned m = 0; m < nodes.size(); m++)
            if (nodes[m].site == static_cast<int>(s) && (is_cut[number][m] || is_cut[m][number]))
                return false;
        return true;
    }
    void probe(unsigned number)
    {
        Node &n = nodes[number];
        for (unsigned s = 0; s < site_count; s++)
            for (uint16_t g = 0; g < 2; g++) {
                evidence_event e{};
                const bool is_good =
                    is_reached(number, s) && truth[s].is_web_up() && (g == 0 || truth[s].has_keyword());
                e.at_ns = n.mono(now);
                e.kind = EVIDENCE_PROBE;
                e.site = static_cast<uint16_t>(s);
                e.group = g;
                e.result = is_good ? EVIDENCE_UP : EVIDENCE_DOWN;
                e.reason = is_good ? EVIDENCE_REASON_OK : EVIDENCE_REASON_TIMEOUT;
                e.load_permille = -1;
                e.lag_ms = -1;
                n.has_news |= verdict_event(n.engine.get(), &e);
            }
    }

    // ---- time ----

    void step()
    {
        now += TICK;
        while (!wire.empty() && wire.top().at <= now) {
            const Packet p = wire.top();
            wire.pop();
            wake(p.to);
            if (nodes[p.to].is_running(now))
                take(p.to, *p.data);
            else if (nodes[p.to].is_alive && nodes[p.to].waiting.size() < 200)
                nodes[p.to].waiting.push_back(p.data); // the socket's buffer
        }
        for (unsigned i = 0; i < nodes.size(); i++)
            run(i);
    }
    // The first thing a node does after a stall is to see that it was away.
    void wake(unsigned number)
    {
        Node &n = nodes[number];
        if (!n.is_running(now) || n.stalled_until == 0)
            return;
        evidence_event stall{};
        stall.at_ns = n.mono(now);
        stall.kind = EVIDENCE_STALL;
        stall.duration_ns = now - n.stalled_since;
        n.has_news |= verdict_event(n.engine.get(), &stall);
        n.stalled_until = 0;
        for (const auto &data : n.waiting)
            take(number, *data);
        n.waiting.clear();
        n.next_send = n.next_probe = now;
    }
    void run(unsigned number)
    {
        Node &n = nodes[number];
        wake(number);
        if (!n.is_running(now))
            return;
        if (now >= n.next_probe) {
            probe(number);
            n.next_probe = now + PROBE - random.below(PROBE / 10);
        }
        // As the control process does it: on news, and when something falls due. It asks for that a while after the
        // tick.
        if (n.has_news || n.mono(now) >= n.due) {
            n.has_news = false;
            verdict_tick(n.engine.get(), n.mono(now));
            n.due = verdict_next_deadline_ns(n.engine.get(), n.mono(now) + random.below(20) * MS);
        }
        if (now >= n.next_send) {
            send(number);
            n.next_send += INTERVAL;
        }
    }
    void tell(const std::string &text) const
    {
        if (is_told)
            printf("%9.3f %s\n", static_cast<double>(now - START) / 1e9, text.c_str());
    }
};

// What happens to a world: each fault begins and, mostly, ends again.
struct Faults {
    World &w;
    uint64_t next;
    std::multimap<uint64_t, std::pair<std::string, std::function<void()>>> ends;
    uint64_t last_change;

    explicit Faults(World &world) : w(world), next(world.now + 4 * SECOND), last_change(world.now) {}

    void step()
    {
        while (!ends.empty() && ends.begin()->first <= w.now) {
            w.tell("end of: " + ends.begin()->second.first);
            ends.begin()->second.second();
            ends.erase(ends.begin());
            last_change = w.now;
        }
        if (w.now < next)
            return;
        next = w.now + (w.random.chance(0.5) ? w.random.below(1500) : 4000 + w.random.below(4000)) * MS;
        begin();
        last_change = w.now;
    }
    void end_all()
    {
        for (; !ends.empty(); ends.erase(ends.begin()))
            ends.begin()->second.second();
        for (Node &n : w.nodes)
            n.stalled_until = std::min(n.stalled_until, w.now);
    }
    void until(uint64_t ms, const std::string &what, std::function<void()> end)
    {
        w.tell(what + " for " + std::to_string(ms) + " ms");
        ends.emplace(w.now + ms * MS, std::make_pair(what, end));
    }
    void begin()
    {
        World &world = w;
        const unsigned n = static_cast<unsigned>(w.random.below(w.nodes.size()));
        const unsigned m = static_cast<unsigned>(w.random.below(w.nodes.size()));
        const unsigned s = static_cast<unsigned>(w.random.below(w.site_count));
        const uint64_t ms = 50 + w.random.below(w.random.chance(0.3) ? 400 : 6000);
        switch (w.random.below(10)) {
        case 0:
            w.truth[s].web_faults++;
            return until(ms, "web tier down at s" + std::to_string(s), [&world, s] { world.truth[s].web_faults--; });
        case 1:
            w.truth[s].page_faults++;
            return until(ms, "no keyword at s" + std::to_string(s), [&world, s] { world.truth[s].page_faults--; });
        case 2: // one way
            if (n == m)
                return;
            w.is_cut[n][m]++;
            return until(ms, "cut " + w.nodes[n].name + " -> " + w.nodes[m].name,
                         [&world, n, m] { world.is_cut[n][m]--; });
        case 3:
            return partition(ms, n);
        case 4:
            if (!w.nodes[n].is_alive)
                return;
            w.nodes[n].is_alive = false;
            w.nodes[n].engine.reset();
            return until(ms, "crash of " + w.nodes[n].name, [&world, n] { world.start(n); });
        case 5:
            if (!w.nodes[n].is_running(w.now))
                return;
            w.nodes[n].stalled_since = w.now;
            w.nodes[n].stalled_until = w.now + ms * MS;
            return until(ms, "stall of " + w.nodes[n].name, [] {});
        case 6: { // the wall clock jumps, within what is tolerated
            const int64_t by = (static_cast<int64_t>(w.random.below(16000)) - 8000) * static_cast<int64_t>(MS);
            w.nodes[n].wall_offset += by;
            return until(ms, "wall clock of " + w.nodes[n].name + " jumps by " + std::to_string(by / 1000000) + " ms",
                         [&world, n, by] { world.nodes[n].wall_offset -= by; });
        }
        case 7: { // an operator's drain that ends by itself, or is taken back
            if (!w.nodes[n].is_running(w.now) || w.drained_until[n][s] > w.now)
                return;
            const bool is_for_a_time = w.random.chance(0.5);
            w.drained_until[n][s] = w.now + ms * MS;
            w.say(n, s, OPERATOR_DRAIN, is_for_a_time ? ms * MS : 0);
            return until(ms, w.nodes[n].name + " drains s" + std::to_string(s), [&world, n, s] {
                if (world.nodes[n].engine)
                    world.say(n, s, OPERATOR_AUTO, 0);
                world.drained_until[n][s] = 0;
            });
        }
        case 8:
            if (!w.nodes[n].is_running(w.now))
                return;
            w.tell("reload at " + w.nodes[n].name);
            return w.configure(n);
        default:
            return;
        }
    }
    // One node is cut off from all others, both ways.
    void partition(uint64_t ms, unsigned n)
    {
        World &world = w;
        const auto add = [&world, n](int by) {
            for (unsigned m = 0; m < world.nodes.size(); m++)
                if (m != n) {
                    world.is_cut[n][m] += by;
                    world.is_cut[m][n] += by;
                }
        };
        add(1);
        until(ms, "partition of " + w.nodes[n].name, [add] { add(-1); });
    }
};

// What must hold at every step, for every node and site.
struct Checker {
    World &w;
    std::vector<std::vector<uint64_t>> good_since, bad_since, dead_since, changed_at;
    std::vector<std::vector<verdict_state>> state;

    explicit Checker(World &world) : w(world)
    {
        const std::vector<uint64_t> zero(w.site_count, 0);
        good_since.assign(w.nodes.size(), zero);
        bad_since = dead_since = changed_at = good_since;
        state.assign(w.nodes.size(), std::vector<verdict_state>(w.site_count, VERDICT_UNKNOWN));
    }
    static void note(uint64_t &since, bool holds, uint64_t now)
    {
        since = !holds ? 0 : since ? since : now;
    }
    // Does a node hear one of a site's nodes, as far as the world allows?
    bool is_heard(unsigned n, unsigned s) const
    {
        if (w.nodes[n].site == static_cast<int>(s))
            return true;
        for (unsigned m = 0; m < w.nodes.size(); m++)
            if (w.nodes[m].site == static_cast<int>(s) && w.nodes[m].is_running(w.now) && !w.is_cut[m][n])
                return true;
        return false;
    }
    bool is_site_dead(unsigned n, unsigned s) const
    {
        if (w.nodes[n].site == static_cast<int>(s))
            return false;
        for (const Node &m : w.nodes)
            if (m.site == static_cast<int>(s) && m.is_running(w.now))
                return false;
        return true;
    }
    void step()
    {
        for (unsigned n = 0; n < w.nodes.size(); n++)
            for (unsigned s = 0; s < w.site_count; s++)
                check(n, s);
    }
    void check(unsigned n, unsigned s)
    {
        Node &node = w.nodes[n];
        if (!node.is_alive) {
            good_since[n][s] = bad_since[n][s] = dead_since[n][s] = changed_at[n][s] = 0;
            state[n][s] = VERDICT_UNKNOWN;
            return;
        }
        const bool is_web_good = w.truth[s].is_web_up() && w.truth[s].has_keyword();
        // A stall of the observer is no excuse for a wrong verdict afterwards: only while it lasts nothing is asked.
        note(good_since[n][s], is_web_good && w.is_reached(n, s) && is_heard(n, s) && !w.is_drained(n, s), w.now);
        // One after the other they are no reason: each must last for itself.
        note(bad_since[n][s], !is_web_good, w.now);
        note(dead_since[n][s], is_site_dead(n, s), w.now);
        if (!node.is_running(w.now))
            return;
        const verdict_site *v = verdict_of_site(node.engine.get(), s);
        const std::string who = "seed " + std::to_string(w.seed) + " at " +
                                std::to_string(static_cast<double>(w.now - START) / 1e9) + " s: " + node.name +
                                " about s" + std::to_string(s) + ": " + verdict_state_text(v->state) + ", " +
                                verdict_reason_text(v->reason);
        // A stalled observer has a second more, from when it looked again.
        const uint64_t looked = node.stalled_since ? node.stalled_since + SECOND : 0;
        // But what it held for good before it stalled, it holds for good after it.
        const uint64_t excuse = state[n][s] == VERDICT_UP ? 0 : looked;
        if (good_since[n][s] && w.now > std::max(good_since[n][s], excuse) + SETTLE_UP) {
            ASSERT_EQ(v->state, VERDICT_UP) << who << "; good for long";
        }
        for (uint64_t since : {bad_since[n][s], dead_since[n][s]})
            if (since && w.now > std::max(since, looked) + SETTLE_DOWN) {
                ASSERT_NE(v->state, VERDICT_UP) << who << "; bad for long";
            }
        const uint64_t drained = w.drained_until[n][s];
        if (drained > w.now + 2 * TICK && node.stalled_since + SECOND < w.now && node.said_at[s] + 2 * TICK < w.now) {
            ASSERT_EQ(v->state, VERDICT_DRAIN) << who << "; its operator drains it";
        }
        if (v->state == state[n][s])
            return;
        w.tell(node.name + ": s" + std::to_string(s) + " " + verdict_state_text(state[n][s]) + " -> " +
               verdict_state_text(v->state) + ": " + verdict_reason_text(v->reason));
        ASSERT_NE(v->state, VERDICT_UNKNOWN) << who << "; a verdict was taken back";
        const bool is_by_word = state[n][s] == VERDICT_DRAIN || v->state == VERDICT_DRAIN;
        if (state[n][s] != VERDICT_UNKNOWN && !is_by_word) {
            ASSERT_GE(v->since_ns, changed_at[n][s] + DWELL) << who << "; faster than its dwell time";
        }
        state[n][s] = v->state;
        changed_at[n][s] = v->since_ns;
    }
};

void run(uint64_t seed, bool is_told)
{
    World w(seed, is_told);
    Faults faults(w);
    Checker checker(w);
    const uint64_t end = w.now + 14 * SECOND;
    while (w.now < end && !testing::Test::HasFatalFailure()) {
        w.step();
        if (w.now + 6 * SECOND < end) // the last seconds are quiet: everything must be well again
            faults.step();
        else
            faults.end_all();
        checker.step();
    }
    for (const Node &n : w.nodes)
        for (unsigned s = 0; s < w.site_count && n.is_running(w.now); s++)
            ASSERT_EQ(verdict_of_site(n.engine.get(), s)->state, VERDICT_UP)
                << "seed " << seed << ": " << n.name << " about s" << s << " after all faults have ended";
}

TEST(ClusterSimulator, VerdictsFollowTheTruthWhateverHappensOnTheWay)
{
    ASSERT_GE(sodium_init(), 0);
    if (const char *one = getenv("SIGNPOST_SIM_SEED")) {
        run(strtoull(one, nullptr, 10), true);
        return;
    }
    const char *runs = getenv("SIGNPOST_SIM_RUNS");
    const uint64_t count = runs ? strtoull(runs, nullptr, 10) : 1000;
    for (uint64_t seed = 1; seed <= count; seed++) {
        run(seed, false);
        ASSERT_FALSE(HasFatalFailure()) << "replay with SIGNPOST_SIM_SEED=" << seed;
    }
}

} // namespace
