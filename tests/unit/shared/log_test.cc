// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

extern "C" {
#include "shared/log.h"
}

namespace
{

TEST(LogLimit, LetsOneMessageASecondPassAndCountsTheOthers)
{
    log_limit limit{};
    uint64_t dropped = 99;
    EXPECT_TRUE(log_limit_pass(&limit, 5000000000, &dropped));
    EXPECT_EQ(dropped, 0u);
    EXPECT_FALSE(log_limit_pass(&limit, 5000000001, &dropped));
    EXPECT_FALSE(log_limit_pass(&limit, 5999999999, &dropped));
    EXPECT_TRUE(log_limit_pass(&limit, 6000000000, &dropped));
    EXPECT_EQ(dropped, 2u);
    EXPECT_TRUE(log_limit_pass(&limit, 9000000000, &dropped));
    EXPECT_EQ(dropped, 0u);
}

} // namespace
