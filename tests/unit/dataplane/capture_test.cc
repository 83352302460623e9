// SPDX-License-Identifier: Apache-2.0
// Which frames a filter takes, what the ring holds, and that a reader who writes nonsense harms nobody.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

extern "C" {
#include "dataplane/capture.h"
#include "table/counters.h"
}

namespace
{

using Bytes = std::vector<uint8_t>;

Bytes name(const std::string &dotted)
{
    Bytes wire;
    std::string label;
    for (char c : dotted + ".")
        if (c == '.') {
            wire.push_back(static_cast<uint8_t>(label.size()));
            wire.insert(wire.end(), label.begin(), label.end());
            label.clear();
        } else {
            label += c;
        }
    if (!dotted.empty())
        wire.push_back(0);
    return wire;
}

// Ethernet, tags, IPv4 from 192.0.2.1 to 192.0.2.53, UDP, a question.
Bytes query(const std::string &qname, unsigned tags = 0, uint8_t protocol = 17)
{
    Bytes f(12, 2);
    for (unsigned i = 0; i < tags; i++)
        f.insert(f.end(), {0x81, 0, 0, 7});
    f.insert(f.end(), {0x08, 0});
    f.insert(f.end(), {0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 53});
    f.insert(f.end(), {0x14, 0xe9, 0, 53, 0, 0, 0, 0});
    f.insert(f.end(), {1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0});
    const Bytes wire = name(qname);
    f.insert(f.end(), wire.begin(), wire.end());
    f.insert(f.end(), {0, 1, 0, 1});
    return f;
}

capture_filter filter(const std::string &only_name = "", const Bytes &address = {})
{
    capture_filter f{};
    f.kinds = (1u << CAPTURE_KIND_COUNT) - 1;
    f.counter = CAPTURE_NO_COUNTER;
    if (!only_name.empty()) {
        const Bytes wire = name(only_name);
        memcpy(f.name, wire.data(), wire.size());
        f.name_len = static_cast<uint8_t>(wire.size());
    }
    if (!address.empty()) {
        f.has_address = 1;
        f.is_ipv6 = address.size() == 16;
        memcpy(f.address, address.data(), address.size());
    }
    return f;
}

bool matches(const capture_filter &f, const Bytes &frame)
{
    const Bytes exact(frame); // no byte behind it, for the sanitizers
    return capture_matches(&f, exact.data(), static_cast<unsigned>(exact.size()));
}

TEST(Capture, FiltersByNameAndAllBelowItInAnyCase)
{
    const capture_filter f = filter("example.com");
    EXPECT_TRUE(matches(f, query("example.com")));
    EXPECT_TRUE(matches(f, query("www.EXAMPLE.Com")));
    EXPECT_TRUE(matches(f, query("a.b.example.com", 1)));
    EXPECT_TRUE(matches(f, query("www.example.com", 2)));
    EXPECT_FALSE(matches(f, query("xexample.com"))) << "a label is no suffix of another";
    EXPECT_FALSE(matches(f, query("com")));
    EXPECT_FALSE(matches(f, query("")));
    EXPECT_FALSE(matches(f, query("www.example.com", 0, 6))) << "TCP has no question there";
}

TEST(Capture, FiltersByEitherAddress)
{
    EXPECT_TRUE(matches(filter("", {192, 0, 2, 1}), query("a")));
    EXPECT_TRUE(matches(filter("", {192, 0, 2, 53}), query("a")));
    EXPECT_FALSE(matches(filter("", {192, 0, 2, 2}), query("a")));
    EXPECT_FALSE(matches(filter("", Bytes(16, 0)), query("a"))) << "another family";
    EXPECT_TRUE(matches(filter("a", {192, 0, 2, 1}), query("a")));
    EXPECT_FALSE(matches(filter("b", {192, 0, 2, 1}), query("a")));
}

TEST(Capture, LooksBehindNoFramesEnd)
{
    const capture_filter both = filter("example.com", {192, 0, 2, 1}), name_only = filter("example.com");
    const Bytes whole = query("www.example.com", 2);
    for (size_t len = 0; len <= whole.size(); len++) {
        const Bytes cut(whole.begin(), whole.begin() + static_cast<long>(len));
        EXPECT_EQ(matches(both, cut), len >= whole.size() - 4) << len;
        EXPECT_EQ(matches(name_only, cut), len >= whole.size() - 4) << len;
    }
    Bytes pointer = query("www.example.com");
    pointer[14 + 20 + 8 + 12] = 0xc0;
    EXPECT_FALSE(matches(name_only, pointer));
}

class Worker : public testing::Test
{
  protected:
    capture_memory memory{};
    counters_block counters{};
    answer_context context{};
    packet_port port{};
    uint8_t frame[2048]{};

    void SetUp() override
    {
        ASSERT_EQ(capture_init(&memory, 2), 0);
        context.counters = &counters;
        memset(port.mac, 2, 6);
        memory.page->filter = filter();
    }
    void TearDown() override
    {
        capture_fini(&memory);
    }
    packet_slot handle(const Bytes &bytes)
    {
        memcpy(frame, bytes.data(), bytes.size());
        packet_slot slot{frame, static_cast<uint16_t>(bytes.size()), sizeof frame, 0, 0, PACKET_DROP};
        capture_handle_burst(memory.page, 1, &context, &port, &slot, 1, 77);
        return slot;
    }
    capture_ring &ring()
    {
        return memory.page->ring[1];
    }
};

TEST_F(Worker, PutsTheFrameAsItCameWithTheReason)
{
    const Bytes sent = query("a");
    EXPECT_EQ(handle(sent).verdict, PACKET_DROP);
    ASSERT_EQ(ring().head, 1u);
    const capture_slot &s = ring().slot[0];
    EXPECT_EQ(s.kind, CAPTURE_DROPPED);
    EXPECT_EQ(std::string(counter_name(static_cast<counter>(s.counter))).substr(0, 5), "drop_");
    EXPECT_EQ(s.at_us, 77u);
    ASSERT_EQ(s.kept, sent.size());
    EXPECT_EQ(memcmp(s.frame, sent.data(), sent.size()), 0);
    EXPECT_EQ(memory.page->ring[0].head, 0u) << "another worker's";
}

TEST_F(Worker, LeavesOutWhatTheFilterDoesNotWant)
{
    memory.page->filter.kinds = 1u << CAPTURE_REPLY;
    handle(query("a"));
    memory.page->filter = filter("b");
    handle(query("a"));
    memory.page->filter = filter();
    memory.page->filter.counter = COUNTER_answers_refused;
    handle(query("a"));
    EXPECT_EQ(ring().head, 0u);
    EXPECT_EQ(ring().seen, 3u);
    EXPECT_EQ(ring().lost, 0u);
}

TEST_F(Worker, CountsWhatAFullRingLosesAndNeverWaits)
{
    for (unsigned i = 0; i < CAPTURE_SLOTS + 10; i++)
        handle(query("a"));
    EXPECT_EQ(ring().head, uint64_t{CAPTURE_SLOTS});
    EXPECT_EQ(ring().lost, 10u);
    ring().tail = 5;
    handle(query("a"));
    EXPECT_EQ(ring().head, uint64_t{CAPTURE_SLOTS + 1});
}

TEST_F(Worker, CountsAsLostOnlyWhatWasWanted)
{
    while (ring().head < CAPTURE_SLOTS)
        handle(query("a"));
    memory.page->filter.kinds = 1u << CAPTURE_REPLY;
    handle(query("a"));
    memory.page->filter = filter();
    memory.page->filter.counter = COUNTER_answers_refused;
    handle(query("a"));
    EXPECT_EQ(ring().lost, 0u) << "dropped queries, of which neither filter wants any";
    memory.page->filter = filter();
    handle(query("a"));
    EXPECT_EQ(ring().lost, 1u);
}

TEST_F(Worker, AReaderThatLeavesAFullRingIsStalled)
{
    constexpr uint64_t T = 5, LIMIT = CAPTURE_STALL_NS;
    capture_watch watch{};
    EXPECT_FALSE(capture_is_stalled(&watch, memory.page, T));
    EXPECT_FALSE(capture_is_stalled(&watch, memory.page, T + 5 * LIMIT)) << "nothing to read";
    while (ring().head < CAPTURE_SLOTS)
        handle(query("a"));
    const uint64_t full = T + 5 * LIMIT;
    EXPECT_FALSE(capture_is_stalled(&watch, memory.page, full + LIMIT - 1));
    ring().tail++;
    EXPECT_FALSE(capture_is_stalled(&watch, memory.page, full + LIMIT)) << "it reads";
    handle(query("a"));
    EXPECT_FALSE(capture_is_stalled(&watch, memory.page, full + 2 * LIMIT - 1));
    EXPECT_TRUE(capture_is_stalled(&watch, memory.page, full + 2 * LIMIT));
}

TEST_F(Worker, SurvivesAReaderThatWritesNonsense)
{
    ring().tail = 12345; // ahead of what was ever written
    handle(query("a"));
    EXPECT_EQ(ring().head, 0u);
    memset(&memory.page->filter, 0xff, sizeof memory.page->filter);
    handle(query("www.example.com"));
    ring().tail = UINT64_MAX;
    handle(query("www.example.com"));
    ring().tail = ring().head = 0;
    memory.page->filter = filter();
    handle(query("a"));
    EXPECT_EQ(ring().head, 1u);
}

} // namespace
