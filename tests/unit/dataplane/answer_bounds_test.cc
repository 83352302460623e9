// SPDX-License-Identifier: Apache-2.0
// What an answer may cost and how it ends when room runs out: the work of the worst zones is bounded, and at every size
// limit the reply is either whole or says that it is not.
#include <algorithm>

#include "tests/support/answer_fixture.h"

using dns_text::Bytes;
using dns_text::QueryText;
using dns_text::ReplyText;

namespace
{

unsigned of_type(const std::vector<std::string> &records, const std::string &type)
{
    unsigned n = 0;
    for (const std::string &record : records)
        n += record.find(" " + type + " ") != std::string::npos;
    return n;
}

// ---- the worst zones ----

class AnswerBounds : public AnswerFixture
{
  public:
    AnswerBounds()
    {
        std::string zone = "@ 60 SOA a b 1 1 1 1 1\n";
        auto n = [](int i) { return std::to_string(i); };
        for (int i = 0; i < 1000; i++)
            zone += "thousand 60 A 10.0." + n(i / 256) + "." + n(i % 256) + "\n";
        for (int i = 0; i < 200; i++) {
            zone += "cut 60 NS n" + n(i) + ".cut\nmx 60 MX 1 n" + n(i) + ".t\nsrv 60 SRV 1 1 1 n" + n(i) + ".t\n";
            zone += "svc 60 HTTPS 1 n" + n(i) + ".t\n";
            for (const char *where : {".cut", ".t"})
                zone += "n" + n(i) + where + " 60 A 192.0.2.1\nn" + n(i) + where + " 60 AAAA 2001:db8::1\n";
        }
        for (int i = 0; i < 40; i++)
            zone += "c" + n(i) + " 60 CNAME c" + n(i + 1) + "\nd" + n(i) + " 60 DNAME d" + n(i + 1) + "\n" + "*.w" +
                    n(i) + " 60 CNAME x.w" + n(i + 1) + "\n";
        zone += "c40 60 A 192.0.2.1\nx.d40 60 A 192.0.2.1\n*.w40 60 A 192.0.2.1\n*.self 60 CNAME x.x.self\n"
                "dself 60 DNAME y.dself2\ndself2 60 DNAME y.dself\n";
        zones.zone("example.com.", zone);
        publish();
    }
};

TEST_F(AnswerBounds, a_chain_of_forty_aliases_is_followed_for_sixteen)
{
    for (bool is_tcp : {false, true}) {
        client.is_tcp = is_tcp;
        for (const char *qname : {"c0.example.com", "x.w0.example.com"}) {
            const ReplyText reply = ask(qname, "A");
            EXPECT_EQ(reply.rcode, 0u) << qname;
            EXPECT_FALSE(reply.tc()) << "the resolver asks for the rest";
            EXPECT_EQ(of_type(reply.section[0], "CNAME"), 16u) << qname;
            EXPECT_EQ(reply.section[0].size(), 16u) << qname;
        }
        EXPECT_EQ(ask("c24.example.com", "A").section[0].size(), 17u) << "sixteen aliases and what they lead to";
        EXPECT_EQ(ask("c23.example.com", "A").section[0].size(), 16u) << "one more is too many";
    }
}

TEST_F(AnswerBounds, a_chain_of_forty_dnames_is_followed_for_sixteen)
{
    client.is_tcp = true;
    const ReplyText reply = ask("x.d0.example.com", "A");
    EXPECT_EQ(reply.rcode, 0u);
    EXPECT_EQ(of_type(reply.section[0], "DNAME"), 16u);
    EXPECT_EQ(of_type(reply.section[0], "CNAME"), 16u);
}

TEST_F(AnswerBounds, what_grows_with_each_round_ends)
{
    client.is_tcp = true;
    EXPECT_LE(ask("x.self.example.com", "A").section[0].size(), 16u);
    const ReplyText reply = ask("x.dself.example.com", "A");
    EXPECT_LE(reply.section[0].size(), 32u);
    EXPECT_EQ(of_type(reply.section[0], "DNAME"), 2u) << "each DNAME once";
}

TEST_F(AnswerBounds, two_hundred_targets_bring_the_addresses_of_sixty_four)
{
    for (const char *qname : {"mx", "srv", "svc"}) {
        QueryText q{std::string(qname) + ".example.com", std::string(qname) == "mx"    ? "MX"
                                                         : std::string(qname) == "srv" ? "SRV"
                                                                                       : "HTTPS"};
        client.is_tcp = true;
        ReplyText reply = ask(q);
        EXPECT_EQ(reply.section[0].size(), 200u);
        EXPECT_EQ(reply.section[2].size(), 128u) << "two addresses each";
        EXPECT_FALSE(reply.tc());
        client.is_tcp = false;
        EXPECT_EQ(ask(q).summary(), "NOERROR aa tc | | |");
    }
}

TEST_F(AnswerBounds, glue_of_two_hundred_name_servers_is_complete_or_not_begun)
{
    EXPECT_EQ(ask("x.cut.example.com", "A").summary(), "NOERROR tc | | |");
    client.is_tcp = true;
    const ReplyText reply = ask("x.cut.example.com", "A");
    EXPECT_EQ(reply.section[1].size(), 200u);
    EXPECT_EQ(reply.section[2].size(), 400u);
}

TEST_F(AnswerBounds, a_thousand_records_are_one_truncated_answer)
{
    EXPECT_EQ(ask("thousand.example.com", "A").summary(), "NOERROR aa tc | | |");
    client.is_tcp = true;
    EXPECT_EQ(ask("thousand.example.com", "A").section[0].size(), 1000u);
}

TEST_F(AnswerBounds, a_query_of_more_than_sixty_four_records_is_not_walked)
{
    for (unsigned count : {63u, 64u, 65u, 200u, 65535u}) {
        Bytes m = dns_text::query({"thousand.example.com", "MX"});
        m[10] = static_cast<uint8_t>(count >> 8);
        m[11] = static_cast<uint8_t>(count);
        for (unsigned i = 0; i < std::min(count, 200u); i++)
            dns_text::append(m, {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0});
        EXPECT_EQ(dns_text::parse(ask_raw(m)).rcode, count <= 64 ? 0u : 1u) << count;
    }
}

// ---- room ----

class AnswerRoom : public AnswerFixture
{
  public:
    AnswerRoom()
    {
        const std::string l(60, 'l');
        settings.udp_max = 4096;
        settings.nsid_len = 40;
        settings.flags = SETTING_COOKIES;
        settings.cookie_secret_count = 1;
        zones.zone(
            "example.com.",
            "@ 60 SOA " + l + "." + l + "." + l + " " + l + "x." + l + "." + l +
                " 1 1 1 1 1\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n" +
                "ns1 60 AAAA 2001:db8::1\nalias 60 CNAME a2\na2 60 CNAME a3\na3 60 CNAME plain\nplain 60 A "
                "192.0.2.3\n" +
                "dang 60 CNAME nothing\nold 60 DNAME new\nnew 60 DNAME newer\nwww.newer 60 A 192.0.2.4\nwww.newer 60 A "
                "192.0.2.5\nc 60 NS ns.c\nc 60 NS ns2.c\nc 60 NS ns1\nns.c 60 A 192.0.2.6\nns.c 60 AAAA "
                "2001:db8::6\nns2.c 60 "
                "A 192.0.2.7\ntoc 60 CNAME x.c\nmx 60 MX 1 ns1\nmx 60 MX 2 plain\n*.cw 60 NS ns.under.cw\nns.under.cw "
                "60 A "
                "192.0.2.9\n");
        EXPECT_EQ(zone_builder_add_service(zones.builder, dns_text::name("www.example.com").data(), 0), 0);
        EXPECT_EQ(zone_builder_add_service(zones.builder, dns_text::name("none.example.com").data(), 1), 0);
        orders.services.resize(2);
        orders.services[0].answers = {{{"192.0.2.10", "198.51.100.10"}, 5, ORDER_ANSWER, 22}};
        orders.services[1].answers = {{{}, 5, ORDER_NODATA, 22}};
        publish();
        client.is_tcp = true;
    }
};

bool is_prefix(const std::vector<std::string> &part, const std::vector<std::string> &whole)
{
    return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

bool is_part(const std::vector<std::string> &part, const std::vector<std::string> &whole)
{
    for (const std::string &record : part)
        if (std::find(whole.begin(), whole.end(), record) == whole.end())
            return false;
    return true;
}

TEST_F(AnswerRoom, at_every_limit_a_reply_is_whole_or_says_that_it_is_not)
{
    const struct {
        const char *qname, *qtype;
        bool may_lose_additional; // without TC
    } rows[] = {
        {"www.example.com", "A", false},     {"none.example.com", "A", false},    {"plain.example.com", "A", false},
        {"plain.example.com", "TXT", false}, {"nothing.example.com", "A", false}, {"alias.example.com", "A", false},
        {"alias.example.com", "MX", false},  {"dang.example.com", "A", false},    {"www.old.example.com", "A", false},
        {"x.old.example.com", "A", false},   {"x.c.example.com", "A", true},      {"toc.example.com", "A", true},
        {"example.com", "SOA", false},       {"example.com", "NS", true},         {"mx.example.com", "MX", true},
        {"x.old.example.com", "ANY", false}, {"alias.example.com", "ANY", false}, {"plain.example.com", "ANY", false},
        {"x.cw.example.com", "A", true},
    };
    for (const auto &row : rows)
        for (bool has_edns : {false, true}) {
            QueryText q{row.qname, row.qtype};
            q.edns = has_edns;
            q.options = dns_text::option(3, {});
            const Bytes query = dns_text::query(q), whole = ask_raw(query);
            const ReplyText all = dns_text::parse(whole);
            ASSERT_TRUE(all.parsed && !all.tc()) << row.qname;
            const unsigned least =
                static_cast<unsigned>(query.size()) + std::max<unsigned>(ANSWER_SLACK, has_edns ? 50 : 0);
            for (unsigned cap = least; cap <= whole.size() + 8; cap++) {
                const Bytes raw = ask_raw(query, cap);
                const ReplyText reply = dns_text::parse(raw);
                ASSERT_TRUE(reply.parsed) << row.qname << " " << row.qtype << " in " << cap;
                ASSERT_LE(raw.size(), cap);
                ASSERT_EQ(reply.rcode, all.rcode) << row.qname << " in " << cap; // of the last name, also with TC
                ASSERT_TRUE(is_prefix(reply.section[0], all.section[0]));
                ASSERT_TRUE(is_part(reply.section[2], all.section[2]));
                const bool is_whole = reply.section[0] == all.section[0] && reply.section[1] == all.section[1];
                const bool lacks_additional = reply.section[2].size() < all.section[2].size();
                ASSERT_TRUE(is_whole || reply.tc()) << row.qname << " " << row.qtype << " in " << cap;
                ASSERT_TRUE(!lacks_additional || row.may_lose_additional || reply.tc());
                if (cap >= whole.size() + 8) { // 6 octets are kept for an extended error
                    ASSERT_EQ(raw, whole) << row.qname << " in " << cap;
                }
            }
        }
}

TEST_F(AnswerRoom, in_domain_glue_is_never_lost_in_silence)
{
    const Bytes query = dns_text::query({"x.c.example.com"});
    for (unsigned cap = static_cast<unsigned>(query.size()) + ANSWER_SLACK; cap < 400; cap++) {
        const ReplyText reply = dns_text::parse(ask_raw(query, cap));
        const bool is_complete = of_type(reply.section[2], "A") >= 2 && of_type(reply.section[2], "AAAA") >= 1;
        ASSERT_EQ(reply.tc(), !is_complete) << cap;
    }
}

TEST_F(AnswerRoom, a_long_question_leaves_little_room_over_udp)
{
    client.is_tcp = false;
    const std::string l(63, 'q');
    QueryText q{l + "." + l + "." + l + "." + std::string(49, 'q') + ".example.com"};
    q.edns = true;
    q.udp_size = 512;
    q.options = dns_text::option(3, {});
    dns_text::append(q.options, dns_text::option(10, Bytes(8, 1)));
    const Bytes raw = ask_raw(dns_text::query(q));
    const ReplyText reply = dns_text::parse(raw);
    EXPECT_TRUE(reply.parsed);
    EXPECT_LE(raw.size(), 512u);
    EXPECT_TRUE(reply.tc()) << "its SOA has two long names";
    EXPECT_EQ(reply.rcode, 3u);
    EXPECT_EQ(reply.options.size(), 2u) << "the OPT record has its room kept";
}

TEST_F(AnswerRoom, a_delegated_wildcard_refers_with_the_name_asked_for)
{
    EXPECT_EQ(ask("a.cw.example.com", "A").summary(),
              "NOERROR | | a.cw.example.com. 60 NS ns.under.cw.example.com. | ns.under.cw.example.com. 60 A 192.0.2.9");
    EXPECT_EQ(ask("a.cw.example.com", "DS").section[1].size(), 1u)
        << "DS is the parent's: NODATA (RFC 4592 section 4.2)";
}

} // namespace
