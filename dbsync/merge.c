// SPDX-License-Identifier: Apache-2.0
#include "dbsync/merge.h"

const char *conflict_kind_name(enum conflict_kind kind)
{
    static const char *const name[CONFLICT_KIND_COUNT] = {
        "insert_insert", "update_update", "update_delete", "delete_update", "delete_delete", "unique", "foreign"};
    return name[kind];
}

static bool knows_all(const struct row *row)
{
    for (unsigned c = 0; c < row->table->column_count; c++) {
        if (!row->known[c] && !row->table->column[c].is_generated)
            return false;
    }
    return true;
}

enum merge_action merge_action_of(const struct row *state, const struct row *before, enum merge_presence presence,
                                  bool *write)
{
    const struct table *t = state->table;
    if (state->life == LIFE_DEAD)
        return presence == PRESENCE_ABSENT ? MERGE_NOTHING : MERGE_DELETE;
    if (presence == PRESENCE_ABSENT || (presence == PRESENCE_UNKNOWN && (!before || before->life == LIFE_DEAD))) {
        if (knows_all(state))
            return MERGE_INSERT;
        if (presence == PRESENCE_ABSENT)
            return MERGE_MISSING;
    }
    bool any = false;
    for (unsigned g = 0; g < t->group_count; g++) {
        bool wins = row_has_group(state, g) && (!before || row_compare_group(before, state, g) < 0);
        for (unsigned c = t->group_first[g]; wins && c != SCHEMA_NONE; c = t->column[c].group_next) {
            write[c] = !t->column[c].is_generated && state->known[c];
            any |= write[c];
        }
    }
    return any ? MERGE_UPDATE : MERGE_NOTHING;
}

// ---- conflicts ----

struct clash {
    bool local_lost, incoming_lost; // some register of that side lost
    struct version local_version, incoming_version;
    bool life; // the life registers differ
};

static void see_clash(struct clash *clash, int order, struct version local, struct version incoming)
{
    clash->local_lost |= order < 0;
    clash->incoming_lost |= order > 0;
    clash->local_version = version_max(clash->local_version, local);
    clash->incoming_version = version_max(clash->incoming_version, incoming);
}

static bool same_values(const struct row *a, const struct row *b, unsigned group)
{
    const struct table *t = a->table;
    for (unsigned c = t->group_first[group]; c != SCHEMA_NONE; c = t->column[c].group_next) {
        if (!value_equal(&a->value[c], &b->value[c]))
            return false;
    }
    return true;
}

static struct clash find_clash(const struct row *unseen, const struct row *incoming)
{
    struct clash clash = {0};
    if (unseen->life && incoming->life && unseen->life != incoming->life) {
        clash.life = true;
        see_clash(&clash, row_compare_life(unseen, incoming), unseen->life_version, incoming->life_version);
        return clash;
    }
    if (unseen->life == LIFE_DEAD)
        return clash;
    for (unsigned g = 0; g < unseen->table->group_count; g++) {
        unsigned first = unseen->table->group_first[g];
        if (row_has_group(unseen, g) && row_has_group(incoming, g) && !same_values(unseen, incoming, g))
            see_clash(&clash, row_compare_group(unseen, incoming, g), unseen->version[first], incoming->version[first]);
    }
    return clash;
}

static void add_conflict(struct merge_result *result, enum conflict_kind kind, const struct row *local,
                         const struct row *incoming, const struct clash *clash, bool local_lost)
{
    struct merge_conflict *c = &result->conflict[result->conflict_count++];
    c->kind = kind;
    c->local_lost = local_lost;
    c->winner = local_lost ? incoming : local;
    c->loser = local_lost ? local : incoming;
    c->winner_version = local_lost ? clash->incoming_version : clash->local_version;
    c->loser_version = local_lost ? clash->local_version : clash->incoming_version;
    c->rule = "later write wins";
}

static void list_conflicts(const struct merge_input *input, struct merge_result *result)
{
    const struct row *local = input->unseen, *incoming = input->incoming;
    if (!local || input->is_base)
        return;
    if (local->life == LIFE_DEAD && incoming->life == LIFE_DEAD) {
        struct clash both = {0};
        see_clash(&both, row_compare_life(local, incoming), local->life_version, incoming->life_version);
        if (both.local_lost || both.incoming_lost)
            add_conflict(result, CONFLICT_DELETE_DELETE, local, incoming, &both, both.local_lost);
        return;
    }
    struct clash clash = find_clash(local, incoming);
    enum conflict_kind kind = local->is_born && incoming->is_born ? CONFLICT_INSERT_INSERT : CONFLICT_UPDATE_UPDATE;
    if (clash.life) {
        const struct row *loser = clash.local_lost ? local : incoming;
        kind = loser->life == LIFE_DEAD ? CONFLICT_DELETE_UPDATE : CONFLICT_UPDATE_DELETE;
    }
    if (clash.local_lost)
        add_conflict(result, kind, local, incoming, &clash, true);
    if (clash.incoming_lost)
        add_conflict(result, kind, local, incoming, &clash, false);
}

// ---- the decision ----

static bool loses_something(const struct row *local, const struct row *incoming)
{
    bool loses = incoming->life && local->life && row_compare_life(local, incoming) < 0;
    for (unsigned g = 0; g < local->table->group_count; g++)
        loses |= row_has_group(local, g) && row_compare_group(local, incoming, g) < 0;
    return loses;
}

static void add_context(struct row *state, const struct row *from)
{
    for (unsigned c = 0; from && c < state->table->column_count; c++) {
        if (from->known[c] && !row_has_group(state, state->table->column[c].group)) {
            state->known[c] = true;
            state->value[c] = from->value[c];
        }
    }
}

// A BASE row: registers join as always; context is taken where the row is absent, or everywhere when the sender
// overrules.
static void decide_base(const struct merge_input *in, struct merge_result *out)
{
    struct row *state = out->state;
    const struct row *base = in->incoming;
    bool overrule = in->base_mode == BASE_OVERWRITE;
    if (in->local && in->local->life == LIFE_DEAD && state->life == LIFE_DEAD) {
        out->action = MERGE_NOTHING; // our delete is on its way to the sender
        return;
    }
    if (in->presence == PRESENCE_PRESENT && !overrule)
        add_context(state, in->current);
    else
        add_context(state, base);
    state->life = LIFE_LIVE;
    out->action = merge_action_of(state, in->local, in->presence, out->write);
    if (in->presence != PRESENCE_PRESENT || !overrule)
        return;
    for (unsigned c = 0; c < state->table->column_count; c++) {
        if (base->known[c] && !state->table->column[c].is_generated &&
            !row_has_group(state, state->table->column[c].group) &&
            !(in->current && in->current->known[c] && value_equal(&in->current->value[c], &base->value[c]))) {
            out->write[c] = true;
            out->action = MERGE_UPDATE;
        }
    }
}

void merge_decide(struct arena *arena, const struct merge_input *in, struct merge_result *out)
{
    memset(out, 0, sizeof *out);
    const struct table *t = in->incoming->table;
    out->write = arena_take_zeroed(arena, t->column_count * sizeof *out->write);
    // The common case needs no copy: nothing else is known of the row.
    bool is_alone = !in->local && !in->current && !in->is_base;
    out->state = is_alone ? (struct row *)(uintptr_t)in->incoming : row_clone(arena, in->incoming);
    if (in->local) {
        row_join(out->state, in->local);
        out->has_local_lost = loses_something(in->local, in->incoming);
    }
    if (in->is_base) {
        for (unsigned c = 0; c < t->column_count; c++)
            out->state->known[c] &= row_has_group(out->state, t->column[c].group) || t->column[c].in_key;
        decide_base(in, out);
        return;
    }
    add_context(out->state, in->current);
    out->action = merge_action_of(out->state, in->local, in->presence, out->write);
    list_conflicts(in, out);
}
