// SPDX-License-Identifier: Apache-2.0
// signpost-control as a whole: owns the parts, starts and stops them, applies reloads and operators' words.
//
// libuv loop thread only. The admin socket, the metrics and the status page read the fields; only daemon.c and the
// functions below change them.
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

// Starts everything over a configuration that was read already; takes it over. 0, or a negative errno after the reason
// was logged.
int daemon_start(struct daemon *daemon, uv_loop_t *loop, const char *config_path, struct config *config);

// Stops everything; the loop then runs out of handles.
void daemon_stop(struct daemon *daemon);

// After the loop has ended.
void daemon_fini(struct daemon *daemon);

// Reads the configuration again and applies it as a whole, or not at all. `done` (may be null) is called once, later.
// -EBUSY: one is running.
int daemon_reload(struct daemon *daemon, void (*done)(void *user, const struct reload *reload, bool is_applied),
                  void *user);

struct daemon_operator_request {
    enum operator_kind kind;
    // Names, or globs for several (fnmatch): a site; a service, or SERVICE/SITE; an address.
    const char *pattern;
    enum evidence_operator state;
    const char *reason;   // may be empty
    uint64_t duration_ns; // 0: until changed
    bool is_forced;       // also when a service is left without any site
};

// What an operator says about sites, sites within services, or addresses; saved over restarts. Number of them; -ENOENT:
// nothing of that name; -EPERM: a service would have no site left; -ENOSPC: too many at once; another negative errno
// when it cannot be saved. Then nothing is done. The text for people is in `why`.
int daemon_operator(struct daemon *daemon, const struct daemon_operator_request *request, char why[512]);

static inline const struct config *daemon_config(const struct daemon *daemon)
{
    return daemon->shared->config;
}

#ifdef __cplusplus
}
#endif
