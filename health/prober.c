// SPDX-License-Identifier: Apache-2.0
#include "health/prober.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health/probe_http.h"
#include "health/probe_icmp.h"
#include "health/probe_identity.h"
#include "health/probe_kind.h"
#include "health/timer_wheel.h"

#define TURN_MS         50
#define STALL_MIN_NS    250000000ull // a loop that turns every 50 ms and comes this late was not running
#define START_SPREAD_NS 100000000ull
#define NS_PER_MS       1000000ull

enum { BUCKETS = 4096 };

struct listener { // who asked for a probe's result
    struct listener *next;
    enum evidence_kind kind;
    uint16_t site, group, member;
};

struct target { // an address; bounds what is under way against it
    struct target *next;
    uint64_t hash;
    unsigned running;
    struct item *first_waiting, **last_waiting;
};

struct item {
    struct prober *prober;
    struct item *next, *next_in_bucket, *next_waiting;
    const struct probe_kind *kind;
    void *instance;
    struct target *target;
    struct listener *listeners;
    char *identity; // equal for equal specifications
    uint64_t hash, interval_ns, timeout_ns, started_ns, random;
    uint32_t jitter_percent;
    struct wheel_timer timer; // when idle the next start, when running the time limit
    bool is_running, is_waiting, is_balancer;
};

struct prober {
    uv_loop_t *loop;
    struct prober_limits limits;
    prober_emit_fn emit;
    void *user;
    struct probe_host host;
    struct item *items, *bucket[BUCKETS];
    struct target *target[BUCKETS];
    uv_timer_t turn;
    struct timer_wheel wheel; // the items' timers: a heap of them took half of our own time
    uv_timer_t wheel_turn;
    uint64_t wheel_turn_ms; // when it is set to; UINT64_MAX: never
    uv_prepare_t prepare;
    uint64_t alive_ns;   // when the loop was last seen turning
    uint64_t stalled_ns; // when the last stall ended; 0: none yet
    struct prober_stats stats;
    unsigned open; // handles and instances not closed yet
    bool is_stopping;
    void (*stopped)(void *user);
    void *stopped_user;
};

// ---- lateness ----

// Before anything is judged: was this process itself not running?
static void notice_stall(struct prober *p)
{
    const uint64_t now_ns = uv_hrtime();
    const uint64_t late_ns = now_ns - p->alive_ns;
    p->alive_ns = now_ns;
    if (late_ns < STALL_MIN_NS || p->is_stopping)
        return;
    p->stalled_ns = now_ns;
    p->stats.stalls++;
    p->stats.stall_max_ns = late_ns > p->stats.stall_max_ns ? late_ns : p->stats.stall_max_ns;
    const struct evidence_event event = {
        .at_ns = now_ns, .kind = EVIDENCE_STALL, .duration_ns = late_ns, .load_permille = -1, .lag_ms = -1};
    p->emit(p->user, &event);
}

void prober_notice_stall(struct prober *p)
{
    notice_stall(p);
}

static void on_turn(uv_timer_t *timer)
{
    notice_stall(timer->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
    notice_stall(prepare->data);
}

// ---- running ----

static uint64_t next_random(struct item *it) // xorshift64: spreads starts, keeps no secrets
{
    it->random ^= it->random << 13;
    it->random ^= it->random >> 7;
    it->random ^= it->random << 17;
    return it->random;
}

static void on_due(struct wheel_timer *timer);
static void on_timeout(struct wheel_timer *timer);

static struct item *item_of(struct wheel_timer *timer)
{
    return (struct item *)(void *)((char *)timer - offsetof(struct item, timer));
}

static void on_wheel_turn(uv_timer_t *timer);

static void set_wheel_turn(struct prober *p)
{
    p->wheel_turn_ms = timer_wheel_next_ms(&p->wheel);
    if (p->wheel_turn_ms == UINT64_MAX || p->is_stopping)
        return;
    // Never in this very pass over the loop's timers, however late we are: what has arrived is read in between, or a
    // busy prober would take its own lateness for the servers'. The loop's time may be older than now: then it turns
    // once more.
    const uint64_t now_ms = uv_hrtime() / NS_PER_MS;
    const uint64_t wait_ms = p->wheel_turn_ms > now_ms ? p->wheel_turn_ms - now_ms : 1;
    uv_timer_start(&p->wheel_turn, on_wheel_turn, wait_ms, 0);
}

static void on_wheel_turn(uv_timer_t *timer)
{
    struct prober *p = timer->data;
    p->wheel_turn_ms = 0; // nobody needs to set it meanwhile
    timer_wheel_advance(&p->wheel, uv_hrtime() / NS_PER_MS);
    set_wheel_turn(p);
}

static void start_timer(struct item *it, void (*fire)(struct wheel_timer *timer), uint64_t wait_ns)
{
    struct prober *p = it->prober;
    timer_wheel_start(&p->wheel, &it->timer, (uv_hrtime() + wait_ns + NS_PER_MS - 1) / NS_PER_MS, fire);
    if (it->timer.due_ms < p->wheel_turn_ms)
        set_wheel_turn(p);
}

static void schedule(struct item *it)
{
    const uint64_t swing = it->interval_ns / 100 * it->jitter_percent;
    const uint64_t interval = it->interval_ns - (swing ? next_random(it) % swing : 0);
    const uint64_t due_ns = it->started_ns + interval, now_ns = uv_hrtime();
    start_timer(it, on_due, due_ns > now_ns ? due_ns - now_ns : 0);
}

static void emit(struct item *it, const struct probe_result *r)
{
    struct prober *p = it->prober;
    const uint64_t now_ns = uv_hrtime();
    struct evidence_event event = {.at_ns = now_ns > r->age_ns ? now_ns - r->age_ns : 1,
                                   .result = r->result,
                                   .reason = r->reason,
                                   .response_ns = r->response_ns,
                                   .load_permille = r->load_permille,
                                   .lag_ms = -1};
    memcpy(event.detail, r->detail, sizeof event.detail);
    for (const struct listener *l = it->listeners; l && !p->is_stopping; l = l->next) {
        event.kind = l->kind;
        event.site = l->site;
        event.group = l->group;
        event.member = l->member;
        p->emit(p->user, &event);
    }
}

static void leave_target(struct item *it)
{
    struct target *t = it->target;
    t->running--;
    struct item *next = t->first_waiting;
    if (!next || it->prober->is_stopping)
        return;
    t->first_waiting = next->next_waiting;
    if (!t->first_waiting)
        t->last_waiting = &t->first_waiting;
    next->is_waiting = false;
    start_timer(next, on_due, 0); // not from here: a chain of failing starts would nest
}

static void finish(struct item *it, const struct probe_result *result)
{
    struct prober *p = it->prober;
    struct probe_result r = *result;
    notice_stall(p);
    // The answer may have been there in time, and we were not.
    if (r.result == EVIDENCE_DOWN && r.reason == EVIDENCE_REASON_TIMEOUT && p->stalled_ns >= it->started_ns) {
        r.result = EVIDENCE_UNKNOWN;
        r.reason = EVIDENCE_REASON_LOCAL;
        snprintf(r.detail, sizeof r.detail, "%s", "the prober itself was late");
    }
    // Only a balancer's own word makes it bad: one that cannot be read says nothing.
    if (it->is_balancer && r.result == EVIDENCE_DOWN && r.reason != EVIDENCE_REASON_BALANCER_DOWN)
        r.result = EVIDENCE_UNKNOWN;
    it->is_running = false;
    p->stats.running--;
    p->stats.finished++;
    p->stats.good += r.result == EVIDENCE_UP;
    p->stats.bad += r.result == EVIDENCE_DOWN;
    timer_wheel_stop(&p->wheel, &it->timer);
    if (!p->is_stopping)
        schedule(it);
    leave_target(it);
    emit(it, &r);
}

static void on_done(void *user, const struct probe_result *result)
{
    struct item *it = user;
    if (it->is_running)
        finish(it, result);
}

static void on_timeout(struct wheel_timer *timer)
{
    struct item *it = item_of(timer);
    const struct probe_result result = probe_result_down(EVIDENCE_REASON_TIMEOUT);
    it->kind->abort(it->instance);
    finish(it, &result);
}

static void run(struct item *it)
{
    struct prober *p = it->prober;
    it->started_ns = uv_hrtime();
    it->is_running = true;
    it->target->running++;
    p->stats.running++;
    p->stats.started++;
    const int rc = it->kind->run(it->instance);
    start_timer(it, on_timeout, it->timeout_ns);
    if (rc == 0)
        return;
    const struct probe_result result = probe_result_error(rc);
    finish(it, &result);
}

static void on_due(struct wheel_timer *timer)
{
    struct item *it = item_of(timer);
    struct target *t = it->target;
    if (t->running < it->prober->limits.per_target_max) {
        run(it);
        return;
    }
    it->prober->stats.deferred++;
    it->is_waiting = true;
    it->next_waiting = NULL;
    *t->last_waiting = it;
    t->last_waiting = &it->next_waiting;
}

// ---- life ----

static void release(struct prober *p)
{
    if (--p->open)
        return;
    for (struct item *it = p->items, *next; it; it = next) {
        next = it->next;
        for (struct listener *l = it->listeners, *after; l; l = after) {
            after = l->next;
            free(l);
        }
        free(it->identity);
        free(it);
    }
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct target *t = p->target[i], *next; t; t = next) {
            next = t->next;
            free(t);
        }
    void (*stopped)(void *) = p->stopped;
    void *user = p->stopped_user;
    free(p);
    if (stopped)
        stopped(user);
}

static void handle_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void instance_closed(void *user)
{
    release(((struct item *)user)->prober);
}

static void engine_closed(void *user)
{
    release(user);
}

static int open_host(struct probe_host *host)
{
    unsigned made = 0;
    host->icmp = icmp_engine_new(host->loop);
    while (host->icmp && made < PROBE_HTTP_ENGINES && (host->http[made] = http_engine_new(host->loop)))
        made++;
    if (made == PROBE_HTTP_ENGINES)
        return 0;
    icmp_engine_close(host->icmp, NULL, NULL);
    while (made > 0)
        http_engine_close(host->http[--made], NULL, NULL);
    return -ENOMEM;
}

struct prober *prober_new(uv_loop_t *loop, const struct prober_limits *limits, prober_emit_fn emit_fn, void *user)
{
    struct prober *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->host.loop = p->loop = loop;
    if (open_host(&p->host) < 0) {
        free(p);
        return NULL;
    }
    p->limits = *limits;
    p->emit = emit_fn;
    p->user = user;
    uv_timer_init(loop, &p->turn);
    uv_timer_init(loop, &p->wheel_turn);
    uv_prepare_init(loop, &p->prepare);
    timer_wheel_init(&p->wheel, uv_hrtime() / NS_PER_MS);
    p->wheel_turn_ms = UINT64_MAX;
    p->turn.data = p->wheel_turn.data = p->prepare.data = p;
    p->open = 4 + PROBE_HTTP_ENGINES; // the handles and the engines
    return p;
}

struct wanted { // what both kinds of specification have
    const struct probe_kind *kind;
    const struct probe_spec *probe;
    const struct balancer_spec *balancer;
    struct probe_address address;
    uint64_t interval_ns, timeout_ns;
    uint32_t jitter_percent;
};

// What a balancer without an address is bounded by: its Unix socket, or server and port of its URL.
static uint64_t hash_of_place(const struct balancer_spec *spec)
{
    const char *text = spec->socket && spec->socket[0] ? spec->socket : spec->url ? spec->url : "";
    const char *host = strstr(text, "://");
    return probe_identity_hash(text, host ? (size_t)(host - text) + 3 + strcspn(host + 3, "/?#") : strlen(text));
}

static struct target *find_target(struct prober *p, const struct wanted *w)
{
    const struct probe_address *address = &w->address;
    const uint64_t hash = w->balancer && !address->len ? hash_of_place(w->balancer)
                                                       : probe_identity_hash(&address->address, address->len);
    struct target **at = &p->target[hash % BUCKETS];
    while (*at && (*at)->hash != hash) // a collision of 64 bits would only share a limit
        at = &(*at)->next;
    if (!*at) {
        *at = calloc(1, sizeof **at);
        if (*at) {
            (*at)->hash = hash;
            (*at)->last_waiting = &(*at)->first_waiting;
        }
    }
    return *at;
}

static int add_listener(struct item *it, enum evidence_kind kind, uint16_t site, uint16_t group, uint16_t member)
{
    struct listener *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    *l = (struct listener){it->listeners, kind, site, group, member};
    it->listeners = l;
    return 0;
}

static struct item *find_item(struct prober *p, uint64_t hash, const char *identity)
{
    struct item *it = p->bucket[hash % BUCKETS];
    while (it && (it->hash != hash || strcmp(it->identity, identity) != 0))
        it = it->next_in_bucket;
    return it;
}

// Takes over `identity`.
static int new_item(struct prober *p, const struct wanted *w, char *identity, uint64_t hash, struct item **out)
{
    struct item *it = calloc(1, sizeof *it);
    struct target *target = find_target(p, w);
    if (!it || !target) {
        free(it);
        free(identity);
        return -ENOMEM;
    }
    const struct probe_callbacks callbacks = {on_done, instance_closed, it};
    it->prober = p;
    it->kind = w->kind;
    it->instance = w->kind->open(&p->host, w->probe, w->balancer, &callbacks);
    if (!it->instance) {
        const int rc = errno == EINVAL ? -EINVAL : -ENOMEM;
        free(it);
        free(identity);
        return rc;
    }
    it->target = target;
    it->is_balancer = w->balancer != NULL;
    it->identity = identity;
    it->hash = it->random = hash ? hash : 1;
    it->interval_ns = w->interval_ns;
    it->timeout_ns = w->timeout_ns;
    it->jitter_percent = w->jitter_percent;
    it->next = p->items;
    p->items = it;
    it->next_in_bucket = p->bucket[hash % BUCKETS];
    p->bucket[hash % BUCKETS] = it;
    p->open++; // the instance
    p->stats.probes++;
    *out = it;
    return 0;
}

static int add(struct prober *p, const struct wanted *w, char *identity, const struct listener *who)
{
    if (!identity)
        return -ENOMEM;
    if (!w->kind || w->interval_ns == 0 || w->timeout_ns == 0) {
        free(identity);
        return -EINVAL;
    }
    const uint64_t hash = probe_identity_hash(identity, strlen(identity));
    struct item *it = find_item(p, hash, identity);
    int rc = 0;
    if (it)
        free(identity);
    else if (p->stats.probes >= p->limits.probes_max) {
        free(identity);
        return -E2BIG;
    } else
        rc = new_item(p, w, identity, hash, &it);
    return rc ? rc : add_listener(it, who->kind, who->site, who->group, who->member);
}

static const struct probe_kind *kind_of_probe(const struct probe_spec *spec)
{
    switch (spec->type) {
    case PROBE_TCP:
        return &probe_tcp_kind;
    case PROBE_HTTP:
    case PROBE_HTTPS:
        return probe_plain_suits(spec) ? &probe_plain_kind : &probe_http_kind;
    case PROBE_ICMP:
        return &probe_icmp_kind;
    case PROBE_DNS:
        return &probe_dns_kind;
    case PROBE_SCRIPT:
        return &probe_script_kind;
    case PROBE_FILE:
        return &probe_file_kind;
    }
    return NULL;
}

static const struct probe_kind *kind_of_balancer(enum balancer_type type)
{
    return type == BALANCER_HAPROXY_SOCKET || type == BALANCER_AGENT ? &balancer_stream_kind : &balancer_http_kind;
}

int prober_add_probe(struct prober *p, const struct probe_spec *spec, uint16_t site, uint16_t group, uint16_t member)
{
    const struct listener who = {NULL, EVIDENCE_PROBE, site, group, member};
    const struct wanted w = {.kind = kind_of_probe(spec),
                             .probe = spec,
                             .address = spec->server,
                             .interval_ns = spec->interval_ns,
                             .timeout_ns = spec->timeout_ns,
                             .jitter_percent = spec->jitter_percent};
    return add(p, &w, probe_identity_of_probe(spec), &who);
}

int prober_add_balancer(struct prober *p, const struct balancer_spec *spec, uint16_t site, uint16_t balancer)
{
    const struct listener who = {NULL, EVIDENCE_BALANCER, site, balancer, 0};
    const struct wanted w = {.kind = kind_of_balancer(spec->type),
                             .balancer = spec,
                             .address = spec->address,
                             .interval_ns = spec->interval_ns,
                             .timeout_ns = spec->timeout_ns,
                             .jitter_percent = 5};
    return add(p, &w, probe_identity_of_balancer(spec), &who);
}

void prober_start(struct prober *p)
{
    p->alive_ns = uv_hrtime();
    uv_timer_start(&p->turn, on_turn, TURN_MS, TURN_MS);
    uv_prepare_start(&p->prepare, on_prepare);
    for (struct item *it = p->items; it; it = it->next) {
        const uint64_t spread = it->interval_ns < START_SPREAD_NS ? it->interval_ns : START_SPREAD_NS;
        start_timer(it, on_due, next_random(it) % spread);
    }
}

void prober_stop(struct prober *p, void (*stopped)(void *user), void *user)
{
    p->is_stopping = true;
    p->stopped = stopped;
    p->stopped_user = user;
    for (struct item *it = p->items; it; it = it->next) {
        it->is_running = false;
        timer_wheel_stop(&p->wheel, &it->timer);
        it->kind->close(it->instance);
    }
    uv_close((uv_handle_t *)&p->turn, handle_closed);
    uv_close((uv_handle_t *)&p->wheel_turn, handle_closed);
    uv_close((uv_handle_t *)&p->prepare, handle_closed);
    for (unsigned i = 0; i < PROBE_HTTP_ENGINES; i++)
        http_engine_close(p->host.http[i], engine_closed, p);
    icmp_engine_close(p->host.icmp, engine_closed, p);
}

void prober_measure(const struct prober *p, struct prober_stats *stats)
{
    *stats = p->stats;
}
