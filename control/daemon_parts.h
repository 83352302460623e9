// SPDX-License-Identifier: Apache-2.0
// What signpost-control consists of.
//
// libuv loop thread only. The admin socket, the metrics and the status page read the fields; only the files daemon*.c
// change them.
#pragma once

#include <limits.h>
#include <uv.h>

#include "control/heartbeats.h"
#include "control/operator_state.h"
#include "control/reload.h"
#include "control/steering.h"

#ifdef __cplusplus
extern "C" {
#endif

struct admin;
struct agent_server;
struct http_listener;
struct prober;

// What the last finished load of configuration and zones came to.
struct daemon_load {
    uint64_t wall_us, took_ns;                                        // of the last that was applied
    unsigned zones_loaded, zones_failed, zones_kept, services_failed; // kept: of the failed, the last good version
    uint64_t applied, refused;                                        // reloads since the start
    struct config_errors errors;                                      // of the last one, applied or not
};

struct daemon {
    uv_loop_t *loop;
    char config_path[PATH_MAX], operators_path[PATH_MAX];
    struct shared_config *shared;
    struct worker_watch *watch;
    struct publisher *publisher;
    struct worker_watch *standby_watch; // null: no standby is configured
    struct publisher *standby;          // mirror of `publisher`; null: none
    struct journal *journal;            // null: none
    struct steering *steering;
    struct prober *prober;
    struct heartbeats *heartbeats;
    struct admin *admin;
    struct http_listener *http;
    struct agent_server *agent; // null: none
    struct operator_states operators;
    struct daemon_load load;
    uint64_t started_ns, started_wall_us;
    bool has_zone; // a zone image was built
    // Own.
    struct reload *reload; // running; null: none
    void (*reload_done)(void *user, const struct reload *reload, bool is_applied);
    void *reload_user;
    uv_signal_t signal[3];
    uv_timer_t tick;
    unsigned ticks;
    bool is_stopping;
};

static inline const struct config *daemon_config(const struct daemon *daemon)
{
    return daemon->shared->config;
}

#ifdef __cplusplus
}
#endif
