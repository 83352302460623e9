// SPDX-License-Identifier: Apache-2.0
// No error over UDP is larger than its query, whatever is asked and however it is spoiled: nobody gains by lying about
// his address. And no NXDOMAIN behind an alias is four times as large as its query.
#include <random>

#include "tests/support/answer_fixture.h"

extern "C" {
#include "dataplane/cookie.h"
}

namespace
{

using dns_text::Bytes;

class ErrorSize : public AnswerFixture
{
  public:
    std::mt19937_64 random{6891};

    ErrorSize()
    {
        settings.flags = SETTING_COOKIES | SETTING_CLIENT_SUBNET;
        settings.cookie_secret_count = 1;
        memcpy(settings.cookie_secret[0], "0123456789abcdef", 16);
        zones.zone("example.com.", "@ 60 SOA ns.example.com. h.example.com. 1 2 3 4 5\n@ 60 NS ns.example.org.\n"
                                   "www 60 A 192.0.2.1\nd 60 DNAME target.example.com.\n");
        zone_builder_add_service(zones.builder, dns_text::name("dark", "example.com.").data(), 0);
        orders.services.resize(1);
        orders.services[0].answers = {{{}, 5, ORDER_SERVFAIL, 22}};
    }

    unsigned below(unsigned n)
    {
        return static_cast<unsigned>(random() % n);
    }

    Bytes some(size_t len)
    {
        Bytes b(len);
        for (uint8_t &octet : b)
            octet = static_cast<uint8_t>(random());
        return b;
    }

    Bytes random_option()
    {
        switch (below(7)) {
        case 0:
            return dns_text::option(3, some(below(3) ? 0 : below(20)));
        case 1:
            return dns_text::option(10, some(below(2) ? 8 : below(3) ? 24 : below(50)));
        case 2:
            return dns_text::option(8, {0, 1, 24, 0, 192, 0, 2});
        case 3:
            return dns_text::option(8, some(4 + below(20)));
        case 4:
            return dns_text::option(11, some(below(2) * 2));
        case 5:
            return dns_text::option(12, some(below(60)));
        default:
            return dns_text::option(static_cast<uint16_t>(random()), some(below(10)));
        }
    }

    Bytes random_query()
    {
        static const char *const names[] = {"www.example.com", "dark.example.com", "example.org", "nothing.example.com",
                                            "."};
        static const char *const types[] = {"A", "AAAA", "TYPE252", "TYPE41", "TYPE249", "TXT", "TYPE65280"};
        dns_text::QueryText q;
        q.qname = names[below(5)];
        q.qtype = types[below(7)];
        q.qclass = below(4) ? 1 : static_cast<uint16_t>(below(2) ? 3 : random());
        q.flags = static_cast<uint16_t>(below(3) ? 0x0100 : random() & 0x7fff);
        q.edns = below(8) != 0;
        q.opt_ttl = below(3) ? 0 : static_cast<uint32_t>(random());
        q.udp_size = static_cast<uint16_t>(random());
        for (unsigned i = below(5); i; i--)
            dns_text::append(q.options, random_option());
        Bytes wire = dns_text::query(q);
        for (unsigned i = below(4) ? 0 : 1 + below(3); i; i--)
            wire[below(static_cast<unsigned>(wire.size()))] = static_cast<uint8_t>(random());
        wire[2] &= 0x7f;
        if (below(10) == 0)
            wire.resize(12 + below(static_cast<unsigned>(wire.size()) - 11));
        if (below(20) == 0)
            dns_text::append(wire, some(1 + below(30)));
        return wire;
    }
};

TEST_F(ErrorSize, no_error_over_udp_is_larger_than_its_query)
{
    static const uint8_t nsid_lens[] = {0, 1, 4, 40, 128};
    unsigned seen[24] = {0}, with_option[16] = {0};
    for (uint8_t nsid_len : nsid_lens) {
        settings.nsid_len = nsid_len;
        memset(settings.nsid, 'n', sizeof settings.nsid);
        publish();
        for (int i = 0; i < 40000; i++) {
            const Bytes query = random_query();
            const Bytes reply = ask_raw(query);
            ASSERT_GE(reply.size(), 12u);
            const dns_text::ReplyText text = dns_text::parse(reply);
            ASSERT_TRUE(text.parsed);
            if (text.rcode == 0 || text.rcode == 3 || text.rcode == 6)
                continue;
            ASSERT_LE(reply.size(), query.size()) << "rcode " << text.rcode << ", round " << i;
            seen[text.rcode]++;
            for (const auto &option : text.options)
                with_option[option.first]++;
        }
    }
    for (unsigned rcode : {1, 2, 4, 5, 16})
        EXPECT_GT(seen[rcode], 500u) << rcode;
    for (unsigned option : {3, 8, 10, 15})
        EXPECT_GT(with_option[option], 100u) << "where there is room it is there: " << option;
}

class NegativeSize : public AnswerFixture
{
  public:
    NegativeSize()
    {
        settings.flags = SETTING_COOKIES;
        settings.cookie_secret_count = 1;
        // Targets of 16 to 255 octets for owners of a letter or two, and chains of aliases that lead to nothing.
        std::string zone = "@ 60 SOA ns h 1 2 3 4 5\n@ 60 NS ns.example.org.\n", target = "t.zz.";
        for (char i = 'a'; i < 'a' + 15; i++) {
            zone += std::string("d") + i + " 60 DNAME " + target + "\nc" + i + " 60 CNAME c" +
                    std::string(1, static_cast<char>(i + 1)) + "\n";
            target = std::string(15, i) + "." + target;
        }
        zones.zone("zz.", zone);
        publish();
    }

    Bytes ask_with(const std::string &qname, bool has_edns, bool has_cookie, size_t *query_len)
    {
        dns_text::QueryText q;
        q.qname = qname;
        q.qtype = "A";
        q.edns = has_edns;
        q.udp_size = 4096;
        if (has_cookie) {
            Bytes cookie(24, 'c');
            cookie_make(&cookie[8], cookie.data(), client.address, client.is_ipv6, context.now_s,
                        settings.cookie_secret[0]);
            q.options = dns_text::option(10, cookie);
        }
        const Bytes wire = dns_text::query(q);
        *query_len = wire.size();
        return ask_raw(wire);
    }
};

TEST_F(NegativeSize, nxdomain_behind_an_alias_is_below_four_times_its_query_or_sent_to_tcp)
{
    unsigned truncated = 0, whole = 0;
    for (const char *kind : {"x.d", "c"})
        for (char i = 'a'; i < 'a' + 15; i++)
            for (bool has_edns : {false, true}) {
                const std::string qname = std::string(kind) + i + ".zz";
                size_t len;
                client.is_tcp = false;
                const Bytes raw = ask_with(qname, has_edns, false, &len);
                const dns_text::ReplyText reply = dns_text::parse(raw);
                EXPECT_EQ(reply.rcode, 3u) << qname;
                EXPECT_LT(raw.size(), 4 * len) << qname;
                EXPECT_EQ(reply.tc(), reply.section[0].empty()) << qname;
                EXPECT_EQ(reply.tc(), reply.section[1].empty()) << qname;
                (reply.tc() ? truncated : whole)++;
                client.is_tcp = true;
                const dns_text::ReplyText by_tcp = dns_text::parse(ask_with(qname, has_edns, false, &len));
                EXPECT_FALSE(by_tcp.tc() || by_tcp.section[0].empty() || by_tcp.section[1].empty()) << qname;
            }
    EXPECT_GT(truncated, 20u);
    EXPECT_GT(whole, 5u);
}

TEST_F(NegativeSize, who_has_shown_his_address_by_a_cookie_gets_it_whole)
{
    size_t len;
    const Bytes raw = ask_with("x.do.zz", true, true, &len);
    const dns_text::ReplyText reply = dns_text::parse(raw);
    EXPECT_FALSE(reply.tc());
    EXPECT_EQ(reply.section[1].size(), 1u);
    EXPECT_GT(raw.size(), 4 * len) << "or the test shows nothing";
}

} // namespace
