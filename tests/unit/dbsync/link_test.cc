// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <random>

#include "tests/support/dbsync_link.h"

using namespace dbsync_test;

namespace
{

std::string content(uint64_t seed, size_t len)
{
    std::mt19937_64 random(seed);
    std::string s(len, 0);
    for (char &c : s)
        c = (char)(random() % 7 ? 'a' + random() % 20 : random());
    return s;
}

TEST(Link, batches_of_both_sides_arrive_in_order_and_are_acknowledged)
{
    LinkEnd a(1, 2), b(2, 1);
    for (unsigned i = 0; i < 5; i++) {
        a.batch.push_back(content(i, 1000 * i + 1));
        b.batch.push_back(content(100 + i, 200000));
    }
    Wire wire(a, b);
    EXPECT_FALSE(wire.session(0));
    EXPECT_EQ(b.applied, a.batch);
    EXPECT_EQ(a.applied, b.batch);
    EXPECT_EQ(a.acked, 5u);
    EXPECT_EQ(b.acked, 5u);
    EXPECT_EQ(link_counted(a.link)->batches_sent, 5u);
}

TEST(Link, cut_every_n_octets_everything_arrives_once_and_a_cut_costs_at_most_what_was_on_its_way)
{
    for (uint64_t n : {300u, 1000u, 7777u, 70000u}) {
        LinkEnd a(1, 2, LINK_CREDIT_BYTES, 0), b(2, 1, LINK_CREDIT_BYTES, 0);
        for (unsigned i = 0; i < 4; i++)
            a.batch.push_back(content(i, n < 1000 ? 300 : 90000));
        b.batch = {content(50, n < 1000 ? 200 : 30000)};
        size_t total = 0;
        for (auto &x : a.batch)
            total += x.size();
        for (auto &x : b.batch)
            total += x.size();
        Wire wire(a, b);
        unsigned cuts = 0;
        while ((a.applied.size() < 1 || b.applied.size() < 4) && cuts < 5000)
            cuts += wire.session(n < 66000 && n >= 1000 ? n + 66000 : n + 400);
        EXPECT_EQ(b.applied, a.batch) << n;
        EXPECT_EQ(a.applied, b.batch) << n;
        EXPECT_GT(cuts, 0u) << n;
        EXPECT_EQ(b.applies, 4u) << "each batch was applied once";
        // Each session costs at most the frame that was under way in each direction, and its HELLOs.
        EXPECT_LT(wire.passed, total + (cuts + 1) * (2 * FRAME_DATA_MAX + 1000)) << n;
        if (n >= 1000) {
            EXPECT_GT(link_counted(a.link)->resumed_bytes, 0u) << n;
        }
    }
}

TEST(Link, cut_at_every_octet_of_a_short_exchange)
{
    LinkEnd probe_a(1, 2), probe_b(2, 1);
    probe_a.batch = {content(1, 500), content(2, 900)};
    Wire probe(probe_a, probe_b);
    probe.session(0);
    for (uint64_t cut = 1; cut < probe.passed; cut++) {
        LinkEnd a(1, 2), b(2, 1);
        a.batch = probe_a.batch;
        Wire wire(a, b);
        wire.piece = 17;
        EXPECT_TRUE(wire.session(cut));
        wire.session(0);
        ASSERT_EQ(b.applied, a.batch) << "cut after " << cut;
        ASSERT_EQ(b.applies, 2u) << "cut after " << cut;
    }
}

TEST(Link, a_spool_that_holds_other_octets_is_thrown_away)
{
    LinkEnd a(1, 2), b(2, 1);
    a.batch = {content(1, 100000)};
    b.spool[1] = content(9, 50000); // of a past life
    Wire wire(a, b);
    wire.session(0);
    EXPECT_EQ(b.applied, a.batch);
    EXPECT_EQ(b.resets, 1u);
    EXPECT_EQ(link_counted(a.link)->resumed_bytes, 0u);
}

TEST(Link, octets_beyond_the_credit_are_not_sent)
{
    LinkEnd a(1, 2), b(2, 1, 1 << 20);
    a.batch = {content(1, 3 << 20)};
    b.room = 1 << 20; // the spool is small, and nothing is applied from it
    Wire wire(a, b);
    a.connect(wire.now);
    b.connect(wire.now);
    uint64_t left = UINT64_MAX;
    for (unsigned i = 0; i < 100000; i++) {
        bool moved = a.run() | b.run();
        b.room = (1 << 20) > b.spool[1].size() ? (1 << 20) - b.spool[1].size() : 0;
        moved |= wire.move(a, b, left) | wire.move(b, a, left);
        if (!moved)
            break;
    }
    EXPECT_LE(b.spool[1].size(), 1u << 20);
    EXPECT_GT(b.spool[1].size(), (1u << 20) - FRAME_DATA_MAX - 1);
    EXPECT_GT(link_counted(a.link)->stalls, 0u);
    ASSERT_FALSE(a.shown.empty());
    EXPECT_NE(a.shown[0].find("quota"), std::string::npos) << "the sender is told why";
    wire.end();
}

TEST(Link, held_and_failing_batches_are_tried_again_and_nothing_is_acknowledged_before)
{
    LinkEnd a(1, 2), b(2, 1);
    a.batch = {content(1, 100)};
    Wire wire(a, b);
    b.verdict = APPLY_HELD_CLOCK;
    a.connect(wire.now);
    b.connect(wire.now);
    uint64_t left = UINT64_MAX;
    auto settle = [&] {
        for (bool moved = true; moved;)
            moved = a.run() | b.run() | wire.move(a, b, left) | wire.move(b, a, left);
    };
    settle();
    EXPECT_EQ(b.applies, 1u);
    EXPECT_EQ(a.acked, 0u);
    b.apply_status = -ESTALE;
    wire.tick(LINK_RETRY_US);
    settle();
    EXPECT_EQ(b.applies, 2u);
    ASSERT_FALSE(a.shown.empty());
    EXPECT_EQ(a.shown.back(), "cannot be applied");
    b.apply_status = 0;
    b.verdict = APPLY_DONE;
    wire.tick(LINK_RETRY_US);
    settle();
    EXPECT_EQ(b.applied, a.batch);
    EXPECT_EQ(a.acked, 1u);
    wire.end();
}

TEST(Link, a_paused_side_neither_sends_nor_applies)
{
    LinkEnd a(1, 2), b(2, 1);
    a.batch = {content(1, 100)};
    link_allow(b.link, false, false);
    Wire wire(a, b);
    wire.session(0);
    EXPECT_TRUE(b.applied.empty());
    link_allow(b.link, true, true);
    link_allow(a.link, false, false);
    wire.session(0);
    link_allow(a.link, true, true);
    wire.session(0);
    EXPECT_EQ(b.applied, a.batch);
}

TEST(Link, a_copy_of_ourselves_and_a_wrong_site_are_refused)
{
    LinkEnd a(1, 2), wrong(3, 1);
    Wire wire(a, wrong);
    wire.session(0);
    EXPECT_NE(a.closed.find("says it is site 3"), std::string::npos) << a.closed;
    LinkEnd b(2, 1), copy(1, 2);
    struct link_config c = {};
    c.site = 2;
    c.peer = 1;
    c.uuid[0] = 1; // the identity of `copy`
    link_free(b.link);
    b.link = link_new(&c);
    Wire twins(copy, b);
    twins.session(0);
    EXPECT_NE(copy.closed.find("copy of the other"), std::string::npos) << copy.closed;
}

TEST(Link, silence_closes_the_connection)
{
    LinkEnd a(1, 2), b(2, 1);
    Wire wire(a, b);
    a.connect(wire.now);
    a.run();
    wire.tick(LINK_DEAD_US + 1);
    a.run();
    EXPECT_NE(a.closed.find("10 s"), std::string::npos);
}

// ---- frames that are lost, doubled, exchanged or damaged: the connection ends, the next one heals ----

void expect_heals(const std::function<void(std::vector<std::string> &, std::mt19937 &)> &spoil)
{
    for (unsigned seed = 1; seed <= 60; seed++) {
        std::mt19937 random(seed);
        LinkEnd a(1, 2), b(2, 1);
        for (unsigned i = 0; i < 3; i++)
            a.batch.push_back(content(seed * 10 + i, 1 + random() % 200000));
        Wire wire(a, b);
        a.connect(wire.now);
        b.connect(wire.now);
        for (unsigned round = 0; round < 50 && a.closed.empty() && b.closed.empty(); round++) {
            a.run();
            b.run();
            std::vector<std::string> frames;
            while (a.wire.size() >= FRAME_HEAD_LEN) {
                uint32_t body;
                memcpy(&body, a.wire.data(), 4);
                frames.push_back(a.wire.substr(0, FRAME_HEAD_LEN + body));
                a.wire.erase(0, FRAME_HEAD_LEN + body);
            }
            if (frames.size() > 1)
                spoil(frames, random);
            for (const std::string &f : frames)
                link_received(b.link, f.data(), f.size(), wire.now);
            b.run();
            link_received(a.link, b.wire.data(), b.wire.size(), wire.now);
            b.wire.clear();
        }
        wire.end();
        for (size_t i = 0; i < b.applied.size(); i++)
            ASSERT_EQ(b.applied[i], a.batch[i]) << "seed " << seed;
        wire.session(0);
        ASSERT_EQ(b.applied, a.batch) << "seed " << seed;
        ASSERT_EQ(b.applies, 3u) << "seed " << seed;
    }
}

TEST(Link, a_lost_frame)
{
    expect_heals([](auto &frames, auto &random) { frames.erase(frames.begin() + random() % frames.size()); });
}

TEST(Link, a_doubled_frame)
{
    expect_heals([](auto &frames, auto &random) {
        size_t i = random() % frames.size();
        frames.insert(frames.begin() + i, frames[i]);
    });
}

TEST(Link, exchanged_frames)
{
    expect_heals([](auto &frames, auto &random) {
        size_t i = random() % (frames.size() - 1);
        std::swap(frames[i], frames[i + 1]);
    });
}

TEST(Link, damaged_octets_of_data_never_reach_the_database)
{
    for (unsigned seed = 1; seed <= 60; seed++) {
        std::mt19937 random(seed);
        LinkEnd a(1, 2, LINK_CREDIT_BYTES, 0), b(2, 1);
        a.batch = {content(seed, 150000)};
        Wire wire(a, b);
        bool done = false;
        wire.damage = [&](std::string &part) {
            if (!done && part.size() > 900 && random() % 20 == 0) {
                char &octet = part[random() % part.size()];
                octet = (char)(octet ^ 1 << random() % 8);
                done = true;
            }
        };
        wire.session(0);
        EXPECT_TRUE(b.applied.empty() || b.applied == a.batch) << seed;
        wire.damage = nullptr;
        wire.session(0);
        wire.session(0);
        ASSERT_EQ(b.applied, a.batch) << seed;
    }
}

} // namespace
