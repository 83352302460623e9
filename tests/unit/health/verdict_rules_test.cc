// SPDX-License-Identifier: Apache-2.0
// The truth table as a whole: every combination of its columns.
#include "health/verdict_rules.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <vector>

namespace
{

using Values = std::vector<uint8_t>;

const Values columns[VERDICT_COLUMN_COUNT] = {
    {CELL_AUTO, CELL_SAYS_UP, CELL_SAYS_DOWN, CELL_SAYS_DRAIN},
    {CELL_NONE, CELL_GOOD, CELL_BAD, CELL_NEVER, CELL_OLD},
    {CELL_NONE, CELL_GOOD, CELL_BAD, CELL_NEVER, CELL_OLD},
    {CELL_NONE, CELL_GOOD, CELL_BAD, CELL_NEVER, CELL_OLD, CELL_VOUCHES},
    {CELL_NONE, CELL_GOOD, CELL_BAD, CELL_NEVER, CELL_EXCUSED},
    {CELL_NONE, CELL_WORD_UP, CELL_WORD_DOWN, CELL_WORD_DRAIN},
    {CELL_NONE, CELL_WORD_UP, CELL_WORD_DOWN},
};

void each(const std::function<void(const verdict_inputs &, const verdict_rule &)> &see)
{
    verdict_inputs in{};
    std::function<void(unsigned)> fill = [&](unsigned column) {
        if (column == VERDICT_COLUMN_COUNT) {
            see(in, *verdict_rule_match(&in));
            return;
        }
        for (uint8_t value : columns[column]) {
            in.column[column] = value;
            fill(column + 1);
        }
    };
    fill(0);
}

bool is_auto(const verdict_inputs &in)
{
    return in.column[VERDICT_OPERATOR] == CELL_AUTO && in.column[VERDICT_OWN_NODE] != CELL_WORD_DRAIN;
}

TEST(VerdictRules, EveryRowDecidesSomething)
{
    size_t count;
    const verdict_rule *rules = verdict_rules(&count);
    std::set<const verdict_rule *> used;
    each([&](const verdict_inputs &, const verdict_rule &rule) { used.insert(&rule); });
    for (size_t i = 0; i < count; i++)
        EXPECT_TRUE(used.count(&rules[i])) << "row " << i + 1 << " is never reached: " << rules[i].why;
}

TEST(VerdictRules, TheLastRowMatchesEverything)
{
    size_t count;
    const verdict_rule *rules = verdict_rules(&count);
    for (uint8_t cell : rules[count - 1].cell)
        EXPECT_EQ(cell, CELL_ANY);
}

TEST(VerdictRules, AnOperatorsWordStandsOverAllEvidence)
{
    each([](const verdict_inputs &in, const verdict_rule &rule) {
        switch (in.column[VERDICT_OPERATOR]) {
        case CELL_SAYS_UP:
            EXPECT_EQ(rule.outcome, OUTCOME_UP);
            break;
        case CELL_SAYS_DOWN:
            EXPECT_EQ(rule.outcome, OUTCOME_DOWN);
            break;
        case CELL_SAYS_DRAIN:
            EXPECT_EQ(rule.outcome, OUTCOME_DRAIN);
            break;
        default:
            EXPECT_NE(rule.reason, VERDICT_REASON_OPERATOR);
        }
    });
}

TEST(VerdictRules, BadServersOrAMissingKeywordTakeTheSiteDownUnlessAnAlternativeVouches)
{
    each([](const verdict_inputs &in, const verdict_rule &rule) {
        const bool is_bad = in.column[VERDICT_SERVERS] == CELL_BAD || in.column[VERDICT_PAGE] == CELL_BAD;
        if (is_auto(in) && is_bad && in.column[VERDICT_BALANCER] != CELL_VOUCHES) {
            EXPECT_EQ(rule.outcome, OUTCOME_DOWN);
        } else if (is_auto(in) && is_bad && in.column[VERDICT_HEARTBEAT] == CELL_GOOD) {
            EXPECT_EQ(rule.outcome, OUTCOME_UP);
        }
    });
}

TEST(VerdictRules, LostHeartbeatsTakeTheSiteDownWhateverElseIsGood)
{
    each([](const verdict_inputs &in, const verdict_rule &rule) {
        if (is_auto(in) && in.column[VERDICT_HEARTBEAT] == CELL_BAD) {
            EXPECT_EQ(rule.outcome, OUTCOME_DOWN);
        }
    });
}

TEST(VerdictRules, AnOldIndicationOfABalancerIsNeverDown)
{
    each([](const verdict_inputs &in, const verdict_rule &rule) {
        const bool others_fine = in.column[VERDICT_SERVERS] != CELL_BAD && in.column[VERDICT_PAGE] != CELL_BAD &&
                                 in.column[VERDICT_HEARTBEAT] != CELL_BAD;
        if (is_auto(in) && in.column[VERDICT_BALANCER] == CELL_OLD && others_fine) {
            EXPECT_NE(rule.outcome, OUTCOME_DOWN);
        }
    });
}

TEST(VerdictRules, OldEvidenceNeverMakesASiteUp)
{
    each([](const verdict_inputs &in, const verdict_rule &rule) {
        const bool is_old = in.column[VERDICT_SERVERS] == CELL_OLD || in.column[VERDICT_PAGE] == CELL_OLD;
        if (is_auto(in) && is_old && in.column[VERDICT_BALANCER] != CELL_VOUCHES &&
            in.column[VERDICT_THIRD_PARTY] != CELL_WORD_UP) {
            EXPECT_NE(rule.outcome, OUTCOME_UP);
        }
    });
}

TEST(VerdictRules, NoWordOfOthersBringsASiteUpAgainstOwnEvidence)
{
    each([](const verdict_inputs &in, const verdict_rule &rule) {
        verdict_inputs without = in;
        without.column[VERDICT_THIRD_PARTY] = CELL_NONE;
        without.column[VERDICT_OWN_NODE] = in.column[VERDICT_OWN_NODE] == CELL_WORD_DRAIN ? CELL_WORD_DRAIN : CELL_NONE;
        if (verdict_rule_match(&without)->outcome == OUTCOME_DOWN) {
            EXPECT_EQ(rule.outcome, OUTCOME_DOWN);
        }
    });
}

TEST(VerdictRules, TheSitesOwnDrainIsFollowed)
{
    each([](const verdict_inputs &in, const verdict_rule &rule) {
        if (in.column[VERDICT_OPERATOR] == CELL_AUTO && in.column[VERDICT_OWN_NODE] == CELL_WORD_DRAIN) {
            EXPECT_EQ(rule.outcome, OUTCOME_DRAIN);
        }
    });
}

TEST(VerdictRules, EveryReasonAndStateHasItsText)
{
    std::set<std::string> texts;
    for (int i = 0; i < VERDICT_REASON_COUNT; i++)
        texts.insert(verdict_reason_text(static_cast<verdict_reason>(i)));
    EXPECT_EQ(texts.size(), size_t{VERDICT_REASON_COUNT});
    EXPECT_STREQ(verdict_state_text(VERDICT_DRAIN), "drain");
    EXPECT_STREQ(verdict_reason_text(VERDICT_REASON_COUNT), "unknown reason");
}

} // namespace
