// SPDX-License-Identifier: Apache-2.0
#include "health/belief.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <set>
#include <string>

namespace
{

TEST(Evidence, AnEventIsTheSameAfterAJourneyThroughALine)
{
    evidence_event e{};
    e.at_ns = UINT64_MAX - 5;
    e.kind = EVIDENCE_WORD;
    e.site = 3, e.group = 65535, e.member = 7;
    e.result = EVIDENCE_DOWN;
    e.reason = EVIDENCE_REASON_KEYWORD_MISSING;
    e.operator_state = OPERATOR_DRAIN;
    e.response_ns = 123, e.duration_ns = 456, e.load_permille = -1, e.lag_ms = -1;
    strcpy(e.detail, "status 503  with  spaces");
    char line[EVIDENCE_LINE_CAP];
    ASSERT_GT(evidence_format(line, &e), 0);
    evidence_event back{};
    ASSERT_EQ(evidence_parse(&back, line), 0);
    EXPECT_EQ(memcmp(&e, &back, sizeof e), 0) << line;
}

TEST(Evidence, ControlCharactersDoNotBreakALine)
{
    evidence_event e{};
    strcpy(e.detail, "a\nb\rc");
    char line[EVIDENCE_LINE_CAP];
    ASSERT_GT(evidence_format(line, &e), 0);
    EXPECT_EQ(strchr(line, '\n'), nullptr);
    EXPECT_NE(strstr(line, "a b c"), nullptr);
}

TEST(Evidence, LinesThatAreNoEventAreRefused)
{
    const struct {
        const char *line, *why;
    } rows[] = {{"", "empty"},
                {"1 0 0", "short"},
                {"1 9 0 0 0 0 0 0 0 0 0 0 ", "unknown kind"},
                {"1 0 70000 0 0 0 0 0 0 0 0 0 ", "site out of range"},
                {"1 0 0 0 0 3 0 0 0 0 0 0 ", "unknown result"},
                {"1 0 0 0 0 0 99 0 0 0 0 0 ", "unknown reason"},
                {"1 0 0 0 0 0 0 4 0 0 0 0 ", "unknown operator state"},
                {"x 0 0 0 0 0 0 0 0 0 0 0 ", "no number"}};
    for (const auto &row : rows) {
        evidence_event e;
        EXPECT_EQ(evidence_parse(&e, row.line), -EINVAL) << row.why;
    }
}

TEST(Evidence, EveryReasonHasItsNameAndText)
{
    std::set<std::string> names, texts;
    for (int i = 0; i < EVIDENCE_REASON_COUNT; i++) {
        names.insert(evidence_reason_name(static_cast<evidence_reason>(i)));
        texts.insert(evidence_reason_text(static_cast<evidence_reason>(i)));
    }
    EXPECT_EQ(names.size(), size_t{EVIDENCE_REASON_COUNT});
    EXPECT_EQ(texts.size(), size_t{EVIDENCE_REASON_COUNT});
}

evidence_event result(uint64_t at_ns, bool is_good, uint64_t response_ns = 0)
{
    evidence_event e{};
    e.at_ns = at_ns;
    e.result = is_good ? EVIDENCE_UP : EVIDENCE_DOWN;
    e.reason = is_good ? EVIDENCE_REASON_OK : EVIDENCE_REASON_TIMEOUT;
    e.response_ns = response_ns;
    return e;
}

TEST(Belief, TheFirstResultCountsAtOnceLaterOnesAfterRiseOrFall)
{
    belief b{};
    evidence_event e = result(1, false);
    belief_take(&b, 3, 2, &e);
    EXPECT_EQ(b.state, EVIDENCE_DOWN);
    for (uint64_t at = 2; at < 4; at++) {
        e = result(at, true);
        belief_take(&b, 3, 2, &e);
        EXPECT_EQ(b.state, EVIDENCE_DOWN);
    }
    e = result(4, true);
    belief_take(&b, 3, 2, &e);
    EXPECT_EQ(b.state, EVIDENCE_UP);
    EXPECT_EQ(b.streak, 3u);
}

TEST(Belief, AnOlderResultThatCameLateIsIgnored)
{
    belief b{};
    evidence_event good = result(10, true), late = result(5, false);
    belief_take(&b, 1, 1, &good);
    belief_take(&b, 1, 1, &late);
    EXPECT_EQ(b.state, EVIDENCE_UP);
}

TEST(Belief, GrowsOldExactlyAfterItsAgeLimit)
{
    belief b{};
    evidence_event e = result(100, true);
    belief_take(&b, 1, 1, &e);
    EXPECT_EQ(belief_at(&b, 50, 150), EVIDENCE_UP);
    EXPECT_EQ(belief_at(&b, 50, 151), EVIDENCE_UNKNOWN);
    EXPECT_EQ(belief_at(&b, 0, 1u << 30), EVIDENCE_UP) << "0: no limit";
    belief_forgive(&b, 10);
    EXPECT_EQ(belief_at(&b, 50, 160), EVIDENCE_UP);
    EXPECT_EQ(belief_at(&b, 50, 90), EVIDENCE_UP) << "a clock before the result is no age";
}

TEST(Belief, ResponseTimesAreAMovingAverageOfGoodResults)
{
    belief b{};
    evidence_event e = result(1, true, 800);
    belief_take(&b, 1, 1, &e);
    EXPECT_EQ(b.response_ns, 800u);
    e = result(2, true, 1600);
    belief_take(&b, 1, 1, &e);
    EXPECT_EQ(b.response_ns, 900u);
    e = result(3, false, 99999);
    belief_take(&b, 1, 1, &e);
    EXPECT_EQ(b.response_ns, 900u);
}

} // namespace
