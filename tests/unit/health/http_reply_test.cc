// SPDX-License-Identifier: Apache-2.0
#include "health/http_reply.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace
{

struct Sink {
    std::string body;
    size_t enough = SIZE_MAX;
    static bool take(void *user, const char *data, size_t len)
    {
        auto *sink = static_cast<Sink *>(user);
        sink->body.append(data, len);
        return sink->body.size() < sink->enough;
    }
};

enum How { MORE = HTTP_REPLY_MORE, DONE = HTTP_REPLY_DONE, BAD = HTTP_REPLY_BAD };

struct Row {
    const char *why;
    std::string text;
    How fed, ended; // after all octets, and after the end of the connection
    unsigned status;
    std::string body;
    bool is_head = false;
};

class HttpReply : public testing::TestWithParam<Row>
{
};

TEST_P(HttpReply, IsReadAlikeInPiecesOfAnySize)
{
    const Row &row = GetParam();
    for (size_t piece : {row.text.size() + 1, size_t{1}, size_t{2}, size_t{7}}) {
        http_reply r;
        Sink sink;
        http_reply_begin(&r, row.is_head);
        http_reply_state state = HTTP_REPLY_MORE;
        for (size_t at = 0; at < row.text.size() && state == HTTP_REPLY_MORE; at += piece) {
            const std::string part = row.text.substr(at, piece);
            const std::vector<char> exact(part.begin(), part.end());
            state = http_reply_feed(&r, exact.data(), exact.size(), Sink::take, &sink);
        }
        EXPECT_EQ(static_cast<int>(state), row.fed) << row.why << ", pieces of " << piece;
        EXPECT_EQ(static_cast<int>(http_reply_end(&r)), row.ended) << row.why << ", pieces of " << piece;
        if (row.ended != BAD) {
            EXPECT_EQ(r.status, row.status) << row.why;
            EXPECT_EQ(sink.body, row.body) << row.why << ", pieces of " << piece;
        }
    }
}

const std::string ok = "HTTP/1.1 200 OK\r\n";

INSTANTIATE_TEST_SUITE_P(
    Rows, HttpReply,
    testing::Values(
        Row{"by length", ok + "Content-Length: 5\r\n\r\nhello", DONE, DONE, 200, "hello"},
        Row{"what follows belongs to nobody", ok + "Content-Length: 2\r\n\r\nhello", DONE, DONE, 200, "he"},
        Row{"names of headers in any case, spaces around", ok + "conTENT-length:  \t5  \r\n\r\nhello", DONE, DONE, 200,
            "hello"},
        Row{"newlines without carriage returns", "HTTP/1.0 404 no\nContent-Length: 2\n\nno", DONE, DONE, 404, "no"},
        Row{"no reason", "HTTP/1.1 204\r\n\r\n", DONE, DONE, 204, ""},
        Row{"an empty body", ok + "Content-Length: 0\r\n\r\n", DONE, DONE, 200, ""},
        Row{"until the end of the connection", ok + "\r\nall of it", MORE, DONE, 200, "all of it"},
        Row{"in chunks", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", DONE,
            DONE, 200, "abc0123456789"},
        Row{"chunks and trailers", ok + "Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n000\r\nX: y\r\n\r\n", DONE, DONE,
            200, "a"},
        Row{"a provisional response first",
            "HTTP/1.1 100 Continue\r\nContent-Length: 9\r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx", DONE, DONE, 200,
            "x"},
        Row{"HEAD has no body", ok + "Content-Length: 5\r\n\r\n", DONE, DONE, 200, "", true},
        Row{"304 has none either", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", DONE, DONE, 304, ""},
        Row{"equal lengths twice", ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", DONE, DONE, 200, "x"},
        Row{"a long header line is passed over", ok + "X: " + std::string(5000, 'x') + "\r\nContent-Length: 1\r\n\r\nx",
            DONE, DONE, 200, "x"},
        Row{"a header that goes on in the next line", ok + "X: y\r\n Content-Length: 7\r\nContent-Length: 1\r\n\r\nx",
            DONE, DONE, 200, "x"},
        Row{"cut off before its length", ok + "Content-Length: 6\r\n\r\nhello", MORE, BAD, 0, ""},
        Row{"cut off in the head", ok + "Content-Le", MORE, BAD, 0, ""}, Row{"nothing", "", MORE, BAD, 0, ""},
        Row{"cut off between chunks", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", MORE, BAD, 0, ""},
        Row{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", BAD, BAD, 0, ""},
        Row{"a page without a head, and without a line", "<html>", BAD, BAD, 0, ""},
        Row{"less of a status line than its name", "HTTP/1.\r\n", BAD, BAD, 0, ""},
        Row{"HTTP/2", "HTTP/2 200\r\n\r\n", BAD, BAD, 0, ""}, Row{"no number", "HTTP/1.1 2x0 OK\r\n", BAD, BAD, 0, ""},
        Row{"four digits", "HTTP/1.1 2000 OK\r\n", BAD, BAD, 0, ""},
        Row{"below 100", "HTTP/1.1 099 OK\r\n", BAD, BAD, 0, ""},
        Row{"two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", BAD, BAD, 0, ""},
        Row{"a list of lengths", ok + "Content-Length: 1, 1\r\n\r\nx", BAD, BAD, 0, ""},
        Row{"a negative length", ok + "Content-Length: -1\r\n\r\nx", BAD, BAD, 0, ""},
        Row{"a length beyond 64 bits", ok + "Content-Length: 99999999999999999999999\r\n\r\nx", BAD, BAD, 0, ""},
        Row{"a length that goes on in the next line", ok + "Content-Length: 1\r\n 0\r\n\r\nx", BAD, BAD, 0, ""},
        Row{"length and chunks: chunks win", ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", BAD,
            BAD, 0, ""},
        Row{"chunks and a length of nothing: chunks win",
            ok + "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n1\r\nx\r\n0\r\n\r\n", DONE, DONE, 200, "x"},
        Row{"a coding that was not asked for", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n", BAD, BAD, 0, ""},
        Row{"a chunk without size", ok + "Transfer-Encoding: chunked\r\n\r\n\r\nabc", BAD, BAD, 0, ""},
        Row{"a chunk of negative size", ok + "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc", BAD, BAD, 0, ""},
        Row{"a chunk beyond 64 bits", ok + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", BAD, BAD, 0, ""},
        Row{"a chunk longer than it said", ok + "Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", BAD, BAD, 0, ""},
        Row{"a zero octet in the head", ok + std::string("X\0: y\r\n\r\n", 9), BAD, BAD, 0, ""},
        Row{"a head without end", ok + "X: " + std::string(70000, 'x'), BAD, BAD, 0, ""},
        Row{"endless short headers",
            [] {
                std::string text = ok;
                for (int i = 0; i < 20000; i++)
                    text += "A: b\r\n";
                return text;
            }(),
            BAD, BAD, 0, ""},
        Row{"endless provisional responses",
            [] {
                std::string text;
                for (int i = 0; i < 5000; i++)
                    text += "HTTP/1.1 100 Continue\r\n\r\n";
                return text;
            }(),
            BAD, BAD, 0, ""},
        Row{"a chunk's extension without end", ok + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(70000, 'x'),
            BAD, BAD, 0, ""}));

TEST(HttpReply, EndsWhereTheTakerHasEnough)
{
    http_reply r;
    Sink sink;
    sink.enough = 3;
    http_reply_begin(&r, false);
    const std::string text = ok + "\r\nabcdef";
    EXPECT_EQ(http_reply_feed(&r, text.data(), text.size(), Sink::take, &sink), HTTP_REPLY_DONE);
    EXPECT_EQ(r.status, 200u);
}

TEST(HttpReply, ManySmallChunksAreNoOverhead)
{
    std::string text = ok + "Transfer-Encoding: chunked\r\n\r\n", body;
    for (int i = 0; i < 100000; i++)
        text += "1\r\nx\r\n";
    http_reply r;
    Sink sink;
    http_reply_begin(&r, false);
    EXPECT_EQ(http_reply_feed(&r, text.data(), text.size(), Sink::take, &sink), HTTP_REPLY_MORE);
    EXPECT_EQ(sink.body.size(), 100000u);
}

} // namespace
