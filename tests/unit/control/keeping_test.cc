// SPDX-License-Identifier: Apache-2.0
// What the control process keeps: operator states, the journal, the history.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "control/file_replace.h"
#include "control/history.h"
#include "control/journal.h"
#include "control/operator_state.h"

namespace
{

struct Folder {
    std::string path;
    Folder()
    {
        char name[] = "/tmp/signpost-test-XXXXXX";
        path = mkdtemp(name);
    }
    ~Folder()
    {
        const std::string command = "rm -rf " + path;
        if (system(command.c_str()) != 0)
            ADD_FAILURE() << command;
    }
    std::string file(const std::string &name) const
    {
        return path + "/" + name;
    }
};

std::string read(const std::string &path)
{
    std::ifstream in(path);
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
}

operator_entry entry(const char *site, evidence_operator state, uint64_t until_s = 0, const char *reason = "")
{
    operator_entry e{};
    snprintf(e.site, sizeof e.site, "%s", site);
    e.state = state;
    e.until_s = until_s;
    e.said_s = 1700000000;
    snprintf(e.reason, sizeof e.reason, "%s", reason);
    return e;
}

TEST(OperatorStates, SurviveAJourneyThroughTheFile)
{
    Folder f;
    operator_states s{}, back{};
    const operator_entry a = entry("ams", OPERATOR_DRAIN, 1800000000, "cable works \"north\" \\ 50%"),
                         b = entry("fra", OPERATOR_DOWN);
    ASSERT_EQ(operator_states_set(&s, &a), 0);
    ASSERT_EQ(operator_states_set(&s, &b), 0);
    ASSERT_EQ(operator_states_save(&s, f.file("states").c_str()), 0);
    ASSERT_EQ(operator_states_load(&back, f.file("states").c_str()), 0);
    ASSERT_EQ(back.count, 2u);
    const operator_entry *found = operator_states_find(&back, "ams");
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->state, OPERATOR_DRAIN);
    EXPECT_EQ(found->until_s, 1800000000u);
    EXPECT_STREQ(found->reason, a.reason);
    EXPECT_EQ(operator_states_find(&back, "nyc"), nullptr);
}

TEST(OperatorStates, AutoForgetsAndALaterWordReplacesAnEarlierOne)
{
    operator_states s{};
    operator_entry e = entry("ams", OPERATOR_DOWN);
    operator_states_set(&s, &e);
    e = entry("ams", OPERATOR_UP);
    operator_states_set(&s, &e);
    ASSERT_EQ(s.count, 1u);
    EXPECT_EQ(operator_states_find(&s, "ams")->state, OPERATOR_UP);
    e = entry("ams", OPERATOR_AUTO);
    operator_states_set(&s, &e);
    EXPECT_EQ(operator_states_find(&s, "ams"), nullptr);
}

TEST(OperatorStates, ExpireWhenTheirTimeIsOver)
{
    operator_states s{};
    operator_entry e = entry("ams", OPERATOR_DOWN, 100);
    operator_states_set(&s, &e);
    e = entry("fra", OPERATOR_DOWN);
    operator_states_set(&s, &e);
    EXPECT_FALSE(operator_states_expire(&s, 99));
    EXPECT_TRUE(operator_states_expire(&s, 100));
    EXPECT_EQ(operator_states_find(&s, "ams"), nullptr);
    EXPECT_NE(operator_states_find(&s, "fra"), nullptr);
}

TEST(OperatorStates, AFileThatIsNotThereIsNoneAndADamagedOneIsAnError)
{
    Folder f;
    operator_states s{};
    EXPECT_EQ(operator_states_load(&s, f.file("none").c_str()), 0);
    EXPECT_EQ(s.count, 0u);
    for (const char *text :
         {"{", "[]", R"({"states": [{"site": 5}]})", R"({"states": [{"site":"a","state":"left"}]})"}) {
        std::ofstream(f.file("bad")) << text;
        EXPECT_LT(operator_states_load(&s, f.file("bad").c_str()), 0) << text;
    }
}

TEST(OperatorStates, NamesOfStates)
{
    for (evidence_operator state : {OPERATOR_AUTO, OPERATOR_UP, OPERATOR_DOWN, OPERATOR_DRAIN}) {
        evidence_operator back;
        ASSERT_EQ(operator_state_parse(operator_state_name(state), &back), 0);
        EXPECT_EQ(back, state);
    }
    evidence_operator none;
    EXPECT_LT(operator_state_parse("sideways", &none), 0);
}

TEST(FileReplace, TheOldFileStaysUntilTheNewOneIsWhole)
{
    Folder f;
    std::ofstream(f.file("x")) << "old";
    file_replace r;
    ASSERT_EQ(file_replace_open(&r, f.file("x").c_str()), 0);
    fputs("new", r.file);
    EXPECT_EQ(read(f.file("x")), "old");
    ASSERT_EQ(file_replace_commit(&r), 0);
    EXPECT_EQ(read(f.file("x")), "new");
    EXPECT_LT(file_replace_open(&r, f.file("no/such/folder/x").c_str()), 0);
}

TEST(Journal, KeepsEventsAndTurnsOverAtItsLimit)
{
    Folder f;
    char why[256];
    journal *j = journal_open(f.file("journal").c_str(), 20000, why);
    ASSERT_NE(j, nullptr) << why;
    evidence_event e{};
    e.kind = EVIDENCE_PROBE;
    strcpy(e.detail, "status 503");
    for (int i = 0; i < 2000; i++) {
        e.at_ns = static_cast<uint64_t>(i);
        journal_event(j, &e);
    }
    journal_flush(j);
    journal_stats stats;
    journal_count(j, &stats);
    EXPECT_GE(stats.rotations, 2u);
    EXPECT_EQ(stats.errors, 0u);
    EXPECT_GE(stats.lines, 2000u);
    journal_close(j);
    struct stat info;
    ASSERT_EQ(stat(f.file("journal").c_str(), &info), 0);
    EXPECT_LE(info.st_size, 20000);
    EXPECT_NE(read(f.file("journal")).find("status 503"), std::string::npos);
}

TEST(Journal, AFolderThatCannotBeWrittenIsSaid)
{
    char why[256] = "";
    EXPECT_EQ(journal_open("/proc/no/journal", 20000, why), nullptr);
    EXPECT_NE(strstr(why, "/proc/no"), nullptr) << why;
}

TEST(History, KeepsTheLatestAndNumbersThroughoutItsLife)
{
    static history h;
    memset(&h, 0, sizeof h);
    for (unsigned i = 0; i < HISTORY_CAP + 10; i++)
        snprintf(history_add(&h)->name, HISTORY_NAME_CAP, "s%u", i);
    EXPECT_STREQ(history_latest(&h, 0)->name, ("s" + std::to_string(HISTORY_CAP + 9)).c_str());
    EXPECT_EQ(history_latest(&h, 0)->number, uint64_t{HISTORY_CAP + 10});
    EXPECT_STREQ(history_latest(&h, HISTORY_CAP - 1)->name, "s10");
    EXPECT_EQ(history_latest(&h, HISTORY_CAP), nullptr);
}

TEST(History, MeasuresFromDecisionToWire)
{
    static history h;
    memset(&h, 0, sizeof h);
    for (uint64_t g = 1; g <= 100; g++) {
        history_entry *e = history_add(&h);
        e->kind = HISTORY_ORDER;
        e->generation = g;
        history_published(&h, g, 1000, 1000 + g);
        EXPECT_EQ(e->wire_ns, 1000 + g);
    }
    history_latency l;
    history_measure(&h, &l);
    EXPECT_EQ(l.count, 100u);
    EXPECT_NEAR(static_cast<double>(l.median_ns), 50, 1);
    EXPECT_NEAR(static_cast<double>(l.p99_ns), 99, 1);
    EXPECT_EQ(l.max_ns, 100u);
    EXPECT_EQ(l.last_ns, 100u);
}

} // namespace
