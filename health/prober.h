// SPDX-License-Identifier: Apache-2.0
// Runs probes and reads balancers at their intervals, and gives out what they saw as evidence.
//
// libuv loop thread only. Equal specifications share one real probe, whose result goes to everyone that asked for it.
// Starts are spread and jittered, so that thousands of probes do not fire together; at most a number of probes run at
// once against one address; a probe that is due while its last one still runs waits for it. When the loop itself is
// late, an EVIDENCE_STALL says for how long, before any result of that time.
#pragma once

#include <uv.h>

#include "health/balancer.h"
#include "health/evidence.h"
#include "health/probe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct prober_limits {
    uint32_t probes_max;     // distinct ones
    uint32_t per_target_max; // under way at once against one address
};

struct prober_stats {
    uint64_t probes; // distinct ones configured
    uint64_t started, finished, good, bad;
    uint64_t deferred; // starts that waited for a place at their target
    uint64_t stalls, stall_max_ns;
    uint64_t running;
};

struct prober;

typedef void (*prober_emit_fn)(void *user, const struct evidence_event *event);

struct prober *prober_new(uv_loop_t *loop, const struct prober_limits *limits, prober_emit_fn emit, void *user);

// 0; -E2BIG beyond the limit; -EINVAL for a specification that cannot work; -ENOMEM.
int prober_add_probe(struct prober *prober, const struct probe_spec *spec, uint16_t site, uint16_t group,
                     uint16_t member);
int prober_add_balancer(struct prober *prober, const struct balancer_spec *spec, uint16_t site, uint16_t balancer);

// Begins; everything must have been added.
void prober_start(struct prober *prober);

// No more evidence from now on; running probes are given up; memory is freed by the loop later, then `stopped` (may be
// null) is called.
void prober_stop(struct prober *prober, void (*stopped)(void *user), void *user);

// Says now, by EVIDENCE_STALL, if the loop was late. To be called before evidence from elsewhere is passed on: what
// waited in sockets while this process was not running comes before its timers do.
void prober_notice_stall(struct prober *prober);

void prober_measure(const struct prober *prober, struct prober_stats *stats);

#ifdef __cplusplus
}
#endif
