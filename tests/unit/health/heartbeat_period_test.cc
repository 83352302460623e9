// SPDX-License-Identifier: Apache-2.0
#include "health/heartbeat_period.h"

#include <gtest/gtest.h>

namespace
{

constexpr uint64_t MS = 1000000;
const heartbeat_rule rule = {100 * MS, 3};

struct Node {
    heartbeat_period p{};
    void message(uint64_t at_ms)
    {
        heartbeat_period_message(&p, &rule, at_ms * MS);
    }
    bool heard(uint64_t at_ms)
    {
        return heartbeat_period_is_heard(&p, &rule, at_ms * MS);
    }
    bool doubt(uint64_t at_ms) const
    {
        return heartbeat_period_is_in_doubt(&p, &rule, at_ms * MS);
    }
};

TEST(HeartbeatPeriod, IsHeardOnceEachPeriodInARowHadAMessage)
{
    Node n;
    n.message(1000);
    EXPECT_FALSE(n.heard(1000));
    n.message(1150);
    EXPECT_FALSE(n.heard(1150));
    n.message(1200);
    EXPECT_TRUE(n.heard(1200));
}

TEST(HeartbeatPeriod, ManyMessagesInOnePeriodAreOnePeriod)
{
    Node n;
    for (uint64_t at = 1000; at < 1100; at += 5)
        n.message(at);
    EXPECT_FALSE(n.heard(1099));
}

TEST(HeartbeatPeriod, AnEmptyPeriodStartsTheCountAnew)
{
    Node n;
    n.message(1000);
    n.message(1150);
    n.message(1310); // 1200 to 1299 was empty
    EXPECT_FALSE(n.heard(1310));
    n.message(1420);
    EXPECT_FALSE(n.heard(1420));
    n.message(1520);
    EXPECT_TRUE(n.heard(1520));
}

TEST(HeartbeatPeriod, FallsAfterAllPeriodsWithoutAMessageAndNotBefore)
{
    Node n;
    for (uint64_t at = 1000; at <= 1300; at += 50)
        n.message(at);
    EXPECT_TRUE(n.heard(1599));
    EXPECT_FALSE(n.heard(1600));
    n.message(1610);
    EXPECT_FALSE(n.heard(1610)) << "coming back takes as many periods as the first time";
}

TEST(HeartbeatPeriod, OneEmptyPeriodIsADoubtOnly)
{
    Node n;
    for (uint64_t at = 1000; at <= 1300; at += 50)
        n.message(at);
    EXPECT_FALSE(n.doubt(1399));
    EXPECT_TRUE(n.doubt(1400));
    EXPECT_TRUE(n.heard(1400));
    n.message(1410);
    EXPECT_FALSE(n.doubt(1410));
}

TEST(HeartbeatPeriod, MessagesOfThePastChangeNothing)
{
    Node n;
    for (uint64_t at = 1000; at <= 1300; at += 50)
        n.message(at);
    n.message(900);
    n.message(1300);
    EXPECT_EQ(n.p.last_ns, 1300 * MS);
    EXPECT_FALSE(n.heard(1600));
}

TEST(HeartbeatPeriod, NeverHeardIsNotHeardAndInDoubtForTheClocksWholeLife)
{
    Node n;
    EXPECT_FALSE(n.heard(1));
    EXPECT_TRUE(n.doubt(1000000));
}

TEST(HeartbeatPeriod, TheListenersOwnLatenessIsForgiven)
{
    Node n;
    for (uint64_t at = 1000; at <= 1300; at += 50)
        n.message(at);
    heartbeat_period_forgive(&n.p, 5000 * MS);
    EXPECT_TRUE(n.heard(6599));
    EXPECT_FALSE(n.heard(6600));
    Node never;
    heartbeat_period_forgive(&never.p, 5000 * MS);
    EXPECT_EQ(never.p.last_ns, 0u);
}

TEST(HeartbeatPeriod, ANodeThatIsHeardStaysSoWhileEveryOtherMessageIsLost)
{
    Node n;
    for (uint64_t at = 1000; at <= 1300; at += 50)
        n.message(at);
    for (uint64_t at = 1400; at < 60000; at += 100) { // each 50 ms, every other one lost, 5 ms late now and then
        n.message(at + at / 100 % 3 * 5);
        EXPECT_TRUE(n.heard(at + 99)) << at;
    }
}

} // namespace
