// SPDX-License-Identifier: Apache-2.0
#include "control/metric_label.h"

#include <gtest/gtest.h>

#include <string>

TEST(MetricLabel, what_would_end_the_value_or_the_line_is_escaped)
{
    char out[METRIC_LABEL_CAP];
    const struct {
        const char *text, *label;
    } rows[] = {
        {"www.example.com", "www.example.com"},
        {"", ""},
        {R"(a\.b.example.com)", R"(a\\.b.example.com)"},
        {R"(a"b)", R"(a\"b)"},
        {"a\nb", R"(a\nb)"},
        {R"(\)", R"(\\)"},
    };
    for (const auto &row : rows)
        EXPECT_STREQ(metric_label(row.text, out), row.label);
}

TEST(MetricLabel, a_text_of_any_length_keeps_to_its_room_and_never_ends_in_half_an_escape)
{
    char out[METRIC_LABEL_CAP];
    for (size_t len = METRIC_LABEL_CAP / 2 - 3; len < METRIC_LABEL_CAP + 3; len++) {
        const std::string label = metric_label(std::string(len, '\\').c_str(), out);
        EXPECT_LT(label.size(), size_t(METRIC_LABEL_CAP));
        EXPECT_EQ(label.size() % 2, 0u);
    }
}
