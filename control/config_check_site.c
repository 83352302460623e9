// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <limits.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "control/config_check.h"

int config_find_site(const struct config *config, const char *name)
{
    for (unsigned i = 0; name && i < config->site_count; i++)
        if (config->sites[i].name && strcmp(config->sites[i].name, name) == 0)
            return (int)i;
    return CONFIG_NONE;
}

const char *config_site_hint(const struct config *config, const char *name, char *out, size_t cap)
{
    unsigned best = UINT_MAX;
    snprintf(out, cap, "%s", config->site_count ? "" : "; there are no sites");
    for (unsigned i = 0; i < config->site_count; i++)
        if (config->sites[i].name && config_schema_is_nearer(name, config->sites[i].name, &best))
            snprintf(out, cap, "; did you mean \"%s\"?", config->sites[i].name);
    return out;
}

// ---- groups ----

// "200-299,301" into ranges; false when it is none.
static bool parse_statuses(struct config_reader *r, struct config_group *g)
{
    unsigned cap = 1;
    for (const char *c = g->status; *c; c++)
        cap += *c == ',';
    struct config_status_range *ranges = config_reader_take(r, cap * sizeof(*ranges));
    const char *p = g->status;
    for (unsigned i = 0; i < cap && ranges; i++) {
        unsigned first, last;
        int used = 0;
        p += strspn(p, " ");
        if (!isdigit((unsigned char)*p) || sscanf(p, "%3u%n", &first, &used) != 1)
            return false;
        p += used;
        last = first;
        if (*p == '-') {
            if (!isdigit((unsigned char)p[1]) || sscanf(p + 1, "%3u%n", &last, &used) != 1)
                return false;
            p += used + 1;
        }
        p += strspn(p, " ");
        if (first < 100 || last > 599 || first > last || *p != (i + 1 < cap ? ',' : 0))
            return false;
        p++;
        ranges[i] = (struct config_status_range){.first = (uint16_t)first, .last = (uint16_t)last};
    }
    g->statuses = ranges;
    g->status_count = ranges ? cap : 0;
    return true;
}

static bool is_token(const char *text, size_t len) // RFC 9110 section 5.6.2
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && !strchr("!#$%&'*+-.^_`|~", text[i]))
            return false;
    return len > 0;
}

static bool has_control_character(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            return true;
    return false;
}

static void check_regex(struct config_reader *r, const struct config_group *g, const char *key, const char *pattern)
{
    regex_t compiled;
    char why[128];
    if (!*pattern)
        return;
    int rc = regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB);
    if (rc == 0) {
        regfree(&compiled);
        return;
    }
    regerror(rc, NULL, why, sizeof(why));
    config_report(r, CONFIG_ERROR, g, key, "is no regular expression: %s", why);
}

// A SHA-256 in base64 is 44 characters, the last one "=".
static bool is_pin(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return strlen(text) == 44 && strspn(text, letters) == 43 && text[43] == '=';
}

static void check_tls(struct config_reader *r, const struct config_tls *tls)
{
    if (!*tls->cert_file != !*tls->key_file)
        config_report(r, CONFIG_ERROR, tls, *tls->cert_file ? "cert_file" : "key_file",
                      "a client certificate needs both cert_file and key_file");
    if (*tls->pin_sha256 && !is_pin(tls->pin_sha256))
        config_report(r, CONFIG_ERROR, tls, "pin_sha256", "is not the base64 form of a SHA-256 (44 characters)");
    if (!tls->verify && !*tls->pin_sha256)
        config_report(r, CONFIG_WARNING, tls, "verify", "any server can answer for this one; set pin_sha256 at least");
}

static void check_http(struct config_reader *r, struct config_group *g)
{
    if (!parse_statuses(r, g))
        config_report(r, CONFIG_ERROR, g, "status",
                      "\"%.60s\" is no list of status codes; allowed: codes and ranges from 100 to 599, such as "
                      "\"200,204,300-399\"",
                      g->status);
    if (!is_token(g->method, strlen(g->method)))
        config_report(r, CONFIG_ERROR, g, "method", "is no request method");
    if (*g->path != '/' || has_control_character(g->path) || strchr(g->path, ' '))
        config_report(r, CONFIG_ERROR, g, "path", "must start with \"/\" and hold no blanks");
    if (has_control_character(g->host) || strchr(g->host, ' '))
        config_report(r, CONFIG_ERROR, g, "host", "holds blanks or control characters");
    for (unsigned i = 0; i < g->header_count; i++) {
        const char *h = g->headers[i];
        const char *colon = h ? strchr(h, ':') : NULL;
        if (h && (!colon || !is_token(h, (size_t)(colon - h)) || has_control_character(h)))
            config_report_entry(r, CONFIG_ERROR, g, "headers", i, "is no header; allowed: \"Name: value\"");
    }
    if (g->keyword_match == CONFIG_MATCH_REGEX) {
        check_regex(r, g, "keyword", g->keyword);
        check_regex(r, g, "keyword_absent", g->keyword_absent);
    }
    if (*g->keyword && strcmp(g->method, "HEAD") == 0)
        config_report(r, CONFIG_ERROR, g, "keyword", "a HEAD request has no body to find it in; use GET");
    check_tls(r, &g->tls);
}

static void check_dns(struct config_reader *r, const struct config_dns_probe *dns)
{
    static const char *const types[] = {"A",  "AAAA", "NS",  "SOA", "CNAME", "PTR",
                                        "MX", "TXT",  "SRV", "CAA", "SVCB",  "HTTPS"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcasecmp(dns->type, types[i]) == 0)
            return;
    config_report(r, CONFIG_ERROR, dns, "type",
                  "\"%s\" is no type to ask for; allowed: A, AAAA, NS, SOA, CNAME, PTR, MX, TXT, SRV, CAA, SVCB, HTTPS",
                  dns->type);
}

static bool same_endpoint(const struct config_endpoint *a, const struct config_endpoint *b)
{
    return a->port == b->port && config_address_equal(&a->address, &b->address);
}

static bool is_network(enum config_probe_type probe)
{
    return probe == CONFIG_PROBE_TCP || probe == CONFIG_PROBE_HTTP || probe == CONFIG_PROBE_HTTPS ||
           probe == CONFIG_PROBE_DNS;
}

static void check_servers(struct config_reader *r, const struct config_group *g)
{
    char text[CONFIG_ENDPOINT_TEXT_CAP];
    if (g->server_count == 0 && !config_reader_given(r, g, "servers"))
        config_report(r, CONFIG_ERROR, g, "servers", "is missing, and the site has no addresses to probe instead");
    else if (g->server_count == 0)
        config_report(r, CONFIG_ERROR, g, "servers", "at least one server is needed");
    else if (g->need > g->server_count)
        config_report(r, CONFIG_ERROR, g, "need", "%u of %u servers can never be good; allowed: 1 to %u", g->need,
                      g->server_count, g->server_count);
    for (unsigned i = 0; i < g->server_count; i++) {
        const struct config_endpoint *s = &g->servers[i];
        if (!s->address.is_set) // reported while reading
            continue;
        if (is_network(g->probe) && s->port == 0) {
            config_report_entry(r, CONFIG_ERROR, g, "servers", i,
                                "%s has no port; write one here, or set `port` of the group",
                                config_endpoint_text(s, text));
            break;
        }
        if (g->source.is_set && g->source.is_ipv6 != s->address.is_ipv6)
            config_report(r, CONFIG_ERROR, g, "source", "is of another family than the server %s",
                          config_endpoint_text(s, text));
        for (unsigned k = 0; k < i; k++)
            if (same_endpoint(s, &g->servers[k])) {
                config_report_entry(r, CONFIG_ERROR, g, "servers", i, "%s stands in the list twice",
                                    config_endpoint_text(s, text));
                break;
            }
    }
}

static void check_times(struct config_reader *r, const void *at, uint64_t interval_ns, uint64_t timeout_ns,
                        uint64_t max_age_ns)
{
    char high[32];
    if (timeout_ns > interval_ns)
        config_report(r, CONFIG_ERROR, at, "timeout", "is longer than the interval; allowed: at most %s",
                      config_duration_text(interval_ns, high, sizeof(high)));
    else if (max_age_ns && max_age_ns < interval_ns + timeout_ns)
        config_report(r, CONFIG_ERROR, at, "max_age",
                      "results would be too old before the next can be there; allowed: at least %s, which is the "
                      "interval and the time-out",
                      config_duration_text(interval_ns + timeout_ns, high, sizeof(high)));
}

// `fixed`: the name of `web` and `database`; null for the entries of `checks`.
static void check_group(struct config_reader *r, struct config_group *g, const char *fixed)
{
    if (fixed && strcmp(g->name, fixed) != 0)
        config_report(r, CONFIG_ERROR, g, "name", "this group is called \"%s\"; use `checks` for others", fixed);
    if (!fixed && !*g->name)
        config_report(r, CONFIG_ERROR, g, "name", "is missing");
    check_servers(r, g);
    check_times(r, g, g->interval_ns, g->timeout_ns, g->max_age_ns);
    if (g->probe == CONFIG_PROBE_HTTP || g->probe == CONFIG_PROBE_HTTPS)
        check_http(r, g);
    if (g->probe == CONFIG_PROBE_DNS)
        check_dns(r, &g->dns);
    if (g->probe == CONFIG_PROBE_SCRIPT && (g->command_count == 0 || !g->command[0] || *g->command[0] != '/'))
        config_report(r, CONFIG_ERROR, g, "command", "a script needs its program, by its full path");
    if (g->probe == CONFIG_PROBE_FILE && !*g->file)
        config_report(r, CONFIG_ERROR, g, "file", "is missing");
    if (fixed && strcmp(fixed, "database") == 0 && is_network(g->probe) && g->probe != CONFIG_PROBE_TCP &&
        g->probe != CONFIG_PROBE_DNS && !*g->keyword)
        config_report(r, CONFIG_WARNING, g, "keyword",
                      "without a keyword a page that is served while the database is down looks good");
}

static void check_groups(struct config_reader *r, struct config_site *s)
{
    for (unsigned i = 0; i < s->web_count; i++)
        check_group(r, &s->web[i], "web");
    for (unsigned i = 0; i < s->database_count; i++)
        check_group(r, &s->database[i], "database");
    for (unsigned i = 0; i < s->check_count; i++) {
        struct config_group *g = &s->checks[i];
        check_group(r, g, NULL);
        bool is_taken = strcmp(g->name, "web") == 0 || strcmp(g->name, "database") == 0;
        if (is_taken)
            config_report(r, CONFIG_ERROR, g, "name", "\"%s\" is a group of its own, not a check", g->name);
        for (unsigned k = 0; k < i && *g->name; k++)
            if (strcmp(g->name, s->checks[k].name) == 0) {
                config_report(r, CONFIG_ERROR, g, "name", "another check of this site is called \"%s\"", g->name);
                break;
            }
    }
}

// ---- balancers ----

// "http://192.0.2.1:8404/stats;csv": the scheme and a literal address.
static bool is_literal_url(const char *url)
{
    const char *at = strncmp(url, "http://", 7) == 0 ? url + 7 : strncmp(url, "https://", 8) == 0 ? url + 8 : NULL;
    char authority[CONFIG_ENDPOINT_TEXT_CAP];
    if (!at || has_control_character(url) || strchr(url, ' '))
        return false;
    size_t len = strcspn(at, "/?#");
    if (len == 0 || len >= sizeof(authority))
        return false;
    memcpy(authority, at, len);
    authority[len] = 0;
    struct config_endpoint e;
    if (config_parse_endpoint(authority, &e))
        return false;
    return !e.address.is_ipv6 || *authority == '['; // RFC 3986 section 3.2.2
}

// "pools.web[0].status": names and indices, none of them empty.
static bool is_json_path(const char *path)
{
    bool needs_name = true; // at the start and behind each dot
    while (*path) {
        size_t len = strcspn(path, ".[]");
        if (*path == ']' || (len == 0 && needs_name && *path != '['))
            return false;
        path += len;
        needs_name = false;
        while (*path == '[') {
            size_t digits = strspn(path + 1, "0123456789");
            if (digits == 0 || digits > 9 || path[1 + digits] != ']')
                return false;
            path += digits + 2;
        }
        if (*path == 0)
            return true;
        if (*path++ != '.')
            return false;
        needs_name = true;
    }
    return !needs_name;
}

static void check_json_paths(struct config_reader *r, const struct config_balancer *b)
{
    const struct {
        const char *key, *path;
    } paths[] = {{"status_path", b->status_path},
                 {"servers_up_path", b->servers_up_path},
                 {"load_path", b->load_path},
                 {"weight_path", b->weight_path}};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (*paths[i].path && !is_json_path(paths[i].path))
            config_report(r, CONFIG_ERROR, b, paths[i].key,
                          "is no path; allowed: names and indices, such as \"pools.web.status\" or \"servers[0].up\"");
    bool has_state = *b->status_path || *b->servers_up_path;
    if (b->role == CONFIG_BALANCER_LOAD_ONLY && !*b->load_path && !*b->weight_path)
        config_report(r, CONFIG_ERROR, b, "load_path", "the role load-only needs load_path or weight_path");
    if (b->role != CONFIG_BALANCER_LOAD_ONLY && !has_state)
        config_report(r, CONFIG_ERROR, b, "status_path", "status_path or servers_up_path is needed");
}

static void check_balancer(struct config_reader *r, const struct config_balancer *b)
{
    check_times(r, b, b->interval_ns, b->timeout_ns, b->max_age_ns);
    switch (b->type) {
    case CONFIG_BALANCER_HAPROXY_CSV:
    case CONFIG_BALANCER_HTTP:
    case CONFIG_BALANCER_ENVOY:
    case CONFIG_BALANCER_JSON:
        if (!*b->url)
            config_report(r, CONFIG_ERROR, b, "url", "is missing");
        else if (!is_literal_url(b->url))
            config_report(r, CONFIG_ERROR, b, "url",
                          "allowed: http:// or https:// with a literal address and no user name, such as "
                          "\"http://192.0.2.5:8404/stats;csv\"");
        if (b->type == CONFIG_BALANCER_JSON)
            check_json_paths(r, b);
        check_tls(r, &b->tls);
        break;
    case CONFIG_BALANCER_HAPROXY_SOCKET:
        if (!*b->socket == !b->address.address.is_set)
            config_report(r, CONFIG_ERROR, b, *b->socket ? "address" : "socket",
                          "one of socket and address is needed, not both");
        else if (!*b->socket && b->address.port == 0)
            config_report(r, CONFIG_ERROR, b, "address", "a port is needed");
        break;
    case CONFIG_BALANCER_AGENT:
        if (!b->address.address.is_set || b->address.port == 0)
            config_report(r, CONFIG_ERROR, b, "address", "an address and a port are needed");
        break;
    }
}

// ---- sites ----

static void check_addresses(struct config_reader *r, const void *at, const char *key,
                            const struct config_address *address, unsigned count)
{
    char text[CONFIG_ADDRESS_TEXT_CAP];
    for (unsigned i = 1; i < count; i++)
        for (unsigned k = 0; k < i; k++)
            if (address[i].is_set && config_address_equal(&address[i], &address[k])) {
                config_report_entry(r, CONFIG_ERROR, at, key, i, "%s stands in the list twice",
                                    config_address_text(&address[i], text));
                break;
            }
}

static void check_site(struct config_reader *r, struct config *config, unsigned number)
{
    struct config_site *s = &config->sites[number];
    int first = config_find_site(config, s->name);
    if (s->name && first >= 0 && (unsigned)first != number)
        config_report(r, CONFIG_ERROR, s, "name", "there is another site \"%s\" in line %u of %.200s", s->name,
                      config->sites[first].origin.line, config->sites[first].origin.file);
    check_addresses(r, s, "addresses", s->addresses, s->address_count);
    bool needs_nodes = s->node_count > 0 || config_reader_given(r, s, "nodes_need");
    if (needs_nodes && s->nodes_need > s->node_count)
        config_report(r, CONFIG_ERROR, s, "nodes_need", "%u of %u nodes can never be heard; allowed: 1 to %u",
                      s->nodes_need, s->node_count, s->node_count);
    check_groups(r, s);
    bool has_groups = s->web_count || s->database_count || s->check_count;
    for (unsigned i = 0; i < s->balancer_count; i++) {
        check_balancer(r, &s->balancers[i]);
        if (s->balancers[i].role == CONFIG_BALANCER_ALTERNATIVE && !has_groups)
            config_report(r, CONFIG_ERROR, &s->balancers[i], "role",
                          "the site has no groups that it could be an alternative to");
    }
}

void config_check_sites(struct config_reader *r, struct config *config)
{
    for (unsigned i = 0; i < config->site_count && !r->out_of_memory; i++)
        check_site(r, config, i);
}
