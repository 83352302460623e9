// SPDX-License-Identifier: Apache-2.0
// Master files: which records come out, and which messages, with file, line and owner.
#include "control/zone_load.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/config_messages.h"

#include "table/zone_builder_private.h"

namespace
{

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ZoneLoad : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        renew(zone_load_limits_default);
    }
    void TearDown() override
    {
        zone_load_free(load);
        config_errors_fini(&errors);
    }
    void renew(const zone_load_limits &limits)
    {
        zone_load_free(load);
        config_errors_fini(&errors);
        load = zone_load_new(&errors, &limits);
        ASSERT_NE(load, nullptr);
    }
    int text(const std::string &zone, const char *apex = "example.com")
    {
        return zone_load_text(load, apex, "db", zone.data(), zone.size());
    }
    // "www.example.com. 300 1 c0000201" in the order of the file.
    std::vector<std::string> records() const
    {
        const zone_builder *b = zone_load_builder(load);
        std::vector<std::pair<uint32_t, std::string>> found;
        for (uint32_t n = 0; n < b->node_count; n++)
            for (uint32_t i = b->node[n].first_record; i != BUILDER_NONE; i = b->record[i].next) {
                char name[NAME_TEXT_CAP];
                const builder_record &r = b->record[i];
                std::string line = name_to_text(name, builder_name(b, &b->node[n]));
                line += " " + std::to_string(r.ttl) + " " + std::to_string(r.type) + " ";
                for (unsigned k = 0; k < r.rdata_len; k++) {
                    char two[3];
                    snprintf(two, sizeof two, "%02x", builder_rdata(b, &r)[k]);
                    line += two;
                }
                found.emplace_back(i, line);
            }
        std::sort(found.begin(), found.end());
        std::vector<std::string> lines;
        for (auto &f : found)
            lines.push_back(f.second);
        return lines;
    }
    std::string messages() const
    {
        return config_messages(errors);
    }

    zone_load *load = nullptr;
    config_errors errors{};
};

const char apex[] = "@ 60 SOA a b 1 1 1 1 1\n@ 60 NS ns.example.net.\n";

// What a record looks like, alone in a zone with $TTL 60.
struct Row {
    const char *text;
    std::vector<std::string> records;
    const char *why;
};

TEST_F(ZoneLoad, reads_records_in_every_form_of_a_line)
{
    const Row rows[] = {
        {"www A 192.0.2.1", {"www.example.com. 60 1 c0000201"}, "no TTL, no class"},
        {"www 5 A 192.0.2.1", {"www.example.com. 5 1 c0000201"}, "TTL"},
        {"www IN A 192.0.2.1", {"www.example.com. 60 1 c0000201"}, "class"},
        {"www 5 IN A 192.0.2.1", {"www.example.com. 5 1 c0000201"}, "TTL and class"},
        {"www IN 1h A 192.0.2.1", {"www.example.com. 3600 1 c0000201"}, "class and TTL"},
        {"www CLASS1 a 192.0.2.1", {"www.example.com. 60 1 c0000201"}, "class by number"},
        {"@ A 192.0.2.1", {"example.com. 60 1 c0000201"}, "the origin"},
        {"WWW.Example.COM. A 192.0.2.1", {"www.example.com. 60 1 c0000201"}, "absolute, in capitals"},
        {"a A 192.0.2.1\n\tA 192.0.2.2\n\n ; only a comment\n  A 192.0.2.3",
         {"a.example.com. 60 1 c0000201", "a.example.com. 60 1 c0000202", "a.example.com. 60 1 c0000203"},
         "a line that starts with a blank has the owner before it"},
        {"a A 192.0.2.1 ; text ( \" \nb A 192.0.2.2;x",
         {"a.example.com. 60 1 c0000201", "b.example.com. 60 1 c0000202"},
         "comments hold anything"},
        {"a TXT ( \"one\" ; first\n \"two\"\n\n three ) \nb A 192.0.2.2",
         {"a.example.com. 60 16 036f6e650374776f057468726565", "b.example.com. 60 1 c0000202"},
         "parentheses over several lines, with comments and blank lines"},
        {"a (\n60\nIN\nA\n192.0.2.1\n)",
         {"a.example.com. 60 1 c0000201"},
         "parentheses around everything but the owner"},
        {"a TXT (one)(two)", {"a.example.com. 60 16 036f6e650374776f"}, "parentheses without blanks, twice"},
        {"a A 192.0.2.1\r\nb A 192.0.2.2\r",
         {"a.example.com. 60 1 c0000201", "b.example.com. 60 1 c0000202"},
         "line ends of other systems"},
        {"a\\.b A 192.0.2.1", {"a\\.b.example.com. 60 1 c0000201"}, "an escaped dot in an owner"},
        {"\\065\\000 A 192.0.2.1", {"a\\000.example.com. 60 1 c0000201"}, "octets in an owner"},
        {"*.w A 192.0.2.1", {"*.w.example.com. 60 1 c0000201"}, "a wildcard"},
        {"_x._tcp SRV 0 0 1 .", {"_x._tcp.example.com. 60 33 00000000000100"}, "underscores"},
        {"in A 192.0.2.1", {"in.example.com. 60 1 c0000201"}, "an owner that is a class"},
        {"10 A 192.0.2.1", {"10.example.com. 60 1 c0000201"}, "an owner that is a number"},
        {"a TYPE65280 \\# 2 (aa\nbb)", {"a.example.com. 60 65280 aabb"}, "RFC 3597 over two lines"},
        {"$ORIGIN sub\nwww A 192.0.2.1\n@ A 192.0.2.2",
         {"www.sub.example.com. 60 1 c0000201", "sub.example.com. 60 1 c0000202"},
         "a relative origin"},
        {"$ORIGIN com.\n$ORIGIN example\nwww A 192.0.2.1",
         {"www.example.com. 60 1 c0000201"},
         "an origin above the zone"},
        {"a A 192.0.2.1\n$ttl 5\nb A 192.0.2.2\nc 7 A 192.0.2.3\nd A 192.0.2.4",
         {"a.example.com. 60 1 c0000201", "b.example.com. 5 1 c0000202", "c.example.com. 7 1 c0000203",
          "d.example.com. 5 1 c0000204"},
         "$TTL holds from there on, and a record's own TTL for it alone"},
    };
    for (const Row &row : rows) {
        renew(zone_load_limits_default);
        EXPECT_EQ(text(std::string("$TTL 60\n") + row.text + "\n"), 0) << row.why << "\n" << messages();
        EXPECT_EQ(records(), row.records) << row.why;
        renew(zone_load_limits_default);
        EXPECT_EQ(text(std::string("$TTL 60\n") + row.text), 0) << row.why << ", without a last line end";
        EXPECT_EQ(records(), row.records) << row.why << ", without a last line end";
    }
}

TEST_F(ZoneLoad, ttl_is_the_records_own_or_default_or_last_stated)
{
    EXPECT_EQ(text("@ SOA a b 1 1 1 1 300\nx A 192.0.2.1\ny 5 A 192.0.2.1\nz A 192.0.2.1\n"), 0) << messages();
    EXPECT_THAT(records()[0], HasSubstr("example.com. 300 6 ")) << "a SOA without TTL gives its minimum";
    EXPECT_EQ(records()[1], "x.example.com. 300 1 c0000201") << "and the records behind it have that";
    EXPECT_EQ(records()[3], "z.example.com. 5 1 c0000201") << "RFC 1035 section 5.1: the last one stated";
}

struct Bad {
    const char *text, *message, *why;
};

TEST_F(ZoneLoad, names_file_line_and_owner_of_each_error)
{
    const Bad rows[] = {
        {"\n\nwww A 192.0.2\n", "db:3: error: www.example.com.: 192.0.2 is no data of a record of type A",
         "line and owner"},
        {"a A (\n\n192.0.2 )\n", "db:3: error: a.example.com.: 192.0.2 is", "the line of the value, not of the record"},
        {"a TXT \"open\nb A 192.0.2.1\n", "db:1: error: a quote (\") is not closed on this line",
         "a quote ends on its line"},
        {"a TXT (x\nb TXT y\n", "db:1: error: the parenthesis that opens on this line is not closed",
         "where it opened"},
        {"a TXT ((x))\n", "a parenthesis inside a parenthesis", "RFC 1035 has none"},
        {"a A 192.0.2.1 )\n", "db:1: error: \")\" closes nothing", "a stray parenthesis"},
        {"  A 192.0.2.1\n", "there is no owner before it", "a blank at the start of the first record"},
        {"www\n", "the type of the record is missing", "an owner alone"},
        {"www 5 IN\n", "the type of the record is missing", "nothing behind the class"},
        {"www 5 6 A 192.0.2.1\n", "\"6\" is not a type of record", "two TTLs"},
        {"www 1x A 192.0.2.1\n", "1x is no TTL; allowed: 0 to 2147483647 seconds", "an unknown unit"},
        {"www 2147483648 A 192.0.2.1\n", "2147483648 is no TTL", "RFC 2181 section 8"},
        {"www AA 192.0.2.1\n", "\"AA\" is not a type of record; types without a name are written TYPE123",
         "no such type"},
        {"www CH TXT x\n", "only records of class IN are served", "another class"},
        {"www CLASS3 TXT x\n", "only records of class IN are served", "another class by number"},
        {"www ANY x\n", "ANY is not a type that stands in zones", "a type for questions"},
        {"www OPT x\n", "OPT is not a type that stands in zones", "a type for messages"},
        {"www TYPE250 \\# 0\n", "TYPE250 is not a type that stands in zones", "TSIG by number"},
        {"\"www\" A 192.0.2.1\n", "\"www\" is not a name", "a quoted owner"},
        {"a..b A 192.0.2.1\n", "a..b is not a name", "an empty label"},
        {"www.example.org. 60 A 192.0.2.1\n", "db:1: error: www.example.org.: the owner lies outside the zone",
         "out of zone"},
        {"$ORIGIN\n", "$ORIGIN takes one name", "no name"},
        {"$ORIGIN a b\n", "$ORIGIN takes one name", "two names"},
        {"$ORIGIN a..b\n", "$ORIGIN: a..b is not a name", "no name"},
        {"$TTL\n", "$TTL takes a time", "no time"},
        {"$TTL 1y\n", "$TTL takes a time", "an unknown unit"},
        {"$INCLUDE\n", "$INCLUDE takes a file", "no file"},
        {"$INCLUDE x\n", "$INCLUDE is not possible here", "a text has no folder"},
        {"$GENERATE 1-5 a A 192.0.2.1\n", "$GENERATE is not a directive that is known here", "others' extension"},
    };
    for (const Bad &row : rows) {
        renew(zone_load_limits_default);
        EXPECT_EQ(text(std::string(row.text)), -EINVAL) << row.why;
        EXPECT_THAT(messages(), HasSubstr(row.message)) << row.why;
    }
}

TEST_F(ZoneLoad, a_record_without_any_ttl_is_an_error)
{
    EXPECT_EQ(text("www A 192.0.2.1\n"), -EINVAL);
    EXPECT_THAT(messages(), HasSubstr("the record has no TTL; write one, or $TTL before it"));
}

TEST_F(ZoneLoad, goes_on_behind_an_error_and_drops_only_that_zone)
{
    EXPECT_EQ(text(std::string(apex), "example.org"), 0);
    EXPECT_EQ(text("$TTL 60\na A x\nb A y\nc..d A 192.0.2.1\n  A 192.0.2.2\n"), -EINVAL);
    EXPECT_EQ(errors.error_count, 4u) << messages();
    EXPECT_THAT(messages(), HasSubstr("db:2: error: a.example.com.: x is"));
    EXPECT_THAT(messages(), HasSubstr("db:3: error: b.example.com.: y is"));
    EXPECT_THAT(messages(), HasSubstr("db:5: error: the line starts with a blank"))
        << "the owner of the bad line is not replaced by an earlier one";
    EXPECT_EQ(zone_load_check(load), 0) << "the good zone is good, the bad one is gone";
    void *image = nullptr;
    size_t len = 0;
    EXPECT_EQ(zone_builder_finish(zone_load_builder(load), 1, 1, 1, &image, &len), 0);
    free(image);
}

TEST_F(ZoneLoad, errors_have_the_source_line)
{
    EXPECT_EQ(text("$TTL 60\n  \n www A x ; why\n"), -EINVAL);
    ASSERT_EQ(errors.count, 1u);
    EXPECT_STREQ(errors.entry[0].source, "www A x ; why");
}

TEST_F(ZoneLoad, stops_after_a_hundred_errors)
{
    std::string zone = "$TTL 60\n";
    for (int i = 0; i < 1000; i++)
        zone += "a A x\n";
    EXPECT_EQ(text(zone), -EINVAL);
    EXPECT_EQ(errors.error_count, 101u);
    EXPECT_THAT(messages(), HasSubstr("db:101: error: a.example.com.: too many errors"));
}

TEST_F(ZoneLoad, a_file_of_duplicates_does_not_fill_the_list)
{
    std::string zone = apex;
    for (int i = 0; i < 1000; i++)
        zone += "a 60 A 192.0.2.1\n";
    ASSERT_EQ(text(zone), 0);
    EXPECT_EQ(zone_load_check(load), 0);
    EXPECT_EQ(errors.count, 100u);
}

TEST_F(ZoneLoad, check_reports_places_and_drops_zones_with_errors)
{
    ASSERT_EQ(text(apex, "example.org"), 0);
    ASSERT_EQ(text(std::string(apex) + "\nw 60 CNAME a\nw 60 A 192.0.2.1\n"), 1);
    ASSERT_EQ(text("$TTL 60\nw A 192.0.2.1\n", "example.net"), 2);
    ASSERT_EQ(text(std::string(apex) + "a 60 CNAME b\n@ 60 MX 1 a\n", "mx.example"), 3);
    EXPECT_EQ(zone_load_check(load), 2);
    EXPECT_THAT(messages(), HasSubstr("db:4: error: w.example.com.: a CNAME stands beside other data"));
    EXPECT_THAT(messages(), HasSubstr("db: error: example.net.: the zone has no SOA record"));
    EXPECT_THAT(messages(), HasSubstr("db:4: warning: mx.example.: MX points to a CNAME"));
    EXPECT_EQ(zone_load_check(load), 0) << "a second check finds nothing more";
    void *image = nullptr;
    size_t len = 0;
    EXPECT_EQ(zone_builder_finish(zone_load_builder(load), 1, 1, 1, &image, &len), 0);
    free(image);
}

TEST_F(ZoneLoad, a_second_zone_of_a_name_is_refused_unless_the_first_was_dropped)
{
    EXPECT_EQ(text("bad\n"), -EINVAL);
    EXPECT_EQ(text(apex), 1) << "the name is free again";
    EXPECT_EQ(text(apex, "EXAMPLE.com."), -EEXIST);
    EXPECT_THAT(messages(), HasSubstr("db: error: EXAMPLE.com.: a zone of this name is loaded already"));
    EXPECT_EQ(text(apex, "a..b"), -EINVAL);
}

TEST_F(ZoneLoad, the_root_can_be_a_zone)
{
    EXPECT_EQ(text("$TTL 60\n. SOA a b 1 1 1 1 1\ncom NS ns.com\nns.com A 192.0.2.1\n", "."), 0) << messages();
    EXPECT_THAT(records()[1], HasSubstr("com. 60 2 026e7303636f6d00"));
}

TEST_F(ZoneLoad, limits_are_kept)
{
    zone_load_limits limits = zone_load_limits_default;
    limits.record_count = 3;
    renew(limits);
    EXPECT_EQ(text(std::string(apex) + "a 1 A 192.0.2.1\nb 1 A 192.0.2.1\nc 1 A x\n"), -EINVAL);
    EXPECT_THAT(messages(), HasSubstr("db:4: error: b.example.com.: more than 3 records"));
    renew(zone_load_limits_default);
    std::string many = "a 60 TXT";
    for (int i = 0; i < 9000; i++)
        many += " x";
    EXPECT_EQ(text(many), -EINVAL);
    EXPECT_THAT(messages(), HasSubstr("too many values in one record"));
    renew(zone_load_limits_default);
    EXPECT_EQ(text(std::string("a 60 TXT a\0b\n", 13)), -EINVAL);
    EXPECT_THAT(messages(), HasSubstr("a zero octet"));
}

// ---- files and $INCLUDE ----

class ZoneFiles : public ZoneLoad
{
  protected:
    void SetUp() override
    {
        ZoneLoad::SetUp();
        char name[] = "/tmp/signpost-zones-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        top = name;
        dir = top + "/zones";
        ASSERT_EQ(mkdir(dir.c_str(), 0755), 0);
        ASSERT_EQ(mkdir((dir + "/sub").c_str(), 0755), 0);
    }
    void TearDown() override
    {
        ZoneLoad::TearDown();
        EXPECT_EQ(system(("rm -r " + top).c_str()), 0);
    }
    void write(const std::string &name, const std::string &content)
    {
        std::ofstream(dir + "/" + name) << content;
    }
    int file(const std::string &name)
    {
        return zone_load_file(load, "example.com", (dir + "/" + name).c_str(), dir.c_str());
    }
    std::string top, dir;
};

TEST_F(ZoneFiles, include_keeps_origin_and_owner_of_the_includer)
{
    write("main", "$TTL 60\na A 192.0.2.1\n$INCLUDE sub/one x\n  A 192.0.2.2\n$include \"sub/two\"\nb A 192.0.2.3\n");
    write("sub/one", "c A 192.0.2.4\n$ORIGIN y\n$TTL 5\nd A 192.0.2.5\n");
    write("sub/two", "  A 192.0.2.6\ne A 192.0.2.7"); // no line end: the includer's next line is not joined
    ASSERT_EQ(file("main"), 0) << messages();
    EXPECT_THAT(records(), ElementsAre("a.example.com. 60 1 c0000201", "c.x.example.com. 60 1 c0000204",
                                       "d.y.x.example.com. 5 1 c0000205", "a.example.com. 60 1 c0000202",
                                       "a.example.com. 60 1 c0000206", "e.example.com. 60 1 c0000207",
                                       "b.example.com. 60 1 c0000203"));
}

TEST_F(ZoneFiles, errors_in_included_files_name_that_file)
{
    write("main", "$TTL 60\n$INCLUDE sub/one\nb A y\n");
    write("sub/one", "\n\na A x\n");
    EXPECT_EQ(file("main"), -EINVAL);
    EXPECT_THAT(messages(), HasSubstr(dir + "/sub/one:3: error: a.example.com.: x is"));
    EXPECT_THAT(messages(), HasSubstr(dir + "/main:3: error: b.example.com.: y is"));
}

TEST_F(ZoneFiles, nothing_outside_the_zone_directory_is_read)
{
    std::ofstream(top + "/secret") << "a 60 A 192.0.2.1\n";
    ASSERT_EQ(symlink((top + "/secret").c_str(), (dir + "/link").c_str()), 0);
    ASSERT_EQ(symlink(top.c_str(), (dir + "/up").c_str()), 0);
    write("inside", "a 60 A 192.0.2.1\n");
    ASSERT_EQ(symlink((dir + "/inside").c_str(), (dir + "/sub/good").c_str()), 0);
    ASSERT_EQ(mkdir((dir + "-other").c_str(), 0755), 0);
    std::ofstream(dir + "-other/secret") << "a 60 A 192.0.2.1\n";
    struct {
        std::string path;
        const char *message, *why;
    } const rows[] = {
        {"../secret", "the file lies outside zone_dir", "by dots"},
        {top + "/secret", "the file lies outside zone_dir", "by an absolute path"},
        {"link", "the file lies outside zone_dir", "behind a link"},
        {"up/secret", "the file lies outside zone_dir", "behind a link on the way"},
        {"../zones-other/secret", "the file lies outside zone_dir", "a directory whose name starts the same"},
        {"sub", "not a regular file", "a directory"},
        {"none", "No such file", "nothing there"},
        {"inside", nullptr, "inside"},
        {dir + "/inside", nullptr, "inside, absolute"},
        {"sub/good", nullptr, "inside, behind a link"},
    };
    for (const auto &row : rows) {
        renew(zone_load_limits_default);
        write("main", "$INCLUDE " + row.path + "\n");
        const int rc = file("main");
        EXPECT_EQ(rc, row.message ? -EINVAL : 0) << row.why << "\n" << messages();
        EXPECT_THAT(messages(), HasSubstr(row.message ? row.message : "")) << row.why;
        EXPECT_EQ(records().empty(), row.message != nullptr) << row.why;
    }
    renew(zone_load_limits_default);
    EXPECT_EQ(file("link"), -EINVAL) << "the zone's own file as well";
    EXPECT_THAT(messages(), HasSubstr("/link: error: example.com: the file lies outside zone_dir"));
}

TEST_F(ZoneFiles, includes_are_bounded)
{
    write("loop", "$INCLUDE loop\n");
    EXPECT_EQ(file("loop"), -EINVAL);
    EXPECT_THAT(messages(), HasSubstr("files include each other too deep (at most 8 levels)"));
    EXPECT_EQ(errors.error_count, 1u) << messages();
    zone_load_limits limits = zone_load_limits_default;
    limits.include_count = 2;
    limits.include_depth = 100; // above what there is room for
    renew(limits);
    write("main", "$INCLUDE empty\n$INCLUDE empty\n$INCLUDE empty\n");
    write("empty", "");
    EXPECT_EQ(file("main"), -EINVAL);
    EXPECT_THAT(messages(), HasSubstr("main:3: error: $INCLUDE: more than 2 included files"));
    limits.include_count = 1000;
    limits.file_bytes = 100;
    renew(limits);
    EXPECT_EQ(file("loop"), -EINVAL) << "bounded all the same";
    write("large", std::string(101, ';'));
    EXPECT_EQ(file("large"), -EINVAL);
    EXPECT_THAT(messages(), HasSubstr("large: error: example.com: the file is too large"));
}

TEST_F(ZoneFiles, pipes_and_missing_directories_do_not_block)
{
    ASSERT_EQ(mkfifo((dir + "/pipe").c_str(), 0600), 0);
    EXPECT_EQ(file("pipe"), -EINVAL);
    EXPECT_THAT(messages(), HasSubstr("not a regular file"));
    EXPECT_EQ(zone_load_file(load, "example.com", "x", "/nonexistent"), -EINVAL);
    EXPECT_THAT(messages(), HasSubstr("zone_dir /nonexistent: No such file"));
}

} // namespace
