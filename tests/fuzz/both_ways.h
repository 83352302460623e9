// SPDX-License-Identifier: Apache-2.0
// For the data plane's fuzz targets: a frame must leave the short way and the plain way with the same verdict, octets
// and counters.
#pragma once

#include "dataplane/checksum.h"
#include "dataplane/packet.h"
#include "tests/fuzz/world.h"

enum { BOTH_WAYS_CAP = 3000 };

static inline void both_ways_expect(int is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "oracle: the short way and the plain way differ: %s\n", what);
        abort();
    }
}

// `frame` has room for BOTH_WAYS_CAP octets and 64 more; it is left as the short way leaves it. The driver's GOOD is
// for frames whose checksum is right.
static inline enum packet_verdict both_ways(struct world *w, const struct packet_port *port, uint8_t *frame,
                                            unsigned len, enum packet_checksum checksum, unsigned *reply_len)
{
    static uint8_t plain[BOTH_WAYS_CAP + 64];
    unsigned plain_len = 0;
    memcpy(plain, frame, sizeof plain);
    const struct counters_block before = w->counters;
    const enum packet_verdict verdict =
        packet_handle_plain(&w->context, port, plain, len, BOTH_WAYS_CAP, checksum, &plain_len);
    const struct counters_block after = w->counters;
    w->counters = before;
    both_ways_expect(packet_handle(&w->context, port, frame, len, BOTH_WAYS_CAP, checksum, reply_len) == verdict,
                     "verdict");
    both_ways_expect(memcmp(&w->counters, &after, sizeof after) == 0, "counters");
    if (verdict == PACKET_SEND) {
        both_ways_expect(plain_len == *reply_len, "length");
        both_ways_expect(memcmp(frame, plain, plain_len) == 0, "octets");
    }
    return verdict;
}

// Ethernet, IPv4 and UDP with right checksums around the message that stands at frame + 42.
static inline unsigned both_ways_wrap(uint8_t *frame, unsigned message_len)
{
    const unsigned len = message_len + 8, total = len + 20;
    const uint8_t head[42] = {2,
                              0,
                              0,
                              0,
                              0,
                              1,
                              2,
                              0,
                              0,
                              0,
                              0,
                              2,
                              8,
                              0,
                              0x45,
                              0,
                              (uint8_t)(total >> 8),
                              (uint8_t)total,
                              1,
                              2,
                              0x40,
                              0,
                              60,
                              17,
                              0,
                              0,
                              198,
                              51,
                              100,
                              7,
                              192,
                              0,
                              2,
                              53,
                              16,
                              0,
                              0,
                              53,
                              (uint8_t)(len >> 8),
                              (uint8_t)len,
                              0,
                              0};
    memcpy(frame, head, sizeof head);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, frame + 14, 20));
    memcpy(frame + 24, &sum, 2);
    sum = (uint16_t)~checksum_fold(checksum_add(checksum_pseudo(frame + 26, false, len, 17), frame + 34, len));
    sum = sum ? sum : 0xffff;
    memcpy(frame + 40, &sum, 2);
    return 14 + total;
}

// The same with IPv6, around the message that stands at frame + 62.
static inline unsigned both_ways_wrap6(uint8_t *frame, unsigned message_len)
{
    const unsigned len = message_len + 8;
    const uint8_t mac_and_head[22] = {
        2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x6a, 1, 2, 3, (uint8_t)(len >> 8), (uint8_t)len, 17, 60};
    const uint8_t source[16] = {0x20, 1, 0xd, 0xb8, 7, [15] = 9}, ours[16] = {0x20, 1, 0xd, 0xb8, [15] = 0x53};
    const uint8_t udp[8] = {16, 0, 0, 53, (uint8_t)(len >> 8), (uint8_t)len, 0, 0};
    memcpy(frame, mac_and_head, sizeof mac_and_head);
    memcpy(frame + 22, source, 16);
    memcpy(frame + 38, ours, 16);
    memcpy(frame + 54, udp, 8);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(checksum_pseudo(frame + 22, true, len, 17), frame + 54, len));
    sum = sum ? sum : 0xffff;
    memcpy(frame + 60, &sum, 2);
    return 54 + len;
}
