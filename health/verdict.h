// SPDX-License-Identifier: Apache-2.0
// From evidence to verdicts: is a site available, and why.
//
// A pure state machine: the same configuration, events and times give the same verdicts, so an outage can be replayed
// and a simulator can drive it. No I/O, no clock; one thread at a time. Times are nanoseconds of one monotonic clock.
//
// How a site is judged stands as data in verdict_rules.c and is printed in docs/verdicts.md. The rest:
//
// - A group is good while `need` of its members are; a member changes after `rise` good or `fall` bad results in a row,
//   and is unknown when its last result is older than `max_age_ns`.
// - A verdict once given never goes back to unknown. Evidence that is missing when the start-up wait is over counts as
//   bad; evidence that has grown old leaves the verdict as it was.
// - A verdict changes at most once in `dwell_ns`; coming back may wait (`fail_back_delay_ns`) or need an operator
//   (`is_fail_back_manual`). An operator's word changes it at once.
// - A service may ask for some groups of a site only: each such choice is a view of the site with a verdict of its own.
//   View 0 of a site is the site with all its groups.
#pragma once

#include "health/belief.h"
#include "health/heartbeat_period.h"
#include "health/verdict_rules.h"

#ifdef __cplusplus
extern "C" {
#endif

enum verdict_peer_rule { VERDICT_PEER_REQUIRED, VERDICT_PEER_ADVISORY, VERDICT_PEER_IGNORED };
enum verdict_balancer_role { VERDICT_BALANCER_REQUIRED, VERDICT_BALANCER_ALTERNATIVE, VERDICT_BALANCER_LOAD_ONLY };

enum {
    VERDICT_SITE_MAX = 64,
    VERDICT_GROUP_MAX = 64,    // per site
    VERDICT_MEMBER_MAX = 4096, // per group
    VERDICT_NODE_MAX = 16,     // per site
    VERDICT_VOICE_MAX = 256,   // other nodes that speak about sites
    VERDICT_VIEW_MAX = 64,     // per site
    VERDICT_NAME_CAP = 64
};

struct verdict_group_config {
    char name[VERDICT_NAME_CAP];
    bool is_required;
    bool is_page; // looks for the database server's name in a page (claims 4 to 6)
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

struct verdict_view_config {
    uint64_t mask;     // bit n: group n counts
    uint64_t identity; // of the names of these groups: a view whose identity is unchanged keeps its state
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
    struct verdict_view_config *view; // beside view 0
    unsigned view_count;
    uint64_t dwell_ns, fail_back_delay_ns;
    bool is_fail_back_manual;
};

struct verdict_config {
    struct verdict_site_config *site;
    unsigned site_count;
    struct heartbeat_rule heartbeat;
    uint64_t start_wait_ns; // after this, missing first evidence counts as bad
    // Other nodes, numbered as EVIDENCE_WORD events number them: the site each belongs to, -1 for none.
    int16_t voice_site[VERDICT_VOICE_MAX];
    unsigned voice_count;
};

// The verdict of a view of a site.
struct verdict_site {
    enum verdict_state state;
    enum verdict_reason reason;
    enum evidence_reason evidence; // of the member or balancer that decided; EVIDENCE_REASON_NONE otherwise
    uint16_t group, member;        // which one
    bool is_confirmed;             // the site was seen or heard since this process was last late: fit to be told others
    bool is_in_doubt;              // something failed that does not decide yet: lower the TTL
    uint64_t since_ns;             // of the present state
    int32_t load_permille;         // latest, -1: not known
    uint64_t response_ns;          // average over its good members, 0: not known
    int64_t lag_ms;                // -1: not known
    uint64_t heartbeat_age_ns;     // of the freshest node; UINT64_MAX: never heard
    enum evidence_operator operator_state;
    uint64_t operator_until_ns; // 0: until changed
    uint64_t came_up_ns;        // when it last became up, for ramps
    char detail[EVIDENCE_DETAIL_CAP];
};

struct verdict_engine;

// Copies the configuration. `now_ns` starts the start-up wait. Null when out of memory or outside the limits above.
struct verdict_engine *verdict_new(const struct verdict_config *config, uint64_t now_ns);
void verdict_free(struct verdict_engine *engine);

// A new configuration: sites are matched by name, groups, balancers by name and identity; what matches keeps its state,
// what is gone is forgotten. 0, -EINVAL, -ENOMEM; on failure nothing changes.
int verdict_reconfigure(struct verdict_engine *engine, const struct verdict_config *config, uint64_t now_ns);

// Takes one event, in a time that does not depend on how many members there are. Indices outside the configuration are
// ignored (evidence of something just removed). True when a verdict or a doubt may have changed: call verdict_tick
// next. Figures (load, response time, lag) alone are no reason; they are in the verdicts after the next tick.
bool verdict_event(struct verdict_engine *engine, const struct evidence_event *event);

// Lets time pass and judges every site anew. True when the state, reason or doubt of any site changed.
bool verdict_tick(struct verdict_engine *engine, uint64_t now_ns);

// When verdict_tick could next change something without an event; UINT64_MAX: never. Not after `now_ns` when something
// fell due since the last tick.
uint64_t verdict_next_deadline_ns(const struct verdict_engine *engine, uint64_t now_ns);

unsigned verdict_site_count(const struct verdict_engine *engine);
const struct verdict_site *verdict_of_site(const struct verdict_engine *engine, unsigned site); // its view 0

// All views, numbered through: the views of site 0, those of site 1, and so on.
unsigned verdict_view_count(const struct verdict_engine *engine);
const struct verdict_site *verdict_view(const struct verdict_engine *engine, unsigned view);

// True when every site has had its first round of evidence, or the start-up wait is over: answers may be published.
bool verdict_is_ready(const struct verdict_engine *engine, uint64_t now_ns);

// Members of a group for display. Null outside the configuration.
const struct belief *verdict_member(const struct verdict_engine *engine, unsigned site, unsigned group,
                                    unsigned member);
const struct belief *verdict_balancer(const struct verdict_engine *engine, unsigned site, unsigned balancer);

// What the rules were asked for a site's view 0 at the last tick, for display. False outside the configuration.
bool verdict_site_inputs(const struct verdict_engine *engine, unsigned site, struct verdict_inputs *inputs);

#ifdef __cplusplus
}
#endif
