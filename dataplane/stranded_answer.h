// SPDX-License-Identifier: Apache-2.0
// Whether a frame of a worker that has died holds a whole answer, or still a query, or something half written. Pure.
//
// Answers are written in place and a burst is sent at once: a death in between leaves answers that nobody sends. Their
// sums tell: an answer's checksums are right when its last octet is written, and not before.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Longer answers are not recognised: `frame` has room for so many octets, whatever stands in it.
enum { STRANDED_ANSWER_MAX = 1514 };

// The length of the frame when it is a DNS response over UDP from the station `mac`, with both checksums right; else 0.
unsigned stranded_answer_len(const uint8_t *frame, const uint8_t mac[6]);

#ifdef __cplusplus
}
#endif
