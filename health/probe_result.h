// SPDX-License-Identifier: Apache-2.0
// What one run of a probe or one reading of a balancer found. Plain values; any thread.
#pragma once

#include "health/evidence.h"

#ifdef __cplusplus
extern "C" {
#endif

struct probe_result {
    enum evidence_result result;
    enum evidence_reason reason;
    uint64_t response_ns;  // 0: none
    int32_t load_permille; // -1: not said
    uint64_t age_ns;       // of what was seen; 0: now
    char detail[EVIDENCE_DETAIL_CAP];
};

static inline struct probe_result probe_result_down(enum evidence_reason reason)
{
    struct probe_result r = {EVIDENCE_DOWN, reason, 0, -1, 0, ""};
    return r;
}

static inline struct probe_result probe_result_up(uint64_t response_ns)
{
    struct probe_result r = {EVIDENCE_UP, EVIDENCE_REASON_OK, response_ns, -1, 0, ""};
    return r;
}

// Says nothing about the server: a local fault, or an indication that cannot be read.
static inline struct probe_result probe_result_unknown(enum evidence_reason reason)
{
    struct probe_result r = {EVIDENCE_UNKNOWN, reason, 0, -1, 0, ""};
    return r;
}

// From a negative libuv or errno code: REFUSED, TIMEOUT, UNREACHABLE, RESET; what is our own fault (no descriptors, no
// memory, no permission) gives result UNKNOWN and reason LOCAL.
struct probe_result probe_result_error(int error);

// The detail, cut to its room, octets that are not printable ASCII replaced by '?': it may come from outside.
__attribute__((format(printf, 2, 3))) void probe_result_detail(struct probe_result *result, const char *format, ...);

#ifdef __cplusplus
}
#endif
