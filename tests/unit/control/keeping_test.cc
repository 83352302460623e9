// SPDX-License-Identifier: Apache-2.0
// What the control process keeps: operator states, the journal, the history.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/test_folder.h"

#include "control/file_replace.h"
#include "control/history.h"
#include "control/journal.h"
#include "control/operator_state.h"

namespace
{

std::string read(const std::string &path)
{
    std::ifstream in(path);
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
}

struct States : operator_states {
    States() : operator_states{} {}
    States(const States &) = delete;
    States &operator=(const States &) = delete;
    ~States()
    {
        operator_states_fini(this);
    }
    int set(const char *name, evidence_operator state, uint64_t until_s = 0, const char *reason = "",
            operator_kind kind = OPERATOR_OF_SITE)
    {
        operator_entry e{};
        e.kind = kind;
        snprintf(e.name, sizeof e.name, "%s", name);
        e.state = state;
        e.until_s = until_s;
        e.said_s = 1700000000;
        snprintf(e.reason, sizeof e.reason, "%s", reason);
        return operator_states_set(this, &e);
    }
    const operator_entry *find(const char *name, operator_kind kind = OPERATOR_OF_SITE) const
    {
        return operator_states_find(this, kind, name);
    }
};

TEST(OperatorStates, SurviveAJourneyThroughTheFile)
{
    TestFolder f;
    States s, back;
    const char *reason = "cable works \"north\" \\ 50%";
    ASSERT_EQ(s.set("ams", OPERATOR_DRAIN, 1800000000, reason), 0);
    ASSERT_EQ(s.set("fra", OPERATOR_DOWN), 0);
    ASSERT_EQ(s.set("*.example.com/fra", OPERATOR_UP, 0, "a test", OPERATOR_OF_SERVICE), 0);
    ASSERT_EQ(s.set("2001:db8::1", OPERATOR_DOWN, 1900000000, "", OPERATOR_OF_ADDRESS), 0);
    ASSERT_EQ(operator_states_save(&s, f.file("states").c_str()), 0);
    ASSERT_EQ(operator_states_load(&back, f.file("states").c_str()), 0);
    ASSERT_EQ(back.count, 4u);
    const operator_entry *found = back.find("ams");
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->state, OPERATOR_DRAIN);
    EXPECT_EQ(found->until_s, 1800000000u);
    EXPECT_STREQ(found->reason, reason);
    EXPECT_EQ(back.find("nyc"), nullptr);
    found = back.find("*.EXAMPLE.com/fra", OPERATOR_OF_SERVICE);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->state, OPERATOR_UP);
    EXPECT_STREQ(found->reason, "a test");
    found = back.find("2001:db8::1", OPERATOR_OF_ADDRESS);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->until_s, 1900000000u);
    EXPECT_EQ(back.find("2001:db8::1"), nullptr) << "kinds are apart";
}

TEST(OperatorStates, AFileOfSitesOnlyIsReadAsItWasWritten)
{
    TestFolder f;
    States s;
    std::ofstream(f.file("states")) << "# site state until said reason\nams drain 0 1700000000 why not\n";
    ASSERT_EQ(operator_states_load(&s, f.file("states").c_str()), 0);
    ASSERT_NE(s.find("ams"), nullptr);
    EXPECT_STREQ(s.find("ams")->reason, "why not");
}

TEST(OperatorStates, AutoForgetsAndALaterWordReplacesAnEarlierOne)
{
    States s;
    s.set("ams", OPERATOR_DOWN);
    s.set("ams", OPERATOR_UP);
    ASSERT_EQ(s.count, 1u);
    EXPECT_EQ(s.find("ams")->state, OPERATOR_UP);
    s.set("ams", OPERATOR_AUTO);
    EXPECT_EQ(s.find("ams"), nullptr);
}

TEST(OperatorStates, AreFoundHoweverManyAndInWhateverOrderTheyCame)
{
    States s, copy;
    for (unsigned i = 0; i < OPERATOR_STATES_MAX; i++)
        ASSERT_EQ(s.set(("s" + std::to_string(i * 7919 % OPERATOR_STATES_MAX)).c_str(), OPERATOR_DOWN), 0) << i;
    EXPECT_EQ(s.set("one-more", OPERATOR_DOWN), -ENOSPC);
    EXPECT_EQ(s.set("s5", OPERATOR_UP), 0) << "what is there can be changed";
    ASSERT_EQ(operator_states_copy(&copy, &s), 0);
    for (unsigned i = 0; i < OPERATOR_STATES_MAX; i += 2)
        EXPECT_EQ(s.set(("s" + std::to_string(i)).c_str(), OPERATOR_AUTO), 0);
    for (unsigned i = 0; i < OPERATOR_STATES_MAX; i++) {
        EXPECT_EQ(s.find(("s" + std::to_string(i)).c_str()) != nullptr, i % 2 == 1) << i;
        EXPECT_NE(copy.find(("s" + std::to_string(i)).c_str()), nullptr) << "a copy is its own";
    }
}

TEST(OperatorStates, ExpireWhenTheirTimeIsOver)
{
    States s;
    std::string gone;
    const auto note = [](void *user, const operator_entry *e) { *static_cast<std::string *>(user) += e->name; };
    s.set("ams", OPERATOR_DOWN, 100);
    s.set("www.example.com/ams", OPERATOR_DOWN, 100, "", OPERATOR_OF_SERVICE);
    s.set("fra", OPERATOR_DOWN);
    EXPECT_EQ(operator_states_expire(&s, 99, note, &gone), 0u);
    EXPECT_EQ(operator_states_expire(&s, 100, note, &gone), 2u);
    EXPECT_EQ(gone, "www.example.com/amsams");
    EXPECT_EQ(s.find("ams"), nullptr);
    EXPECT_NE(s.find("fra"), nullptr);
}

TEST(OperatorStates, AFileThatIsNotThereIsNoneAndADamagedOneIsAnError)
{
    TestFolder f;
    States s;
    EXPECT_EQ(operator_states_load(&s, f.file("none").c_str()), 0);
    EXPECT_EQ(s.count, 0u);
    for (const char *text : {"{", "[]", R"({"states": [{"site": 5}]})", "ams left 0 0 x\n", "service: down 0 0\n"}) {
        std::ofstream(f.file("bad")) << text;
        EXPECT_LT(operator_states_load(&s, f.file("bad").c_str()), 0) << text;
    }
    std::ofstream(f.file("bad")) << std::string(2000, 'x') << "\nfra down 0 1 y\n";
    EXPECT_LT(operator_states_load(&s, f.file("bad").c_str()), 0);
    EXPECT_NE(s.find("fra"), nullptr) << "the good lines are kept";
}

TEST(OperatorStates, NamesOfStates)
{
    for (evidence_operator state : {OPERATOR_AUTO, OPERATOR_UP, OPERATOR_DOWN, OPERATOR_DRAIN}) {
        evidence_operator back;
        ASSERT_EQ(operator_state_parse(operator_state_name(state), &back), 0);
        EXPECT_EQ(back, state);
    }
    evidence_operator none;
    operator_kind kind;
    EXPECT_LT(operator_state_parse("sideways", &none), 0);
    EXPECT_EQ(operator_kind_parse(operator_kind_name(OPERATOR_OF_SERVICE), &kind), 0);
    EXPECT_EQ(kind, OPERATOR_OF_SERVICE);
    EXPECT_LT(operator_kind_parse("planet", &kind), 0);
}

TEST(FileReplace, TheOldFileStaysUntilTheNewOneIsWhole)
{
    TestFolder f;
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
    TestFolder f;
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
