// SPDX-License-Identifier: Apache-2.0
// The decision table, tests/data/decisions.txt, row by row: what is answered to every kind of message. Each test is
// named after the RFC and the section that its row goes back to.
#include <fstream>
#include <functional>
#include <set>

#include "tests/support/answer_fixture.h"

namespace
{

using dns_text::Bytes;
using dns_text::ReplyText;

struct Row {
    unsigned line;
    std::string query, reply, source, why;
};

void PrintTo(const Row &row, std::ostream *out) // for gtest's messages
{
    *out << "decisions.txt:" << row.line;
}

std::string trimmed(const std::string &text)
{
    const size_t from = text.find_first_not_of(' ');
    return from == std::string::npos ? "" : text.substr(from, text.find_last_not_of(' ') - from + 1);
}

std::vector<Row> read_rows()
{
    std::ifstream in("tests/data/decisions.txt"); // tests run in the project's folder
    std::vector<Row> rows;
    std::string line;
    for (unsigned number = 1; std::getline(in, line); number++) {
        const size_t arrow = line.find(" => "), source = line.find(" | "), why = line.rfind(" | ");
        if (line.empty() || line[0] == '#' || line.compare(0, 2, "==") == 0)
            continue;
        if (arrow == std::string::npos || source == why) {
            ADD_FAILURE() << "tests/data/decisions.txt:" << number << ": no row: " << line;
            continue;
        }
        rows.push_back({number, trimmed(line.substr(0, arrow)), trimmed(line.substr(arrow + 4, source - arrow - 4)),
                        trimmed(line.substr(source + 3, why - source - 3)), trimmed(line.substr(why + 3))});
    }
    return rows;
}

// A label "63x" stands for 63 times the letter.
std::string expanded(const std::string &text)
{
    std::string out, label;
    std::istringstream labels(text);
    while (std::getline(labels, label, '.')) {
        const size_t digits = label.find_first_not_of("0123456789");
        const bool is_run = digits > 0 && digits != std::string::npos && digits + 1 == label.size();
        out += (is_run ? std::string(std::stoul(label), label.back()) : label) + ".";
    }
    return out.empty() ? text : out;
}

Bytes hex(const std::string &text)
{
    Bytes out;
    for (size_t i = 0; i + 1 < text.size(); i += 2)
        out.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
    return out;
}

unsigned number(const std::string &word, int base = 10)
{
    return static_cast<unsigned>(std::stoul(word.substr(word.find('=') + 1), nullptr, base));
}

// A message as a row of the table says.
struct Message {
    Bytes wire;
    bool is_tcp = false;
    size_t question_len = 0;

    explicit Message(const std::string &text)
    {
        std::istringstream in(text);
        dns_text::QueryText q;
        std::vector<std::function<void(Bytes &)>> changes;
        std::string word;
        in >> q.qname >> q.qtype;
        q.qname = expanded(q.qname);
        q.flags = 0;
        while (in >> word)
            take(word, q, changes);
        wire = dns_text::query(q);
        question_len = dns_text::name(q.qname).size() + 4;
        for (const auto &change : changes)
            change(wire);
    }

  private:
    static void set16(Bytes &m, size_t at, unsigned value)
    {
        m[at] = static_cast<uint8_t>(value >> 8);
        m[at + 1] = static_cast<uint8_t>(value);
    }
    static bool is(const std::string &word, const char *key)
    {
        return word.compare(0, strlen(key), key) == 0;
    }
    void take(const std::string &word, dns_text::QueryText &q, std::vector<std::function<void(Bytes &)>> &changes)
    {
        static const char *const counts[] = {"qd=", "an=", "ns=", "ar="};
        for (size_t i = 0; i < 4; i++)
            if (is(word, counts[i])) {
                changes.push_back([=](Bytes &m) { set16(m, 4 + 2 * i, number(word)); });
                return;
            }
        if (is(word, "class="))
            q.qclass = static_cast<uint16_t>(number(word));
        else if (is(word, "opcode="))
            q.flags = static_cast<uint16_t>(q.flags | number(word) << 11);
        else if (is(word, "flags="))
            q.flags = static_cast<uint16_t>(number(word, 16));
        else if (word == "tcp")
            is_tcp = true;
        else if (word == "udp")
            return;
        else if (word == "no-question")
            changes.push_back([this](Bytes &m) {
                m.erase(m.begin() + 12, m.begin() + 12 + static_cast<long>(question_len));
                set16(m, 4, 0);
            });
        else if (word == "tsig")
            changes.push_back([](Bytes &m) {
                const Bytes name = dns_text::name("key.example.org"), algorithm = dns_text::name("hmac-sha256");
                dns_text::append(m, name);
                dns_text::append(m, {0, 250, 0, 255, 0, 0, 0, 0, 0, static_cast<uint8_t>(algorithm.size() + 48)});
                dns_text::append(m, algorithm);
                dns_text::append(m, {0, 0, 0x65, 0x53, 0xf1, 0, 1, 44, 0, 32});
                dns_text::append(m, Bytes(32, 0x11));
                dns_text::append(m, {0x12, 0x34, 0, 0, 0, 0});
                set16(m, 10, 1);
            });
        else if (is(word, "cut="))
            changes.push_back([=](Bytes &m) { m.resize(number(word)); });
        else if (word == "trailing")
            changes.push_back([](Bytes &m) { m.push_back(0); });
        else if (word == "pointer")
            changes.push_back([](Bytes &m) {
                m.resize(12);
                dns_text::append(m, {0xc0, 12, 0, 1, 0, 1});
            });
        else
            take_edns(word, q, changes);
    }
    static void take_edns(const std::string &word, dns_text::QueryText &q,
                          std::vector<std::function<void(Bytes &)>> &changes)
    {
        if (word == "edns")
            q.edns = true;
        else if (is(word, "edns="))
            q.edns = true, q.opt_ttl |= number(word) << 16;
        else if (is(word, "ednsflags="))
            q.opt_ttl |= number(word, 16);
        else if (word == "do")
            q.opt_ttl |= 0x8000;
        else if (is(word, "size="))
            q.udp_size = static_cast<uint16_t>(number(word));
        else if (is(word, "option="))
            dns_text::append(
                q.options, dns_text::option(static_cast<uint16_t>(number(word)), hex(word.substr(word.find(':') + 1))));
        else if (word == "two-opts")
            changes.push_back([](Bytes &m) {
                const Bytes opt(m.end() - 11, m.end());
                dns_text::append(m, opt);
                set16(m, 10, 2);
            });
        else if (word == "opt-owner")
            changes.push_back([](Bytes &m) {
                const size_t at = m.size() - 11;
                m[at] = 1;
                m.insert(m.begin() + static_cast<long>(at) + 1, {'x', 0});
            });
        else if (word == "opt-early")
            changes.push_back([](Bytes &m) {
                set16(m, 6, 1);
                set16(m, 10, 0);
            });
        else if (word == "opt-overrun")
            changes.push_back([](Bytes &m) {
                set16(m, m.size() - 2, 4);
                dns_text::append(m, {0, 3, 0, 9});
            });
        else
            ADD_FAILURE() << "unknown word " << word;
    }
};

std::string described(const ReplyText &r)
{
    static const char *const flags[] = {"rd", "cd", "ad", "z", "ra"};
    static const unsigned bits[] = {0x0100, 0x0010, 0x0020, 0x0040, 0x0080};
    std::string out = r.summary().substr(0, r.summary().find(" |"));
    for (size_t i = 0; i < 5; i++)
        out += r.flags & bits[i] ? std::string(" ") + flags[i] : "";
    out += r.has_opt ? " opt" : "";
    out += r.question.empty() ? "" : " q";
    out += " " + std::to_string(r.section[0].size()) + "/" + std::to_string(r.section[1].size()) + "/" +
           std::to_string(r.section[2].size());
    for (const auto &option : r.options) {
        out += " option=" + std::to_string(option.first);
        if (option.first == 8 && option.second.size() >= 4)
            out += "/" + std::to_string(option.second[3]);
        if (option.first == 15 && option.second.size() >= 2)
            out += "/" + std::to_string(option.second[0] << 8 | option.second[1]);
    }
    return out;
}

// RFC 2181 section 5.2: one TTL in a set. RFC 2308 section 3: the SOA of a negative answer has the zone's negative TTL.
void check_ttls(const ReplyText &r)
{
    std::map<std::string, std::set<std::string>> ttls;
    for (int s = 0; s < 3; s++)
        for (const std::string &record : r.section[s]) {
            std::istringstream in(record);
            std::string owner, ttl, type;
            in >> owner >> ttl >> type;
            ttls[std::to_string(s) + owner + type].insert(ttl);
            if (s == 1 && type == "SOA") {
                EXPECT_EQ(ttl, "300") << record;
            }
        }
    for (const auto &set : ttls)
        EXPECT_EQ(set.second.size(), 1u) << set.first;
}

std::string read_zone()
{
    std::ifstream in("tests/data/decisions.zone");
    return std::string(std::istreambuf_iterator<char>(in), {});
}

class DecisionZone : public AnswerFixture
{
  public:
    DecisionZone()
    {
        settings.flags = SETTING_COOKIES | SETTING_CLIENT_SUBNET;
        settings.cookie_secret_count = 1;
        memcpy(settings.cookie_secret[0], "0123456789abcdef", 16);
        settings.nsid_len = settings.chaos_id_len = 4;
        memcpy(settings.nsid, "ams1", 4);
        memcpy(settings.chaos_id, "ams1", 4);
        context.tcp_keepalive_ds = 100;
        zones.zone("example.com.", read_zone());
        const region_prefix prefixes[] = {
            {{203, 0, 113}, 0, 24, 1},
            {{203, 0, 112}, 0, 24, 2},
            {{8, 8, 8}, 0, 24, 3},
            {{0x20, 1, 0x0d, 0xb8, 0xff, 0xff}, 1, 48, 1},
            {{0x20, 1, 0x0d, 0xb8, 0xff, 0xfe}, 1, 48, 2},
        };
        EXPECT_EQ(zone_builder_set_regions(zones.builder, prefixes, 5), 0);
        const char *const owners[] = {"www", "down", "dark", "none"};
        for (unsigned i = 0; i < 4; i++)
            EXPECT_EQ(zone_builder_add_service(zones.builder, dns_text::name(owners[i], "example.com.").data(), i), 0);
        orders.regions = 4;
        orders.services.resize(4);
        orders.services[0].answers = {{{"192.0.2.10", "198.51.100.10", "2001:db8:1::10", "2001:db8:2::10"}},
                                      {{"198.51.100.10", "192.0.2.10", "2001:db8:2::10", "2001:db8:1::10"}}};
        orders.services[0].flags = ORDER_BY_REGION;
        orders.services[0].classes = {0, 1, 1, 0};
        orders.services[1].answers = {{{"192.0.2.10", "198.51.100.10"}, 5, ORDER_ANSWER, 22}};
        orders.services[2].answers = {{{}, 5, ORDER_SERVFAIL, 22}};
        orders.services[3].answers = {{{}, 5, ORDER_NODATA, 22}};
        publish();
    }
};

class Decision : public DecisionZone, public ::testing::WithParamInterface<Row>
{
};

TEST_P(Decision, IsAnsweredAsTheTableSays)
{
    const Row &row = GetParam();
    const Message message(row.query);
    client.is_tcp = message.is_tcp;
    const Bytes raw = ask_raw(message.wire);
    if (raw.empty()) {
        EXPECT_EQ(row.reply, "silence") << row.query;
        return;
    }
    const ReplyText reply = dns_text::parse(raw);
    EXPECT_TRUE(reply.parsed);
    EXPECT_EQ(described(reply), row.reply) << row.query << ": " << row.why;
    EXPECT_EQ(reply.id, 0x1234u);
    EXPECT_TRUE(reply.flags & 0x8000);
    if (!reply.question.empty()) {
        EXPECT_EQ(
            Bytes(raw.begin() + 12, raw.begin() + 12 + static_cast<long>(message.question_len)),
            Bytes(message.wire.begin() + 12, message.wire.begin() + 12 + static_cast<long>(message.question_len)));
    }
    check_ttls(reply);
    if (!message.is_tcp && reply.rcode != 0 && reply.rcode != 3 && reply.rcode != 6) {
        EXPECT_LE(raw.size(), message.wire.size()) << "an error is never larger than its query";
    }
    if (!message.is_tcp) {
        EXPECT_LE(raw.size(), 1232u);
    }
}

// "RFC 1034 4.3.2" in line 30: RFC_1034_4_3_2_line_30
std::string row_name(const ::testing::TestParamInfo<Row> &info)
{
    std::string name = info.param.source + " line " + std::to_string(info.param.line);
    for (char &c : name)
        c = isalnum(static_cast<unsigned char>(c)) ? c : '_';
    return name;
}

INSTANTIATE_TEST_SUITE_P(Rfc, Decision, ::testing::ValuesIn(read_rows()), row_name);

} // namespace
