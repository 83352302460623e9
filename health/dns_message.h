// SPDX-License-Identifier: Apache-2.0
// The little DNS that a DNS probe speaks: one query, and whether the reply is the expected one. Pure; any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health/probe_result.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DNS_QUERY_MAX = 300, DNS_EXPECT_CAP = 256 };

// What is asked, in wire form.
struct dns_question {
    uint8_t message[DNS_QUERY_MAX];
    size_t len;
    uint16_t type;
};

// Makes a query without recursion desired; the id is filled in by the caller at message[0..2). 0 or -EINVAL: no name,
// or no type ("A", "SOA", "TYPE65").
int dns_question_make(struct dns_question *question, const char *name, const char *type);

// Is this the reply to `question` with its present id, and as expected? `expect`: empty (any reply), an rcode's name
// ("NOERROR", "NXDOMAIN", "REFUSED"), or the text of one answer record's data: an address, a name with or without final
// dot, for MX, SRV and TXT the text that dig prints. False: not a reply to this question, go on waiting.
bool dns_reply_judge(const struct dns_question *question, const char *expect, const uint8_t *reply, size_t len,
                     struct probe_result *result);

#ifdef __cplusplus
}
#endif
