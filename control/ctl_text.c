// SPDX-License-Identifier: Apache-2.0
#include "control/ctl_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { LIST_CAP = 1024 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && text[0] ? text : "-";
}

static long long number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static bool flag_of(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

// "1.5s", "320us", "3h12m", or "-" for null.
static const char *duration_of(const json_t *object, const char *key, char out[32])
{
    const json_t *value = json_object_get(object, key);
    const double s = json_number_value(value);
    if (!json_is_number(value))
        snprintf(out, 32, "-");
    else if (s < 1e-3)
        snprintf(out, 32, "%.0fus", s * 1e6);
    else if (s < 1)
        snprintf(out, 32, "%.1fms", s * 1e3);
    else if (s < 120)
        snprintf(out, 32, "%.1fs", s);
    else if (s < 7200)
        snprintf(out, 32, "%.0fm%02.0fs", (double)(long)(s / 60), s - 60 * (double)(long)(s / 60));
    else
        snprintf(out, 32, "%ldh%02ldm", (long)(s / 3600), (long)(s / 60) % 60);
    return out;
}

static const char *percent_of(const json_t *object, const char *key, char out[32])
{
    const json_t *value = json_object_get(object, key);
    if (json_is_number(value))
        snprintf(out, 32, "%.1f%%", json_number_value(value) * 100);
    else
        snprintf(out, 32, "-");
    return out;
}

static const char *list_of(const json_t *object, const char *key, const char *between, char out[LIST_CAP])
{
    const json_t *list = json_object_get(object, key), *item;
    size_t i, at = 0;
    out[0] = 0;
    json_array_foreach(list, i, item) if (at < LIST_CAP) at +=
        (size_t)snprintf(out + at, LIST_CAP - at, "%s%s", i ? between : "", json_string_value(item));
    if (!out[0])
        snprintf(out, LIST_CAP, "-");
    return out;
}

static void print_sites_table(const json_t *sites)
{
    const json_t *site;
    size_t i;
    char since[32], load[32], response[32], lag[32], heard[32];
    printf("%-12s %-9s %-8s %-7s %-9s %-8s %-9s %s\n", "SITE", "STATE", "FOR", "LOAD", "RESPONSE", "LAG", "HEARTBEAT",
           "WHY");
    json_array_foreach(sites, i, site)
    {
        printf("%-12s %-9s %-8s %-7s %-9s %-8s %-9s %s%s%s\n", text_of(site, "name"), text_of(site, "state"),
               duration_of(site, "since", since), percent_of(site, "load", load),
               duration_of(site, "response", response), duration_of(site, "lag", lag),
               duration_of(site, "heartbeat_age", heard), text_of(site, "why"),
               flag_of(site, "in_doubt") ? "; in doubt" : "", flag_of(site, "own") ? " (this node's site)" : "");
    }
}

static void print_services_table(const json_t *services)
{
    const json_t *service;
    size_t i;
    printf("%-32s %-6s %s\n", "SERVICE", "TTL", "ORDER");
    json_array_foreach(services, i, service) printf(
        "%-32s %-6lld %s%s%s\n", text_of(service, "name"), number_of(service, "ttl"), text_of(service, "text"),
        flag_of(service, "by_region") || flag_of(service, "by_bucket") ? "  (differs by client: see explain)" : "",
        json_array_size(json_object_get(service, "operators")) ? "  (an operator has a say: see status)" : "");
}

static void print_image(const char *kind, const json_t *dataplane)
{
    const json_t *image = json_object_get(dataplane, kind);
    const long long generation = number_of(image, "generation"), published = number_of(image, "published");
    printf("  %-6s generation %lld, %lld bytes, %s\n", kind, generation, number_of(image, "bytes"),
           generation == 0                  ? "not built yet"
           : published == generation        ? "on the wire"
           : number_of(image, "status") < 0 ? text_of(image, "text")
                                            : "not on the wire yet");
}

static void print_operators(const json_t *entries, long long count)
{
    const json_t *e;
    char until[32];
    size_t i;
    json_array_foreach(entries, i, e)
    {
        const time_t at = (time_t)number_of(e, "until");
        struct tm utc;
        gmtime_r(&at, &utc);
        strftime(until, sizeof until, " until %F %TZ", &utc);
        printf("operator: %s %s is kept %s%s: %s\n", text_of(e, "kind"), text_of(e, "name"), text_of(e, "state"),
               at ? until : "", text_of(e, "reason"));
    }
    if (count > (long long)i)
        printf("... and %lld more said by operators\n", count - (long long)i);
}

void ctl_text_status(const json_t *r)
{
    const json_t *dataplane = json_object_get(r, "dataplane"), *load = json_object_get(r, "load"),
                 *latency = json_object_get(r, "verdict_to_wire"), *standby = json_object_get(r, "standby"), *alarm;
    char a[32], b[32], c[32];
    size_t i;
    json_array_foreach(json_object_get(r, "alarms"), i, alarm) printf("ALARM: %s\n", json_string_value(alarm));
    printf("node %s of site %s, version %s, up %s, pid %lld\n", text_of(r, "node"), text_of(r, "site"),
           text_of(r, "version"), duration_of(r, "uptime", a), number_of(r, "pid"));
    printf("data plane: %s, %lld workers, pid %lld\n",
           !flag_of(dataplane, "connected")   ? "not connected"
           : !flag_of(dataplane, "answering") ? "connected, but its workers make no progress"
                                              : "connected and answering",
           number_of(dataplane, "workers"), number_of(dataplane, "pid"));
    print_image("zone", dataplane);
    print_image("order", dataplane);
    if (json_is_object(standby))
        printf("standby: %s, pid %lld\n",
               !flag_of(standby, "connected")   ? "not connected"
               : !flag_of(standby, "answering") ? "connected, but it makes no progress"
                                                : "connected, answers what the data plane does not take",
               number_of(standby, "pid"));
    printf("zones: %lld loaded, %lld with errors; last load took %s; reloads %lld applied, %lld refused\n",
           number_of(load, "zones_loaded"), number_of(load, "zones_failed"), duration_of(load, "took", a),
           number_of(load, "applied"), number_of(load, "refused"));
    if (number_of(latency, "count"))
        printf("verdict to wire: last %s, median %s, p99 %s of %lld\n", duration_of(latency, "last", a),
               duration_of(latency, "median", b), duration_of(latency, "p99", c), number_of(latency, "count"));
    print_operators(json_object_get(r, "operators"), number_of(r, "operator_count"));
    putchar('\n');
    print_sites_table(json_object_get(r, "sites"));
    putchar('\n');
    print_services_table(json_object_get(r, "services"));
    const long long more = number_of(r, "service_count") - (long long)json_array_size(json_object_get(r, "services"));
    if (more > 0)
        printf("... and %lld more: signpostctl services\n", more);
}

static void print_members(const char *title, const json_t *members)
{
    const json_t *m;
    size_t i;
    char age[32], response[32];
    json_array_foreach(members, i, m)
    {
        const char *trouble = json_string_value(json_object_get(m, "trouble")), *detail = text_of(m, "detail");
        printf("    %s%-28s %-8s %s, %s ago, response %s%s%s%s%s%s\n", title, text_of(m, "name"), text_of(m, "state"),
               text_of(m, "last"), duration_of(m, "age", age), duration_of(m, "response", response),
               trouble ? "; now: " : "", trouble ? trouble : "", detail[0] ? " (" : "", detail, detail[0] ? ")" : "");
    }
}

void ctl_text_sites(const json_t *r)
{
    const json_t *sites = json_object_get(r, "sites"), *site, *group, *node;
    char list[LIST_CAP], age[32];
    size_t i, k;
    print_sites_table(sites);
    json_array_foreach(sites, i, site)
    {
        const json_t *operator_state = json_object_get(site, "operator");
        printf("\n%s: %s; addresses %s\n", text_of(site, "name"), text_of(site, "why"),
               list_of(site, "addresses", ", ", list));
        if (json_array_size(json_object_get(site, "withdrawn")))
            printf("  withdrawn by an operator: %s\n", list_of(site, "withdrawn", ", ", list));
        if (strcmp(text_of(operator_state, "state"), "auto") != 0)
            printf("  operator says %s: %s\n", text_of(operator_state, "state"), text_of(operator_state, "reason"));
        json_array_foreach(json_object_get(site, "groups"), k, group)
        {
            printf("  group %s: %lld of %lld good, %lld needed%s\n", text_of(group, "name"), number_of(group, "good"),
                   number_of(group, "of"), number_of(group, "need"), flag_of(group, "required") ? "" : " (only shown)");
            print_members("", json_object_get(group, "servers"));
        }
        print_members("balancer ", json_object_get(site, "balancers"));
        json_array_foreach(json_object_get(site, "nodes"), k, node)
            printf("    node %-23s heard %s ago, %lld messages\n", text_of(node, "name"),
                   duration_of(node, "heard", age), number_of(node, "messages"));
    }
}

void ctl_text_services(const json_t *r)
{
    print_services_table(json_object_get(r, "services"));
    const long long more = number_of(r, "count") - (long long)json_array_size(json_object_get(r, "services"));
    if (more > 0)
        printf("(%lld not shown)\n", more);
}

static void print_explanation(const json_t *r)
{
    const json_t *item;
    char list[LIST_CAP];
    size_t i;
    printf("%s\n", text_of(r, "service"));
    json_array_foreach(json_object_get(r, "sites"), i, item)
        printf("  site %-14s %-8s %s\n", text_of(item, "name"), text_of(item, "state"), text_of(item, "why"));
    json_array_foreach(json_object_get(r, "stages"), i, item)
        printf("  stage %-16s -> %-24s %s\n", text_of(item, "stage"), list_of(item, "order", " ", list),
               text_of(item, "note"));
    printf("  order: %s%s%s, TTL %lld", list_of(r, "order", " ", list),
           flag_of(r, "fail_open") ? " (fail-open: no site is available)" : "",
           flag_of(r, "last_resort") ? " (last resort)" : "", number_of(r, "ttl"));
    printf("%s%s\n", strcmp(text_of(r, "mode"), "answer") ? ", mode " : "",
           strcmp(text_of(r, "mode"), "answer") ? text_of(r, "mode") : "");
    if (json_array_size(json_object_get(r, "withdrawn")))
        printf("  withdrawn by an operator: %s\n", list_of(r, "withdrawn", ", ", list));
    printf("  A     %s\n", list_of(r, "a", ", ", list));
    printf("  AAAA  %s\n", list_of(r, "aaaa", ", ", list));
}

void ctl_text_explain(const json_t *r)
{
    const json_t *client = json_object_get(r, "client");
    if (client)
        printf("client %s: region %s, scope /%lld, bucket %lld\n", text_of(client, "address"),
               text_of(client, "region"), number_of(client, "scope"), number_of(client, "bucket"));
    print_explanation(r);
}

void ctl_text_simulate(const json_t *r)
{
    const json_t *service;
    size_t i;
    json_array_foreach(json_object_get(r, "services"), i, service) print_explanation(service);
}

// A group of zeros alone goes without its title.
static bool has_numbers(const json_t *object, bool skip_zero)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key,
                        value) if (!json_is_integer(value) || json_integer_value(value) || !skip_zero) return true;
    return false;
}

static void print_numbers(const char *title, const json_t *object, bool skip_zero)
{
    const char *key;
    json_t *value;
    char text[32];
    if (!has_numbers(object, skip_zero))
        return;
    printf("%s\n", title);
    json_object_foreach((json_t *)object, key, value)
    {
        if (json_is_integer(value) && (json_integer_value(value) || !skip_zero))
            printf("  %-24s %lld\n", key, (long long)json_integer_value(value));
        else if (json_is_real(value))
            printf("  %-24s %s\n", key, duration_of(object, key, text));
        else if (json_is_object(value))
            print_numbers(key, value, skip_zero);
    }
}

static void print_load(const json_t *workers)
{
    const json_t *w;
    size_t number;
    json_array_foreach(workers, number, w)
    {
        if (!json_object_get(w, "idle_share"))
            continue;
        printf("worker %zu: %.1f %% idle", number, 100 * json_real_value(json_object_get(w, "idle_share")));
        if (json_object_get(w, "cycles_per_packet"))
            printf(", %.1f packets a burst, %.0f cycles a burst, %.0f a packet, %.0f %% of all packets",
                   json_real_value(json_object_get(w, "mean_burst")),
                   json_real_value(json_object_get(w, "cycles_per_burst")),
                   json_real_value(json_object_get(w, "cycles_per_packet")),
                   100 * json_real_value(json_object_get(w, "share_of_packets")));
        putchar('\n');
    }
}

void ctl_text_stats(const json_t *r)
{
    print_numbers("control", json_object_get(r, "control"), false);
    print_numbers("heartbeats", json_object_get(r, "heartbeats"), false);
    print_numbers("data plane, all workers (zeros are left out)", json_object_get(r, "dataplane"), true);
    print_load(json_object_get(r, "workers"));
}

void ctl_text_history_entry(const json_t *e)
{
    const long long at_us = number_of(e, "at_us");
    const time_t at = (time_t)(at_us / 1000000);
    struct tm utc;
    char stamp[32], took[32];
    gmtime_r(&at, &utc);
    strftime(stamp, sizeof stamp, "%F %T", &utc);
    printf("%s.%03lldZ %-8s %s: %s -> %s", stamp, at_us / 1000 % 1000, text_of(e, "kind"), text_of(e, "name"),
           text_of(e, "from"), text_of(e, "to"));
    if (json_object_get(e, "why"))
        printf(": %s", text_of(e, "why"));
    if (json_object_get(e, "verdict_to_wire"))
        printf(" (on the wire after %s)", duration_of(e, "verdict_to_wire", took));
    putchar('\n');
    fflush(stdout);
}

void ctl_text_history(const json_t *r)
{
    const json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(r, "history"), i, entry) ctl_text_history_entry(entry);
}

void ctl_text_operator(const json_t *r)
{
    static const char *const names[][3] = {{"site", "site", "sites"},
                                           {"service", "site of a service", "sites of services"},
                                           {"address", "address", "addresses"}};
    for (unsigned i = 0; i < 3; i++)
        if (strcmp(text_of(r, "kind"), names[i][0]) == 0)
            printf("done, %lld %s\n", number_of(r, "count"), names[i][number_of(r, "count") == 1 ? 1 : 2]);
    const char *others = text_of(r, "other_nodes");
    if (strcmp(others, "follow") == 0)
        puts("the other nodes follow by this node's heartbeats");
    else if (strcmp(others, "not told") == 0)
        puts("on this node only: say it on each of the others too");
}

void ctl_text_problems(const json_t *r)
{
    const json_t *p;
    size_t i;
    json_array_foreach(json_object_get(r, "problems"), i, p)
    {
        printf("%s", text_of(p, "file"));
        if (number_of(p, "line"))
            printf(":%lld", number_of(p, "line"));
        printf(": %s: ", text_of(p, "level"));
        if (json_string_value(json_object_get(p, "key")))
            printf("%s: ", text_of(p, "key"));
        printf("%s\n", text_of(p, "text"));
    }
}

void ctl_text_reload(const json_t *r)
{
    char took[32];
    ctl_text_problems(r);
    if (flag_of(r, "applied"))
        printf("applied: %lld zones loaded, %lld with errors, in %s\n", number_of(r, "zones_loaded"),
               number_of(r, "zones_failed"), duration_of(r, "took", took));
}

void ctl_text_metrics(const json_t *r)
{
    fputs(text_of(r, "text"), stdout);
}
