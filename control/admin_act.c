// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/admin_commands.h"
#include "control/daemon_operator.h"
#include "control/daemon_reload.h"

enum { DURATION_MAX_S = 366 * 86400 };

json_t *admin_operator_entry(const struct operator_entry *e)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "kind", operator_kind_name(e->kind), "name", e->name, "state",
                     operator_state_name(e->state), "reason", e->reason, "said_at", (json_int_t)e->said_s, "until",
                     (json_int_t)e->until_s);
}

static bool has_other_nodes(const struct config *config)
{
    for (unsigned i = 0; i < config->site_count; i++)
        for (unsigned k = 0; k < config->sites[i].node_count; k++)
            if (strcmp(config->sites[i].nodes[k].name, config->node.name) != 0)
                return true;
    return false;
}

// What the other nodes make of it. They follow only a drain of the site that this node stands in, and its end, which
// its heartbeats tell; all else is said to this node alone.
static const char *elsewhere(const struct config *config, const struct daemon_operator_request *request)
{
    const bool is_told = config->heartbeat.share_verdicts && request->kind == OPERATOR_OF_SITE && config->node.site &&
                         strcmp(request->pattern, config->node.site) == 0 &&
                         (request->state == OPERATOR_DRAIN || request->state == OPERATOR_AUTO);
    return !has_other_nodes(config) ? "none" : is_told ? "follow" : "not told";
}

enum admin_status admin_operator_command(struct admin_call *call)
{
    bool is_bad = false;
    struct daemon_operator_request request = {.pattern = admin_text(call, "name", OPERATOR_NAME_CAP - 1, &is_bad),
                                              .reason = admin_text(call, "reason", EVIDENCE_DETAIL_CAP - 1, &is_bad),
                                              .is_forced = admin_flag(call, "force", &is_bad)};
    const char *kind = admin_text(call, "kind", 8, &is_bad), *state = admin_text(call, "state", 8, &is_bad);
    const int64_t duration_s = admin_number(call, "for", 0, &is_bad);
    if (is_bad || !request.pattern || !kind || operator_kind_parse(kind, &request.kind) < 0 || !state ||
        operator_state_parse(state, &request.state) < 0)
        return admin_usage(call,
                           "wanted: site NAME, service NAME[/SITE] or address ADDRESS, then up|down|drain|auto, a "
                           "reason of at most %d characters",
                           EVIDENCE_DETAIL_CAP - 1);
    if (request.kind == OPERATOR_OF_ADDRESS && request.state == OPERATOR_UP)
        return admin_usage(call, "an address is withdrawn (down, drain) or not (auto); \"up\" is said of sites and "
                                 "services");
    if (duration_s < 0 || duration_s > DURATION_MAX_S)
        return admin_usage(call, "a state lasts from 1 second to 366 days");
    request.duration_ns = (uint64_t)duration_s * 1000000000u;
    request.reason = request.reason ? request.reason : "";
    const int count = daemon_operator(call->daemon, &request, call->error);
    if (count < 0)
        return ADMIN_REFUSED;
    json_object_set_new(call->result, "kind", json_string(kind));
    json_object_set_new(call->result, "count", json_integer(count));
    json_object_set_new(call->result, "other_nodes", json_string(elsewhere(daemon_config(call->daemon), &request)));
    return ADMIN_OK;
}

// {"command":"lag","ms":1234}: how old this site's data may be, from the database synchronisation.
enum admin_status admin_lag_command(struct admin_call *call)
{
    bool is_bad = false;
    const int64_t ms = admin_number(call, "ms", -1, &is_bad);
    if (is_bad || ms < 0 || ms > INT32_MAX)
        return admin_usage(call, "wanted: lag with ms, 0 to %d", INT32_MAX);
    heartbeats_set_lag(call->daemon->heartbeats, ms);
    return ADMIN_OK;
}

json_t *admin_problems(const struct config_errors *errors)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < errors->count; i++) {
        const struct config_error *e = &errors->entry[i];
        json_array_append_new(list, json_pack("{s:s, s:s?, s:i, s:s?, s:s}", "level",
                                              e->level == CONFIG_ERROR ? "error" : "warning", "file", e->file, "line",
                                              (int)e->line, "key", e->key, "text", e->text));
    }
    return list;
}

static void reload_done(void *user, const struct reload *r, bool is_applied)
{
    json_t *result =
        json_pack("{s:b, s:i, s:i, s:i, s:o, s:o}", "applied", is_applied, "zones_loaded", (int)r->zone.zones_loaded,
                  "zones_failed", (int)r->zone.zones_failed, "services_failed", (int)r->zone.services_failed, "took",
                  admin_seconds(r->took_ns), "problems", admin_problems(&r->errors));
    char error[256];
    snprintf(error, sizeof error, "refused, nothing was changed: %s",
             r->rc == -EINVAL ? "the configuration has errors" : strerror(-r->rc));
    admin_reply(user, is_applied ? ADMIN_OK : ADMIN_REFUSED, result, error);
}

enum admin_status admin_reload_command(struct admin_call *call)
{
    const int rc = daemon_reload(call->daemon, reload_done, call->connection);
    if (rc == -EBUSY)
        return admin_refuse(call, "a reload is running already; try again when it is over");
    if (rc)
        return admin_refuse(call, "cannot start: %s", strerror(-rc));
    admin_hold(call->connection);
    return ADMIN_LATER;
}

enum admin_status admin_problems_command(struct admin_call *call)
{
    json_object_set_new(call->result, "problems", admin_problems(&call->daemon->load.errors));
    return ADMIN_OK;
}
