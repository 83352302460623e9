// SPDX-License-Identifier: Apache-2.0
// The period rule: a node is heard while at least one of its messages arrives in each of a number of time periods
// (claims 7, 8).
//
// Pure; the clock is passed in. Periods run from the first message of an unbroken run. A node that was not heard
// becomes heard once each of `periods` periods in a row had a message; a node that is heard stops being so when
// `periods` whole periods have passed since its last message. One empty period already is a doubt. The two edges differ
// on purpose: a rule that fell at the first empty period would follow each scheduling hiccup of either machine.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct heartbeat_rule {
    uint64_t period_ns; // at least twice the sending interval, or a single lost message empties a period
    uint32_t periods;
};

// Zeroed: never heard. One per node.
struct heartbeat_period {
    uint64_t run_start_ns; // first message of the present run
    uint64_t last_ns;      // latest message; 0: none yet
    uint32_t filled;       // periods of the run that had a message, without a gap
    bool is_heard;
};

// A message arrived. Messages of the past (delayed reports) never turn the clock back.
void heartbeat_period_message(struct heartbeat_period *p, const struct heartbeat_rule *rule, uint64_t at_ns);

// Applies the passing of time. True while the node is heard.
bool heartbeat_period_is_heard(struct heartbeat_period *p, const struct heartbeat_rule *rule, uint64_t now_ns);

// At least one whole period without a message.
bool heartbeat_period_is_in_doubt(const struct heartbeat_period *p, const struct heartbeat_rule *rule, uint64_t now_ns);

// The listener was late itself: the silence of that time says nothing.
void heartbeat_period_forgive(struct heartbeat_period *p, uint64_t duration_ns);

#ifdef __cplusplus
}
#endif
