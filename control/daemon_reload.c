// SPDX-License-Identifier: Apache-2.0
#include "control/daemon_reload.h"

#include <errno.h>
#include <string.h>

#include "control/agent_server.h"
#include "control/daemon_evidence.h"
#include "control/daemon_operator.h"
#include "control/http_status.h"
#include "control/probe_setup.h"
#include "control/restart_due.h"
#include "shared/clock.h"
#include "shared/http_listener.h"
#include "shared/log.h"

void daemon_apply_log(const struct config *config)
{
    static const enum log_level levels[] = {[CONFIG_LOG_ERROR] = LOG_LEVEL_ERROR,
                                            [CONFIG_LOG_WARNING] = LOG_LEVEL_WARNING,
                                            [CONFIG_LOG_NOTICE] = LOG_LEVEL_NOTICE,
                                            [CONFIG_LOG_INFO] = LOG_LEVEL_INFO,
                                            [CONFIG_LOG_DEBUG] = LOG_LEVEL_DEBUG};
    log_setup(levels[config->control.log_level], config->control.log_format == CONFIG_LOG_JSON);
}

static void log_errors(const struct config_errors *errors)
{
    char line[CONFIG_ERROR_TEXT_CAP + 512];
    for (unsigned i = 0; i < errors->count; i++)
        log_write(errors->entry[i].level == CONFIG_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "%s",
                  config_error_format(&errors->entry[i], line, sizeof line));
}

static void keep_errors(struct daemon *d, struct reload *r)
{
    config_errors_fini(&d->load.errors);
    d->load.errors = r->errors;
    r->errors = (struct config_errors){0};
}

static void note_load(struct daemon *d, const struct reload *r)
{
    d->load.wall_us = clock_wall_us();
    d->load.took_ns = r->took_ns;
    d->load.zones_loaded = r->zone.zones_loaded;
    d->load.zones_failed = r->zone.zones_failed;
    d->load.zones_kept = r->zone.zones_kept;
    d->load.services_failed = r->zone.services_failed;
    log_notice("zones: %u loaded, %u with errors (%u of them served from the last good version), in %.3f s",
               r->zone.zones_loaded, r->zone.zones_failed, r->zone.zones_kept, (double)r->took_ns / 1e9);
}

static bool endpoints_differ(const struct config_endpoint *a, const struct config_endpoint *b)
{
    return a->port != b->port || !config_address_equal(&a->address, &b->address);
}

static void restart_servers(struct daemon *d, const struct config *old)
{
    const struct config_control *now = &daemon_config(d)->control;
    if (endpoints_differ(&now->agent, &old->control.agent)) {
        agent_server_close(d->agent);
        d->agent = agent_server_start(d);
    }
    if (endpoints_differ(&now->metrics, &old->control.metrics)) {
        http_listener_close(d->http);
        d->http = http_status_start(d);
    }
}

// Everything that can fail comes before anything is changed.
static bool apply_config(struct daemon *d, struct reload *r)
{
    const struct config *next = r->shared->config;
    const bool heartbeats_change = heartbeats_differ(daemon_config(d), next);
    if (steering_reconfigure(d->steering, r->shared) < 0) {
        log_error("reload: no memory for the new configuration; the old one stays");
        return false;
    }
    struct shared_config *old = d->shared;
    d->shared = shared_config_hold(r->shared);
    daemon_apply_log(next);
    journal_config(d->journal, next, uv_hrtime());
    daemon_operator_apply(d);
    restart_servers(d, old->config);
    probe_setup_stop(d->prober);
    daemon_start_probes(d);
    if (heartbeats_change) {
        heartbeats_close(d->heartbeats);
        d->heartbeats = NULL;
        if (daemon_start_heartbeats(d) < 0)
            log_error("reload: this node sends and hears no heartbeats now");
    }
    shared_config_drop(old);
    return true;
}

static void on_reload_done(void *user, struct reload *r)
{
    struct daemon *d = user;
    bool is_applied = r->rc == 0;
    d->reload = NULL;
    if (d->is_stopping) {
        reload_free(r);
        return;
    }
    if (is_applied && r->shared != d->shared)
        restart_due_report(daemon_config(d), r->shared->config, d->config_path, &r->errors);
    log_errors(&r->errors);
    if (is_applied && r->shared != d->shared)
        is_applied = apply_config(d, r);
    if (is_applied) {
        publisher_set(d->publisher, IMAGE_ZONE, r->fd, r->zone.len, r->generation);
        r->fd = -1;
        d->has_zone = true;
        d->load.applied++;
        note_load(d, r);
    } else {
        d->load.refused++;
        log_error("reload refused (%s): nothing was changed",
                  r->rc == -EINVAL ? "the errors are above" : strerror(-r->rc));
    }
    if (d->reload_done)
        d->reload_done(d->reload_user, r, is_applied);
    d->reload_done = NULL;
    keep_errors(d, r);
    reload_free(r);
}

static int start_reload(struct daemon *d, struct shared_config *shared,
                        void (*done)(void *user, const struct reload *reload, bool is_applied), void *user)
{
    if (d->reload)
        return -EBUSY;
    d->reload = reload_start(d->loop, d->config_path, shared, publisher_next_generation(d->publisher, IMAGE_ZONE),
                             on_reload_done, d);
    if (!d->reload)
        return -ENOMEM;
    d->reload_done = done;
    d->reload_user = user;
    return 0;
}

int daemon_reload(struct daemon *d, void (*done)(void *user, const struct reload *reload, bool is_applied), void *user)
{
    return start_reload(d, NULL, done, user);
}

int daemon_load_zones(struct daemon *d)
{
    return start_reload(d, d->shared, NULL, NULL);
}
