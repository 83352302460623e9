// SPDX-License-Identifier: Apache-2.0
#include "dbsync/apply.h"

#include <errno.h>
#include <stdlib.h>

#include "dbsync/apply_private.h"
#include "dbsync/hybrid_clock.h"
#include "dbsync/row_codec.h"

const char *apply_verdict_name(enum apply_verdict verdict)
{
    static const char *const name[APPLY_VERDICT_COUNT] = {"done", "repeated", "gap", "held_clock", "foreign"};
    return name[verdict];
}

void apply_list_add(struct work_list *list, struct work *w)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 256;
        list->row = memory_resize(list->row, list->cap * sizeof(struct work *));
    }
    list->row[list->count++] = w;
}

bool apply_is_in_table(const struct work *w)
{
    return w->is_done || (w->presence == PRESENCE_PRESENT && !w->is_removed);
}

struct row *apply_repair_of(struct apply *a, struct work *w)
{
    if (!w->repair)
        w->repair = row_new(a->arena, w->table, w->key);
    return w->repair;
}

static int stop(struct apply *a, const struct work *w, const char *text)
{
    struct buffer key = {0};
    row_json(&key, row_new(a->arena, w->table, w->key));
    buffer_u8(&key, 0);
    int result =
        problem_set(a->problem, ECANCELED,
                    "on_error = stop: row %.100s of table %s cannot be written: %.150s; cure it, or set on_error "
                    "= park",
                    (const char *)key.data, w->table->name, text ? text : "it does not come to rest");
    buffer_fini(&key);
    return result;
}

int apply_park(struct apply *a, struct work *w, enum park_reason reason, const char *text)
{
    if (a->store->stops_on_error && (reason == PARK_REFUSED || reason == PARK_OVERFLOW))
        return stop(a, w, text);
    struct park_entry entry = {w->table, w->key, reason, w->state, text};
    a->result->parked++;
    return a->store->ops->park(a->store, a->peer, a->number, &entry, a->problem);
}

int apply_conflict(struct apply *a, const struct merge_conflict *conflict)
{
    a->result->conflict[conflict->kind]++;
    return a->store->ops->conflict(a->store, a->peer, a->number, conflict, a->problem);
}

int apply_miss(struct apply *a, struct work *w)
{
    w->is_missing = true;
    if (a->cursor.peer_count > 1)
        return 0; // another site's insert is on its way; the registers are remembered for it
    return apply_park(a, w, PARK_MISSING_ROW, "an update of a row that is not here; the whole row is asked for");
}

// ---- the cursor ----

static enum apply_verdict judge(struct apply *a)
{
    const struct batch_header *h = &a->batch.header;
    const struct store_cursor *c = &a->cursor;
    if (c->incarnation && c->incarnation != h->incarnation)
        return APPLY_FOREIGN;
    if (window_get(&h->seen, a->store->site) > c->own_head || window_get(&h->needs, a->store->site) > c->own_head)
        return APPLY_FOREIGN; // it has seen cuts that we never made: we went back in time
    if (h->number <= c->applied)
        return APPLY_REPEATED;
    if (h->previous != c->applied)
        return APPLY_GAP;
    a->result->hold_us = clock_hold_us(h->max_hlc, c->wall_us);
    if (a->result->hold_us > 0)
        return APPLY_HELD_CLOCK;
    return APPLY_DONE;
}

// ---- reading ----

static void take_row(struct apply *a, const struct batch_record *record)
{
    struct work *w = work_find(&a->set, record->row->table, record->row->key);
    if (!w) {
        w = work_add(&a->set, a->arena, record->row->table, record->row->key);
        w->incoming = record->row;
    } else {
        row_join(w->incoming, record->row); // a BASE row that the batch also changes
    }
    if (record->type == BATCH_BASE) {
        w->is_base = true;
        apply_list_add(&a->base, w);
        a->result->base_rows++;
    }
}

// ---- loading and deciding ----

static void decide_drawn(struct apply *a, struct work *w)
{
    w->state = w->local ? row_clone(a->arena, w->local) : row_new(a->arena, w->table, w->key);
    for (unsigned c = 0; w->current && c < w->table->column_count; c++) {
        if (w->current->known[c] && !row_has_group(w->state, w->table->column[c].group))
            row_set(w->state, c, w->current->value[c], version_make(0, VERSION_USER, 0));
    }
    if (w->state->life == LIFE_UNKNOWN && w->presence == PRESENCE_PRESENT)
        w->state->life = LIFE_LIVE;
    w->write = arena_take_zeroed(a->arena, w->table->column_count * sizeof *w->write);
    w->action = MERGE_NOTHING;
    if (w->was_parked && w->state->life == LIFE_LIVE && w->presence == PRESENCE_ABSENT)
        w->action = merge_action_of(w->state, NULL, w->presence, w->write);
}

static int decide(struct apply *a, struct work *w)
{
    w->was_live = w->presence == PRESENCE_PRESENT;
    if (!w->incoming) {
        decide_drawn(a, w);
        return 0;
    }
    struct merge_input input = {w->incoming, w->local,   w->unseen,          w->current,
                                w->presence, w->is_base, a->cursor.base_mode};
    merge_decide(a->arena, &input, &w->merge);
    w->state = w->merge.state;
    w->action = w->merge.action;
    w->write = w->merge.write;
    a->result->rows++;
    if (w->action == MERGE_NOTHING)
        a->result->unchanged++;
    int result = 0;
    for (unsigned i = 0; result == 0 && i < w->merge.conflict_count; i++)
        result = apply_conflict(a, &w->merge.conflict[i]);
    if (result == 0 && w->action == MERGE_MISSING)
        result = apply_miss(a, w);
    return result;
}

static bool is_constrained(const struct table *t)
{
    return t->unique_count || t->foreign_count || t->is_referenced;
}

int apply_load(struct apply *a)
{
    int result = 0;
    while (result == 0 && a->loaded < a->set.count) {
        struct work **first = &a->set.row[a->loaded];
        unsigned run = 0;
        while (a->loaded + run < a->set.count && first[run]->table == first[0]->table) {
            struct work *w = first[run++];
            w->want_current = is_constrained(w->table) || w->is_base || !w->incoming;
        }
        result = a->store->ops->load(a->store, a->peer, a->seen, first, run, a->arena, a->problem);
        for (unsigned i = 0; result == 0 && i < run; i++)
            result = decide(a, first[i]);
        a->loaded += run;
    }
    return result;
}

struct work *apply_draw(struct apply *a, const struct table *table, struct key key)
{
    struct work *w = work_find(&a->set, table, key);
    if (w)
        return w;
    struct key own = {arena_copy(a->arena, key.bytes, key.len), key.len};
    w = work_add(&a->set, a->arena, table, own);
    a->failure = apply_load(a);
    return a->failure < 0 ? NULL : w;
}

// ---- the end ----

typedef int each_run(struct apply *a, struct work **row, unsigned count);

static int log_run(struct apply *a, struct work **row, unsigned count)
{
    a->result->repaired += count;
    return a->store->ops->log_repair(a->store, row, count, a->problem);
}

static int remember_run(struct apply *a, struct work **row, unsigned count)
{
    return a->store->ops->remember(a->store, a->peer, a->number, row, count, a->problem);
}

static int drop_run(struct apply *a, struct work **row, unsigned count)
{
    return a->store->ops->drop_lost(a->store, row, count, a->problem);
}

static bool must_log(const struct apply *a, const struct work *w)
{
    (void)a;
    return w->repair && row_has_registers(w->repair);
}

static bool must_remember(const struct apply *a, const struct work *w)
{
    return w->incoming && (w->local || a->cursor.peer_count > 1);
}

static int unpark_run(struct apply *a, struct work **row, unsigned count)
{
    return a->store->ops->unpark(a->store, row, count, a->problem);
}

static bool must_unpark(const struct apply *a, const struct work *w)
{
    (void)a;
    return w->was_parked && (apply_is_in_table(w) || w->state->life == LIFE_DEAD);
}

static bool must_drop(const struct apply *a, const struct work *w)
{
    (void)a;
    return w->merge.has_local_lost;
}

// Calls `run` with the rows that `wanted` picks, table by table.
static int for_each_table(struct apply *a, bool (*wanted)(const struct apply *, const struct work *), each_run *run)
{
    struct work_list list = {0};
    int result = 0;
    for (uint32_t i = 0; result == 0 && i <= a->set.count; i++) {
        struct work *w = i < a->set.count ? a->set.row[i] : NULL;
        if (list.count && (!w || list.row[0]->table != w->table)) {
            result = run(a, list.row, list.count);
            list.count = 0;
        }
        if (w && wanted(a, w))
            apply_list_add(&list, w);
    }
    free(list.row);
    return result;
}

static void count_outcome(struct apply *a)
{
    for (uint32_t i = 0; i < a->set.count; i++) {
        const struct work *w = a->set.row[i];
        if (w->is_done && w->action == MERGE_INSERT && !w->was_live)
            a->result->inserted++;
        else if (w->is_done)
            a->result->updated++;
        else if (w->is_removed && w->was_live)
            a->result->deleted++;
    }
}

static int keep_books(struct apply *a)
{
    int result = for_each_table(a, must_drop, drop_run);
    if (result == 0)
        result = for_each_table(a, must_log, log_run);
    if (result == 0)
        result = for_each_table(a, must_remember, remember_run);
    if (result == 0)
        result = for_each_table(a, must_unpark, unpark_run);
    count_outcome(a);
    return result;
}

// Rows to be asked for, copied: their arena may be that of a portion.
static void request_missing(struct apply *a, struct apply *into)
{
    for (uint32_t i = 0; i < a->set.count; i++) {
        const struct work *w = a->set.row[i];
        if (!w->is_missing)
            continue;
        into->missing = memory_resize(into->missing, (into->missing_count + 1) * sizeof *into->missing);
        struct key key = {arena_copy(into->arena, w->key.bytes, w->key.len), w->key.len};
        into->missing[into->missing_count++] = (struct apply_request_key){w->table, key};
    }
}

static void found_waiting(void *context, unsigned at, const struct table *table, struct key key)
{
    struct apply *a = context;
    (void)at;
    if (!work_find(&a->set, table, key))
        work_add(&a->set, a->arena, table, key);
}

// Rows that waited for a parent get their chance with each batch.
static int draw_waiting(struct apply *a, int64_t which)
{
    int result = a->store->ops->waiting(a->store, which, found_waiting, a, a->arena, a->problem);
    return result < 0 ? result : apply_load(a);
}

static int write_all(struct apply *a, int64_t waiting)
{
    int result = draw_waiting(a, waiting);
    if (result == 0)
        result = apply_remove_leaving(a);
    for (unsigned round = 0; result == 0; round++) {
        result = apply_write_queue(a);
        if (result < 0 || (a->died.count == 0 && a->check.count == 0))
            break;
        result = apply_refer(a, round >= APPLY_ROUND_MAX);
    }
    return result;
}

static void release(struct apply *a)
{
    work_fini(&a->set);
    free(a->queue.row);
    free(a->died.row);
    free(a->check.row);
    free(a->base.row);
    free(a->span);
    free(a->missing);
}

// ---- portions ----

// Rows of tables without constraints do not depend on each other: they are applied in portions, in bounded memory.
static int flush_portion(struct apply *a, struct apply *portion)
{
    int result = apply_load(portion);
    if (result == 0)
        result = apply_remove_leaving(portion);
    if (result == 0)
        result = apply_write_queue(portion);
    if (result == 0)
        result = keep_books(portion);
    request_missing(portion, a);
    work_reset(&portion->set);
    portion->loaded = 0;
    portion->queue.count = 0;
    arena_reset(portion->arena);
    return result;
}

static int take_record(struct apply *a, struct apply *portion, struct batch_record *record)
{
    enum { PORTION_ROWS = 10000 };
    if (record->type != BATCH_CHANGE && record->type != BATCH_BASE)
        return apply_span_add(a, record);
    if (record->type == BATCH_CHANGE && !is_constrained(record->row->table)) {
        take_row(portion, record);
        return portion->set.count < PORTION_ROWS ? 0 : flush_portion(a, portion);
    }
    record->row = row_clone(a->arena, record->row);
    take_row(a, record);
    if (portion->set.count == 0)
        arena_reset(portion->arena);
    return 0;
}

static int read_records(struct apply *a, struct apply *portion)
{
    struct batch_record record;
    int result;
    while ((result = batch_next(&a->batch, portion->arena, &record, a->problem)) == 1) {
        int taken = take_record(a, portion, &record);
        if (taken < 0)
            return taken;
    }
    return result == 0 ? flush_portion(a, portion) : result;
}

static int apply_rows(struct apply *a)
{
    struct arena scratch = {0};
    struct apply portion = {.store = a->store,
                            .peer = a->peer,
                            .number = a->number,
                            .seen = a->seen,
                            .cursor = a->cursor,
                            .arena = &scratch,
                            .result = a->result,
                            .problem = a->problem};
    int result = read_records(a, &portion);
    release(&portion);
    arena_fini(&scratch);
    if (result == 0)
        result = apply_load(a);
    if (result == 0)
        result = write_all(a, STORE_WAITING_PARENT);
    request_missing(a, a);
    if (result == 0)
        result = apply_spans(a);
    if (result == 0)
        result = keep_books(a);
    a->result->request = arena_copy(a->arena, a->missing, a->missing_count * sizeof *a->missing);
    a->result->request_count = a->missing_count;
    return result;
}

int apply_parked_again(struct store *store, int64_t id, struct arena *arena, struct apply_result *result,
                       struct problem *problem)
{
    struct apply a = {.store = store, .arena = arena, .result = result, .problem = problem};
    memset(result, 0, sizeof *result);
    int status = store->ops->cursor(store, 0, &a.cursor, problem);
    if (status == 0 || status == -ENOENT)
        status = write_all(&a, id);
    if (status == 0 && id && a.set.count == 0)
        status = problem_set(problem, ENOENT,
                             "there is no parked row %lld that waits on this site alone; a loser of a unique key is "
                             "written again by `resolve parked:%lld take-loser`",
                             (long long)id, (long long)id);
    if (status == 0)
        status = keep_books(&a);
    release(&a);
    return status;
}

int apply_batch(struct store *store, uint16_t peer, const void *bytes, size_t len, struct arena *arena,
                struct apply_result *result, struct problem *problem)
{
    struct apply a = {.store = store, .peer = peer, .arena = arena, .result = result, .problem = problem};
    memset(result, 0, sizeof *result);
    int status = batch_open(&a.batch, bytes, len, store->schema, problem);
    if (status == 0 && a.batch.header.from != peer)
        status = problem_set(problem, EBADMSG, "a batch of site %u on the link of site %u", a.batch.header.from, peer);
    if (status == 0)
        status = store->ops->cursor(store, peer, &a.cursor, problem);
    if (status == 0) {
        a.number = a.batch.header.number;
        a.seen = window_get(&a.batch.header.seen, store->site);
        result->verdict = judge(&a);
        result->applied = a.cursor.applied;
    }
    if (status == 0 && result->verdict == APPLY_DONE) {
        status = apply_rows(&a);
        if (status == 0)
            status = store->ops->finish(store, peer, &a.batch.header, a.batch.row_count > 0 || a.batch.header.moves_log,
                                        clock_raise(a.cursor.clock, a.batch.header.max_hlc), problem);
        if (status == 0)
            result->applied = a.number;
    }
    batch_close(&a.batch);
    release(&a);
    return status;
}
