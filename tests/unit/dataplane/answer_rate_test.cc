// SPDX-License-Identifier: Apache-2.0
// Rate limiting as clients meet it: what is counted together, what is exempt, what a limited response looks like.
#include <functional>

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

enum { BURST = 50 };

class AnswerRate : public AnswerFixture
{
  public:
    AnswerRate()
    {
        settings.flags = SETTING_RATE_LIMIT | SETTING_COOKIES;
        settings.rate_per_s = 10;
        settings.rate_burst = BURST;
        settings.rate_slip = 2;
        settings.cookie_secret_count = 1;
        memcpy(settings.cookie_secret[0], "0123456789abcdef", 16);
        zones.zone("example.com.", "@ 60 SOA a b 1 1 1 1 1\nwww 60 A 192.0.2.1\nmail 60 A 192.0.2.2\n"
                                   "*.wild 60 A 192.0.2.3\nx.ent 60 A 192.0.2.4\n");
        publish();
        context.rate_limit = rate_limit_new(16, 4711, 1);
    }
    ~AnswerRate() override
    {
        rate_limit_free(context.rate_limit);
    }

    struct Outcome {
        unsigned full = 0, slipped = 0, dropped = 0;
    };

    Outcome flood(unsigned count, const std::function<QueryText(unsigned)> &query)
    {
        Outcome outcome;
        for (unsigned i = 0; i < count; i++) {
            const Bytes reply = ask_raw(dns_text::query(query(i)));
            if (reply.empty())
                outcome.dropped++;
            else if (reply[2] & 2)
                outcome.slipped++;
            else
                outcome.full++;
        }
        return outcome;
    }
    Outcome flood(unsigned count, const char *qname)
    {
        const QueryText q{qname};
        return flood(count, [&](unsigned) { return q; });
    }
    void from(unsigned network, unsigned host)
    {
        const uint8_t address[4] = {198, 51, static_cast<uint8_t>(network), static_cast<uint8_t>(host)};
        memcpy(client.address, address, 4);
    }
};

TEST_F(AnswerRate, a_flood_of_one_question_is_cut_and_counted)
{
    const Outcome o = flood(1000, "www.example.com");
    EXPECT_EQ(o.full, BURST);
    EXPECT_NEAR(o.slipped, o.dropped, 1);
    EXPECT_EQ(count(COUNTER_drop_rate_limited), o.dropped);
    EXPECT_EQ(count(COUNTER_rate_slipped), o.slipped);
    EXPECT_EQ(count(COUNTER_answers_noerror), o.full + o.slipped) << "each query ends in one counter";
    context.now_ns += 20000000000ull;
    EXPECT_EQ(flood(1, "www.example.com").full, 1u) << "it is forgotten";
}

TEST_F(AnswerRate, a_slipped_response_is_a_bare_truncated_one)
{
    settings.rate_slip = 1;
    publish();
    QueryText q{"www.example.com"};
    q.edns = true;
    flood(BURST, [&](unsigned) { return q; });
    const Bytes query = dns_text::query(q), reply = ask_raw(query);
    EXPECT_EQ(dns_text::parse(reply).summary(), "NOERROR tc | | |");
    EXPECT_EQ(reply.size(), query.size()) << "no amplification";
    q.qname = "no.example.com";
    flood(BURST, [&](unsigned) { return q; });
    EXPECT_EQ(ask(q).summary(), "NOERROR tc | | |") << "also instead of NXDOMAIN";
}

TEST_F(AnswerRate, names_answered_from_one_wildcard_count_as_one)
{
    EXPECT_EQ(flood(500, [](unsigned i) { return QueryText{"r" + std::to_string(i) + ".wild.example.com"}; }).full,
              BURST);
}

TEST_F(AnswerRate, random_names_that_do_not_exist_count_as_one)
{
    EXPECT_EQ(flood(500, [](unsigned i) { return QueryText{"r" + std::to_string(i) + ".example.com"}; }).full, BURST);
    EXPECT_EQ(flood(500, [](unsigned i) { return QueryText{"r" + std::to_string(i) + ".s.t.u.ent.example.com"}; }).full,
              BURST)
        << "by the name above them that exists";
}

TEST_F(AnswerRate, names_outside_the_zones_count_as_one)
{
    EXPECT_EQ(flood(500, [](unsigned i) { return QueryText{"r" + std::to_string(i) + ".example.org"}; }).full, BURST);
}

TEST_F(AnswerRate, what_has_no_question_counts_as_one)
{
    unsigned answered = 0;
    for (int i = 0; i < 500; i++)
        answered += !ask_raw({0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}).empty();
    EXPECT_LT(answered, 300u);
    EXPECT_GE(answered, static_cast<unsigned>(BURST));
}

TEST_F(AnswerRate, another_name_or_class_of_response_has_its_own_counter)
{
    flood(500, "www.example.com");
    EXPECT_EQ(flood(10, "mail.example.com").full, 10u);
    EXPECT_EQ(flood(10, "no.example.com").full, 10u) << "NXDOMAIN";
    EXPECT_EQ(flood(10, "ent.example.com").full, 10u) << "NODATA";
    EXPECT_EQ(flood(10, "example.org").full, 10u) << "REFUSED";
}

TEST_F(AnswerRate, a_flood_spoofed_from_a_network_is_cut_for_the_network)
{
    unsigned full = 0;
    for (unsigned i = 0; i < 20000; i++) {
        from(100, i % 256);
        full += flood(1, "www.example.com").full;
    }
    EXPECT_LE(full, 32u * BURST + 1);
    from(101, 1);
    EXPECT_EQ(flood(10, "www.example.com").full, 10u) << "the network beside it is not touched";
}

TEST_F(AnswerRate, a_flood_from_one_address_does_not_use_up_what_its_network_may_have)
{
    from(100, 1);
    flood(100000, "www.example.com");
    from(100, 2);
    EXPECT_EQ(flood(10, "www.example.com").full, 10u);
}

TEST_F(AnswerRate, ten_thousand_resolvers_with_cookies_behind_one_network_are_never_limited)
{
    for (unsigned i = 0; i < 20000; i++) { // a flood goes on beside them
        from(100, i % 256);
        flood(1, "www.example.com");
    }
    unsigned full = 0;
    for (unsigned i = 0; i < 10000; i++) {
        from(100, i % 256);
        QueryText q{"www.example.com"};
        q.edns = true;
        Bytes cookie = {1,
                        2,
                        3,
                        4,
                        static_cast<uint8_t>(i >> 24),
                        static_cast<uint8_t>(i >> 16),
                        static_cast<uint8_t>(i >> 8),
                        static_cast<uint8_t>(i)};
        client.is_tcp = true; // where they learned their cookie while UDP was limited
        q.options = option(10, cookie);
        cookie = ask(q).options[10];
        client.is_tcp = false;
        q.options = option(10, cookie);
        full += flood(2, [&](unsigned) { return q; }).full;
    }
    EXPECT_EQ(full, 20000u);
    from(100, 7);
    QueryText forged{"www.example.com"};
    forged.edns = true;
    forged.options = option(10, Bytes(24, 1));
    EXPECT_EQ(flood(100, [&](unsigned) { return forged; }).full, 0u) << "a forged cookie opens nothing";
}

TEST_F(AnswerRate, tcp_is_exempt)
{
    client.is_tcp = true;
    EXPECT_EQ(flood(1000, "www.example.com").full, 1000u);
    client.is_tcp = false;
    EXPECT_EQ(flood(1, "www.example.com").full, 1u) << "nor does it count";
}

TEST_F(AnswerRate, a_dry_run_counts_and_answers)
{
    settings.flags |= SETTING_RATE_LIMIT_DRY_RUN;
    publish();
    EXPECT_EQ(flood(1000, "www.example.com").full, 1000u);
    EXPECT_EQ(count(COUNTER_rate_dry_run), 1000u - BURST);
    EXPECT_EQ(count(COUNTER_drop_rate_limited) + count(COUNTER_rate_slipped), 0u);
}

TEST_F(AnswerRate, it_is_off_unless_switched_on)
{
    settings.flags = 0;
    publish();
    EXPECT_EQ(flood(1000, "www.example.com").full, 1000u);
    EXPECT_EQ(count(COUNTER_rate_dry_run), 0u);
    settings.flags = SETTING_RATE_LIMIT;
    publish();
    rate_limit *kept = context.rate_limit;
    context.rate_limit = nullptr;
    EXPECT_EQ(flood(1000, "www.example.com").full, 1000u) << "the TCP thread has none";
    context.rate_limit = kept;
}

TEST_F(AnswerRate, no_byte_is_allocated_for_a_client)
{
    client.is_ipv6 = true;
    unsigned full = 0;
    for (uint32_t i = 0; i < 100000; i++) { // more networks than the table has cells
        memcpy(client.address + 1, &i, 4);
        client.address[0] = 0x20;
        full += flood(1, "www.example.com").full;
    }
    EXPECT_GT(full, 60000u) << "strangers share cells, and the weaker one gives way";
}

} // namespace
