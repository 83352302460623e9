// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "control/config_manual.h"
#include "control/config_schema.h"

namespace
{

const config_section *section(const char *name)
{
    return config_schema_find(config_schema(), name)->section;
}

TEST(ConfigSchema, suggests_the_nearest_key_when_one_is_near)
{
    struct {
        const char *name, *nearest, *why;
    } const rows[] = {
        {"adress", nullptr, "as far from `addresses` as three letters of six"},
        {"addreses", "addresses", "a letter missing"},
        {"addressess", "addresses", "a letter too many"},
        {"adderss", nullptr, "four changes from `addresses`"},
        {"dwlel", "dwell", "two letters swapped count once"},
        {"Nodes", "nodes", "capitals do not count"},
        {"addr", "addresses", "cut short"},
        {"Addres", "addresses", "cut short"},
        {"add", nullptr, "three letters could begin anything"},
        {"fail-back", "fail_back", "a hyphen for an underscore does not count"},
        {"wbe", "web", "short words: one change"},
        {"wxy", nullptr, "short words: two changes make another word"},
        {"completely_different", nullptr, "nothing near"},
        {"", nullptr, "nothing at all"},
    };
    for (const auto &row : rows) {
        const char *nearest = config_schema_nearest_key(section("sites"), row.name);
        EXPECT_STREQ(nearest, row.nearest) << row.name << ": " << row.why;
    }
    const std::string endless(100000, 'a');
    EXPECT_EQ(config_schema_nearest_key(section("sites"), endless.c_str()), nullptr) << "long texts are not compared";
}

TEST(ConfigSchema, the_nearer_of_two_wins)
{
    unsigned best = UINT_MAX;
    EXPECT_TRUE(config_schema_is_nearer("intervall", "intervals", &best));
    EXPECT_TRUE(config_schema_is_nearer("intervall", "interval", &best) || best == 1);
    EXPECT_FALSE(config_schema_is_nearer("intervall", "interva", &best)) << "farther than the best so far";
}

TEST(ConfigSchema, says_what_a_key_accepts)
{
    struct {
        const char *section, *key, *text;
    } const rows[] = {
        {"dns", "udp_max", "a whole number, 512 to 4096"},
        {"dns", "any_ttl", "seconds or a duration, 0 to 604800"},
        {"control", "journal_max", "a size, 64K to 16G"},
        {"heartbeat", "interval", "a duration, 5ms to 1m"},
        {"control", "log_format", "\"text\" or \"json\""},
        {"dns", "client_subnet", "true or false"},
        {"control", "socket_group", "a text of at most 32 characters"},
        {"regions", "countries", "a text of 2 characters"},
        {"control", "socket", "a path of at most 107 characters"},
    };
    for (const auto &row : rows) {
        char text[256];
        const config_key *key = config_schema_find(section(row.section), row.key);
        ASSERT_NE(key, nullptr) << row.key;
        EXPECT_STREQ(config_schema_accepts(key, text, sizeof text), row.text) << row.section << "." << row.key;
    }
}

TEST(ConfigSchema, names_the_values_of_choices)
{
    EXPECT_STREQ(config_schema_choice_name("services.all_down", 3), "last-resort");
    EXPECT_STREQ(config_schema_choice_name("sites.web.probe", 1), "http");
    EXPECT_STREQ(config_schema_choice_name("services.all_down", 4), "?");
    EXPECT_STREQ(config_schema_choice_name("services.all_down", -1), "?");
    EXPECT_STREQ(config_schema_choice_name("services.ttl", 0), "?") << "not a choice";
    EXPECT_STREQ(config_schema_choice_name("nothing", 0), "?");
}

// Each row of the table keeps the table's own rules.
int check_key(void *user, const char *path, const config_key *key)
{
    auto &paths = *static_cast<std::set<std::string> *>(user);
    EXPECT_TRUE(paths.insert(path).second) << path << " stands there twice";
    EXPECT_TRUE(key->help && key->help[0]) << path << " has no help";
    const char last = key->help[strlen(key->help) - 1];
    EXPECT_TRUE(last == '.' || last == '`') << path << ": help is sentences";
    EXPECT_EQ(key->is_list, key->list_max > 0) << path << ": lists, and only they, have a limit";
    EXPECT_EQ(key->type == CONFIG_KEY_CHOICE, key->choices != nullptr) << path;
    EXPECT_EQ(key->type == CONFIG_KEY_GROUP, key->section != nullptr) << path;
    EXPECT_TRUE(key->max == 0 || key->min <= key->max) << path;
    EXPECT_FALSE(key->is_required && key->default_text) << path << ": a required key has no default";
    EXPECT_TRUE(!key->when == !key->when_mask) << path;
    return 0;
}

TEST(ConfigSchema, every_row_keeps_the_rules_of_the_table)
{
    std::set<std::string> paths;
    EXPECT_EQ(config_schema_visit(check_key, &paths), 0);
    EXPECT_GT(paths.size(), 150u);
    EXPECT_TRUE(paths.count("sites.web.tls.verify")) << "three levels down";
    EXPECT_TRUE(paths.count("include")) << "the last key of the file";
}

int stop_at_dns(void *, const char *path, const config_key *)
{
    return strcmp(path, "dns") == 0 ? 7 : 0;
}

TEST(ConfigSchema, a_visit_stops_when_asked_to)
{
    EXPECT_EQ(config_schema_visit(stop_at_dns, nullptr), 7);
}

TEST(ConfigManual, the_page_in_docs_is_what_the_schema_says)
{
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    ASSERT_EQ(config_manual_write(out), 0);
    fclose(out);
    std::ifstream in("docs/configuration.md");
    ASSERT_TRUE(in) << "run from the top folder";
    std::stringstream file;
    file << in.rdbuf();
    EXPECT_TRUE(file.str() == std::string(text, len)) << "print it anew: signpostctl manual >docs/configuration.md";
    free(text);
}

TEST(ConfigManual, says_so_when_it_cannot_be_written)
{
    FILE *full = fopen("/dev/full", "w");
    ASSERT_NE(full, nullptr);
    EXPECT_EQ(config_manual_write(full), -EIO);
    fclose(full);
}

} // namespace
