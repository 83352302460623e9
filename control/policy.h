// SPDX-License-Identifier: Apache-2.0
// The order policy: in which order a service's sites go into an answer, for each class of clients. Pure.
//
// The available sites stand in configured order; what an operator said of a site within this service stands over its
// verdict. Then the service's stages turn them, one after the other, each one stable: what it does not distinguish
// keeps its order. `explain` prints the trace of this very code.
//
//   stage            | turns the order by                                       | and
//   -----------------+----------------------------------------------------------+------------------------------
//   locality         | the list of sites of the client's region                 | or the distance to it
//   load             | sites over their high watermark go last, with hysteresis | `spill`: for a share of clients
//   response_time    | sites slower than the fastest by a tolerance go behind   |
//   replication_lag  | sites whose database lags too far go last                |
//   spread           | weights: the client's bucket draws the first site        | `sticky`: always the same one
//
// When no site is available the service's all-down rule decides: fail open (all addresses, in configured order, with an
// Extended DNS Error), NODATA, SERVFAIL, or last-resort addresses.
#pragma once

#include "control/config.h"
#include "control/overrides.h"
#include "health/verdict.h"
#include "table/order_image.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    POLICY_SITE_MAX = VERDICT_SITE_MAX,
    POLICY_STAGE_MAX = 8,
    POLICY_NOTE_CAP = 120,
    POLICY_EDE_FAIL_OPEN = 22 // RFC 8914 section 4.23: No Reachable Authority
};

// What the policy remembers between two runs, per service, by place in its list. Zeroed at start.
struct policy_state {
    bool is_over[POLICY_SITE_MAX];      // the watermarks' hysteresis
    float response_ns[POLICY_SITE_MAX]; // moving average with the stage's half-life; 0: not known
    uint64_t updated_ns;                // of the averages
};

struct policy_input {
    const struct config *config;
    unsigned service;                   // index into config->services
    const struct verdict_site *verdict; // [config->verdict_count]
    uint64_t now_ns;
    const struct overrides *overrides; // null: none
};

struct policy_trace {
    unsigned stage_count;
    struct {
        enum config_stage_type type;
        unsigned order[POLICY_SITE_MAX]; // places in the service's list, after the stage
        char note[POLICY_NOTE_CAP];      // what decided, for people
    } stage[POLICY_STAGE_MAX];
};

struct policy_order {
    enum order_mode mode;
    bool is_fail_open, is_last_resort;
    uint16_t ede; // 0: none
    uint32_t ttl_s;
    unsigned site_count;
    unsigned place[POLICY_SITE_MAX]; // places in the service's list, best first
};

// Is the site at this place available to this service? What an operator said of it within the service stands over the
// site's verdict; a site that serves but whose addresses are all withdrawn is drained.
enum verdict_state policy_member_state(const struct policy_input *input, unsigned place);

// Brings the hysteresis up to date; once per change, before the orders are asked for.
void policy_update(struct policy_state *state, const struct policy_input *input);

// The order for clients of a region (REGION_UNKNOWN or 1 + index into config->regions) and bucket. `trace` may be null.
void policy_decide(struct policy_order *order, const struct policy_state *state, const struct policy_input *input,
                   unsigned region, unsigned bucket, struct policy_trace *trace);

// Does the service's answer depend on the region, on the bucket? (enum order_service_flags; buckets: 1 or
// ORDER_BUCKET_MAX)
uint32_t policy_flags(const struct config *config, unsigned service);

#ifdef __cplusplus
}
#endif
