// SPDX-License-Identifier: Apache-2.0
#include "health/verdict.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct group {
    struct verdict_group_config config;
    struct verdict_member *member;
};

struct balancer {
    struct verdict_balancer_config config;
    struct verdict_member belief;
};

struct site {
    struct verdict_site_config config; // its pointers are null: groups and balancers stand below
    struct group *group;
    struct balancer *balancer;
    struct heartbeat_period node[VERDICT_NODE_MAX];
    struct verdict_site verdict;
    uint64_t good_since_ns; // evidence has been good without a break since then; 0: it is not
    bool has_been_up, is_released;
};

struct verdict_engine {
    struct site *site;
    unsigned site_count;
    struct heartbeat_rule heartbeat;
    uint64_t start_ns, start_wait_ns;
};

const char *verdict_state_text(enum verdict_state state)
{
    static const char *const text[] = {"unknown", "up", "down", "drain"};
    return (unsigned)state < sizeof text / sizeof *text ? text[state] : "unknown";
}

const char *verdict_reason_text(enum verdict_reason reason)
{
    static const char *const text[] = {
#define VERDICT_TEXT(name, text) text,
        VERDICT_REASONS(VERDICT_TEXT)
#undef VERDICT_TEXT
    };
    return (unsigned)reason < VERDICT_REASON_COUNT ? text[reason] : "unknown reason";
}

// ---- configuration ----

static bool is_site_config_good(const struct verdict_site_config *s)
{
    if (s->group_count > VERDICT_GROUP_MAX || s->node_count > VERDICT_NODE_MAX ||
        s->balancer_count > VERDICT_GROUP_MAX || s->nodes_need > s->node_count)
        return false;
    for (unsigned i = 0; i < s->group_count; i++)
        if (s->group[i].member_count > VERDICT_MEMBER_MAX || s->group[i].need > s->group[i].member_count ||
            s->group[i].rise == 0 || s->group[i].fall == 0)
            return false;
    for (unsigned i = 0; i < s->balancer_count; i++)
        if (s->balancer[i].rise == 0 || s->balancer[i].fall == 0)
            return false;
    return true;
}

static void free_site(struct site *s)
{
    for (unsigned i = 0; s->group && i < s->config.group_count; i++)
        free(s->group[i].member);
    free(s->group);
    free(s->balancer);
}

static void free_sites(struct site *site, unsigned count)
{
    for (unsigned i = 0; site && i < count; i++)
        free_site(&site[i]);
    free(site);
}

static int init_site(struct site *s, const struct verdict_site_config *config, uint64_t now_ns)
{
    s->config = *config;
    s->config.group = NULL;
    s->config.balancer = NULL;
    s->group = calloc(config->group_count + 1, sizeof *s->group);
    s->balancer = calloc(config->balancer_count + 1, sizeof *s->balancer);
    if (!s->group || !s->balancer)
        return -ENOMEM;
    for (unsigned i = 0; i < config->group_count; i++) {
        s->group[i].config = config->group[i];
        s->group[i].member = calloc(config->group[i].member_count + 1, sizeof *s->group[i].member);
        if (!s->group[i].member)
            return -ENOMEM;
    }
    for (unsigned i = 0; i < config->balancer_count; i++)
        s->balancer[i].config = config->balancer[i];
    s->verdict =
        (struct verdict_site){.since_ns = now_ns, .load_permille = -1, .lag_ms = -1, .heartbeat_age_ns = UINT64_MAX};
    return 0;
}

static struct site *build_sites(const struct verdict_config *config, uint64_t now_ns)
{
    if (config->site_count > VERDICT_SITE_MAX || config->heartbeat.period_ns == 0 || config->heartbeat.periods == 0)
        return NULL;
    struct site *site = calloc(config->site_count + 1, sizeof *site);
    for (unsigned i = 0; site && i < config->site_count; i++) {
        if (is_site_config_good(&config->site[i]) && init_site(&site[i], &config->site[i], now_ns) == 0)
            continue;
        free_sites(site, i + 1);
        return NULL;
    }
    return site;
}

struct verdict_engine *verdict_new(const struct verdict_config *config, uint64_t now_ns)
{
    struct verdict_engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return NULL;
    engine->site = build_sites(config, now_ns);
    engine->site_count = config->site_count;
    engine->heartbeat = config->heartbeat;
    engine->start_wait_ns = config->start_wait_ns;
    engine->start_ns = now_ns;
    if (!engine->site) {
        free(engine);
        return NULL;
    }
    return engine;
}

void verdict_free(struct verdict_engine *engine)
{
    if (!engine)
        return;
    free_sites(engine->site, engine->site_count);
    free(engine);
}

// Takes over what is the same in an old site of the same name.
static void keep_state(struct site *s, const struct site *old)
{
    s->verdict = old->verdict;
    s->good_since_ns = old->good_since_ns;
    s->has_been_up = old->has_been_up;
    s->is_released = old->is_released;
    if (s->config.node_count == old->config.node_count)
        memcpy(s->node, old->node, sizeof s->node);
    for (unsigned i = 0; i < s->config.group_count; i++)
        for (unsigned k = 0; k < old->config.group_count; k++) {
            struct group *g = &s->group[i];
            const struct group *o = &old->group[k];
            if (g->config.identity == o->config.identity && strcmp(g->config.name, o->config.name) == 0 &&
                g->config.member_count == o->config.member_count)
                memcpy(g->member, o->member, g->config.member_count * sizeof *g->member);
        }
    for (unsigned i = 0; i < s->config.balancer_count; i++)
        for (unsigned k = 0; k < old->config.balancer_count; k++)
            if (s->balancer[i].config.identity == old->balancer[k].config.identity)
                s->balancer[i].belief = old->balancer[k].belief;
}

int verdict_reconfigure(struct verdict_engine *engine, const struct verdict_config *config, uint64_t now_ns)
{
    struct site *site = build_sites(config, now_ns);
    if (!site)
        return -EINVAL;
    for (unsigned i = 0; i < config->site_count; i++)
        for (unsigned k = 0; k < engine->site_count; k++)
            if (strcmp(site[i].config.name, engine->site[k].config.name) == 0)
                keep_state(&site[i], &engine->site[k]);
    free_sites(engine->site, engine->site_count);
    engine->site = site;
    engine->site_count = config->site_count;
    engine->heartbeat = config->heartbeat;
    engine->start_wait_ns = config->start_wait_ns;
    engine->start_ns = now_ns; // new evidence gets its first round too
    return 0;
}

// ---- events ----

static void take_result(struct verdict_member *m, uint32_t rise, uint32_t fall, const struct evidence_event *e)
{
    if (e->at_ns < m->last_ns)
        return; // an older result that came late
    const bool was_good = m->reason == EVIDENCE_REASON_OK, is_good = e->result == EVIDENCE_UP;
    m->streak = m->last_ns && was_good == is_good ? m->streak + (m->streak < UINT32_MAX) : 1;
    m->reason = is_good ? EVIDENCE_REASON_OK : e->reason == EVIDENCE_REASON_OK ? EVIDENCE_REASON_MISMATCH : e->reason;
    m->last_ns = e->at_ns ? e->at_ns : 1;
    if (is_good && (m->belief == EVIDENCE_UNKNOWN || m->streak >= rise))
        m->belief = EVIDENCE_UP; // the first result ever counts at once: start-up is not slowed down by rise
    if (!is_good && (m->belief == EVIDENCE_UNKNOWN || m->streak >= fall))
        m->belief = EVIDENCE_DOWN;
    if (is_good && e->response_ns) // moving average, weight 1/8
        m->response_ns = m->response_ns ? m->response_ns - m->response_ns / 8 + e->response_ns / 8 : e->response_ns;
}

static void take_operator(struct site *s, const struct evidence_event *e)
{
    s->verdict.operator_state = e->operator_state;
    s->verdict.operator_until_ns = e->duration_ns ? e->at_ns + e->duration_ns : 0;
    s->is_released = true; // whoever speaks of the site also ends a wait for an operator
    memcpy(s->verdict.detail, e->detail, sizeof s->verdict.detail);
}

static void forgive(struct verdict_engine *engine, uint64_t duration_ns)
{
    for (unsigned i = 0; i < engine->site_count; i++) {
        struct site *s = &engine->site[i];
        for (unsigned k = 0; k < s->config.node_count; k++)
            heartbeat_period_forgive(&s->node[k], duration_ns);
        for (unsigned k = 0; k < s->config.group_count; k++)
            for (unsigned m = 0; m < s->group[k].config.member_count; m++)
                s->group[k].member[m].last_ns += s->group[k].member[m].last_ns ? duration_ns : 0;
        for (unsigned k = 0; k < s->config.balancer_count; k++)
            s->balancer[k].belief.last_ns += s->balancer[k].belief.last_ns ? duration_ns : 0;
    }
}

static void take_figures(struct site *s, const struct evidence_event *e)
{
    if (e->load_permille >= 0)
        s->verdict.load_permille = e->load_permille;
    if (e->kind == EVIDENCE_HEARTBEAT && e->lag_ms >= 0)
        s->verdict.lag_ms = e->lag_ms;
    if (e->kind == EVIDENCE_HEARTBEAT && e->response_ns && s->config.group_count == 0)
        s->verdict.response_ns = e->response_ns;
}

bool verdict_event(struct verdict_engine *engine, const struct evidence_event *e)
{
    if (e->kind == EVIDENCE_STALL) {
        forgive(engine, e->duration_ns);
        return true;
    }
    if (e->site >= engine->site_count)
        return false;
    struct site *s = &engine->site[e->site];
    switch (e->kind) {
    case EVIDENCE_PROBE:
        if (e->group >= s->config.group_count || e->member >= s->group[e->group].config.member_count ||
            e->result == EVIDENCE_UNKNOWN)
            return false;
        take_result(&s->group[e->group].member[e->member], s->group[e->group].config.rise,
                    s->group[e->group].config.fall, e);
        return true;
    case EVIDENCE_BALANCER:
        if (e->group >= s->config.balancer_count || e->result == EVIDENCE_UNKNOWN)
            return false; // unreadable: the last indication ages until it is unknown
        take_result(&s->balancer[e->group].belief, s->balancer[e->group].config.rise, s->balancer[e->group].config.fall,
                    e);
        take_figures(s, e);
        return true;
    case EVIDENCE_HEARTBEAT:
        if (e->group >= s->config.node_count)
            return false;
        heartbeat_period_message(&s->node[e->group], &engine->heartbeat, e->at_ns);
        take_figures(s, e);
        return true;
    case EVIDENCE_OPERATOR:
        take_operator(s, e);
        return true;
    case EVIDENCE_STALL:
        break;
    }
    return false;
}

// ---- judging ----

struct judgement {
    enum verdict_state state; // UP, DOWN or UNKNOWN
    enum verdict_reason reason;
    enum evidence_reason evidence;
    uint16_t group, member;
    bool is_in_doubt;
};

static enum evidence_result belief_at(const struct verdict_member *m, uint64_t max_age_ns, uint64_t now_ns)
{
    if (m->last_ns == 0 || (max_age_ns && now_ns > m->last_ns && now_ns - m->last_ns > max_age_ns))
        return EVIDENCE_UNKNOWN;
    return m->belief;
}

// What the belief of a group's members adds up to; `j` learns which member decided.
static enum evidence_result judge_group(const struct group *g, uint64_t now_ns, struct judgement *j)
{
    unsigned good = 0, unknown = 0;
    struct judgement found = *j;
    for (unsigned i = 0; i < g->config.member_count; i++) {
        const struct verdict_member *m = &g->member[i];
        const enum evidence_result belief = belief_at(m, g->config.max_age_ns, now_ns);
        good += belief == EVIDENCE_UP;
        unknown += belief == EVIDENCE_UNKNOWN;
        j->is_in_doubt |= belief == EVIDENCE_UP && m->reason != EVIDENCE_REASON_OK;
        if (belief == EVIDENCE_DOWN) {
            found.member = (uint16_t)i;
            found.evidence = m->reason;
        }
    }
    if (good >= g->config.need)
        return EVIDENCE_UP;
    j->member = found.member;
    j->evidence = found.evidence;
    return good + unknown >= g->config.need ? EVIDENCE_UNKNOWN : EVIDENCE_DOWN;
}

static bool has_group_evidence(const struct group *g)
{
    for (unsigned i = 0; i < g->config.member_count; i++)
        if (g->member[i].last_ns)
            return true;
    return false;
}

static enum evidence_result judge_groups(const struct site *s, uint64_t now_ns, struct judgement *j)
{
    enum evidence_result all = EVIDENCE_UP;
    for (unsigned i = 0; i < s->config.group_count; i++) {
        const struct group *g = &s->group[i];
        if (!g->config.is_required)
            continue;
        struct judgement one = *j;
        one.group = (uint16_t)i;
        const enum evidence_result result = judge_group(g, now_ns, &one);
        j->is_in_doubt |= one.is_in_doubt;
        if (result == EVIDENCE_UP || all == EVIDENCE_DOWN || (result == EVIDENCE_UNKNOWN && all == EVIDENCE_UNKNOWN))
            continue;
        all = result;
        *j = one;
        j->reason = result == EVIDENCE_DOWN ? VERDICT_REASON_GROUP_DOWN
                    : has_group_evidence(g) ? VERDICT_REASON_EVIDENCE_OLD
                                            : VERDICT_REASON_STARTING;
    }
    return all;
}

static enum evidence_result judge_balancers(const struct site *s, enum evidence_result groups, uint64_t now_ns,
                                            struct judgement *j)
{
    enum evidence_result all = groups;
    for (unsigned i = 0; i < s->config.balancer_count; i++) {
        const struct balancer *b = &s->balancer[i];
        const enum evidence_result belief = belief_at(&b->belief, b->config.max_age_ns, now_ns);
        if (b->config.role == VERDICT_BALANCER_LOAD_ONLY)
            continue;
        if (b->config.role == VERDICT_BALANCER_ALTERNATIVE) {
            all = belief == EVIDENCE_UP ? EVIDENCE_UP : all;
            continue;
        }
        j->is_in_doubt |= belief == EVIDENCE_UP && b->belief.reason != EVIDENCE_REASON_OK;
        if (belief == EVIDENCE_UP || all == EVIDENCE_DOWN || (belief == EVIDENCE_UNKNOWN && all == EVIDENCE_UNKNOWN))
            continue;
        all = belief;
        j->group = (uint16_t)i;
        j->evidence = b->belief.reason;
        j->reason = belief == EVIDENCE_DOWN ? VERDICT_REASON_BALANCER_DOWN
                    : b->belief.last_ns     ? VERDICT_REASON_EVIDENCE_OLD
                                            : VERDICT_REASON_STARTING;
    }
    return all;
}

// Heartbeats: UP when enough nodes are heard, UNKNOWN before the first round ended, else DOWN.
static enum evidence_result judge_peers(const struct verdict_engine *engine, struct site *s, uint64_t now_ns,
                                        struct judgement *j)
{
    unsigned heard = 0;
    bool is_doubt = false, has_ever = false;
    s->verdict.heartbeat_age_ns = UINT64_MAX;
    for (unsigned i = 0; i < s->config.node_count; i++) {
        struct heartbeat_period *p = &s->node[i];
        const bool is_heard = heartbeat_period_is_heard(p, &engine->heartbeat, now_ns);
        heard += is_heard;
        has_ever |= p->last_ns != 0;
        is_doubt |= is_heard && heartbeat_period_is_in_doubt(p, &engine->heartbeat, now_ns);
        const uint64_t age = p->last_ns == 0 ? UINT64_MAX : now_ns > p->last_ns ? now_ns - p->last_ns : 0;
        s->verdict.heartbeat_age_ns = age < s->verdict.heartbeat_age_ns ? age : s->verdict.heartbeat_age_ns;
    }
    if (s->config.is_self || s->config.peer_rule == VERDICT_PEER_IGNORED || s->config.node_count == 0)
        return EVIDENCE_UP;
    j->is_in_doubt |= is_doubt || heard < s->config.nodes_need;
    if (heard >= s->config.nodes_need || s->config.peer_rule == VERDICT_PEER_ADVISORY)
        return EVIDENCE_UP;
    const bool is_starting = !has_ever || s->verdict.state == VERDICT_UNKNOWN;
    return is_starting && now_ns < engine->start_ns + engine->start_wait_ns ? EVIDENCE_UNKNOWN : EVIDENCE_DOWN;
}

static struct judgement judge(const struct verdict_engine *engine, struct site *s, uint64_t now_ns)
{
    struct judgement j = {.state = VERDICT_UP, .reason = VERDICT_REASON_GOOD};
    enum evidence_result result = judge_groups(s, now_ns, &j);
    const enum evidence_result with_balancers = judge_balancers(s, result, now_ns, &j);
    if (with_balancers == EVIDENCE_UP && result != EVIDENCE_UP)
        j.reason = VERDICT_REASON_GOOD; // the alternative suffices
    result = with_balancers;
    const enum evidence_result peers = judge_peers(engine, s, now_ns, &j);
    if (result == EVIDENCE_UP && peers != EVIDENCE_UP) {
        result = peers;
        j.reason = peers == EVIDENCE_DOWN ? VERDICT_REASON_HEARTBEAT_LOST : VERDICT_REASON_STARTING;
    }
    if (result == EVIDENCE_UP && s->config.group_count + s->config.balancer_count + s->config.node_count == 0)
        j.reason = VERDICT_REASON_NO_EVIDENCE_ASKED;
    const bool is_wait_over = now_ns >= engine->start_ns + engine->start_wait_ns;
    if (result == EVIDENCE_UNKNOWN && is_wait_over && s->verdict.state != VERDICT_UNKNOWN)
        result = EVIDENCE_DOWN; // evidence was there and went silent
    j.state = result == EVIDENCE_UP ? VERDICT_UP : result == EVIDENCE_DOWN ? VERDICT_DOWN : VERDICT_UNKNOWN;
    if (j.state == VERDICT_UNKNOWN && is_wait_over)
        j.state = VERDICT_DOWN;
    return j;
}

// Dwell, fail-back delay and manual fail-back hold a change back.
static void hold_back(struct site *s, struct judgement *j, uint64_t now_ns)
{
    const struct verdict_site *v = &s->verdict;
    if (j->state != VERDICT_UP)
        s->good_since_ns = 0;
    else if (s->good_since_ns == 0)
        s->good_since_ns = now_ns ? now_ns : 1;
    if (j->state == VERDICT_DOWN)
        s->is_released = false;
    if (v->state == VERDICT_UNKNOWN || v->state == j->state || v->state == VERDICT_DRAIN ||
        v->reason == VERDICT_REASON_OPERATOR)
        return;
    const struct judgement held = {v->state, v->reason, v->evidence, v->group, v->member, true};
    if (s->config.dwell_ns && now_ns - v->since_ns < s->config.dwell_ns) {
        *j = held;
        return;
    }
    if (v->state != VERDICT_DOWN || j->state != VERDICT_UP)
        return;
    if (s->config.is_fail_back_manual && s->has_been_up && !s->is_released) {
        *j = held;
        j->reason = VERDICT_REASON_FAIL_BACK_MANUAL;
    } else if (now_ns - s->good_since_ns < s->config.fail_back_delay_ns) {
        *j = held;
        j->reason = VERDICT_REASON_FAIL_BACK_DELAY;
    }
}

static void apply_operator(struct site *s, struct judgement *j, uint64_t now_ns)
{
    struct verdict_site *v = &s->verdict;
    if (v->operator_until_ns && now_ns >= v->operator_until_ns) {
        v->operator_state = OPERATOR_AUTO;
        v->operator_until_ns = 0;
        v->detail[0] = '\0';
    }
    if (v->operator_state == OPERATOR_AUTO)
        return;
    j->state = v->operator_state == OPERATOR_UP     ? VERDICT_UP
               : v->operator_state == OPERATOR_DOWN ? VERDICT_DOWN
                                                    : VERDICT_DRAIN;
    j->reason = VERDICT_REASON_OPERATOR;
    j->is_in_doubt = false;
}

static void average_response(struct site *s)
{
    uint64_t sum = 0, count = 0;
    for (unsigned i = 0; i < s->config.group_count; i++)
        for (unsigned k = 0; k < s->group[i].config.member_count; k++)
            if (s->group[i].member[k].response_ns && s->group[i].member[k].belief == EVIDENCE_UP) {
                sum += s->group[i].member[k].response_ns;
                count++;
            }
    if (count)
        s->verdict.response_ns = sum / count;
}

bool verdict_tick(struct verdict_engine *engine, uint64_t now_ns)
{
    bool is_changed = false;
    for (unsigned i = 0; i < engine->site_count; i++) {
        struct site *s = &engine->site[i];
        struct verdict_site *v = &s->verdict;
        struct judgement j = judge(engine, s, now_ns);
        hold_back(s, &j, now_ns);
        apply_operator(s, &j, now_ns);
        average_response(s);
        is_changed |= j.state != v->state || j.reason != v->reason || j.is_in_doubt != v->is_in_doubt;
        if (j.state != v->state) {
            v->since_ns = now_ns;
            if (j.state == VERDICT_UP) {
                v->came_up_ns = s->has_been_up ? now_ns : 0; // the first time is no coming back
                s->has_been_up = true;
            }
        }
        v->state = j.state;
        v->reason = j.reason;
        v->evidence = j.evidence;
        v->group = j.group;
        v->member = j.member;
        v->is_in_doubt = j.is_in_doubt;
    }
    return is_changed;
}

static void earliest(uint64_t *deadline, uint64_t at_ns, uint64_t now_ns)
{
    if (at_ns > now_ns && at_ns < *deadline)
        *deadline = at_ns;
}

static void site_deadline(const struct verdict_engine *engine, const struct site *s, uint64_t now_ns,
                          uint64_t *deadline)
{
    const struct heartbeat_rule *rule = &engine->heartbeat;
    for (unsigned k = 0; k < s->config.node_count; k++) {
        if (!s->node[k].is_heard)
            continue;
        earliest(deadline, s->node[k].last_ns + rule->period_ns, now_ns);
        earliest(deadline, s->node[k].last_ns + rule->period_ns * rule->periods, now_ns);
    }
    for (unsigned k = 0; k < s->config.group_count; k++)
        for (unsigned m = 0; m < s->group[k].config.member_count; m++)
            if (s->group[k].member[m].last_ns && s->group[k].config.max_age_ns)
                earliest(deadline, s->group[k].member[m].last_ns + s->group[k].config.max_age_ns + 1, now_ns);
    for (unsigned k = 0; k < s->config.balancer_count; k++)
        if (s->balancer[k].belief.last_ns && s->balancer[k].config.max_age_ns)
            earliest(deadline, s->balancer[k].belief.last_ns + s->balancer[k].config.max_age_ns + 1, now_ns);
    earliest(deadline, s->verdict.since_ns + s->config.dwell_ns, now_ns);
    if (s->good_since_ns)
        earliest(deadline, s->good_since_ns + s->config.fail_back_delay_ns, now_ns);
    if (s->verdict.operator_until_ns)
        earliest(deadline, s->verdict.operator_until_ns, now_ns);
}

uint64_t verdict_next_deadline_ns(const struct verdict_engine *engine, uint64_t now_ns)
{
    uint64_t deadline = UINT64_MAX;
    earliest(&deadline, engine->start_ns + engine->start_wait_ns, now_ns);
    for (unsigned i = 0; i < engine->site_count; i++)
        site_deadline(engine, &engine->site[i], now_ns, &deadline);
    return deadline;
}

unsigned verdict_site_count(const struct verdict_engine *engine)
{
    return engine->site_count;
}

const struct verdict_site *verdict_site(const struct verdict_engine *engine, unsigned site)
{
    return site < engine->site_count ? &engine->site[site].verdict : NULL;
}

bool verdict_is_ready(const struct verdict_engine *engine, uint64_t now_ns)
{
    if (now_ns >= engine->start_ns + engine->start_wait_ns)
        return true;
    for (unsigned i = 0; i < engine->site_count; i++)
        if (engine->site[i].verdict.state == VERDICT_UNKNOWN)
            return false;
    return true;
}

const struct verdict_member *verdict_member(const struct verdict_engine *engine, unsigned site, unsigned group,
                                            unsigned member)
{
    if (site >= engine->site_count || group >= engine->site[site].config.group_count ||
        member >= engine->site[site].group[group].config.member_count)
        return NULL;
    return &engine->site[site].group[group].member[member];
}

const struct verdict_member *verdict_balancer(const struct verdict_engine *engine, unsigned site, unsigned balancer)
{
    if (site >= engine->site_count || balancer >= engine->site[site].config.balancer_count)
        return NULL;
    return &engine->site[site].balancer[balancer].belief;
}
