// SPDX-License-Identifier: Apache-2.0
// A journal's events under another configuration, and changes to a configuration.
#include "control/replay.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/config_messages.h"

#include "health/evidence.h"

namespace
{

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const char text[] = R"(
node = { name = "n"; };
control = { start_wait = "3s"; };
sites = (
  { name = "ams"; addresses = ("192.0.2.1"); web = { probe = "tcp"; port = 80; rise = 1; fall = 2; }; },
  { name = "f.ra"; addresses = ("192.0.2.2"); web = { probe = "tcp"; port = 80; rise = 1; fall = 2; }; });
zones = ( { name = "example.com"; } );
services = ( { name = "www.example.com"; sites = ("ams", "f.ra"); } );
)";

struct Loaded {
    std::unique_ptr<config, void (*)(config *)> parsed{nullptr, config_free};
    std::string messages;
};

Loaded load(const std::vector<const char *> &changes)
{
    char name[] = "/tmp/signpost-replay-XXXXXX";
    const int fd = mkstemp(name);
    std::ofstream(name) << text;
    close(fd);
    Loaded l;
    config_errors errors{};
    config *c = nullptr;
    config_load_changed(name, changes.data(), static_cast<unsigned>(changes.size()), &c, &errors);
    l.messages = config_messages(errors);
    config_errors_fini(&errors);
    unlink(name);
    l.parsed.reset(c);
    return l;
}

struct Journal {
    std::string lines = "signpost-journal 1 1000000000000 1700000000000000 1\nsite 0 f.ra\ngroup 0 0 web\nsite 1 ams\n"
                        "group 1 0 web\nsite 2 gone\ngroup 2 0 web\n";
    uint64_t now = 1000000000000;

    void probe(unsigned site, bool is_good)
    {
        evidence_event e{};
        e.at_ns = now;
        e.kind = EVIDENCE_PROBE;
        e.site = static_cast<uint16_t>(site);
        e.result = is_good ? EVIDENCE_UP : EVIDENCE_DOWN;
        e.reason = is_good ? EVIDENCE_REASON_OK : EVIDENCE_REASON_TIMEOUT;
        e.load_permille = -1;
        e.lag_ms = -1;
        char line[EVIDENCE_LINE_CAP];
        evidence_format(line, &e);
        lines += std::string("event ") + line + "\n";
    }
    void pass(uint64_t ms)
    {
        now += ms * 1000000;
    }
};

struct Replayed {
    std::vector<std::string> orders, verdicts;
    replay_summary summary{};
    int rc;

    Replayed(const std::string &lines, const config *c)
    {
        std::unique_ptr<FILE, int (*)(FILE *)> in(fmemopen(const_cast<char *>(lines.data()), lines.size(), "r"),
                                                  fclose);
        rc = replay_run(in.get(), c, take, this, &summary);
    }
    static void take(void *user, const replay_change *change)
    {
        Replayed *r = static_cast<Replayed *>(user);
        if (change->source == REPLAY_NOW && change->is_order)
            r->orders.push_back(change->to);
        else if (change->source == REPLAY_NOW)
            r->verdicts.push_back(std::string(change->name) + " " + change->to);
    }
};

Journal night()
{
    Journal j;
    for (int second = 0; second < 60; second++, j.pass(1000)) {
        j.probe(0, true);
        j.probe(1, second < 20 || second >= 23); // ams fails three times
        j.probe(2, false);
    }
    j.lines += "verdict 1020000000000 ams down group web\norder 1020000000000 www.example.com f.ra\nwhat is this\n";
    return j;
}

TEST(Replay, TheSameConfigurationGivesTheSameChanges)
{
    const Loaded l = load({});
    const Replayed r(night().lines, l.parsed.get());
    EXPECT_EQ(r.rc, 0);
    EXPECT_THAT(r.orders, ElementsAre("ams f.ra", "f.ra", "ams f.ra"));
    EXPECT_EQ(r.summary.recorded_order_changes, 1u);
    EXPECT_EQ(r.summary.recorded_verdict_changes, 1u);
    EXPECT_EQ(r.summary.events, 120u);
    EXPECT_EQ(r.summary.unknown, 61u) << "events of a site that is not there any more, and one line";
}

TEST(Replay, AHigherThresholdWouldHaveKeptTheSite)
{
    const Loaded l = load({"sites.ams.web.fall=4"});
    ASSERT_NE(l.parsed, nullptr) << l.messages;
    const Replayed r(night().lines, l.parsed.get());
    EXPECT_THAT(r.orders, ElementsAre("ams f.ra"));
    EXPECT_EQ(r.summary.order_changes, 1u);
}

TEST(Replay, EvidenceThatStopsGrowsOldAtItsOwnTime)
{
    const Loaded l = load({"sites.ams.web.max_age=5s"});
    ASSERT_NE(l.parsed, nullptr) << l.messages;
    Journal j;
    j.probe(0, true), j.probe(1, true);
    j.pass(60000);
    j.probe(0, false), j.pass(1000), j.probe(0, false);
    const Replayed r(j.lines, l.parsed.get());
    EXPECT_THAT(r.orders, ElementsAre("ams f.ra", "ams"));
}

TEST(Replay, WhatOperatorsSaidOfServicesAndAddressesIsFollowed)
{
    const Loaded l = load({});
    Journal j;
    j.probe(0, true), j.probe(1, true);
    j.pass(1000);
    j.lines += "operator " + std::to_string(j.now) + " service www.example.com/ams drain new disks\n";
    j.pass(1000);
    j.lines += "operator " + std::to_string(j.now) + " service www.example.com/ams auto its time is over\n";
    j.pass(1000);
    j.lines += "operator " + std::to_string(j.now) + " address 192.0.2.2 down \n";
    j.lines += "signpost-journal 1 " + std::to_string(j.now + 1000) +
               " 1700000900000000 2\n"
               "site 0 f.ra\ngroup 0 0 web\nsite 1 ams\ngroup 1 0 web\n"; // a new process, which says nothing of it
    j.pass(1000);
    j.probe(0, true), j.probe(1, true);
    const Replayed r(j.lines, l.parsed.get());
    EXPECT_EQ(r.rc, 0);
    EXPECT_EQ(r.summary.unknown, 0u);
    EXPECT_THAT(r.orders, ElementsAre("ams f.ra", "f.ra", "ams f.ra", "ams", "ams f.ra"));
    for (const char *bad :
         {"operator x service a/b drain\n", "operator 5 planet a drain\n", "operator 5 service a/b left\n"})
        EXPECT_EQ(Replayed(night().lines + bad, l.parsed.get()).summary.unknown, 62u) << bad;
}

TEST(Replay, WhatIsNoJournalIsRefused)
{
    const Loaded l = load({});
    EXPECT_EQ(Replayed("hello\n", l.parsed.get()).rc, -EINVAL);
    EXPECT_EQ(Replayed("event 1 0 0 0 0 1 1 0 0 0 0 0 \n", l.parsed.get()).rc, -EINVAL);
    std::string noise;
    for (unsigned i = 0; i < 100000; i++)
        noise += static_cast<char>(i * 7919 >> 3);
    EXPECT_EQ(Replayed(noise, l.parsed.get()).rc, -EINVAL);
}

TEST(ConfigChange, SetsAddsAndNamesElements)
{
    const Loaded l = load({"sites.1.web.fall=7", "sites.f.ra.dwell=9s", "services.www.example.com.ttl=77",
                           "heartbeat.periods=5", "sites.ams.description=two words"});
    if (!l.parsed) { // there is no section heartbeat to change
        EXPECT_THAT(l.messages, HasSubstr("heartbeat.periods=5"));
    }
    const Loaded without = load({"sites.1.web.fall=7", "sites.f.ra.dwell=9s", "services.www.example.com.ttl=77",
                                 "sites.ams.description=two words"});
    ASSERT_NE(without.parsed, nullptr) << without.messages;
    EXPECT_EQ(without.parsed->sites[1].groups[0].fall, 7u);
    EXPECT_EQ(without.parsed->sites[1].dwell_ns, 9000000000u);
    EXPECT_EQ(without.parsed->services[0].ttl_s, 77u);
    EXPECT_STREQ(without.parsed->sites[0].description, "two words");
}

TEST(ConfigChange, SaysWhatIsWrong)
{
    const struct {
        const char *change, *message;
    } rows[] = {{"nonsense", "wanted: PATH=VALUE"},
                {"=5", "wanted: PATH=VALUE"},
                {"sites.nyc.web.fall=5", "names nothing"},
                {"sites.ams.web.fall=", "allowed: a whole number"},
                {"sites.ams.web.fal=5", "unknown key"},
                {"sites.ams.web.fall=0", "allowed"},
                {"sites.fall=5", "does not lead to a section"}};
    for (const auto &row : rows) {
        const Loaded l = load({row.change});
        EXPECT_EQ(l.parsed, nullptr) << row.change;
        EXPECT_THAT(l.messages, HasSubstr(row.message)) << row.change;
    }
}

} // namespace
