// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

extern "C" {
#include "dataplane/port_watch.h"
}

namespace
{

constexpr uint64_t SECOND = 1000000000;

struct Watch : testing::Test {
    port_watch w{};
    port_sample s{};
    port_findings f{};
    uint64_t now = 1000 * SECOND;

    Watch()
    {
        s.is_up = true;
        port_watch_init(&w, now, true);
        look();
    }
    void look(uint64_t seconds = 1)
    {
        now += seconds * SECOND;
        port_watch_look(&w, now, &s, &f);
    }
    // True when a reset was asked for within so many seconds of growing trouble without progress.
    unsigned seconds_to_reset(port_trouble trouble, unsigned most)
    {
        for (unsigned i = 1; i <= most; i++) {
            s.trouble[trouble] += 100;
            look();
            if (f.needs_reset)
                return i;
        }
        return 0;
    }
};

TEST_F(Watch, ToldTroubleRestsForAMinuteAndThenComesWithItsSum)
{
    s.trouble[PORT_TROUBLE_MISSED] = 5;
    look();
    EXPECT_EQ(f.trouble[PORT_TROUBLE_MISSED], 5u) << "at once";
    uint64_t lines = 0, sum = 0;
    for (unsigned i = 0; i < 120; i++) {
        s.trouble[PORT_TROUBLE_MISSED] += 10;
        look();
        lines += f.trouble[PORT_TROUBLE_MISSED] != 0;
        sum += f.trouble[PORT_TROUBLE_MISSED];
    }
    EXPECT_EQ(lines, 2u);
    look(60);
    EXPECT_EQ(sum + f.trouble[PORT_TROUBLE_MISSED], 1200u) << "nothing is left out of the sums";
}

TEST_F(Watch, TroublesAreToldIndependently)
{
    s.trouble[PORT_TROUBLE_TX_FULL] = 1;
    look();
    s.trouble[PORT_TROUBLE_ERRORS] = 2;
    look();
    EXPECT_EQ(f.trouble[PORT_TROUBLE_ERRORS], 2u);
    EXPECT_EQ(f.trouble[PORT_TROUBLE_TX_FULL], 0u);
}

TEST_F(Watch, AQuietPortIsNeverTold)
{
    for (unsigned i = 0; i < 100; i++) {
        look();
        for (uint64_t count : f.trouble)
            EXPECT_EQ(count, 0u);
        EXPECT_EQ(f.link_changes, 0u);
        EXPECT_FALSE(f.needs_reset);
    }
}

TEST_F(Watch, AFlappingLinkIsToldEveryTenSecondsWithTheNumberOfChanges)
{
    s.is_up = false;
    look();
    EXPECT_EQ(f.link_changes, 1u) << "the first change at once";
    uint64_t lines = 0, sum = 0;
    for (unsigned i = 0; i < 40; i++) {
        s.is_up = !s.is_up;
        look();
        lines += f.link_changes != 0;
        sum += f.link_changes;
    }
    EXPECT_EQ(lines, 4u);
    look(10);
    EXPECT_EQ(sum + f.link_changes, 40u);
}

TEST_F(Watch, WhatHappensBeforeTheFirstLookIsTold)
{
    port_watch_init(&w, now, true);
    s.is_up = false;
    s.trouble[PORT_TROUBLE_MISSED] = 3;
    look();
    EXPECT_EQ(f.link_changes, 1u) << "it was told up, and it is down";
    EXPECT_EQ(f.trouble[PORT_TROUBLE_MISSED], 3u);
    port_watch_init(&w, now, false);
    look();
    EXPECT_EQ(f.link_changes, 0u) << "it was told down, and it is";
}

TEST_F(Watch, ACardThatTakesNothingForTenSecondsIsReset)
{
    EXPECT_EQ(seconds_to_reset(PORT_TROUBLE_TX_FULL, 30), 10u);
}

TEST_F(Watch, ACardThatFindsNoBuffersForTenSecondsIsReset)
{
    EXPECT_EQ(seconds_to_reset(PORT_TROUBLE_NO_BUFFER, 30), 10u);
}

TEST_F(Watch, ResetsAreAMinuteApart)
{
    ASSERT_NE(seconds_to_reset(PORT_TROUBLE_TX_FULL, 30), 0u);
    EXPECT_EQ(seconds_to_reset(PORT_TROUBLE_TX_FULL, 100), 60u);
}

TEST_F(Watch, ACardThatTakesSomethingIsNotStuck)
{
    for (unsigned i = 0; i < 60; i++) {
        s.trouble[PORT_TROUBLE_TX_FULL] += 1000;
        s.sent++;
        look();
        EXPECT_FALSE(f.needs_reset);
    }
}

TEST_F(Watch, AFullRingWithoutALinkIsAsItShouldBe)
{
    s.is_up = false;
    EXPECT_EQ(seconds_to_reset(PORT_TROUBLE_TX_FULL, 60), 0u);
    s.is_up = true;
    EXPECT_EQ(seconds_to_reset(PORT_TROUBLE_TX_FULL, 60), 11u) << "counted from when the link was seen up twice";
}

TEST_F(Watch, FloodsThatAreNotStuckAreNotReset)
{
    EXPECT_EQ(seconds_to_reset(PORT_TROUBLE_MISSED, 60), 0u);
    EXPECT_EQ(seconds_to_reset(PORT_TROUBLE_KERNEL, 60), 0u);
}

TEST_F(Watch, ResetsThatADriverAsksForAgainAndAgainAreToldOnceAMinute)
{
    uint64_t told = 0, times = 0;
    for (unsigned i = 0; i < 180; i++)
        if (const uint64_t n = port_watch_tell_reset(&w, i * SECOND)) {
            told += n;
            times++;
        }
    EXPECT_EQ(times, 3u);
    EXPECT_EQ(told, 121u) << "each is in one of the sums, up to the last that was told";
    EXPECT_EQ(port_watch_tell_reset(&w, 180 * SECOND), 60u);
}

TEST_F(Watch, EveryTroubleHasAText)
{
    for (int t = 0; t < PORT_TROUBLE_COUNT; t++)
        EXPECT_GT(std::string(port_trouble_text(static_cast<port_trouble>(t))).size(), 20u);
}

} // namespace
