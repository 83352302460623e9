// SPDX-License-Identifier: Apache-2.0
// What the settings switch, and services whose clients are told apart by bucket.
#include "tests/support/answer_fixture.h"

extern "C" {
#include "dataplane/rate_limit.h"
}

using dns_text::Bytes;
using dns_text::option;
using dns_text::QueryText;
using dns_text::ReplyText;

namespace
{

class AnswerSettings : public AnswerFixture
{
  public:
    AnswerSettings()
    {
        zones.zone("example.com.", "@ 60 SOA a b 1 1 1 1 1\nwww 60 A 192.0.2.1\nout 60 CNAME www.example.net.\n");
        zones.zone("example.net.", "@ 60 SOA a b 1 1 1 1 1\nwww 60 A 192.0.2.2\n");
        EXPECT_EQ(zone_builder_add_service(zones.builder, dns_text::name("s.example.com").data(), 0), 0);
        EXPECT_EQ(zone_builder_add_service(zones.builder, dns_text::name("r.example.com").data(), 1), 0);
        orders.services.resize(2);
        orders.services[0].flags = ORDER_BY_BUCKET;
        orders.services[0].buckets = 64;
        orders.services[0].answers = {{{"192.0.2.10", "2001:db8::10"}}, {{"192.0.2.20", "2001:db8::20"}}};
        orders.services[0].classes.clear();
        for (unsigned i = 0; i < 64; i++)
            orders.services[0].classes.push_back(i % 2);
        orders.services[1].flags = ORDER_BY_REGION;
        orders.services[1].answers = {{{"192.0.2.30"}}};
        publish();
    }
    ReplyText with(const Bytes &options, const char *qname = "www.example.com", const char *qtype = "A")
    {
        QueryText q{qname, qtype};
        q.edns = true;
        q.options = options;
        return ask(q);
    }
};

TEST_F(AnswerSettings, options_that_are_switched_off_are_ignored)
{
    Bytes all = option(3, {});
    dns_text::append(all, option(8, {0, 1, 24, 0, 10, 1, 2}));
    dns_text::append(all, option(10, Bytes(8, 1)));
    dns_text::append(all, option(11, {}));
    EXPECT_TRUE(with(all).options.empty());
    settings.flags = SETTING_COOKIES; // but no secret
    publish();
    EXPECT_TRUE(with(all).options.empty());
    client.is_tcp = true;
    EXPECT_TRUE(with(all).options.empty()) << "no time-out to tell";
    context.tcp_keepalive_ds = 100;
    EXPECT_EQ(with(all).options.size(), 1u);
    client.is_tcp = false;
    EXPECT_TRUE(with(all).options.empty()) << "keepalive over UDP";
}

TEST_F(AnswerSettings, chaos_names_are_answered_as_configured)
{
    const struct {
        const char *qname, *qtype;
        unsigned version, id; // lengths configured
        unsigned rcode;
    } rows[] = {
        {"version.bind", "TXT", 5, 0, 0},        {"version.server", "TXT", 5, 0, 0},
        {"VERSION.Bind", "TXT", 5, 0, 0},        {"id.server", "TXT", 5, 0, 5},
        {"hostname.bind", "TXT", 0, 5, 0},       {"id.server", "ANY", 0, 5, 0},
        {"version.bind", "TXT", 0, 5, 5},        {"id.server", "A", 0, 5, 5},
        {"generation.signpost", "TXT", 0, 0, 5}, {"generation.signpost", "TXT", 0, 5, 0},
    };
    for (const auto &row : rows) {
        settings.chaos_version_len = static_cast<uint8_t>(row.version);
        settings.chaos_id_len = static_cast<uint8_t>(row.id);
        publish();
        const ReplyText reply = ask(QueryText{row.qname, row.qtype, 3});
        EXPECT_EQ(reply.rcode, row.rcode) << row.qname << " " << row.qtype;
        EXPECT_EQ(reply.section[0].size(), row.rcode ? 0u : 1u) << row.qname;
    }
    settings.flags = SETTING_RATE_LIMIT;
    settings.rate_per_s = settings.rate_burst = 10;
    publish();
    context.rate_limit = rate_limit_new(8, 1, 1);
    EXPECT_EQ(ask(QueryText{"id.server", "TXT", 3}).rcode, 0u) << "counted under no name";
    rate_limit_free(context.rate_limit);
    context.rate_limit = nullptr;
}

TEST_F(AnswerSettings, a_bucket_is_a_network_of_the_client)
{
    settings.flags = SETTING_CLIENT_SUBNET;
    publish();
    unsigned second = 0;
    for (unsigned i = 0; i < 256; i++) {
        const uint8_t n = static_cast<uint8_t>(i);
        const ReplyText four = with(option(8, {0, 1, 32, 0, 10, 1, n, 7}), "s.example.com");
        EXPECT_EQ(four.options.at(8)[3], 24) << "a /24 has one answer";
        EXPECT_EQ(with(option(8, {0, 1, 32, 0, 10, 1, n, 99}), "s.example.com").section[0], four.section[0]);
        second += four.section[0][0].find("192.0.2.20") != std::string::npos;
        const ReplyText six =
            with(option(8, {0, 2, 64, 0, 0x20, 1, 0xd, 0xb8, 0, 0, n, 0x55}), "s.example.com", "AAAA");
        EXPECT_EQ(six.options.at(8)[3], 56) << "a /56 has one answer";
        EXPECT_EQ(with(option(8, {0, 2, 64, 0, 0x20, 1, 0xd, 0xb8, 0, 0, n, 0xaa}), "s.example.com", "AAAA").section[0],
                  six.section[0]);
    }
    EXPECT_NEAR(second, 128, 40) << "the networks spread over the answers";
    client.is_ipv6 = true;
    EXPECT_EQ(ask("s.example.com", "AAAA").section[0].size(), 1u) << "by the source address without the option";
}

TEST_F(AnswerSettings, without_a_region_map_all_clients_are_alike)
{
    settings.flags = SETTING_CLIENT_SUBNET;
    publish();
    EXPECT_EQ(with(option(8, {0, 1, 24, 0, 10, 1, 2}), "r.example.com").options.at(8)[3], 0) << "scope 0";
}

TEST_F(AnswerSettings, a_table_must_have_both_images)
{
    context.zone_image = nullptr;
    EXPECT_TRUE(ask_raw(dns_text::query({})).empty());
    EXPECT_EQ(count(COUNTER_drop_not_ready), 1u);
}

TEST_F(AnswerSettings, a_stale_table_that_fails_open_says_the_graver)
{
    orders.services[1].answers = {{{"192.0.2.30"}, 5, ORDER_ANSWER, 22}};
    publish();
    context.is_stale = true;
    EXPECT_EQ(with({}, "r.example.com").options.at(15), (Bytes{0, 22}));
    EXPECT_EQ(count(COUNTER_answers_stale), 1u);
}

TEST_F(AnswerSettings, an_alias_into_another_zone_of_ours_ends_there)
{
    EXPECT_EQ(ask("out.example.com", "A").summary(), "NOERROR aa | out.example.com. 60 CNAME www.example.net. | |")
        << "the resolver asks for it";
}

TEST_F(AnswerSettings, a_transfer_may_name_the_version_it_has)
{
    Bytes m = dns_text::query({"example.com", "IXFR"});
    m[9] = 1; // RFC 1995 section 3: the SOA in the authority section
    dns_text::append(
        m, {0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 22, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1});
    EXPECT_EQ(dns_text::parse(ask_raw(m)).rcode, 5u);
    const size_t type_at = 12 + 13 + 1; // of another type it is malformed
    m[type_at - 1] = 0, m[type_at] = 1;
    EXPECT_EQ(dns_text::parse(ask_raw(m)).rcode, 1u);
    Bytes answer = dns_text::query({});
    answer[7] = 1;
    dns_text::append(answer, {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0});
    EXPECT_EQ(dns_text::parse(ask_raw(answer)).rcode, 1u) << "an answer in a query";
}

} // namespace
