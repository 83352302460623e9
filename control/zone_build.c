// SPDX-License-Identifier: Apache-2.0
#include "control/zone_build.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/order_build.h"
#include "control/regions.h"
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

static void add_zones(const struct config *config, struct zone_load *load, struct zone_build_result *result)
{
    for (unsigned i = 0; i < config->zone_count; i++) {
        const struct config_zone *zone = &config->zones[i];
        if (zone_load_file(load, zone->name, zone->file, config->zone_dir) < 0)
            result->zones_failed++;
        else
            result->zones_loaded++;
    }
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

int zone_build(const struct config *config, uint64_t generation, uint64_t built_at_us, struct config_errors *errors,
               struct zone_build_result *result)
{
    memset(result, 0, sizeof *result);
    struct zone_load *load = zone_load_new(errors, &zone_load_limits_default);
    if (!load)
        return -ENOMEM;
    struct zone_builder *builder = zone_load_builder(load);
    struct zone_settings settings;
    zone_build_settings(config, &settings);
    zone_builder_set_settings(builder, &settings);
    int rc = add_regions(config, builder, errors);
    if (rc == 0) {
        add_zones(config, load, result);
        rc = add_services(config, builder, errors, result);
    }
    const int dropped = rc == 0 ? zone_load_check(load) : 0;
    if (dropped > 0) {
        result->zones_failed += (unsigned)dropped;
        result->zones_loaded -= (unsigned)dropped;
    }
    rc = dropped < 0 ? dropped : rc;
    if (rc == 0)
        rc = zone_builder_finish(builder, generation, order_pairing_id(config), built_at_us, &result->image,
                                 &result->len);
    zone_load_free(load);
    return rc;
}
