// SPDX-License-Identifier: Apache-2.0
#include "health/heartbeat_codec.h"

#include <gtest/gtest.h>
#include <sodium.h>

#include <cerrno>
#include <cstring>
#include <random>

namespace
{

class HeartbeatCodec : public testing::Test
{
  protected:
    uint8_t key[2][HEARTBEAT_KEY_LEN];
    heartbeat_message message{};
    uint8_t wire[HEARTBEAT_MAX_LEN]{};
    int len = 0;

    void SetUp() override
    {
        ASSERT_GE(sodium_init(), 0);
        memset(key[0], 0x11, sizeof key[0]);
        memset(key[1], 0x22, sizeof key[1]);
        strcpy(message.node, "ams1");
        message.incarnation = 1700000000000000;
        message.sequence = 42;
        message.wall_us = 1700000000123456;
        message.load_permille = -1;
        message.lag_ms = -1;
        message.response_us = 1500;
        message.table_age_ms = 12;
        message.site_count = 2;
        strcpy(message.site[0].name, "ams");
        message.site[0].state = VERDICT_UP;
        strcpy(message.site[1].name, "fra");
        message.site[1].state = VERDICT_DOWN;
        len = heartbeat_encode(wire, &message, key[0]);
        ASSERT_GT(len, 0);
    }
    heartbeat_verdict decode(const uint8_t *data, size_t size, unsigned first = 0, unsigned count = 2)
    {
        heartbeat_message out;
        return heartbeat_decode(&out, data, size, key + first, count);
    }
};

TEST_F(HeartbeatCodec, WhatIsSentArrives)
{
    heartbeat_message out{};
    ASSERT_EQ(heartbeat_decode(&out, wire, static_cast<size_t>(len), key, 1), HEARTBEAT_GOOD);
    EXPECT_STREQ(out.node, "ams1");
    EXPECT_EQ(out.incarnation, message.incarnation);
    EXPECT_EQ(out.sequence, 42u);
    EXPECT_EQ(out.wall_us, message.wall_us);
    EXPECT_EQ(out.load_permille, -1);
    EXPECT_EQ(out.lag_ms, -1);
    EXPECT_EQ(out.response_us, 1500u);
    EXPECT_EQ(out.table_age_ms, 12u);
    ASSERT_EQ(out.site_count, 2);
    EXPECT_STREQ(out.site[1].name, "fra");
    EXPECT_EQ(out.site[1].state, VERDICT_DOWN);
}

TEST_F(HeartbeatCodec, AKeyBeforeIsAcceptedWhileKeysAreChanged)
{
    EXPECT_EQ(decode(wire, static_cast<size_t>(len), 0, 2), HEARTBEAT_GOOD);
    len = heartbeat_encode(wire, &message, key[1]);
    EXPECT_EQ(decode(wire, static_cast<size_t>(len), 0, 2), HEARTBEAT_GOOD);
    EXPECT_EQ(decode(wire, static_cast<size_t>(len), 0, 1), HEARTBEAT_WRONG_KEY);
}

TEST_F(HeartbeatCodec, EveryChangedBitIsFound)
{
    for (int bit = 0; bit < len * 8; bit++) {
        wire[bit / 8] = static_cast<uint8_t>(wire[bit / 8] ^ 1 << bit % 8);
        EXPECT_NE(decode(wire, static_cast<size_t>(len)), HEARTBEAT_GOOD) << bit;
        wire[bit / 8] = static_cast<uint8_t>(wire[bit / 8] ^ 1 << bit % 8);
    }
}

TEST_F(HeartbeatCodec, EveryTruncationIsFound)
{
    for (int short_len = 0; short_len < len; short_len++)
        EXPECT_NE(decode(wire, static_cast<size_t>(short_len)), HEARTBEAT_GOOD) << short_len;
}

TEST_F(HeartbeatCodec, NoiseIsRefused)
{
    std::mt19937 random(1);
    uint8_t noise[HEARTBEAT_MAX_LEN];
    for (int i = 0; i < 2000; i++) {
        for (uint8_t &octet : noise)
            octet = static_cast<uint8_t>(random());
        if (i % 2)
            memcpy(noise, wire, 8);
        EXPECT_NE(decode(noise, random() % (sizeof noise + 1)), HEARTBEAT_GOOD);
    }
}

TEST_F(HeartbeatCodec, TwoEncodingsOfOneMessageDiffer)
{
    uint8_t again[HEARTBEAT_MAX_LEN];
    ASSERT_EQ(heartbeat_encode(again, &message, key[0]), len);
    EXPECT_NE(memcmp(again, wire, static_cast<size_t>(len)), 0) << "a nonce was used twice";
}

TEST_F(HeartbeatCodec, TheLongestMessageFits)
{
    message.site_count = HEARTBEAT_SITE_MAX;
    memset(message.node, 'n', sizeof message.node - 1);
    for (auto &site : message.site)
        memset(site.name, 's', sizeof site.name - 1);
    len = heartbeat_encode(wire, &message, key[0]);
    ASSERT_GT(len, 0);
    EXPECT_LE(len, static_cast<int>(HEARTBEAT_MAX_LEN));
    EXPECT_EQ(decode(wire, static_cast<size_t>(len)), HEARTBEAT_GOOD);
}

TEST(HeartbeatWindow, AcceptsEachSequenceNumberOnceInAnyOrderWithin64)
{
    heartbeat_window w{};
    EXPECT_TRUE(heartbeat_window_accept(&w, 5, 100));
    EXPECT_FALSE(heartbeat_window_accept(&w, 5, 100));
    EXPECT_TRUE(heartbeat_window_accept(&w, 5, 103));
    EXPECT_TRUE(heartbeat_window_accept(&w, 5, 101));
    EXPECT_FALSE(heartbeat_window_accept(&w, 5, 101));
    EXPECT_TRUE(heartbeat_window_accept(&w, 5, 163));
    EXPECT_TRUE(heartbeat_window_accept(&w, 5, 102));
    EXPECT_FALSE(heartbeat_window_accept(&w, 5, 99)) << "outside the window";
    EXPECT_TRUE(heartbeat_window_accept(&w, 5, 1000));
    EXPECT_FALSE(heartbeat_window_accept(&w, 5, 163));
}

TEST(HeartbeatWindow, ARestartIsFollowedAndAnOlderIncarnationNeverAgain)
{
    heartbeat_window w{};
    EXPECT_TRUE(heartbeat_window_accept(&w, 5, 1000));
    EXPECT_TRUE(heartbeat_window_accept(&w, 6, 1));
    EXPECT_FALSE(heartbeat_window_accept(&w, 5, 1001));
    EXPECT_TRUE(heartbeat_window_accept(&w, 6, 2));
}

TEST(HeartbeatVerdict, EveryOneHasAName)
{
    for (int i = 0; i < HEARTBEAT_VERDICT_COUNT; i++)
        EXPECT_GT(strlen(heartbeat_verdict_name(static_cast<heartbeat_verdict>(i))), 2u);
}

} // namespace
