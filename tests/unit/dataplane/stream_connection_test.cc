// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>

#include <cerrno>
#include <random>

#include "tests/support/answer_fixture.h"

extern "C" {
#include "dataplane/stream_connection.h"
}

namespace
{

using dns_text::Bytes;

Bytes query(uint16_t id, const std::string &name = "www.example.com.", uint16_t type = 1)
{
    Bytes q;
    for (unsigned v : {unsigned(id), 0u, 1u, 0u, 0u, 0u})
        dns_text::put16(q, v);
    dns_text::append(q, dns_text::name(name));
    dns_text::put16(q, type);
    dns_text::put16(q, 1);
    return q;
}

Bytes framed(const Bytes &message)
{
    Bytes out;
    dns_text::put16(out, static_cast<unsigned>(message.size()));
    dns_text::append(out, message);
    return out;
}

struct Stream : AnswerFixture {
    int peer = -1;
    stream_connection c{};
    std::vector<uint8_t> out = std::vector<uint8_t>(STREAM_OUT_CAP);
    uint64_t now = 1000000000;

    Stream()
    {
        zones.zone("example.com.", "@ 300 SOA ns1 host 1 2 3 4 5\n@ 300 NS ns1\nns1 300 A 192.0.2.1\n"
                                   "www 300 A 192.0.2.9\n");
        publish();
        client.is_tcp = true;
        int pair[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        peer = pair[1];
        stream_connection_init(&c, pair[0], &client, now);
    }
    ~Stream() override
    {
        stream_connection_fini(&c);
        close(peer);
    }
    void send_to(const Bytes &bytes)
    {
        ASSERT_EQ(send(peer, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
    }
    // Reads, answers and writes as the stream thread does; bytes that were answered.
    unsigned serve()
    {
        context.now_ns = now;
        unsigned sum = 0;
        while (c.out_len == 0 && stream_connection_read(&c, now) == 1 && !c.has_ended)
            while (c.out_len == 0 && stream_connection_has_message(&c))
                sum += answer();
        return sum;
    }
    unsigned answer()
    {
        unsigned made = stream_connection_answer(&c, &context, out.data());
        if (made) {
            EXPECT_EQ(stream_connection_write(&c, out.data(), made, now), 0);
        }
        return made;
    }
    Bytes received()
    {
        Bytes all(1 << 20);
        ssize_t n = recv(peer, all.data(), all.size(), 0);
        all.resize(n < 0 ? 0 : static_cast<size_t>(n));
        return all;
    }
    // The ids of the framed messages in `bytes`.
    static std::vector<unsigned> ids(const Bytes &bytes)
    {
        std::vector<unsigned> found;
        for (size_t at = 0; at + 4 <= bytes.size(); at += 2 + static_cast<size_t>(bytes[at] << 8 | bytes[at + 1]))
            found.push_back(static_cast<unsigned>(bytes[at + 2] << 8 | bytes[at + 3]));
        return found;
    }
};

TEST_F(Stream, SendsLengthAndAnswerTogether)
{
    send_to(framed(query(7)));
    serve();
    Bytes reply = received();
    ASSERT_GT(reply.size(), 14u);
    EXPECT_EQ(static_cast<size_t>(reply[0] << 8 | reply[1]), reply.size() - 2);
    EXPECT_EQ(ids(reply), std::vector<unsigned>{7});
    EXPECT_EQ(counters->value[COUNTER_queries_tcp4], 1u);
    EXPECT_EQ(c.partial_ns, 0u) << "nothing incomplete is left";
}

TEST_F(Stream, AnswersAPipelineInOrder)
{
    Bytes all;
    std::vector<unsigned> expected;
    for (uint16_t i = 0; i < 500; i++) {
        dns_text::append(all, framed(query(i)));
        expected.push_back(i);
    }
    send_to(all);
    serve();
    EXPECT_EQ(ids(received()), expected);
}

TEST_F(Stream, AnswersTheSameHoweverTheBytesAreCut)
{
    std::mt19937 random(1);
    for (int round = 0; round < 200; round++) {
        Bytes all, got;
        std::vector<unsigned> expected;
        for (uint16_t i = 0; i < 10; i++) {
            dns_text::append(all, framed(query(i, i % 3 ? "www.example.com." : "nope.example.com.")));
            expected.push_back(i);
        }
        for (size_t at = 0; at < all.size();) {
            size_t n = std::min<size_t>(1 + random() % 40, all.size() - at);
            send_to(Bytes(all.begin() + static_cast<long>(at), all.begin() + static_cast<long>(at + n)));
            serve();
            dns_text::append(got, received());
            at += n;
        }
        ASSERT_EQ(ids(got), expected) << "round " << round;
    }
}

TEST_F(Stream, RemembersSinceWhenAMessageIsIncomplete)
{
    Bytes q = framed(query(1));
    send_to({q.begin(), q.begin() + 5});
    serve();
    EXPECT_EQ(c.partial_ns, now);
    uint64_t first = now;
    now += 1000;
    send_to({q.begin() + 5, q.begin() + 6});
    serve();
    EXPECT_EQ(c.partial_ns, first) << "a byte now and then does not buy time";
    EXPECT_EQ(c.active_ns, first) << "nor does it count as activity";
    send_to({q.begin() + 6, q.end()});
    serve();
    EXPECT_EQ(c.partial_ns, 0u);
    EXPECT_EQ(c.active_ns, now);
}

TEST_F(Stream, TakesAMessageOfTheLargestSize)
{
    Bytes large = query(3);
    large.resize(65535); // bytes behind the question
    Bytes all = framed(large);
    for (size_t at = 0; at < all.size(); at += 8192) {
        send_to(
            {all.begin() + static_cast<long>(at), all.begin() + static_cast<long>(std::min(at + 8192, all.size()))});
        serve();
    }
    EXPECT_EQ(ids(received()), std::vector<unsigned>{3});
    EXPECT_LE(c.in_cap, static_cast<uint32_t>(STREAM_CHUNK)) << "its memory is given back";
}

TEST_F(Stream, AnswersWhatCameBeforeTheEnd)
{
    send_to(framed(query(9)));
    shutdown(peer, SHUT_WR);
    serve();
    EXPECT_EQ(stream_connection_read(&c, now), 1);
    EXPECT_TRUE(c.has_ended);
    EXPECT_EQ(ids(received()), std::vector<unsigned>{9});
}

struct BrokenRow {
    Bytes bytes;
    const char *why;
};
class StreamBroken : public Stream, public testing::WithParamInterface<BrokenRow>
{
};

TEST_P(StreamBroken, IsClosedAfterTheAnswersBeforeIt)
{
    Bytes all = framed(query(1));
    dns_text::append(all, GetParam().bytes);
    dns_text::append(all, framed(query(2)));
    send_to(all);
    serve();
    EXPECT_TRUE(c.is_broken) << GetParam().why;
    EXPECT_EQ(ids(received()), std::vector<unsigned>{1}) << GetParam().why;
}

Bytes response(uint16_t id)
{
    Bytes q = query(id);
    q[2] = 0x80;
    return q;
}

INSTANTIATE_TEST_SUITE_P(Rows, StreamBroken,
                         testing::Values(BrokenRow{{0, 0}, "an empty message"},
                                         BrokenRow{framed(Bytes(11, 0)), "shorter than a header"},
                                         BrokenRow{framed(response(5)), "a response is never answered"}));

TEST_F(Stream, ReadsNoMoreFromAClientThatTakesNoAnswers)
{
    int small = 4096;
    setsockopt(c.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    Bytes all;
    const uint16_t count = 2000;
    for (uint16_t i = 0; i < count; i++)
        dns_text::append(all, framed(query(i)));
    std::vector<unsigned> got;
    size_t sent = 0;
    bool was_blocked = false;
    for (int turn = 0; turn < 20000 && got.size() < count; turn++) {
        if (sent < all.size()) {
            ssize_t n = send(peer, all.data() + sent, all.size() - sent, 0);
            sent += n > 0 ? static_cast<size_t>(n) : 0;
        }
        now += 10;
        if (c.out_len) {
            ASSERT_EQ(stream_connection_write(&c, nullptr, 0, now), 0);
        }
        while (c.out_len == 0 && stream_connection_has_message(&c))
            answer();
        serve();
        was_blocked = was_blocked || c.out_len > 0;
        EXPECT_EQ(c.blocked_ns != 0, c.out_len > 0);
        EXPECT_LE(c.in_cap, static_cast<uint32_t>(STREAM_CHUNK));
        EXPECT_LE(c.out_len, static_cast<uint32_t>(STREAM_OUT_CAP));
        if (turn % 3 == 0) // the peer reads now and then; answers are of one size here
            for (unsigned id : ids(received()))
                got.push_back(id);
    }
    EXPECT_TRUE(was_blocked) << "the test must reach the case it is about";
    EXPECT_EQ(got.size(), count);
}

} // namespace
