// SPDX-License-Identifier: Apache-2.0
#include "dbsync/row.h"

static struct row *empty(struct arena *arena, const struct table *table, struct key key)
{
    unsigned n = table->column_count;
    struct row *row = arena_take_zeroed(arena, sizeof *row);
    row->table = table;
    row->key = key;
    row->value = arena_take_zeroed(arena, n * sizeof *row->value);
    row->version = arena_take_zeroed(arena, n * sizeof *row->version);
    row->known = arena_take_zeroed(arena, n * sizeof *row->known);
    return row;
}

struct row *row_new(struct arena *arena, const struct table *table, struct key key)
{
    struct row *row = empty(arena, table, key);
    struct bytes_reader in = bytes_reader_init(key.bytes, key.len);
    for (unsigned i = 0; i < table->key_count; i++) {
        row->value[table->key[i]] = value_decode(&in);
        row->known[table->key[i]] = true;
    }
    return in.failed || in.at != in.len ? NULL : row;
}

struct row *row_clone(struct arena *arena, const struct row *row)
{
    unsigned n = row->table->column_count;
    struct row *copy = empty(arena, row->table, row->key);
    copy->life = row->life;
    copy->is_born = row->is_born;
    copy->life_version = row->life_version;
    memcpy(copy->value, row->value, n * sizeof *row->value);
    memcpy(copy->version, row->version, n * sizeof *row->version);
    memcpy(copy->known, row->known, n * sizeof *row->known);
    return copy;
}

void row_own(struct arena *arena, struct row *row)
{
    row->key.bytes = arena_copy(arena, row->key.bytes, row->key.len);
    for (unsigned i = 0; i < row->table->column_count; i++) {
        if (row->known[i])
            row->value[i] = value_copy(arena, &row->value[i]);
    }
}

void row_set(struct row *row, unsigned at, struct value value, struct version version)
{
    row->value[at] = value;
    row->version[at] = version;
    row->known[at] = true;
}

void row_close_groups(struct row *row)
{
    const struct table *t = row->table;
    if (t->group_count == t->column_count)
        return;
    for (unsigned g = 0; g < t->group_count; g++) {
        struct version latest = {0, 0, 0};
        for (unsigned c = t->group_first[g]; c != SCHEMA_NONE; c = t->column[c].group_next)
            latest = version_max(latest, row->version[c]);
        for (unsigned c = t->group_first[g]; c != SCHEMA_NONE; c = t->column[c].group_next)
            row->version[c] = latest;
    }
}

int row_compare_life(const struct row *a, const struct row *b)
{
    int order = version_compare(a->life_version, b->life_version);
    return order ? order : (a->life > b->life) - (a->life < b->life);
}

int row_compare_group(const struct row *a, const struct row *b, unsigned group)
{
    const struct table *t = a->table;
    unsigned first = t->group_first[group];
    int order = version_compare(a->version[first], b->version[first]);
    if (order || version_is_stable(a->version[first]))
        return order;
    for (unsigned c = first; c != SCHEMA_NONE && order == 0; c = t->column[c].group_next)
        order = value_compare(&a->value[c], &b->value[c]);
    return order;
}

void row_join(struct row *into, const struct row *from)
{
    const struct table *t = into->table;
    into->is_born |= from->is_born;
    if (row_compare_life(into, from) < 0) {
        into->life = from->life;
        into->life_version = from->life_version;
    }
    for (unsigned g = 0; g < t->group_count; g++) {
        int order = row_compare_group(into, from, g);
        bool is_context = !row_has_group(into, g) && !row_has_group(from, g);
        for (unsigned c = t->group_first[g]; c != SCHEMA_NONE; c = t->column[c].group_next) {
            if (!from->known[c] || (order >= 0 && into->known[c] && !is_context))
                continue;
            into->known[c] = true;
            into->value[c] = from->value[c];
            if (order < 0)
                into->version[c] = from->version[c];
        }
    }
}

struct version row_latest(const struct row *row)
{
    struct version latest = row->life_version;
    for (unsigned g = 0; g < row->table->group_count; g++)
        latest = version_max(latest, row->version[row->table->group_first[g]]);
    return latest;
}

bool row_has_registers(const struct row *row)
{
    return !version_is_stable(row_latest(row));
}

bool row_equal(const struct row *a, const struct row *b)
{
    if (a->table != b->table || key_compare(&a->key, &b->key) || row_compare_life(a, b))
        return false;
    for (unsigned g = 0; g < a->table->group_count; g++) {
        if (row_compare_group(a, b, g))
            return false;
    }
    return true;
}
