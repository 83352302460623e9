// SPDX-License-Identifier: Apache-2.0
#include "control/verdict_setup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t h, const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3ull; // FNV-1a
    return h;
}

static uint64_t mix_number(uint64_t h, uint64_t number)
{
    return mix(h, &number, sizeof number);
}

static uint64_t mix_text(uint64_t h, const char *text)
{
    return text ? mix(h, text, strlen(text) + 1) : mix_number(h, 0);
}

static uint64_t mix_texts(uint64_t h, const char *const *texts, unsigned count)
{
    h = mix_number(h, count);
    for (unsigned i = 0; i < count; i++)
        h = mix_text(h, texts[i]);
    return h;
}

static uint64_t mix_endpoint(uint64_t h, const struct config_endpoint *endpoint)
{
    h = mix(h, endpoint->address.address, sizeof endpoint->address.address);
    return mix_number(h, (uint64_t)endpoint->address.is_set << 17 | (uint64_t)endpoint->address.is_ipv6 << 16 |
                             endpoint->port);
}

static uint64_t mix_tls(uint64_t h, const struct config_tls *tls)
{
    h = mix_text(h, tls->name);
    h = mix_number(h, tls->verify);
    h = mix_text(h, tls->ca_file);
    h = mix_text(h, tls->pin_sha256);
    h = mix_text(h, tls->cert_file);
    return mix_text(h, tls->key_file);
}

uint64_t verdict_setup_group_identity(const struct config_group *g)
{
    uint64_t h = mix_text(0xcbf29ce484222325ull, g->name);
    h = mix_number(h, (uint64_t)g->probe << 32 | g->server_count);
    for (unsigned i = 0; i < g->server_count; i++)
        h = mix_endpoint(h, &g->servers[i]);
    h = mix_text(mix_text(h, g->send), g->expect);
    h = mix_text(mix_text(mix_text(h, g->method), g->path), g->host);
    h = mix_texts(h, g->headers, g->header_count);
    h = mix_text(mix_text(mix_text(h, g->status), g->keyword), g->keyword_absent);
    h = mix_number(mix_number(h, g->keyword_match), g->body_max_bytes);
    h = mix_tls(h, &g->tls);
    h = mix_text(mix_text(mix_text(h, g->dns.name), g->dns.type), g->dns.expect);
    h = mix_texts(h, g->command, g->command_count);
    return mix_text(h, g->file);
}

uint64_t verdict_setup_balancer_identity(const struct config_balancer *b)
{
    uint64_t h = mix_number(0xcbf29ce484222325ull, b->type);
    h = mix_text(mix_text(mix_text(h, b->url), b->host), b->socket);
    h = mix_endpoint(h, &b->address);
    h = mix_texts(h, b->backends, b->backend_count);
    h = mix_number(h, b->need);
    h = mix_tls(h, &b->tls);
    return mix_text(mix_text(mix_text(h, b->status_path), b->up_value), b->servers_up_path);
}

static void set_name(char out[VERDICT_NAME_CAP], const char *name)
{
    snprintf(out, VERDICT_NAME_CAP, "%s", name);
}

static enum verdict_balancer_role role_of(enum config_balancer_role role)
{
    return role == CONFIG_BALANCER_REQUIRED      ? VERDICT_BALANCER_REQUIRED
           : role == CONFIG_BALANCER_ALTERNATIVE ? VERDICT_BALANCER_ALTERNATIVE
                                                 : VERDICT_BALANCER_LOAD_ONLY;
}

static enum verdict_peer_rule peer_rule_of(enum config_peer_rule rule)
{
    return rule == CONFIG_PEER_REQUIRED   ? VERDICT_PEER_REQUIRED
           : rule == CONFIG_PEER_ADVISORY ? VERDICT_PEER_ADVISORY
                                          : VERDICT_PEER_IGNORED;
}

static uint64_t view_identity(const struct config_site *site, uint64_t mask)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (unsigned i = 0; i < site->group_count; i++)
        if (mask >> i & 1)
            h = mix_text(h, site->groups[i].name);
    return h;
}

// The verdicts about the site beside the one by all its groups.
static int set_views(const struct config *config, unsigned at, struct verdict_site_config *out)
{
    unsigned first = config->sites[at].verdict_at + 1, count = 0;
    while (first + count < config->verdict_count && config->verdicts[first + count].site_at == at)
        count++;
    out->view = calloc(count + 1, sizeof *out->view);
    if (!out->view)
        return -ENOMEM;
    out->view_count = count;
    for (unsigned i = 0; i < count; i++) {
        const uint64_t mask = config->verdicts[first + i].mask;
        out->view[i] = (struct verdict_view_config){mask, view_identity(&config->sites[at], mask)};
    }
    return 0;
}

// Other nodes in the order of `heartbeats`: those of the sites, then the witnesses.
static void set_voices(const struct config *config, struct verdict_config *out)
{
    for (unsigned s = 0; s < config->site_count; s++)
        for (unsigned i = 0; i < config->sites[s].node_count && out->voice_count < VERDICT_VOICE_MAX; i++)
            if (strcmp(config->sites[s].nodes[i].name, config->node.name) != 0)
                out->voice_site[out->voice_count++] = (int16_t)s;
    for (unsigned i = 0; i < config->heartbeat.witness_count && out->voice_count < VERDICT_VOICE_MAX; i++)
        if (strcmp(config->heartbeat.witnesses[i].name, config->node.name) != 0)
            out->voice_site[out->voice_count++] = -1;
}

static int set_site(const struct config *config, unsigned at, struct verdict_site_config *out)
{
    const struct config_site *site = &config->sites[at];
    set_name(out->name, site->name);
    out->group = calloc(site->group_count ? site->group_count : 1, sizeof *out->group);
    out->balancer = calloc(site->balancer_count ? site->balancer_count : 1, sizeof *out->balancer);
    if (!out->group || !out->balancer)
        return -ENOMEM;
    out->group_count = site->group_count;
    for (unsigned i = 0; i < site->group_count; i++) {
        const struct config_group *g = &site->groups[i];
        set_name(out->group[i].name, g->name);
        out->group[i].is_required = g->required;
        out->group[i].is_page = i >= site->web_count && i < site->web_count + site->database_count;
        out->group[i].need = g->need;
        out->group[i].member_count = g->server_count;
        out->group[i].rise = g->rise;
        out->group[i].fall = g->fall;
        out->group[i].max_age_ns = g->max_age_ns;
        out->group[i].identity = verdict_setup_group_identity(g);
    }
    out->balancer_count = site->balancer_count;
    for (unsigned i = 0; i < site->balancer_count; i++) {
        const struct config_balancer *b = &site->balancers[i];
        out->balancer[i] = (struct verdict_balancer_config){.role = role_of(b->role),
                                                            .rise = b->rise,
                                                            .fall = b->fall,
                                                            .max_age_ns = b->max_age_ns,
                                                            .identity = verdict_setup_balancer_identity(b)};
    }
    out->is_self = config->node.site_at == (int)at;
    out->node_count = site->node_count;
    out->nodes_need = site->nodes_need < site->node_count ? site->nodes_need : site->node_count;
    out->peer_rule = peer_rule_of(site->peer_rule);
    out->dwell_ns = site->dwell_ns;
    out->fail_back_delay_ns = site->fail_back_delay_ns;
    out->is_fail_back_manual = site->fail_back == CONFIG_FAIL_BACK_MANUAL;
    return set_views(config, at, out);
}

int verdict_setup(const struct config *config, struct verdict_config *out)
{
    memset(out, 0, sizeof *out);
    out->site = calloc(config->site_count ? config->site_count : 1, sizeof *out->site);
    if (!out->site)
        return -ENOMEM;
    out->heartbeat = (struct heartbeat_rule){config->heartbeat.period_ns, config->heartbeat.periods};
    out->start_wait_ns = config->control.start_wait_ns;
    set_voices(config, out);
    for (unsigned i = 0; i < config->site_count; i++) {
        out->site_count = i + 1;
        if (set_site(config, i, &out->site[i]) == 0)
            continue;
        verdict_setup_fini(out);
        return -ENOMEM;
    }
    return 0;
}

void verdict_setup_fini(struct verdict_config *out)
{
    for (unsigned i = 0; i < out->site_count; i++) {
        free(out->site[i].group);
        free(out->site[i].balancer);
        free(out->site[i].view);
    }
    free(out->site);
    memset(out, 0, sizeof *out);
}
