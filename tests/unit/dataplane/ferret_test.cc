// SPDX-License-Identifier: Apache-2.0
// Zones and queries of the Ferret dataset with the recorded answers of BIND, Knot, NSD and PowerDNS. Where all four
// agree the answer is theirs; where they differ it is one of the recorded ones. The data are used where they are:
// SIGNPOST_TEST_DATA names the folder that has ferret/cases.jsonl (default ../shared/data).
#include <jansson.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "tests/support/answer_fixture.h"

namespace
{

using Records = std::set<std::string>;

struct Expected {
    std::string rcode;
    bool is_authoritative = false, is_cut = false; // cut: TC, so the answer need not be complete
    Records answer, authority;
    bool operator==(const Expected &o) const
    {
        return rcode == o.rcode && is_authoritative == o.is_authoritative && answer == o.answer &&
               authority == o.authority;
    }
};

std::string without(std::string text, const std::string &part)
{
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part))
        text.erase(at, part.size());
    return text;
}

// "owner ttl IN TYPE rdata" as ReplyText writes it.
std::string plain(const std::string &record)
{
    std::string text = record;
    const size_t in = text.find(" IN ");
    if (in != std::string::npos)
        text.erase(in, 3);
    return without(text, "\"");
}

bool is_apex(const std::string &record, const std::string &apex)
{
    return record.compare(0, apex.size() + 1, apex + " ") == 0;
}

Expected recorded(const json_t *response, const std::string &apex)
{
    Expected e;
    const json_t *line;
    size_t at;
    std::string section;
    json_array_foreach(response, at, line)
    {
        const std::string text = json_string_value(line);
        if (text[0] == ';')
            section = text;
        else if (text.compare(0, 6, "rcode ") == 0)
            e.rcode = text.substr(6);
        else if (text.compare(0, 6, "flags ") == 0)
            e.is_authoritative = (text + " ").find(" AA ") != std::string::npos;
        else if (section == ";ANSWER")
            e.answer.insert(plain(text));
        else if (section == ";AUTHORITY")
            e.authority.insert(plain(text));
    }
    // With a complete answer the servers of 2020 also named the zone's name servers; a minimal response does not.
    if (!e.answer.empty() && e.rcode == "NOERROR")
        for (auto record = e.authority.begin(); record != e.authority.end();)
            record = record->find(" NS ") != std::string::npos && is_apex(*record, apex) ? e.authority.erase(record)
                                                                                         : std::next(record);
    return e;
}

// The zone's lines as ZoneSource wants them: "owner ttl type rdata", names absolute.
std::string zone_text(const char *zone, std::string &apex)
{
    std::istringstream in(zone);
    std::string line, out;
    while (std::getline(in, line)) {
        if (apex.empty())
            apex = line.substr(0, line.find(' '));
        out += plain(line) + "\n";
    }
    return out;
}

struct Case : AnswerFixture {
    void TestBody() override {}
    Expected run(const json_t *c)
    {
        std::string apex;
        const std::string text = zone_text(json_string_value(json_object_get(c, "zone")), apex);
        zones.zone(apex, text);
        EXPECT_EQ(zone_builder_check(zones.builder), 0);
        publish();
        dns_text::QueryText q;
        q.qname = json_string_value(json_object_get(c, "qname"));
        q.qtype = json_string_value(json_object_get(c, "qtype"));
        q.flags = 0;
        const dns_text::ReplyText reply = ask(q);
        Expected e;
        const std::string summary = reply.summary();
        e.rcode = summary.substr(0, summary.find(' '));
        e.is_authoritative = reply.aa();
        e.is_cut = reply.tc();
        e.answer.insert(reply.section[0].begin(), reply.section[0].end());
        e.authority.insert(reply.section[1].begin(), reply.section[1].end());
        return e;
    }
};

std::string shown(const Expected &e)
{
    std::string out = e.rcode + (e.is_authoritative ? " AA" : "");
    for (const auto &r : e.answer)
        out += "\n      answer " + r;
    for (const auto &r : e.authority)
        out += "\n      authority " + r;
    return out;
}

struct Tally {
    unsigned agreed = 0, disputed = 0, wrong = 0;
};

// Empty: as it should be; else what is wrong.
std::string judge(const json_t *c, Tally &tally)
{
    Case fixture;
    std::string apex;
    zone_text(json_string_value(json_object_get(c, "zone")), apex);
    const Expected ours = fixture.run(c);
    const json_t *groups = json_object_get(c, "expected"), *group;
    size_t at;
    (json_array_size(groups) == 1 ? tally.agreed : tally.disputed)++;
    std::string all;
    json_array_foreach(groups, at, group)
    {
        const Expected theirs = recorded(json_object_get(group, "response"), apex);
        const bool is_part =
            std::includes(theirs.answer.begin(), theirs.answer.end(), ours.answer.begin(), ours.answer.end());
        if (ours == theirs || (ours.is_cut && is_part))
            return "";
        all += "\n    recorded: " + shown(theirs);
    }
    tally.wrong++;
    return "\n    ours: " + shown(ours) + all;
}

TEST(Ferret, AnswersAreThoseOfTheFourRecordedServers)
{
    const char *folder = getenv("SIGNPOST_TEST_DATA");
    const std::string path = std::string(folder ? folder : "../shared/data") + "/ferret/cases.jsonl";
    std::ifstream in(path);
    if (!in)
        GTEST_SKIP() << path << " is not there";
    std::map<std::string, Tally> tallies;
    std::string line;
    unsigned shown_count = 0;
    while (std::getline(in, line)) {
        json_t *c = json_loads(line.c_str(), 0, nullptr);
        ASSERT_NE(c, nullptr) << line;
        const std::string tag = json_string_value(json_object_get(c, "tag"));
        const std::string wrong = judge(c, tallies[tag]);
        if (!wrong.empty() && shown_count++ < 20) {
            ADD_FAILURE() << "case " << json_integer_value(json_object_get(c, "id")) << " (" << tag << ") "
                          << json_string_value(json_object_get(c, "qname")) << " "
                          << json_string_value(json_object_get(c, "qtype")) << "\n"
                          << json_string_value(json_object_get(c, "zone")) << wrong;
        }
        json_decref(c);
    }
    for (const auto &t : tallies)
        printf("ferret %s: %u where all agree, %u disputed, %u unlike any\n", t.first.c_str(), t.second.agreed,
               t.second.disputed, t.second.wrong);
    EXPECT_EQ(shown_count, 0u);
}

} // namespace
