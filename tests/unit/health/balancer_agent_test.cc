// SPDX-License-Identifier: Apache-2.0
#include "health/balancer_agent.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace
{

constexpr evidence_result UP = EVIDENCE_UP, DOWN = EVIDENCE_DOWN, UNKNOWN = EVIDENCE_UNKNOWN;

struct Row {
    const char *why;
    std::string text;
    bool is_ended;
    evidence_result result;
    int32_t load;
};

class BalancerAgent : public testing::TestWithParam<Row>
{
};

TEST_P(BalancerAgent, IsJudged)
{
    const Row &row = GetParam();
    const std::vector<char> exact(row.text.begin(), row.text.end());
    const probe_result r = balancer_agent_judge(exact.data(), exact.size(), row.is_ended);
    EXPECT_EQ(r.result, row.result) << row.why << ": " << r.detail;
    EXPECT_EQ(r.load_permille, row.load) << row.why;
    EXPECT_EQ(r.reason, row.result == UP     ? EVIDENCE_REASON_OK
                        : row.result == DOWN ? EVIDENCE_REASON_BALANCER_DOWN
                                             : EVIDENCE_REASON_UNREADABLE)
        << row.why;
}

INSTANTIATE_TEST_SUITE_P(
    Rows, BalancerAgent,
    testing::Values(Row{"operating", "up\n", false, UP, -1}, Row{"in service", "ready\r\n", false, UP, -1},
                    Row{"a quarter less", "75%\n", false, UP, 250}, Row{"more than usual", "150%\n", false, UP, 0},
                    Row{"all three in one line", "up\t ready,50%\n", false, UP, 500},
                    Row{"not operating", "down\n", false, DOWN, -1}, Row{"stopped", "stopped\n", false, DOWN, -1},
                    Row{"failed, with words for people", "failed#disk up\n", false, DOWN, -1},
                    Row{"fail is a word as well", "fail\n", false, DOWN, -1},
                    Row{"taken out of service, though operating", "up drain\n", false, DOWN, -1},
                    Row{"maintenance", "maint\n", false, DOWN, -1},
                    Row{"asks for nothing", "up 0%\n", false, DOWN, 1000},
                    Row{"the last word about operation counts", "down up\n", false, UP, -1},
                    Row{"ready does not heal what is down", "down ready\n", false, DOWN, -1},
                    Row{"unknown words are passed over", "up colour:red maxconn:30\n", false, UP, -1},
                    Row{"the second line is not looked at", "up\ndown\n", false, UP, -1},
                    Row{"a line without end, but the agent is done", "up", true, UP, -1},
                    Row{"a line without end may go on", "up", false, UNKNOWN, -1},
                    Row{"only words for people", "# up\n", false, UNKNOWN, -1},
                    Row{"a limit is no state", "maxconn:30\n", false, UNKNOWN, -1},
                    Row{"longer words are other words", "upper downer\n", false, UNKNOWN, -1},
                    Row{"case matters, as in HAProxy", "UP\n", false, UNKNOWN, -1},
                    Row{"a number alone", "75\n", false, UNKNOWN, -1}, Row{"no number", "%\n", false, UNKNOWN, -1},
                    Row{"no percentage", "-5%\n", false, UNKNOWN, -1},
                    Row{"a long number does not overflow", "99999999999999999999999%\n", false, UP, 0},
                    Row{"nothing", "", true, UNKNOWN, -1}, Row{"an empty line", "\n", false, UNKNOWN, -1},
                    Row{"a zero octet ends the line", std::string("up\0down\n", 8), false, UP, -1},
                    Row{"noise", "\x80\xff\x01\n", false, UNKNOWN, -1}));

TEST(BalancerAgent, WhatIsSaidIsUnderstood)
{
    struct {
        evidence_operator state;
        const char *line;
        evidence_result result;
    } const rows[] = {{OPERATOR_AUTO, "up ready #x\n", UP},
                      {OPERATOR_UP, "up ready #x\n", UP},
                      {OPERATOR_DRAIN, "up drain #x\n", DOWN},
                      {OPERATOR_DOWN, "down ready #x\n", DOWN}};
    for (const auto &row : rows) {
        char line[BALANCER_AGENT_LINE_CAP];
        const size_t len = balancer_agent_line(line, row.state, "x");
        EXPECT_EQ(std::string(line, len), row.line);
        EXPECT_EQ(balancer_agent_judge(line, len, false).result, row.result);
    }
}

TEST(BalancerAgent, ACommentCannotEndTheLineNorOverflowIt)
{
    char line[BALANCER_AGENT_LINE_CAP];
    const std::string comment = "a\nup\r" + std::string(500, 'x');
    const size_t len = balancer_agent_line(line, OPERATOR_DOWN, comment.c_str());
    ASSERT_LE(len, sizeof line);
    EXPECT_EQ(std::string(line, len).find_first_of("\r\n"), len - 1);
    EXPECT_EQ(balancer_agent_judge(line, len, false).result, DOWN);
}

} // namespace
