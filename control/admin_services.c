// SPDX-License-Identifier: Apache-2.0
#include <fnmatch.h>
#include <stdlib.h>

#include "control/admin_commands.h"
#include "control/steering_report.h"

enum { SERVICES_MAX = 1000, PATTERN_MAX = 255 };

// What is said of sites within the service, and of their addresses.
static json_t *operators_json(struct daemon *d, unsigned at)
{
    const struct config_service *service = &daemon_config(d)->services[at];
    char name[OPERATOR_NAME_CAP], text[CONFIG_ADDRESS_TEXT_CAP];
    json_t *list = json_array();
    for (unsigned i = 0; d->operators.count && i < service->site_count; i++) {
        const struct config_member *m = &service->sites[i];
        const struct operator_entry *e =
            operator_states_find(&d->operators, OPERATOR_OF_SERVICE, overrides_member_name(service, i, name));
        if (e)
            json_array_append_new(list, admin_operator_entry(e));
        for (unsigned k = 0; k < m->address_count; k++) {
            e = operator_states_find(&d->operators, OPERATOR_OF_ADDRESS, config_address_text(&m->addresses[k], text));
            if (e)
                json_array_append_new(list, admin_operator_entry(e));
        }
    }
    return list;
}

static json_t *service_json(struct daemon *d, unsigned at)
{
    const struct config_service *service = &daemon_config(d)->services[at];
    const struct steering_order *order = steering_order(d->steering, at);
    char text[HISTORY_TEXT_CAP] = "";
    json_t *sites = json_array(), *available = json_array();
    for (unsigned i = 0; i < service->site_count; i++)
        json_array_append_new(sites, json_string(service->sites[i].site));
    for (unsigned i = 0; order && i < order->count; i++)
        json_array_append_new(available, json_string(service->sites[order->place[i]].site));
    const uint32_t flags = policy_flags(daemon_config(d), at);
    return json_pack("{s:s, s:o, s:o, s:s, s:b, s:i, s:b, s:b, s:o}", "name", service->name, "sites", sites, "order",
                     available, "text", order ? steering_order_text(service, order, text, sizeof text) : "",
                     "fail_open", order && order->is_fail_open, "ttl", order ? (int)order->ttl_s : 0, "by_region",
                     (flags & ORDER_BY_REGION) != 0, "by_bucket", (flags & ORDER_BY_BUCKET) != 0, "operators",
                     operators_json(d, at));
}

json_t *admin_services(struct daemon *d, const char *pattern, unsigned max)
{
    json_t *services = json_array();
    for (unsigned i = 0; i < daemon_config(d)->service_count && json_array_size(services) < max; i++)
        if (!pattern || fnmatch(pattern, daemon_config(d)->services[i].name, FNM_CASEFOLD) == 0)
            json_array_append_new(services, service_json(d, i));
    return services;
}

enum admin_status admin_services_command(struct admin_call *call)
{
    bool is_bad = false;
    const char *pattern = admin_text(call, "pattern", PATTERN_MAX, &is_bad);
    const int64_t max = admin_number(call, "max", SERVICES_MAX, &is_bad);
    if (is_bad || max < 1 || max > ORDER_SERVICE_MAX)
        return admin_usage(call, "pattern is a text of at most %d characters, max a number from 1 to %d", PATTERN_MAX,
                           ORDER_SERVICE_MAX);
    json_object_set_new(call->result, "count", json_integer(daemon_config(call->daemon)->service_count));
    json_object_set_new(call->result, "services", admin_services(call->daemon, pattern, (unsigned)max));
    return ADMIN_OK;
}
