// SPDX-License-Identifier: Apache-2.0
// Removing, unique keys, writing.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "dbsync/apply_private.h"
#include "dbsync/repair.h"

int apply_remove(struct apply *a, struct work *w)
{
    int result = a->store->ops->remove(a->store, &w, 1, a->problem);
    w->is_removed = true;
    w->is_done = false;
    return result;
}

static bool writes_any(const struct work *w, const uint16_t *column, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (w->write[column[i]])
            return true;
    }
    return false;
}

// The predicate of a partial key may name any column.
static bool touches_unique(const struct work *w)
{
    for (unsigned u = 0; u < w->table->unique_count; u++) {
        const struct unique_key *unique = &w->table->unique[u];
        if (w->action == MERGE_INSERT || w->is_removed || unique->is_partial ||
            writes_any(w, unique->column, unique->column_count))
            return true;
    }
    return false;
}

static bool touches_referenced(const struct apply *a, const struct work *w)
{
    const struct schema *s = a->store->schema;
    for (unsigned t = 0; w->table->is_referenced && t < s->table_count; t++) {
        for (unsigned f = 0; f < s->table[t].foreign_count; f++) {
            const struct foreign_key *key = &s->table[t].foreign[f];
            if (key->parent_at >= 0 && &s->table[key->parent_at] == w->table &&
                (w->action == MERGE_INSERT || writes_any(w, key->parent_column, key->column_count)))
                return true;
        }
    }
    return false;
}

static int remove_list(struct apply *a, struct work_list *list)
{
    int result = list->count ? a->store->ops->remove(a->store, list->row, list->count, a->problem) : 0;
    for (uint32_t i = 0; i < list->count; i++) {
        list->row[i]->is_removed = true;
        list->row[i]->is_done = false;
    }
    list->count = 0;
    return result;
}

// A live row whose unique columns change leaves first and comes back whole, so that rows may swap a key.
static void plan(struct apply *a, struct work *w, struct work_list *leaving)
{
    if (w->action == MERGE_NOTHING || w->action == MERGE_MISSING)
        return;
    bool may_be_there = w->presence != PRESENCE_ABSENT;
    if (w->action == MERGE_DELETE) {
        if (may_be_there)
            apply_list_add(leaving, w);
        if (w->table->is_referenced)
            apply_list_add(&a->died, w);
        return;
    }
    if (w->table->is_referenced && may_be_there && touches_referenced(a, w))
        apply_list_add(&a->died, w);
    if (w->presence == PRESENCE_PRESENT && touches_unique(w)) {
        apply_list_add(leaving, w);
        w->action = MERGE_INSERT;
    }
    apply_list_add(&a->queue, w);
}

int apply_remove_leaving(struct apply *a)
{
    struct work_list leaving = {0};
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < a->set.count; i++) {
        if (leaving.count && leaving.row[0]->table != a->set.row[i]->table)
            result = remove_list(a, &leaving);
        plan(a, a->set.row[i], &leaving);
    }
    if (result == 0)
        result = remove_list(a, &leaving);
    free(leaving.row);
    return result;
}

// ---- unique keys ----

static int give_way(struct apply *a, struct work *loser, struct work *winner, const struct unique_key *unique)
{
    char rule[256];
    struct row *before = loser->state;
    struct merge_conflict conflict = {.kind = CONFLICT_UNIQUE,
                                      .winner = winner->state,
                                      .loser = before,
                                      .winner_version = row_latest(winner->state),
                                      .loser_version = row_latest(before),
                                      .local_lost = !loser->incoming};
    loser->state = row_clone(a->arena, before);
    bool is_parked = repair_unique_apply(a->arena, loser->state, winner->state, unique, apply_repair_of(a, loser));
    snprintf(rule, sizeof rule, "unique %s: the newer holder keeps the key, the other is %s", unique->name,
             is_parked                       ? "parked"
             : unique->policy == UNIQUE_NULL ? "set to NULL"
                                             : "given a suffix");
    conflict.rule = rule;
    int result = apply_conflict(a, &conflict);
    if (result == 0 && apply_is_in_table(loser))
        result = apply_remove(a, loser);
    if (loser->table->is_referenced)
        apply_list_add(&a->died, loser);
    if (!is_parked) {
        loser->action = MERGE_INSERT;
        apply_list_add(&a->queue, loser); // also when it is in the chunk at hand: who is done is left out
        return result;
    }
    loser->action = MERGE_DELETE;
    if (result == 0) {
        struct park_entry entry = {loser->table, loser->key, PARK_UNIQUE, before, rule};
        a->result->parked++;
        result = a->store->ops->park(a->store, a->peer, a->number, &entry, a->problem);
    }
    return result;
}

struct holder {
    unsigned at;
    struct key key;
};

struct holders {
    struct holder *found;
    unsigned count;
    struct arena *arena;
};

static void found_holder(void *context, unsigned at, const struct table *table, struct key key)
{
    struct holders *h = context;
    (void)table;
    h->found = memory_resize(h->found, (h->count + 1) * sizeof *h->found);
    h->found[h->count++] = (struct holder){at, {arena_copy(h->arena, key.bytes, key.len), key.len}};
}

static bool is_live(const struct work *w)
{
    return w->state->life != LIFE_DEAD;
}

// Clashes of one unique key among the chunk and the table; *clashed when somebody gave way.
static int resolve_unique(struct apply *a, struct work **chunk, unsigned count, unsigned unique_at, bool *clashed)
{
    const struct table *t = chunk[0]->table;
    struct holders holders = {.arena = a->arena};
    int result =
        a->store->ops->holders(a->store, t, unique_at, chunk, count, found_holder, &holders, a->arena, a->problem);
    for (unsigned i = 0; result == 0 && i < holders.count; i++) {
        struct work *w = chunk[holders.found[i].at], *other = apply_draw(a, t, holders.found[i].key);
        if (!other) {
            result = a->failure;
            break;
        }
        if (other == w || !is_live(w) || !is_live(other))
            continue;
        *clashed = true;
        bool w_loses = repair_unique_loses(w->state, other->state, &t->unique[unique_at]);
        result = give_way(a, w_loses ? w : other, w_loses ? other : w, &t->unique[unique_at]);
    }
    free(holders.found);
    return result;
}

static int resolve_chunk(struct apply *a, struct work **chunk, unsigned count, bool *clashed)
{
    int result = 0;
    *clashed = false;
    for (unsigned u = 0; result == 0 && !*clashed && u < chunk[0]->table->unique_count; u++)
        result = resolve_unique(a, chunk, count, u, clashed);
    return result;
}

// ---- writing ----

static int after_write(struct apply *a, struct work *w)
{
    if (w->refused) {
        w->is_done = false;
        return apply_park(a, w, PARK_REFUSED, w->refused);
    }
    if (w->is_missing)
        return apply_miss(a, w);
    w->is_removed = false;
    if (w->table->foreign_count)
        apply_list_add(&a->check, w);
    return 0;
}

static int write_chunk(struct apply *a, struct work **chunk, unsigned count)
{
    int result = a->store->ops->write(a->store, chunk, count, a->problem);
    for (unsigned i = 0; result == 0 && i < count; i++)
        result = after_write(a, chunk[i]);
    return result;
}

// Rows of one table from the head of the queue, the dead ones left out.
static unsigned take_chunk(struct apply *a, uint32_t at, struct work **chunk)
{
    const struct table *t = a->queue.row[at]->table;
    unsigned limit = t->unique_count ? a->store->ops->chunk : a->queue.count, count = 0;
    for (; at < a->queue.count && a->queue.row[at]->table == t && count < limit; at++)
        chunk[count++] = a->queue.row[at];
    return count;
}

static unsigned without_dead(struct work **chunk, unsigned count)
{
    unsigned live = 0;
    for (unsigned i = 0; i < count; i++) {
        if (is_live(chunk[i]) && !chunk[i]->is_done)
            chunk[live++] = chunk[i];
    }
    return live;
}

// One chunk until nobody clashes any more. Each clash makes one row give way for good in this round.
static int settle_chunk(struct apply *a, struct work **chunk, unsigned count)
{
    int result = 0;
    bool clashed = true;
    unsigned rounds = 0;
    count = without_dead(chunk, count);
    while (result == 0 && count && clashed && chunk[0]->table->unique_count) {
        result = resolve_chunk(a, chunk, count, &clashed);
        count = without_dead(chunk, count);
        if (clashed && ++rounds > APPLY_ROUND_MAX + count) {
            result = apply_park(a, chunk[0], PARK_OVERFLOW, "clashes of unique keys do not end");
            chunk[0] = chunk[--count];
            rounds = 0;
        }
    }
    return result == 0 && count ? write_chunk(a, chunk, count) : result;
}

int apply_write_queue(struct apply *a)
{
    int result = 0;
    struct work **chunk = NULL;
    uint32_t cap = 0;
    for (uint32_t at = 0; result == 0 && at < a->queue.count;) {
        if (cap < a->queue.count) {
            cap = a->queue.count * 2;
            chunk = memory_resize(chunk, cap * sizeof(struct work *));
        }
        unsigned count = take_chunk(a, at, chunk);
        at += count;
        result = settle_chunk(a, chunk, count);
    }
    free(chunk);
    a->queue.count = 0;
    return result;
}
