// SPDX-License-Identifier: Apache-2.0
// JSON documents: Envoy's cluster list, and any other by paths. jansson bounds the depth; the reader bounds the length.
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "health/balancer_reading.h"

enum { PATH_PART_CAP = 256 };

static json_t *parse(const char *text, size_t len, struct probe_result *unreadable)
{
    json_error_t error;
    json_t *document = json_loadb(text, len, JSON_DECODE_ANY, &error);
    if (!document)
        *unreadable = balancer_unreadable("no JSON: line %d: %s", error.line, error.text);
    return document;
}

// ---- any document ----

// The value at a path such as "a.b[2].c"; null when there is none.
static const json_t *value_at(const json_t *at, const char *path)
{
    char part[PATH_PART_CAP];
    while (at && *path) {
        if (*path == '[') {
            char *end;
            const unsigned long index = strtoul(path + 1, &end, 10);
            if (end == path + 1 || *end != ']' || !json_is_array(at))
                return NULL;
            at = json_array_get(at, index);
            path = end + 1;
        } else {
            const size_t len = strcspn(path, ".[");
            if (len >= sizeof part)
                return NULL;
            memcpy(part, path, len);
            part[len] = 0;
            at = json_object_get(at, part);
            path += len;
        }
        path += *path == '.';
    }
    return at;
}

static bool is_up_value(const json_t *value, const char *up_value)
{
    if (json_is_string(value))
        return strcasecmp(json_string_value(value), up_value) == 0;
    return json_is_true(value) || (json_is_number(value) && json_number_value(value) != 0);
}

// A number, also one written as text; NAN when it is none.
static double number_of(const json_t *value)
{
    if (json_is_number(value))
        return json_number_value(value);
    if (!json_is_string(value))
        return NAN;
    char *end;
    const char *text = json_string_value(value);
    const double number = strtod(text, &end);
    return end != text && (*end == 0 || strcmp(end, "%") == 0) ? number : NAN;
}

// Puts the number at a path into *out. False, with the sentence, when there is none; true and NAN when no path is
// given.
static bool read_number(const json_t *document, const char *path, double *out, struct probe_result *r)
{
    *out = NAN;
    if (!path || !path[0])
        return true;
    *out = number_of(value_at(document, path));
    if (isfinite(*out) && *out >= 0)
        return true;
    *r = balancer_unreadable("there is no number at %s", path);
    return false;
}

static int32_t clamp_permille(double value)
{
    return value > 1000000 ? 1000000 : (int32_t)value;
}

static struct probe_result judge_document(const json_t *document, const struct balancer_spec *spec)
{
    struct probe_result r = probe_result_up(0);
    double servers, load, weight;
    if (!read_number(document, spec->servers_up_path, &servers, &r) ||
        !read_number(document, spec->load_path, &load, &r) || !read_number(document, spec->weight_path, &weight, &r))
        return r;
    const bool has_status = spec->status_path && spec->status_path[0];
    const json_t *status = has_status ? value_at(document, spec->status_path) : NULL;
    if (has_status && !status)
        return balancer_unreadable("there is nothing at %s", spec->status_path);
    if (!isnan(load))
        r.load_permille = clamp_permille(load > 1 ? load * 10 : load * 1000);
    if (weight < 100 && r.load_permille < 1000 - (int32_t)(weight * 10))
        r.load_permille = 1000 - (int32_t)(weight * 10);
    const bool is_status_bad = has_status && !is_up_value(status, spec->up_value);
    if (is_status_bad || servers < spec->need || weight == 0) {
        r.result = EVIDENCE_DOWN;
        r.reason = EVIDENCE_REASON_BALANCER_DOWN;
    }
    if (is_status_bad)
        probe_result_detail(&r, "%s is %s", spec->status_path,
                            json_is_string(status) ? json_string_value(status) : "not up");
    else if (!isnan(servers))
        probe_result_detail(&r, "%.0f servers up", servers);
    else if (weight == 0)
        probe_result_detail(&r, "weight 0");
    return r;
}

struct probe_result balancer_read_json(const char *text, size_t len, const struct balancer_spec *spec)
{
    struct probe_result r;
    json_t *document = parse(text, len, &r);
    if (!document)
        return r;
    r = judge_document(document, spec);
    json_decref(document);
    return r;
}

// ---- Envoy ----

struct cluster {
    unsigned hosts, healthy;
    double requests;
};

// Healthy by the control plane (or not said), and failed by no check of Envoy's own.
static bool is_host_healthy(const json_t *host)
{
    static const char *const failures[] = {"failed_active_health_check",     "failed_outlier_check",
                                           "pending_dynamic_removal",        "pending_active_hc",
                                           "excluded_via_immediate_hc_fail", "active_hc_timeout"};
    const json_t *health = json_object_get(host, "health_status");
    const char *eds = json_string_value(json_object_get(health, "eds_health_status"));
    for (unsigned i = 0; i < sizeof failures / sizeof *failures; i++)
        if (json_is_true(json_object_get(health, failures[i])))
            return false;
    return !eds || strcmp(eds, "HEALTHY") == 0 || strcmp(eds, "DEGRADED") == 0 || strcmp(eds, "UNKNOWN") == 0;
}

static double stat_of(const json_t *host, const char *name)
{
    const json_t *stat;
    size_t at;
    json_array_foreach(json_object_get(host, "stats"), at, stat)
    {
        const char *found = json_string_value(json_object_get(stat, "name"));
        const double value = number_of(json_object_get(stat, "value"));
        if (found && strcmp(found, name) == 0)
            return isfinite(value) && value > 0 ? value : 0; // a zero is left out
    }
    return 0;
}

static struct cluster read_cluster(const json_t *entry)
{
    struct cluster c = {0};
    const json_t *host;
    size_t at;
    json_array_foreach(json_object_get(entry, "host_statuses"), at, host)
    {
        c.hosts++;
        c.healthy += is_host_healthy(host);
        c.requests += stat_of(host, "rq_active");
    }
    return c;
}

static double request_limit(const json_t *entry)
{
    const json_t *threshold;
    size_t at;
    json_array_foreach(json_object_get(json_object_get(entry, "circuit_breakers"), "thresholds"), at, threshold)
    {
        const char *priority = json_string_value(json_object_get(threshold, "priority"));
        if (!priority || strcmp(priority, "DEFAULT") == 0)
            return number_of(json_object_get(threshold, "max_requests"));
    }
    return NAN;
}

static void take_cluster(const json_t *entry, const char *name, const struct balancer_spec *spec,
                         struct probe_result *r)
{
    const struct cluster c = read_cluster(entry);
    const double limit = spec->sessions_max ? spec->sessions_max : request_limit(entry);
    const int32_t load = limit > 0 ? clamp_permille(c.requests * 1000 / limit) : -1;
    r->load_permille = load > r->load_permille ? load : r->load_permille;
    if (c.healthy >= spec->need || r->result == EVIDENCE_DOWN)
        return;
    r->result = EVIDENCE_DOWN;
    r->reason = EVIDENCE_REASON_BALANCER_DOWN;
    probe_result_detail(r, "%s: %u of %u hosts healthy", name, c.healthy, c.hosts);
}

static struct probe_result judge_clusters(const json_t *clusters, const struct balancer_spec *spec)
{
    struct probe_result r = probe_result_up(0);
    unsigned counted = 0;
    const json_t *entry;
    size_t at;
    json_array_foreach(clusters, at, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (!name || !balancer_counts(spec, name))
            continue;
        counted++;
        take_cluster(entry, name, spec, &r);
    }
    if (counted == 0 || counted < spec->backend_count)
        return balancer_unreadable("%u of %u clusters that count are listed", counted,
                                   spec->backend_count ? spec->backend_count : 1);
    return r;
}

struct probe_result balancer_read_envoy(const char *text, size_t len, const struct balancer_spec *spec)
{
    struct probe_result r;
    json_t *document = parse(text, len, &r);
    if (!document)
        return r;
    const json_t *clusters = json_object_get(document, "cluster_statuses");
    r = json_is_array(clusters) ? judge_clusters(clusters, spec) : balancer_unreadable("no list cluster_statuses");
    json_decref(document);
    return r;
}
