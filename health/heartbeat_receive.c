// SPDX-License-Identifier: Apache-2.0
#include "health/heartbeat_receive.h"

#include <string.h>

enum heartbeat_verdict heartbeat_receive(struct heartbeat_receiver *r, const uint8_t *data, size_t len, uint64_t at_ns,
                                         uint64_t wall_us, struct heartbeat_received *received)
{
    struct heartbeat_message *m = &received->message;
    const enum heartbeat_verdict verdict = heartbeat_decode(m, data, len, r->key, r->key_count);
    if (verdict != HEARTBEAT_GOOD)
        return verdict;
    unsigned sender = 0;
    while (sender < r->sender_count && strcmp(r->sender[sender].name, m->node) != 0)
        sender++;
    if (sender == r->sender_count)
        return HEARTBEAT_UNKNOWN_NODE;
    const uint64_t difference_us = wall_us > m->wall_us ? wall_us - m->wall_us : m->wall_us - wall_us;
    if (r->clock_tolerance_ns && difference_us > r->clock_tolerance_ns / 1000)
        return HEARTBEAT_WRONG_TIME;
    if (!heartbeat_window_accept(&r->window[sender], m->incarnation, m->sequence))
        return HEARTBEAT_REPLAYED;
    received->sender = sender;
    received->event = (struct evidence_event){.at_ns = at_ns,
                                              .kind = EVIDENCE_HEARTBEAT,
                                              .site = r->sender[sender].site,
                                              .group = r->sender[sender].node,
                                              .result = EVIDENCE_UP,
                                              .reason = EVIDENCE_REASON_OK,
                                              .response_ns = (uint64_t)m->response_us * 1000,
                                              .load_permille = m->load_permille,
                                              .lag_ms = m->lag_ms};
    return HEARTBEAT_GOOD;
}

enum verdict_state heartbeat_word(const struct verdict_site *v, bool is_own_site)
{
    switch (v->reason) {
    case VERDICT_REASON_OPERATOR:
        if (!is_own_site)
            return VERDICT_UNKNOWN;
        return v->state == VERDICT_UP ? VERDICT_UP : VERDICT_DRAIN;
    case VERDICT_REASON_PEER_DRAIN:
    case VERDICT_REASON_PEER_WORD:
    case VERDICT_REASON_WITNESSED:
    case VERDICT_REASON_EVIDENCE_OLD:
    case VERDICT_REASON_EVIDENCE_MISSING:
    case VERDICT_REASON_NO_EVIDENCE_ASKED:
        return VERDICT_UNKNOWN;
    case VERDICT_REASON_STARTING:
    case VERDICT_REASON_GOOD:
    case VERDICT_REASON_GROUP_DOWN:
    case VERDICT_REASON_PAGE_DOWN:
    case VERDICT_REASON_BALANCER_DOWN:
    case VERDICT_REASON_HEARTBEAT_LOST:
    case VERDICT_REASON_BALANCER_SILENT:
    case VERDICT_REASON_FAIL_BACK_DELAY:
    case VERDICT_REASON_FAIL_BACK_MANUAL:
    case VERDICT_REASON_COUNT:
        break;
    }
    // A node that was late itself knows only how things were before.
    return v->is_confirmed ? v->state : VERDICT_UNKNOWN;
}

struct evidence_event heartbeat_word_event(uint64_t at_ns, unsigned site, unsigned voice, enum verdict_state said)
{
    return (struct evidence_event){.at_ns = at_ns,
                                   .kind = EVIDENCE_WORD,
                                   .site = (uint16_t)site,
                                   .group = (uint16_t)voice,
                                   .result = said == VERDICT_UP     ? EVIDENCE_UP
                                             : said == VERDICT_DOWN ? EVIDENCE_DOWN
                                                                    : EVIDENCE_UNKNOWN,
                                   .operator_state = said == VERDICT_DRAIN ? OPERATOR_DRAIN : OPERATOR_AUTO,
                                   .load_permille = -1,
                                   .lag_ms = -1};
}
