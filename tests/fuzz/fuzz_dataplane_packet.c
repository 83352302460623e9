// SPDX-License-Identifier: Apache-2.0
// A frame to its reply. Oracle: the reply's checksums are right, its lengths agree, it goes back to the sender, and
// every frame ends in exactly one counter.
#include "dataplane/checksum.h"
#include "dataplane/packet.h"
#include "tests/fuzz/world.h"

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
    static uint8_t frame[4096];
    if (size < 1 || size > 2048)
        return 0;
    const struct packet_port port = {{2, 0, 0, 0, 0, 1}, data[0] & 1, data[0] & 2};
    const enum packet_checksum checksum = data[0] & 4 ? PACKET_CHECKSUM_GOOD : PACKET_CHECKSUM_UNKNOWN;
    const unsigned len = (unsigned)size - 1;
    memset(frame, 0, sizeof frame);
    memcpy(frame, data + 1, len);
    unsigned reply_len = 0;
    const uint64_t before = outcomes(&w->counters);
    const enum packet_verdict verdict = packet_handle(&w->context, &port, frame, len, 3000, checksum, &reply_len);
    expect(outcomes(&w->counters) == before + 1, "one frame, one outcome");
    if (verdict == PACKET_SEND) {
        expect(reply_len <= 3000, "inside the buffer");
        check_reply(data + 1, frame, reply_len);
    }
    return 0;
}
