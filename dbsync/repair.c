// SPDX-License-Identifier: Apache-2.0
#include "dbsync/repair.h"

#include <stdio.h>

// The version at which a row took a unique key: that of the key's register, or of its life when only key columns are in
// it.
static struct version acquired(const struct row *row, const struct unique_key *unique)
{
    for (unsigned i = 0; i < unique->column_count; i++) {
        if (!row->table->column[unique->column[i]].in_key)
            return row->version[unique->column[i]];
    }
    return row->life_version;
}

bool repair_unique_loses(const struct row *a, const struct row *b, const struct unique_key *unique)
{
    int order = version_compare(acquired(a, unique), acquired(b, unique));
    return order ? order < 0 : key_compare(&a->key, &b->key) > 0;
}

static void set_life(struct row *row, struct row *repair, enum life life, struct version version)
{
    row->life = repair->life = (uint8_t)life;
    row->life_version = repair->life_version = version;
}

// Sets a column, and with it its group's register, whose other columns keep their values.
static void set_group(struct row *row, struct row *repair, unsigned column, struct value value, struct version version)
{
    const struct table *t = row->table;
    unsigned first = t->group_first[t->column[column].group];
    row_set(row, column, value, version);
    for (unsigned c = first; c != SCHEMA_NONE; c = t->column[c].group_next) {
        row->version[c] = version;
        if (row->known[c])
            row_set(repair, c, row->value[c], version);
    }
}

// Context for people and for a later revival.
static void keep_image(struct row *repair, const struct row *row)
{
    for (unsigned c = 0; c < row->table->column_count; c++) {
        if (row->known[c] && !repair->known[c])
            row_set(repair, c, row->value[c], version_make(0, VERSION_USER, 0));
    }
}

static int column_to_null(const struct row *row, const struct unique_key *unique)
{
    for (unsigned i = unique->column_count; i-- > 0;) {
        const struct column *c = &row->table->column[unique->column[i]];
        if (!c->not_null && !c->in_key && !unique->nulls_equal)
            return unique->column[i];
    }
    return -1;
}

static int column_to_suffix(const struct row *row, const struct unique_key *unique)
{
    for (unsigned i = unique->column_count; i-- > 0;) {
        unsigned at = unique->column[i];
        uint8_t type = row->value[at].type;
        bool is_text =
            type == VALUE_TEXT || (type == VALUE_NATIVE && (strstr(row->table->column[at].type, "char") ||
                                                            strcmp(row->table->column[at].type, "text") == 0));
        if (is_text && !row->table->column[at].in_key && row->known[at])
            return (int)at;
    }
    return -1;
}

static struct value suffixed(struct arena *arena, const struct row *row, unsigned at)
{
    char suffix[16];
    const struct value *v = &row->value[at];
    int len = snprintf(suffix, sizeof suffix, "-%08x", (unsigned)(key_hash(&row->key) & 0xffffffffu));
    uint8_t *text = arena_take(arena, v->len + (size_t)len);
    if (v->len)
        memcpy(text, v->bytes, v->len);
    memcpy(text + v->len, suffix, (size_t)len);
    return value_bytes((enum value_type)v->type, text, v->len + (size_t)len);
}

bool repair_unique_apply(struct arena *arena, struct row *loser, const struct row *winner,
                         const struct unique_key *unique, struct row *repair)
{
    struct version cause = acquired(winner, unique), lost = acquired(loser, unique);
    int at = -1;
    if (unique->policy == UNIQUE_NULL)
        at = column_to_null(loser, unique);
    else if (unique->policy == UNIQUE_SUFFIX)
        at = column_to_suffix(loser, unique);
    if (at >= 0) {
        struct value value = unique->policy == UNIQUE_NULL ? value_null() : suffixed(arena, loser, (unsigned)at);
        set_group(loser, repair, (unsigned)at, value, version_repair(cause, lost));
        keep_image(repair, loser);
        return false;
    }
    set_life(loser, repair, LIFE_DEAD, version_repair(cause, version_max(lost, loser->life_version)));
    keep_image(repair, loser);
    return true;
}

// The child's register of a reference; its life when all columns are of the key.
static struct version referred(const struct row *child, const struct foreign_key *foreign)
{
    for (unsigned i = 0; i < foreign->column_count; i++) {
        if (!child->table->column[foreign->column[i]].in_key)
            return child->version[foreign->column[i]];
    }
    return child->life_version;
}

static bool can_set(const struct row *child, const struct foreign_key *foreign)
{
    for (unsigned i = 0; i < foreign->column_count; i++) {
        const struct column *c = &child->table->column[foreign->column[i]];
        bool to_null = foreign->on_delete == FOREIGN_SET_NULL || !c->has_constant || c->constant.type == VALUE_NULL;
        if (c->in_key || (to_null && c->not_null))
            return false;
    }
    return foreign->on_delete == FOREIGN_SET_NULL || foreign->on_delete == FOREIGN_SET_DEFAULT;
}

static void set_reference(struct row *child, const struct foreign_key *foreign, bool to_default, struct version version,
                          struct row *repair)
{
    for (unsigned i = 0; i < foreign->column_count; i++) {
        const struct column *c = &child->table->column[foreign->column[i]];
        struct value value = to_default && c->has_constant ? c->constant : value_null();
        set_group(child, repair, foreign->column[i], value, version);
    }
}

// Already what SET DEFAULT would make it: the default itself has no parent.
static bool is_default(const struct row *child, const struct foreign_key *foreign)
{
    for (unsigned i = 0; i < foreign->column_count; i++) {
        const struct column *c = &child->table->column[foreign->column[i]];
        if (!c->has_constant || !value_equal(&child->value[foreign->column[i]], &c->constant))
            return false;
    }
    return true;
}

enum repair_foreign_outcome repair_foreign_apply(struct arena *arena, struct row *child, struct row *parent,
                                                 const struct foreign_key *foreign, bool force_child,
                                                 struct row *child_repair, struct row *parent_repair)
{
    (void)arena;
    struct version death = parent->life_version, reference = referred(child, foreign);
    bool refuses = foreign->on_delete == FOREIGN_NO_ACTION || foreign->on_delete == FOREIGN_RESTRICT;
    if (refuses && !force_child) {
        set_life(parent, parent_repair, LIFE_LIVE, version_repair(reference, death));
        keep_image(parent_repair, parent);
        return REPAIR_PARENT_LIVES;
    }
    bool settable =
        can_set(child, foreign) && !(foreign->on_delete == FOREIGN_SET_DEFAULT && is_default(child, foreign));
    if (settable) {
        set_reference(child, foreign, foreign->on_delete == FOREIGN_SET_DEFAULT, version_repair(death, reference),
                      child_repair);
        keep_image(child_repair, child);
        return REPAIR_CHILD_SET;
    }
    set_life(child, child_repair, LIFE_DEAD, version_repair(death, version_max(child->life_version, reference)));
    keep_image(child_repair, child);
    return REPAIR_CHILD_DIED;
}

bool repair_foreign_orphan(struct row *child, const struct foreign_key *foreign, struct row *child_repair)
{
    struct version reference = referred(child, foreign);
    if (foreign->on_delete != FOREIGN_SET_DEFAULT || reference.kind != VERSION_REPAIR || !is_default(child, foreign))
        return false;
    set_life(child, child_repair, LIFE_DEAD, version_repair(reference, child->life_version));
    keep_image(child_repair, child);
    return true;
}
