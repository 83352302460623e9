// SPDX-License-Identifier: Apache-2.0
// Replies to a DNS probe's question: the input replaces what stands behind a good header and question, or all of it.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "health/dns_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"A", "AAAA", "MX", "TXT", "SRV", "NS", "SOA", "TYPE99"};
    static const char *const wanted[] = {"192.0.2.1", "10 m.a.example", "NOERROR", ""};
    struct dns_question q;
    if (size < 3 || size > 4096 || dns_question_make(&q, "a.example", types[data[0] & 7]) < 0)
        return 0;
    const size_t head = data[0] & 64 ? 0 : q.len;
    uint8_t *reply = malloc(head + size);
    memcpy(reply, q.message, head);
    memcpy(reply + head, data + 2, size - 2);
    if (head) {
        reply[2] = 0x84;
        reply[7] = data[1];
    }
    struct probe_result r;
    if (dns_reply_judge(&q, wanted[data[0] >> 4 & 3], reply, head + size - 2, &r))
        assert(r.result == EVIDENCE_UP || r.result == EVIDENCE_DOWN);
    free(reply);
    return 0;
}
