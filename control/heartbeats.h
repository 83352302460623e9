// SPDX-License-Identifier: Apache-2.0
// Runs the heartbeat link as the configuration says, feeds what it hears to the steering, and keeps what it tells true.
//
// libuv loop thread only.
#pragma once

#include <uv.h>

#include "control/steering.h"
#include "health/heartbeat_link.h"

#ifdef __cplusplus
extern "C" {
#endif

// What a peer last said, for display.
struct heartbeats_peer {
    char name[HEARTBEAT_NAME_CAP];
    int site_at; // CONFIG_NONE: a witness
    unsigned node_at;
    uint64_t heard_ns, messages; // CLOCK_MONOTONIC; 0: never
    struct heartbeat_message last;
};

struct heartbeats;

// `before` is called before received messages are passed on. Null with the reason in `why` when the address cannot be
// bound or memory is short. A configuration without keys or peers gives a quiet instance. `steering` and `watch` are
// borrowed.
struct heartbeats *heartbeats_start(uv_loop_t *loop, const struct config *config, struct steering *steering,
                                    struct worker_watch *watch, void (*before)(void *user), void *user, char why[256]);

// Stops the thread; memory is freed by the loop later. Null is legal.
void heartbeats_close(struct heartbeats *heartbeats);

// True when the new configuration needs the link to be started anew.
bool heartbeats_differ(const struct config *a, const struct config *b);

// Brings the outgoing message up to date with the verdicts; call after changes and every 100 ms.
void heartbeats_update(struct heartbeats *heartbeats);

#define HEARTBEATS_LAG_MAX_AGE_NS 10000000000ull

// Replication lag of this site's database for the message, told by `signpost-dbsync` every second through the admin
// socket; -1: not known, as is one older than HEARTBEATS_LAG_MAX_AGE_NS. Null is legal.
void heartbeats_set_lag(struct heartbeats *heartbeats, int64_t lag_ms);

unsigned heartbeats_peer_count(const struct heartbeats *heartbeats);
const struct heartbeats_peer *heartbeats_peer(const struct heartbeats *heartbeats, unsigned number);
void heartbeats_stats(struct heartbeats *heartbeats, struct heartbeat_link_stats *stats);

#ifdef __cplusplus
}
#endif
