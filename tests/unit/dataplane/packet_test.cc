// SPDX-License-Identifier: Apache-2.0
#include "tests/support/answer_fixture.h"

extern "C" {
#include "dataplane/checksum.h"
#include "dataplane/packet.h"
#include "dataplane/stranded_answer.h"
}

using dns_text::Bytes;

namespace
{

const uint8_t our_mac[6] = {2, 0, 0, 0, 0, 1}, their_mac[6] = {2, 0, 0, 0, 0, 2};

Bytes address(const std::string &text)
{
    bool is_ipv6 = text.find(':') != std::string::npos;
    Bytes out(is_ipv6 ? 16 : 4);
    EXPECT_EQ(inet_pton(is_ipv6 ? AF_INET6 : AF_INET, text.c_str(), out.data()), 1) << text;
    return out;
}

struct Frame {
    std::string source = "198.51.100.1", destination = "192.0.2.53";
    Bytes payload = dns_text::query({});
    unsigned source_port = 4000, destination_port = 53;
    Bytes tags = {}; // 802.1Q tags between the addresses and the EtherType
    uint8_t protocol = 17;
    uint16_t fragment = 0;
    unsigned padding = 0; // octets behind the packet, as short Ethernet frames have
    bool zero_checksum = false;
    bool bad_checksum = false;

    Bytes bytes() const
    {
        bool is_ipv6 = source.find(':') != std::string::npos;
        Bytes from = address(source), to = address(destination), udp, frame, ip;
        if (protocol == 17) {
            dns_text::put16(udp, source_port);
            dns_text::put16(udp, destination_port);
            dns_text::put16(udp, static_cast<unsigned>(payload.size() + 8));
            dns_text::put16(udp, 0);
        }
        dns_text::append(udp, payload);
        Bytes addresses = from;
        dns_text::append(addresses, to);
        unsigned len = static_cast<unsigned>(udp.size());
        size_t at = protocol == 17 ? 6 : 2;
        if (!zero_checksum && protocol != 1 && udp.size() >= at + 2) {
            uint16_t sum = static_cast<uint16_t>(~checksum_fold(
                checksum_add(checksum_pseudo(addresses.data(), is_ipv6, len, protocol), udp.data(), len)));
            sum = static_cast<uint16_t>(bad_checksum ? sum ^ 0x0100 : sum);
            memcpy(&udp[at], &sum, 2);
        }
        frame.insert(frame.end(), our_mac, our_mac + 6);
        frame.insert(frame.end(), their_mac, their_mac + 6);
        dns_text::append(frame, tags);
        dns_text::put16(frame, is_ipv6 ? 0x86dd : 0x0800);
        if (is_ipv6) {
            dns_text::put32(ip, 0x60012345);
            dns_text::put16(ip, len);
            ip.push_back(protocol);
            ip.push_back(255);
            dns_text::append(ip, addresses);
        } else {
            ip = {0x45, 0};
            dns_text::put16(ip, 20 + len);
            dns_text::put16(ip, 7);
            dns_text::put16(ip, fragment);
            ip.push_back(64);
            ip.push_back(protocol);
            dns_text::put16(ip, 0);
            dns_text::append(ip, addresses);
            uint16_t sum = static_cast<uint16_t>(~checksum_fold(checksum_add(0, ip.data(), 20)));
            memcpy(&ip[10], &sum, 2);
        }
        dns_text::append(frame, ip);
        dns_text::append(frame, udp);
        frame.resize(frame.size() + padding);
        return frame;
    }
};

class Packet : public AnswerFixture
{
  public:
    packet_port port{};
    Bytes reply;

    Packet()
    {
        memcpy(port.mac, our_mac, 6);
        settings.address_count = 2;
        memcpy(settings.address[0].address, address("192.0.2.53").data(), 4);
        memcpy(settings.address[1].address, address("2001:db8::53").data(), 16);
        settings.address[1].is_ipv6 = 1;
        zones.zone("example.com.", "@ 60 SOA a b 1 1 1 1 1\nwww 60 A 192.0.2.10\n");
        zones.zone(".", "@ 60 SOA a. b. 1 1 1 1 1\n");
        publish();
    }

    packet_verdict handle(const Bytes &frame, packet_checksum checksum = PACKET_CHECKSUM_UNKNOWN)
    {
        Bytes buffer = frame;
        buffer.resize(2048);
        unsigned len = 0;
        packet_verdict verdict =
            packet_handle(&context, &port, buffer.data(), static_cast<unsigned>(frame.size()), 2048, checksum, &len);
        buffer.resize(len);
        reply = buffer;
        return verdict;
    }

    // The DNS message of the reply, after everything around it was found right.
    Bytes message(const Frame &query)
    {
        EXPECT_EQ(handle(query.bytes()), PACKET_SEND);
        bool is_ipv6 = query.source.find(':') != std::string::npos;
        size_t ip = 14 + query.tags.size(), header = is_ipv6 ? 40 : 20;
        if (reply.size() < ip + header + 8)
            return {};
        EXPECT_EQ(memcmp(&reply[0], their_mac, 6), 0);
        EXPECT_EQ(memcmp(&reply[6], our_mac, 6), 0);
        EXPECT_EQ(Bytes(reply.begin() + 12, reply.begin() + 12 + static_cast<long>(query.tags.size())), query.tags);
        unsigned len = static_cast<unsigned>(reply.size() - ip - header);
        size_t addresses = is_ipv6 ? ip + 8 : ip + 12;
        Bytes swapped = address(query.destination);
        dns_text::append(swapped, address(query.source));
        EXPECT_EQ(memcmp(&reply[addresses], swapped.data(), swapped.size()), 0);
        EXPECT_EQ(
            checksum_fold(checksum_add(checksum_pseudo(&reply[addresses], is_ipv6, len, 17), &reply[ip + header], len)),
            0xffff);
        if (!is_ipv6) {
            EXPECT_EQ(checksum_fold(checksum_add(0, &reply[ip], 20)), 0xffff);
            EXPECT_EQ(reply[ip + 2] << 8 | reply[ip + 3], static_cast<int>(20 + len));
            EXPECT_EQ(reply[ip + 6], 0x40) << "do not fragment";
        } else {
            EXPECT_EQ(reply[ip + 4] << 8 | reply[ip + 5], static_cast<int>(len));
        }
        EXPECT_EQ(reply[ip + header] << 8 | reply[ip + header + 1], static_cast<int>(query.destination_port));
        EXPECT_EQ(reply[ip + header + 2] << 8 | reply[ip + header + 3], static_cast<int>(query.source_port));
        return Bytes(reply.begin() + static_cast<long>(ip + header + 8), reply.end());
    }
};

// A query over either family, without a tag, with one and with two.
std::vector<Frame> queries_of_both_families()
{
    std::vector<Frame> all;
    for (bool is_ipv6 : {false, true})
        for (const Bytes &tags : {Bytes{}, Bytes{0x81, 0, 0x20, 5}, Bytes{0x88, 0xa8, 0, 7, 0x81, 0, 0, 5}}) {
            Frame f;
            f.tags = tags;
            if (is_ipv6) {
                f.source = "2001:db8::1";
                f.destination = "2001:db8::53";
            }
            all.push_back(f);
        }
    return all;
}

TEST_F(Packet, queries_are_answered_over_both_families_with_and_without_tags)
{
    for (const Frame &f : queries_of_both_families()) {
        EXPECT_EQ(dns_text::parse(message(f)).summary(), "NOERROR aa | www.example.com. 60 A 192.0.2.10 | |");
    }
    EXPECT_EQ(count(COUNTER_queries_udp4), 3u);
    EXPECT_EQ(count(COUNTER_queries_udp6), 3u);
}

// What stands in the buffer of a worker that died: the reply's first `written` octets, or its last ones, over the
// query.
Bytes half_written(const Bytes &query, const Bytes &reply, size_t written, bool is_from_the_end)
{
    Bytes buffer = query;
    buffer.resize(2048);
    const size_t from = is_from_the_end ? reply.size() - written : 0;
    std::copy_n(reply.begin() + static_cast<long>(from), written, buffer.begin() + static_cast<long>(from));
    return buffer;
}

TEST_F(Packet, an_answer_that_nobody_sent_is_told_from_a_query_and_from_a_half_of_it)
{
    for (const Frame &f : queries_of_both_families()) {
        const Bytes query = f.bytes();
        ASSERT_EQ(handle(query), PACKET_SEND);
        const Bytes whole = half_written(query, reply, reply.size(), false);
        EXPECT_EQ(stranded_answer_len(whole.data(), our_mac), reply.size());
        EXPECT_EQ(stranded_answer_len(whole.data(), their_mac), 0u);
        EXPECT_EQ(stranded_answer_len(half_written(query, reply, 0, false).data(), our_mac), 0u);
        for (size_t written = 0; written < reply.size(); written++)
            for (bool is_from_the_end : {false, true}) {
                const Bytes half = half_written(query, reply, written, is_from_the_end);
                EXPECT_EQ(stranded_answer_len(half.data(), our_mac), half == whole ? reply.size() : 0u)
                    << written << is_from_the_end;
            }
    }
}

TEST_F(Packet, what_only_looks_like_an_unsent_answer_is_none)
{
    Frame f;
    const Bytes query = f.bytes();
    ASSERT_EQ(handle(query), PACKET_SEND);
    const Bytes whole = half_written(query, reply, reply.size(), false);
    for (size_t at = 12; at < reply.size(); at++) // from the type on every octet counts
        for (uint8_t bit = 1; bit; bit = static_cast<uint8_t>(bit << 1)) {
            Bytes damaged = whole;
            damaged[at] ^= bit;
            EXPECT_EQ(stranded_answer_len(damaged.data(), our_mac), 0u) << at;
        }
    Bytes from_us = query; // from our station, and yet a query
    std::copy_n(our_mac, 6, from_us.begin() + 6);
    from_us.resize(2048);
    EXPECT_EQ(stranded_answer_len(from_us.data(), our_mac), 0u);
    EXPECT_EQ(stranded_answer_len(Bytes(2048, 0xff).data(), our_mac), 0u);
    EXPECT_EQ(stranded_answer_len(Bytes(2048, 0).data(), our_mac), 0u);
}

TEST_F(Packet, padding_of_short_frames_is_cut)
{
    Frame f;
    dns_text::QueryText q{".", "NS"};
    f.payload = dns_text::query(q);
    f.padding = 60 - 59 + 10;
    EXPECT_TRUE(dns_text::parse(message(f)).parsed);
}

struct DropRow {
    const char *why;
    Frame frame;
    counter counted;
};

TEST_F(Packet, what_is_not_a_query_to_us_is_dropped_and_counted_by_reason)
{
    auto make = [](void (*change)(Frame &)) {
        Frame f;
        change(f);
        return f;
    };
    auto make_ipv6 = [](const char *source, uint8_t protocol) {
        Frame f;
        f.source = source;
        f.destination = "2001:db8::53";
        f.protocol = protocol;
        return f;
    };
    const DropRow rows[] = {
        {"wrong UDP checksum", make([](Frame &f) { f.bad_checksum = true; }), COUNTER_drop_udp_checksum},
        {"another address", make([](Frame &f) { f.destination = "192.0.2.54"; }), COUNTER_drop_not_ours},
        {"another port", make([](Frame &f) { f.destination_port = 5353; }), COUNTER_drop_not_ours},
        {"a fragment", make([](Frame &f) { f.fragment = 0x2000; }), COUNTER_drop_fragment},
        {"a later fragment", make([](Frame &f) { f.fragment = 0x0010; }), COUNTER_drop_fragment},
        {"source port 0", make([](Frame &f) { f.source_port = 0; }), COUNTER_drop_bad_source},
        {"echo port", make([](Frame &f) { f.source_port = 7; }), COUNTER_drop_bad_source},
        {"chargen port", make([](Frame &f) { f.source_port = 19; }), COUNTER_drop_bad_source},
        {"multicast source", make([](Frame &f) { f.source = "224.0.0.1"; }), COUNTER_drop_bad_source},
        {"broadcast source", make([](Frame &f) { f.source = "255.255.255.255"; }), COUNTER_drop_bad_source},
        {"loopback source", make([](Frame &f) { f.source = "127.0.0.1"; }), COUNTER_drop_bad_source},
        {"our own address as source", make([](Frame &f) { f.source = "192.0.2.53"; }), COUNTER_drop_bad_source},
        {"TCP without a kernel", make([](Frame &f) {
             f.protocol = 6;
             f.payload = Bytes(20);
         }),
         COUNTER_drop_not_ours},
        {"IPv6 without UDP checksum", make([](Frame &f) {
             f.source = "2001:db8::1";
             f.destination = "2001:db8::53";
             f.zero_checksum = true;
         }),
         COUNTER_drop_udp_checksum},
        {"IPv6 fragment header", make([](Frame &f) {
             f.source = "2001:db8::1";
             f.destination = "2001:db8::53";
             f.protocol = 44;
         }),
         COUNTER_drop_fragment},
        {"quote of the day port", make([](Frame &f) { f.source_port = 17; }), COUNTER_drop_bad_source},
        {"this network as source", make([](Frame &f) { f.source = "0.0.0.1"; }), COUNTER_drop_bad_source},
        {"IPv6 multicast source", make_ipv6("ff02::1", 17), COUNTER_drop_bad_source},
        {"IPv6 loopback source", make_ipv6("::1", 17), COUNTER_drop_bad_source},
        {"IPv6 unspecified source", make_ipv6("::", 17), COUNTER_drop_bad_source},
        {"our own IPv6 address as source", make_ipv6("2001:db8::53", 17), COUNTER_drop_bad_source},
        {"IPv6 extension header", make_ipv6("2001:db8::1", 0), COUNTER_drop_not_ours},
        {"TCP over IPv6", make_ipv6("2001:db8::1", 6), COUNTER_drop_not_ours},
        {"another IPv6 address", make([](Frame &f) {
             f.source = "2001:db8::1";
             f.destination = "2001:db8::54";
         }),
         COUNTER_drop_not_ours},
        {"ICMPv6 of no kind that we answer", make_ipv6("2001:db8::1", 58), COUNTER_drop_not_ours},
        {"a response", make([](Frame &f) { f.payload[2] = 0x80; }), COUNTER_drop_response},
        {"shorter than a DNS header", make([](Frame &f) { f.payload.resize(11); }), COUNTER_drop_short},
    };
    for (const DropRow &row : rows) {
        uint64_t before = count(row.counted);
        EXPECT_EQ(handle(row.frame.bytes()), PACKET_DROP) << row.why;
        EXPECT_EQ(count(row.counted), before + 1) << row.why;
    }
}

TEST_F(Packet, a_frame_cut_anywhere_is_dropped)
{
    for (const Frame &f : {Frame{}, Frame{"2001:db8::1", "2001:db8::53"}}) {
        Bytes whole = f.bytes();
        for (size_t len = 0; len < whole.size(); len++)
            EXPECT_EQ(handle(Bytes(whole.begin(), whole.begin() + static_cast<long>(len))), PACKET_DROP) << len;
    }
}

// Bytes of a frame changed, the IPv4 header's checksum made right again.
Bytes changed(const Frame &frame, std::vector<std::pair<size_t, uint8_t>> octets)
{
    Bytes b = frame.bytes();
    for (const auto &octet : octets)
        b[octet.first] = octet.second;
    if (b[12] == 8 && b[13] == 0) {
        const unsigned len = std::min<unsigned>((b[14] & 0xfu) * 4, static_cast<unsigned>(b.size()) - 14);
        b[24] = b[25] = 0;
        const uint16_t sum = static_cast<uint16_t>(~checksum_fold(checksum_add(0, &b[14], len)));
        memcpy(&b[24], &sum, 2);
    }
    return b;
}

TEST_F(Packet, headers_that_lie_about_themselves_are_dropped)
{
    const Frame four, six{"2001:db8::1", "2001:db8::53"};
    const Bytes whole = four.bytes();
    const struct {
        const char *why;
        Bytes frame;
        counter counted;
    } rows[] = {
        {"version 5", changed(four, {{14, 0x55}}), COUNTER_drop_ip},
        {"a header of 16 octets", changed(four, {{14, 0x44}}), COUNTER_drop_ip},
        {"a header with options", changed(four, {{14, 0x46}}), COUNTER_drop_ip},
        {"longer than the frame", changed(four, {{16, 5}}), COUNTER_drop_ip},
        {"shorter than its header", changed(four, {{16, 0}, {17, 19}}), COUNTER_drop_ip},
        {"no room for UDP", changed(four, {{16, 0}, {17, 27}}), COUNTER_drop_udp},
        {"UDP longer than the packet", changed(four, {{38, 5}}), COUNTER_drop_udp},
        {"UDP shorter than its header", changed(four, {{38, 0}, {39, 7}}), COUNTER_drop_udp},
        {"IPv4 said, IPv6 there", changed(six, {{12, 8}, {13, 0}}), COUNTER_drop_ip},
        {"IPv6 said, IPv4 there", changed(four, {{12, 0x86}, {13, 0xdd}}), COUNTER_drop_ip},
        {"IPv6 longer than the frame", changed(six, {{18, 5}}), COUNTER_drop_ip},
        {"another EtherType", changed(four, {{12, 0x12}}), COUNTER_drop_ethernet},
        {"to another station", changed(four, {{5, 9}}), COUNTER_drop_not_ours},
        {"cut inside a tag", Bytes{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 1}, COUNTER_drop_ethernet},
    };
    for (const auto &row : rows) {
        const uint64_t before = count(row.counted);
        EXPECT_EQ(handle(row.frame), PACKET_DROP) << row.why;
        EXPECT_EQ(count(row.counted), before + 1) << row.why;
    }
    Bytes tags;
    for (int i = 0; i < 3; i++)
        dns_text::append(tags, {0x81, 0, 0, 1});
    Frame three;
    three.tags = tags;
    EXPECT_EQ(handle(three.bytes()), PACKET_DROP) << "two tags at most";
    Frame group;
    Bytes multicast = group.bytes();
    multicast[0] |= 1;
    EXPECT_EQ(handle(multicast), PACKET_SEND) << "to a group that our address is reached by";
}

TEST_F(Packet, without_a_table_nothing_is_ours)
{
    context.zone_image = nullptr;
    for (const Frame &f : {Frame{}, Frame{"2001:db8::1", "2001:db8::53"}}) {
        EXPECT_EQ(handle(f.bytes()), PACKET_DROP);
        port.has_kernel = true;
        EXPECT_EQ(handle(f.bytes()), PACKET_KERNEL);
        port.has_kernel = false;
    }
    EXPECT_EQ(count(COUNTER_drop_not_ready), 2u);
}

TEST_F(Packet, checksum_verdict_of_the_driver_is_used)
{
    Frame bad;
    bad.bad_checksum = true;
    EXPECT_EQ(handle(bad.bytes(), PACKET_CHECKSUM_UNFINISHED), PACKET_SEND) << "field unfinished, data known good";
    EXPECT_EQ(handle(Frame{}.bytes(), PACKET_CHECKSUM_BAD), PACKET_DROP);
    Frame none;
    none.zero_checksum = true;
    EXPECT_EQ(handle(none.bytes()), PACKET_SEND) << "no checksum is legal over IPv4 (RFC 768)";
    port.is_checksum_trusted = true;
    EXPECT_EQ(handle(bad.bytes()), PACKET_SEND);
}

TEST_F(Packet, what_is_not_ours_goes_to_the_kernel_where_there_is_one)
{
    port.has_kernel = true;
    Frame tcp, other;
    tcp.protocol = 6;
    tcp.payload = Bytes(20);
    other.destination_port = 7053;
    EXPECT_EQ(handle(tcp.bytes()), PACKET_KERNEL);
    EXPECT_EQ(handle(other.bytes()), PACKET_KERNEL);
    EXPECT_EQ(count(COUNTER_kernel_packets), 2u);
}

TEST_F(Packet, arp_is_answered_for_our_address_only)
{
    Bytes frame(6, 0xff), arp = {0, 1, 8, 0, 6, 4, 0, 1};
    frame.insert(frame.end(), their_mac, their_mac + 6);
    dns_text::put16(frame, 0x0806);
    arp.insert(arp.end(), their_mac, their_mac + 6);
    dns_text::append(arp, address("198.51.100.1"));
    arp.insert(arp.end(), 6, 0);
    dns_text::append(arp, address("192.0.2.53"));
    Bytes request = frame;
    dns_text::append(request, arp);
    request.resize(60);
    ASSERT_EQ(handle(request), PACKET_SEND);
    EXPECT_EQ(reply.size(), 42u);
    EXPECT_EQ(memcmp(&reply[0], their_mac, 6), 0);
    EXPECT_EQ(reply[21], 2) << "reply";
    EXPECT_EQ(memcmp(&reply[22], our_mac, 6), 0);
    EXPECT_EQ(Bytes(reply.begin() + 28, reply.begin() + 32), address("192.0.2.53"));
    EXPECT_EQ(memcmp(&reply[32], their_mac, 6), 0);
    EXPECT_EQ(Bytes(reply.begin() + 38, reply.begin() + 42), address("198.51.100.1"));
    request[41] ^= 1;
    EXPECT_EQ(handle(request), PACKET_DROP);
    port.has_kernel = true;
    EXPECT_EQ(handle(request), PACKET_KERNEL);
}

TEST_F(Packet, neighbour_solicitations_and_echoes_are_answered)
{
    Frame f{"2001:db8::1", "2001:db8::53"};
    f.protocol = 58;
    f.payload = {135, 0, 0, 0, 0, 0, 0, 0};
    dns_text::append(f.payload, address("2001:db8::53"));
    dns_text::append(f.payload, {1, 1, 2, 0, 0, 0, 0, 2});
    ASSERT_EQ(handle(f.bytes()), PACKET_SEND);
    EXPECT_EQ(reply.size(), 14u + 40 + 32);
    EXPECT_EQ(reply[54], 136);
    EXPECT_EQ(reply[58], 0x60) << "solicited, override";
    EXPECT_EQ(memcmp(&reply[54 + 26], our_mac, 6), 0);
    EXPECT_EQ(checksum_fold(checksum_add(checksum_pseudo(&reply[22], true, 32, 58), &reply[54], 32)), 0xffff);
    f.payload = {128, 0, 0, 0, 1, 2, 3, 4, 5};
    ASSERT_EQ(handle(f.bytes()), PACKET_SEND);
    EXPECT_EQ(reply[54], 129);
    EXPECT_EQ(count(COUNTER_nd_replies), 1u);
    EXPECT_EQ(count(COUNTER_echo_replies), 1u);
    Frame echo;
    echo.protocol = 1;
    echo.payload = {8, 0, 0, 0, 0, 1, 0, 2, 'a'};
    uint16_t sum = static_cast<uint16_t>(~checksum_fold(checksum_add(0, echo.payload.data(), 9)));
    memcpy(&echo.payload[2], &sum, 2);
    ASSERT_EQ(handle(echo.bytes()), PACKET_SEND);
    EXPECT_EQ(reply[34], 0);
    EXPECT_EQ(checksum_fold(checksum_add(0, &reply[34], 9)), 0xffff);
}

} // namespace
