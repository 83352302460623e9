// SPDX-License-Identifier: Apache-2.0
// The kernel's verdicts on frames, by a datagram socket pair that carries the filter.
#include "dataplane/packet_sieve.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace
{

using Bytes = std::vector<uint8_t>;

Bytes frame(unsigned type, const Bytes &packet, const Bytes &tags = {})
{
    Bytes f(12, 2);
    f.insert(f.end(), tags.begin(), tags.end());
    f.push_back(static_cast<uint8_t>(type >> 8));
    f.push_back(static_cast<uint8_t>(type));
    f.insert(f.end(), packet.begin(), packet.end());
    return f;
}

Bytes ipv4(unsigned protocol, unsigned port, unsigned header = 20, unsigned fragment = 0)
{
    Bytes p(header + 20, 0);
    p[0] = static_cast<uint8_t>(0x40 | header / 4);
    p[6] = static_cast<uint8_t>(fragment >> 8);
    p[7] = static_cast<uint8_t>(fragment);
    p[9] = static_cast<uint8_t>(protocol);
    p[header + 2] = static_cast<uint8_t>(port >> 8);
    p[header + 3] = static_cast<uint8_t>(port);
    return p;
}

Bytes ipv6(unsigned protocol, unsigned port)
{
    Bytes p(60, 0);
    p[0] = 0x60;
    p[6] = static_cast<uint8_t>(protocol);
    p[42] = static_cast<uint8_t>(port >> 8);
    p[43] = static_cast<uint8_t>(port);
    return p;
}

TEST(PacketSieve, LetsQueriesThroughAndNothingElse)
{
    int pair[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    ASSERT_EQ(packet_sieve_attach(pair[1]), 0);
    const struct {
        Bytes frame;
        bool is_wanted;
        const char *why;
    } rows[] = {{frame(0x0800, ipv4(17, 53)), true, "a query"},
                {frame(0x0800, ipv4(17, 53, 40)), true, "with IP options"},
                {frame(0x86dd, ipv6(17, 53)), true, "over IPv6"},
                {frame(0x0800, ipv4(17, 53), {0x81, 0, 0, 7}), true, "tagged"},
                {frame(0x86dd, ipv6(17, 53), {0x88, 0xa8, 0, 7}), true, "tagged by a provider"},
                {frame(0x0800, ipv4(17, 53, 20, 0x2000)), true, "a first fragment: counted and dropped later"},
                {frame(0x0800, ipv4(17, 53, 20, 0x0010)), false, "a later fragment"},
                {frame(0x0800, ipv4(17, 5353)), false, "another port"},
                {frame(0x0800, ipv4(6, 53)), false, "TCP"},
                {frame(0x86dd, ipv6(6, 53)), false, "TCP over IPv6"},
                {frame(0x86dd, ipv6(58, 53)), false, "ICMPv6"},
                {frame(0x0806, Bytes(46, 0)), false, "ARP"},
                {frame(0x0800, ipv4(6, 53), {0x81, 0, 0, 7}), false, "tagged TCP"},
                {frame(0x0800, {}), false, "nothing behind the type"},
                {Bytes(13, 8), false, "shorter than a header"}};
    for (const auto &row : rows) {
        uint8_t got[256];
        ASSERT_EQ(send(pair[0], row.frame.data(), row.frame.size(), 0), static_cast<ssize_t>(row.frame.size()));
        const ssize_t n = recv(pair[1], got, sizeof got, 0);
        EXPECT_EQ(n == static_cast<ssize_t>(row.frame.size()), row.is_wanted) << row.why;
    }
    close(pair[0]);
    close(pair[1]);
}

} // namespace
