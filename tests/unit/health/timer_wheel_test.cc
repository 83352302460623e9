// SPDX-License-Identifier: Apache-2.0
#include "health/timer_wheel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace
{

struct Timer : wheel_timer {
    std::vector<unsigned> *fired = nullptr;
    unsigned number = 0;
};

void note(wheel_timer *timer)
{
    auto *t = static_cast<Timer *>(timer);
    t->fired->push_back(t->number);
}

struct TimerWheel : testing::Test {
    std::unique_ptr<timer_wheel> wheel = std::make_unique<timer_wheel>();
    std::vector<Timer> timer{100};
    std::vector<unsigned> fired;

    void SetUp() override
    {
        timer_wheel_init(wheel.get(), 1000);
        for (unsigned i = 0; i < timer.size(); i++) {
            timer[i].fired = &fired;
            timer[i].number = i;
        }
    }
    void start(unsigned number, uint64_t due_ms)
    {
        timer_wheel_start(wheel.get(), &timer[number], due_ms, note);
    }
};

TEST_F(TimerWheel, FiresOnceWhenDueAndNotBefore)
{
    EXPECT_EQ(timer_wheel_next_ms(wheel.get()), UINT64_MAX);
    start(1, 1005);
    EXPECT_EQ(timer_wheel_next_ms(wheel.get()), 1005u);
    timer_wheel_advance(wheel.get(), 1004);
    EXPECT_TRUE(fired.empty());
    timer_wheel_advance(wheel.get(), 1005);
    EXPECT_EQ(fired, std::vector<unsigned>{1});
    EXPECT_FALSE(wheel_timer_is_started(&timer[1]));
    timer_wheel_advance(wheel.get(), 20000);
    EXPECT_EQ(fired.size(), 1u);
}

TEST_F(TimerWheel, ATimerOfALaterRoundIsPassedOver)
{
    start(1, 1005 + TIMER_WHEEL_SLOTS);
    start(2, 1005);
    timer_wheel_advance(wheel.get(), 1006);
    EXPECT_EQ(fired, std::vector<unsigned>{2});
    timer_wheel_advance(wheel.get(), 1004 + TIMER_WHEEL_SLOTS);
    EXPECT_EQ(fired.size(), 1u);
    timer_wheel_advance(wheel.get(), 1005 + TIMER_WHEEL_SLOTS);
    EXPECT_EQ(fired, (std::vector<unsigned>{2, 1}));
}

TEST_F(TimerWheel, WhoComesVeryLateFindsAll)
{
    for (unsigned i = 0; i < 100; i++)
        start(i, 1001 + i * 333);
    timer_wheel_advance(wheel.get(), 1000000);
    EXPECT_EQ(fired.size(), 100u);
}

// What is fired may stop its neighbours and start itself, and does not fire twice for it.
struct Chain : wheel_timer {
    timer_wheel *wheel = nullptr;
    Chain *other = nullptr;
    unsigned count = 0;
};

void stop_other_and_go_on(wheel_timer *timer)
{
    auto *t = static_cast<Chain *>(timer);
    t->count++;
    timer_wheel_stop(t->wheel, t->other);
    timer_wheel_start(t->wheel, t, 0, stop_other_and_go_on);
}

TEST_F(TimerWheel, WhatIsFiredMayStopAndStart)
{
    Chain a{}, b{};
    a.wheel = b.wheel = wheel.get();
    a.other = &b;
    b.other = &a;
    timer_wheel_start(wheel.get(), &a, 1010, stop_other_and_go_on);
    timer_wheel_start(wheel.get(), &b, 1010, stop_other_and_go_on);
    timer_wheel_advance(wheel.get(), 1010);
    EXPECT_EQ(a.count + b.count, 1u);
    EXPECT_EQ(timer_wheel_next_ms(wheel.get()), 1011u);
    timer_wheel_advance(wheel.get(), 1011);
    EXPECT_EQ(a.count + b.count, 2u);
}

TEST_F(TimerWheel, EqualsATrivialListOnRandomOrders)
{
    std::mt19937_64 random(3);
    std::map<unsigned, uint64_t> running; // number: due
    uint64_t now = 1000;
    for (int step = 0; step < 20000; step++) {
        const auto number = static_cast<unsigned>(random() % timer.size());
        if (random() % 4) {
            const uint64_t due = now + random() % (random() % 10 ? 2000 : 10000);
            start(number, due);
            running[number] = std::max(due, now + 1);
        } else {
            timer_wheel_stop(wheel.get(), &timer[number]);
            running.erase(number);
        }
        uint64_t next = UINT64_MAX;
        for (const auto &[who, due] : running)
            next = std::min(next, due);
        ASSERT_LE(timer_wheel_next_ms(wheel.get()), next);
        if (random() % 3)
            continue;
        now += random() % (random() % 50 ? 20 : 9000);
        fired.clear();
        timer_wheel_advance(wheel.get(), now);
        std::vector<unsigned> wanted;
        for (const auto &[who, due] : running)
            if (due <= now)
                wanted.push_back(who);
        for (const unsigned who : wanted)
            running.erase(who);
        std::sort(fired.begin(), fired.end());
        ASSERT_EQ(fired, wanted) << "step " << step;
    }
}

} // namespace
