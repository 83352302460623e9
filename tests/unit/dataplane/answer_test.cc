// SPDX-License-Identifier: Apache-2.0
#include "tests/support/answer_fixture.h"

using dns_text::Bytes;
using dns_text::option;
using dns_text::QueryText;
using dns_text::ReplyText;

namespace
{

class Answer : public AnswerFixture
{
  public:
    Answer()
    {
        settings.flags = SETTING_COOKIES | SETTING_CLIENT_SUBNET;
        settings.cookie_secret_count = 1;
        memcpy(settings.cookie_secret[0], "0123456789abcdef", 16);
        settings.nsid_len = 4;
        memcpy(settings.nsid, "ams1", 4);
        settings.chaos_id_len = 4;
        memcpy(settings.chaos_id, "ams1", 4);
        std::string zone = "@ 3600 SOA ns1 hostmaster 1 2 3 4 300\n@ 3600 NS ns1\nns1 3600 A 192.0.2.1\nwww 300 TXT "
                           "static\nplain 300 A 192.0.2.3\n";
        for (int i = 0; i < 100; i++)
            zone += "many 300 A 10.0.0." + std::to_string(i) + "\n";
        zones.zone("example.com.", zone);
        region_prefix prefix{};
        prefix.address[0] = 203;
        prefix.address[2] = 113;
        prefix.prefix_len = 24;
        prefix.region = 1;
        EXPECT_EQ(zone_builder_set_regions(zones.builder, &prefix, 1), 0);
        EXPECT_EQ(zone_builder_add_service(zones.builder, dns_text::name("www.example.com").data(), 0), 0);
        EXPECT_EQ(zone_builder_add_service(zones.builder, dns_text::name("*.apps.example.com").data(), 1), 0);
        EXPECT_EQ(zone_builder_add_service(zones.builder, dns_text::name("down.example.com").data(), 2), 0);
        EXPECT_EQ(zone_builder_add_service(zones.builder, dns_text::name("gone.example.com").data(), 3), 0);
        orders.regions = 2;
        orders.services.resize(4);
        orders.services[0].answers = {{{"192.0.2.10", "198.51.100.10", "2001:db8:1::10", "2001:db8:2::10"}},
                                      {{"198.51.100.10", "192.0.2.10", "2001:db8:2::10", "2001:db8:1::10"}}};
        orders.services[0].flags = ORDER_BY_REGION;
        orders.services[0].classes = {0, 1};
        orders.services[1].answers = {{{"192.0.2.20"}}};
        orders.services[2].answers = {{{"192.0.2.10", "198.51.100.10"}, 5, ORDER_ANSWER, 22}};
        orders.services[3].answers = {{{}, 5, ORDER_SERVFAIL, 22}};
        publish();
    }
};

TEST_F(Answer, service_gives_the_addresses_in_order_for_both_families)
{
    EXPECT_EQ(ask("www.example.com", "A").summary(),
              "NOERROR aa | www.example.com. 30 A 192.0.2.10; www.example.com. 30 A 198.51.100.10 | |");
    EXPECT_EQ(ask("www.example.com", "AAAA").summary(),
              "NOERROR aa | www.example.com. 30 AAAA 2001:db8:1::10; www.example.com. 30 AAAA 2001:db8:2::10 | |");
    EXPECT_EQ(count(COUNTER_answers_service), 2u);
}

TEST_F(Answer, other_types_at_a_service_come_from_the_zone)
{
    EXPECT_EQ(ask("www.example.com", "TXT").summary(), "NOERROR aa | www.example.com. 300 TXT static | |");
    EXPECT_EQ(ask("www.example.com", "MX").section[1].size(), 1u) << "NODATA with SOA";
}

TEST_F(Answer, service_without_addresses_of_a_family_is_nodata)
{
    ReplyText reply = ask("x.apps.example.com", "AAAA");
    EXPECT_EQ(reply.rcode, 0u);
    EXPECT_EQ(reply.section[1].size(), 1u);
    EXPECT_EQ(ask("x.apps.example.com", "A").summary(), "NOERROR aa | x.apps.example.com. 30 A 192.0.2.20 | |")
        << "wildcard service";
}

TEST_F(Answer, fail_open_carries_an_extended_error_when_edns_is_spoken)
{
    QueryText q{"down.example.com"};
    EXPECT_EQ(ask(q).section[0].size(), 2u);
    q.edns = true;
    ReplyText reply = ask(q);
    EXPECT_EQ(reply.options[15], (Bytes{0, 22}));
    EXPECT_EQ(count(COUNTER_answers_fail_open), 2u);
    EXPECT_EQ(ask("gone.example.com", "A").summary(), "SERVFAIL aa | | |");
}

TEST_F(Answer, stale_table_is_said)
{
    context.is_stale = true;
    QueryText q{"www.example.com"};
    q.edns = true;
    EXPECT_EQ(ask(q).options[15], (Bytes{0, 3}));
    EXPECT_EQ(count(COUNTER_answers_stale), 1u);
}

TEST_F(Answer, region_of_the_client_subnet_turns_the_order_and_sets_the_scope)
{
    QueryText q{"www.example.com"};
    q.edns = true;
    q.options = option(8, {0, 1, 24, 0, 203, 0, 113});
    ReplyText reply = ask(q);
    EXPECT_EQ(reply.section[0][0], "www.example.com. 30 A 198.51.100.10");
    EXPECT_EQ(reply.options[8], (Bytes{0, 1, 24, 24, 203, 0, 113}));
    q.options = option(8, {0, 1, 24, 0, 8, 8, 8});
    reply = ask(q);
    EXPECT_EQ(reply.section[0][0], "www.example.com. 30 A 192.0.2.10");
    EXPECT_EQ(reply.options[8], (Bytes{0, 1, 24, 1, 8, 8, 8})) << "the widest prefix around 8.8.8.0 without the region";
    q.qname = "plain.example.com";
    EXPECT_EQ(ask(q).options[8], (Bytes{0, 1, 24, 0, 8, 8, 8})) << "not tailored: scope 0";
    q.qname = "www.example.com";
    q.options = option(8, {0, 1, 0, 0});
    EXPECT_EQ(ask(q).options[8], (Bytes{0, 1, 0, 0})) << "source 0 asks not to be told apart";
}

TEST_F(Answer, source_address_stands_for_the_client_without_a_subnet)
{
    const uint8_t address[4] = {203, 0, 113, 9};
    memcpy(client.address, address, 4);
    EXPECT_EQ(ask("www.example.com", "A").section[0][0], "www.example.com. 30 A 198.51.100.10");
}

struct SubnetRow {
    Bytes data;
    unsigned rcode;
    const char *why;
};

TEST_F(Answer, malformed_client_subnets_are_format_errors)
{
    const SubnetRow rows[] = {
        {{0, 1, 24, 0, 1, 2, 3}, 0, "well formed"},
        {{0, 1, 24, 0, 1, 2}, 1, "too few address octets"},
        {{0, 1, 24, 0, 1, 2, 3, 4}, 1, "too many address octets"},
        {{0, 1, 23, 0, 1, 2, 3}, 1, "a bit past the prefix"},
        {{0, 1, 24, 24, 1, 2, 3}, 1, "scope set in a query"},
        {{0, 1, 33, 0, 1, 2, 3, 4, 5}, 1, "longer than an IPv4 address"},
        {{0, 2, 129, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}, 1, "longer than an IPv6 address"},
        {{0, 1, 24}, 1, "shorter than its head"},
        {{0, 9, 8, 0, 1}, 1, "an address of an unknown family"},
        {{0, 9, 0, 0}, 0, "no address: the family means nothing"},
        {{0, 0, 0, 0}, 0, "as some clients write that"},
        {{0, 0, 0, 0, 1}, 1, "an address octet without a bit of address"},
    };
    for (const SubnetRow &row : rows) {
        QueryText q{"www.example.com"};
        q.edns = true;
        q.options = option(8, row.data);
        ReplyText reply = ask(q);
        EXPECT_EQ(reply.rcode, row.rcode) << row.why;
        if (row.rcode == 0) {
            Bytes echo = reply.options[8];
            ASSERT_EQ(echo.size(), row.data.size()) << row.why;
            echo[3] = 0;
            EXPECT_EQ(echo, row.data) << "family, source length and address come back (RFC 7871 section 7.2.1)";
        }
    }
}

TEST_F(Answer, edns_is_answered_if_and_only_if_it_was_asked)
{
    QueryText q{"www.example.com"};
    EXPECT_FALSE(ask(q).has_opt);
    q.edns = true;
    q.opt_ttl = 0x8000;
    ReplyText reply = ask(q);
    EXPECT_EQ(reply.opt_udp_size, 1232u);
    EXPECT_TRUE(reply.opt_do);
    q.opt_ttl = 0x00010000;
    reply = ask(q);
    EXPECT_EQ(reply.rcode, 16u) << "BADVERS";
    EXPECT_EQ(reply.opt_version, 0u);
    EXPECT_TRUE(reply.section[0].empty());
    q.opt_ttl = 0x7fff;
    EXPECT_EQ(ask(q).rcode, 0u) << "unknown flags are ignored";
    q.opt_ttl = 0;
    q.options = option(65001, {1, 2, 3});
    reply = ask(q);
    EXPECT_EQ(reply.rcode, 0u);
    EXPECT_TRUE(reply.options.empty()) << "unknown options are not echoed";
}

TEST_F(Answer, nsid_comes_only_when_asked_also_with_badvers)
{
    QueryText q{"www.example.com"};
    q.edns = true;
    EXPECT_EQ(ask(q).options.count(3), 0u);
    q.options = option(3, {});
    EXPECT_EQ(ask(q).options[3], (Bytes{'a', 'm', 's', '1'}));
    q.opt_ttl = 0x00010000;
    EXPECT_EQ(ask(q).options.count(3), 0u) << "an error is no larger than its query";
    dns_text::append(q.options, option(12, {0, 0, 0, 0}));
    EXPECT_EQ(ask(q).options[3], (Bytes{'a', 'm', 's', '1'})) << "but if it fits";
    q.options = option(3, {});
    client.is_tcp = true;
    EXPECT_EQ(ask(q).options[3], (Bytes{'a', 'm', 's', '1'})) << "or the address is beyond doubt";
}

TEST_F(Answer, cookies_are_made_and_recognised)
{
    QueryText q{"www.example.com"};
    q.edns = true;
    q.options = option(10, {1, 2, 3, 4, 5, 6, 7, 8});
    ReplyText reply = ask(q);
    ASSERT_EQ(reply.options[10].size(), 24u);
    EXPECT_EQ(count(COUNTER_cookie_none), 1u);
    q.options = option(10, reply.options[10]);
    ask(q);
    EXPECT_EQ(count(COUNTER_cookie_good), 1u);
    context.now_s += 3601;
    ask(q);
    EXPECT_EQ(count(COUNTER_cookie_bad), 1u) << "an hour old: RFC 9018 section 4.3";
    context.now_s -= 3601;
    client.address[3] ^= 1;
    ask(q);
    EXPECT_EQ(count(COUNTER_cookie_bad), 2u) << "another client's";
    for (size_t len : {0u, 7u, 9u, 15u, 41u}) {
        q.options = option(10, Bytes(len, 1));
        EXPECT_EQ(ask(q).rcode, 1u) << "length " << len;
    }
}

TEST_F(Answer, cookie_can_be_asked_for_without_a_question)
{
    Bytes m = {0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0};
    dns_text::put16(m, 12);
    dns_text::append(m, option(10, {1, 2, 3, 4, 5, 6, 7, 8}));
    ReplyText reply = dns_text::parse(ask_raw(m));
    EXPECT_TRUE(reply.parsed);
    EXPECT_EQ(reply.rcode, 0u);
    EXPECT_EQ(reply.options[10].size(), 24u);
    EXPECT_EQ(reply.question, "");
}

TEST_F(Answer, too_long_answers_are_truncated_to_the_client_limit)
{
    QueryText q{"many.example.com"};
    EXPECT_TRUE(ask(q).tc());
    EXPECT_TRUE(ask(q).section[0].empty());
    q.edns = true;
    q.udp_size = 4096;
    EXPECT_TRUE(ask(q).tc()) << "1,600 octets of records are over 1232";
    client.is_tcp = true;
    ReplyText reply = ask(q);
    EXPECT_FALSE(reply.tc());
    EXPECT_EQ(reply.section[0].size(), 100u);
}

TEST_F(Answer, responses_and_short_messages_are_never_answered)
{
    Bytes m = dns_text::query({});
    for (unsigned flags = 0x8000; flags <= 0xffff; flags += 0x0101) {
        m[2] = static_cast<uint8_t>(flags >> 8);
        m[3] = static_cast<uint8_t>(flags);
        EXPECT_TRUE(ask_raw(m).empty()) << std::hex << flags;
    }
    for (size_t len = 0; len < 12; len++)
        EXPECT_TRUE(ask_raw(Bytes(len, 0)).empty());
    EXPECT_EQ(count(COUNTER_drop_short), 12u);
}

struct ProtocolRow {
    const char *why;
    Bytes message;
    const char *expected;
    const char *question;
};

TEST_F(Answer, protocol_errors_get_the_right_rcode)
{
    QueryText plain{"www.example.com"}, edns{"www.example.com"};
    edns.edns = true;
    auto with = [](Bytes m, size_t at, unsigned value) {
        m[at] = static_cast<uint8_t>(value >> 8);
        m[at + 1] = static_cast<uint8_t>(value);
        return m;
    };
    Bytes query = dns_text::query(plain), opt = dns_text::query(edns);
    Bytes two_opts = with(opt, 10, 2);
    two_opts.insert(two_opts.end(), opt.end() - 11, opt.end());
    Bytes owned = opt;
    owned[owned.size() - 11] = 1;
    owned.insert(owned.end() - 10, {'x', 0});
    Bytes trailing = query;
    trailing.push_back(0);
    Bytes pointer = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1};
    const ProtocolRow rows[] = {
        {"no question", {0x12, 0x34, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "FORMERR | | |", ""},
        {"two questions (RFC 9619)", with(query, 4, 2), "FORMERR | | |", ""},
        {"records in the answer section", with(query, 6, 1), "FORMERR | | |", "www.example.com. A"},
        {"fewer records than counted", with(query, 10, 1), "FORMERR | | |", "www.example.com. A"},
        {"octets behind the message", trailing, "FORMERR | | |", "www.example.com. A"},
        {"compression pointer in the question", pointer, "FORMERR | | |", ""},
        {"two OPT records", two_opts, "FORMERR | | |", "www.example.com. A"},
        {"OPT with an owner", owned, "FORMERR | | |", "www.example.com. A"},
        {"STATUS", with(query, 2, 2 << 11), "NOTIMP | | |", "www.example.com. A"},
        {"NOTIFY", with(query, 2, 4 << 11), "NOTIMP | | |", "www.example.com. A"},
        {"UPDATE", with(query, 2, 5 << 11), "NOTIMP | | |", "www.example.com. A"},
        {"opcode 15, header only", {0x12, 0x34, 0x78, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "NOTIMP | | |", ""},
        {"opcode 15 with OPT", with(opt, 2, 15 << 11), "NOTIMP | | |", "www.example.com. A"},
    };
    for (const ProtocolRow &row : rows) {
        Bytes raw = ask_raw(row.message);
        ASSERT_FALSE(raw.empty()) << row.why;
        ReplyText reply = dns_text::parse(raw);
        EXPECT_TRUE(reply.parsed) << row.why;
        EXPECT_EQ(reply.summary(), row.expected) << row.why;
        EXPECT_EQ(reply.question, row.question) << row.why;
        EXPECT_LE(raw.size(), row.message.size()) << row.why << ": an error is never larger than its query";
    }
}

TEST_F(Answer, header_bits_follow_the_query)
{
    QueryText q{"www.example.com"};
    q.flags = 0x0100 | 0x0010 | 0x0020 | 0x0040 | 0x0080 | 0x0400 | 0x0200; // RD CD AD Z RA AA TC
    ReplyText reply = ask(q);
    EXPECT_EQ(reply.flags, 0x8000u | 0x0400 | 0x0100 | 0x0010) << "QR AA RD CD; RA, AD, Z and TC clear";
    q.flags = 0;
    EXPECT_EQ(ask(q).flags, 0x8400u);
}

TEST_F(Answer, chaos_class_tells_only_what_is_configured)
{
    QueryText q{"id.server", "TXT", 3};
    EXPECT_EQ(ask(q).summary().substr(0, 10), "NOERROR aa");
    q.qname = "version.bind";
    EXPECT_EQ(ask(q).summary(), "REFUSED | | |");
    q.qname = "generation.signpost";
    EXPECT_EQ(ask(q).rcode, 0u);
    q.qname = "www.example.com";
    q.qclass = 4;
    EXPECT_EQ(ask(q).summary(), "REFUSED | | |") << "class HS";
}

TEST_F(Answer, nothing_is_answered_before_there_is_a_table)
{
    context.order_image = nullptr;
    EXPECT_TRUE(ask_raw(dns_text::query({})).empty());
    EXPECT_EQ(count(COUNTER_drop_not_ready), 1u);
}

TEST_F(Answer, all_types_and_all_option_codes_are_survived)
{
    QueryText q{"www.example.com"};
    for (unsigned type = 0; type <= 0xffff; type++) {
        q.qtype = "TYPE" + std::to_string(type);
        Bytes reply = ask_raw(dns_text::query(q));
        ASSERT_GE(reply.size(), 12u) << type;
        ASSERT_TRUE(dns_text::parse(reply).parsed) << type;
        unsigned rcode = reply[3] & 0xf;
        ASSERT_TRUE(rcode == 0 || (type == 41 && rcode == 1) || (type >= 249 && type <= 254 && rcode == 5))
            << type << " rcode " << rcode;
    }
    q.qtype = "A";
    q.edns = true;
    for (unsigned code = 0; code <= 0xffff; code++) {
        q.options = option(static_cast<uint16_t>(code), {});
        Bytes reply = ask_raw(dns_text::query(q));
        ASSERT_TRUE(dns_text::parse(reply).parsed) << code;
        ASSERT_EQ(reply[3] & 0xf, code == 8 || code == 10 ? 1 : 0) << code;
    }
}

TEST_F(Answer, every_size_limit_is_kept_octet_by_octet)
{
    QueryText q{"many.example.com"};
    q.edns = true;
    q.options = option(3, {});
    dns_text::append(q.options, option(10, {1, 2, 3, 4, 5, 6, 7, 8}));
    for (unsigned size = 0; size <= 1500; size++) {
        q.udp_size = static_cast<uint16_t>(size);
        for (const char *qname : {"many.example.com", "www.example.com", "no.example.com"}) {
            q.qname = qname;
            Bytes reply = ask_raw(dns_text::query(q));
            ASSERT_LE(reply.size(), std::max(512u, std::min(size, 1232u))) << size;
            ASSERT_TRUE(dns_text::parse(reply).parsed) << size;
        }
    }
    for (unsigned cap = 100; cap < 700; cap++) {
        Bytes reply = ask_raw(dns_text::query(q), cap);
        ASSERT_LE(reply.size(), cap);
        ASSERT_TRUE(dns_text::parse(reply).parsed) << cap;
    }
}

} // namespace
