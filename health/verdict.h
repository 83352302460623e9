// SPDX-License-Identifier: Apache-2.0
// From evidence to verdicts: is a site available, and why.
//
// A pure state machine: the same configuration, events and times give the same verdicts, so an outage can be replayed
// and a simulator can drive it. No I/O, no clock; one thread at a time. Times are nanoseconds of one monotonic clock.
//
// How a site is judged (first rule that matches; the same table stands in verdict_test.cc):
//
//   operator says      | groups and balancers | heartbeats of its nodes | verdict
//   -------------------+----------------------+-------------------------+-------------------------
//   up, down, drain    | any                  | any                     | as the operator says
//   auto               | one is bad           | any                     | down
//   auto               | one is unknown       | any                     | unknown
//   auto               | all good or none     | required, not heard     | down
//   auto               | all good or none     | required, never yet     | unknown until the start-up wait ends, then
//   down auto               | all good or none     | heard, or not required  | up
//
// A group is good while `need` of its members are; a member changes after `rise` good or `fall` bad results in a row
// and is unknown when its last result is older than `max_age_ns`. A verdict changes at most once in `dwell_ns`; coming
// back may wait
// (`fail_back_delay_ns`) or need an operator (`is_fail_back_manual`).
#pragma once

#include "health/evidence.h"
#include "health/heartbeat_period.h"

#ifdef __cplusplus
extern "C" {
#endif

enum verdict_state { VERDICT_UNKNOWN, VERDICT_UP, VERDICT_DOWN, VERDICT_DRAIN };

// name, text for people.
#define VERDICT_REASONS(X)                                                                                             \
    X(STARTING, "waiting for the first round of evidence")                                                             \
    X(GOOD, "all evidence is good")                                                                                    \
    X(NO_EVIDENCE_ASKED, "nothing is configured that could speak against it")                                          \
    X(OPERATOR, "set by an operator")                                                                                  \
    X(GROUP_DOWN, "too few servers of a group are good")                                                               \
    X(BALANCER_DOWN, "the balancer says that it cannot serve")                                                         \
    X(HEARTBEAT_LOST, "no messages from the site's node")                                                              \
    X(EVIDENCE_OLD, "the evidence is too old")                                                                         \
    X(FAIL_BACK_DELAY, "good again, waiting for the fail-back delay")                                                  \
    X(FAIL_BACK_MANUAL, "good again, waiting for an operator")

enum verdict_reason {
#define VERDICT_ENUM(name, text) VERDICT_REASON_##name,
    VERDICT_REASONS(VERDICT_ENUM)
#undef VERDICT_ENUM
        VERDICT_REASON_COUNT
};

enum verdict_peer_rule { VERDICT_PEER_REQUIRED, VERDICT_PEER_ADVISORY, VERDICT_PEER_IGNORED };
enum verdict_balancer_role { VERDICT_BALANCER_REQUIRED, VERDICT_BALANCER_ALTERNATIVE, VERDICT_BALANCER_LOAD_ONLY };

enum {
    VERDICT_SITE_MAX = 64,
    VERDICT_GROUP_MAX = 64,    // per site
    VERDICT_MEMBER_MAX = 4096, // per group
    VERDICT_NODE_MAX = 16,     // per site
    VERDICT_NAME_CAP = 64
};

struct verdict_group_config {
    char name[VERDICT_NAME_CAP];
    bool is_required;
    uint32_t need, member_count;
    uint32_t rise, fall;
    uint64_t max_age_ns;
    uint64_t identity; // of what is probed and how: a group whose identity is unchanged keeps its state over a reload
};

struct verdict_balancer_config {
    enum verdict_balancer_role role;
    uint32_t rise, fall;
    uint64_t max_age_ns;
    uint64_t identity;
};

struct verdict_site_config {
    char name[VERDICT_NAME_CAP];
    bool is_self; // the site of this node: its own messages are not waited for
    struct verdict_group_config *group;
    unsigned group_count;
    struct verdict_balancer_config *balancer;
    unsigned balancer_count;
    unsigned node_count, nodes_need;
    enum verdict_peer_rule peer_rule;
    uint64_t dwell_ns, fail_back_delay_ns;
    bool is_fail_back_manual;
};

struct verdict_config {
    struct verdict_site_config *site;
    unsigned site_count;
    struct heartbeat_rule heartbeat;
    uint64_t start_wait_ns; // after this, missing first evidence counts as bad
};

struct verdict_site {
    enum verdict_state state;
    enum verdict_reason reason;
    enum evidence_reason evidence; // of the member or balancer that decided; EVIDENCE_REASON_NONE otherwise
    uint16_t group, member;        // which one
    bool is_in_doubt;              // something failed that does not decide yet: lower the TTL
    uint64_t since_ns;             // of the present state
    int32_t load_permille;         // latest, -1: not known
    uint64_t response_ns;          // moving average over its members, 0: not known
    int64_t lag_ms;                // -1: not known
    uint64_t heartbeat_age_ns;     // of the freshest node; UINT64_MAX: never heard
    enum evidence_operator operator_state;
    uint64_t operator_until_ns; // 0: until changed
    uint64_t came_up_ns;        // when it last became up, for ramps
    char detail[EVIDENCE_DETAIL_CAP];
};

// For display: what is believed of one member.
struct verdict_member {
    enum evidence_result belief;
    enum evidence_reason reason; // of its last result
    uint64_t last_ns, response_ns;
    uint32_t streak; // equal results in a row
};

struct verdict_engine;

// Copies the configuration. `now_ns` starts the start-up wait. Null when out of memory or outside the limits above.
struct verdict_engine *verdict_new(const struct verdict_config *config, uint64_t now_ns);
void verdict_free(struct verdict_engine *engine);

// A new configuration: sites are matched by name, groups, balancers by name and identity; what matches keeps its state,
// what is gone is forgotten. 0, -EINVAL, -ENOMEM; on failure nothing changes.
int verdict_reconfigure(struct verdict_engine *engine, const struct verdict_config *config, uint64_t now_ns);

// Takes one event. Indices outside the configuration are ignored (evidence of something just removed). True when a
// verdict, a doubt or a figure that decides about order may have changed: call verdict_tick next.
bool verdict_event(struct verdict_engine *engine, const struct evidence_event *event);

// Lets time pass and judges every site anew. True when the state, reason or doubt of any site changed.
bool verdict_tick(struct verdict_engine *engine, uint64_t now_ns);

// When verdict_tick could next change something without an event; UINT64_MAX: never.
uint64_t verdict_next_deadline_ns(const struct verdict_engine *engine, uint64_t now_ns);

unsigned verdict_site_count(const struct verdict_engine *engine);
const struct verdict_site *verdict_site(const struct verdict_engine *engine, unsigned site);

// True when every site has had its first round of evidence, or the start-up wait is over: answers may be published.
bool verdict_is_ready(const struct verdict_engine *engine, uint64_t now_ns);

// Members of a group for display. Null outside the configuration.
const struct verdict_member *verdict_member(const struct verdict_engine *engine, unsigned site, unsigned group,
                                            unsigned member);
const struct verdict_member *verdict_balancer(const struct verdict_engine *engine, unsigned site, unsigned balancer);

const char *verdict_state_text(enum verdict_state state);
const char *verdict_reason_text(enum verdict_reason reason);

#ifdef __cplusplus
}
#endif
