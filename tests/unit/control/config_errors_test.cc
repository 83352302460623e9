// SPDX-License-Identifier: Apache-2.0
#include "control/config_errors.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace
{

std::string printed(const config_errors &errors)
{
    char *text = nullptr;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    config_errors_print(&errors, out);
    fclose(out);
    std::string all(text, len);
    free(text);
    return all;
}

TEST(ConfigErrors, print_place_key_and_source_line)
{
    config_errors e{};
    config_errors_add(&e, CONFIG_ERROR, "a.conf", 3, "dns.ttl", "\t  ttl = 5; \x1b[31m\nnext", "is %d", 5);
    config_errors_add(&e, CONFIG_WARNING, "a.conf", 0, nullptr, nullptr, "as a whole");
    EXPECT_EQ(printed(e), "a.conf:3: error: dns.ttl: is 5\n    ttl = 5;  [31m\n" // no escape reaches the terminal
                          "a.conf: warning: as a whole\n");
    EXPECT_EQ(e.error_count, 1u);
    EXPECT_EQ(e.warning_count, 1u);
    config_errors_fini(&e);
    EXPECT_EQ(e.count, 0u);
}

TEST(ConfigErrors, sort_by_line_within_a_file_and_leave_earlier_ones)
{
    config_errors e{};
    config_errors_add(&e, CONFIG_ERROR, "a", 9, nullptr, nullptr, "earlier");
    config_errors_add(&e, CONFIG_ERROR, "a", 5, nullptr, nullptr, "first of 5");
    config_errors_add(&e, CONFIG_ERROR, "a", 2, nullptr, nullptr, "two");
    config_errors_add(&e, CONFIG_ERROR, "a", 5, nullptr, nullptr, "second of 5");
    config_errors_add(&e, CONFIG_ERROR, "b", 1, nullptr, nullptr, "other file");
    config_errors_sort(&e, 1);
    const char *const order[] = {"earlier", "two", "first of 5", "second of 5", "other file"};
    for (unsigned i = 0; i < 5; i++)
        EXPECT_STREQ(e.entry[i].text, order[i]) << i;
    config_errors_fini(&e);
}

TEST(ConfigErrors, beyond_the_limit_are_only_counted)
{
    config_errors e{};
    for (int i = 0; i < CONFIG_ERRORS_MAX + 7; i++)
        config_errors_add(&e, CONFIG_ERROR, "a", 1, "k", "s", "x");
    EXPECT_EQ(e.count, unsigned{CONFIG_ERRORS_MAX});
    EXPECT_EQ(e.error_count, CONFIG_ERRORS_MAX + 7u);
    EXPECT_NE(printed(e).find("... and 7 more\n"), std::string::npos);
    config_errors_fini(&e);
}

} // namespace
