// SPDX-License-Identifier: Apache-2.0
// Is a response what it should be: status set, keyword present, keyword absent. Pure.
//
// The page must contain the database server's name (claim 4): what is looked for is looked for in the body as it came,
// in the first bytes up to the cap.
#pragma once

#include <stddef.h>

#include "health/evidence.h"
#include "health/probe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct http_match;

// Copies what it needs. Null with errno: ENOMEM, or EINVAL for a regular expression that does not compile.
struct http_match *http_match_new(const struct probe_http *spec);
void http_match_free(struct http_match *match);

// True when the body matters at all: without keywords the status alone decides.
bool http_match_needs_body(const struct http_match *match);

// `is_cut`: the body was longer than the cap. `body[len]` must be a zero octet (regular expressions stop at one; zero
// octets inside the body are taken as spaces there, which is why it is written to). OK, STATUS, KEYWORD_MISSING,
// KEYWORD_FORBIDDEN or TOO_LARGE.
enum evidence_reason http_match_check(const struct http_match *match, unsigned status, char *body, size_t len,
                                      bool is_cut);

#ifdef __cplusplus
}
#endif
