// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config_check.h"

// ---- data plane ----

static bool is_port_spec(const char *spec)
{
    static const char *const forms[] = {"af_packet:", "af_xdp:", "memif:server:", "memif:client:", "pci:", "vdev:"};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t len = strlen(forms[i]);
        if (strncmp(spec, forms[i], len) == 0 && spec[len])
            return true;
    }
    return false;
}

// One core number below 1024 at *p; -1 when there is none.
static int take_core(const char **p)
{
    if (!isdigit((unsigned char)**p))
        return -1;
    char *end;
    unsigned long core = strtoul(*p, &end, 10);
    *p = end;
    return core < 1024 ? (int)core : -1;
}

// "1", "2-5", "1,3,8-9"
static bool is_core_list(const char *p)
{
    for (;;) {
        int first = take_core(&p), last = first;
        if (*p == '-') {
            p++;
            last = take_core(&p);
        }
        if (first < 0 || last < first)
            return false;
        if (*p == 0)
            return true;
        if (*p++ != ',')
            return false;
    }
}

static void check_dataplane(struct config_reader *r, const struct config_dataplane *dp)
{
    char text[CONFIG_ADDRESS_TEXT_CAP];
    for (unsigned i = 0; i < dp->port_count; i++)
        if (dp->ports[i] && !is_port_spec(dp->ports[i]))
            config_report_entry(r, CONFIG_ERROR, dp, "ports", i,
                                "\"%.80s\" is no port; allowed: af_packet:IFACE, af_xdp:IFACE, memif:server:SOCKET, "
                                "memif:client:SOCKET, pci:ADDRESS, vdev:DEVICE",
                                dp->ports[i]);
    if (*dp->cores && !is_core_list(dp->cores))
        config_report(r, CONFIG_ERROR, dp, "cores",
                      "is no list of cores; allowed: numbers and ranges below 1024, such as \"1\" or \"2-5,8\"");
    for (unsigned i = 1; i < dp->address_count; i++)
        for (unsigned k = 0; k < i; k++)
            if (dp->addresses[i].is_set && config_address_equal(&dp->addresses[i], &dp->addresses[k]))
                config_report_entry(r, CONFIG_ERROR, dp, "addresses", i, "%s stands in the list twice",
                                    config_address_text(&dp->addresses[i], text));
}

static void check_standby(struct config_reader *r, const struct config_dataplane *dp)
{
    if (!*dp->standby_socket)
        return;
    if (strcmp(dp->standby_socket, dp->socket) == 0)
        config_report(r, CONFIG_ERROR, dp, "standby_socket", "is the data plane's `socket` as well");
    if (dp->address_count == 0)
        config_report(r, CONFIG_ERROR, dp, "standby_socket",
                      "the standby answers on `addresses`, and there are none; name this node's addresses there");
    for (unsigned i = 0; i < dp->port_count; i++)
        if (dp->ports[i] && strncmp(dp->ports[i], "af_packet:", 10) == 0)
            config_report_entry(
                r, CONFIG_ERROR, dp, "ports", i,
                "the kernel sees each query on \"%.80s\" as well, so that the standby would answer it a "
                "second time; allowed beside `standby_socket`: af_xdp:IFACE, and NICs whose queries the "
                "kernel does not see",
                dp->ports[i]);
}

static void check_control(struct config_reader *r, const struct config *config)
{
    const struct config_control *c = &config->control;
    if (c->agent.address.is_set && c->agent.port == 0)
        config_report(r, CONFIG_ERROR, c, "agent", "a port is needed");
    if (c->socket && config->dataplane.socket && strcmp(c->socket, config->dataplane.socket) == 0)
        config_report(r, CONFIG_ERROR, c, "socket", "is the data plane's socket as well");
}

// ---- nodes and heartbeats ----

static bool same_node(const struct config_peer *peer, const char *name)
{
    return peer->name && name && strcmp(peer->name, name) == 0;
}

// Node number `number` of all: those of the sites in order, then the witnesses. Null behind the last. *site_at is its
// site, or CONFIG_NONE.
static const struct config_peer *node_at(const struct config *config, unsigned number, int *site_at)
{
    for (unsigned i = 0; i < config->site_count; i++) {
        *site_at = (int)i;
        if (number < config->sites[i].node_count)
            return &config->sites[i].nodes[number];
        number -= config->sites[i].node_count;
    }
    *site_at = CONFIG_NONE;
    return number < config->heartbeat.witness_count ? &config->heartbeat.witnesses[number] : NULL;
}

// Each node has its own name and address.
static void check_peers(struct config_reader *r, const struct config *config)
{
    const struct config_peer *peer, *other;
    int site;
    for (unsigned i = 1; (peer = node_at(config, i, &site)) != NULL; i++)
        for (unsigned k = 0; k < i; k++) {
            other = node_at(config, k, &site);
            if (same_node(other, peer->name))
                config_report(r, CONFIG_ERROR, peer, "name", "another node is called \"%s\"", peer->name);
            if (peer->address.address.is_set && peer->address.port == other->address.port &&
                config_address_equal(&peer->address.address, &other->address.address))
                config_report(r, CONFIG_ERROR, peer, "address", "the node \"%s\" has the same address and port",
                              other->name ? other->name : "?");
        }
}

// Where this node stands among the others.
static void resolve_node(struct config_reader *r, struct config *config)
{
    struct config_node *node = &config->node;
    char hint[128];
    node->site_at = node->node_at = CONFIG_NONE;
    bool in_site = node->site && *node->site;
    if (!in_site)
        node->site = NULL;
    if (in_site) {
        node->site_at = config_find_site(config, node->site);
        if (node->site_at < 0) {
            config_report(r, CONFIG_ERROR, node, "site", "there is no site \"%s\"%s", node->site,
                          config_site_hint(config, node->site, hint, sizeof(hint)));
            return;
        }
    }
    const struct config_peer *peer;
    unsigned count = 0;
    int at, found_at = CONFIG_NONE;
    bool is_found = false;
    for (; (peer = node_at(config, count, &at)) != NULL; count++) {
        if (!same_node(peer, node->name))
            continue;
        is_found = true;
        found_at = at;
        if (at >= 0 && at == node->site_at)
            node->node_at = (int)(peer - config->sites[at].nodes);
    }
    if (count == 0 || !node->name) // a single node that hears nobody
        return;
    const char *own = in_site ? node->site : NULL;
    if (!is_found && own)
        config_report(r, CONFIG_ERROR, node, "name", "the site \"%s\" has no node \"%s\" among its `nodes`", own,
                      node->name);
    else if (!is_found)
        config_report(r, CONFIG_ERROR, node, "site",
                      "is missing: \"%s\" is neither among the nodes of a site nor a witness", node->name);
    else if (found_at != node->site_at)
        config_report(r, CONFIG_ERROR, node, "site", "\"%s\" is %s%s", node->name,
                      found_at < 0 ? "a witness, which belongs to no site" : "a node of the site ",
                      found_at < 0                   ? ""
                      : config->sites[found_at].name ? config->sites[found_at].name
                                                     : "?");
}

static void check_heartbeat(struct config_reader *r, const struct config *config)
{
    const struct config_heartbeat *hb = &config->heartbeat;
    char low[32];
    if (hb->period_ns < 2 * hb->interval_ns)
        config_report(r, CONFIG_ERROR, hb, "period",
                      "is shorter than two intervals, so that one late heartbeat would take a site down; allowed: %s "
                      "or more",
                      config_duration_text(2 * hb->interval_ns, low, sizeof(low)));
    unsigned others = 0;
    int at;
    for (const struct config_peer *peer; (peer = node_at(config, others, &at)) != NULL;)
        others++;
    if (others > 1 && !*hb->key_file)
        config_report(r, CONFIG_ERROR, hb, "key_file",
                      "is missing: there are %u nodes; write one with `openssl rand -hex 32`", others);
    if (*hb->previous_key_file && !*hb->key_file)
        config_report(r, CONFIG_ERROR, hb, "previous_key_file", "only together with key_file");
}

void config_check_node(struct config_reader *r, struct config *config)
{
    check_dataplane(r, &config->dataplane);
    check_standby(r, &config->dataplane);
    check_control(r, config);
    check_peers(r, config);
    resolve_node(r, config);
    check_heartbeat(r, config);
}
