// SPDX-License-Identifier: Apache-2.0
#include "control/probe_setup.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include <string.h>

#include "shared/log.h"
#include "health/prober.h"

enum { CREDENTIALS_CAP = 512 };

static struct probe_address address_of(const struct config_address *from, uint16_t port)
{
    struct probe_address to = {.len = 0};
    if (!from->is_set)
        return to;
    to.len = config_socket_address(from, port, &to.address);
    return to;
}

static struct probe_tls tls_of(const struct config_tls *from)
{
    return (struct probe_tls){.name = from->name,
                              .verify = from->verify,
                              .ca_file = from->ca_file,
                              .pin_sha256 = from->pin_sha256,
                              .cert_file = from->cert_file,
                              .key_file = from->key_file};
}

static enum probe_type type_of(enum config_probe_type type)
{
    static const enum probe_type types[] = {
        [CONFIG_PROBE_TCP] = PROBE_TCP,   [CONFIG_PROBE_HTTP] = PROBE_HTTP, [CONFIG_PROBE_HTTPS] = PROBE_HTTPS,
        [CONFIG_PROBE_ICMP] = PROBE_ICMP, [CONFIG_PROBE_DNS] = PROBE_DNS,   [CONFIG_PROBE_SCRIPT] = PROBE_SCRIPT,
        [CONFIG_PROBE_FILE] = PROBE_FILE};
    return types[type];
}

static_assert(sizeof(struct probe_status_range) == sizeof(struct config_status_range), "they are copied as arrays");

static struct probe_http http_of(const struct config_group *g)
{
    return (struct probe_http){.method = g->method,
                               .path = g->path,
                               .host = g->host,
                               .headers = g->headers,
                               .header_count = g->header_count,
                               .statuses = (const struct probe_status_range *)g->statuses,
                               .status_count = g->status_count,
                               .keyword = g->keyword,
                               .keyword_absent = g->keyword_absent,
                               .match = g->keyword_match == CONFIG_MATCH_REGEX ? PROBE_MATCH_REGEX : PROBE_MATCH_TEXT,
                               .body_max_bytes = g->body_max_bytes,
                               .keep_alive = g->keep_alive,
                               .tls = tls_of(&g->tls)};
}

static int add_group(struct prober *prober, const struct config_group *g, unsigned site, unsigned group)
{
    struct probe_spec spec = {.type = type_of(g->probe),
                              .source = address_of(&g->source, 0),
                              .interval_ns = g->interval_ns,
                              .timeout_ns = g->timeout_ns,
                              .jitter_percent = g->jitter_percent,
                              .send = g->send,
                              .expect = g->expect,
                              .http = http_of(g),
                              .dns_name = g->dns.name,
                              .dns_type = g->dns.type,
                              .dns_expect = g->dns.expect,
                              .command = g->command,
                              .command_count = g->command_count,
                              .file = g->file};
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < g->server_count; i++) {
        spec.server = address_of(&g->servers[i].address, g->servers[i].port);
        rc = prober_add_probe(prober, &spec, (uint16_t)site, (uint16_t)group, (uint16_t)i);
    }
    return rc;
}

static enum balancer_type balancer_type_of(enum config_balancer_type type)
{
    static const enum balancer_type types[] = {[CONFIG_BALANCER_HAPROXY_CSV] = BALANCER_HAPROXY_CSV,
                                               [CONFIG_BALANCER_HAPROXY_SOCKET] = BALANCER_HAPROXY_SOCKET,
                                               [CONFIG_BALANCER_HTTP] = BALANCER_HTTP,
                                               [CONFIG_BALANCER_AGENT] = BALANCER_AGENT,
                                               [CONFIG_BALANCER_ENVOY] = BALANCER_ENVOY,
                                               [CONFIG_BALANCER_JSON] = BALANCER_JSON};
    return types[type];
}

// The one line of a credentials file; empty when there is none.
static int read_credentials(const char *path, char out[CREDENTIALS_CAP])
{
    out[0] = 0;
    if (!path || !path[0])
        return 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    const bool is_read = fgets(out, CREDENTIALS_CAP, file) != NULL;
    fclose(file);
    out[strcspn(out, "\r\n")] = 0;
    return is_read && strchr(out, ':') ? 0 : -EINVAL;
}

static int add_balancer(struct prober *prober, const struct config_balancer *b, unsigned site, unsigned number)
{
    char credentials[CREDENTIALS_CAP];
    int rc = read_credentials(b->credentials_file, credentials);
    if (rc) {
        log_error("%s:%u: credentials_file %s: %s; the balancer is asked without", b->origin.file, b->origin.line,
                  b->credentials_file, rc == -EINVAL ? "not one line user:password" : strerror(-rc));
        credentials[0] = 0;
    }
    const struct balancer_spec spec = {.type = balancer_type_of(b->type),
                                       .url = b->url,
                                       .host = b->host,
                                       .socket = b->socket,
                                       .address = address_of(&b->address.address, b->address.port),
                                       .credentials = credentials,
                                       .backends = b->backends,
                                       .backend_count = b->backend_count,
                                       .need = b->need,
                                       .tls = tls_of(&b->tls),
                                       .status_path = b->status_path,
                                       .up_value = b->up_value,
                                       .servers_up_path = b->servers_up_path,
                                       .load_path = b->load_path,
                                       .weight_path = b->weight_path,
                                       .sessions_max = b->sessions_max,
                                       .interval_ns = b->interval_ns,
                                       .timeout_ns = b->timeout_ns};
    rc = prober_add_balancer(prober, &spec, (uint16_t)site, (uint16_t)number);
    explicit_bzero(credentials, sizeof credentials);
    return rc;
}

// One that cannot be added stays without evidence, which is said; the others go on.
static void report(const struct config_origin *origin, const char *name, int rc)
{
    if (rc)
        log_error("%s:%u: %s cannot be probed: %s", origin->file, origin->line, name,
                  rc == -E2BIG    ? "more probes than control.probes_max"
                  : rc == -EINVAL ? "what is asked cannot work"
                                  : strerror(-rc));
}

struct prober *probe_setup_start(uv_loop_t *loop, const struct config *config,
                                 void (*emit)(void *user, const struct evidence_event *event), void *user,
                                 char why[256])
{
    const struct prober_limits limits = {config->control.probes_max, config->control.probes_per_target_max};
    struct prober *prober = prober_new(loop, &limits, emit, user);
    if (!prober) {
        snprintf(why, 256, "no memory");
        return NULL;
    }
    for (unsigned s = 0; s < config->site_count; s++) {
        const struct config_site *site = &config->sites[s];
        for (unsigned g = 0; g < site->group_count; g++)
            report(&site->groups[g].origin, site->groups[g].name, add_group(prober, &site->groups[g], s, g));
        for (unsigned b = 0; b < site->balancer_count; b++)
            report(&site->balancers[b].origin, "the balancer", add_balancer(prober, &site->balancers[b], s, b));
    }
    prober_start(prober);
    return prober;
}

void probe_setup_stop(struct prober *prober)
{
    if (prober)
        prober_stop(prober, NULL, NULL);
}
