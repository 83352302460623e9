// SPDX-License-Identifier: Apache-2.0
#include "control/replay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "control/policy.h"
#include "control/steering_report.h"
#include "control/verdict_setup.h"

enum { LINE_CAP = 2048, MAP_NONE = -1, TICK_MAX = 10000000 };

// Numbers of the journal to numbers of the configuration.
struct map {
    int site[VERDICT_SITE_MAX];
    int group[VERDICT_SITE_MAX][VERDICT_GROUP_MAX];
    int node[VERDICT_SITE_MAX][VERDICT_NODE_MAX];
    int voice[VERDICT_VOICE_MAX];
};

struct replay {
    const struct config *config;
    void (*change)(void *user, const struct replay_change *change);
    void *user;
    struct replay_summary *summary;
    struct verdict_engine *engine;
    struct verdict_site *verdict, *before; // [verdict_count]
    struct policy_state *policy;           // [service_count]
    struct operator_states operators;      // of services and addresses
    struct overrides *overrides;
    struct steering_order *order; // [service_count]
    bool has_orders;
    struct map map;
    uint64_t now_ns, wall_offset_us; // wall = now / 1000 + offset
    uint64_t life;                   // of the process that wrote the journal
};

static void forget_map(struct map *map)
{
    memset(map, 0xff, sizeof *map); // all MAP_NONE
}

static uint64_t wall_of(const struct replay *r, uint64_t ns)
{
    return ns / 1000 + r->wall_offset_us;
}

// ---- deciding ----

static void report_verdicts(struct replay *r)
{
    char why[HISTORY_TEXT_CAP];
    for (unsigned i = 0; i < r->config->verdict_count; i++) {
        const struct verdict_site *v = &r->verdict[i];
        const unsigned site = r->config->verdicts[i].site_at;
        if (r->config->verdicts[i].mask != UINT64_MAX || v->state == r->before[i].state)
            continue;
        r->summary->verdict_changes++;
        const struct replay_change change = {.wall_us = wall_of(r, r->now_ns),
                                             .name = r->config->sites[site].name,
                                             .from = verdict_state_text(r->before[i].state),
                                             .to = verdict_state_text(v->state),
                                             .why = steering_verdict_why(r->config, site, v, why, sizeof why)};
        r->change(r->user, &change);
    }
}

static void report_order(struct replay *r, unsigned number, const struct steering_order *now)
{
    const struct config_service *service = &r->config->services[number];
    char from[HISTORY_TEXT_CAP] = "", to[HISTORY_TEXT_CAP];
    if (r->has_orders)
        steering_order_text(service, &r->order[number], from, sizeof from);
    steering_order_text(service, now, to, sizeof to);
    r->order[number] = *now;
    if (strcmp(from, to) == 0)
        return;
    r->summary->order_changes++;
    const struct replay_change change = {
        .wall_us = wall_of(r, r->now_ns), .is_order = true, .name = service->name, .from = from, .to = to, .why = ""};
    r->change(r->user, &change);
}

static void decide_orders(struct replay *r)
{
    for (unsigned i = 0; i < r->config->service_count; i++) {
        const struct policy_input input = {r->config, i, r->verdict, r->now_ns, r->overrides};
        struct policy_order order;
        policy_update(&r->policy[i], &input);
        policy_decide(&order, &r->policy[i], &input, REGION_UNKNOWN, 0, NULL);
        const struct steering_order now = steering_order_of(&order);
        report_order(r, i, &now);
    }
    r->has_orders = true;
}

static void judge(struct replay *r, uint64_t now_ns)
{
    r->now_ns = now_ns;
    verdict_tick(r->engine, now_ns);
    memcpy(r->before, r->verdict, r->config->verdict_count * sizeof *r->verdict);
    for (unsigned i = 0; i < r->config->verdict_count; i++)
        r->verdict[i] = *verdict_view(r->engine, i);
    report_verdicts(r);
    if (verdict_is_ready(r->engine, now_ns))
        decide_orders(r);
}

// Time passes up to an event, with every moment at which something could change without one.
static void pass_time(struct replay *r, uint64_t until_ns)
{
    for (unsigned i = 0; i < TICK_MAX; i++) {
        const uint64_t deadline = verdict_next_deadline_ns(r->engine, r->now_ns);
        if (deadline >= until_ns)
            return;
        judge(r, deadline);
    }
}

static int start_engine(struct replay *r, uint64_t now_ns)
{
    struct verdict_config config;
    if (verdict_setup(r->config, &config) < 0)
        return -ENOMEM;
    verdict_free(r->engine);
    r->engine = verdict_new(&config, now_ns);
    verdict_setup_fini(&config);
    r->now_ns = now_ns;
    if (!r->engine)
        return -ENOMEM;
    for (unsigned i = 0; i < r->config->verdict_count; i++)
        r->verdict[i] = *verdict_view(r->engine, i);
    return 0;
}

// ---- reading ----

static int find_site(const struct config *config, const char *name)
{
    for (unsigned i = 0; i < config->site_count; i++)
        if (strcmp(config->sites[i].name, name) == 0)
            return (int)i;
    return MAP_NONE;
}

static int find_group(const struct config_site *site, const char *name)
{
    for (unsigned i = 0; i < site->group_count; i++)
        if (strcmp(site->groups[i].name, name) == 0)
            return (int)i;
    return MAP_NONE;
}

static int find_node(const struct config_site *site, const char *name)
{
    for (unsigned i = 0; i < site->node_count; i++)
        if (strcmp(site->nodes[i].name, name) == 0)
            return (int)i;
    return MAP_NONE;
}

static int find_voice(const struct config *config, const char *name)
{
    int number = 0;
    for (unsigned s = 0; s < config->site_count; s++)
        for (unsigned i = 0; i < config->sites[s].node_count; i++) {
            if (strcmp(config->sites[s].nodes[i].name, name) == 0)
                return number;
            number += strcmp(config->sites[s].nodes[i].name, config->node.name) != 0;
        }
    for (unsigned i = 0; i < config->heartbeat.witness_count; i++, number++)
        if (strcmp(config->heartbeat.witnesses[i].name, name) == 0)
            return number;
    return MAP_NONE;
}

// "site 0 ams", "group 0 1 web", "node 0 0 ns-ams", "voice 3 ns-fra". True when it was one of these.
static bool take_name(struct replay *r, const char *line)
{
    unsigned site, number;
    char name[LINE_CAP];
    struct map *map = &r->map;
    if (sscanf(line, "site %u %2047s", &site, name) == 2) {
        if (site < VERDICT_SITE_MAX)
            map->site[site] = find_site(r->config, name);
        return true;
    }
    if (sscanf(line, "voice %u %2047s", &number, name) == 2) {
        if (number < VERDICT_VOICE_MAX)
            map->voice[number] = find_voice(r->config, name);
        return true;
    }
    const bool is_group = strncmp(line, "group ", 6) == 0, is_node = strncmp(line, "node ", 5) == 0;
    if ((!is_group && !is_node) || sscanf(line + (is_group ? 6 : 5), "%u %u %2047s", &site, &number, name) != 3)
        return strncmp(line, "balancer ", 9) == 0;
    if (site >= VERDICT_SITE_MAX || map->site[site] == MAP_NONE)
        return true;
    const struct config_site *to = &r->config->sites[map->site[site]];
    if (is_group && number < VERDICT_GROUP_MAX)
        map->group[site][number] = find_group(to, name);
    if (is_node && number < VERDICT_NODE_MAX)
        map->node[site][number] = find_node(to, name);
    return true;
}

// Into the configuration's numbers. False: it has no such site, group or node.
static bool translate(const struct map *map, struct evidence_event *e)
{
    if (e->kind == EVIDENCE_STALL)
        return true;
    if (e->site >= VERDICT_SITE_MAX || map->site[e->site] == MAP_NONE)
        return false;
    int number = e->group;
    if (e->kind == EVIDENCE_PROBE)
        number = e->group < VERDICT_GROUP_MAX ? map->group[e->site][e->group] : MAP_NONE;
    if (e->kind == EVIDENCE_HEARTBEAT)
        number = e->group < VERDICT_NODE_MAX ? map->node[e->site][e->group] : MAP_NONE;
    if (e->kind == EVIDENCE_WORD)
        number = e->group < VERDICT_VOICE_MAX ? map->voice[e->group] : MAP_NONE;
    e->site = (uint16_t)map->site[e->site];
    e->group = (uint16_t)number;
    return number != MAP_NONE;
}

static void take_event(struct replay *r, const char *text)
{
    struct evidence_event e;
    if (!r->engine || evidence_parse(&e, text) < 0 || !translate(&r->map, &e)) {
        r->summary->unknown++;
        return;
    }
    r->summary->events++;
    if (e.at_ns > r->now_ns)
        pass_time(r, e.at_ns);
    verdict_event(r->engine, &e);
    judge(r, e.at_ns > r->now_ns ? e.at_ns : r->now_ns);
}

// "verdict 123 ams down why ..." and "order 123 www.example.com ams fra": what was decided then.
static bool take_recorded(struct replay *r, const char *line)
{
    uint64_t at_ns;
    char name[HISTORY_NAME_CAP], state[16];
    int used = 0;
    struct replay_change change = {.source = REPLAY_RECORDED, .from = "", .why = ""};
    if (sscanf(line, "verdict %" SCNu64 " %255s %15s %n", &at_ns, name, state, &used) >= 3) {
        change.to = state;
        change.why = line + used;
        r->summary->recorded_verdict_changes++;
    } else if (sscanf(line, "order %" SCNu64 " %255s %n", &at_ns, name, &used) >= 2) {
        change.is_order = true;
        change.to = line + used;
        r->summary->recorded_order_changes++;
    } else {
        return false;
    }
    change.name = name;
    change.wall_us = wall_of(r, at_ns);
    r->change(r->user, &change);
    return true;
}

// "operator 123 service www.example.com/ams drain why ...".
static bool take_operator(struct replay *r, const char *line)
{
    struct operator_entry entry = {0};
    uint64_t at_ns;
    char kind[8], state[8];
    if (sscanf(line, "operator %" SCNu64 " %7s %335s %7s", &at_ns, kind, entry.name, state) != 4 ||
        operator_kind_parse(kind, &entry.kind) < 0 || operator_state_parse(state, &entry.state) < 0)
        return false;
    if (at_ns > r->now_ns)
        pass_time(r, at_ns);
    struct overrides *overrides =
        operator_states_set(&r->operators, &entry) == 0 ? overrides_new(r->config, &r->operators) : NULL;
    if (!overrides)
        return false;
    overrides_drop(r->overrides);
    r->overrides = overrides;
    judge(r, at_ns > r->now_ns ? at_ns : r->now_ns);
    return true;
}

static int take_line(struct replay *r, const char *line)
{
    uint64_t now_ns, wall_us, life;
    if (sscanf(line, "signpost-journal 1 %" SCNu64 " %" SCNu64 " %" SCNu64, &now_ns, &wall_us, &life) == 3) {
        const bool is_new = !r->engine || life != r->life; // else a reload, or the next file
        r->life = life;
        forget_map(&r->map);
        r->wall_offset_us = wall_us - now_ns / 1000;
        if (!is_new)
            return 0;
        operator_states_fini(&r->operators); // a new process says again what holds
        overrides_drop(r->overrides);
        r->overrides = NULL;
        return start_engine(r, now_ns);
    }
    if (strncmp(line, "event ", 6) == 0)
        take_event(r, line + 6);
    else if (!r->engine || (!take_name(r, line) && !take_recorded(r, line) && !take_operator(r, line)))
        r->summary->unknown++;
    return 0;
}

int replay_run(FILE *journal, const struct config *config,
               void (*change)(void *user, const struct replay_change *change), void *user,
               struct replay_summary *summary)
{
    struct replay *r = calloc(1, sizeof *r);
    char line[LINE_CAP];
    int rc = -ENOMEM;
    memset(summary, 0, sizeof *summary);
    if (!r)
        return rc;
    r->config = config;
    r->change = change;
    r->user = user;
    r->summary = summary;
    forget_map(&r->map);
    r->verdict = calloc(config->verdict_count + 1, sizeof *r->verdict);
    r->before = calloc(config->verdict_count + 1, sizeof *r->before);
    r->policy = calloc(config->service_count + 1, sizeof *r->policy);
    r->order = calloc(config->service_count + 1, sizeof *r->order);
    if (r->verdict && r->before && r->policy && r->order)
        rc = 0;
    while (rc == 0 && fgets(line, sizeof line, journal)) {
        line[strcspn(line, "\r\n")] = 0;
        summary->lines++;
        rc = take_line(r, line);
    }
    if (rc == 0 && !r->engine)
        rc = -EINVAL;
    verdict_free(r->engine);
    operator_states_fini(&r->operators);
    overrides_drop(r->overrides);
    free(r->verdict);
    free(r->before);
    free(r->policy);
    free(r->order);
    free(r);
    return rc;
}
