// SPDX-License-Identifier: Apache-2.0
#include "control/daemon_operator.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/log.h"

static uint64_t wall_s(void)
{
    return (uint64_t)time(NULL);
}

static void tell(struct daemon *d, unsigned site, const struct operator_entry *entry)
{
    struct evidence_event event = {.at_ns = uv_hrtime(),
                                   .kind = EVIDENCE_OPERATOR,
                                   .site = (uint16_t)site,
                                   .operator_state = entry ? entry->state : OPERATOR_AUTO,
                                   .load_permille = -1,
                                   .lag_ms = -1};
    const uint64_t now_s = wall_s();
    if (entry && entry->until_s)
        event.duration_ns = (entry->until_s > now_s ? entry->until_s - now_s : 1) * 1000000000u;
    if (entry)
        memcpy(event.detail, entry->reason, sizeof event.detail);
    steering_event(d->steering, &event);
}

void daemon_operator_apply(struct daemon *d)
{
    for (unsigned i = 0; i < daemon_config(d)->site_count; i++) {
        const struct operator_entry *entry = operator_states_find(&d->operators, daemon_config(d)->sites[i].name);
        if (entry)
            tell(d, i, entry);
    }
}

void daemon_operator_load(struct daemon *d)
{
    const int rc = operator_states_load(&d->operators, d->operators_path);
    if (rc)
        log_error("operator states: %s: %s; what could be read is used", d->operators_path, strerror(-rc));
    operator_states_expire(&d->operators, wall_s());
    for (unsigned i = 0; i < d->operators.count; i++)
        log_notice("site %s is kept %s by an operator: %s", d->operators.entry[i].site,
                   operator_state_name(d->operators.entry[i].state), d->operators.entry[i].reason);
    daemon_operator_apply(d);
}

void daemon_operator_expire(struct daemon *d)
{
    if (!operator_states_expire(&d->operators, wall_s())) // the engine has its own clock for the verdict
        return;
    const int rc = operator_states_save(&d->operators, d->operators_path);
    if (rc)
        log_error("operator states: cannot save %s: %s", d->operators_path, strerror(-rc));
}

static bool is_meant(const struct daemon_operator_request *request, const char *site)
{
    return fnmatch(request->pattern, site, 0) == 0;
}

// The first service that would have no site available; null when all would have one, or have none already.
static const struct config_service *left_without(struct daemon *d, const struct daemon_operator_request *request)
{
    const struct config *config = daemon_config(d);
    for (unsigned i = 0; i < config->service_count; i++) {
        const struct config_service *service = &config->services[i];
        unsigned now = 0, then = 0;
        for (unsigned k = 0; k < service->site_count; k++) {
            const bool is_up =
                verdict_view(steering_engine(d->steering), service->sites[k].verdict_at)->state == VERDICT_UP;
            now += is_up;
            then += is_up && !is_meant(request, service->sites[k].site);
        }
        if (now > 0 && then == 0)
            return service;
    }
    return NULL;
}

static int set_states(struct daemon *d, struct operator_states *states, const struct daemon_operator_request *request)
{
    int count = 0;
    for (unsigned i = 0; i < daemon_config(d)->site_count; i++) {
        struct operator_entry entry = {.state = request->state, .said_s = wall_s()};
        if (!is_meant(request, daemon_config(d)->sites[i].name))
            continue;
        snprintf(entry.site, sizeof entry.site, "%s", daemon_config(d)->sites[i].name);
        snprintf(entry.reason, sizeof entry.reason, "%s", request->reason);
        entry.until_s = request->duration_ns ? wall_s() + (request->duration_ns + 999999999u) / 1000000000u : 0;
        if (operator_states_set(states, &entry) < 0)
            return -ENOSPC;
        count++;
    }
    return count;
}

static void tell_all(struct daemon *d, const struct daemon_operator_request *request)
{
    for (unsigned i = 0; i < daemon_config(d)->site_count; i++) {
        const char *name = daemon_config(d)->sites[i].name;
        if (!is_meant(request, name))
            continue;
        tell(d, i, operator_states_find(&d->operators, name));
        log_notice("operator: site %s %s%s%s", name, operator_state_name(request->state),
                   request->reason[0] ? ": " : "", request->reason);
    }
}

int daemon_operator(struct daemon *d, const struct daemon_operator_request *request, char why[512])
{
    struct operator_states states = d->operators;
    const int count = set_states(d, &states, request);
    why[0] = 0;
    if (count == 0) {
        snprintf(why, 512, "no site is called \"%.200s\"; `signpostctl sites` lists them", request->pattern);
        return -ENOENT;
    }
    if (count < 0) {
        snprintf(why, 512, "too many sites have an operator's state");
        return count;
    }
    const bool takes_away = request->state == OPERATOR_DOWN || request->state == OPERATOR_DRAIN;
    const struct config_service *alone = takes_away ? left_without(d, request) : NULL;
    if (alone && !request->is_forced) {
        snprintf(why, 512, "service %.255s would have no site left; say --force if that is meant", alone->name);
        return -EPERM;
    }
    const int rc = operator_states_save(&states, d->operators_path);
    if (rc) {
        snprintf(why, 512, "cannot save %.300s: %s; nothing was changed", d->operators_path, strerror(-rc));
        return rc;
    }
    d->operators = states;
    tell_all(d, request);
    return count;
}
