// SPDX-License-Identifier: Apache-2.0
// The decision centre: events in, verdicts by the engine, orders by the policy, images out to the publisher.
//
// libuv loop thread only; images are built on a worker thread, one at a time, always the newest state. A change of
// verdict is built at once; a change of figures only (load, response time) at most every 100 ms; and without any change
// an image is renewed often enough that it never looks stale. Each change is logged, journalled and kept in the
// history.
#pragma once

#include <uv.h>

#include "control/history.h"
#include "control/journal.h"
#include "control/operator_state.h"
#include "control/policy.h"
#include "control/publisher.h"
#include "control/shared_config.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { STEERING_PLACES = 16 };

// The order for clients of no region, as shown by `services`; longer lists are cut.
struct steering_order {
    uint8_t count, mode; // mode: enum order_mode
    bool is_fail_open, is_last_resort;
    uint8_t place[STEERING_PLACES];
    uint32_t ttl_s;
};

struct steering_stats {
    uint64_t events, verdict_changes, order_changes, images_built, images_equal, build_errors, build_last_ns;
    uint64_t stalls, stalled_ns;
};

struct steering;

// `publisher`, `journal` (may be null) are borrowed and outlive it. Holds `config`. Null: out of memory or too many
// sites.
struct steering *steering_new(uv_loop_t *loop, struct shared_config *config, struct publisher *publisher,
                              struct journal *journal);

// Stops timers, and frees when the running build is over. `closed` is called last.
void steering_close(struct steering *steering, void (*closed)(void *user), void *user);

// Changes to another configuration; what is unchanged keeps its state. On failure (-EINVAL, -ENOMEM) nothing changes.
// The caller sends the zone image that fits first.
int steering_reconfigure(struct steering *steering, struct shared_config *config);

// What operators say of services and addresses from now on; `states` is borrowed, and looked at again when the
// configuration changes. 0, or -ENOMEM: the old ones stay.
int steering_operators(struct steering *steering, const struct operator_states *states);
const struct overrides *steering_overrides(const struct steering *steering); // null: none

// An observation. Journalled unless it is a heartbeat within half a period of the last journalled one.
void steering_event(struct steering *steering, const struct evidence_event *event);

// Builds and sends an image with a new generation even if nothing changed.
void steering_renew(struct steering *steering);

// The data plane has this order image on the wire since `at_ns`.
void steering_published(struct steering *steering, uint64_t generation, uint64_t at_ns);

const struct config *steering_config(const struct steering *steering);
const struct verdict_engine *steering_engine(const struct steering *steering);
const struct verdict_site *steering_site(const struct steering *steering, unsigned site);
const struct policy_state *steering_policy_state(const struct steering *steering, unsigned service);
const struct steering_order *steering_order(const struct steering *steering, unsigned service); // null: not built yet
struct history *steering_history(struct steering *steering);
const struct steering_stats *steering_stats(const struct steering *steering);
bool steering_is_ready(const struct steering *steering);

// Copies of all verdicts, as the policy wants them: [config->verdict_count], to be freed. Null: no memory.
struct verdict_site *steering_verdicts(const struct steering *steering);

#ifdef __cplusplus
}
#endif
