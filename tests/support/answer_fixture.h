// SPDX-License-Identifier: Apache-2.0
// For tests: a node that answers from memory: images, context, counters, ask().
#pragma once

#include "tests/support/dns_text.h"

extern "C" {
#include "dataplane/answer.h"
}

struct AnswerFixture : ::testing::Test {
    dns_text::ZoneSource zones;
    dns_text::OrderSource orders;
    dns_text::Image zone_image, order_image;
    counters_block *counters = static_cast<counters_block *>(aligned_alloc(128, sizeof(counters_block)));
    answer_context context{};
    answer_client client{};
    zone_settings settings{};

    AnswerFixture()
    {
        memset(counters, 0, sizeof *counters);
        context.counters = counters;
        context.now_s = 1700000000;
        context.now_ns = 1000000000;
        settings.udp_max = 1232;
        settings.any_ttl = 3789;
        const uint8_t address[4] = {198, 51, 100, 7};
        memcpy(client.address, address, 4);
    }
    ~AnswerFixture() override
    {
        free(counters);
    }

    void publish()
    {
        zone_builder_set_settings(zones.builder, &settings);
        char why[IMAGE_TEXT_CAP] = "";
        zone_image = zones.build();
        order_image = orders.build();
        ASSERT_EQ(zone_image_check(zone_image.get(), zone_image.len, why), 0) << why;
        ASSERT_EQ(order_image_check(order_image.get(), order_image.len, why), 0) << why;
        context.zone_image = zone_image.get();
        context.order_image = order_image.get();
    }

    // The raw response to a raw message; empty when silent. The buffer behind the response is checked to be untouched.
    dns_text::Bytes ask_raw(const dns_text::Bytes &message, unsigned cap = 70000)
    {
        dns_text::Bytes buffer(cap + 64, 0xa5);
        std::copy(message.begin(), message.end(), buffer.begin());
        unsigned len = answer_message(&context, &client, buffer.data(), static_cast<unsigned>(message.size()), cap);
        for (size_t i = cap; i < buffer.size(); i++)
            EXPECT_EQ(buffer[i], 0xa5) << "wrote past cap";
        buffer.resize(len);
        return buffer;
    }

    dns_text::ReplyText ask(const dns_text::QueryText &q)
    {
        dns_text::Bytes reply = ask_raw(dns_text::query(q));
        EXPECT_GE(reply.size(), 12u) << "no response";
        dns_text::ReplyText text = reply.size() >= 12 ? dns_text::parse(reply) : dns_text::ReplyText();
        EXPECT_TRUE(text.parsed) << "malformed response to " << q.qname;
        EXPECT_EQ(text.id, 0x1234u);
        EXPECT_EQ(text.has_opt, q.edns);
        return text;
    }

    dns_text::ReplyText ask(const std::string &qname, const std::string &qtype)
    {
        dns_text::QueryText q;
        q.qname = qname;
        q.qtype = qtype;
        return ask(q);
    }

    uint64_t count(enum counter c) const
    {
        return counters->value[c];
    }
};
