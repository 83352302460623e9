// SPDX-License-Identifier: Apache-2.0
// A DNS message to its response. Oracle: silent on responses; id, opcode, RD and question echoed; inside the size
// limit; errors not larger than the query (and its own OPT); an independent library (ldns) can read it; no octet left
// unwritten.
#include <ldns/ldns.h>

#include "dataplane/query.h"
#include "tests/fuzz/both_ways.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "oracle: %s\n", what);
        abort();
    }
}

static void check_echo(const uint8_t *query, unsigned len, const uint8_t *reply, unsigned reply_len)
{
    expect(reply_len >= DNS_HEADER_LEN, "a response has a header");
    expect(memcmp(query, reply, 2) == 0, "id");
    expect(((query[2] ^ reply[2]) & 0x79) == 0, "opcode and RD");
    expect(reply[2] & 0x80, "QR");
    if (reply[5] == 1) {
        struct query q;
        uint8_t padded[70000];
        memcpy(padded, query, len);
        query_parse(&q, padded, len);
        expect(memcmp(query + 12, reply + 12, q.question_end - 12u) == 0, "question");
    }
}

static void check_reply(const uint8_t *query, unsigned len, const uint8_t *reply, unsigned reply_len, int is_tcp)
{
    check_echo(query, len, reply, reply_len);
    expect(is_tcp || reply_len <= 1232, "size limit");
    const unsigned rcode = reply[3] & 0xf;
    if (rcode == RCODE_FORMERR || rcode == RCODE_NOTIMP || rcode == RCODE_REFUSED)
        expect(reply_len <= len + 11 + 104 + 28 + 24 + 6,
               "an error is not larger than its query and the options asked for");
    ldns_pkt *packet = NULL;
    expect(ldns_wire2pkt(&packet, reply, reply_len) == LDNS_STATUS_OK, "ldns reads the response");
    ldns_pkt_free(packet);
}

// The same message in a frame.
static void check_both_ways(struct world *w, const uint8_t *msg, unsigned len)
{
    static uint8_t frame[BOTH_WAYS_CAP + 64];
    const struct packet_port port = {{2, 0, 0, 0, 0, 1}, false, false};
    unsigned reply_len = 0;
    if (len > 1400)
        return;
    memset(frame, 0, sizeof frame);
    memcpy(frame + 42, msg, len);
    both_ways(w, &port, frame, both_ways_wrap(frame, len), PACKET_CHECKSUM_UNKNOWN, &reply_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = world_get();
    static uint8_t first[70000], second[70000];
    if (size < 1 || size > 65535)
        return 0;
    const struct answer_client client = {.address = {10, 1, 2, 3}, .is_tcp = data[0] & 1};
    const unsigned len = (unsigned)size - 1;
    const unsigned cap = client.is_tcp ? 65535 + 64 : 2048;
    if (!client.is_tcp && len > cap - ANSWER_SLACK)
        return 0;
    check_both_ways(w, data + 1, len);
    memset(first, 0x00, cap);
    memset(second, 0xff, cap);
    memcpy(first, data + 1, len);
    memcpy(second, data + 1, len);
    const unsigned reply_len = answer_message(&w->context, &client, first, len, cap);
    expect(answer_message(&w->context, &client, second, len, cap) == reply_len, "the same twice");
    expect(memcmp(first, second, reply_len) == 0, "no octet depends on what lay in the buffer");
    if (len >= DNS_HEADER_LEN && data[3] & 0x80)
        expect(reply_len == 0, "silent on responses");
    if (reply_len)
        check_reply(data + 1, len, first, reply_len, client.is_tcp);
    return 0;
}
