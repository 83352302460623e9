// SPDX-License-Identifier: Apache-2.0
#include "control/steering.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <time.h>

#include "shared/log.h"
#include "control/steering_build.h"
#include "control/steering_report.h"
#include "control/verdict_setup.h"

#define FIGURES_INTERVAL_NS 100000000ull // figures alone (load, response time) change the order at most this often
#define REFRESH_DEFAULT_NS  10000000000ull
#define REFRESH_MIN_NS      200000000ull
// A build that took no longer last time is done on the loop's own thread: to hand it over and back are two waits for a
// processor, which on a busy host take longer than the build. Longer ones would hold up probes' results.
#define QUICK_BUILD_NS 500000ull

enum { IN_FLIGHT_CAP = 64, MS_NS = 1000000 };

struct in_flight { // an image on its way to the wire
    uint64_t generation, decided_ns;
};

struct steering {
    uv_loop_t *loop;
    struct shared_config *shared;
    struct publisher *publisher;
    struct journal *journal;
    struct verdict_engine *engine;
    struct policy_state *policy;             // [service_count]
    struct steering_order *order;            // [service_count]; null before the first image
    struct verdict_site *reported;           // [verdict_count], as last reported
    const struct operator_states *operators; // borrowed; null: none yet
    struct overrides *overrides;             // compiled from them
    struct steering_report report;
    struct history history;
    struct steering_stats stats;
    uv_timer_t timer;
    uv_idle_t settle;    // started while events wait to be judged: all of one turn of the loop are judged together
    uint64_t pending_ns; // evidence of the first of them
    unsigned open_handles;
    // What is to be built.
    bool is_dirty, is_urgent, is_forced;
    uint64_t evidence_ns, decided_ns; // of the change that made it dirty
    uint64_t last_build_ns;
    struct steering_build *build; // running; null: none
    uint64_t build_cost_ns;       // of the last build with this configuration; 0: none yet
    void *last_image;             // to see whether a new one differs
    size_t last_len;
    struct in_flight in_flight[IN_FLIGHT_CAP];
    unsigned in_flight_next;
    bool uses_figures; // some service's order depends on load, response time or lag
    bool was_ready, is_closing;
    void (*closed)(void *user);
    void *closed_user;
};

static void start_build(struct steering *s);

static const struct config *config_of(const struct steering *s)
{
    return s->shared->config;
}

static uint64_t refresh_ns(const struct steering *s)
{
    const uint64_t stale_ns = config_of(s)->dns.stale_after_ns;
    if (stale_ns == 0)
        return REFRESH_DEFAULT_NS;
    const uint64_t third = stale_ns / 3;
    return third < REFRESH_MIN_NS ? REFRESH_MIN_NS : (third > REFRESH_DEFAULT_NS ? REFRESH_DEFAULT_NS : third);
}

// ---- what the configuration asks of us ----

static bool depends_on_figures(const struct config *config)
{
    for (unsigned i = 0; i < config->service_count; i++)
        for (unsigned k = 0; k < config->services[i].policy_count; k++) {
            const enum config_stage_type type = config->services[i].policy[k].type;
            if (type != CONFIG_STAGE_LOCALITY && type != CONFIG_STAGE_SPREAD)
                return true;
        }
    return false;
}

// A site that came back is still taking up its share of the clients.
static bool is_ramping(const struct steering *s, uint64_t now_ns)
{
    const struct config *config = config_of(s);
    for (unsigned i = 0; i < config->verdict_count; i++) {
        const uint64_t came_up_ns = verdict_view(s->engine, i)->came_up_ns;
        const uint64_t ramp_ns = config->sites[config->verdicts[i].site_at].ramp_ns;
        if (ramp_ns && came_up_ns && now_ns < came_up_ns + ramp_ns + FIGURES_INTERVAL_NS)
            return true;
    }
    return false;
}

// ---- timing ----

// When to look again although no event came.
static uint64_t next_ns(const struct steering *s, uint64_t now_ns)
{
    uint64_t next = verdict_next_deadline_ns(s->engine, now_ns);
    if (!s->was_ready || s->build) // the end of the build looks again
        return next;
    const uint64_t refresh = s->last_build_ns + refresh_ns(s);
    next = refresh < next ? refresh : next;
    if (s->is_dirty || is_ramping(s, now_ns)) {
        const uint64_t figures = s->last_build_ns + FIGURES_INTERVAL_NS;
        next = s->is_urgent ? now_ns : (figures < next ? figures : next);
    }
    return next;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct steering *s)
{
    if (s->is_closing)
        return;
    uv_update_time(s->loop);
    const uint64_t now_ns = uv_hrtime(), at_ns = next_ns(s, now_ns);
    const uint64_t wait_ns = at_ns > now_ns ? at_ns - now_ns : 0;
    uv_timer_start(&s->timer, on_timer, wait_ns > 3600000ull * MS_NS ? 3600000 : (wait_ns + MS_NS - 1) / MS_NS, 0);
}

// ---- deciding ----

static void mark_dirty(struct steering *s, uint64_t evidence_ns, uint64_t now_ns, bool is_urgent)
{
    if (!s->is_dirty || (is_urgent && !s->is_urgent)) { // the first urgent cause is the one that is measured
        s->evidence_ns = evidence_ns;
        s->decided_ns = now_ns;
    }
    s->is_dirty = true;
    s->is_urgent |= is_urgent;
}

static void judge(struct steering *s, uint64_t evidence_ns)
{
    const uint64_t now_ns = uv_hrtime();
    const bool is_changed = verdict_tick(s->engine, now_ns);
    const bool is_ready = verdict_is_ready(s->engine, now_ns);
    if (is_changed) {
        s->stats.verdict_changes += steering_report_verdicts(&s->report, s->reported, evidence_ns, now_ns);
        mark_dirty(s, evidence_ns, now_ns, true);
    }
    if (is_ready && !s->was_ready) {
        s->was_ready = true;
        mark_dirty(s, evidence_ns, now_ns, true);
    }
    if (!s->was_ready || s->build)
        return;
    if (is_ramping(s, now_ns) && now_ns >= s->last_build_ns + FIGURES_INTERVAL_NS)
        mark_dirty(s, now_ns, now_ns, false);
    if (now_ns >= s->last_build_ns + refresh_ns(s)) {
        s->is_forced = true;
        start_build(s);
    } else if (s->is_dirty && (s->is_urgent || now_ns >= s->last_build_ns + FIGURES_INTERVAL_NS)) {
        start_build(s);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct steering *s = timer->data;
    judge(s, uv_hrtime());
    arm(s);
}

static void on_settle(uv_idle_t *idle)
{
    struct steering *s = idle->data;
    uv_idle_stop(idle);
    if (s->uses_figures)
        mark_dirty(s, s->pending_ns, uv_hrtime(), false);
    judge(s, s->pending_ns);
    arm(s);
}

void steering_event(struct steering *s, const struct evidence_event *event)
{
    s->stats.events++;
    if (event->kind == EVIDENCE_STALL) {
        s->stats.stalls++;
        s->stats.stalled_ns += event->duration_ns;
        log_warning("this process was late by %.3f s: verdicts stand still for that time",
                    (double)event->duration_ns / 1e9);
    }
    if (steering_report_is_journalled(&s->report, event))
        journal_event(s->journal, event);
    if (verdict_event(s->engine, event)) {
        if (!uv_is_active((uv_handle_t *)&s->settle)) {
            s->pending_ns = event->at_ns;
            uv_idle_start(&s->settle, on_settle);
        }
    } else if (s->uses_figures && !s->is_dirty && s->was_ready) { // the timer looks at the figures, not each event
        mark_dirty(s, event->at_ns, uv_hrtime(), false);
        arm(s);
    }
}

// ---- building ----

static void remember_in_flight(struct steering *s, uint64_t generation, uint64_t decided_ns)
{
    s->in_flight[s->in_flight_next++ % IN_FLIGHT_CAP] = (struct in_flight){generation, decided_ns};
}

// True when the image says the same as the last one that was sent.
static bool is_equal_to_last(const struct steering *s, const struct steering_build *b)
{
    const size_t head = sizeof(struct image_header);
    return s->last_image && s->last_len == b->len &&
           ((const struct image_header *)s->last_image)->pairing_id == b->pairing_id &&
           memcmp((const uint8_t *)s->last_image + head, (const uint8_t *)b->image + head, b->len - head) == 0;
}

static void take_image(struct steering *s, struct steering_build *b)
{
    s->stats.images_built++;
    s->stats.build_last_ns = b->build_ns;
    const bool is_equal = is_equal_to_last(s, b);
    if (is_equal && !b->is_forced) {
        s->stats.images_equal++;
        return;
    }
    if (!is_equal) {
        s->stats.order_changes +=
            steering_report_orders(&s->report, s->order, b->order, b->generation, b->evidence_ns, b->decided_ns);
        // Else the wait for the data plane, or for the first zones, would be measured.
        if (s->order && publisher_status(s->publisher)->is_connected)
            remember_in_flight(s, b->generation, b->decided_ns);
    }
    publisher_set(s->publisher, IMAGE_ORDER, b->fd, b->len, b->generation);
    b->fd = -1;
    free(s->order);
    s->order = b->order;
    b->order = NULL;
    free(s->last_image);
    s->last_image = b->image;
    s->last_len = b->len;
    b->image = NULL;
}

static void finish_close(struct steering *s);

static void take_build(struct steering *s, struct steering_build *b)
{
    if (b->rc < 0) {
        s->stats.build_errors++;
        log_error("the site-order image could not be built: %s; the last one stays", strerror(-b->rc));
    } else if (!s->is_closing && b->shared == s->shared) {
        s->build_cost_ns = b->build_ns;
        take_image(s, b);
    }
    steering_build_free(b);
}

static void build_done(void *user, struct steering_build *b)
{
    struct steering *s = user;
    s->build = NULL;
    take_build(s, b);
    if (s->is_closing) {
        finish_close(s);
        return;
    }
    judge(s, uv_hrtime());
    arm(s);
}

static void start_build(struct steering *s)
{
    const struct config *config = config_of(s);
    struct steering_build *b = steering_build_new(s->shared, s->engine, s->overrides);
    s->last_build_ns = uv_hrtime();
    if (!b) {
        s->stats.build_errors++;
        return;
    }
    b->now_ns = s->last_build_ns;
    for (unsigned i = 0; i < config->service_count; i++) {
        const struct policy_input input = {config, i, b->verdict, b->now_ns, s->overrides};
        policy_update(&s->policy[i], &input);
    }
    memcpy(b->policy, s->policy, config->service_count * sizeof *b->policy);
    b->generation = publisher_next_generation(s->publisher, IMAGE_ORDER);
    b->is_forced = s->is_forced;
    b->evidence_ns = s->evidence_ns;
    b->decided_ns = s->decided_ns;
    s->is_dirty = s->is_urgent = s->is_forced = false;
    if (s->build_cost_ns && s->build_cost_ns <= QUICK_BUILD_NS) {
        steering_build_run(b);
        take_build(s, b);
    } else if (steering_build_start(b, s->loop, build_done, s) == 0) {
        s->build = b;
    } else {
        steering_build_free(b);
    }
}

void steering_renew(struct steering *s)
{
    mark_dirty(s, uv_hrtime(), uv_hrtime(), true);
    s->is_forced = true;
    judge(s, uv_hrtime());
    arm(s);
}

int steering_operators(struct steering *s, const struct operator_states *states)
{
    struct overrides *overrides = overrides_new(config_of(s), states);
    if (!overrides)
        return -ENOMEM;
    overrides_drop(s->overrides);
    s->overrides = overrides;
    s->operators = states;
    mark_dirty(s, uv_hrtime(), uv_hrtime(), true);
    judge(s, uv_hrtime());
    arm(s);
    return 0;
}

void steering_published(struct steering *s, uint64_t generation, uint64_t at_ns)
{
    for (unsigned i = 0; i < IN_FLIGHT_CAP; i++)
        if (s->in_flight[i].generation && s->in_flight[i].generation <= generation) {
            history_published(&s->history, s->in_flight[i].generation, s->in_flight[i].decided_ns, at_ns);
            s->in_flight[i].generation = 0;
        }
}

// ---- life ----

static int make_arrays(const struct config *config, struct policy_state **policy, struct verdict_site **reported)
{
    *policy = calloc(config->service_count ? config->service_count : 1, sizeof **policy);
    *reported = calloc(config->verdict_count + 1, sizeof **reported);
    if (*policy && *reported)
        return 0;
    free(*policy);
    free(*reported);
    return -ENOMEM;
}

struct steering *steering_new(uv_loop_t *loop, struct shared_config *shared, struct publisher *publisher,
                              struct journal *journal)
{
    struct steering *s = calloc(1, sizeof *s);
    struct verdict_config verdict;
    if (!s || verdict_setup(shared->config, &verdict) < 0) {
        free(s);
        return NULL;
    }
    s->engine = verdict_new(&verdict, uv_hrtime());
    verdict_setup_fini(&verdict);
    if (!s->engine || make_arrays(shared->config, &s->policy, &s->reported) < 0) {
        verdict_free(s->engine);
        free(s);
        return NULL;
    }
    s->loop = loop;
    s->shared = shared_config_hold(shared);
    s->uses_figures = depends_on_figures(shared->config);
    s->publisher = publisher;
    s->journal = journal;
    steering_report_init(&s->report, s->shared->config, s->engine, &s->history, journal);
    uv_timer_init(loop, &s->timer);
    uv_idle_init(loop, &s->settle);
    s->timer.data = s->settle.data = s;
    arm(s);
    return s;
}

// Watermarks that were passed stay passed for services that remain.
static void carry_policy(const struct config *from, const struct policy_state *old, const struct config *to,
                         struct policy_state *new)
{
    for (unsigned i = 0, k = 0; i < to->service_count && from->service_count; i++) {
        for (unsigned n = 0; n < from->service_count; n++, k = (k + 1) % from->service_count)
            if (strcmp(from->services[k].name, to->services[i].name) == 0)
                break; // lists mostly have the same order: the search goes on where it ended
        const struct config_service *a = &from->services[k], *b = &to->services[i];
        if (strcmp(a->name, b->name) != 0 || a->site_count != b->site_count)
            continue;
        bool is_same = true;
        for (unsigned p = 0; p < a->site_count; p++)
            is_same &= strcmp(a->sites[p].site, b->sites[p].site) == 0;
        if (is_same)
            new[i] = old[k];
    }
}

// A site that comes back into the configuration may have been drained before it left: the next order must know.
static void recall_operators(struct steering *s)
{
    const struct config *config = config_of(s);
    for (unsigned i = 0; s->operators && i < config->site_count; i++) {
        const struct operator_entry *entry =
            operator_states_find(s->operators, OPERATOR_OF_SITE, config->sites[i].name);
        const struct evidence_event event = operator_state_event(entry, i, uv_hrtime(), (uint64_t)time(NULL));
        if (entry)
            verdict_event(s->engine, &event);
    }
}

int steering_reconfigure(struct steering *s, struct shared_config *shared)
{
    struct verdict_config verdict;
    struct policy_state *policy;
    struct verdict_site *reported;
    int rc = make_arrays(shared->config, &policy, &reported);
    if (rc)
        return rc;
    struct overrides *overrides = s->operators ? overrides_new(shared->config, s->operators) : NULL;
    rc = s->operators && !overrides ? -ENOMEM : verdict_setup(shared->config, &verdict);
    if (rc == 0) {
        rc = verdict_reconfigure(s->engine, &verdict, uv_hrtime());
        verdict_setup_fini(&verdict);
    }
    if (rc) {
        overrides_drop(overrides);
        free(policy);
        free(reported);
        return rc;
    }
    carry_policy(config_of(s), s->policy, shared->config, policy);
    steering_report_carry(config_of(s), s->reported, shared->config, reported);
    free(s->policy);
    free(s->reported);
    free(s->order);
    overrides_drop(s->overrides);
    s->overrides = overrides;
    s->order = NULL;
    s->policy = policy;
    s->reported = reported;
    shared_config_drop(s->shared);
    s->shared = shared_config_hold(shared);
    s->uses_figures = depends_on_figures(shared->config);
    s->build_cost_ns = 0;
    recall_operators(s);
    steering_report_init(&s->report, s->shared->config, s->engine, &s->history, s->journal);
    steering_renew(s);
    return 0;
}

static void finish_close(struct steering *s)
{
    if (s->open_handles || s->build)
        return;
    verdict_free(s->engine);
    free(s->policy);
    free(s->reported);
    free(s->order);
    free(s->last_image);
    overrides_drop(s->overrides);
    shared_config_drop(s->shared);
    void (*closed)(void *) = s->closed;
    void *user = s->closed_user;
    free(s);
    if (closed)
        closed(user);
}

static void handle_closed(uv_handle_t *handle)
{
    struct steering *s = handle->data;
    s->open_handles--;
    finish_close(s);
}

void steering_close(struct steering *s, void (*closed)(void *user), void *user)
{
    s->is_closing = true;
    s->closed = closed;
    s->closed_user = user;
    s->open_handles = 2;
    uv_close((uv_handle_t *)&s->timer, handle_closed);
    uv_close((uv_handle_t *)&s->settle, handle_closed);
}

// ---- looking ----

const struct config *steering_config(const struct steering *s)
{
    return config_of(s);
}

const struct verdict_engine *steering_engine(const struct steering *s)
{
    return s->engine;
}

const struct verdict_site *steering_site(const struct steering *s, unsigned site)
{
    return verdict_of_site(s->engine, site);
}

const struct policy_state *steering_policy_state(const struct steering *s, unsigned service)
{
    return &s->policy[service];
}

const struct steering_order *steering_order(const struct steering *s, unsigned service)
{
    return s->order ? &s->order[service] : NULL;
}

const struct overrides *steering_overrides(const struct steering *s)
{
    return s->overrides;
}

struct history *steering_history(struct steering *s)
{
    return &s->history;
}

const struct steering_stats *steering_stats(const struct steering *s)
{
    return &s->stats;
}

bool steering_is_ready(const struct steering *s)
{
    return s->was_ready;
}

struct verdict_site *steering_verdicts(const struct steering *s)
{
    const unsigned count = config_of(s)->verdict_count;
    struct verdict_site *verdict = calloc(count + 1, sizeof *verdict);
    for (unsigned i = 0; verdict && i < count; i++)
        verdict[i] = *verdict_view(s->engine, i);
    return verdict;
}
