// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include <random>

#include "tests/support/dns_text.h"

using dns_text::Image;
using dns_text::ZoneSource;
using ::testing::HasSubstr;

namespace
{

const std::string soa = "@ 3600 SOA a b 1 2 3 4 300\n@ 3600 NS ns.example.net.\n";

struct Row {
    const char *records, *issue, *why;
};

TEST(ZoneBuilder, refuses_what_every_server_refuses)
{
    const Row rows[] = {
        {"", "error example.com.: the zone has no SOA", "a zone without SOA"},
        {"@ 60 SOA a b 1 1 1 1 1\n@ 60 SOA a b 2 1 1 1 1\n", "error example.com.: more than one SOA",
         "two SOA records"},
        {"@ 60 SOA a b 1 1 1 1 1\nwww 60 SOA a b 1 1 1 1 1\n", "error www.example.com.: SOA record below the apex",
         "a SOA inside"},
        {"@ 60 SOA a b 1 1 1 1 1\nwww 60 CNAME a\nwww 60 A 192.0.2.1\n",
         "error www.example.com.: a CNAME stands beside other data", "RFC 1034 section 3.6.2"},
        {"@ 60 SOA a b 1 1 1 1 1\nwww 60 CNAME a\nwww 60 CNAME b\n", "error www.example.com.: more than one CNAME",
         "two aliases"},
        {"@ 60 SOA a b 1 1 1 1 1\nd 60 DNAME a\nd 60 DNAME b\n", "error d.example.com.: more than one DNAME",
         "RFC 6672 section 2.4"},
        {"@ 60 SOA a b 1 1 1 1 1\nd 60 DNAME a\nx.d 60 A 192.0.2.1\n", "error x.d.example.com.: data below a DNAME",
         "RFC 6672 section 2.4"},
        {"@ 60 SOA a b 1 1 1 1 1\nwww.example.org. 60 A 192.0.2.1\n",
         "error www.example.org.: the owner lies outside the zone", "foreign owner"},
    };
    for (const Row &row : rows) {
        ZoneSource source;
        source.zone("example.com.", row.records);
        zone_builder_check(source.builder);
        EXPECT_GT(zone_builder_zone_errors(source.builder, 0), 0u) << row.why;
        EXPECT_THAT(source.issues, ::testing::Contains(HasSubstr(row.issue))) << row.why;
        void *image = nullptr;
        size_t len = 0;
        EXPECT_EQ(zone_builder_finish(source.builder, 1, 1, 1, &image, &len), -EINVAL) << row.why;
    }
}

TEST(ZoneBuilder, warns_of_what_works_but_is_wrong)
{
    const Row rows[] = {
        {"www 60 A 192.0.2.1\nwww 60 A 192.0.2.1\n", "warning www.example.com.: duplicate record", "equal records"},
        {"www 60 A 192.0.2.1\nwww 90 A 192.0.2.2\n", "warning www.example.com.: records of type 1 have differing TTLs",
         "RFC 2181 section 5.2"},
        {"c 60 NS ns.c\n", "missing glue", "a delegation to a name below itself without address"},
        {"al 60 CNAME www\n@ 60 MX 1 al\n", "MX points to a CNAME", "RFC 2181 section 10.3"},
        {"al 60 CNAME www\nc 60 NS al\n", "NS points to a CNAME", "RFC 2181 section 10.3"},
    };
    for (const Row &row : rows) {
        ZoneSource source;
        source.zone("example.com.", soa + row.records);
        EXPECT_EQ(zone_builder_check(source.builder), 0u) << row.why;
        EXPECT_THAT(source.issues, ::testing::Contains(HasSubstr(row.issue))) << row.why;
    }
}

TEST(ZoneBuilder, a_bad_zone_can_be_dropped_and_the_others_stay)
{
    ZoneSource source;
    source.zone("good.example.", soa + "www 60 A 192.0.2.1\n");
    int bad = source.zone("bad.example.", "www 60 A 192.0.2.1\n");
    EXPECT_EQ(zone_builder_check(source.builder), 1u);
    zone_builder_drop_zone(source.builder, static_cast<unsigned>(bad));
    EXPECT_EQ(zone_builder_check(source.builder), 0u);
    Image image = source.build();
    char why[IMAGE_TEXT_CAP] = "";
    EXPECT_EQ(zone_image_check(image.get(), image.len, why), 0) << why;
    zone_key key;
    auto wire = dns_text::name("www.good.example.");
    zone_key_init(&key, wire.data(), static_cast<unsigned>(wire.size()));
    EXPECT_NE(zone_image_find(image.get(), &key), nullptr);
    wire = dns_text::name("www.bad.example.");
    zone_key_init(&key, wire.data(), static_cast<unsigned>(wire.size()));
    EXPECT_EQ(zone_image_find(image.get(), &key), nullptr);
}

TEST(ZoneBuilder, services_must_lie_in_a_zone_and_alone_with_their_addresses)
{
    ZoneSource source;
    source.zone("example.com.", soa + "www 60 A 192.0.2.1\nc 60 NS ns.example.net.\n");
    auto add = [&](const char *owner, unsigned service) {
        return zone_builder_add_service(source.builder, dns_text::name(owner).data(), service);
    };
    EXPECT_EQ(add("www.example.org.", 0), -ENOENT);
    EXPECT_EQ(add("*.apps.example.com.", 0), 0);
    EXPECT_EQ(add("*.apps.example.com.", 1), -EEXIST);
    EXPECT_EQ(zone_builder_check(source.builder), 0u);
    EXPECT_EQ(add("www.example.com.", 1), 0);
    EXPECT_EQ(add("x.c.example.com.", 2), 0);
    EXPECT_EQ(zone_builder_check(source.builder), 2u);
    EXPECT_THAT(source.issues, ::testing::Contains(HasSubstr("static addresses stand at the name of a service")));
    EXPECT_THAT(source.issues, ::testing::Contains(HasSubstr("at or below a delegation")));
}

TEST(ZoneBuilder, records_of_a_set_keep_the_order_in_which_they_were_given)
{
    ZoneSource source;
    source.zone("example.com.", soa + "www 60 A 192.0.2.3\nwww 60 TXT x\nwww 60 A 192.0.2.1\nwww 60 A 192.0.2.2\n");
    Image image = source.build();
    zone_key key;
    auto wire = dns_text::name("www.example.com.");
    zone_key_init(&key, wire.data(), static_cast<unsigned>(wire.size()));
    const rrset *set = zone_node_rrset(image.get(), zone_image_find(image.get(), &key), 1);
    ASSERT_NE(set, nullptr);
    ASSERT_EQ(set->record_count, 3);
    EXPECT_EQ(rrset_wire(set)[15], 3);
    EXPECT_EQ(rrset_wire(set)[31], 1);
    EXPECT_EQ(rrset_wire(set)[47], 2);
}

TEST(ZoneBuilder, a_set_that_no_message_can_carry_is_an_error_of_its_zone_alone)
{
    ZoneSource source;
    source.zone("good.example.", soa);
    std::string many = soa;
    for (int i = 0; i < 4100; i++)
        many += "www 60 A 10.0." + std::to_string(i / 256) + "." + std::to_string(i % 256) + "\n";
    const int bad = source.zone("bad.example.", many);
    EXPECT_EQ(zone_builder_check(source.builder), 1u);
    EXPECT_THAT(source.issues, ::testing::Contains("error www.bad.example.: the records of type 1 take 69700 octets; a "
                                                   "message has room for 65023"));
    zone_builder_drop_zone(source.builder, static_cast<unsigned>(bad));
    source.build();
}

TEST(ZoneBuilder, many_zones_cost_no_more_each_than_few)
{
    enum { ZONES = 20000 };
    ZoneSource source;
    for (int i = 0; i < ZONES; i++) {
        source.zone("z" + std::to_string(i) + ".example.", "@ 60 SOA a b 1 1 1 1 1\n");
        ASSERT_EQ(zone_builder_add_service(source.builder,
                                           dns_text::name("www.z" + std::to_string(i) + ".example.").data(),
                                           static_cast<unsigned>(i)),
                  0);
    }
    EXPECT_EQ(zone_builder_add_zone(source.builder, dns_text::name("Z777.example.").data()), -EEXIST);
    zone_builder_drop_zone(source.builder, 777);
    EXPECT_EQ(zone_builder_add_service(source.builder, dns_text::name("x.z777.example.").data(), 1), -ENOENT);
    EXPECT_EQ(zone_builder_add_zone(source.builder, dns_text::name("Z777.example.").data()), ZONES) << "free again";
    zone_builder_drop_zone(source.builder, ZONES);
    Image image = source.build();
    for (int i = 0; i < ZONES; i++) {
        zone_key key;
        unsigned at;
        const auto wire = dns_text::name("a.b.z" + std::to_string(i) + ".example.");
        zone_key_init(&key, wire.data(), static_cast<unsigned>(wire.size()));
        const zone_node *node = zone_image_find_closest(image.get(), &key, &at);
        ASSERT_EQ(node == nullptr, i == 777) << i;
        if (node) {
            ASSERT_EQ(at, 4u);
        }
    }
}

TEST(ZoneImage, one_of_thousands_of_types_at_a_name_is_found)
{
    ZoneSource source;
    std::string zone = soa;
    for (int type = 1000; type < 6000; type += 2)
        zone += "www 60 TYPE" + std::to_string(type) + " 0102\n";
    source.zone("example.com.", zone);
    Image image = source.build();
    zone_key key;
    const auto wire = dns_text::name("www.example.com.");
    zone_key_init(&key, wire.data(), static_cast<unsigned>(wire.size()));
    const zone_node *node = zone_image_find(image.get(), &key);
    for (unsigned type = 0; type <= 65535; type++) {
        const rrset *set = zone_node_rrset(image.get(), node, static_cast<uint16_t>(type));
        ASSERT_EQ(set != nullptr, type >= 1000 && type < 6000 && type % 2 == 0) << type;
        ASSERT_TRUE(!set || set->type == type);
    }
}

TEST(ZoneBuilder, a_hundred_thousand_names_are_all_found)
{
    ZoneSource source;
    int zone = source.zone("example.com.", soa);
    const uint8_t address[4] = {192, 0, 2, 1};
    for (int i = 0; i < 100000; i++)
        ASSERT_EQ(zone_builder_add_record(source.builder, static_cast<unsigned>(zone),
                                          dns_text::name("h" + std::to_string(i * 7919), "example.com.").data(), 1, 60,
                                          address, 4, 0),
                  0);
    Image image = source.build();
    char why[IMAGE_TEXT_CAP] = "";
    ASSERT_EQ(zone_image_check(image.get(), image.len, why), 0) << why;
    EXPECT_LT(image.len / 100000, 250u) << "bytes per name";
    for (int i = 0; i < 100000; i++) {
        zone_key key;
        auto wire = dns_text::name("H" + std::to_string(i * 7919), "EXAMPLE.com.");
        zone_key_init(&key, wire.data(), static_cast<unsigned>(wire.size()));
        ASSERT_NE(zone_image_find(image.get(), &key), nullptr) << i;
    }
    EXPECT_LT(zone_image_index(image.get())->probe_limit, 64u);
}

// One hash slot then says where both stand, and they share a page.
TEST(ZoneImage, addresses_stand_in_lines_behind_their_node_or_the_image_is_refused)
{
    ZoneSource source;
    std::string zone = soa + "www 60 A 192.0.2.1\nwww 60 A 192.0.2.2\nwww 60 AAAA 2001:db8::1\nwww 60 TXT x\n";
    for (int i = 0; i < 200; i++)
        zone += "many 60 AAAA 2001:db8::" + std::to_string(i) + "\n";
    source.zone("example.com.", zone);
    Image image = source.build();
    const auto find = [](const void *from, const char *qname) {
        zone_key key;
        const auto wire = dns_text::name(qname);
        zone_key_init(&key, wire.data(), static_cast<unsigned>(wire.size()));
        return zone_image_find(from, &key);
    };
    const auto *www = reinterpret_cast<const uint8_t *>(find(image.get(), "www.example.com."));
    const auto set_at = [&](uint16_t type) {
        const auto *node = reinterpret_cast<const zone_node *>(www);
        return reinterpret_cast<const uint8_t *>(zone_node_rrset(image.get(), node, type)) - www;
    };
    EXPECT_EQ(reinterpret_cast<uintptr_t>(www) % 64, reinterpret_cast<uintptr_t>(image.get()) % 64);
    EXPECT_EQ(set_at(1), 128) << "24 octets, three references, the name: two lines";
    EXPECT_EQ(set_at(28), 192);
    EXPECT_GT(set_at(16), 192 + 64) << "elsewhere";
    const zone_node *many = find(image.get(), "many.example.com.");
    EXPECT_EQ(zone_node_refs(many)->lines, (32 + 200 * 28 + 63) / 64);

    const struct {
        unsigned ref;
        int lines, rrset_at;
        const char *why;
    } rows[] = {
        {0, 1, 0, "damaged"}, // the next node would start in the middle
        {0, -1, 0, "damaged"}, {0, 0, 8, "stand behind it"},       {2, 0, -8, "stand behind it"},
        {1, 1, 0, "damaged"},  {0, 60000, 0, "outside the nodes"},
    };
    const auto *header = static_cast<const image_header *>(image.get());
    for (const auto &row : rows) {
        std::unique_ptr<uint64_t[]> copy(new uint64_t[image.len / 8]);
        memcpy(copy.get(), header, image.len);
        auto *ref = const_cast<rrset_ref *>(zone_node_refs(find(copy.get(), "www.example.com."))) + row.ref;
        ref->lines = static_cast<uint16_t>(ref->lines + row.lines);
        ref->rrset_at = static_cast<uint32_t>(static_cast<int>(ref->rrset_at) + row.rrset_at);
        reinterpret_cast<image_header *>(copy.get())->checksum = image_checksum(copy.get(), image.len);
        char why[IMAGE_TEXT_CAP] = "";
        EXPECT_EQ(zone_image_check(copy.get(), image.len, why), -EBADMSG) << row.why;
        EXPECT_THAT(why, HasSubstr(row.why));
    }
}

TEST(ZoneImage, any_damaged_image_is_refused_by_its_checksum)
{
    ZoneSource source;
    source.zone("example.com.", soa + "www 60 A 192.0.2.1\n");
    Image image = source.build();
    auto *bytes = static_cast<uint8_t *>(image.data.get());
    char why[IMAGE_TEXT_CAP] = "";
    for (size_t at = 0; at < image.len; at++) {
        bytes[at] ^= 1;
        EXPECT_EQ(zone_image_check(bytes, image.len, why), -EBADMSG) << at;
        bytes[at] ^= 1;
    }
    for (size_t len = 0; len < image.len; len++)
        EXPECT_EQ(zone_image_check(bytes, len, why), -EBADMSG) << len;
}

// With a right checksum the structure alone decides: whatever is accepted must be safe to read everywhere.
TEST(ZoneImage, a_hostile_image_with_a_right_checksum_is_refused_or_harmless)
{
    ZoneSource source;
    source.zone(
        "example.com.",
        soa + "www 60 A 192.0.2.1\n@ 60 MX 1 www\nal 60 CNAME www\nc 60 NS ns.c\nns.c 60 A 192.0.2.2\n*.w 60 TXT x\n");
    Image image = source.build();
    std::mt19937_64 random(99);
    char why[IMAGE_TEXT_CAP];
    unsigned accepted = 0;
    for (int round = 0; round < 30000; round++) {
        std::unique_ptr<uint64_t[]> copy(
            new uint64_t[image.len / 8]); // exactly sized, so that sanitizers see a step outside
        memcpy(copy.get(), image.get(), image.len);
        auto *bytes = reinterpret_cast<uint8_t *>(copy.get());
        for (auto n = 1 + random() % 3; n; n--) {
            size_t at = sizeof(image_header) + random() % (image.len - sizeof(image_header));
            bytes[at] = static_cast<uint8_t>(random() % 3 == 0 ? random() : random() % 3 == 0 ? 0xff : bytes[at] + 1);
        }
        auto *header = reinterpret_cast<image_header *>(bytes);
        header->checksum = image_checksum(bytes, image.len);
        if (zone_image_check(bytes, image.len, why) != 0)
            continue;
        accepted++;
        for (const char *qname :
             {"www.example.com.", "x.w.example.com.", "a.c.example.com.", "al.example.com.", "no.example.com."}) {
            zone_key key;
            unsigned suffix_at;
            auto wire = dns_text::name(qname);
            zone_key_init(&key, wire.data(), static_cast<unsigned>(wire.size()));
            const zone_node *node = zone_image_find_closest(bytes, &key, &suffix_at);
            for (unsigned type = 0; node && type < 70; type++)
                zone_node_rrset(bytes, node, static_cast<uint16_t>(type));
        }
    }
    RecordProperty("accepted", static_cast<int>(accepted));
}

TEST(OrderImage, refuses_inputs_outside_its_limits_and_damaged_images)
{
    dns_text::OrderSource orders;
    orders.services.resize(1);
    orders.services[0].answers = {{{"192.0.2.1", "2001:db8::1"}}};
    Image image = orders.build();
    char why[IMAGE_TEXT_CAP] = "";
    ASSERT_EQ(order_image_check(image.get(), image.len, why), 0) << why;
    auto *bytes = static_cast<uint8_t *>(image.data.get());
    for (size_t at = 0; at < image.len; at++) {
        bytes[at] ^= 4;
        EXPECT_EQ(order_image_check(bytes, image.len, why), -EBADMSG) << at;
        bytes[at] ^= 4;
    }
    std::mt19937_64 random(5);
    for (int round = 0; round < 20000; round++) {
        std::unique_ptr<uint64_t[]> copy(new uint64_t[image.len / 8]);
        memcpy(copy.get(), image.get(), image.len);
        auto *b = reinterpret_cast<uint8_t *>(copy.get());
        b[sizeof(image_header) + random() % (image.len - sizeof(image_header))] = static_cast<uint8_t>(random());
        reinterpret_cast<image_header *>(b)->checksum = image_checksum(b, image.len);
        if (order_image_check(b, image.len, why) == 0)
            for (unsigned type : {1u, 28u, 33u})
                order_answer_rrset(b, order_image_find(b, 0, 5, 77), static_cast<uint16_t>(type));
    }
    order_service_input input{};
    void *out = nullptr;
    size_t len = 0;
    EXPECT_EQ(order_image_build(&input, 1, 1, 1, 1, 1, &out, &len), -EINVAL) << "no answer";
    input.bucket_count = 3;
    EXPECT_EQ(order_image_build(&input, 1, 1, 1, 1, 1, &out, &len), -EINVAL) << "not a power of two";
}

TEST(Name, text_and_wire_agree)
{
    struct {
        const char *text, *back;
        int len;
    } rows[] = {
        {"example.com", "example.com.", 13},
        {".", ".", 1},
        {"a\\.b.c.", "a\\.b.c.", 7},
        {"\\000\\255.x", "\\000\\255.x.", 6},
        {"", nullptr, -EINVAL},
        {"a..b", nullptr, -EINVAL},
        {".a", nullptr, -EINVAL},
        {"\\256", nullptr, -EINVAL},
        {"\\25", nullptr, -EINVAL},
        {"a\\", nullptr, -EINVAL},
    };
    uint8_t wire[NAME_MAX_LEN];
    char text[NAME_TEXT_CAP];
    for (const auto &row : rows) {
        EXPECT_EQ(name_from_text(wire, row.text), row.len) << row.text;
        if (row.back) {
            EXPECT_STREQ(name_to_text(text, wire), row.back);
        }
    }
    std::string label(63, 'a'), longest = label + "." + label + "." + label + "." + std::string(61, 'b');
    EXPECT_EQ(name_from_text(wire, longest.c_str()), 255);
    EXPECT_EQ(name_from_text(wire, (longest + ".").c_str()), 255);
    EXPECT_EQ(name_from_text(wire, (longest + "b").c_str()), -EINVAL);
    EXPECT_EQ(name_from_text(wire, (label + "a").c_str()), -EINVAL);
    EXPECT_EQ(name_from_text(wire, std::string(10000, 'a').c_str()), -EINVAL);
    std::string deep;
    for (int i = 0; i < 127; i++)
        deep += "a.";
    EXPECT_EQ(name_from_text(wire, deep.c_str()), 255);
    EXPECT_EQ(name_from_text(wire, (deep + "a").c_str()), -EINVAL);
}

} // namespace
