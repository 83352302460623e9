// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>

#include <unistd.h>

#include "dbsync/config.h"

namespace
{

const char good[] = R"(dbsync = {
  site = 1; name = "ams"; database = "sqlite:app.db"; listen = "192.0.2.53:7054";
  certificate = "ams.pem"; key = "ams.key"; authority = "/etc/ca.pem";
  peers = ( { site = 2; name = "fra"; address = "[2001:db8::1]:7054"; } );
  tables = ( { name = "orders"; granularity = "row"; unique = "suffix"; }, { name = "notes"; } );
  poll = "20ms"; spool_quota = "1G"; on_error = "stop";
};
other = { anything = 1; };
)";

struct Loaded {
    struct config *config = nullptr;
    int errors;
    std::string text, path;

    explicit Loaded(const std::string &content)
    {
        path = testing::TempDir() + "dbsync_config_" + std::to_string(getpid()) + ".conf";
        std::ofstream(path) << content;
        char *out = nullptr;
        size_t len = 0;
        FILE *to = open_memstream(&out, &len);
        errors = config_load(path.c_str(), &config, to);
        fclose(to);
        text = out;
        free(out);
        unlink(path.c_str());
    }
    ~Loaded()
    {
        config_free(errors ? nullptr : config);
    }
};

std::string replaced(std::string from, const std::string &what, const std::string &with)
{
    return from.replace(from.find(what), what.size(), with);
}

TEST(Config, a_good_file_is_read_and_paths_are_joined_to_its_folder)
{
    Loaded l(good);
    ASSERT_EQ(l.errors, 0) << l.text;
    std::string folder = l.path.substr(0, l.path.rfind('/'));
    EXPECT_EQ(l.config->site, 1);
    EXPECT_EQ(l.config->database, "sqlite:" + folder + "/app.db");
    EXPECT_EQ(l.config->certificate, folder + "/ams.pem");
    EXPECT_STREQ(l.config->authority, "/etc/ca.pem");
    EXPECT_STREQ(l.config->identity, "ams");
    ASSERT_EQ(l.config->peer_count, 1u);
    EXPECT_STREQ(l.config->peer[0].identity, "fra");
    ASSERT_EQ(l.config->table_count, 2u);
    EXPECT_EQ(l.config->table[0].options.granularity, GRANULARITY_ROW);
    EXPECT_EQ(l.config->table[0].options.unique, UNIQUE_SUFFIX);
    EXPECT_EQ(l.config->table[1].options.unique, UNIQUE_PARK);
    EXPECT_EQ(l.config->poll_us, 20000u);
    EXPECT_EQ(l.config->spool_quota_bytes, 1u << 30);
    EXPECT_TRUE(l.config->stop_on_error);
    EXPECT_EQ(l.config->absence_max_us, 7ull * 86400 * 1000000);
    EXPECT_EQ(l.config->metrics, nullptr);
}

struct Wrong {
    const char *what, *with;
    unsigned line;
    const char *expected, *why;
};

class WrongConfig : public testing::TestWithParam<Wrong>
{
};

TEST_P(WrongConfig, is_refused_with_file_line_key_and_what_is_allowed)
{
    const Wrong &w = GetParam();
    Loaded l(replaced(good, w.what, w.with));
    EXPECT_GE(l.errors, 1) << w.why;
    std::string place = l.path + ":" + std::to_string(w.line) + ": error: ";
    EXPECT_NE(l.text.find(place), std::string::npos) << w.why << "\n" << l.text;
    EXPECT_NE(l.text.find(w.expected), std::string::npos) << w.why << "\n" << l.text;
}

INSTANTIATE_TEST_SUITE_P(
    Rows, WrongConfig,
    testing::Values(Wrong{"site = 1;", "site = 0;", 2, "dbsync.site: allowed: a whole number, 1 to 65535", "range"},
                    Wrong{"site = 1;", "site = \"1\";", 2, "dbsync.site: allowed", "type"},
                    Wrong{"name = \"ams\";", "nam = \"ams\";", 2, "dbsync.nam: unknown key; is \"name\" meant?",
                          "typo"},
                    Wrong{"name = \"ams\";", "", 1, "dbsync.name: is missing", "required"},
                    Wrong{"sqlite:app.db", "oracle", 2, "sqlite:/path/to/file", "engine"},
                    Wrong{"192.0.2.53:7054", "192.0.2.53", 2, "192.0.2.1:7054", "no port"},
                    Wrong{"192.0.2.53:7054", "ns.example:7054", 2, "dbsync.listen", "no address"},
                    Wrong{"\"20ms\"", "\"20\"", 6, "a duration such as", "no unit"},
                    Wrong{"\"20ms\"", "\"1ms\"", 6, "0.005s to", "below the range"},
                    Wrong{"\"1G\"", "\"1X\"", 6, "a size such as", "unit"},
                    Wrong{"\"stop\"", "\"halt\"", 6, "one of \"park\", \"stop\"", "choice"},
                    Wrong{"granularity = \"row\"", "granularity = \"cell\"", 5, "tables[0].granularity", "choice"},
                    Wrong{"site = 2;", "site = 1;", 4, "is this site's own number", "same number"},
                    Wrong{"{ name = \"notes\"; }", "{ name = \"orders\"; }", 5, "is already tables[0]", "twice"},
                    Wrong{"{ name = \"notes\"; }", "\"notes\"", 5, "a group { ... } belongs here", "type"},
                    Wrong{"listen = \"192.0.2.53:7054\";\n", "x = 1;\n", 2, "unknown key", "unknown"},
                    Wrong{"peers = (", "peers = ", 4, "error", "syntax"}));

TEST(Config, all_errors_are_told_at_once)
{
    Loaded l(replaced(replaced(replaced(good, "site = 1;", "site = 70000;"), "\"1G\"", "\"1\""), "\"stop\"", "1"));
    EXPECT_EQ(l.errors, 3) << l.text;
    Loaded empty("x = 1;");
    EXPECT_NE(empty.text.find("the section `dbsync"), std::string::npos) << empty.text;
    Loaded nobody(
        replaced(replaced(good, "listen = \"192.0.2.53:7054\";", ""), "address = \"[2001:db8::1]:7054\";", ""));
    EXPECT_NE(nobody.text.find("neither side can connect"), std::string::npos) << nobody.text;
}

TEST(Config, values_as_operators_write_them)
{
    uint64_t n;
    EXPECT_EQ(config_duration("1h30m", &n), 0);
    EXPECT_EQ(n, 5400ull * 1000000);
    for (const char *bad : {"", "ms", "5", "5 s", "5x", "99999999999999999999s", "-1s"})
        EXPECT_EQ(config_duration(bad, &n), -EINVAL) << bad;
    EXPECT_EQ(config_size("64MiB", &n), 0);
    EXPECT_EQ(n, 64u << 20);
    for (const char *bad : {"", "M", "5X", "5MM", "99999999999T"})
        EXPECT_EQ(config_size(bad, &n), -EINVAL) << bad;
    char host[64];
    uint16_t port;
    EXPECT_EQ(config_endpoint("[::1]:7", host, &port), 0);
    EXPECT_STREQ(host, "::1");
    for (const char *bad :
         {"", ":7", "::1:7", "[::1]7", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:70000", "[127.0.0.1]:7"})
        EXPECT_EQ(config_endpoint(bad, host, &port), -EINVAL) << bad;
}

} // namespace
