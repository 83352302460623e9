// SPDX-License-Identifier: Apache-2.0
#include "control/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "control/admin.h"
#include "control/agent_server.h"
#include "control/daemon_evidence.h"
#include "control/daemon_operator.h"
#include "control/daemon_reload.h"
#include "control/http_status.h"
#include "control/probe_setup.h"
#include "control/ready.h"
#include "shared/clock.h"
#include "shared/http_listener.h"
#include "shared/log.h"

enum { TICK_MS = 100, TICKS_PER_S = 10 };

// ---- the data plane, and the standby beside it ----

static void note_connected(struct daemon *d, const char *which, const struct publisher_status *status, bool needs_newer)
{
    log_notice("%s: connected, pid %u, %u workers, version %s", which, status->pid, status->worker_count,
               status->version);
    if (!needs_newer)
        return;
    log_warning("%s: it holds newer images than ours (a clock went back): building them anew", which);
    daemon_reload(d, NULL, NULL);
    steering_renew(d->steering);
}

static void on_connected(void *user, bool needs_newer)
{
    struct daemon *d = user;
    note_connected(d, "data plane", publisher_status(d->publisher), needs_newer);
}

static void on_standby_connected(void *user, bool needs_newer)
{
    struct daemon *d = user;
    note_connected(d, "standby", publisher_status(d->standby), needs_newer);
}

static void note_disconnected(const char *which, const char *why)
{
    log_warning("%s: connection lost: %s; trying again every %d ms", which, why, PUBLISHER_RETRY_MS);
}

static void on_standby_disconnected(void *user, const char *why)
{
    (void)user;
    note_disconnected("standby", why);
}

static void on_disconnected(void *user, const char *why)
{
    (void)user;
    note_disconnected("data plane", why);
}

static void note_result(const char *which, enum image_kind kind, uint64_t generation, int status, const char *text)
{
    if (status < 0 && status != -EALREADY)
        log_error("%s: %s image %llu refused: %s", which, kind == IMAGE_ZONE ? "zone" : "order",
                  (unsigned long long)generation, text);
}

static void on_standby_result(void *user, enum image_kind kind, uint64_t generation, int status, const char *text)
{
    (void)user;
    note_result("standby", kind, generation, status, text);
}

static void on_result(void *user, enum image_kind kind, uint64_t generation, int status, const char *text)
{
    (void)user;
    note_result("data plane", kind, generation, status, text);
}

static void on_published(void *user, enum image_kind kind, uint64_t generation, uint64_t at_ns)
{
    struct daemon *d = user;
    if (kind == IMAGE_ORDER)
        steering_published(d->steering, generation, at_ns);
    ready_notify(d->steering, d->publisher);
}

// ---- signals and time ----

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;
    if (number != SIGHUP) {
        log_notice("signal %d: stopping; the data plane goes on answering", number);
        daemon_stop(d);
    } else if (daemon_reload(d, NULL, NULL) == -EBUSY) {
        log_warning("SIGHUP: a reload is running already");
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    heartbeats_update(d->heartbeats);
    if (++d->ticks % TICKS_PER_S)
        return;
    journal_flush(d->journal);
    daemon_operator_expire(d);
}

static void start_handles(struct daemon *d)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < 3; i++) {
        uv_signal_init(d->loop, &d->signal[i]);
        d->signal[i].data = d;
        uv_signal_start(&d->signal[i], on_signal, numbers[i]);
    }
    uv_timer_init(d->loop, &d->tick);
    d->tick.data = d;
    uv_timer_start(&d->tick, on_tick, TICK_MS, TICK_MS);
}

// ---- life ----

static void open_journal(struct daemon *d)
{
    const struct config_control *control = &daemon_config(d)->control;
    char path[PATH_MAX], why[256];
    snprintf(path, sizeof path, "%s/journal", control->state_dir);
    d->journal = journal_open(path, control->journal_max_bytes, why);
    if (!d->journal)
        log_warning("journal: %s; running without one", why);
    journal_config(d->journal, daemon_config(d), uv_hrtime());
}

static void make_standby(struct daemon *d, const char *socket_path)
{
    const struct publisher_callbacks callbacks = {on_standby_connected, on_standby_disconnected, on_standby_result,
                                                  NULL, d};
    if (!*socket_path)
        return;
    d->standby_watch = worker_watch_new();
    d->standby = d->standby_watch ? publisher_new(d->loop, socket_path, d->standby_watch, &callbacks) : NULL;
    if (!d->standby) {
        log_error("standby: no memory, or dataplane.standby_socket is too long a path; running without one");
        return;
    }
    publisher_set_mirror(d->publisher, d->standby);
    worker_watch_set_standby(d->watch, d->standby_watch);
}

static int make_parts(struct daemon *d)
{
    const struct publisher_callbacks callbacks = {on_connected, on_disconnected, on_result, on_published, d};
    const struct config *config = daemon_config(d);
    d->watch = worker_watch_new();
    d->publisher = d->watch ? publisher_new(d->loop, config->dataplane.socket, d->watch, &callbacks) : NULL;
    if (d->publisher)
        make_standby(d, config->dataplane.standby_socket);
    d->steering = d->publisher ? steering_new(d->loop, d->shared, d->publisher, d->journal) : NULL;
    return d->steering ? 0 : -ENOMEM;
}

int daemon_start(struct daemon *d, uv_loop_t *loop, const char *config_path, struct config *config)
{
    memset(d, 0, sizeof *d);
    d->loop = loop;
    d->shared = shared_config_new(config);
    if (!d->shared) {
        config_free(config);
        return -ENOMEM;
    }
    snprintf(d->config_path, sizeof d->config_path, "%s", config_path);
    snprintf(d->operators_path, sizeof d->operators_path, "%s/operator.state", config->control.state_dir);
    d->started_ns = uv_hrtime();
    d->started_wall_us = clock_wall_us();
    daemon_apply_log(config);
    if (mkdir(config->control.state_dir, 0750) < 0 && errno != EEXIST)
        log_warning("state_dir %s: %s", config->control.state_dir, strerror(errno));
    open_journal(d);
    start_handles(d);
    char why[256];
    int rc = make_parts(d);
    if (rc)
        log_error("cannot start: no memory, or dataplane.socket is too long a path");
    if (rc == 0) {
        d->admin = admin_start(d, why);
        rc = d->admin ? 0 : -EADDRINUSE;
        if (rc)
            log_error("%s", why);
    }
    if (rc == 0)
        rc = daemon_start_heartbeats(d);
    if (rc == 0) {
        daemon_operator_load(d);
        daemon_start_probes(d);
        d->http = http_status_start(d);
        d->agent = agent_server_start(d);
        rc = daemon_load_zones(d);
    }
    if (rc == 0)
        log_notice("signpost-control %s started as node %s, %u sites, %u services", SIGNPOST_VERSION, config->node.name,
                   config->site_count, config->service_count);
    return rc;
}

static void close_publishers(struct daemon *d)
{
    publisher_close(d->publisher);
    publisher_close(d->standby);
    d->publisher = d->standby = NULL;
}

static void steering_closed(void *user)
{
    struct daemon *d = user;
    d->steering = NULL;
    close_publishers(d);
}

void daemon_stop(struct daemon *d)
{
    if (d->is_stopping)
        return;
    d->is_stopping = true;
    for (unsigned i = 0; i < 3; i++)
        uv_close((uv_handle_t *)&d->signal[i], NULL);
    uv_close((uv_handle_t *)&d->tick, NULL);
    http_listener_close(d->http);
    agent_server_close(d->agent);
    admin_close(d->admin);
    if (d->prober)
        probe_setup_stop(d->prober);
    heartbeats_close(d->heartbeats);
    d->http = NULL;
    d->agent = NULL;
    d->admin = NULL;
    d->prober = NULL;
    d->heartbeats = NULL;
    if (d->steering)
        steering_close(d->steering, steering_closed, d);
    else
        close_publishers(d);
}

void daemon_fini(struct daemon *d)
{
    journal_close(d->journal);
    operator_states_fini(&d->operators);
    worker_watch_free(d->watch);
    worker_watch_free(d->standby_watch);
    config_errors_fini(&d->load.errors);
    shared_config_drop(d->shared);
}
