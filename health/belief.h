// SPDX-License-Identifier: Apache-2.0
// What is believed of one observed thing (a server, a balancer), from its results: rise, fall, and age. Pure.
#pragma once

#include "health/evidence.h"

#ifdef __cplusplus
extern "C" {
#endif

// Zeroed: nothing known.
struct belief {
    enum evidence_result state;
    enum evidence_reason reason; // of its last result
    uint64_t last_ns;            // of its last result; 0: none yet
    uint64_t response_ns;        // moving average of good results, weight 1/8; 0: not known
    uint32_t streak;             // equal results in a row
    // For display: a later result that said nothing (a local fault, an indication that could not be read).
    enum evidence_reason trouble;     // NONE: the last result is the one above
    char detail[EVIDENCE_DETAIL_CAP]; // of the last result of either sort
};

// Takes a result that is UP or DOWN. The belief changes after `rise` good or `fall` bad results in a row; the first
// result ever counts at once, so that a start is not slowed down by rise. A result older than the last one is ignored.
// True when the belief or the reason of its last result is another than before.
bool belief_take(struct belief *b, uint32_t rise, uint32_t fall, const struct evidence_event *event);

// Keeps, for display, a result that is UNKNOWN. The belief does not change; it ages.
void belief_trouble(struct belief *b, const struct evidence_event *event);

// UNKNOWN when the last result is older than `max_age_ns` (0: no limit) or there was none.
enum evidence_result belief_at(const struct belief *b, uint64_t max_age_ns, uint64_t now_ns);

// The observer was late itself by so much: the results have not aged meanwhile.
void belief_forgive(struct belief *b, uint64_t duration_ns);

#ifdef __cplusplus
}
#endif
