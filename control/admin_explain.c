// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "control/admin_commands.h"
#include "control/order_build.h"
#include "control/steering_report.h"
#include "table/image_pair.h"
#include "table/order_choice.h"
#include "table/zone_image.h"

enum { NAME_MAX_TEXT = 1020, SIMULATED_MAX = 1000 };

static const char *stage_name(enum config_stage_type type)
{
    static const char *const names[] = {"locality", "load", "response_time", "replication_lag", "spread"};
    return names[type];
}

// The service that answers a name: the exact one, else the wildcard of the nearest ancestor. CONFIG_NONE: none.
static int find_service(const struct config *config, const char *name)
{
    char wanted[NAME_MAX_TEXT + 2];
    size_t len = strlen(name);
    len -= len > 1 && name[len - 1] == '.';
    memcpy(wanted, name, len);
    wanted[len] = 0;
    for (unsigned i = 0; i < config->service_count; i++)
        if (strcasecmp(config->services[i].name, wanted) == 0)
            return (int)i;
    for (const char *dot = strchr(wanted, '.'); dot; dot = strchr(dot + 1, '.'))
        for (unsigned i = 0; i < config->service_count; i++)
            if (config->services[i].name[0] == '*' && strcasecmp(config->services[i].name + 1, dot) == 0)
                return (int)i;
    return CONFIG_NONE;
}

static const void *map_image(const struct publisher *publisher, enum image_kind kind, size_t *bytes)
{
    *bytes = publisher_status(publisher)->kind[kind - IMAGE_ZONE].bytes;
    const int fd = publisher_image(publisher, kind);
    return fd < 0 ? MAP_FAILED : mmap(NULL, *bytes, PROT_READ, MAP_SHARED, fd, 0);
}

// The client's region and the scope of the service's answer, by the images that the workers use. False before there is
// a pair of them.
static bool find_region(struct admin_call *call, unsigned service, const struct config_address *client,
                        struct region_match *match)
{
    const struct publisher *publisher = call->daemon->publisher;
    size_t zone_bytes, order_bytes;
    const void *zone = map_image(publisher, IMAGE_ZONE, &zone_bytes);
    const void *order = map_image(publisher, IMAGE_ORDER, &order_bytes);
    char why[IMAGE_TEXT_CAP];
    const bool is_pair = zone != MAP_FAILED && order != MAP_FAILED && image_pair_check(zone, order, why) == 0;
    if (is_pair && zone_image_index(zone)->region_at) {
        const void *map = image_at(zone, zone_image_index(zone)->region_at);
        *match =
            client->is_ipv6 ? region_map_find_ipv6(map, client->address) : region_map_find_ipv4(map, client->address);
    }
    if (is_pair)
        match->scope_len = order_choose(zone, order, service, client->address, client->is_ipv6, true).scope_len;
    if (zone != MAP_FAILED)
        munmap((void *)zone, zone_bytes);
    if (order != MAP_FAILED)
        munmap((void *)order, order_bytes);
    return is_pair;
}

static json_t *places_json(const struct config_service *service, const unsigned *place, unsigned count)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, json_string(service->sites[place[i]].site));
    return list;
}

static json_t *addresses_json(struct daemon *d, const struct config_service *service, const struct policy_order *order,
                              bool is_ipv6)
{
    const struct config_address *address[ORDER_ADDRESS_MAX];
    const unsigned count = order_addresses(service, order, steering_overrides(d->steering), is_ipv6, address);
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++)
        json_array_append_new(list, admin_address(address[i]));
    return list;
}

static json_t *stages_json(const struct config_service *service, const struct policy_order *order,
                           const struct policy_trace *trace)
{
    json_t *stages = json_array();
    for (unsigned i = 0; i < trace->stage_count; i++)
        json_array_append_new(stages, json_pack("{s:s, s:s, s:o}", "stage", stage_name(trace->stage[i].type), "note",
                                                trace->stage[i].note, "order",
                                                places_json(service, trace->stage[i].order, order->site_count)));
    return stages;
}

// Why a site is available to the service, or not.
static const char *member_why(struct daemon *d, const struct policy_input *input, unsigned place,
                              char out[HISTORY_TEXT_CAP])
{
    const struct config_service *service = &input->config->services[input->service];
    const struct config_member *m = &service->sites[place];
    char name[OPERATOR_NAME_CAP];
    const struct operator_entry *e =
        operator_states_find(&d->operators, OPERATOR_OF_SERVICE, overrides_member_name(service, place, name));
    if (overrides_is_emptied(input->overrides, m))
        snprintf(out, HISTORY_TEXT_CAP, "an operator has withdrawn all its addresses");
    else if (e)
        snprintf(out, HISTORY_TEXT_CAP, "set by an operator for this service%s%s%s", e->reason[0] ? " (" : "",
                 e->reason, e->reason[0] ? ")" : "");
    else
        steering_verdict_why(input->config, m->site_at, &input->verdict[m->verdict_at], out, HISTORY_TEXT_CAP);
    return out;
}

static json_t *members_json(struct daemon *d, const struct policy_input *input)
{
    const struct config_service *service = &input->config->services[input->service];
    json_t *list = json_array();
    char why[HISTORY_TEXT_CAP];
    for (unsigned i = 0; i < service->site_count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", service->sites[i].site, "state",
                                              verdict_state_text(policy_member_state(input, i)), "why",
                                              member_why(d, input, i, why)));
    return list;
}

static json_t *withdrawn_json(const struct policy_input *input)
{
    const struct config_service *service = &input->config->services[input->service];
    json_t *list = json_array();
    for (unsigned i = 0; i < service->site_count; i++)
        for (unsigned k = 0; k < service->sites[i].address_count; k++)
            if (overrides_is_withdrawn(input->overrides, &service->sites[i].addresses[k]))
                json_array_append_new(list, admin_address(&service->sites[i].addresses[k]));
    return list;
}

static json_t *order_json(struct daemon *d, unsigned number, const struct verdict_site *verdict, unsigned region,
                          unsigned bucket)
{
    const struct config *config = daemon_config(d);
    const struct config_service *service = &config->services[number];
    const struct policy_input input = {config, number, verdict, uv_hrtime(), steering_overrides(d->steering)};
    struct policy_order order;
    struct policy_trace trace;
    static const char *const modes[] = {"answer", "nodata", "servfail"};
    policy_decide(&order, steering_policy_state(d->steering, number), &input, region, bucket, &trace);
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:b, s:b, s:i, s:i, s:o, s:o}", "service", service->name, "sites",
                     members_json(d, &input), "withdrawn", withdrawn_json(&input), "stages",
                     stages_json(service, &order, &trace), "order", places_json(service, order.place, order.site_count),
                     "mode", modes[order.mode], "fail_open", order.is_fail_open, "last_resort", order.is_last_resort,
                     "ttl", (int)order.ttl_s, "ede", (int)order.ede, "a", addresses_json(d, service, &order, false),
                     "aaaa", addresses_json(d, service, &order, true));
}

enum admin_status admin_explain_command(struct admin_call *call)
{
    bool is_bad = false;
    const struct config *config = daemon_config(call->daemon);
    const char *name = admin_text(call, "name", NAME_MAX_TEXT, &is_bad);
    const char *client_text = admin_text(call, "client", CONFIG_ADDRESS_TEXT_CAP, &is_bad);
    if (!name || is_bad)
        return admin_usage(call, "wanted: explain NAME [--client ADDRESS]");
    const int number = find_service(config, name);
    if (number == CONFIG_NONE)
        return admin_refuse(call, "no service answers %.255s; `signpostctl services` lists them", name);
    struct config_address client = {0};
    struct region_match match = {REGION_UNKNOWN, 0, REGION_UNKNOWN};
    unsigned bucket = 0;
    if (client_text && config_parse_address(client_text, &client) < 0)
        return admin_usage(call, "\"%s\" is no IP address", client_text);
    if (client_text) {
        if (!find_region(call, (unsigned)number, &client, &match) && config->region_count)
            return admin_refuse(call, "the zones are still being loaded; try again in a moment");
        bucket = order_bucket(client.address, client.is_ipv6);
    }
    struct verdict_site *verdict = steering_verdicts(call->daemon->steering);
    if (!verdict)
        return admin_refuse(call, "no memory");
    json_decref(call->result);
    call->result = order_json(call->daemon, (unsigned)number, verdict, match.region, bucket);
    free(verdict);
    if (client_text)
        json_object_set_new(call->result, "client",
                            json_pack("{s:s, s:s?, s:i, s:i}", "address", client_text, "region",
                                      match.region ? config->regions[match.region - 1].name : NULL, "scope",
                                      (int)match.scope_len, "bucket", (int)bucket));
    return ADMIN_OK;
}

// Sets the state of the sites that a list of names says. False when a name is none.
static bool suppose(struct admin_call *call, const char *key, enum verdict_state state, struct verdict_site *verdict)
{
    const struct config *config = daemon_config(call->daemon);
    const json_t *names = json_object_get(call->request, key), *name;
    size_t at;
    json_array_foreach(names, at, name)
    {
        unsigned i = 0;
        while (i < config->site_count && json_is_string(name) &&
               strcmp(config->sites[i].name, json_string_value(name)) != 0)
            i++;
        if (!json_is_string(name) || i == config->site_count)
            return false;
        for (unsigned k = 0; k < config->verdict_count; k++) {
            if (config->verdicts[k].site_at != i)
                continue;
            verdict[k].state = state;
            verdict[k].reason = VERDICT_REASON_OPERATOR;
            strcpy(verdict[k].detail, "supposed");
        }
    }
    return true;
}

enum admin_status admin_simulate_command(struct admin_call *call)
{
    const struct config *config = daemon_config(call->daemon);
    struct verdict_site *verdict = steering_verdicts(call->daemon->steering);
    if (!verdict)
        return admin_refuse(call, "no memory");
    if (!suppose(call, "down", VERDICT_DOWN, verdict) || !suppose(call, "up", VERDICT_UP, verdict)) {
        free(verdict);
        return admin_usage(call,
                           "wanted: simulate [--down SITE]... [--up SITE]..., names as `signpostctl sites` lists");
    }
    json_t *services = json_array();
    for (unsigned i = 0; i < config->service_count && i < SIMULATED_MAX; i++)
        json_array_append_new(services, order_json(call->daemon, i, verdict, REGION_UNKNOWN, 0));
    free(verdict);
    json_object_set_new(call->result, "services", services);
    return ADMIN_OK;
}
