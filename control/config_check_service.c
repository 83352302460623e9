// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/config_check.h"
#include "control/nearest.h"
#include "table/name.h"
#include "table/order_image.h"

// ---- names in order, so that ten thousands of them are compared in moments ----

struct named {
    const char *name;
    unsigned at;
};

static int compare_named(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcasecmp(x->name, y->name);
    return order ? order : x->at < y->at ? -1 : x->at > y->at;
}

static const char *zone_name(const struct config *c, unsigned at)
{
    return c->zones[at].name;
}
static const char *service_name(const struct config *c, unsigned at)
{
    return c->services[at].name;
}
static const char *region_name(const struct config *c, unsigned at)
{
    return c->regions[at].name;
}

// The names that could be read, sorted without regard to case; *count receives their number. The caller frees it.
static struct named *sort_names(struct config_reader *r, const struct config *config, unsigned all,
                                const char *(*name_of)(const struct config *, unsigned), unsigned *count)
{
    struct named *names = calloc(all + 1, sizeof(*names));
    *count = 0;
    if (!names) {
        r->out_of_memory = true;
        return NULL;
    }
    for (unsigned i = 0; i < all; i++)
        if (name_of(config, i))
            names[(*count)++] = (struct named){.name = name_of(config, i), .at = i};
    qsort(names, *count, sizeof(*names), compare_named);
    return names;
}

static const struct named *find_named(const struct named *names, unsigned count, const char *name)
{
    unsigned low = 0, high = count;
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        if (strcasecmp(names[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && strcasecmp(names[low].name, name) == 0 ? &names[low] : NULL;
}

// True when names[i] has the name of the entry before it, which is the first of that name.
static bool is_repeated(const struct named *names, unsigned i)
{
    return i > 0 && strcasecmp(names[i].name, names[i - 1].name) == 0;
}

// ---- zones ----

static void check_zones(struct config_reader *r, const struct config *config, const struct named *zones, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const struct config_zone *z = &config->zones[zones[i].at];
        if (!is_repeated(zones, i))
            continue;
        const struct config_zone *first = &config->zones[zones[i - 1].at];
        config_report(r, CONFIG_ERROR, z, "name", "there is another zone \"%s\" in line %u of %.200s", z->name,
                      first->origin.line, first->origin.file);
    }
    if (config->zone_count == 0)
        config_report(r, CONFIG_WARNING, config, NULL, "there are no zones: every query will be refused");
}

// The text behind the first label of a name in this program's spelling; "." behind the last.
static const char *parent_text(const char *name)
{
    for (; *name && *name != '.'; name++)
        if (*name == '\\' && name[1])
            name++;
    return *name && name[1] ? name + 1 : ".";
}

// Index of the zone that holds `name`: the longest match. CONFIG_NONE when there is none.
static int zone_of(const struct named *zones, unsigned count, const char *name)
{
    for (unsigned i = 0; i <= NAME_MAX_LABELS; i++) {
        const struct named *zone = find_named(zones, count, name);
        if (zone)
            return (int)zone->at;
        if (strcmp(name, ".") == 0)
            break;
        name = parent_text(name);
    }
    return CONFIG_NONE;
}

// ---- services ----

static bool has_record(const struct config_service *s, enum config_record record)
{
    for (unsigned i = 0; i < s->record_count; i++)
        if (s->records[i] == record)
            return true;
    return false;
}

static void check_member(struct config_reader *r, const struct config *config, const struct config_service *s,
                         struct config_member *m)
{
    char hint[128], text[CONFIG_ADDRESS_TEXT_CAP];
    if (!m->site)
        return;
    int at = config_find_site(config, m->site);
    if (at < 0) {
        config_report(r, CONFIG_ERROR, m, "site", "there is no site \"%s\"%s", m->site,
                      config_site_hint(config, m->site, hint, sizeof(hint)));
        return;
    }
    const struct config_site *site = &config->sites[at];
    m->site_at = (unsigned)at;
    for (const struct config_member *other = s->sites; other < m; other++)
        if (other->site && strcmp(other->site, m->site) == 0) {
            config_report(r, CONFIG_ERROR, m, "site", "the site \"%s\" stands in the list twice", m->site);
            break;
        }
    if (m->address_count == 0) {
        m->addresses = site->addresses;
        m->address_count = site->address_count;
    }
    for (unsigned i = 1; m->addresses != site->addresses && i < m->address_count; i++)
        for (unsigned k = 0; k < i; k++)
            if (m->addresses[i].is_set && config_address_equal(&m->addresses[i], &m->addresses[k]))
                config_report_entry(r, CONFIG_ERROR, m, "addresses", i, "%s stands in the list twice",
                                    config_address_text(&m->addresses[i], text));
    if (m->address_count == 0)
        config_report(r, CONFIG_ERROR, m, "addresses", "no addresses, neither here nor at the site \"%s\"", m->site);
    if (has_record(s, CONFIG_RECORD_SRV) && !*m->target)
        config_report(r, CONFIG_ERROR, m, "target", "SRV records need the host name of the service at each site");
    bool is_svcb = has_record(s, CONFIG_RECORD_SVCB) || has_record(s, CONFIG_RECORD_HTTPS);
    if (is_svcb && !*m->target && s->site_count > 1)
        config_report(r, CONFIG_WARNING, m, "target",
                      "without a host name for each site SVCB and HTTPS records cannot carry the order");
}

static void check_records(struct config_reader *r, const struct config_service *s)
{
    bool has_srv = has_record(s, CONFIG_RECORD_SRV);
    bool is_svcb = has_record(s, CONFIG_RECORD_SVCB) || has_record(s, CONFIG_RECORD_HTTPS);
    for (unsigned i = 1; i < s->record_count; i++)
        for (unsigned k = 0; k < i; k++)
            if (s->records[i] == s->records[k])
                config_report_entry(r, CONFIG_ERROR, s, "records", i, "stands in the list twice");
    if (has_srv && s->port == 0)
        config_report(r, CONFIG_ERROR, s, "port", "SRV records need a port; allowed: 1 to 65535");
    if (s->port && !has_srv && !is_svcb)
        config_report(r, CONFIG_ERROR, s, "port", "only together with records \"srv\", \"svcb\" or \"https\"");
    if (s->alpn_count && !is_svcb)
        config_report(r, CONFIG_ERROR, s, "alpn", "only together with records \"svcb\" or \"https\"");
}

static void check_distance(struct config_reader *r, const struct config *config, const struct config_service *s,
                           const struct config_stage *stage)
{
    for (unsigned i = 0; i < s->site_count; i++) {
        int at = config_find_site(config, s->sites[i].site);
        if (at >= 0 && !config->sites[at].coordinates.is_set)
            config_report(r, CONFIG_ERROR, stage, "by", "the site \"%s\" has no coordinates", s->sites[i].site);
    }
}

static void check_stage(struct config_reader *r, const struct config *config, const struct config_service *s,
                        const struct config_stage *stage)
{
    for (const struct config_stage *other = s->policy; other < stage; other++)
        if (other->type == stage->type) {
            config_report(r, CONFIG_ERROR, stage, NULL, "the stage \"%s\" stands in the policy twice",
                          config_schema_choice_name("services.policy.stage", (int)stage->type));
            break;
        }
    uint32_t weights = 0;
    for (unsigned i = 0; i < s->site_count; i++)
        weights += s->sites[i].weight;
    switch (stage->type) {
    case CONFIG_STAGE_LOCALITY:
        if (stage->by == CONFIG_LOCALITY_DISTANCE)
            check_distance(r, config, s, stage);
        if (config->region_count == 0 && !nearest_is_wanted(config))
            config_report(r, CONFIG_WARNING, stage, NULL, "there are no regions, so this stage changes nothing");
        break;
    case CONFIG_STAGE_LOAD:
        if (stage->low_percent > stage->high_percent)
            config_report(r, CONFIG_ERROR, stage, "low", "is above `high`; allowed: 0%% to %u%%", stage->high_percent);
        break;
    case CONFIG_STAGE_SPREAD:
        if (weights == 0)
            config_report(r, CONFIG_ERROR, stage, NULL, "all sites of the service have the weight 0");
        break;
    case CONFIG_STAGE_RESPONSE_TIME:
    case CONFIG_STAGE_REPLICATION_LAG:
        break;
    }
}

static bool site_has_group(const struct config_site *s, const char *name)
{
    if (s->web_count && strcmp(name, "web") == 0)
        return true;
    if (s->database_count && strcmp(name, "database") == 0)
        return true;
    for (unsigned i = 0; i < s->check_count; i++)
        if (strcmp(s->checks[i].name, name) == 0)
            return true;
    return false;
}

static void check_groups(struct config_reader *r, const struct config *config, const struct config_service *s)
{
    for (unsigned i = 0; i < s->group_count; i++) {
        unsigned known = 0;
        for (unsigned k = 0; k < s->site_count && s->groups[i]; k++) {
            int at = config_find_site(config, s->sites[k].site);
            known += at >= 0 && site_has_group(&config->sites[at], s->groups[i]);
        }
        if (s->groups[i] && known == 0)
            config_report_entry(r, CONFIG_ERROR, s, "groups", i, "none of the service's sites has a group \"%s\"",
                                s->groups[i]);
        else if (s->groups[i] && known < s->site_count)
            config_report_entry(r, CONFIG_WARNING, s, "groups", i, "some of the service's sites have no group \"%s\"",
                                s->groups[i]);
    }
}

static void check_debug_names(struct config_reader *r, const struct config *config, const struct config_service *s,
                              const struct named *services, unsigned count)
{
    if (!s->debug_names)
        return;
    if (strncmp(s->name, "*.", 2) == 0) {
        config_report(r, CONFIG_ERROR, s, "debug_names", "not for a wildcard");
        return;
    }
    for (unsigned i = 0; i < s->site_count; i++) {
        char text[NAME_TEXT_CAP + 72];
        uint8_t wire[NAME_MAX_LEN];
        if (config_find_site(config, s->sites[i].site) < 0)
            continue;
        snprintf(text, sizeof(text), "%s.%s", s->sites[i].site, strcmp(s->name, ".") == 0 ? "" : s->name);
        if (name_from_text(wire, text) < 0)
            config_report(r, CONFIG_ERROR, s, "debug_names", "\"%.80s...\" is no DNS name, or too long", text);
        else if (find_named(services, count, text))
            config_report(r, CONFIG_ERROR, s, "debug_names", "\"%.200s\" is a service of its own", text);
    }
}

static void check_service(struct config_reader *r, const struct config *config, struct config_service *s,
                          const struct named *zones, unsigned zone_count)
{
    s->zone_at = zone_of(zones, zone_count, s->name);
    if (s->zone_at < 0)
        config_report(r, CONFIG_ERROR, s, "name", "lies in none of the zones; add the zone, or correct the name");
    for (unsigned i = 0; i < s->site_count; i++)
        check_member(r, config, s, &s->sites[i]);
    check_records(r, s);
    for (unsigned i = 0; i < s->policy_count; i++)
        check_stage(r, config, s, &s->policy[i]);
    check_groups(r, config, s);
    if (s->ttl_min_s > s->ttl_s)
        config_report(r, CONFIG_ERROR, s, "ttl_min", "is longer than `ttl`; allowed: 0 to %u", s->ttl_s);
    if (s->all_down == CONFIG_LAST_RESORT && s->last_resort_count == 0)
        config_report(r, CONFIG_ERROR, s, "last_resort", "is needed for all_down = \"last-resort\"");
}

static void check_service_names(struct config_reader *r, const struct config *config, const struct named *services,
                                unsigned count)
{
    unsigned debug_names = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct config_service *s = &config->services[services[i].at];
        debug_names += s->debug_names ? s->site_count : 0;
        check_debug_names(r, config, s, services, count);
        if (!is_repeated(services, i))
            continue;
        const struct config_service *first = &config->services[services[i - 1].at];
        config_report(r, CONFIG_ERROR, s, "name", "there is another service \"%s\" in line %u of %.200s", s->name,
                      first->origin.line, first->origin.file);
    }
    if (config->service_count + debug_names > ORDER_SERVICE_MAX)
        config_report(r, CONFIG_ERROR, config, "services", "%u services and %u debug names; allowed: %u together",
                      config->service_count, debug_names, (unsigned)ORDER_SERVICE_MAX);
}

static void warn_of_unused_sites(struct config_reader *r, const struct config *config)
{
    bool is_used[64] = {false}; // the schema allows 64 sites
    for (unsigned i = 0; i < config->service_count; i++)
        for (unsigned k = 0; k < config->services[i].site_count; k++)
            is_used[config->services[i].sites[k].site_at % 64] = true;
    for (unsigned i = 0; i < config->site_count && i < 64; i++)
        if (!is_used[i])
            config_report(r, CONFIG_WARNING, &config->sites[i], NULL, "no service uses this site");
}

void config_check_services(struct config_reader *r, struct config *config)
{
    unsigned zone_count, service_count;
    struct named *zones = sort_names(r, config, config->zone_count, zone_name, &zone_count);
    struct named *services = sort_names(r, config, config->service_count, service_name, &service_count);
    if (zones && services) {
        check_zones(r, config, zones, zone_count);
        for (unsigned i = 0; i < config->service_count; i++)
            if (config->services[i].name)
                check_service(r, config, &config->services[i], zones, zone_count);
        check_service_names(r, config, services, service_count);
        if (config->service_count)
            warn_of_unused_sites(r, config);
    }
    free(zones);
    free(services);
}

// ---- regions ----

static void check_codes(struct config_reader *r, const struct config_region *region, const char *key,
                        const char **codes, unsigned count, const char *form)
{
    for (unsigned i = 0; i < count; i++) {
        bool is_good = codes[i] && strlen(codes[i]) >= strlen(form);
        for (size_t k = 0; is_good && codes[i][k]; k++) {
            bool is_letter = codes[i][k] >= 'A' && codes[i][k] <= 'Z';
            bool is_digit = codes[i][k] >= '0' && codes[i][k] <= '9';
            is_good = k < 2 ? is_letter : k == 2 ? codes[i][k] == '-' : is_letter || is_digit;
        }
        if (codes[i] && !is_good)
            config_report_entry(r, CONFIG_ERROR, region, key, i, "\"%s\" is no code; allowed: capitals such as \"%s\"",
                                codes[i], form);
    }
}

static void check_continents(struct config_reader *r, const struct config_region *region)
{
    static const char known[] = "AF AN AS EU NA OC SA";
    for (unsigned i = 0; i < region->continent_count; i++) {
        const char *code = region->continents[i];
        if (code && !strstr(known, code))
            config_report_entry(r, CONFIG_ERROR, region, "continents", i, "\"%s\" is no continent; allowed: %s", code,
                                known);
    }
}

static void check_region_sites(struct config_reader *r, const struct config *config, struct config_region *region)
{
    if (region->site_count == 0)
        return;
    region->site_at = config_reader_take(r, region->site_count * sizeof(*region->site_at));
    for (unsigned i = 0; i < region->site_count && region->site_at; i++) {
        const char *name = region->sites[i];
        char hint[128];
        region->site_at[i] = config_find_site(config, name);
        if (name && region->site_at[i] < 0)
            config_report_entry(r, CONFIG_ERROR, region, "sites", i, "there is no site \"%s\"%s", name,
                                config_site_hint(config, name, hint, sizeof(hint)));
        for (unsigned k = 0; k < i; k++)
            if (region->site_at[i] >= 0 && region->site_at[k] == region->site_at[i])
                config_report_entry(r, CONFIG_ERROR, region, "sites", i, "\"%s\" stands in the list twice", name);
    }
}

static void check_region(struct config_reader *r, const struct config *config, struct config_region *region)
{
    check_region_sites(r, config, region);
    check_codes(r, region, "countries", region->countries, region->country_count, "NL");
    check_codes(r, region, "subdivisions", region->subdivisions, region->subdivision_count, "US-CA");
    check_continents(r, region);
    bool by_place = region->country_count || region->subdivision_count || region->continent_count;
    if (by_place && !*config->geoip.file)
        config_report(r, CONFIG_ERROR, region, NULL,
                      "countries, subdivisions and continents need a database: set geoip.file");
    if (region->asn_count && !*config->geoip.asn_file)
        config_report(r, CONFIG_ERROR, region, "asns", "autonomous systems need a database: set geoip.asn_file");
    if (!by_place && !region->asn_count && !region->prefix_count && !*region->file)
        config_report(r, CONFIG_WARNING, region, NULL, "nothing says which networks belong to this region");
}

struct prefix_place {
    const struct config_prefix *prefix;
    unsigned region, number;
};

static int compare_prefix(const void *a, const void *b)
{
    const struct prefix_place *x = a, *y = b;
    int order = memcmp(x->prefix->address.address, y->prefix->address.address, 16);
    if (order == 0)
        order = (int)x->prefix->address.is_ipv6 - (int)y->prefix->address.is_ipv6;
    if (order == 0)
        order = (int)x->prefix->prefix_len - (int)y->prefix->prefix_len;
    if (order == 0)
        order = x->region < y->region ? -1 : x->region > y->region;
    return order ? order : x->number < y->number ? -1 : x->number > y->number;
}

static bool same_prefix(const struct config_prefix *a, const struct config_prefix *b)
{
    return a->prefix_len == b->prefix_len && config_address_equal(&a->address, &b->address);
}

// The same network in two places would make the region depend on the order of the file.
static void check_prefixes(struct config_reader *r, const struct config *config)
{
    size_t count = 0, at = 0;
    for (unsigned i = 0; i < config->region_count; i++)
        count += config->regions[i].prefix_count;
    struct prefix_place *places = calloc(count + 1, sizeof(*places));
    if (!places) {
        r->out_of_memory = true;
        return;
    }
    for (unsigned i = 0; i < config->region_count; i++)
        for (unsigned k = 0; k < config->regions[i].prefix_count; k++)
            if (config->regions[i].prefixes[k].address.is_set)
                places[at++] = (struct prefix_place){&config->regions[i].prefixes[k], i, k};
    qsort(places, at, sizeof(*places), compare_prefix);
    for (size_t i = 1; i < at; i++) {
        const struct config_region *region = &config->regions[places[i].region];
        const char *other = config->regions[places[i - 1].region].name;
        if (same_prefix(places[i].prefix, places[i - 1].prefix))
            config_report_entry(r, CONFIG_ERROR, region, "prefixes", places[i].number,
                                "this network is already in the region \"%s\"", other ? other : "?");
    }
    free(places);
}

void config_check_regions(struct config_reader *r, struct config *config)
{
    unsigned count;
    struct named *names = sort_names(r, config, config->region_count, region_name, &count);
    for (unsigned i = 0; names && i < count; i++)
        if (is_repeated(names, i))
            config_report(r, CONFIG_ERROR, &config->regions[names[i].at], "name",
                          "there is another region \"%s\" in line %u of %.200s", names[i].name,
                          config->regions[names[i - 1].at].origin.line, config->regions[names[i - 1].at].origin.file);
    free(names);
    for (unsigned i = 0; i < config->region_count && !r->out_of_memory; i++)
        check_region(r, config, &config->regions[i]);
    check_prefixes(r, config);
}
