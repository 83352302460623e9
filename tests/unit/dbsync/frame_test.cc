// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "dbsync/frame.h"

namespace
{

struct value text(const char *s)
{
    return value_bytes(VALUE_TEXT, s, strlen(s));
}

std::string encode(const struct frame &f, const struct schema *schema = nullptr)
{
    struct buffer out = {};
    frame_encode(&out, &f, schema);
    std::string s((const char *)out.data, out.len);
    buffer_fini(&out);
    return s;
}

long decode(struct frame *f, const std::string &s)
{
    return frame_decode(f, (const uint8_t *)s.data(), s.size());
}

std::vector<struct frame> one_of_each()
{
    static const uint8_t data[] = {1, 2, 3};
    static const uint8_t key_bytes[] = {9, 8};
    std::vector<struct frame> all;
    struct frame f = {};
    f.type = FRAME_HELLO;
    f.hello.protocol = FRAME_PROTOCOL;
    f.hello.site = 7;
    f.hello.applied = 12;
    f.hello.spool_number = 13;
    f.hello.spool_offset = 14;
    all.push_back(f);
    f = {};
    f.type = FRAME_BATCH;
    f.batch = {5, 3, 10, 1000, 64};
    all.push_back(f);
    f = {};
    f.type = FRAME_DATA;
    f.data.offset = 64;
    f.data.plain_len = 100;
    f.data.bytes = data;
    f.data.len = 3;
    all.push_back(f);
    f = {};
    f.type = FRAME_END;
    f.end.number = 5;
    all.push_back(f);
    f = {};
    f.type = FRAME_ACK;
    f.ack = {5, 1 << 20};
    all.push_back(f);
    f = {};
    f.type = FRAME_HOLD;
    f.hold = {5, 3, 1000000};
    all.push_back(f);
    f = {};
    f.type = FRAME_PING;
    f.ping = {-1, 0, 3};
    all.push_back(f);
    f.type = FRAME_PONG;
    all.push_back(f);
    f = {};
    f.type = FRAME_REQUEST;
    f.request.kind = FRAME_REQUEST_ROWS;
    f.request.table = text("t");
    f.request.key_count = 1;
    f.request.key[0] = {key_bytes, 2};
    all.push_back(f);
    f = {};
    f.type = FRAME_SCHEMA;
    f.schema = {text("t"), text("t(id integer)")};
    all.push_back(f);
    f = {};
    f.type = FRAME_ERROR;
    f.error.code = 5;
    f.error.is_fatal = true;
    f.error.table = text("t");
    f.error.text = text("why");
    all.push_back(f);
    f = {};
    f.type = FRAME_VERIFIED;
    f.verified = {12, 3, 1};
    all.push_back(f);
    return all;
}

TEST(Frame, every_type_comes_back_as_it_was_and_equal_frames_have_equal_octets)
{
    for (const struct frame &f : one_of_each()) {
        std::string bytes = encode(f);
        struct frame back = {};
        ASSERT_EQ(decode(&back, bytes), (long)bytes.size()) << frame_type_name(f.type);
        EXPECT_EQ(back.type, f.type);
        EXPECT_EQ(encode(back), bytes) << frame_type_name(f.type);
        EXPECT_EQ(decode(&back, bytes + "more"), (long)bytes.size());
    }
}

TEST(Frame, a_part_of_a_frame_is_waited_for_and_never_read_beyond)
{
    for (const struct frame &f : one_of_each()) {
        std::string bytes = encode(f);
        for (size_t n = 0; n < bytes.size(); n++) {
            std::vector<char> exact(bytes.begin(), bytes.begin() + (long)n); // sanitizers see a read past its end
            struct frame back = {};
            EXPECT_EQ(frame_decode(&back, (const uint8_t *)exact.data(), n), 0) << frame_type_name(f.type) << " " << n;
        }
    }
}

TEST(Frame, what_is_malformed_is_refused)
{
    struct frame back = {};
    auto head = [](uint32_t len, uint8_t type) {
        std::string s(5, 0);
        memcpy(&s[0], &len, 4);
        s[4] = (char)type;
        return s;
    };
    EXPECT_EQ(decode(&back, head(FRAME_BODY_MAX + 1, FRAME_DATA)), -EBADMSG) << "before its octets are there";
    EXPECT_EQ(decode(&back, head(0, 0)), -EBADMSG);
    EXPECT_EQ(decode(&back, head(0, FRAME_TYPE_END)), -EBADMSG);
    EXPECT_EQ(decode(&back, head(0, FRAME_ACK)), -EBADMSG) << "too short";
    EXPECT_EQ(decode(&back, head(17, FRAME_ACK) + std::string(17, 0)), -EBADMSG) << "too long";
    for (const struct frame &f : one_of_each()) { // octets behind the last field
        std::string bytes = encode(f) + "x";
        uint32_t len = (uint32_t)bytes.size() - FRAME_HEAD_LEN;
        memcpy(&bytes[0], &len, 4);
        EXPECT_EQ(decode(&back, bytes), -EBADMSG) << frame_type_name(f.type);
    }
    struct frame f = {};
    f.type = FRAME_BATCH;
    f.batch = {5, 5, 0, 0, 0};
    EXPECT_EQ(decode(&back, encode(f)), -EBADMSG) << "its own predecessor";
    f.batch = {5, 4, 0, 10, 11};
    EXPECT_EQ(decode(&back, encode(f)), -EBADMSG) << "starts behind its end";
    f = {};
    f.type = FRAME_DATA;
    f.data.plain_len = FRAME_DATA_MAX + 1;
    EXPECT_EQ(decode(&back, encode(f)), -EBADMSG) << "would decompress to too much";
}

TEST(Frame, flipped_bits_are_refused_or_read_as_another_frame_but_never_past_the_end)
{
    std::mt19937 random(7);
    for (const struct frame &f : one_of_each()) {
        std::string bytes = encode(f);
        for (unsigned i = 0; i < 3000; i++) {
            std::string bad = bytes;
            for (unsigned k = 0; k <= random() % 3; k++) {
                char &octet = bad[random() % bad.size()];
                octet = (char)(octet ^ 1 << random() % 8);
            }
            std::vector<char> exact(bad.begin(), bad.end());
            struct frame back = {};
            long took = frame_decode(&back, (const uint8_t *)exact.data(), exact.size());
            EXPECT_TRUE(took == 0 || took == -EBADMSG || (size_t)took <= exact.size());
        }
    }
}

TEST(Frame, hello_carries_the_tables_that_fit)
{
    struct schema schema = {};
    std::vector<struct table> tables(4096);
    std::vector<std::string> names;
    for (unsigned i = 0; i < 4096; i++)
        names.push_back(std::string(400, 'x') + std::to_string(i));
    for (unsigned i = 0; i < 4096; i++) {
        tables[i].name = (char *)names[i].c_str();
        tables[i].fingerprint[0] = (uint8_t)i;
    }
    schema.table = tables.data();
    for (unsigned count : {0u, 3u, 4096u}) {
        schema.table_count = count;
        std::string bytes = encode(one_of_each()[0], &schema);
        struct frame back = {};
        ASSERT_EQ(decode(&back, bytes), (long)bytes.size());
        struct frame_table t;
        unsigned seen = 0;
        while (frame_next_table(&back.hello, &t) == 1) {
            EXPECT_EQ(std::string((const char *)t.name.bytes, t.name.len), names[seen]);
            EXPECT_EQ(t.fingerprint[0], (uint8_t)seen++);
        }
        EXPECT_EQ(seen, back.hello.table_count);
        EXPECT_TRUE(count > 3 ? seen > 2000 : seen == count);
    }
}

} // namespace
