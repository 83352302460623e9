// SPDX-License-Identifier: Apache-2.0
// Zone files as an editor, a script or somebody with ill will leaves them: each is read as it is meant or refused with
// the place and a word that helps, in bounded time and memory.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/config_messages.h"

extern "C" {
#include "control/zone_load.h"
#include "table/zone_image.h"
}

namespace
{

using ::testing::HasSubstr;

const char apex[] = "@ 60 SOA a b 1 1 1 1 1\n@ 60 NS ns.example.net.\n";

struct Loaded {
    int rc, left_out; // zones that the check across records dropped
    std::string messages;
    unsigned errors;
};

// Loads, checks, and builds the image, which must pass the validator.
template <typename Load> Loaded loaded(Load read)
{
    config_errors errors{};
    zone_load *load = zone_load_new(&errors, &zone_load_limits_default);
    Loaded result{read(load), 0, "", 0};
    result.left_out = zone_load_check(load);
    void *image = nullptr;
    size_t len = 0;
    char why[IMAGE_TEXT_CAP] = "";
    const int rc = zone_builder_finish(zone_load_builder(load), 1, 1, 1, &image, &len);
    EXPECT_EQ(rc, 0);
    EXPECT_TRUE(rc != 0 || zone_image_check(image, len, why) == 0) << why;
    result.messages = config_messages(errors);
    result.errors = errors.error_count;
    free(image);
    zone_load_free(load);
    config_errors_fini(&errors);
    return result;
}

Loaded text(const std::string &zone)
{
    return loaded([&](zone_load *load) { return zone_load_text(load, "example.com", "db", zone.data(), zone.size()); });
}

struct Row {
    std::string zone;
    const char *message; // null: it is read without errors
    const char *why;
};

TEST(ZoneHostile, what_editors_and_other_servers_write_is_read_or_named)
{
    const std::string good = apex;
    const Row rows[] = {
        {"\xef\xbb\xbf" + good, nullptr, "a byte order mark in front of UTF-8, as some editors leave it"},
        {good + "\xef\xbb\xbf"
                "a 60 A 192.0.2.1\n",
         nullptr, "elsewhere its octets are a name like others"},
        {std::string("\xff\xfe@\0 \0", 6), "db:1: error: a zero octet: this is not a text file", "UTF-16"},
        {std::string("\xfe\xff\0@\0 ", 6), "db:1: error: a zero octet: this is not a text file",
         "UTF-16 the other way round"},
        {"@ 60 SOA a b 1 1 1 1 1\r\n@ 60 NS ns.example.net.\r\n", nullptr, "CRLF"},
        {"@ 60 SOA a b 1 1 1 1 1\r@ 60 NS ns.example.net.\r",
         "db:1: error: example.com.: ", "lines that end with CR alone"},
        {good + "a 60 TXT \"x\r\n", "db:3: error: example.com.: a quote", "CRLF inside an open quote"},
        {good + "$GENERATE 1-10 h$ A 192.0.2.$\n", "db:3: error: example.com.: $GENERATE",
         "of BIND, not of the standard"},
        {good + "a 60 CH A 192.0.2.1\n", "db:3: error: a.example.com.: ", "class CHAOS"},
        {good + "a 60 CLASS3 A 192.0.2.1\n", "db:3: error: a.example.com.: ", "class CHAOS by number"},
        {good + "a 60 CLASS1 A 192.0.2.1\n", nullptr, "class IN by number (RFC 3597 section 5)"},
        {good + "a 4294967295 A 192.0.2.1\n", "db:3: error: a.example.com.: ", "a TTL past 31 bits"},
        {good + "a 99999999999999999999 A 192.0.2.1\n", "db:3: error: a.example.com.: ", "past 64 bits"},
        {good + "a 60 A ( 192.0.2.1\n", "db:3: error: ", "a parenthesis that stays open"},
        {good + "a 60 A 192.0.2.1 )\n", "db:3: error: ", "one that closes nothing"},
        {good + "a 60 A ((192.0.2.1))\n", "db:3: error: ", "one inside the other"},
        {good + std::string(100000, '(') + "\n", "db:3: error: ", "a hundred thousand"},
        {good + std::string(100000, ')') + "\n", "db:3: error: ", "a hundred thousand that close"},
        {good + std::string("a\0b 60 A 192.0.2.1\n", 19), "db:3: error: ", "a zero octet in a name"},
        {good + std::string("a 60 TXT \"x\0y\"\n", 15), "db:3: error: ", "and in a string"},
        {good + std::string(1 << 20, 'a') + " 60 A 192.0.2.1\n", "db:3: error: ", "a name of a megabyte"},
        {good + "a 60 TXT " + std::string(1 << 20, 'a') + "\n",
         "db:3: error: a.example.com.: ", "a string of a megabyte"},
        {good + "a 60 TXT \"" + std::string(256, 'a') + "\"\n", "db:3: error: a.example.com.: ", "one of 256 octets"},
        {good + "a 60 TXT \"" + std::string(255, 'a') + "\"\n", nullptr, "one of 255"},
        {good + std::string(10 << 20, ' ') + "\n", nullptr, "ten megabytes of blanks"},
        {good + ";" + std::string(10 << 20, 'c'), nullptr, "a comment of ten megabytes without a line end"},
        {good + std::string(1 << 20, '\n') + "a 60 A x\n", "db:1048579: error: a.example.com.: ", "lines are counted"},
        {good + "a 60 TYPE65280 \\# 65535 " + std::string(131070, 'a') + "\n",
         "take 65548 octets; a message has room for 65023", "RDATA of 65,535 octets: a record, but for no message"},
        {good + "a 60 TYPE65280 \\# 65000 " + std::string(130000, 'a') + "\n", nullptr, "RDATA of 65,000 octets"},
        {good + "a 60 TYPE65280 \\# 65535 " + std::string(131068, 'a') + "\n",
         "db:3: error: a.example.com.: ", "one octet short"},
        {good + "a 60 TYPE65280 \\# 65535 " + std::string(131072, 'a') + "\n",
         "db:3: error: a.example.com.: ", "one too many"},
        {good + "a 60 TYPE65536 \\# 0\n", "db:3: error: a.example.com.: ", "a type past 16 bits"},
        {good + "a 60 TYPE41 \\# 0\n", "db:3: error: a.example.com.: ", "OPT is no data of a zone"},
        {good + "a 60 TYPE255 \\# 0\n", "db:3: error: a.example.com.: ", "nor is ANY"},
        {good + "$ORIGIN " + std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." +
             std::string(50, 'd') + ".example.com.\n@ 60 A 192.0.2.1\n",
         "db:3: error: ", "an origin past 255 octets"},
        {good + "$ORIGIN\n", "db:3: error: ", "no origin"},
        {good + "$TTL x\n", "db:3: error: ", "no time"},
        {good + "$INCLUDE /etc/passwd\n", "db:3: error: ", "an include where there are no files"},
        {"", "SOA", "nothing at all"},
    };
    for (const Row &row : rows) {
        const Loaded got = text(row.zone);
        const bool is_good = got.rc == 0 && got.left_out == 0 && got.errors == 0;
        EXPECT_EQ(is_good, row.message == nullptr) << row.why << "\n" << got.messages.substr(0, 500);
        EXPECT_THAT(got.messages.substr(0, 2000), HasSubstr(row.message ? row.message : "")) << row.why;
        EXPECT_LT(got.messages.size(), 200000u) << row.why << ": what is hostile does not fill the log";
    }
}

TEST(ZoneHostile, a_set_has_the_room_of_one_answer_and_a_name_that_of_all_types)
{
    std::string many = apex;
    for (int i = 0; i < 1000000; i++)
        many += "a 60 A " + std::to_string(10 + i / 16777216) + "." + std::to_string(i / 65536 % 256) + "." +
                std::to_string(i / 256 % 256) + "." + std::to_string(i % 256) + "\n";
    Loaded got = text(many);
    EXPECT_TRUE(got.rc < 0 || got.left_out == 1) << "a million addresses do not fit into a message";
    EXPECT_THAT(got.messages.substr(0, 1000), HasSubstr("a.example.com."));
    many = apex;
    for (int type = 256; type < 65536; type++)
        if (type < 32768 || type > 32769)
            many += "a 60 TYPE" + std::to_string(type) + " \\# 1 00\n";
    got = text(many);
    EXPECT_LT(got.messages.size(), 200000u);
}

class ZoneHostileFile : public ::testing::Test
{
  protected:
    void SetUp() override
    {
        char name[] = "/tmp/signpost-hostile-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        dir = name;
        path = dir + "/zone";
    }
    void TearDown() override
    {
        unlink(path.c_str());
        EXPECT_EQ(rmdir(dir.c_str()), 0);
    }
    Loaded file()
    {
        return loaded([&](zone_load *load) { return zone_load_file(load, "example.com", path.c_str(), dir.c_str()); });
    }
    std::string dir, path;
};

TEST_F(ZoneHostileFile, a_device_is_no_zone_file)
{
    if (mknod(path.c_str(), S_IFCHR | 0600, makedev(1, 5)) != 0) // /dev/zero
        GTEST_SKIP() << "only root makes devices: " << strerror(errno);
    const Loaded got = file();
    EXPECT_EQ(got.rc, -EINVAL);
    EXPECT_THAT(got.messages, HasSubstr("not a regular file"));
}

// A writer empties and refills the file all the time: that is seen and told.
TEST_F(ZoneHostileFile, a_file_that_changes_while_it_is_read_is_refused)
{
    std::string whole = apex;
    for (int i = 0; i < 20000; i++)
        whole += "h" + std::to_string(i) + " 60 A 192.0.2.1\n";
    std::ofstream(path) << whole;
    std::atomic<bool> ends{false};
    std::thread writer([&] {
        while (!ends) {
            const int fd = open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
            for (size_t at = 0; at < whole.size() && fd >= 0; at += 4096)
                if (write(fd, whole.data() + at, std::min<size_t>(4096, whole.size() - at)) < 0)
                    break;
            close(fd);
        }
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    bool is_told = false;
    while (!is_told && std::chrono::steady_clock::now() < deadline) {
        const Loaded got = file();
        is_told = got.rc == -EINVAL && got.messages.find("changed while it was read") != std::string::npos;
    }
    ends = true;
    writer.join();
    EXPECT_TRUE(is_told);
    EXPECT_EQ(file().rc, 0);
}

} // namespace
