// SPDX-License-Identifier: Apache-2.0
// Faults that other name servers had, tried on ours. The classes and the CVEs stand in docs/conformance.md, which names
// these tests; what is a row of the decision table or a test of its own elsewhere is not repeated here.
#include <malloc.h>

#include <algorithm>

#include "tests/support/answer_fixture.h"

using dns_text::Bytes;
using dns_text::option;
using dns_text::QueryText;
using dns_text::ReplyText;

namespace
{

enum { TXT_FROM = 300, TXT_TO = 1420 }; // octets of the TXT record at "t<N>"

class BugClass : public AnswerFixture
{
  public:
    BugClass()
    {
        settings.flags = SETTING_COOKIES | SETTING_CLIENT_SUBNET;
        settings.udp_max = 1400;
        settings.cookie_secret_count = 1;
        settings.nsid_len = 4;
        settings.chaos_id_len = 4;
        zones.zone("example.com.",
                   "@ 60 SOA a b 1 1 1 1 1\n@ 60 NS ns1\nns1 60 A 192.0.2.1\nwww 60 A 192.0.2.1\nx.* 60 A "
                   "192.0.2.2\n*.*.s 60 A 192.0.2.3\n*.a.b 60 TXT x\nc 60 NS ns.c\nns.c 60 A 192.0.2.4\n");
        for (unsigned n = TXT_FROM; n <= TXT_TO; n++) {
            Bytes rdata; // n octets of strings
            for (unsigned left = n; left > 0;) {
                const unsigned piece = std::min(left - 1, 255u);
                rdata.push_back(static_cast<uint8_t>(piece));
                rdata.insert(rdata.end(), piece, 'x');
                left -= piece + 1;
            }
            zone_builder_add_record(zones.builder, 0, dns_text::name("t" + std::to_string(n), "example.com.").data(),
                                    16, 60, rdata.data(), static_cast<uint16_t>(rdata.size()), 0);
        }
        publish();
    }

    static Bytes header(uint16_t flags, uint16_t qd, uint16_t ar)
    {
        Bytes m;
        for (const uint16_t word : {uint16_t(0x1234), flags, qd, uint16_t(0), uint16_t(0), ar})
            dns_text::put16(m, word);
        return m;
    }
};

TEST_F(BugClass, class_01_our_own_responses_sent_back_are_not_answered)
{
    for (const char *qname : {"www.example.com", "no.example.com", "example.org", "x.c.example.com"})
        for (unsigned opcode = 0; opcode < 16; opcode++) {
            QueryText q{qname};
            q.edns = true;
            q.flags = static_cast<uint16_t>(opcode << 11);
            const Bytes reply = ask_raw(dns_text::query(q));
            ASSERT_FALSE(reply.empty());
            EXPECT_TRUE(ask_raw(reply).empty());
        }
}

TEST_F(BugClass, class_03_every_class_and_every_header_is_answered_or_silent)
{
    QueryText q{"www.example.com"};
    for (unsigned c = 0; c <= 0xffff; c++) {
        q.qclass = static_cast<uint16_t>(c);
        const ReplyText reply = dns_text::parse(ask_raw(dns_text::query(q)));
        ASSERT_TRUE(reply.parsed) << c;
        ASSERT_EQ(reply.rcode, c == 1 ? 0u : 5u) << c;
    }
    q.qclass = 1;
    for (unsigned flags = 0; flags <= 0xffff; flags++) {
        q.flags = static_cast<uint16_t>(flags);
        const Bytes raw = ask_raw(dns_text::query(q));
        ASSERT_EQ(raw.empty(), flags >= 0x8000) << flags;
        if (raw.empty())
            continue;
        const ReplyText reply = dns_text::parse(raw);
        ASSERT_TRUE(reply.parsed) << flags;
        ASSERT_EQ(reply.rcode, flags & 0x7800 ? 4u : 0u) << flags;
        ASSERT_EQ(reply.flags & 0x7800u, flags & 0x7800u) << "the opcode is kept";
    }
}

TEST_F(BugClass, class_04_asterisks_anywhere_in_a_name)
{
    const char *const labels[] = {"*", "a", "s", "b", "x", "\\*"};
    for (unsigned n = 0; n < 6 * 6 * 6 * 6; n++) {
        const std::string qname = std::string(labels[n % 6]) + "." + labels[n / 6 % 6] + "." + labels[n / 36 % 6] +
                                  "." + labels[n / 216] + ".example.com";
        for (const char *qtype : {"A", "TXT", "ANY", "DS"}) {
            const unsigned rcode = ask(qname, qtype).rcode;
            ASSERT_TRUE(rcode == 0 || rcode == 3) << qname;
        }
    }
    EXPECT_EQ(ask("x.*.example.com", "A").section[0].size(), 1u) << "a name like any other";
    EXPECT_EQ(ask("*.example.com", "A").summary().substr(0, 10), "NOERROR aa") << "an empty non-terminal, NODATA";
    EXPECT_EQ(ask("q.r.s.example.com", "A").rcode, 0u) << "*.s is the wildcard, an empty non-terminal: NODATA";
    EXPECT_EQ(ask("q.*.s.example.com", "A").section[0].size(), 1u);
}

TEST_F(BugClass, class_06_answers_of_every_size_around_the_limits)
{
    struct Row {
        unsigned size;
        Bytes options;
        bool edns;
    };
    Bytes all = option(3, {});
    dns_text::append(all, option(8, {0, 1, 24, 0, 10, 1, 2}));
    dns_text::append(all, option(10, Bytes(8, 1)));
    const Row rows[] = {{512, {}, false},  {512, {}, true},  {512, all, true},  {1232, {}, true},
                        {1232, all, true}, {1400, {}, true}, {1400, all, true}, {65535, all, true}};
    for (const Row &row : rows)
        for (unsigned n = TXT_FROM; n <= TXT_TO; n++) {
            QueryText q{"t" + std::to_string(n) + ".example.com", "TXT"};
            q.edns = row.edns;
            q.udp_size = static_cast<uint16_t>(row.size);
            q.options = row.options;
            client.is_tcp = true;
            const Bytes whole = ask_raw(dns_text::query(q));
            client.is_tcp = false;
            const Bytes raw = ask_raw(dns_text::query(q));
            const unsigned limit = std::min(row.size, 1400u);
            const ReplyText reply = dns_text::parse(raw);
            ASSERT_TRUE(reply.parsed) << n;
            ASSERT_LE(raw.size(), limit) << n;
            if (whole.size() + (row.edns ? 6 : 0) <= limit) { // 6 octets are kept for an extended error
                ASSERT_EQ(raw, whole) << n;
            } else {
                ASSERT_TRUE(reply.tc() && reply.section[0].empty()) << n;
            }
        }
}

TEST_F(BugClass, class_14_names_and_labels_at_their_limits)
{
    const struct {
        std::vector<unsigned> labels; // octets of each; the root follows
        bool is_good;
    } rows[] = {
        {{}, true},
        {{63}, true},
        {{64}, false},
        {{63, 63, 63, 59}, true}, // 253 octets
        {{63, 63, 63, 60}, true},
        {{63, 63, 63, 61}, true},
        {{63, 63, 63, 62}, false},
        {{63, 63, 63, 63}, false},
        {std::vector<unsigned>(127, 1), true},
        {std::vector<unsigned>(128, 1), false},
        {{191}, false},
        {{128}, false},
    };
    for (const auto &row : rows)
        for (bool has_opt : {false, true}) {
            Bytes m = header(0, 1, has_opt);
            for (unsigned len : row.labels) {
                m.push_back(static_cast<uint8_t>(len));
                m.insert(m.end(), len, 'a');
            }
            dns_text::append(m, {0, 0, 1, 0, 1});
            if (has_opt)
                dns_text::append(m, {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0});
            const Bytes raw = ask_raw(m);
            ASSERT_TRUE(dns_text::parse(raw).parsed);
            EXPECT_EQ(raw[3] & 0xf, row.is_good ? 5 : 1) << row.labels.size() << " labels";
            EXPECT_LE(raw.size(), m.size());
        }
}

TEST_F(BugClass, class_14_each_option_alone_doubled_and_cut)
{
    QueryText q{"www.example.com"};
    q.edns = true;
    for (unsigned code = 0; code <= 20; code++)
        for (unsigned len = 0; len <= 45; len++)
            for (unsigned copies = 1; copies <= 3; copies++) {
                q.options.clear();
                for (unsigned i = 0; i < copies; i++)
                    dns_text::append(q.options, option(static_cast<uint16_t>(code), Bytes(len, 0)));
                const Bytes message = dns_text::query(q);
                const ReplyText reply = dns_text::parse(ask_raw(message));
                ASSERT_TRUE(reply.parsed) << code << " " << len;
                ASSERT_TRUE(reply.has_opt && reply.rcode <= 1);
                for (const auto &o : reply.options) {
                    ASSERT_EQ(o.first, code) << "only what was asked for";
                }
                for (size_t cut = message.size() - q.options.size(); cut < message.size();
                     cut++) { // OPT's length stays
                    const ReplyText part =
                        dns_text::parse(ask_raw(Bytes(message.begin(), message.begin() + static_cast<long>(cut))));
                    ASSERT_TRUE(part.parsed && part.rcode == 1) << code << " " << len << " cut at " << cut;
                }
            }
}

TEST_F(BugClass, class_15_an_answer_depends_on_its_query_alone)
{
    std::vector<Bytes> queries;
    std::vector<bool> is_tcp;
    for (const char *qname : {"www.example.com", "no.example.com", "t1300.example.com", "x.c.example.com"})
        for (bool tcp : {false, true})
            for (unsigned variant = 0; variant < 5; variant++) {
                QueryText q{qname, "TXT"};
                q.edns = variant > 0;
                q.opt_ttl = variant == 2 ? 0x8000 : 0;
                q.options = variant == 3   ? option(8, {0, 1, 24, 0, 10, 1, 2})
                            : variant == 4 ? option(10, Bytes(8, 7))
                                           : Bytes();
                q.udp_size = 512;
                queries.push_back(dns_text::query(q));
                is_tcp.push_back(tcp);
            }
    std::vector<Bytes> alone;
    for (size_t i = 0; i < queries.size(); i++)
        client.is_tcp = is_tcp[i], alone.push_back(ask_raw(queries[i]));
    for (size_t i = 0; i < queries.size(); i++)
        for (size_t k = 0; k < queries.size(); k++) {
            client.is_tcp = is_tcp[i];
            ask_raw(queries[i]);
            Bytes buffer(70000, static_cast<uint8_t>(i)); // what lay in the buffer must not show
            std::copy(queries[k].begin(), queries[k].end(), buffer.begin());
            client.is_tcp = is_tcp[k];
            buffer.resize(
                answer_message(&context, &client, buffer.data(), static_cast<unsigned>(queries[k].size()), 69000));
            ASSERT_EQ(buffer, alone[k]) << k << " after " << i;
        }
}

TEST_F(BugClass, class_16_compression_pointers_lead_nowhere)
{
    const Bytes question = {3, 'w', 'w', 'w', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 0, 1, 0, 1};
    for (unsigned to = 0; to < 64; to++) { // into the header, to itself, forward; as the name and behind a label
        for (bool has_label : {false, true}) {
            Bytes m = header(0, 1, 0);
            if (has_label)
                dns_text::append(m, {1, 'a'});
            dns_text::append(m, {0xc0, static_cast<uint8_t>(to), 0, 1, 0, 1});
            EXPECT_EQ(dns_text::parse(ask_raw(m)).rcode, 1u) << to;
        }
        Bytes m = header(0, 1, 1); // an additional record's owner is skipped, never followed
        dns_text::append(m, question);
        dns_text::append(m, {1, 'a', 0xc0, static_cast<uint8_t>(to), 0, 1, 0, 1, 0, 0, 0, 0, 0, 0});
        EXPECT_EQ(dns_text::parse(ask_raw(m)).rcode, 0u) << to;
    }
    for (const uint8_t label : Bytes{0x40, 0x7f, 0x80, 0xbf}) { // label types that do not exist
        Bytes m = header(0, 1, 1);
        dns_text::append(m, question);
        dns_text::append(m, {label, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0});
        EXPECT_EQ(dns_text::parse(ask_raw(m)).rcode, 1u) << +label;
    }
    Bytes endless = header(0, 1, 1); // an owner of more labels than a name can have
    dns_text::append(endless, question);
    for (int i = 0; i < 200; i++)
        dns_text::append(endless, {1, 'a'});
    dns_text::append(endless, {0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0});
    EXPECT_EQ(dns_text::parse(ask_raw(endless)).rcode, 1u);
}

TEST_F(BugClass, class_17_signatures_in_queries_have_a_defined_reply)
{
    for (const uint8_t type : Bytes{24, 250}) // SIG(0) is not looked at; TSIG names a key that we do not have
        for (unsigned len = 0; len < 80; len++) {
            Bytes m = dns_text::query({});
            m[11] = 1;
            dns_text::append(m, {0, 0, type, 0, 255, 0, 0, 0, 0, 0, static_cast<uint8_t>(len)});
            m.resize(m.size() + len, 0xff);
            const ReplyText reply = dns_text::parse(ask_raw(m));
            EXPECT_TRUE(reply.parsed);
            EXPECT_EQ(reply.rcode, type == 250 ? 9u : 0u) << len;
        }
}

TEST_F(BugClass, class_18_update_and_notify_floods_allocate_nothing)
{
    uint8_t buffer[4096] = {0};
    const size_t before = mallinfo2().uordblks;
    for (unsigned i = 0; i < 200000; i++) {
        memset(buffer, 0, 64);
        buffer[2] = static_cast<uint8_t>((i & 1 ? 4 : 5) << 3);
        buffer[5] = 1;
        memcpy(buffer + 12, "\7example\3com\0\0\6\0\1", 17);
        ASSERT_EQ(answer_message(&context, &client, buffer, 29, sizeof buffer), 29u);
        ASSERT_EQ(buffer[3] & 0xf, 4);
    }
    EXPECT_EQ(mallinfo2().uordblks, before);
    EXPECT_EQ(count(COUNTER_answers_notimp), 200000u) << "each is counted";
}

} // namespace
