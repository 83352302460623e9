// SPDX-License-Identifier: Apache-2.0
// The verdict engine's state, between taking events (verdict.c) and judging (verdict_judge.c).
#pragma once

#include "health/verdict.h"

struct group {
    struct verdict_group_config config;
    struct belief *member;
};

struct balancer {
    struct verdict_balancer_config config;
    struct belief belief;
};

struct voice {
    uint64_t last_ns; // 0: never spoke
    uint8_t word;     // CELL_WORD_*, 0: it does not know
};

struct view {
    struct verdict_view_config config;
    struct verdict_site verdict;
    struct verdict_inputs inputs; // of the last judgement
    uint64_t good_since_ns;       // evidence has been good without a break since then; 0: it is not
    bool has_been_up, is_released;
};

struct site {
    struct verdict_site_config config; // its pointers are null: what they point to stands below
    struct group *group;
    struct balancer *balancer;
    struct view *view; // [view_count]
    unsigned view_count;
    struct voice *voice; // [voice_count]
    struct heartbeat_period node[VERDICT_NODE_MAX];
    enum evidence_operator operator_state;
    uint64_t operator_until_ns;
    char detail[EVIDENCE_DETAIL_CAP];
    int32_t load_permille;
    int64_t lag_ms;
    uint64_t peer_response_ns; // the site's own figure
    uint64_t heartbeat_age_ns;
    uint64_t seen_ns; // when evidence last came: of heartbeats where they are asked for, else of probes and balancers
};

struct verdict_engine {
    struct site *site;
    unsigned site_count;
    struct heartbeat_rule heartbeat;
    uint64_t start_ns, start_wait_ns;
    uint64_t judged_ns; // the last tick; 0: none yet
    uint64_t stall_ns;  // end of this process's last lateness; 0: none
    int16_t voice_site[VERDICT_VOICE_MAX];
    unsigned voice_count;
};

// Judges all views of one site at `now_ns`. True when a state, reason or doubt changed.
bool verdict_judge_site(const struct verdict_engine *engine, unsigned number, uint64_t now_ns);
