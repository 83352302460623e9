// SPDX-License-Identifier: Apache-2.0
// What probes read: DNS replies and file feeds.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "health/dns_message.h"
#include "health/file_feed.h"

namespace
{

using Bytes = std::vector<uint8_t>;

struct Reply {
    dns_question question{};
    Bytes bytes;
    unsigned answers = 0;

    Reply(const char *name, const char *type, unsigned rcode = 0)
    {
        EXPECT_EQ(dns_question_make(&question, name, type), 0);
        question.message[0] = 0x12, question.message[1] = 0x34;
        bytes.assign(question.message, question.message + question.len);
        bytes[2] = 0x84;
        bytes[3] = static_cast<uint8_t>(rcode);
    }
    Reply &add(uint16_t type, const Bytes &rdata)
    {
        const Bytes head = {
            0xc0, 12, static_cast<uint8_t>(type >> 8),         static_cast<uint8_t>(type),        0, 1, 0, 0,
            0,    60, static_cast<uint8_t>(rdata.size() >> 8), static_cast<uint8_t>(rdata.size())};
        bytes.insert(bytes.end(), head.begin(), head.end());
        bytes.insert(bytes.end(), rdata.begin(), rdata.end());
        bytes[7] = static_cast<uint8_t>(++answers);
        return *this;
    }
    probe_result judge(const char *expect) const
    {
        probe_result r{};
        EXPECT_TRUE(dns_reply_judge(&question, expect, bytes.data(), bytes.size(), &r));
        return r;
    }
};

TEST(DnsMessage, AnExpectedRecordIsGood)
{
    EXPECT_EQ(Reply("a.example", "A").add(1, {192, 0, 2, 1}).add(1, {192, 0, 2, 2}).judge("192.0.2.2").result,
              EVIDENCE_UP);
    EXPECT_EQ(Reply("a.example", "A").add(1, {192, 0, 2, 1}).judge("192.0.2.3").reason, EVIDENCE_REASON_MISMATCH);
    EXPECT_EQ(Reply("a.example", "AAAA")
                  .add(28, {0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
                  .judge("2001:0db8:0:0::1")
                  .result,
              EVIDENCE_UP);
    EXPECT_EQ(Reply("a.example", "MX").add(15, {0, 10, 1, 'm', 0xc0, 12}).judge("10 m.a.example.").result, EVIDENCE_UP);
    EXPECT_EQ(Reply("a.example", "TXT").add(16, {2, 'o', 'k', 1, '!'}).judge("ok!").result, EVIDENCE_UP);
    EXPECT_EQ(Reply("a.example", "SRV").add(33, {0, 1, 0, 2, 0, 53, 0xc0, 12}).judge("1 2 53 A.Example").result,
              EVIDENCE_UP);
    EXPECT_EQ(Reply("a.example", "NS").add(2, {0xc0, 12}).judge("a.example").result, EVIDENCE_UP);
}

TEST(DnsMessage, AnRcodeCanBeExpected)
{
    EXPECT_EQ(Reply("a.example", "SOA", 5).judge("REFUSED").result, EVIDENCE_UP);
    EXPECT_EQ(Reply("a.example", "SOA", 2).judge("noerror").reason, EVIDENCE_REASON_MISMATCH);
    EXPECT_STREQ(Reply("a.example", "SOA", 2).judge("noerror").detail, "SERVFAIL");
    EXPECT_EQ(Reply("a.example", "SOA", 2).judge("").result, EVIDENCE_UP) << "any response";
    EXPECT_EQ(Reply("a.example", "A", 3).judge("192.0.2.1").reason, EVIDENCE_REASON_MISMATCH);
}

TEST(DnsMessage, RepliesToOtherQuestionsAreNotOurs)
{
    Reply good("a.example", "A");
    good.add(1, {192, 0, 2, 1});
    probe_result r{};
    const struct {
        size_t at;
        uint8_t value;
        const char *why;
    } rows[] = {{0, 0, "another id"},
                {2, 4, "a query"},
                {2, 0xa4, "another opcode"},
                {13, 'b', "another name"},
                {24, 28, "another type"}};
    for (const auto &row : rows) {
        Bytes bytes = good.bytes;
        bytes[row.at] = row.value;
        EXPECT_FALSE(dns_reply_judge(&good.question, "", bytes.data(), bytes.size(), &r)) << row.why;
    }
    Bytes upper = good.bytes;
    upper[13] = 'A';
    EXPECT_TRUE(dns_reply_judge(&good.question, "192.0.2.1", upper.data(), upper.size(), &r));
    EXPECT_EQ(r.result, EVIDENCE_UP) << "case says nothing";
}

TEST(DnsMessage, MalformedRepliesAreBadNotDangerous)
{
    Reply loop("a.example", "NS");
    loop.add(2, {0xc0, static_cast<uint8_t>(loop.bytes.size() + 12)});
    EXPECT_EQ(loop.judge("x").reason, EVIDENCE_REASON_PROTOCOL) << "a pointer to itself";
    Reply whole("a.example", "MX");
    whole.add(15, {0, 10, 1, 'm', 0xc0, 12});
    for (size_t len = 0; len < whole.bytes.size(); len++) {
        probe_result r{};
        if (dns_reply_judge(&whole.question, "10 m.a.example", whole.bytes.data(), len, &r)) {
            EXPECT_EQ(r.result, EVIDENCE_DOWN) << "cut after " << len;
        }
    }
}

TEST(DnsMessage, QuestionsThatCannotBeAskedAreRefused)
{
    dns_question q;
    EXPECT_EQ(dns_question_make(&q, "a.example", "NOSUCH"), -EINVAL);
    EXPECT_EQ(dns_question_make(&q, "a.example", "TYPE65536"), -EINVAL);
    EXPECT_EQ(dns_question_make(&q, std::string(300, 'a').c_str(), "A"), -EINVAL);
    EXPECT_EQ(dns_question_make(&q, "a.example", "TYPE65535"), 0);
    EXPECT_EQ(dns_question_make(&q, ".", "SOA"), 0);
}

probe_address server(const char *text, uint16_t port)
{
    probe_address a{};
    sockaddr_in *v4 = reinterpret_cast<sockaddr_in *>(&a.address);
    sockaddr_in6 *v6 = reinterpret_cast<sockaddr_in6 *>(&a.address);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET, v4->sin_port = htons(port), a.len = sizeof *v4;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6, v6->sin6_port = htons(port), a.len = sizeof *v6;
    }
    return a;
}

TEST(FileFeed, TheLastLineThatFitsCounts)
{
    const struct {
        const char *text;
        probe_address who;
        evidence_result result;
        int32_t load;
        const char *detail, *why;
    } rows[] = {
        {"192.0.2.1 up\n", server("192.0.2.1", 80), EVIDENCE_UP, -1, "", "an address"},
        {"192.0.2.1:80 up\n", server("192.0.2.1", 80), EVIDENCE_UP, -1, "", "with its port"},
        {"192.0.2.1:81 up\n", server("192.0.2.1", 80), EVIDENCE_UNKNOWN, -1, "no line of the file names the server",
         "another port"},
        {"* up 85%\n", server("192.0.2.1", 80), EVIDENCE_UP, 850, "85%", "all, with a load"},
        {"* up\n192.0.2.1 down  until noon\n", server("192.0.2.1", 80), EVIDENCE_DOWN, -1, "until noon",
         "the last counts"},
        {"192.0.2.1 down\n* up\n", server("192.0.2.1", 80), EVIDENCE_UP, -1, "", "whichever it is"},
        {"2001:db8::1\tup\r\n", server("2001:db8::1", 80), EVIDENCE_UP, -1, "", "IPv6"},
        {"[2001:db8::1]:80 drain\n", server("2001:db8::1", 80), EVIDENCE_DOWN, -1, "", "IPv6 with a port"},
        {"[2001:db8::1]:81 drain\n", server("2001:db8::1", 80), EVIDENCE_UNKNOWN, -1,
         "no line of the file names the server", "IPv6 with another port"},
        {"# * up\n\n", server("192.0.2.1", 80), EVIDENCE_UNKNOWN, -1, "no line of the file names the server",
         "remarks"},
        {"* sideways\n", server("192.0.2.1", 80), EVIDENCE_UNKNOWN, -1,
         "\"sideways\" is neither up, down, drain nor unknown", "no state"},
        {"*\n", server("192.0.2.1", 80), EVIDENCE_UNKNOWN, -1, "\"\" is neither up, down, drain nor unknown",
         "no state"},
        {"* up", server("192.0.2.1", 80), EVIDENCE_UP, -1, "", "no newline at the end"},
    };
    for (const auto &row : rows) {
        const probe_result r = file_feed_read(row.text, strlen(row.text), &row.who);
        EXPECT_EQ(r.result, row.result) << row.why;
        EXPECT_EQ(r.load_permille, row.load) << row.why;
        EXPECT_STREQ(r.detail, row.detail) << row.why;
    }
}

TEST(FileFeed, NoiseIsSurvived)
{
    const probe_address who = server("192.0.2.1", 80);
    for (int octet = 0; octet < 256; octet++) {
        const std::string text(3000, static_cast<char>(octet));
        EXPECT_NE(file_feed_read(text.data(), text.size(), &who).result, EVIDENCE_UP);
    }
}

} // namespace
