// SPDX-License-Identifier: Apache-2.0
#include "control/zone_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/order_build.h"
#include "control/regions.h"
#include "control/zone_cache.h"
#include "control/zone_load.h"

enum { STALE_MAX_S = 65535 };

static uint8_t set_text(uint8_t out[SETTING_TEXT_CAP], const char *text)
{
    const size_t len = text ? strnlen(text, SETTING_TEXT_CAP - 1) : 0;
    memcpy(out, text ? text : "", len);
    return (uint8_t)len;
}

static void set_addresses(struct zone_settings *s, const struct config_dataplane *dataplane)
{
    for (unsigned i = 0; i < dataplane->address_count && s->address_count < SETTING_ADDRESS_CAP; i++) {
        struct setting_address *to = &s->address[s->address_count++];
        memcpy(to->address, dataplane->addresses[i].address, sizeof to->address);
        to->is_ipv6 = dataplane->addresses[i].is_ipv6;
    }
}

void zone_build_settings(const struct config *config, struct zone_settings *s)
{
    const struct config_dns *dns = &config->dns;
    const uint64_t stale_s = dns->stale_after_ns / 1000000000u;
    memset(s, 0, sizeof *s);
    s->flags = (dns->client_subnet ? SETTING_CLIENT_SUBNET : 0) | (dns->cookies.enable ? SETTING_COOKIES : 0) |
               (dns->rate_limit.enable ? SETTING_RATE_LIMIT : 0) |
               (dns->rate_limit.dry_run ? SETTING_RATE_LIMIT_DRY_RUN : 0);
    s->udp_max = (uint16_t)dns->udp_max;
    s->stale_after_s = (uint16_t)(stale_s < STALE_MAX_S ? stale_s : STALE_MAX_S);
    s->any_ttl = dns->any_ttl_s;
    s->rate_per_s = dns->rate_limit.per_second;
    s->rate_burst = dns->rate_limit.burst;
    s->rate_slip = dns->rate_limit.slip;
    s->cookie_secret_count = (uint8_t)dns->cookies.secret_count;
    memcpy(s->cookie_secret, dns->cookies.secret, sizeof s->cookie_secret);
    s->nsid_len = set_text(s->nsid, dns->nsid);
    s->chaos_version_len = set_text(s->chaos_version, dns->chaos_version);
    s->chaos_id_len = set_text(s->chaos_id, dns->chaos_id);
    set_addresses(s, &config->dataplane);
}

static int add_regions(const struct config *config, struct zone_builder *builder, struct config_errors *errors)
{
    struct region_prefix *prefix = NULL;
    size_t count = 0;
    int rc = regions_prefixes(config, errors, &prefix, &count);
    if (rc == 0 && count)
        rc = zone_builder_set_regions(builder, prefix, count);
    free(prefix);
    return rc;
}

static void add_zones(const struct config *config, struct zone_load *load, int *number)
{
    for (unsigned i = 0; i < config->zone_count; i++)
        number[i] = zone_load_file(load, config->zones[i].name, config->zones[i].file, config->zone_dir);
}

// Origin of image service `number`, for messages.
static const struct config_origin *origin_of(const struct config *config, unsigned number)
{
    return number < config->service_count ? &config->services[number].origin : NULL;
}

static const char *service_problem(int rc)
{
    return rc == -ENOENT   ? "no loaded zone holds this name outside delegations: it is not answered"
           : rc == -EEXIST ? "the zone has A or AAAA records, or another service, at this name: it is not answered"
                           : "the name cannot be a service: it is not answered";
}

static int add_services(const struct config *config, struct zone_builder *builder, struct config_errors *errors,
                        struct zone_build_result *result)
{
    const unsigned count = order_service_count(config);
    for (unsigned i = 0; i < count; i++) {
        char owner[ORDER_OWNER_CAP];
        uint8_t wire[NAME_MAX_LEN];
        int rc = name_from_text(wire, order_service_owner(config, i, owner));
        rc = rc < 0 ? rc : zone_builder_add_service(builder, wire, i);
        if (rc == -ENOMEM)
            return rc;
        if (rc == 0)
            continue;
        const struct config_origin *origin = origin_of(config, i);
        result->services_failed++;
        config_errors_add(errors, CONFIG_ERROR, origin ? origin->file : config->path, origin ? origin->line : 0, owner,
                          NULL, "%s", service_problem(rc));
    }
    return 0;
}

static void prepare(const struct config *config, struct zone_load *load)
{
    struct zone_settings settings;
    zone_build_settings(config, &settings);
    zone_builder_set_settings(zone_load_builder(load), &settings);
}

// All zones from their files. number[i] < 0 afterwards: zone i has errors. The loader, or null: out of memory.
static struct zone_load *load_files(const struct config *config, const char *cache_folder, struct config_errors *errors,
                                    struct zone_build_result *result, int *number, int *rc)
{
    struct zone_load *load = zone_load_new(errors, &zone_load_limits_default);
    *rc = load ? 0 : -ENOMEM;
    if (!load)
        return NULL;
    if (cache_folder)
        zone_load_set_cache(load, cache_folder);
    prepare(config, load);
    *rc = add_regions(config, zone_load_builder(load), errors);
    if (*rc == 0) {
        add_zones(config, load, number);
        *rc = add_services(config, zone_load_builder(load), errors, result);
    }
    const int dropped = *rc == 0 ? zone_load_check(load) : 0;
    *rc = dropped < 0 ? dropped : *rc;
    for (unsigned i = 0; *rc == 0 && i < config->zone_count; i++) // else no zone was loaded at all
        if (number[i] >= 0 && zone_load_is_dropped(load, (unsigned)number[i]))
            number[i] = -EINVAL;
    return load;
}

static void say_kept(const struct config *config, unsigned zone, int rc, uint64_t saved_s, struct config_errors *errors)
{
    char text[64];
    const time_t at = (time_t)saved_s;
    struct tm parts;
    const struct config_zone *z = &config->zones[zone];
    if (rc < 0) {
        config_errors_add(errors, CONFIG_WARNING, z->file, 0, z->name, NULL,
                          rc == -ENOENT ? "there is no last good version of the zone: it is not served"
                                        : "the last good version of the zone cannot be read: it is not served");
        return;
    }
    gmtime_r(&at, &parts);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
    config_errors_add(errors, CONFIG_WARNING, z->file, 0, z->name, NULL,
                      "the last good version of the zone, of %s, stays in service", text);
}

// Once more, with the last good versions of the zones that failed. What is wrong was said the first time. Null when
// there is nothing to gain, or no memory.
static struct zone_load *load_kept(const struct config *config, const char *cache_folder, const int *number,
                                   struct config_errors *errors, struct config_errors *silent,
                                   struct zone_build_result *result)
{
    struct zone_load *load = zone_load_new(silent, &zone_load_limits_default);
    struct zone_build_result again = {0};
    int rc = load ? 0 : -ENOMEM;
    if (load) {
        prepare(config, load);
        rc = add_regions(config, zone_load_builder(load), silent);
    }
    for (unsigned i = 0; rc == 0 && i < config->zone_count; i++) {
        const struct config_zone *z = &config->zones[i];
        uint64_t saved_s = 0;
        const int at = number[i] >= 0 ? zone_load_file(load, z->name, z->file, config->zone_dir)
                                      : zone_load_cached(load, z->name, cache_folder, &saved_s);
        if (number[i] >= 0)
            continue;
        again.zones_kept += at >= 0;
        say_kept(config, i, at, saved_s, errors);
    }
    if (rc == 0)
        rc = add_services(config, zone_load_builder(load), silent, &again);
    if (rc == 0 && zone_load_check(load) >= 0 && again.zones_kept > 0) {
        result->zones_kept = again.zones_kept;
        result->services_failed = again.services_failed;
    } else {
        zone_load_free(load);
        load = NULL;
    }
    return load;
}

static unsigned count_failed(const struct config *config, const int *number)
{
    unsigned failed = 0;
    for (unsigned i = 0; i < config->zone_count; i++)
        failed += number[i] < 0;
    return failed;
}

static void sweep(const struct config *config, const char *cache_folder)
{
    const char **apex = calloc(config->zone_count + 1, sizeof *apex);
    for (unsigned i = 0; apex && i < config->zone_count; i++)
        apex[i] = config->zones[i].name;
    if (apex)
        zone_cache_sweep(cache_folder, apex, config->zone_count);
    free(apex);
}

int zone_build(const struct config *config, const char *cache_folder, uint64_t generation, uint64_t built_at_us,
               struct config_errors *errors, struct zone_build_result *result)
{
    int rc;
    struct config_errors silent = {0};
    memset(result, 0, sizeof *result);
    int *number = calloc(config->zone_count + 1, sizeof *number);
    if (!number)
        return -ENOMEM;
    struct zone_load *load = load_files(config, cache_folder, errors, result, number, &rc);
    result->zones_failed = count_failed(config, number);
    result->zones_loaded = config->zone_count - result->zones_failed;
    if (rc == 0 && result->zones_failed && cache_folder) {
        struct zone_load *kept = load_kept(config, cache_folder, number, errors, &silent, result);
        if (kept) {
            zone_load_free(load);
            load = kept;
        }
    }
    if (rc == 0)
        rc = zone_builder_finish(zone_load_builder(load), generation, order_pairing_id(config), built_at_us,
                                 &result->image, &result->len);
    if (rc == 0 && cache_folder)
        sweep(config, cache_folder);
    zone_load_free(load);
    config_errors_fini(&silent);
    free(number);
    return rc;
}
