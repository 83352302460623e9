// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include "control/admin_commands.h"

enum { SERVICES_SHOWN = 50, OPERATORS_SHOWN = 50 };

static json_t *image_json(const struct publisher_kind_status *k)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:i, s:s}", "generation", (json_int_t)k->generation, "bytes",
                     (json_int_t)k->bytes, "accepted", (json_int_t)k->accepted, "published", (json_int_t)k->published,
                     "status", (int)k->status, "text", k->text);
}

static json_t *dataplane_json(struct daemon *d)
{
    const struct publisher_status *p = publisher_status(d->publisher);
    return json_pack("{s:b, s:b, s:i, s:i, s:s, s:o, s:I, s:o, s:o}", "connected", p->is_connected, "answering",
                     worker_watch_is_alive(d->watch, uv_hrtime()), "pid", (int)p->pid, "workers", (int)p->worker_count,
                     "version", p->version, "since", admin_age(p->since_ns), "connections", (json_int_t)p->connections,
                     "zone", image_json(&p->kind[0]), "order", image_json(&p->kind[1]));
}

// Null when none is configured.
static json_t *standby_json(struct daemon *d)
{
    if (!d->standby)
        return json_null();
    const struct publisher_status *p = publisher_status(d->standby);
    return json_pack("{s:b, s:b, s:i, s:s, s:o, s:o, s:o}", "connected", p->is_connected, "answering",
                     worker_watch_is_alive(d->standby_watch, uv_hrtime()), "pid", (int)p->pid, "version", p->version,
                     "since", admin_age(p->since_ns), "zone", image_json(&p->kind[0]), "order",
                     image_json(&p->kind[1]));
}

static json_t *latency_json(struct daemon *d)
{
    struct history_latency l;
    history_measure(steering_history(d->steering), &l);
    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "count", (json_int_t)l.count, "last", admin_seconds(l.last_ns),
                     "median", admin_seconds(l.median_ns), "p99", admin_seconds(l.p99_ns), "max",
                     admin_seconds(l.max_ns));
}

static json_t *load_json(const struct daemon_load *l)
{
    return json_pack("{s:I, s:o, s:i, s:i, s:i, s:I, s:I, s:i, s:i}", "at_us", (json_int_t)l->wall_us, "took",
                     admin_seconds(l->took_ns), "zones_loaded", (int)l->zones_loaded, "zones_failed",
                     (int)l->zones_failed, "services_failed", (int)l->services_failed, "applied",
                     (json_int_t)l->applied, "refused", (json_int_t)l->refused, "errors", (int)l->errors.error_count,
                     "warnings", (int)l->errors.warning_count);
}

// Alarms: what an operator should look at now.
static json_t *alarms_json(struct daemon *d)
{
    json_t *alarms = json_array();
    const struct config *config = daemon_config(d);
    if (!publisher_status(d->publisher)->is_connected)
        json_array_append_new(alarms, json_string(d->standby && worker_watch_is_alive(d->standby_watch, uv_hrtime())
                                                      ? "the data plane is not connected; the standby answers"
                                                      : "the data plane is not connected"));
    else if (!worker_watch_is_alive(d->watch, uv_hrtime()))
        json_array_append_new(alarms, json_string("the data plane's workers make no progress"));
    if (d->standby && !publisher_status(d->standby)->is_connected)
        json_array_append_new(alarms, json_string("the standby is not connected: a restart of the data plane would be "
                                                  "noticed"));
    for (unsigned i = 0; i < config->service_count && json_array_size(alarms) < SERVICES_SHOWN; i++) {
        const struct steering_order *order = steering_order(d->steering, i);
        if (order && (order->count == 0 || order->is_fail_open || order->is_last_resort))
            json_array_append_new(alarms, json_sprintf("service %s: no site is available", config->services[i].name));
    }
    if (d->load.zones_failed)
        json_array_append_new(alarms,
                              json_sprintf("%u zones have errors; %u of them are served from their last good version",
                                           d->load.zones_failed, d->load.zones_kept));
    if (d->load.services_failed)
        json_array_append_new(alarms, json_sprintf("%u services have no zone to live in", d->load.services_failed));
    if (d->load.errors.error_count)
        json_array_append_new(alarms, json_string("the last reload had errors: `signpostctl problems` lists them"));
    return alarms;
}

static json_t *operators_json(const struct daemon *d)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < d->operators.count && i < OPERATORS_SHOWN; i++)
        json_array_append_new(list, admin_operator_entry(&d->operators.entry[i]));
    return list;
}

enum admin_status admin_status_command(struct admin_call *call)
{
    struct daemon *d = call->daemon;
    const struct config *config = daemon_config(d);
    json_t *r = call->result;
    json_object_set_new(r, "version", json_string(SIGNPOST_VERSION));
    json_object_set_new(r, "node", json_string(config->node.name));
    json_object_set_new(r, "site", config->node.site ? json_string(config->node.site) : json_null());
    json_object_set_new(r, "pid", json_integer(getpid()));
    json_object_set_new(r, "uptime", admin_age(d->started_ns));
    json_object_set_new(r, "config", json_string(d->config_path));
    json_object_set_new(r, "ready", json_boolean(steering_is_ready(d->steering)));
    json_object_set_new(r, "alarms", alarms_json(d));
    json_object_set_new(r, "dataplane", dataplane_json(d));
    json_object_set_new(r, "standby", standby_json(d));
    json_object_set_new(r, "load", load_json(&d->load));
    json_object_set_new(r, "verdict_to_wire", latency_json(d));
    json_object_set_new(r, "operators", operators_json(d));
    json_object_set_new(r, "operator_count", json_integer(d->operators.count));
    json_object_set_new(r, "sites", admin_sites(d, false));
    json_object_set_new(r, "service_count", json_integer(config->service_count));
    json_object_set_new(r, "services", admin_services(d, NULL, SERVICES_SHOWN));
    return ADMIN_OK;
}
