// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "health/verdict_private.h"

// ---- configuration ----

static bool is_site_config_good(const struct verdict_site_config *s)
{
    if (s->group_count > VERDICT_GROUP_MAX || s->node_count > VERDICT_NODE_MAX ||
        s->balancer_count > VERDICT_GROUP_MAX || s->nodes_need > s->node_count || s->view_count >= VERDICT_VIEW_MAX)
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
    free(s->view);
    free(s->voice);
}

static void free_sites(struct site *site, unsigned count)
{
    for (unsigned i = 0; site && i < count; i++)
        free_site(&site[i]);
    free(site);
}

static void init_views(struct site *s, const struct verdict_site_config *config, uint64_t now_ns)
{
    s->view_count = config->view_count + 1;
    s->view[0].config.mask = UINT64_MAX;
    for (unsigned i = 0; i < config->view_count; i++)
        s->view[i + 1].config = config->view[i];
    for (unsigned i = 0; i < s->view_count; i++)
        s->view[i].verdict = (struct verdict_site){
            .since_ns = now_ns, .load_permille = -1, .lag_ms = -1, .heartbeat_age_ns = UINT64_MAX};
}

static int init_site(struct site *s, const struct verdict_site_config *config, unsigned voice_count, uint64_t now_ns)
{
    s->config = *config;
    s->config.group = NULL;
    s->config.balancer = NULL;
    s->config.view = NULL;
    s->load_permille = -1;
    s->lag_ms = -1;
    s->heartbeat_age_ns = UINT64_MAX;
    s->group = calloc(config->group_count + 1, sizeof *s->group);
    s->balancer = calloc(config->balancer_count + 1, sizeof *s->balancer);
    s->view = calloc(config->view_count + 1, sizeof *s->view);
    s->voice = calloc(voice_count + 1, sizeof *s->voice);
    if (!s->group || !s->balancer || !s->view || !s->voice)
        return -ENOMEM;
    init_views(s, config, now_ns);
    for (unsigned i = 0; i < config->group_count; i++) {
        s->group[i].config = config->group[i];
        s->group[i].member = calloc(config->group[i].member_count + 1, sizeof *s->group[i].member);
        if (!s->group[i].member)
            return -ENOMEM;
    }
    for (unsigned i = 0; i < config->balancer_count; i++)
        s->balancer[i].config = config->balancer[i];
    return 0;
}

static struct site *build_sites(const struct verdict_config *config, uint64_t now_ns)
{
    if (config->site_count > VERDICT_SITE_MAX || config->voice_count > VERDICT_VOICE_MAX ||
        config->heartbeat.period_ns == 0 || config->heartbeat.periods == 0)
        return NULL;
    struct site *site = calloc(config->site_count + 1, sizeof *site);
    for (unsigned i = 0; site && i < config->site_count; i++) {
        if (is_site_config_good(&config->site[i]) &&
            init_site(&site[i], &config->site[i], config->voice_count, now_ns) == 0)
            continue;
        free_sites(site, i + 1);
        return NULL;
    }
    return site;
}

static void take_config(struct verdict_engine *engine, const struct verdict_config *config, struct site *site,
                        uint64_t now_ns)
{
    engine->site = site;
    engine->site_count = config->site_count;
    engine->heartbeat = config->heartbeat;
    engine->start_wait_ns = config->start_wait_ns;
    engine->start_ns = now_ns;
    memcpy(engine->voice_site, config->voice_site, sizeof engine->voice_site);
    engine->voice_count = config->voice_count;
}

struct verdict_engine *verdict_new(const struct verdict_config *config, uint64_t now_ns)
{
    struct verdict_engine *engine = calloc(1, sizeof *engine);
    struct site *site = engine ? build_sites(config, now_ns) : NULL;
    if (!site) {
        free(engine);
        return NULL;
    }
    take_config(engine, config, site, now_ns);
    return engine;
}

void verdict_free(struct verdict_engine *engine)
{
    if (!engine)
        return;
    free_sites(engine->site, engine->site_count);
    free(engine);
}

// A view that is new starts from what the whole site was.
static void keep_views(struct site *s, const struct site *old)
{
    for (unsigned i = 0; i < s->view_count; i++) {
        const struct view *from = &old->view[0];
        for (unsigned k = 1; k < old->view_count && i > 0; k++)
            if (s->view[i].config.identity == old->view[k].config.identity)
                from = &old->view[k];
        const struct verdict_view_config config = s->view[i].config;
        s->view[i] = *from;
        s->view[i].config = config;
    }
}

// Takes over what is the same in an old site of the same name.
static void keep_state(struct site *s, const struct site *old)
{
    keep_views(s, old);
    s->operator_state = old->operator_state;
    s->operator_until_ns = old->operator_until_ns;
    memcpy(s->detail, old->detail, sizeof s->detail);
    s->load_permille = old->load_permille;
    s->lag_ms = old->lag_ms;
    s->peer_response_ns = old->peer_response_ns;
    s->seen_ns = old->seen_ns;
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
    take_config(engine, config, site, now_ns); // new evidence gets its start-up wait too
    return 0;
}

// ---- events ----

static void take_operator(struct site *s, const struct evidence_event *e)
{
    s->operator_state = e->operator_state;
    s->operator_until_ns = e->duration_ns ? e->at_ns + e->duration_ns : 0;
    for (unsigned i = 0; i < s->view_count; i++)
        s->view[i].is_released = true; // whoever speaks of the site also ends a wait for an operator
    memcpy(s->detail, e->detail, sizeof s->detail);
}

// True when the word is not what that voice said before, or it had fallen silent.
static bool take_word(const struct verdict_engine *engine, struct voice *voice, const struct evidence_event *e)
{
    const uint8_t word = e->operator_state == OPERATOR_DRAIN ? CELL_WORD_DRAIN
                         : e->result == EVIDENCE_UP          ? CELL_WORD_UP
                         : e->result == EVIDENCE_DOWN        ? CELL_WORD_DOWN
                                                             : 0;
    const uint64_t fresh_ns = engine->heartbeat.period_ns * engine->heartbeat.periods;
    const bool is_news = word != voice->word || e->at_ns >= voice->last_ns + fresh_ns;
    if (e->at_ns < voice->last_ns)
        return false;
    voice->word = word;
    voice->last_ns = e->at_ns;
    return is_news;
}

static void forgive(struct verdict_engine *engine, uint64_t duration_ns)
{
    for (unsigned i = 0; i < engine->site_count; i++) {
        struct site *s = &engine->site[i];
        for (unsigned k = 0; k < s->config.node_count; k++)
            heartbeat_period_forgive(&s->node[k], duration_ns);
        for (unsigned k = 0; k < engine->voice_count; k++)
            s->voice[k].last_ns += s->voice[k].last_ns ? duration_ns : 0;
        for (unsigned k = 0; k < s->config.group_count; k++)
            for (unsigned m = 0; m < s->group[k].config.member_count; m++)
                belief_forgive(&s->group[k].member[m], duration_ns);
        for (unsigned k = 0; k < s->config.balancer_count; k++)
            belief_forgive(&s->balancer[k].belief, duration_ns);
    }
}

static void take_figures(struct site *s, const struct evidence_event *e)
{
    if (e->load_permille >= 0)
        s->load_permille = e->load_permille;
    if (e->kind == EVIDENCE_HEARTBEAT && e->lag_ms >= 0)
        s->lag_ms = e->lag_ms;
    if (e->kind == EVIDENCE_HEARTBEAT && e->response_ns)
        s->peer_response_ns = e->response_ns;
}

static bool waits_for_heartbeats(const struct site *s)
{
    return !s->config.is_self && s->config.node_count > 0 && s->config.peer_rule == VERDICT_PEER_REQUIRED;
}

static void note_seen(struct site *s, const struct evidence_event *e)
{
    if (waits_for_heartbeats(s) == (e->kind == EVIDENCE_HEARTBEAT) && e->at_ns > s->seen_ns)
        s->seen_ns = e->at_ns;
}

static bool take_probe(struct site *s, const struct evidence_event *e)
{
    if (e->group >= s->config.group_count || e->member >= s->group[e->group].config.member_count)
        return false;
    const struct verdict_group_config *g = &s->group[e->group].config;
    struct belief *b = &s->group[e->group].member[e->member];
    if (e->result == EVIDENCE_UNKNOWN) {
        belief_trouble(b, e);
        return false;
    }
    // What had grown old is new again.
    const bool was_old = belief_at(b, g->max_age_ns, e->at_ns) == EVIDENCE_UNKNOWN;
    return belief_take(b, g->rise, g->fall, e) || was_old;
}

static bool take_balancer(struct site *s, const struct evidence_event *e)
{
    if (e->group >= s->config.balancer_count)
        return false;
    const struct verdict_balancer_config *b = &s->balancer[e->group].config;
    if (e->result == EVIDENCE_UNKNOWN) { // unreadable: the last indication ages until it is unknown
        belief_trouble(&s->balancer[e->group].belief, e);
        return false;
    }
    struct belief *belief = &s->balancer[e->group].belief;
    const bool was_old = belief_at(belief, b->max_age_ns, e->at_ns) == EVIDENCE_UNKNOWN;
    take_figures(s, e);
    return belief_take(belief, b->rise, b->fall, e) || was_old;
}

// True when the node is newly heard, or was in doubt.
static bool take_heartbeat(const struct verdict_engine *engine, struct heartbeat_period *p, uint64_t at_ns)
{
    const bool was_heard = heartbeat_period_is_heard(p, &engine->heartbeat, at_ns);
    const bool was_in_doubt = heartbeat_period_is_in_doubt(p, &engine->heartbeat, at_ns);
    heartbeat_period_message(p, &engine->heartbeat, at_ns);
    return was_in_doubt || p->is_heard != was_heard;
}

bool verdict_event(struct verdict_engine *engine, const struct evidence_event *e)
{
    if (e->kind == EVIDENCE_STALL) {
        forgive(engine, e->duration_ns);
        engine->stall_ns = e->at_ns;
        return true;
    }
    if (e->site >= engine->site_count)
        return false;
    struct site *s = &engine->site[e->site];
    if (e->kind == EVIDENCE_FIGURES) { // no sign of life of its servers
        s->lag_ms = e->lag_ms;
        return false;
    }
    note_seen(s, e);
    switch (e->kind) {
    case EVIDENCE_PROBE:
        return take_probe(s, e);
    case EVIDENCE_BALANCER:
        return take_balancer(s, e);
    case EVIDENCE_HEARTBEAT:
        if (e->group >= s->config.node_count)
            return false;
        take_figures(s, e);
        return take_heartbeat(engine, &s->node[e->group], e->at_ns);
    case EVIDENCE_OPERATOR:
        take_operator(s, e);
        return true;
    case EVIDENCE_WORD:
        return e->group < engine->voice_count && take_word(engine, &s->voice[e->group], e);
    case EVIDENCE_STALL:
    case EVIDENCE_FIGURES:
        break;
    }
    return false;
}

// ---- time ----

bool verdict_tick(struct verdict_engine *engine, uint64_t now_ns)
{
    bool is_changed = false;
    engine->judged_ns = now_ns;
    for (unsigned i = 0; i < engine->site_count; i++)
        is_changed |= verdict_judge_site(engine, i, now_ns);
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
    for (unsigned k = 0; k < engine->voice_count; k++)
        if (s->voice[k].last_ns)
            earliest(deadline, s->voice[k].last_ns + rule->period_ns * rule->periods, now_ns);
    for (unsigned k = 0; k < s->view_count; k++) {
        earliest(deadline, s->view[k].verdict.since_ns + s->config.dwell_ns, now_ns);
        if (s->view[k].good_since_ns)
            earliest(deadline, s->view[k].good_since_ns + s->config.fail_back_delay_ns, now_ns);
    }
    if (s->operator_until_ns)
        earliest(deadline, s->operator_until_ns, now_ns);
}

uint64_t verdict_next_deadline_ns(const struct verdict_engine *engine, uint64_t now_ns)
{
    uint64_t deadline = UINT64_MAX;
    if (engine->judged_ns && engine->judged_ns < now_ns)
        now_ns = engine->judged_ns; // what fell due since then has not been looked at
    earliest(&deadline, engine->start_ns + engine->start_wait_ns, now_ns);
    for (unsigned i = 0; i < engine->site_count; i++)
        site_deadline(engine, &engine->site[i], now_ns, &deadline);
    return deadline;
}

unsigned verdict_site_count(const struct verdict_engine *engine)
{
    return engine->site_count;
}

const struct verdict_site *verdict_of_site(const struct verdict_engine *engine, unsigned site)
{
    return site < engine->site_count ? &engine->site[site].view[0].verdict : NULL;
}

unsigned verdict_view_count(const struct verdict_engine *engine)
{
    unsigned count = 0;
    for (unsigned i = 0; i < engine->site_count; i++)
        count += engine->site[i].view_count;
    return count;
}

const struct verdict_site *verdict_view(const struct verdict_engine *engine, unsigned view)
{
    for (unsigned i = 0; i < engine->site_count; view -= engine->site[i++].view_count)
        if (view < engine->site[i].view_count)
            return &engine->site[i].view[view].verdict;
    return NULL;
}

bool verdict_is_ready(const struct verdict_engine *engine, uint64_t now_ns)
{
    if (now_ns >= engine->start_ns + engine->start_wait_ns)
        return true;
    for (unsigned i = 0; i < engine->site_count; i++)
        for (unsigned k = 0; k < engine->site[i].view_count; k++)
            if (engine->site[i].view[k].verdict.state == VERDICT_UNKNOWN)
                return false;
    return true;
}

const struct belief *verdict_member(const struct verdict_engine *engine, unsigned site, unsigned group, unsigned member)
{
    if (site >= engine->site_count || group >= engine->site[site].config.group_count ||
        member >= engine->site[site].group[group].config.member_count)
        return NULL;
    return &engine->site[site].group[group].member[member];
}

const struct belief *verdict_balancer(const struct verdict_engine *engine, unsigned site, unsigned balancer)
{
    if (site >= engine->site_count || balancer >= engine->site[site].config.balancer_count)
        return NULL;
    return &engine->site[site].balancer[balancer].belief;
}

bool verdict_site_inputs(const struct verdict_engine *engine, unsigned site, struct verdict_inputs *inputs)
{
    if (site >= engine->site_count)
        return false;
    *inputs = engine->site[site].view[0].inputs;
    return true;
}
