// SPDX-License-Identifier: Apache-2.0
#include "health/belief.h"

#include <string.h>

bool belief_take(struct belief *b, uint32_t rise, uint32_t fall, const struct evidence_event *e)
{
    const enum evidence_result before = b->state;
    const enum evidence_reason reason_before = b->reason;
    const bool is_first = b->last_ns == 0;
    if (e->at_ns < b->last_ns)
        return false;
    const bool was_good = b->reason == EVIDENCE_REASON_OK, is_good = e->result == EVIDENCE_UP;
    b->streak = b->last_ns && was_good == is_good ? b->streak + (b->streak < UINT32_MAX) : 1;
    b->reason = is_good ? EVIDENCE_REASON_OK : e->reason == EVIDENCE_REASON_OK ? EVIDENCE_REASON_MISMATCH : e->reason;
    b->last_ns = e->at_ns ? e->at_ns : 1;
    b->trouble = EVIDENCE_REASON_NONE;
    memcpy(b->detail, e->detail, sizeof b->detail);
    if (is_good && (b->state == EVIDENCE_UNKNOWN || b->streak >= rise))
        b->state = EVIDENCE_UP;
    if (!is_good && (b->state == EVIDENCE_UNKNOWN || b->streak >= fall))
        b->state = EVIDENCE_DOWN;
    if (is_good && e->response_ns)
        b->response_ns = b->response_ns ? b->response_ns - b->response_ns / 8 + e->response_ns / 8 : e->response_ns;
    return is_first || b->state != before || b->reason != reason_before;
}

void belief_trouble(struct belief *b, const struct evidence_event *e)
{
    b->trouble = e->reason;
    memcpy(b->detail, e->detail, sizeof b->detail);
}

enum evidence_result belief_at(const struct belief *b, uint64_t max_age_ns, uint64_t now_ns)
{
    if (b->last_ns == 0 || (max_age_ns && now_ns > b->last_ns && now_ns - b->last_ns > max_age_ns))
        return EVIDENCE_UNKNOWN;
    return b->state;
}

void belief_forgive(struct belief *b, uint64_t duration_ns)
{
    if (b->last_ns)
        b->last_ns += duration_ns;
}
