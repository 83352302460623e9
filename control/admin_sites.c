// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "control/admin_commands.h"
#include "control/steering_report.h"

static const char *belief_name(enum evidence_result belief)
{
    static const char *const names[] = {"unknown", "up", "down"};
    return names[belief];
}

static json_t *member_json(const struct belief *m, const char *name)
{
    if (!m)
        return json_null();
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:i, s:s?, s:s}", "name", name, "state", belief_name(m->state), "last",
                     evidence_reason_text(m->reason), "age", admin_age(m->last_ns), "response",
                     m->response_ns ? admin_seconds(m->response_ns) : json_null(), "streak", (int)m->streak, "trouble",
                     m->trouble ? evidence_reason_text(m->trouble) : NULL, "detail", m->detail);
}

static json_t *groups_json(struct daemon *d, unsigned site)
{
    const struct config_site *s = &daemon_config(d)->sites[site];
    json_t *groups = json_array();
    for (unsigned g = 0; g < s->group_count; g++) {
        json_t *members = json_array();
        unsigned good = 0;
        for (unsigned m = 0; m < s->groups[g].server_count; m++) {
            const struct belief *member = verdict_member(steering_engine(d->steering), site, g, m);
            char text[CONFIG_ENDPOINT_TEXT_CAP];
            good += member && member->state == EVIDENCE_UP;
            json_array_append_new(members, member_json(member, config_endpoint_text(&s->groups[g].servers[m], text)));
        }
        json_array_append_new(groups, json_pack("{s:s, s:b, s:i, s:i, s:i, s:o}", "name", s->groups[g].name, "required",
                                                s->groups[g].required, "need", (int)s->groups[g].need, "good",
                                                (int)good, "of", (int)s->groups[g].server_count, "servers", members));
    }
    return groups;
}

static json_t *balancers_json(struct daemon *d, unsigned site)
{
    const struct config_site *s = &daemon_config(d)->sites[site];
    json_t *balancers = json_array();
    for (unsigned b = 0; b < s->balancer_count; b++) {
        const struct config_balancer *from = &s->balancers[b];
        char text[CONFIG_ENDPOINT_TEXT_CAP];
        const char *name = from->url && from->url[0]         ? from->url
                           : from->socket && from->socket[0] ? from->socket
                                                             : config_endpoint_text(&from->address, text);
        json_array_append_new(balancers, member_json(verdict_balancer(steering_engine(d->steering), site, b), name));
    }
    return balancers;
}

static json_t *nodes_json(struct daemon *d, unsigned site)
{
    json_t *nodes = json_array();
    for (unsigned i = 0; d->heartbeats && i < heartbeats_peer_count(d->heartbeats); i++) {
        const struct heartbeats_peer *p = heartbeats_peer(d->heartbeats, i);
        if (p->site_at != (int)site)
            continue;
        json_array_append_new(nodes, json_pack("{s:s, s:o, s:I, s:I}", "name", p->name, "heard", admin_age(p->heard_ns),
                                               "messages", (json_int_t)p->messages, "incarnation",
                                               (json_int_t)p->last.incarnation));
    }
    return nodes;
}

static json_t *operator_json(struct daemon *d, const char *site)
{
    const struct operator_entry *e = operator_states_find(&d->operators, OPERATOR_OF_SITE, site);
    return e ? admin_operator_entry(e) : json_pack("{s:s}", "state", "auto");
}

static json_t *site_json(struct daemon *d, unsigned at, bool is_full)
{
    const struct config_site *s = &daemon_config(d)->sites[at];
    const struct verdict_site *v = steering_site(d->steering, at);
    char why[HISTORY_TEXT_CAP];
    json_t *addresses = json_array(), *withdrawn = json_array();
    for (unsigned i = 0; i < s->address_count; i++) {
        json_array_append_new(addresses, admin_address(&s->addresses[i]));
        if (overrides_is_withdrawn(steering_overrides(d->steering), &s->addresses[i]))
            json_array_append_new(withdrawn, admin_address(&s->addresses[i]));
    }
    json_t *site = json_pack("{s:s, s:s, s:s, s:s, s:b, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "name", s->name,
                             "state", verdict_state_text(v->state), "reason", verdict_reason_text(v->reason), "why",
                             steering_verdict_why(daemon_config(d), at, v, why, sizeof why), "in_doubt", v->is_in_doubt,
                             "since", admin_age(v->since_ns), "own", daemon_config(d)->node.site_at == (int)at, "load",
                             v->load_permille < 0 ? json_null() : json_real(v->load_permille / 1000.0), "response",
                             v->response_ns ? admin_seconds(v->response_ns) : json_null(), "lag",
                             v->lag_ms < 0 ? json_null() : json_real((double)v->lag_ms / 1000.0), "heartbeat_age",
                             v->heartbeat_age_ns == UINT64_MAX ? json_null() : admin_seconds(v->heartbeat_age_ns),
                             "addresses", addresses, "operator", operator_json(d, s->name));
    json_object_set_new(site, "withdrawn", withdrawn);
    if (!is_full)
        return site;
    json_object_set_new(site, "groups", groups_json(d, at));
    json_object_set_new(site, "balancers", balancers_json(d, at));
    json_object_set_new(site, "nodes", nodes_json(d, at));
    return site;
}

json_t *admin_sites(struct daemon *d, bool is_full)
{
    json_t *sites = json_array();
    for (unsigned i = 0; i < daemon_config(d)->site_count; i++)
        json_array_append_new(sites, site_json(d, i, is_full));
    return sites;
}

enum admin_status admin_sites_command(struct admin_call *call)
{
    json_object_set_new(call->result, "sites", admin_sites(call->daemon, true));
    return ADMIN_OK;
}
