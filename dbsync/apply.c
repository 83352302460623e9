// SPDX-License-Identifier: Apache-2.0
#include "dbsync/apply.h"

#include <errno.h>
#include <stdlib.h>

#include "dbsync/hybrid_clock.h"

struct apply {
    struct store *store;
    uint16_t peer;
    struct store_cursor cursor;
    struct batch_reader batch;
    struct arena *arena;
    struct work **row;
    unsigned count, cap;
    int64_t clock;
    struct apply_result *result;
    struct problem *problem;
};

const char *apply_verdict_name(enum apply_verdict verdict)
{
    static const char *const name[APPLY_VERDICT_COUNT] = {"done",       "repeated",   "gap",
                                                          "held_clock", "held_needs", "foreign"};
    return name[verdict];
}

static enum apply_verdict judge(struct apply *a)
{
    const struct batch_header *h = &a->batch.header;
    const struct store_cursor *c = &a->cursor;
    if (c->incarnation && c->incarnation != h->incarnation)
        return APPLY_FOREIGN;
    if (h->number <= c->applied)
        return APPLY_REPEATED;
    if (h->previous != c->applied)
        return APPLY_GAP;
    a->result->hold_us = clock_hold_us(h->max_hlc, c->wall_us);
    if (a->result->hold_us > 0)
        return APPLY_HELD_CLOCK;
    return APPLY_DONE;
}

static int read_rows(struct apply *a)
{
    struct batch_record record;
    int result;
    while ((result = batch_next(&a->batch, a->arena, &record, a->problem)) == 1) {
        if (record.type != BATCH_CHANGE && record.type != BATCH_BASE)
            continue;
        if (a->count == a->cap) {
            a->cap = a->cap ? a->cap * 2 : 256;
            a->row = memory_resize(a->row, a->cap * sizeof *a->row);
        }
        struct work *w = arena_take_zeroed(a->arena, sizeof *w);
        w->table = record.row->table;
        w->key = record.row->key;
        w->incoming = record.row;
        w->is_base = record.type == BATCH_BASE;
        a->row[a->count++] = w;
    }
    return result;
}

static int each(struct apply *a, int (*operation)(struct store *, struct work **, unsigned, struct problem *),
                struct work *w)
{
    return operation(a->store, &w, 1, a->problem);
}

static int apply_row(struct apply *a, struct work *w)
{
    const struct store_ops *ops = a->store->ops;
    int result =
        ops->load(a->store, a->peer, window_get(&a->batch.header.seen, a->store->site), &w, 1, a->arena, a->problem);
    if (result < 0)
        return result;
    struct merge_input input = {w->incoming, w->local,   w->unseen,          w->current,
                                w->presence, w->is_base, a->cursor.base_mode};
    merge_decide(a->arena, &input, &w->merge);
    w->state = w->merge.state;
    w->action = w->merge.action;
    w->write = w->merge.write;
    for (unsigned i = 0; i < w->merge.conflict_count; i++)
        a->result->conflict[w->merge.conflict[i].kind]++;
    if (w->action == MERGE_DELETE)
        result = each(a, ops->remove, w);
    else if (w->action == MERGE_INSERT || w->action == MERGE_UPDATE)
        result = each(a, ops->write, w);
    if (result == 0 && (w->local || a->cursor.peer_count > 1))
        result = ops->remember(a->store, a->peer, a->batch.header.number, &w, 1, a->problem);
    a->result->rows++;
    return result;
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
        result->verdict = judge(&a);
        result->applied = a.cursor.applied;
    }
    if (status == 0 && result->verdict == APPLY_DONE) {
        status = read_rows(&a);
        for (unsigned i = 0; status == 0 && i < a.count; i++)
            status = apply_row(&a, a.row[i]);
        a.clock = clock_raise(a.cursor.clock, a.batch.header.max_hlc);
        if (status == 0)
            status = store->ops->finish(store, peer, &a.batch.header, a.count > 0, a.clock, problem);
        if (status == 0)
            result->applied = a.batch.header.number;
    }
    batch_close(&a.batch);
    free(a.row);
    return status;
}
