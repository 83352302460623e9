// SPDX-License-Identifier: Apache-2.0
// Jobs of a connection's start, of the poll and of housekeeping.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dbsync/daemon_jobs.h"
#include "shared/log.h"

void *job_new(size_t size, struct peer *peer, struct side *side, void (*run)(struct job *), void (*done)(struct job *))
{
    struct head *h = memory_take(size);
    h->job.run = run;
    h->job.done = done;
    h->peer = peer;
    h->side = side;
    h->epoch = peer->epoch;
    return h;
}

void job_submit(void *job)
{
    struct head *h = job;
    worker_submit(&h->side->worker, &h->job);
}

int side_open(struct side *s, struct problem *problem)
{
    struct peer *p = s->peer;
    if (!s->spool) {
        uint64_t quota = p->daemon->config->spool_quota_bytes / (2 * p->daemon->config->peer_count);
        int result = spool_open(s->spool_directory, quota, &s->spool, problem);
        if (result < 0)
            return result;
    }
    if (s->door)
        return 0;
    int result = door_open(p->daemon->config->database, &s->door, problem);
    if (result < 0)
        s->door = NULL;
    else
        s->door->stops_on_error = p->daemon->config->stop_on_error;
    return result;
}

void side_forget_kept(struct side *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        spool_unmap(s->kept[i].bytes, s->kept[i].len);
    s->kept_count -= count;
    memmove(s->kept, s->kept + count, s->kept_count * sizeof *s->kept);
}

void side_close(struct side *s)
{
    side_forget_kept(s, s->kept_count);
    if (s->door)
        s->door->ops->close(s->door);
    s->door = NULL;
    spool_close(s->spool);
    s->spool = NULL;
    arena_fini(&s->arena);
}

// After a call on the door: a lost database is opened anew by the next job.
int side_judged(struct side *s, int result)
{
    if (result == -ENOTCONN && s->door) {
        s->door->ops->close(s->door);
        s->door = NULL;
    }
    return result;
}

int side_peer(struct side *s, struct door_peer *found, struct problem *problem)
{
    struct door_peer list[WINDOW_SITE_MAX];
    unsigned count;
    int result = s->door->ops->peers(s->door, list, WINDOW_SITE_MAX, &count, problem);
    for (unsigned i = 0; result == 0 && i < count; i++) {
        if (list[i].site == s->peer->config->site) {
            *found = list[i];
            return 0;
        }
    }
    return result < 0 ? result
                      : problem_set(problem, ENOENT, "site %u (%s) is not in the database yet; run `init` again",
                                    s->peer->config->site, s->peer->config->name);
}

void job_number_done(struct job *job)
{
    struct number_job *j = (struct number_job *)job;
    if (j->head.result < 0)
        peer_problem(j->head.peer, j->head.problem.text);
    free(j);
}

// ---- start: what HELLO says ----

struct start_job {
    struct head head;
    struct link_start start;
    struct schema schema; // names and fingerprints alone
};

// A copy that outlives the door's next change of mind.
static void copy_schema(struct schema *to, const struct schema *from)
{
    to->table_count = from->table_count;
    to->table = memory_take(from->table_count * sizeof *to->table);
    for (unsigned i = 0; i < from->table_count; i++) {
        to->table[i].name = memory_text(from->table[i].name);
        memcpy(to->table[i].fingerprint, from->table[i].fingerprint, SCHEMA_FINGERPRINT_LEN);
    }
}

static int start_spool(struct side *s, const struct door_peer *known, struct link_start *start, struct problem *problem)
{
    uint64_t pending = spool_pending(s->spool, known->site);
    if (pending && (pending <= known->applied || known->incarnation == 0)) {
        spool_drop(s->spool, SPOOL_IN, known->site, pending);
        pending = 0;
    }
    s->incarnation = known->incarnation;
    int result = 0;
    if (pending)
        result =
            spool_begin(s->spool, SPOOL_IN, known->site, known->incarnation, pending, &start->spool_offset, problem);
    if (result == 0 && pending && start->spool_offset) {
        start->spool_number = pending;
        result =
            spool_digest(s->spool, SPOOL_IN, known->site, pending, start->spool_offset, start->spool_digest, problem);
    }
    start->room_bytes = spool_room(s->spool);
    return result;
}

static void run_start(struct job *job)
{
    struct start_job *j = (struct start_job *)job;
    struct side *s = j->head.side;
    struct problem *problem = &j->head.problem;
    struct door_peer known;
    struct door_identity own;
    const struct schema *schema = NULL;
    int result = side_open(s, problem);
    if (result == 0)
        result = side_judged(s, s->door->ops->identity(s->door, &own, problem));
    if (result == 0)
        result = side_judged(s, side_peer(s, &known, problem));
    if (result == 0 && s->door->ops->schema(s->door, &schema, problem) < 0)
        schema = NULL; // drift of our own: said when a batch is read or applied
    if (result == 0)
        result = start_spool(s, &known, &j->start, problem);
    if (result == 0) {
        if (schema)
            copy_schema(&j->schema, schema);
        j->start.applied = known.applied;
        j->start.clock = own.clock;
    }
    j->head.result = result;
}

static void start_done(struct job *job)
{
    struct start_job *j = (struct start_job *)job;
    struct peer *p = j->head.peer;
    p->is_starting = false;
    j->start.schema = &j->schema;
    if (!job_is_stale(&j->head) && j->head.result == 0) {
        net_connected(p, &j->start);
    } else if (!job_is_stale(&j->head)) {
        peer_problem(p, j->head.problem.text);
        net_close(p->connection, "our own database cannot be used now");
    }
    for (unsigned i = 0; i < j->schema.table_count; i++)
        free(j->schema.table[i].name);
    free(j->schema.table);
    free(j);
}

void job_start(struct peer *p)
{
    p->is_starting = true;
    job_submit(job_new(sizeof(struct start_job), p, &p->applier, run_start, start_done));
}

// ---- meet: HELLO came ----

struct meet_job {
    struct head head;
    struct frame_hello hello;
    struct buffer tables;
    char drift[SCHEMA_NAME_MAX + 1]; // table that both have and define differently
    char *definition;                // ours
};

static int compare_schemas(struct meet_job *j, const struct schema *schema)
{
    struct frame_table theirs;
    int got;
    while ((got = frame_next_table(&j->hello, &theirs)) == 1) {
        char name[SCHEMA_NAME_MAX + 1];
        snprintf(name, sizeof name, "%.*s", (int)theirs.name.len, theirs.name.bytes);
        int at = schema_find(schema, name);
        if (at < 0 || memcmp(schema->table[at].fingerprint, theirs.fingerprint, SCHEMA_FINGERPRINT_LEN) == 0)
            continue;
        snprintf(j->drift, sizeof j->drift, "%s", name);
        j->definition = memory_text(schema->table[at].definition);
        return problem_set(&j->head.problem, ESTALE,
                           "table %s is defined differently at %s; nothing is exchanged until "
                           "both are alike (`status` shows both)",
                           name, j->head.peer->config->name);
    }
    return got;
}

static void run_meet(struct job *job)
{
    struct meet_job *j = (struct meet_job *)job;
    struct side *s = j->head.side;
    struct problem *problem = &j->head.problem;
    const struct schema *schema;
    uint16_t site = j->head.peer->config->site;
    struct door_peer known;
    int result = side_open(s, problem);
    if (result == 0)
        result =
            side_judged(s, s->door->ops->peer_meet(s->door, site, j->hello.incarnation, j->hello.applied, problem));
    s->incarnation = j->hello.incarnation;
    if (result == 0)
        result = side_judged(s, s->door->ops->schema(s->door, &schema, problem));
    if (result == 0)
        result = compare_schemas(j, schema);
    struct problem ignored;
    if (result == -ESTALE && j->definition)
        s->door->ops->peer_set_state(s->door, site, PEER_DRIFT, problem->text, &ignored);
    else if (result == 0 && side_peer(s, &known, &ignored) == 0 && known.state == PEER_DRIFT)
        s->door->ops->peer_set_state(s->door, site, PEER_RUNNING, "", &ignored);
    j->head.result = result;
}

static void meet_done(struct job *job)
{
    struct meet_job *j = (struct meet_job *)job;
    struct peer *p = j->head.peer;
    if (!job_is_stale(&j->head)) {
        bool is_drift = j->head.result == -ESTALE && j->definition;
        p->known.state = is_drift ? PEER_DRIFT : p->known.state == PEER_DRIFT ? PEER_RUNNING : p->known.state;
        if (j->head.result < 0)
            peer_problem(p, j->head.problem.text);
        if (is_drift) {
            struct table shown = {.name = j->drift, .definition = j->definition};
            free(p->drift.ours);
            p->drift.ours = memory_text(j->definition);
            snprintf(p->drift.table, sizeof p->drift.table, "%s", j->drift);
            link_allow(p->link, false, false);
            link_show_schema(p->link, &shown);
        } else {
            p->drift.table[0] = 0;
        }
        link_met(p->link, is_drift ? 0 : j->head.result, j->head.problem.text);
        peer_poll(p);
        net_pump(p);
    }
    buffer_fini(&j->tables);
    free(j->definition);
    free(j);
}

void job_meet(struct peer *p, const struct frame_hello *hello)
{
    struct meet_job *j = job_new(sizeof *j, p, &p->applier, run_meet, meet_done);
    j->hello = *hello;
    buffer_put(&j->tables, hello->tables.data + hello->tables.at, hello->tables.len - hello->tables.at);
    j->hello.tables = bytes_reader_init(j->tables.data, j->tables.len);
    job_submit(j);
}

// ---- poll ----

enum { FULL_POLL_MS = 1000, OWED_MS = 500 };

struct poll_job {
    struct head head;
    bool is_full;
    enum door_news news;
    int64_t took_us; // of a full one
    struct door_peer known;
    struct door_counts counts;
    uint64_t schema_hash;
};

static uint64_t hash_schema(const struct schema *schema)
{
    uint64_t hash = schema->table_count;
    for (unsigned i = 0; i < schema->table_count; i++)
        hash = XXH3_64bits_withSeed(schema->table[i].fingerprint, SCHEMA_FINGERPRINT_LEN, hash);
    return hash ? hash : 1;
}

static int full_poll(struct poll_job *j)
{
    struct side *s = j->head.side;
    const struct door_ops *ops = s->door->ops;
    const struct schema *schema;
    struct problem ignored;
    int result = side_peer(s, &j->known, &j->head.problem);
    if (result == 0 && ops->counts)
        result = ops->counts(s->door, &j->counts, &j->head.problem);
    if (result == 0 && ops->schema(s->door, &schema, &ignored) == 0)
        j->schema_hash = hash_schema(schema);
    return result;
}

static void run_poll(struct job *job)
{
    struct poll_job *j = (struct poll_job *)job;
    struct side *s = j->head.side;
    int result = side_open(s, &j->head.problem);
    if (result == 0)
        result =
            side_judged(s, s->door->ops->has_news(s->door, j->head.peer->config->site, &j->news, &j->head.problem));
    int64_t start = job_micros(CLOCK_MONOTONIC);
    if (result == 0 && j->is_full)
        result = side_judged(s, full_poll(j));
    j->took_us = job_micros(CLOCK_MONOTONIC) - start;
    j->head.result = result;
}

// Beyond the limits an absent peer is no longer waited for: the change tables must not grow for ever.
static bool is_gone_too_long(const struct peer *p)
{
    const struct config *c = p->daemon->config;
    const struct door_peer *k = &p->known;
    return k->state != PEER_NEEDS_BOOTSTRAP && !p->connection &&
           (k->backlog_bytes > c->backlog_max_bytes ||
            (k->backlog_age_us > 0 && (uint64_t)k->backlog_age_us > c->absence_max_us));
}

struct state_job {
    struct head head;
    enum peer_state state;
    char reason[DAEMON_TEXT_CAP];
};

static void run_state(struct job *job)
{
    struct state_job *j = (struct state_job *)job;
    struct side *s = j->head.side;
    j->head.result = side_open(s, &j->head.problem);
    if (j->head.result == 0)
        j->head.result = side_judged(s, s->door->ops->peer_set_state(s->door, j->head.peer->config->site, j->state,
                                                                     j->reason, &j->head.problem));
}

static void state_done(struct job *job)
{
    struct state_job *j = (struct state_job *)job;
    if (j->head.result < 0)
        peer_problem(j->head.peer, j->head.problem.text);
    free(j);
}

static void set_state(struct peer *p, enum peer_state state, const char *reason)
{
    struct state_job *j = job_new(sizeof *j, p, &p->reader, run_state, state_done);
    j->state = state;
    snprintf(j->reason, sizeof j->reason, "%s", reason);
    p->known.state = state;
    job_submit(j);
}

static void take_full_poll(struct peer *p, const struct poll_job *j)
{
    enum peer_state before = p->known.state;
    p->known = j->known;
    p->counts = j->counts;
    if (before != p->known.state)
        log_notice("%s: %s%s%s", p->config->name, peer_state_name(p->known.state), p->known.reason[0] ? ": " : "",
                   p->known.reason);
    if (is_gone_too_long(p)) {
        log_error("%s: gone too long (%llu octets of changes wait); it needs `bootstrap` when it is back",
                  p->config->name, (unsigned long long)p->known.backlog_bytes);
        set_state(p, PEER_NEEDS_BOOTSTRAP, "gone longer than backlog_max or absence_max allows");
    }
    bool is_new_schema = p->schema_hash && j->schema_hash && p->schema_hash != j->schema_hash;
    p->schema_hash = j->schema_hash ? j->schema_hash : p->schema_hash;
    if (is_new_schema && p->connection) {
        log_notice("%s: the tables changed here; both sides compare them again", p->config->name);
        net_close(p->connection, "our tables changed");
    }
}

static void poll_done(struct job *job)
{
    struct poll_job *j = (struct poll_job *)job;
    struct peer *p = j->head.peer;
    p->is_polling = false;
    if (j->is_full &&
        p->poll_full_at_ms ==
            UINT64_MAX) { // not asked for anew; counting a long backlog takes its time: at most a twentieth of it
        uint64_t pause_ms = (uint64_t)j->took_us / 1000 * 20;
        p->poll_full_at_ms = uv_now(p->daemon->loop) + (pause_ms > FULL_POLL_MS ? pause_ms : FULL_POLL_MS);
    }
    if (j->head.result < 0) {
        if (j->head.result != -EAGAIN)
            peer_problem(p, j->head.problem.text);
    } else {
        if (j->is_full)
            take_full_poll(p, j);
        bool runs = p->known.state == PEER_RUNNING || p->known.state == PEER_HELD;
        bool may_send = runs && p->known.state != PEER_NEEDS_BOOTSTRAP;
        link_allow(p->link, may_send, runs || p->known.state == PEER_NEEDS_BOOTSTRAP);
        // What is owed alone can wait for company: on each side it costs a durable commit.
        bool can_wait = j->news == DOOR_OWES && uv_now(p->daemon->loop) < p->told_at_ms + OWED_MS;
        if (!p->backlog_since_us && j->news == DOOR_HAS_NEWS)
            p->backlog_since_us =
                job_micros(CLOCK_REALTIME) - (p->known.backlog_age_us > 0 ? p->known.backlog_age_us : 0);
        if (j->news != DOOR_NO_NEWS && !can_wait && !peer_rests(p)) {
            p->told_at_ms = uv_now(p->daemon->loop);
            link_news(p->link);
        }
    }
    free(j);
    net_pump(p);
}

void job_poll(struct peer *p, bool is_full)
{
    struct poll_job *j = job_new(sizeof *j, p, &p->reader, run_poll, poll_done);
    j->is_full = is_full;
    p->is_polling = true;
    job_submit(j);
}

// ---- collect ----

static void run_collect(struct job *job)
{
    struct number_job *j = (struct number_job *)job;
    struct side *s = j->head.side;
    bool more = false;
    j->head.result = side_open(s, &j->head.problem);
    if (j->head.result == 0 && s->door->ops->collect)
        j->head.result = side_judged(s, s->door->ops->collect(s->door, &more, &j->head.problem));
    int64_t before_us = job_micros(CLOCK_REALTIME) - (int64_t)j->head.peer->daemon->config->conflict_keep_us;
    if (j->head.result == 0 && !more && s->door && s->door->ops->purge)
        j->head.result = side_judged(s, s->door->ops->purge(s->door, before_us, &j->head.problem));
    j->number = more;
}

static void collect_done(struct job *job)
{
    struct number_job *j = (struct number_job *)job;
    struct peer *p = j->head.peer;
    p->is_collecting = false;
    p->collect_at_ms = uv_now(p->daemon->loop) + (j->number ? 20 : 1000);
    if (j->head.result < 0 && j->head.result != -EAGAIN)
        peer_problem(p, j->head.problem.text);
    free(j);
}

void job_collect(struct peer *p)
{
    p->is_collecting = true;
    job_submit(job_new(sizeof(struct number_job), p, &p->applier, run_collect, collect_done));
}

// ---- the peer asks ----

struct requested_job {
    struct head head;
    uint8_t kind;
    char table[SCHEMA_NAME_MAX + 1];
    unsigned count;
    struct buffer bytes;
    struct key *key;
};

static void run_requested(struct job *job)
{
    struct requested_job *j = (struct requested_job *)job;
    struct side *s = j->head.side;
    struct problem *problem = &j->head.problem;
    uint16_t site = j->head.peer->config->site;
    int result = side_open(s, problem);
    if (result == 0) {
        const struct door_ops *ops = s->door->ops;
        result = -ENOSYS;
        switch ((enum frame_request_kind)j->kind) {
        case FRAME_REQUEST_ROWS:
            if (ops->request_rows)
                result = ops->request_rows(s->door, site, j->table, j->key, j->count, problem);
            break;
        case FRAME_REQUEST_TABLE:
        case FRAME_REQUEST_ALL:
            if (ops->bootstrap)
                result = ops->bootstrap(s->door, site, j->kind == FRAME_REQUEST_ALL ? NULL : j->table, problem);
            break;
        case FRAME_REQUEST_VERIFY:
            if (ops->verify)
                result = ops->verify(s->door, site, problem);
            break;
        }
        if (result == -ENOSYS)
            problem_set(problem, ENOSYS, "the peer asked for what this database cannot give");
    }
    j->head.result = side_judged(s, result);
}

static void requested_done(struct job *job)
{
    struct requested_job *j = (struct requested_job *)job;
    struct peer *p = j->head.peer;
    if (j->head.result < 0)
        peer_problem(p, j->head.problem.text);
    else
        link_news(p->link);
    buffer_fini(&j->bytes);
    free(j->key);
    free(j);
    net_pump(p);
}

void job_requested(struct peer *p, const struct frame_request *r)
{
    struct requested_job *j = job_new(sizeof *j, p, &p->reader, run_requested, requested_done);
    j->kind = r->kind;
    snprintf(j->table, sizeof j->table, "%.*s", (int)r->table.len, r->table.bytes);
    j->count = r->key_count;
    j->key = memory_take(r->key_count * sizeof *j->key);
    for (uint32_t i = 0; i < r->key_count; i++)
        buffer_put(&j->bytes, r->key[i].bytes, r->key[i].len);
    size_t at = 0;
    for (uint32_t i = 0; i < r->key_count; i++) {
        j->key[i] = (struct key){j->bytes.data + at, r->key[i].len};
        at += r->key[i].len;
    }
    job_submit(j);
}
