// SPDX-License-Identifier: Apache-2.0
// The engine: from events and time to verdicts. The combinations of evidence stand in verdict_rules_test.cc.
#include "health/verdict.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace
{

constexpr uint64_t MS = 1000000, SECOND = 1000 * MS;

// Two sites: 0 is our own with a group of two web servers (one is enough), 1 the other's, with the same and a database
// page, a balancer without a vote, one node whose heartbeats are required.
struct World {
    verdict_group_config group[2][3]{};
    verdict_balancer_config balancer[1]{};
    verdict_site_config site[2]{};
    verdict_view_config view[1]{};
    verdict_config config{};
    std::unique_ptr<verdict_engine, void (*)(verdict_engine *)> engine{nullptr, verdict_free};
    uint64_t now = 1000 * SECOND;

    World()
    {
        for (int s = 0; s < 2; s++) {
            strcpy(site[s].name, s ? "fra" : "ams");
            strcpy(group[s][0].name, "web");
            strcpy(group[s][1].name, "database");
            strcpy(group[s][2].name, "extra");
            for (auto &g : group[s]) {
                g.is_required = true;
                g.need = 1;
                g.member_count = 2;
                g.rise = 2;
                g.fall = 3;
                g.max_age_ns = 5 * SECOND;
                g.identity = static_cast<uint64_t>(&g - group[s]) + 1;
            }
            group[s][1].is_page = true;
            group[s][1].member_count = 1;
            site[s].group = group[s];
            site[s].group_count = s ? 2 : 1;
            site[s].dwell_ns = SECOND;
        }
        balancer[0] = {VERDICT_BALANCER_LOAD_ONLY, 1, 1, 5 * SECOND, 1};
        site[0].is_self = true;
        site[1].balancer = balancer;
        site[1].balancer_count = 1;
        site[1].node_count = 1;
        site[1].nodes_need = 1;
        config.site = site;
        config.site_count = 2;
        config.heartbeat = {100 * MS, 3};
        config.start_wait_ns = 3 * SECOND;
        config.voice_site[0] = 1;
        config.voice_site[1] = -1;
        config.voice_count = 2;
    }
    void start()
    {
        engine.reset(verdict_new(&config, now));
        ASSERT_NE(engine, nullptr);
    }
    evidence_event event(evidence_kind kind, unsigned at) const
    {
        evidence_event e{};
        e.at_ns = now;
        e.kind = kind;
        e.site = static_cast<uint16_t>(at);
        e.load_permille = -1;
        e.lag_ms = -1;
        return e;
    }
    void take(const evidence_event &e)
    {
        verdict_event(engine.get(), &e);
    }
    void probe(unsigned at, unsigned group_at, unsigned member, bool is_good)
    {
        evidence_event e = event(EVIDENCE_PROBE, at);
        e.group = static_cast<uint16_t>(group_at);
        e.member = static_cast<uint16_t>(member);
        e.result = is_good ? EVIDENCE_UP : EVIDENCE_DOWN;
        e.reason = is_good ? EVIDENCE_REASON_OK : EVIDENCE_REASON_REFUSED;
        e.response_ns = is_good ? 2 * MS : 0;
        take(e);
    }
    void indication(bool is_good, int load = -1)
    {
        evidence_event e = event(EVIDENCE_BALANCER, 1);
        e.result = is_good ? EVIDENCE_UP : EVIDENCE_DOWN;
        e.reason = is_good ? EVIDENCE_REASON_OK : EVIDENCE_REASON_BALANCER_DOWN;
        e.load_permille = load;
        take(e);
    }
    void heartbeat()
    {
        take(event(EVIDENCE_HEARTBEAT, 1));
    }
    void word(unsigned voice, unsigned at, evidence_result result, evidence_operator op = OPERATOR_AUTO)
    {
        evidence_event e = event(EVIDENCE_WORD, at);
        e.group = static_cast<uint16_t>(voice);
        e.result = result;
        e.operator_state = op;
        take(e);
    }
    void say(unsigned at, evidence_operator op, uint64_t duration_ns = 0)
    {
        evidence_event e = event(EVIDENCE_OPERATOR, at);
        e.operator_state = op;
        e.duration_ns = duration_ns;
        strcpy(e.detail, "works");
        take(e);
    }
    bool tick()
    {
        return verdict_tick(engine.get(), now);
    }
    const verdict_site &see(unsigned at)
    {
        tick();
        return *verdict_of_site(engine.get(), at);
    }
    // Good probes once a second and heartbeats each 50 ms.
    void pass(uint64_t duration_ns, bool has_probes = true, bool has_heartbeats = true)
    {
        for (const uint64_t end = now + duration_ns; now < end; now += 50 * MS) {
            if (has_probes && now / MS % 1000 == 0)
                all_good();
            if (has_heartbeats)
                heartbeat();
            tick();
        }
    }
    void all_good()
    {
        for (unsigned m = 0; m < 2; m++) {
            probe(0, 0, m, true);
            probe(1, 0, m, true);
        }
        probe(1, 1, 0, true);
    }
    void settle()
    {
        start();
        all_good();
        pass(5 * SECOND);
        ASSERT_EQ(see(0).state, VERDICT_UP);
        ASSERT_EQ(see(1).state, VERDICT_UP);
    }
};

TEST(Verdict, StartsUnknownAndIsUpWithTheFirstRoundOfEvidence)
{
    World w;
    w.start();
    EXPECT_EQ(w.see(0).state, VERDICT_UNKNOWN);
    EXPECT_EQ(w.see(0).reason, VERDICT_REASON_STARTING);
    EXPECT_FALSE(verdict_is_ready(w.engine.get(), w.now));
    w.all_good();
    EXPECT_EQ(w.see(0).state, VERDICT_UP);
    EXPECT_EQ(w.see(1).state, VERDICT_UNKNOWN) << "no heartbeat in each of the periods yet";
    w.pass(250 * MS);
    EXPECT_EQ(w.see(1).state, VERDICT_UP);
    EXPECT_TRUE(verdict_is_ready(w.engine.get(), w.now));
}

TEST(Verdict, EvidenceThatIsMissingAfterTheStartUpWaitCountsAsBad)
{
    World w;
    w.start();
    w.pass(2950 * MS, false, false);
    EXPECT_EQ(w.see(0).state, VERDICT_UNKNOWN);
    w.pass(100 * MS, false, false);
    EXPECT_EQ(w.see(0).state, VERDICT_DOWN);
    EXPECT_EQ(w.see(0).reason, VERDICT_REASON_EVIDENCE_MISSING);
    EXPECT_EQ(w.see(1).state, VERDICT_DOWN);
    EXPECT_TRUE(verdict_is_ready(w.engine.get(), w.now));
}

TEST(Verdict, AnotherNodesWordServesWhileOwnEvidenceHasYetToCome)
{
    World w;
    w.start();
    w.word(1, 0, EVIDENCE_UP);
    EXPECT_EQ(w.see(0).state, VERDICT_UP);
    EXPECT_EQ(w.see(0).reason, VERDICT_REASON_PEER_WORD);
    EXPECT_TRUE(w.see(0).is_in_doubt);
    w.probe(0, 0, 0, false);
    w.probe(0, 0, 1, false);
    w.pass(SECOND, false);
    EXPECT_EQ(w.see(0).state, VERDICT_DOWN) << "own evidence wins as soon as it is there";
}

TEST(Verdict, GroupsAreJoinedByAndAndNeedKOfNInside)
{
    World w;
    w.settle();
    for (int i = 0; i < 3; i++, w.pass(SECOND, false))
        w.probe(1, 0, 0, false), w.probe(1, 0, 1, true), w.probe(1, 1, 0, true);
    EXPECT_EQ(w.see(1).state, VERDICT_UP) << "one web server of two is enough";
    for (int i = 0; i < 3; i++, w.pass(SECOND, false))
        w.probe(1, 0, 1, true), w.probe(1, 1, 0, false);
    EXPECT_EQ(w.see(1).state, VERDICT_DOWN);
    EXPECT_EQ(w.see(1).reason, VERDICT_REASON_PAGE_DOWN);
    EXPECT_EQ(w.see(1).group, 1);
    EXPECT_EQ(w.see(1).evidence, EVIDENCE_REASON_REFUSED);
}

TEST(Verdict, FallsAfterFallBadResultsAndRisesAfterRiseGoodOnes)
{
    World w;
    w.settle();
    w.probe(0, 0, 1, false), w.probe(0, 0, 1, false), w.probe(0, 0, 1, false);
    w.probe(0, 0, 0, false);
    w.probe(0, 0, 0, false);
    EXPECT_EQ(w.see(0).state, VERDICT_UP);
    EXPECT_TRUE(w.see(0).is_in_doubt) << "the TTL falls with the first failed probe";
    w.probe(0, 0, 0, false);
    EXPECT_EQ(w.see(0).state, VERDICT_DOWN);
    EXPECT_EQ(w.see(0).reason, VERDICT_REASON_GROUP_DOWN);
    w.pass(2 * SECOND, false);
    w.probe(0, 0, 0, true);
    EXPECT_EQ(w.see(0).state, VERDICT_DOWN);
    w.probe(0, 0, 0, true);
    EXPECT_EQ(w.see(0).state, VERDICT_UP);
}

TEST(Verdict, AFailureBetweenGoodResultsStartsTheCountAnew)
{
    World w;
    w.settle();
    for (int i = 0; i < 20; i++)
        for (unsigned m = 0; m < 2; m++)
            w.probe(0, 0, m, false), w.probe(0, 0, m, false), w.probe(0, 0, m, true);
    EXPECT_EQ(w.see(0).state, VERDICT_UP);
}

TEST(Verdict, SilenceOfTheNodeTakesTheSiteDownAfterAllPeriodsAndDoubtsAfterOne)
{
    World w;
    w.settle();
    const uint64_t last = w.now;
    w.heartbeat();
    w.now = last + 99 * MS;
    EXPECT_FALSE(w.see(1).is_in_doubt);
    w.now = last + 100 * MS;
    EXPECT_TRUE(w.see(1).is_in_doubt);
    w.now = last + 299 * MS;
    EXPECT_EQ(w.see(1).state, VERDICT_UP);
    w.now = last + 300 * MS;
    EXPECT_EQ(w.see(1).state, VERDICT_DOWN);
    EXPECT_EQ(w.see(1).reason, VERDICT_REASON_HEARTBEAT_LOST);
    EXPECT_EQ(w.see(1).heartbeat_age_ns, 300 * MS);
}

TEST(Verdict, WhatFellDueSinceTheLastTickIsStillToBeLookedAt)
{
    World w;
    w.settle();
    const uint64_t last = w.now;
    w.heartbeat();
    w.now = last + 300 * MS - 1; // a timer that came a moment early
    w.tick();
    EXPECT_EQ(verdict_next_deadline_ns(w.engine.get(), w.now), last + 300 * MS);
    w.now += 10; // while what was decided is written down, the moment passes
    EXPECT_EQ(verdict_next_deadline_ns(w.engine.get(), w.now), last + 300 * MS) << "else nobody looks until an event";
    EXPECT_EQ(w.see(1).state, VERDICT_DOWN);
    EXPECT_GT(verdict_next_deadline_ns(w.engine.get(), w.now), w.now);
}

TEST(Verdict, AThirdNodeThatHearsTheSiteExcusesABrokenLink)
{
    World w;
    w.settle();
    w.word(1, 1, EVIDENCE_UP);
    for (int i = 0; i < 20; i++, w.now += 50 * MS) {
        w.word(1, 1, EVIDENCE_UP);
        w.tick();
    }
    EXPECT_EQ(w.see(1).state, VERDICT_UP);
    EXPECT_EQ(w.see(1).reason, VERDICT_REASON_WITNESSED);
    EXPECT_TRUE(w.see(1).is_in_doubt);
    w.now += 300 * MS;
    EXPECT_EQ(w.see(1).state, VERDICT_DOWN) << "a witness that fell silent says nothing";
}

TEST(Verdict, TheSitesOwnNodeIsNoWitnessOfItself)
{
    World w;
    w.settle();
    for (int i = 0; i < 20; i++, w.now += 50 * MS) {
        w.word(0, 1, EVIDENCE_UP);
        w.tick();
    }
    EXPECT_EQ(w.see(1).state, VERDICT_DOWN);
}

TEST(Verdict, ADrainAtTheSitesOwnNodeIsFollowedAtOnce)
{
    World w;
    w.settle();
    w.word(0, 1, EVIDENCE_UNKNOWN, OPERATOR_DRAIN);
    EXPECT_EQ(w.see(1).state, VERDICT_DRAIN);
    EXPECT_EQ(w.see(1).reason, VERDICT_REASON_PEER_DRAIN);
    EXPECT_FALSE(w.see(1).is_in_doubt);
    w.word(0, 1, EVIDENCE_UP);
    EXPECT_EQ(w.see(1).state, VERDICT_UP) << "no dwell after an operator's word";
}

TEST(Verdict, AStallForgivesAllSilence)
{
    World w;
    w.settle();
    w.now += 20 * SECOND;
    evidence_event e = w.event(EVIDENCE_STALL, 0);
    e.duration_ns = 20 * SECOND;
    w.take(e);
    EXPECT_EQ(w.see(0).state, VERDICT_UP);
    EXPECT_EQ(w.see(1).state, VERDICT_UP);
    EXPECT_EQ(w.see(1).reason, VERDICT_REASON_GOOD);
}

TEST(Verdict, FiguresOfOurOwnSiteAreNoSignOfLifeOfItsServers)
{
    World w;
    w.settle();
    evidence_event e = w.event(EVIDENCE_FIGURES, 0);
    e.lag_ms = 1234;
    EXPECT_FALSE(verdict_event(w.engine.get(), &e));
    w.tick();
    EXPECT_EQ(w.see(0).lag_ms, 1234);
    EXPECT_TRUE(w.see(0).is_confirmed);
    w.take(w.event(EVIDENCE_STALL, 0));
    w.now += 100 * MS;
    w.take(w.event(EVIDENCE_FIGURES, 0));
    w.tick();
    EXPECT_EQ(w.see(0).lag_ms, -1) << "not known any more";
    EXPECT_FALSE(w.see(0).is_confirmed);
}

TEST(Verdict, EvidenceThatGrewOldLeavesTheVerdictAsItWas)
{
    World w;
    w.settle();
    w.pass(10 * SECOND, false);
    EXPECT_EQ(w.see(1).state, VERDICT_UP);
    EXPECT_EQ(w.see(1).reason, VERDICT_REASON_EVIDENCE_OLD);
    EXPECT_TRUE(w.see(1).is_in_doubt);
    w.pass(400 * MS, false, false);
    EXPECT_EQ(w.see(1).state, VERDICT_DOWN) << "other evidence still decides";
}

TEST(Verdict, ABalancersIndication)
{
    World w;
    w.balancer[0].role = VERDICT_BALANCER_REQUIRED;
    w.start();
    w.all_good();
    w.pass(300 * MS);
    EXPECT_EQ(w.see(1).state, VERDICT_UNKNOWN) << "its first indication is waited for";
    w.indication(true, 300);
    EXPECT_EQ(w.see(1).state, VERDICT_UP);
    EXPECT_EQ(w.see(1).load_permille, 300);
    w.pass(SECOND);
    w.indication(false, 990);
    EXPECT_EQ(w.see(1).state, VERDICT_DOWN);
    EXPECT_EQ(w.see(1).reason, VERDICT_REASON_BALANCER_DOWN);
    w.pass(10 * SECOND);
    EXPECT_EQ(w.see(1).state, VERDICT_UP) << "an old indication is unknown, not down";
    EXPECT_EQ(w.see(1).reason, VERDICT_REASON_BALANCER_SILENT);
}

TEST(Verdict, AnAlternativeBalancerSufficesWhenTheProbesFail)
{
    World w;
    w.balancer[0].role = VERDICT_BALANCER_ALTERNATIVE;
    w.settle();
    for (int i = 0; i < 3; i++)
        w.probe(1, 0, 0, false), w.probe(1, 0, 1, false);
    w.indication(true);
    EXPECT_EQ(w.see(1).state, VERDICT_UP);
    w.indication(false);
    EXPECT_EQ(w.see(1).state, VERDICT_DOWN);
    EXPECT_EQ(w.see(1).reason, VERDICT_REASON_GROUP_DOWN);
}

TEST(Verdict, AVerdictStaysForItsDwellTime)
{
    World w;
    w.site[0].dwell_ns = 10 * SECOND;
    w.settle();
    w.pass(10 * SECOND);
    for (int i = 0; i < 3; i++)
        w.probe(0, 0, 0, false), w.probe(0, 0, 1, false);
    EXPECT_EQ(w.see(0).state, VERDICT_DOWN);
    w.pass(9 * SECOND);
    EXPECT_EQ(w.see(0).state, VERDICT_DOWN);
    w.pass(1100 * MS);
    EXPECT_EQ(w.see(0).state, VERDICT_UP);
}

TEST(Verdict, ComingBackWaitsForTheFailBackDelayOfUnbrokenGoodEvidence)
{
    World w;
    w.site[0].fail_back_delay_ns = 5 * SECOND;
    w.settle();
    const auto fail = [&] {
        for (int i = 0; i < 3; i++)
            w.probe(0, 0, 0, false), w.probe(0, 0, 1, false);
    };
    fail();
    EXPECT_EQ(w.see(0).state, VERDICT_DOWN);
    w.pass(5 * SECOND);
    EXPECT_EQ(w.see(0).state, VERDICT_DOWN);
    EXPECT_EQ(w.see(0).reason, VERDICT_REASON_FAIL_BACK_DELAY);
    fail();
    w.tick();
    w.pass(5 * SECOND);
    EXPECT_EQ(w.see(0).state, VERDICT_DOWN) << "the wait began anew";
    w.pass(3 * SECOND);
    EXPECT_EQ(w.see(0).state, VERDICT_UP);
    EXPECT_GT(w.see(0).came_up_ns, 0u);
}

TEST(Verdict, ManualFailBackWaitsForAnOperator)
{
    World w;
    w.site[0].is_fail_back_manual = true;
    w.settle();
    for (int i = 0; i < 3; i++)
        w.probe(0, 0, 0, false), w.probe(0, 0, 1, false);
    w.tick();
    w.pass(60 * SECOND);
    EXPECT_EQ(w.see(0).state, VERDICT_DOWN);
    EXPECT_EQ(w.see(0).reason, VERDICT_REASON_FAIL_BACK_MANUAL);
    w.say(0, OPERATOR_AUTO);
    EXPECT_EQ(w.see(0).state, VERDICT_UP);
}

TEST(Verdict, AnOperatorsStateExpiresByItself)
{
    World w;
    w.settle();
    w.say(0, OPERATOR_DRAIN, 2 * SECOND);
    EXPECT_EQ(w.see(0).state, VERDICT_DRAIN);
    EXPECT_STREQ(w.see(0).detail, "works");
    EXPECT_LE(verdict_next_deadline_ns(w.engine.get(), w.now), w.now + 2 * SECOND);
    w.pass(1900 * MS);
    EXPECT_EQ(w.see(0).state, VERDICT_DRAIN);
    w.pass(200 * MS);
    EXPECT_EQ(w.see(0).state, VERDICT_UP);
    EXPECT_STREQ(w.see(0).detail, "");
}

TEST(Verdict, AViewLooksAtItsOwnGroupsOnly)
{
    World w;
    w.view[0] = {1, 77}; // web only
    w.site[1].view = w.view;
    w.site[1].view_count = 1;
    w.settle();
    ASSERT_EQ(verdict_view_count(w.engine.get()), 3u);
    for (int i = 0; i < 3; i++)
        w.probe(1, 1, 0, false);
    EXPECT_EQ(w.see(1).state, VERDICT_DOWN);
    EXPECT_EQ(verdict_view(w.engine.get(), 1)->state, VERDICT_DOWN);
    EXPECT_EQ(verdict_view(w.engine.get(), 2)->state, VERDICT_UP);
    EXPECT_EQ(verdict_view(w.engine.get(), 3), nullptr);
    w.pass(400 * MS, false, false);
    EXPECT_EQ(verdict_view(w.engine.get(), 2)->state, VERDICT_DOWN) << "heartbeats are of the whole site";
}

TEST(Verdict, AReconfigurationKeepsWhatIsUnchangedAndForgetsWhatIsGone)
{
    World w;
    w.settle();
    for (int i = 0; i < 3; i++)
        w.probe(0, 0, 0, false), w.probe(0, 0, 1, false);
    w.say(1, OPERATOR_DRAIN);
    w.tick();
    std::swap(w.site[0], w.site[1]); // another order
    w.config.voice_site[0] = 0;
    ASSERT_EQ(verdict_reconfigure(w.engine.get(), &w.config, w.now), 0);
    EXPECT_EQ(w.see(0).state, VERDICT_DRAIN);
    EXPECT_EQ(w.see(1).state, VERDICT_DOWN);
    EXPECT_EQ(w.see(1).reason, VERDICT_REASON_GROUP_DOWN);
    strcpy(w.site[1].name, "new");
    ASSERT_EQ(verdict_reconfigure(w.engine.get(), &w.config, w.now), 0);
    EXPECT_EQ(w.see(1).state, VERDICT_UNKNOWN);
}

TEST(Verdict, ANewGroupIsWaitedForBeforeItCounts)
{
    World w;
    w.settle();
    w.site[0].group_count = 3;
    ASSERT_EQ(verdict_reconfigure(w.engine.get(), &w.config, w.now), 0);
    EXPECT_EQ(w.see(0).state, VERDICT_UP) << "a verdict once given does not go back to unknown";
    w.pass(2900 * MS);
    EXPECT_EQ(w.see(0).state, VERDICT_UP);
    w.pass(200 * MS);
    EXPECT_EQ(w.see(0).state, VERDICT_DOWN);
}

TEST(Verdict, RefusesConfigurationsOutsideItsLimits)
{
    World w;
    w.start();
    w.group[0][0].need = 3;
    EXPECT_EQ(verdict_new(&w.config, 0), nullptr);
    EXPECT_EQ(verdict_reconfigure(w.engine.get(), &w.config, w.now), -EINVAL);
    w.group[0][0].need = 1;
    w.group[0][0].rise = 0;
    EXPECT_EQ(verdict_new(&w.config, 0), nullptr);
    w.group[0][0].rise = 1;
    w.config.heartbeat.period_ns = 0;
    EXPECT_EQ(verdict_new(&w.config, 0), nullptr);
}

TEST(Verdict, EventsOutsideTheConfigurationAreIgnored)
{
    World w;
    w.settle();
    evidence_event e = w.event(EVIDENCE_PROBE, 9);
    EXPECT_FALSE(verdict_event(w.engine.get(), &e));
    e.site = 0, e.group = 7;
    EXPECT_FALSE(verdict_event(w.engine.get(), &e));
    e.group = 0, e.member = 9;
    EXPECT_FALSE(verdict_event(w.engine.get(), &e));
    e = w.event(EVIDENCE_HEARTBEAT, 1), e.group = 5;
    EXPECT_FALSE(verdict_event(w.engine.get(), &e));
    e = w.event(EVIDENCE_WORD, 1), e.group = 99;
    EXPECT_FALSE(verdict_event(w.engine.get(), &e));
    e = w.event(EVIDENCE_BALANCER, 0);
    EXPECT_FALSE(verdict_event(w.engine.get(), &e));
}

TEST(Verdict, TheDeadlineIsNeverMissed)
{
    World w;
    w.settle();
    const uint64_t deadline = verdict_next_deadline_ns(w.engine.get(), w.now);
    for (uint64_t last = w.now; w.now < last + 6 * SECOND; w.now += MS) {
        const uint64_t due = verdict_next_deadline_ns(w.engine.get(), w.now - MS);
        const bool is_changed = w.tick();
        EXPECT_TRUE(!is_changed || due <= w.now) << "something changed before it was announced";
    }
    EXPECT_GT(deadline, 0u);
}

// Random events: the same ones give the same verdicts, no verdict changes twice within its dwell time by evidence, and
// each verdict has a reason that fits.
TEST(Verdict, IsAFunctionOfEventsAndTimeAndNeverFlapsFasterThanItsDwell)
{
    for (unsigned seed = 1; seed <= 200; seed++) {
        World a, b;
        a.balancer[0].role = b.balancer[0].role = static_cast<verdict_balancer_role>(seed % 3);
        a.start(), b.start();
        std::mt19937 generator(seed);
        const auto random = [&] { return static_cast<unsigned>(generator()); };
        uint64_t since[2] = {0, 0};
        for (int step = 0; step < 600; step++) {
            const unsigned what = random() % 16, at = random() % 2, good = random() % 3;
            for (World *w : {&a, &b}) {
                if (what < 8)
                    w->probe(at, what % 2, what / 2 % 2, good != 0);
                else if (what < 13)
                    w->heartbeat();
                else if (what == 13)
                    w->indication(good != 0, static_cast<int>(good) * 300);
                else if (what == 14)
                    w->word(at, 1, static_cast<evidence_result>(good));
            }
            const uint64_t passed = (random() % 120) * MS;
            a.now += passed, b.now += passed;
            for (unsigned s = 0; s < 2; s++) {
                const verdict_state before = verdict_of_site(a.engine.get(), s)->state;
                const verdict_site &one = a.see(s), &other = b.see(s);
                ASSERT_EQ(memcmp(&one, &other, sizeof one), 0) << "seed " << seed << " step " << step;
                if (one.state != before) {
                    ASSERT_TRUE(before == VERDICT_UNKNOWN || a.now - since[s] >= SECOND)
                        << "seed " << seed << " step " << step;
                    since[s] = a.now;
                }
                if (one.state == VERDICT_UP && !one.is_in_doubt) {
                    ASSERT_EQ(one.reason, VERDICT_REASON_GOOD) << "seed " << seed << " step " << step;
                }
                ASSERT_NE(one.state, VERDICT_DRAIN);
            }
        }
    }
}

} // namespace
