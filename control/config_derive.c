// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

#include "control/config_check.h"

static const uint64_t second_ns = 1000000000;

static bool is_given(const struct config_reader *r, const void *at, const char *key)
{
    return config_reader_given(r, at, key) != NULL;
}

// Time-out and age limit of a probe or reader whose interval was set: see their help in the schema.
static void derive_times(struct config_reader *r, const void *at, uint64_t interval_ns, uint64_t *timeout_ns,
                         uint64_t *max_age_ns)
{
    if (!is_given(r, at, "timeout") && *timeout_ns > interval_ns)
        *timeout_ns = interval_ns / 5 * 4;
    if (!is_given(r, at, "max_age")) {
        uint64_t age = 3 * interval_ns + *timeout_ns;
        *max_age_ns = age > 5 * second_ns ? age : 5 * second_ns;
    }
}

static uint32_t default_port(enum config_probe_type probe)
{
    switch (probe) {
    case CONFIG_PROBE_HTTP:
        return 80;
    case CONFIG_PROBE_HTTPS:
        return 443;
    case CONFIG_PROBE_DNS:
        return 53;
    case CONFIG_PROBE_TCP:
    case CONFIG_PROBE_ICMP:
    case CONFIG_PROBE_SCRIPT:
    case CONFIG_PROBE_FILE:
        break;
    }
    return 0;
}

static void derive_group(struct config_reader *r, const struct config_site *site, struct config_group *group,
                         const char *name)
{
    if (name && !*group->name)
        group->name = name;
    if (group->port == 0)
        group->port = default_port(group->probe);
    derive_times(r, group, group->interval_ns, &group->timeout_ns, &group->max_age_ns);
    if (group->probe == CONFIG_PROBE_FILE && !is_given(r, group, "max_age"))
        group->max_age_ns = 0; // what a file says holds until it says otherwise
    if (group->server_count == 0 && site->address_count > 0 && !is_given(r, group, "servers")) {
        group->servers = config_reader_take(r, site->address_count * sizeof(*group->servers));
        if (!group->servers)
            return;
        group->server_count = site->address_count;
        for (unsigned i = 0; i < site->address_count; i++)
            group->servers[i].address = site->addresses[i];
    }
    for (unsigned i = 0; i < group->server_count; i++)
        if (group->servers[i].port == 0)
            group->servers[i].port = (uint16_t)group->port;
}

static void derive_site(struct config_reader *r, struct config_site *site)
{
    for (unsigned i = 0; i < site->web_count; i++)
        derive_group(r, site, &site->web[i], "web");
    for (unsigned i = 0; i < site->database_count; i++)
        derive_group(r, site, &site->database[i], "database");
    for (unsigned i = 0; i < site->check_count; i++)
        derive_group(r, site, &site->checks[i], NULL);
    for (unsigned i = 0; i < site->balancer_count; i++) {
        struct config_balancer *b = &site->balancers[i];
        derive_times(r, b, b->interval_ns, &b->timeout_ns, &b->max_age_ns);
    }
    for (unsigned i = 0; i < site->node_count; i++)
        if (site->nodes[i].address.port == 0)
            site->nodes[i].address.port = CONFIG_HEARTBEAT_PORT;
}

static void derive_service(struct config_reader *r, struct config_service *service)
{
    if (!is_given(r, service, "ttl_min") && service->ttl_min_s > service->ttl_s)
        service->ttl_min_s = service->ttl_s;
    if (service->record_count == 0) {
        service->records = config_reader_take(r, sizeof(*service->records));
        service->record_count = service->records ? 1 : 0; // zeroed memory is CONFIG_RECORD_ADDRESS
    }
}

static void derive_zone(struct config_reader *r, const struct config *config, struct config_zone *zone)
{
    if (!zone->name || !zone->file) // reported while reading
        return;
    char name[1100];
    const char *file = zone->file;
    if (!*file) {
        snprintf(name, sizeof(name), "%s.zone", strcmp(zone->name, ".") == 0 ? "root" : zone->name);
        file = name;
    }
    zone->file = config_reader_path(r, config->zone_dir, file);
}

void config_derive(struct config_reader *r, struct config *config)
{
    struct config_heartbeat *hb = &config->heartbeat;
    if (hb->listen.port == 0)
        hb->listen.port = CONFIG_HEARTBEAT_PORT;
    if (!is_given(r, hb, "period") && hb->period_ns < 2 * hb->interval_ns)
        hb->period_ns = 2 * hb->interval_ns;
    for (unsigned i = 0; i < hb->witness_count; i++)
        if (hb->witnesses[i].address.port == 0)
            hb->witnesses[i].address.port = CONFIG_HEARTBEAT_PORT;
    if (config->control.metrics.address.is_set && config->control.metrics.port == 0)
        config->control.metrics.port = CONFIG_METRICS_PORT;
    for (unsigned i = 0; i < config->site_count && !r->out_of_memory; i++)
        derive_site(r, &config->sites[i]);
    for (unsigned i = 0; i < config->service_count && !r->out_of_memory; i++)
        derive_service(r, &config->services[i]);
    for (unsigned i = 0; i < config->zone_count && !r->out_of_memory; i++)
        derive_zone(r, config, &config->zones[i]);
}

void config_gather_groups(struct config_reader *r, struct config *config)
{
    for (unsigned i = 0; i < config->site_count; i++) {
        struct config_site *s = &config->sites[i];
        unsigned count = s->web_count + s->database_count + s->check_count;
        if (count == 0)
            continue;
        s->groups = config_reader_take(r, count * sizeof(*s->groups));
        if (!s->groups)
            return;
        const struct config_group *from[] = {s->web, s->database, s->checks};
        unsigned counts[] = {s->web_count, s->database_count, s->check_count};
        for (unsigned k = 0; k < 3; k++)
            for (unsigned j = 0; j < counts[k]; j++)
                s->groups[s->group_count++] = from[k][j];
    }
}

// The groups of a site that a service asks for; none named: all.
static uint64_t group_mask(const struct config_site *site, const struct config_service *service)
{
    uint64_t mask = 0, all = 0;
    for (unsigned i = 0; i < site->group_count; i++) {
        all |= UINT64_C(1) << i;
        for (unsigned k = 0; k < service->group_count; k++)
            if (strcmp(site->groups[i].name, service->groups[k]) == 0)
                mask |= UINT64_C(1) << i;
    }
    return service->group_count == 0 || mask == all ? UINT64_MAX : mask;
}

struct choices { // of groups of one site
    uint64_t mask[CONFIG_VERDICT_MAX];
    unsigned count;
};

// The number of a choice, which is added when it is new; CONFIG_NONE when there are too many.
static int find_choice(struct choices *c, uint64_t mask)
{
    for (unsigned i = 0; i < c->count; i++)
        if (c->mask[i] == mask)
            return (int)i;
    if (c->count == CONFIG_VERDICT_MAX)
        return CONFIG_NONE;
    c->mask[c->count] = mask;
    return (int)c->count++;
}

static void choose(struct config_reader *r, struct config *config, struct choices *choices)
{
    for (unsigned i = 0; i < config->site_count; i++)
        find_choice(&choices[i], UINT64_MAX);
    for (unsigned i = 0; i < config->service_count; i++) {
        struct config_service *service = &config->services[i];
        for (unsigned k = 0; k < service->site_count; k++) {
            const unsigned at = service->sites[k].site_at;
            const int number = find_choice(&choices[at], group_mask(&config->sites[at], service));
            if (number == CONFIG_NONE)
                config_report(r, CONFIG_ERROR, service, "groups",
                              "the services ask for more than %d different choices of groups of site \"%s\"",
                              CONFIG_VERDICT_MAX, config->sites[at].name);
            else
                service->sites[k].verdict_at = (unsigned)number;
        }
    }
}

void config_gather_verdicts(struct config_reader *r, struct config *config)
{
    struct choices *choices = config_reader_take(r, (config->site_count + 1) * sizeof *choices);
    if (!choices)
        return;
    choose(r, config, choices);
    unsigned count = 0;
    for (unsigned i = 0; i < config->site_count; i++) {
        config->sites[i].verdict_at = count;
        count += choices[i].count;
    }
    config->verdicts = config_reader_take(r, (count + 1) * sizeof *config->verdicts);
    if (!config->verdicts)
        return;
    for (unsigned i = 0; i < config->site_count; i++)
        for (unsigned k = 0; k < choices[i].count; k++)
            config->verdicts[config->verdict_count++] = (struct config_verdict){i, choices[i].mask[k]};
    for (unsigned i = 0; i < config->service_count; i++)
        for (unsigned k = 0; k < config->services[i].site_count; k++)
            config->services[i].sites[k].verdict_at += config->sites[config->services[i].sites[k].site_at].verdict_at;
}
