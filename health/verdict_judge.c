// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "health/verdict_private.h"

// What is decided about a view before dwell, fail-back and start-up have their say.
struct judgement {
    enum verdict_state state;
    enum verdict_reason reason;
    enum evidence_reason evidence;
    uint16_t group, member;
    bool is_in_doubt;
};

static bool is_wait_over(const struct verdict_engine *engine, uint64_t now_ns)
{
    return now_ns >= engine->start_ns + engine->start_wait_ns;
}

// ---- the columns of the rules ----

// The worst of two cells of groups or balancers: bad, never, old, good, none.
static uint8_t worse(uint8_t a, uint8_t b)
{
    static const uint8_t order[] = {CELL_BAD, CELL_NEVER, CELL_OLD, CELL_VOUCHES, CELL_GOOD, CELL_NONE};
    unsigned i = 0;
    while (order[i] != a && order[i] != b)
        i++;
    return order[i];
}

// For a site that is down a belief counts as good only while the last result was: it does not come back in the middle
// of failing again.
static enum evidence_result belief_for(const struct belief *b, uint64_t max_age_ns, bool is_down, uint64_t now_ns)
{
    const enum evidence_result belief = belief_at(b, max_age_ns, now_ns);
    return is_down && belief == EVIDENCE_UP && b->reason != EVIDENCE_REASON_OK ? EVIDENCE_DOWN : belief;
}

// What the beliefs of a group's members add up to; `j` learns which member decided.
static uint8_t group_cell(const struct group *g, bool is_down, uint64_t now_ns, struct judgement *j)
{
    unsigned good = 0, unknown = 0;
    bool has_evidence = false;
    for (unsigned i = 0; i < g->config.member_count; i++) {
        const struct belief *m = &g->member[i];
        const enum evidence_result belief = belief_for(m, g->config.max_age_ns, is_down, now_ns);
        good += belief == EVIDENCE_UP;
        unknown += belief == EVIDENCE_UNKNOWN;
        has_evidence |= m->last_ns != 0;
        j->is_in_doubt |= belief == EVIDENCE_UP && m->reason != EVIDENCE_REASON_OK;
        if (belief == EVIDENCE_DOWN) {
            j->member = (uint16_t)i;
            j->evidence = m->reason;
        }
    }
    if (good >= g->config.need)
        return CELL_GOOD;
    if (good + unknown < g->config.need)
        return CELL_BAD;
    return has_evidence ? CELL_OLD : CELL_NEVER;
}

// All required groups of a view of one sort.
static uint8_t groups_cell(const struct site *s, const struct view *view, bool is_page, uint64_t now_ns,
                           struct judgement *j)
{
    const bool is_down = view->verdict.state == VERDICT_DOWN;
    uint8_t all = CELL_NONE;
    for (unsigned i = 0; i < s->config.group_count; i++) {
        const struct group *g = &s->group[i];
        if (!g->config.is_required || g->config.is_page != is_page || !(view->config.mask >> i & 1))
            continue;
        struct judgement one = {.group = (uint16_t)i};
        const uint8_t cell = group_cell(g, is_down, now_ns, &one);
        j->is_in_doubt |= one.is_in_doubt;
        if (cell != CELL_GOOD && worse(all, cell) == cell && all != cell) {
            j->group = one.group;
            j->member = one.member;
            j->evidence = one.evidence;
        }
        all = worse(all, cell);
    }
    return all;
}

static uint8_t balancer_cell(const struct verdict_engine *engine, const struct balancer *b, bool is_down,
                             uint64_t now_ns)
{
    switch (belief_for(&b->belief, b->config.max_age_ns, is_down, now_ns)) {
    case EVIDENCE_UP:
        return CELL_GOOD;
    case EVIDENCE_DOWN:
        return CELL_BAD;
    case EVIDENCE_UNKNOWN:
        break;
    }
    return b->belief.last_ns == 0 && !is_wait_over(engine, now_ns) ? CELL_NEVER : CELL_OLD;
}

// An alternative vouches or is silent; without groups it is all there is, and votes.
static uint8_t balancers_cell(const struct verdict_engine *engine, const struct site *s, const struct view *view,
                              bool has_groups, uint64_t now_ns, struct judgement *j)
{
    const bool is_down = view->verdict.state == VERDICT_DOWN;
    uint8_t all = CELL_NONE;
    for (unsigned i = 0; i < s->config.balancer_count; i++) {
        const struct balancer *b = &s->balancer[i];
        uint8_t cell = balancer_cell(engine, b, is_down, now_ns);
        if (b->config.role == VERDICT_BALANCER_LOAD_ONLY)
            continue;
        if (b->config.role == VERDICT_BALANCER_ALTERNATIVE && has_groups)
            cell = cell == CELL_GOOD ? CELL_VOUCHES : CELL_NONE;
        j->is_in_doubt |= cell == CELL_GOOD && b->belief.reason != EVIDENCE_REASON_OK;
        if (cell == CELL_BAD) {
            j->group = (uint16_t)i;
            j->evidence = b->belief.reason;
        }
        all = worse(all, cell);
    }
    return all;
}

static bool is_fresh(const struct verdict_engine *engine, const struct voice *voice, uint64_t now_ns)
{
    return voice->last_ns && now_ns < voice->last_ns + engine->heartbeat.period_ns * engine->heartbeat.periods;
}

// What the site's own nodes, or all others, say about it: a drain before up before down.
static uint8_t word_cell(const struct verdict_engine *engine, unsigned number, bool is_own, uint64_t now_ns)
{
    uint8_t said = 0;
    for (unsigned i = 0; i < engine->voice_count; i++)
        if ((engine->voice_site[i] == (int)number) == is_own &&
            is_fresh(engine, &engine->site[number].voice[i], now_ns))
            said |= engine->site[number].voice[i].word;
    if (is_own && said & CELL_WORD_DRAIN)
        return CELL_WORD_DRAIN;
    return said & CELL_WORD_UP ? CELL_WORD_UP : said & CELL_WORD_DOWN ? CELL_WORD_DOWN : CELL_NONE;
}

static uint8_t heartbeat_cell(const struct verdict_engine *engine, struct site *s, const struct view *view,
                              uint8_t third_party, uint64_t now_ns, struct judgement *j)
{
    unsigned heard = 0;
    bool is_doubt = false, has_ever = false;
    s->heartbeat_age_ns = UINT64_MAX;
    for (unsigned i = 0; i < s->config.node_count; i++) {
        struct heartbeat_period *p = &s->node[i];
        const bool is_heard = heartbeat_period_is_heard(p, &engine->heartbeat, now_ns);
        heard += is_heard;
        has_ever |= p->last_ns != 0;
        is_doubt |= is_heard && heartbeat_period_is_in_doubt(p, &engine->heartbeat, now_ns);
        const uint64_t age = p->last_ns == 0 ? UINT64_MAX : now_ns > p->last_ns ? now_ns - p->last_ns : 0;
        s->heartbeat_age_ns = age < s->heartbeat_age_ns ? age : s->heartbeat_age_ns;
    }
    if (s->config.is_self || s->config.peer_rule != VERDICT_PEER_REQUIRED || s->config.node_count == 0) {
        j->is_in_doubt |= !s->config.is_self && s->config.peer_rule == VERDICT_PEER_ADVISORY &&
                          (is_doubt || (has_ever && heard < s->config.nodes_need));
        return CELL_NONE;
    }
    j->is_in_doubt |= is_doubt || heard < s->config.nodes_need;
    if (heard >= s->config.nodes_need)
        return CELL_GOOD;
    if ((!has_ever || view->verdict.state == VERDICT_UNKNOWN) && !is_wait_over(engine, now_ns))
        return CELL_NEVER;
    return third_party == CELL_WORD_UP ? CELL_EXCUSED : CELL_BAD;
}

static uint8_t operator_cell(const struct site *s)
{
    static const uint8_t cell[] = {[OPERATOR_AUTO] = CELL_AUTO,
                                   [OPERATOR_UP] = CELL_SAYS_UP,
                                   [OPERATOR_DOWN] = CELL_SAYS_DOWN,
                                   [OPERATOR_DRAIN] = CELL_SAYS_DRAIN};
    return cell[s->operator_state];
}

// Fills the inputs; `j` gets the doubt and which evidence decided.
static void gather(const struct verdict_engine *engine, unsigned number, struct view *view, uint64_t now_ns,
                   struct judgement *j)
{
    struct site *s = &engine->site[number];
    uint8_t *in = view->inputs.column;
    struct judgement page = {0}, balancer = {0};
    in[VERDICT_OPERATOR] = operator_cell(s);
    in[VERDICT_SERVERS] = groups_cell(s, view, false, now_ns, j);
    in[VERDICT_PAGE] = groups_cell(s, view, true, now_ns, &page);
    const bool has_groups = in[VERDICT_SERVERS] != CELL_NONE || in[VERDICT_PAGE] != CELL_NONE;
    in[VERDICT_BALANCER] = balancers_cell(engine, s, view, has_groups, now_ns, &balancer);
    in[VERDICT_OWN_NODE] = word_cell(engine, number, true, now_ns);
    in[VERDICT_THIRD_PARTY] = word_cell(engine, number, false, now_ns);
    in[VERDICT_HEARTBEAT] = heartbeat_cell(engine, s, view, in[VERDICT_THIRD_PARTY], now_ns, j);
    const bool is_in_doubt = j->is_in_doubt || page.is_in_doubt || balancer.is_in_doubt ||
                             in[VERDICT_OWN_NODE] == CELL_WORD_DOWN || in[VERDICT_THIRD_PARTY] == CELL_WORD_DOWN;
    const struct verdict_rule *rule = verdict_rule_match(&view->inputs);
    if (rule->reason == VERDICT_REASON_PAGE_DOWN)
        *j = page;
    else if (rule->reason == VERDICT_REASON_BALANCER_DOWN)
        *j = balancer;
    else if (rule->reason != VERDICT_REASON_GROUP_DOWN)
        *j = (struct judgement){0};
    j->is_in_doubt = is_in_doubt;
}

static void decide(const struct verdict_engine *engine, const struct view *view, uint64_t now_ns, struct judgement *j)
{
    static const enum verdict_state state[] = {[OUTCOME_UP] = VERDICT_UP,
                                               [OUTCOME_DOWN] = VERDICT_DOWN,
                                               [OUTCOME_DRAIN] = VERDICT_DRAIN,
                                               [OUTCOME_UNKNOWN] = VERDICT_UNKNOWN,
                                               [OUTCOME_KEEP] = VERDICT_UNKNOWN};
    const struct verdict_rule *rule = verdict_rule_match(&view->inputs);
    const enum verdict_state before = view->verdict.state;
    j->state = state[rule->outcome];
    j->reason = rule->reason;
    j->is_in_doubt |= rule->outcome == OUTCOME_KEEP || rule->reason == VERDICT_REASON_PEER_WORD ||
                      rule->reason == VERDICT_REASON_WITNESSED || rule->reason == VERDICT_REASON_BALANCER_SILENT;
    if (j->state == VERDICT_UNKNOWN && before != VERDICT_UNKNOWN &&
        (rule->outcome == OUTCOME_KEEP || !is_wait_over(engine, now_ns))) {
        j->state = before == VERDICT_DRAIN ? VERDICT_UP : before;
        j->is_in_doubt = true;
    } else if (j->state == VERDICT_UNKNOWN && is_wait_over(engine, now_ns)) {
        j->state = VERDICT_DOWN;
        j->reason = VERDICT_REASON_EVIDENCE_MISSING;
    }
    if (j->reason == VERDICT_REASON_OPERATOR || j->reason == VERDICT_REASON_PEER_DRAIN)
        j->is_in_doubt = false;
}

// ---- holding back ----

static bool is_by_word(enum verdict_reason reason)
{
    return reason == VERDICT_REASON_OPERATOR || reason == VERDICT_REASON_PEER_DRAIN;
}

// Dwell, fail-back delay and manual fail-back hold a change back.
static void hold_back(const struct site *s, struct view *view, struct judgement *j, uint64_t now_ns)
{
    const struct verdict_site *v = &view->verdict;
    if (j->state != VERDICT_UP)
        view->good_since_ns = 0;
    else if (view->good_since_ns == 0)
        view->good_since_ns = now_ns ? now_ns : 1;
    if (j->state == VERDICT_DOWN)
        view->is_released = false;
    if (v->state == VERDICT_UNKNOWN || v->state == j->state || is_by_word(v->reason) || is_by_word(j->reason))
        return;
    const struct judgement held = {v->state, v->reason, v->evidence, v->group, v->member, true};
    if (s->config.dwell_ns && now_ns - v->since_ns < s->config.dwell_ns) {
        *j = held;
        return;
    }
    if (v->state != VERDICT_DOWN || j->state != VERDICT_UP)
        return;
    if (s->config.is_fail_back_manual && view->has_been_up && !view->is_released) {
        *j = held;
        j->reason = VERDICT_REASON_FAIL_BACK_MANUAL;
    } else if (now_ns - view->good_since_ns < s->config.fail_back_delay_ns) {
        *j = held;
        j->reason = VERDICT_REASON_FAIL_BACK_DELAY;
    }
}

// ---- figures ----

static uint64_t average_response(const struct site *s, uint64_t mask)
{
    uint64_t sum = 0, count = 0;
    for (unsigned i = 0; i < s->config.group_count; i++)
        for (unsigned k = 0; mask >> i & 1 && k < s->group[i].config.member_count; k++)
            if (s->group[i].member[k].response_ns && s->group[i].member[k].state == EVIDENCE_UP) {
                sum += s->group[i].member[k].response_ns;
                count++;
            }
    return count ? sum / count : s->peer_response_ns;
}

static void set_figures(const struct site *s, const struct view *view, struct verdict_site *v)
{
    v->load_permille = s->load_permille;
    v->lag_ms = s->lag_ms;
    v->response_ns = average_response(s, view->config.mask);
    v->heartbeat_age_ns = s->heartbeat_age_ns;
    v->operator_state = s->operator_state;
    v->operator_until_ns = s->operator_until_ns;
    memcpy(v->detail, s->detail, sizeof v->detail);
}

static bool judge_view(const struct verdict_engine *engine, unsigned number, struct view *view, uint64_t now_ns)
{
    struct site *s = &engine->site[number];
    struct verdict_site *v = &view->verdict;
    struct judgement j = {0};
    gather(engine, number, view, now_ns, &j);
    decide(engine, view, now_ns, &j);
    hold_back(s, view, &j, now_ns);
    const bool is_changed = j.state != v->state || j.reason != v->reason || j.is_in_doubt != v->is_in_doubt;
    if (j.state != v->state) {
        v->since_ns = now_ns;
        if (j.state == VERDICT_UP) {
            v->came_up_ns = view->has_been_up ? now_ns : 0; // the first time is no coming back
            view->has_been_up = true;
        }
    }
    v->state = j.state;
    v->reason = j.reason;
    v->evidence = j.evidence;
    v->group = j.group;
    v->member = j.member;
    v->is_in_doubt = j.is_in_doubt;
    v->is_confirmed = engine->stall_ns == 0 || s->seen_ns > engine->stall_ns;
    set_figures(s, view, v);
    return is_changed;
}

static void expire_operator(struct site *s, uint64_t now_ns)
{
    if (s->operator_until_ns == 0 || now_ns < s->operator_until_ns)
        return;
    s->operator_state = OPERATOR_AUTO;
    s->operator_until_ns = 0;
    s->detail[0] = '\0';
}

bool verdict_judge_site(const struct verdict_engine *engine, unsigned number, uint64_t now_ns)
{
    struct site *s = &engine->site[number];
    bool is_changed = false;
    expire_operator(s, now_ns);
    for (unsigned i = 0; i < s->view_count; i++)
        is_changed |= judge_view(engine, number, &s->view[i], now_ns);
    return is_changed;
}
