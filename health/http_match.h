// SPDX-License-Identifier: Apache-2.0
// Is a response what it should be: status set, keyword present, keyword absent. Pure but for memory.
//
// The body is fed in pieces as it arrives, in the first `body_max_bytes` of it; a keyword may lie across pieces. Plain
// texts are searched as they come, so that thousands of probes keep no pages; only a regular expression needs the body
// in one piece, and keeps up to the cap.
//
// A keyword found inside the cap is found, however long the page is. What cannot be said because the page goes on
// behind the cap (the keyword is not there yet; the forbidden one may still come) is TOO_LARGE.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "health/evidence.h"
#include "health/probe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct http_match;

// Copies what it needs. Null with errno: ENOMEM, or EINVAL for a regular expression that does not compile or has a
// back-reference, which could take exponential time on a page made for it.
struct http_match *http_match_new(const struct probe_http *spec);
void http_match_free(struct http_match *match);

// True when the body matters at all: without keywords the status alone decides.
bool http_match_needs_body(const struct http_match *match);

// Begins a response. Forgets the last one.
void http_match_begin(struct http_match *match);

// The next piece of the body. False when no further piece can change the result of http_match_end for a response whose
// status is good: the rest need not be read.
bool http_match_feed(struct http_match *match, const char *data, size_t len);

// The result: OK, STATUS, KEYWORD_MISSING, KEYWORD_FORBIDDEN or TOO_LARGE; NONE when memory ran out for the body.
enum evidence_reason http_match_end(struct http_match *match, unsigned status);

#ifdef __cplusplus
}
#endif
