// SPDX-License-Identifier: Apache-2.0
// A frame to its reply. Oracle: the short way and the plain way agree, the reply's checksums are right, its lengths
// agree, it goes back to the sender, and every frame ends in exactly one counter.
#include "dataplane/checksum.h"
#include "dataplane/packet.h"
#include "tests/fuzz/both_ways.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "oracle: %s\n", what);
        abort();
    }
}

static void check_reply(const uint8_t *query, const uint8_t *reply, unsigned len)
{
    expect(memcmp(reply, query + 6, 6) == 0, "to the sender");
    unsigned at = 12;
    while ((reply[at] == 0x81 && reply[at + 1] == 0) || (reply[at] == 0x88 && reply[at + 1] == 0xa8))
        at += 4;
    const unsigned type = (unsigned)(reply[at] << 8 | reply[at + 1]);
    const uint8_t *ip = reply + at + 2;
    const unsigned room = len - (at + 2);
    if (type == 0x0800) {
        const unsigned total = (unsigned)(ip[2] << 8 | ip[3]);
        expect(total == room, "IPv4 length");
        expect(checksum_fold(checksum_add(0, ip, 20)) == 0xffff, "IPv4 checksum");
        if (ip[9] == 17)
            expect(checksum_fold(checksum_add(checksum_pseudo(ip + 12, false, total - 20, 17), ip + 20, total - 20)) ==
                       0xffff,
                   "UDP");
    } else if (type == 0x86dd) {
        const unsigned payload = (unsigned)(ip[4] << 8 | ip[5]);
        expect(payload + 40 == room, "IPv6 length");
        expect(checksum_fold(checksum_add(checksum_pseudo(ip + 8, true, payload, ip[6]), ip + 40, payload)) == 0xffff,
               "UDP or ICMPv6");
    }
}

static bool is_udp_right(const uint8_t *frame, unsigned len)
{
    if (len < 42 || frame[12] != 8 || frame[13] != 0 || frame[14] != 0x45)
        return false;
    const unsigned udp_len = (unsigned)(frame[38] << 8 | frame[39]);
    return udp_len >= 8 && udp_len <= len - 34 &&
           checksum_fold(checksum_add(checksum_pseudo(frame + 26, false, udp_len, 17), frame + 34, udp_len)) == 0xffff;
}

// Makes the checksums of an IPv4 datagram right, so that changes to it get further than there.
static void mend(uint8_t *frame, unsigned len)
{
    if (len < 42 || frame[14] != 0x45)
        return;
    const unsigned udp_len = (unsigned)(frame[38] << 8 | frame[39]);
    memset(frame + 24, 0, 2);
    uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, frame + 14, 20));
    memcpy(frame + 24, &sum, 2);
    if (udp_len < 8 || udp_len > len - 34)
        return;
    memset(frame + 40, 0, 2);
    sum = (uint16_t)~checksum_fold(checksum_add(checksum_pseudo(frame + 26, false, udp_len, 17), frame + 34, udp_len));
    sum = sum ? sum : 0xffff;
    memcpy(frame + 40, &sum, 2);
}

static uint64_t outcomes(const struct counters_block *c)
{
    uint64_t sum = 0;
    for (unsigned i = COUNTER_answers_noerror; i <= COUNTER_answers_other; i++)
        sum += c->value[i];
    for (unsigned i = COUNTER_arp_replies; i <= COUNTER_drop_response; i++)
        sum += c->value[i];
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = world_get();
    static uint8_t frame[BOTH_WAYS_CAP + 64];
    if (size < 1 || size > 2048)
        return 0;
    const struct packet_port port = {{2, 0, 0, 0, 0, 1}, data[0] & 1, data[0] & 2};
    const unsigned len = (unsigned)size - 1;
    memset(frame, 0, sizeof frame);
    memcpy(frame, data + 1, len);
    if (data[0] & 8)
        mend(frame, len);
    const enum packet_checksum checksum =
        data[0] & 4 && is_udp_right(frame, len) ? PACKET_CHECKSUM_GOOD : PACKET_CHECKSUM_UNKNOWN;
    unsigned reply_len = 0;
    const uint64_t before = outcomes(&w->counters);
    const enum packet_verdict verdict = both_ways(w, &port, frame, len, checksum, &reply_len);
    expect(outcomes(&w->counters) == before + 1, "one frame, one outcome");
    if (verdict == PACKET_SEND) {
        expect(reply_len <= BOTH_WAYS_CAP, "inside the buffer");
        check_reply(data + 1, frame, reply_len);
    }
    return 0;
}
