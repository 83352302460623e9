// SPDX-License-Identifier: Apache-2.0
// What docs/examples shows to newcomers must load without an error or a warning, zones included.
#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>

#include "tests/support/config_messages.h"

#include "control/config.h"
#include "control/zone_load.h"

namespace
{

void load_zones(const config &c, config_errors &errors)
{
    zone_load *load = zone_load_new(&errors, &zone_load_limits_default);
    for (unsigned i = 0; i < c.zone_count; i++)
        EXPECT_EQ(zone_load_file(load, c.zones[i].name, c.zones[i].file, c.zone_dir), (int)i);
    for (unsigned i = 0; i < c.service_count; i++) {
        uint8_t owner[NAME_MAX_LEN];
        ASSERT_GT(name_from_text(owner, c.services[i].name), 0);
        EXPECT_EQ(zone_builder_add_service(zone_load_builder(load), owner, i), 0) << c.services[i].name;
    }
    EXPECT_EQ(zone_load_check(load), 0);
    zone_load_free(load);
}

// A copy, because the keys that an example names are not there, and must not be.
class ConfigExamples : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        char name[] = "/tmp/signpost-examples-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        dir = name;
        ASSERT_EQ(system(("cp -r docs/examples/. " + dir).c_str()), 0) << "run from the top folder";
        for (const char *key : {"heartbeat.key", "heartbeat.key.old", "cookie.secret"}) {
            const std::string path = dir + "/" + key;
            std::ofstream(path) << std::string(key == std::string("cookie.secret") ? 32 : 64, 'a') << "\n";
            ASSERT_EQ(chmod(path.c_str(), 0600), 0);
        }
    }
    void TearDown() override
    {
        EXPECT_EQ(system(("rm -r " + dir).c_str()), 0);
    }
    std::string dir;
};

TEST_F(ConfigExamples, load_with_their_zones_and_without_a_message)
{
    std::set<std::string> found;
    DIR *folder = opendir(dir.c_str());
    ASSERT_NE(folder, nullptr);
    while (const dirent *entry = readdir(folder)) {
        const std::string name = entry->d_name;
        if (name.size() < 6 || name.substr(name.size() - 5) != ".conf" ||
            name.compare(0, 6, "dbsync") == 0) // another program's
            continue;
        found.insert(name);
        config_errors errors{};
        config *c = nullptr;
        EXPECT_EQ(config_load((dir + "/" + name).c_str(), &c, &errors), 0) << name;
        if (c)
            load_zones(*c, errors);
        EXPECT_EQ(config_messages(errors), "") << name;
        config_free(c);
        config_errors_fini(&errors);
    }
    closedir(folder);
    EXPECT_TRUE(found.count("active-passive.conf"));
    EXPECT_GE(found.size(), 4u);
}

} // namespace
