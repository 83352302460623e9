// SPDX-License-Identifier: Apache-2.0
// The authoritative algorithm (RFC 1034 section 4.3.2 with RFC 4592 and RFC 6672) over the zone image. Any thread.
#pragma once

#include "dataplane/response.h"

#ifdef __cplusplus
extern "C" {
#endif

// Answers from the zones and services: sections, rcode, AA, TC, client-subnet scope, extended error.
void resolve(struct response *r);

#ifdef __cplusplus
}
#endif
