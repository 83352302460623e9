// SPDX-License-Identifier: Apache-2.0
// A DNS message to its response. Oracle: silent on responses and never on queries; id, opcode, RD and question echoed,
// QR set, RA and Z clear; OPT back if and only if it came; inside the client's size limit; errors not larger than the
// query (and its own OPT); an independent library (ldns) can read it to its last octet; no octet left unwritten;
// nothing written behind the room; exactly one counter of outcomes.
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
    expect((reply[3] & 0xe0) == 0, "RA, Z and AD are clear");
    if (reply[5] == 1) {
        struct query q;
        uint8_t padded[70000];
        memcpy(padded, query, len);
        query_parse(&q, padded, len);
        expect(memcmp(query + 12, reply + 12, q.question_end - 12u) == 0, "question");
    }
}

// What the client said it takes, by our own parser (what it reads is checked by the unit tests).
static unsigned size_limit(const uint8_t *query, unsigned len)
{
    static uint8_t padded[70000];
    struct query q;
    memset(padded + len, 0, ANSWER_SLACK);
    memcpy(padded, query, len);
    query_parse(&q, padded, len);
    const unsigned size = q.edns.is_present ? q.edns.udp_size : 512;
    return size < 512 ? 512 : size > 1232 ? 1232 : size;
}

// OPT records in the additional section, as ldns sees them.
static void check_opt(const uint8_t *query, unsigned len, const ldns_pkt *packet)
{
    static uint8_t padded[70000];
    struct query q;
    memset(padded + len, 0, ANSWER_SLACK);
    memcpy(padded, query, len);
    query_parse(&q, padded, len);
    expect(ldns_pkt_edns(packet) == q.edns.is_present, "OPT comes back if and only if it came");
    expect(!q.edns.is_present || ldns_pkt_edns_do(packet) == q.edns.wants_dnssec, "DO is echoed");
    expect(!q.edns.is_present || ldns_pkt_edns_version(packet) == 0, "our version");
}

static uint64_t outcomes(const struct counters_block *c)
{
    uint64_t sum = 0;
    for (unsigned i = COUNTER_answers_noerror; i <= COUNTER_answers_other; i++)
        sum += c->value[i];
    return sum + c->value[COUNTER_drop_short] + c->value[COUNTER_drop_response] + c->value[COUNTER_drop_rate_limited];
}

static void check_reply(const uint8_t *query, unsigned len, const uint8_t *reply, unsigned reply_len, int is_tcp)
{
    check_echo(query, len, reply, reply_len);
    expect(is_tcp || reply_len <= size_limit(query, len), "the client's size limit");
    const unsigned rcode = reply[3] & 0xf;
    if (rcode == RCODE_FORMERR || rcode == RCODE_SERVFAIL || rcode == RCODE_NOTIMP || rcode == RCODE_REFUSED)
        expect(is_tcp || reply_len <= len, "an error is not larger than its query");
    ldns_pkt *packet = NULL;
    expect(ldns_wire2pkt(&packet, reply, reply_len) == LDNS_STATUS_OK, "ldns reads the response");
    expect(ldns_pkt_size(packet) == reply_len, "to its last octet");
    check_opt(query, len, packet);
    ldns_pkt_free(packet);
}

// The same message in a frame of each family.
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
    memset(frame, 0, sizeof frame);
    memcpy(frame + 62, msg, len);
    both_ways(w, &port, frame, both_ways_wrap6(frame, len), PACKET_CHECKSUM_UNKNOWN, &reply_len);
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
    memset(first, 0x00, sizeof first);
    memset(second, 0xff, sizeof second);
    memcpy(first, data + 1, len);
    memcpy(second, data + 1, len);
    const uint64_t before = outcomes(&w->counters);
    const unsigned reply_len = answer_message(&w->context, &client, first, len, cap);
    expect(outcomes(&w->counters) == before + 1, "one message, one outcome");
    expect(answer_message(&w->context, &client, second, len, cap) == reply_len, "the same twice");
    expect(memcmp(first, second, reply_len) == 0, "no octet depends on what lay in the buffer");
    for (unsigned i = cap; i < cap + 64; i++)
        expect(first[i] == 0x00 && second[i] == 0xff, "nothing is written behind the room");
    expect((reply_len == 0) == (len < DNS_HEADER_LEN || (data[3] & 0x80)), "silent on responses, and on nothing else");
    if (reply_len)
        check_reply(data + 1, len, first, reply_len, client.is_tcp);
    return 0;
}
