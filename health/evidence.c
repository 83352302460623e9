// SPDX-License-Identifier: Apache-2.0
#include "health/evidence.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *evidence_reason_text(enum evidence_reason reason)
{
    static const char *const text[] = {
#define EVIDENCE_TEXT(name, text) text,
        EVIDENCE_REASONS(EVIDENCE_TEXT)
#undef EVIDENCE_TEXT
    };
    return (unsigned)reason < EVIDENCE_REASON_COUNT ? text[reason] : "unknown reason";
}

const char *evidence_reason_name(enum evidence_reason reason)
{
    static const char *const name[] = {"none",
                                       "ok",
                                       "refused",
                                       "timeout",
                                       "unreachable",
                                       "reset",
                                       "tls",
                                       "protocol",
                                       "status",
                                       "keyword-missing",
                                       "keyword-forbidden",
                                       "too-large",
                                       "mismatch",
                                       "exit-status",
                                       "balancer-down",
                                       "unreadable",
                                       "local"};
    static_assert(sizeof name / sizeof *name == EVIDENCE_REASON_COUNT, "a name for each reason");
    return (unsigned)reason < EVIDENCE_REASON_COUNT ? name[reason] : "unknown";
}

int evidence_format(char out[EVIDENCE_LINE_CAP], const struct evidence_event *e)
{
    char detail[EVIDENCE_DETAIL_CAP];
    memcpy(detail, e->detail, sizeof detail);
    detail[sizeof detail - 1] = '\0';
    for (char *p = detail; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    int len = snprintf(out, EVIDENCE_LINE_CAP,
                       "%" PRIu64 " %d %u %u %u %d %d %d %" PRIu64 " %" PRIu64 " %" PRId32 " %" PRId64 " %s", e->at_ns,
                       (int)e->kind, e->site, e->group, e->member, (int)e->result, (int)e->reason,
                       (int)e->operator_state, e->response_ns, e->duration_ns, e->load_permille, e->lag_ms, detail);
    return len < EVIDENCE_LINE_CAP ? len : -ENOSPC;
}

int evidence_parse(struct evidence_event *e, const char *line)
{
    unsigned kind, site, group, member, result, reason, operator_state;
    int used = 0;
    memset(e, 0, sizeof *e);
    int fields = sscanf(line, "%" SCNu64 " %u %u %u %u %u %u %u %" SCNu64 " %" SCNu64 " %" SCNd32 " %" SCNd64 "%n",
                        &e->at_ns, &kind, &site, &group, &member, &result, &reason, &operator_state, &e->response_ns,
                        &e->duration_ns, &e->load_permille, &e->lag_ms, &used);
    if (fields != 12 || kind > EVIDENCE_FIGURES || site > UINT16_MAX || group > UINT16_MAX || member > UINT16_MAX ||
        result > EVIDENCE_DOWN || reason >= EVIDENCE_REASON_COUNT || operator_state > OPERATOR_DRAIN)
        return -EINVAL;
    e->kind = (enum evidence_kind)kind;
    e->site = (uint16_t)site;
    e->group = (uint16_t)group;
    e->member = (uint16_t)member;
    e->result = (enum evidence_result)result;
    e->reason = (enum evidence_reason)reason;
    e->operator_state = (enum evidence_operator)operator_state;
    if (line[used] == ' ')
        snprintf(e->detail, sizeof e->detail, "%s", line + used + 1);
    return 0;
}
