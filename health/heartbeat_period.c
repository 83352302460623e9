// SPDX-License-Identifier: Apache-2.0
#include "health/heartbeat_period.h"

void heartbeat_period_message(struct heartbeat_period *p, const struct heartbeat_rule *rule, uint64_t at_ns)
{
    if (p->last_ns && at_ns <= p->last_ns)
        return;
    heartbeat_period_is_heard(p, rule, at_ns);
    // The period of the run into which this message falls, counted from 1.
    const uint64_t number = p->filled ? (at_ns - p->run_start_ns) / rule->period_ns + 1 : 0;
    if (p->filled == 0 || number > (uint64_t)p->filled + 1) { // an empty period broke the run
        p->run_start_ns = at_ns;
        p->filled = 1;
    } else if (number == (uint64_t)p->filled + 1 && p->filled < UINT32_MAX) {
        p->filled++;
    }
    p->last_ns = at_ns;
    if (p->filled >= rule->periods)
        p->is_heard = true;
}

bool heartbeat_period_is_heard(struct heartbeat_period *p, const struct heartbeat_rule *rule, uint64_t now_ns)
{
    if (p->is_heard && now_ns > p->last_ns && now_ns - p->last_ns >= rule->period_ns * rule->periods) {
        p->is_heard = false;
        p->filled = 0;
    }
    return p->is_heard;
}

bool heartbeat_period_is_in_doubt(const struct heartbeat_period *p, const struct heartbeat_rule *rule, uint64_t now_ns)
{
    return now_ns > p->last_ns && now_ns - p->last_ns >= rule->period_ns;
}

void heartbeat_period_forgive(struct heartbeat_period *p, uint64_t duration_ns)
{
    if (!p->last_ns)
        return;
    p->last_ns += duration_ns;
    p->run_start_ns += duration_ns;
}
