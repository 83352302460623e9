// SPDX-License-Identifier: Apache-2.0
// Says what changed: one log line, one journal line and one history entry for each change of a verdict or an order.
//
// Loop thread only. Log lines are limited to a number per second; what was left out is counted and said.
#pragma once

#include "control/steering.h"

#ifdef __cplusplus
extern "C" {
#endif

struct steering_report {
    const struct config *config;
    const struct verdict_engine *engine;
    struct history *history;
    struct journal *journal;
    uint64_t window_ns; // of the line budget
    unsigned lines, suppressed;
    uint64_t last_heartbeat_ns[VERDICT_SITE_MAX][VERDICT_NODE_MAX]; // journalled
    uint8_t last_word[VERDICT_SITE_MAX][VERDICT_VOICE_MAX];         // journalled; 0: none
};

void steering_report_init(struct steering_report *report, const struct config *config,
                          const struct verdict_engine *engine, struct history *history, struct journal *journal);

// Compares the engine's verdicts with `reported` ([verdict_count]), reports the differences and updates it. Number of
// changes of state.
unsigned steering_report_verdicts(struct steering_report *report, struct verdict_site *reported, uint64_t evidence_ns,
                                  uint64_t now_ns);

// The same for default orders; `before` may be null (all are new). Number of changed orders.
unsigned steering_report_orders(struct steering_report *report, const struct steering_order *before,
                                const struct steering_order *after, uint64_t generation, uint64_t evidence_ns,
                                uint64_t decided_ns);

// After a reload: what was reported of sites that remain.
void steering_report_carry(const struct config *from, const struct verdict_site *old, const struct config *to,
                           struct verdict_site *reported);

// Heartbeats are journalled once in half a period, words of other nodes when they change, all else always.
bool steering_report_is_journalled(struct steering_report *report, const struct evidence_event *event);

// What is kept of an order.
struct steering_order steering_order_of(const struct policy_order *order);

// "ams fra", "ams fra (fail-open)", "NODATA". Returns `out`.
char *steering_order_text(const struct config_service *service, const struct steering_order *order, char *out,
                          size_t cap);

// "web: 0 of 1 good; 192.0.2.1:80 connection refused", what decided a verdict, for people. Returns `out`.
char *steering_verdict_why(const struct config *config, unsigned site, const struct verdict_site *verdict, char *out,
                           size_t cap);

#ifdef __cplusplus
}
#endif
