// SPDX-License-Identifier: Apache-2.0
// References, both ways: who refers to rows that died, and whether rows that were written have their parents.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "dbsync/apply_private.h"
#include "dbsync/repair.h"

// ---- children of rows that died ----

struct children {
    struct apply *a;
    bool failed;
};

static void found_child(void *context, unsigned at, const struct table *table, struct key key)
{
    struct children *c = context;
    (void)at;
    struct work *w = c->failed ? NULL : apply_draw(c->a, table, key);
    if (w)
        apply_list_add(&c->a->check, w);
    else
        c->failed = true;
}

struct found_key {
    const struct table *table;
    struct key key;
};

struct found_keys {
    struct found_key *entry;
    unsigned count;
    struct arena *arena;
};

// The store may be in the middle of a statement: rows are drawn in afterwards.
static void keep_key(void *context, unsigned at, const struct table *table, struct key key)
{
    struct found_keys *f = context;
    (void)at;
    f->entry = memory_resize(f->entry, (f->count + 1) * sizeof *f->entry);
    f->entry[f->count++] = (struct found_key){table, {arena_copy(f->arena, key.bytes, key.len), key.len}};
}

static int children_of(struct apply *a, struct work **row, unsigned count)
{
    const struct schema *s = a->store->schema;
    struct found_keys keys = {.arena = a->arena};
    struct children children = {.a = a};
    int result = 0;
    for (unsigned t = 0; t < s->table_count; t++) {
        for (unsigned f = 0; result == 0 && f < s->table[t].foreign_count; f++) {
            int parent_at = s->table[t].foreign[f].parent_at;
            if (parent_at >= 0 && &s->table[parent_at] == row[0]->table)
                result = a->store->ops->children(a->store, &s->table[t], f, row, count, keep_key, &keys, a->arena,
                                                 a->problem);
        }
    }
    for (unsigned i = 0; result == 0 && i < keys.count; i++)
        found_child(&children, 0, keys.entry[i].table, keys.entry[i].key);
    free(keys.entry);
    return children.failed ? a->failure : result;
}

static int check_died(struct apply *a)
{
    struct work_list died = a->died;
    int result = 0;
    memset(&a->died, 0, sizeof a->died);
    for (uint32_t at = 0; result == 0 && at < died.count;) {
        uint32_t run = 1;
        while (at + run < died.count && died.row[at + run]->table == died.row[at]->table)
            run++;
        result = children_of(a, &died.row[at], run);
        at += run;
    }
    free(died.row);
    return result;
}

// ---- parents of rows in the table ----

// The parent by the values it shows or showed, among the rows at work.
static struct work *find_parent(struct apply *a, const struct work *child, const struct foreign_key *foreign)
{
    const struct table *parent = &a->store->schema->table[foreign->parent_at];
    for (uint32_t i = 0; i < a->set.count; i++) {
        struct work *w = a->set.row[i];
        const struct row *shown = w->current ? w->current : w->state;
        bool same = w->table == parent && shown != NULL;
        for (unsigned c = 0; same && c < foreign->column_count; c++)
            same = shown->known[foreign->parent_column[c]] &&
                   value_equal(&shown->value[foreign->parent_column[c]], &child->state->value[foreign->column[c]]);
        if (same)
            return w;
    }
    return NULL;
}

static bool has_image(const struct row *row)
{
    for (unsigned c = 0; c < row->table->column_count; c++) {
        if (!row->known[c] && !row->table->column[c].is_generated)
            return false;
    }
    return true;
}

static bool shows(const struct row *parent, const struct row *child, const struct foreign_key *foreign)
{
    for (unsigned c = 0; c < foreign->column_count; c++) {
        if (!parent->known[foreign->parent_column[c]] ||
            !value_equal(&parent->value[foreign->parent_column[c]], &child->value[foreign->column[c]]))
            return false;
    }
    return true;
}

// Out of the table on this site until its parent comes; no write, nothing to tell others.
static int set_aside(struct apply *a, struct work *child, const struct foreign_key *foreign, enum park_reason reason)
{
    char text[SCHEMA_NAME_MAX + 128];
    snprintf(text, sizeof text, "the row of %s that %s refers to is not here", foreign->parent_name, foreign->name);
    int result = apply_park(a, child, reason, text);
    if (result == 0)
        result = apply_remove(a, child);
    child->is_set_aside = true;
    if (child->table->is_referenced)
        apply_list_add(&a->died, child);
    return result;
}

static int child_was_set(struct apply *a, struct work *child, const struct foreign_key *foreign)
{
    bool in_unique = false;
    const struct table *t = child->table;
    for (unsigned i = 0; i < foreign->column_count; i++) {
        unsigned group = t->column[foreign->column[i]].group;
        for (unsigned c = t->group_first[group]; c != SCHEMA_NONE; c = t->column[c].group_next)
            child->write[c] |= !t->column[c].in_key && !t->column[c].is_generated;
    }
    for (unsigned u = 0; u < t->unique_count; u++) {
        in_unique |= t->unique[u].is_partial;
        for (unsigned i = 0; i < t->unique[u].column_count; i++)
            in_unique |= child->write[t->unique[u].column[i]];
    }
    int result = in_unique ? apply_remove(a, child) : 0;
    if (result < 0)
        return result;
    child->action = in_unique ? MERGE_INSERT : MERGE_UPDATE;
    child->is_done = false;
    child->presence = in_unique ? child->presence : PRESENCE_PRESENT;
    apply_list_add(&a->queue, child);
    return 0;
}

static int repair_reference(struct apply *a, struct work *child, struct work *parent, const struct foreign_key *foreign)
{
    char rule[SCHEMA_NAME_MAX + 128];
    bool force = parent->revivals > 0 || !has_image(parent->state) || !shows(parent->state, child->state, foreign);
    struct row *child_before = child->state, *parent_before = parent->state;
    child->state = row_clone(a->arena, child_before);
    parent->state = row_clone(a->arena, parent_before);
    enum repair_foreign_outcome outcome = repair_foreign_apply(a->arena, child->state, parent->state, foreign, force,
                                                               apply_repair_of(a, child), apply_repair_of(a, parent));
    bool parent_lives = outcome == REPAIR_PARENT_LIVES;
    snprintf(rule, sizeof rule, "reference %s to %s: %s", foreign->name, foreign->parent_name,
             parent_lives                  ? "the delete would have been refused, the parent lives"
             : outcome == REPAIR_CHILD_SET ? "the parent is gone, the reference is set"
                                           : "the parent is gone, the child goes too");
    struct merge_conflict conflict = {
        .kind = CONFLICT_FOREIGN,
        .winner = parent_lives ? child_before : parent_before,
        .loser = parent_lives ? parent_before : child_before,
        .winner_version = parent_lives ? row_latest(child_before) : row_latest(parent_before),
        .loser_version = parent_lives ? row_latest(parent_before) : row_latest(child_before),
        .local_lost = parent_lives ? !parent->incoming : !child->incoming,
        .rule = rule};
    int result = apply_conflict(a, &conflict);
    if (result < 0)
        return result;
    if (parent_lives) {
        parent->revivals++;
        parent->action = MERGE_INSERT;
        parent->is_done = false;
        apply_list_add(&a->queue, parent);
        return 0;
    }
    if (outcome == REPAIR_CHILD_SET)
        return child_was_set(a, child, foreign);
    child->action = MERGE_DELETE;
    if (child->table->is_referenced)
        apply_list_add(&a->died, child);
    return apply_remove(a, child);
}

static bool bury_orphan(struct apply *a, struct work *child, const struct foreign_key *foreign)
{
    child->state = row_clone(a->arena, child->state);
    if (!repair_foreign_orphan(child->state, foreign, apply_repair_of(a, child)))
        return false;
    child->action = MERGE_DELETE;
    if (child->table->is_referenced)
        apply_list_add(&a->died, child);
    return true;
}

static int check_one(struct apply *a, struct work *child, const struct foreign_key *foreign, struct key parent_key,
                     bool is_last_round)
{
    if (child->state->life == LIFE_DEAD || !apply_is_in_table(child))
        return 0;
    struct work *parent = parent_key.len ? apply_draw(a, &a->store->schema->table[foreign->parent_at], parent_key)
                                         : find_parent(a, child, foreign);
    if (is_last_round)
        return set_aside(a, child, foreign, PARK_OVERFLOW);
    bool is_dead = parent && parent->state->life == LIFE_DEAD;
    bool was_moved = parent && parent->state->life == LIFE_LIVE && apply_is_in_table(parent);
    if (parent && parent->state->life == LIFE_LIVE && !parent->is_done && parent->action == MERGE_INSERT &&
        !parent->refused && !parent->is_set_aside) {
        apply_list_add(&a->check, child); // already revived in this round, by another child
        return 0;
    }
    if (!is_dead && !was_moved && !bury_orphan(a, child, foreign))
        return set_aside(a, child, foreign, PARK_MISSING_PARENT);
    if (child->state->life == LIFE_DEAD)
        return apply_remove(a, child);
    return repair_reference(a, child, parent, foreign);
}

static int check_references(struct apply *a, struct work **row, unsigned count, unsigned foreign_at, bool is_last_round)
{
    const struct table *t = row[0]->table;
    bool *is_there = memory_take(count * sizeof *is_there);
    struct key *parent = memory_take(count * sizeof *parent);
    int result = a->store->ops->parents(a->store, t, foreign_at, row, count, is_there, parent, a->arena, a->problem);
    for (unsigned i = 0; result == 0 && i < count; i++) {
        if (!is_there[i])
            result = check_one(a, row[i], &t->foreign[foreign_at], parent[i], is_last_round);
    }
    free(is_there);
    free(parent);
    return result;
}

static int check_run(struct apply *a, struct work **row, unsigned count, bool is_last_round)
{
    int result = 0;
    for (unsigned f = 0; result == 0 && f < row[0]->table->foreign_count; f++) {
        if (row[0]->table->foreign[f].parent_at >= 0)
            result = check_references(a, row, count, f, is_last_round);
    }
    return result;
}

static int check_children(struct apply *a, bool is_last_round)
{
    struct work_list check = a->check;
    int result = 0;
    memset(&a->check, 0, sizeof a->check);
    for (uint32_t at = 0; result == 0 && at < check.count;) {
        uint32_t run = 1;
        while (at + run < check.count && check.row[at + run]->table == check.row[at]->table)
            run++;
        result = check_run(a, &check.row[at], run, is_last_round);
        at += run;
    }
    free(check.row);
    return result;
}

int apply_refer(struct apply *a, bool is_last_round)
{
    int result = check_died(a);
    return result < 0 ? result : check_children(a, is_last_round);
}
