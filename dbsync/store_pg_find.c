// SPDX-License-Identifier: Apache-2.0
// Finding rows: holders of unique keys, parents, children, ranges of keys and their digests.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_pg_private.h"

struct key pg_key(const PGresult *r, int row, int at, const struct table *t, struct arena *arena)
{
    struct value value[64];
    struct buffer bytes = {0};
    for (unsigned k = 0; k < t->key_count && k < 64; k++)
        value[k] = pg_value(r, row, at + (int)k);
    key_encode(&bytes, value, t->key_count);
    struct key key = {arena_copy(arena, bytes.data, bytes.len), (uint32_t)bytes.len};
    buffer_fini(&bytes);
    return key;
}

// The staged rows of the last call as if they stood in the table: i and all columns by their names and types.
static void staged_rows(struct buffer *sql, struct door_pg *d, const struct table *t)
{
    struct pg_table *p = pg_table_of(d, t);
    pg_sql(sql, "(SELECT i");
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated)
            continue;
        pg_sql(sql, ", v%d::%s AS ", p->column[c].attnum, p->column[c].type);
        pg_sql_name(sql, t->column[c].name);
    }
    pg_sql(sql, " FROM pg_temp.");
    pg_sql_stage(sql, t);
    pg_sql(sql, " WHERE call = %u)", d->stage_call);
}

// "SELECT <i>, pk AS p0.., parts AS e0.. FROM <from> WHERE <predicate>": what the index sees of rows.
static void index_view(struct buffer *sql, const struct table *t, const struct pg_unique *u, const char *from,
                       const char *i)
{
    pg_sql(sql, "(SELECT %s AS i", i);
    for (unsigned k = 0; k < t->key_count; k++) {
        pg_sql(sql, ", ");
        pg_sql_name(sql, t->column[t->key[k]].name);
        pg_sql(sql, " AS p%u", k);
    }
    for (unsigned e = 0; e < u->part_count; e++)
        pg_sql(sql, ", (%s) AS e%u", u->part[e], e);
    pg_sql(sql, " FROM %s WHERE %s)", from, u->predicate ? u->predicate : "true");
}

static void same_parts(struct buffer *sql, const struct table *t, const struct unique_key *key,
                       const struct pg_unique *u)
{
    for (unsigned e = 0; e < u->part_count; e++)
        pg_sql(sql, "%ss.e%u %s h.e%u", e ? " AND " : "", e, key->nulls_equal ? "IS NOT DISTINCT FROM" : "=", e);
    pg_sql(sql, " AND (");
    for (unsigned k = 0; k < t->key_count; k++)
        pg_sql(sql, "%ss.p%u <> h.p%u", k ? " OR " : "", k, k);
    pg_sql(sql, ")");
}

static void pick_key(struct buffer *sql, const struct table *t, const char *alias)
{
    for (unsigned k = 0; k < t->key_count; k++)
        pg_sql(sql, ", %s.p%u", alias, k);
}

static int report(struct door_pg *d, PGresult *r, const struct table *t, store_found *found, void *context,
                  struct arena *arena)
{
    if (!r)
        return -pg_errno(d);
    for (int i = 0; i < PQntuples(r); i++)
        found(context, (unsigned)pg_number(r, i, 0), t, pg_key(r, i, 1, t, arena));
    PQclear(r);
    return 0;
}

static int stage(struct door_pg *d, const struct table *t, struct work **row, unsigned count, bool is_current,
                 struct problem *problem)
{
    const struct row **values = memory_take((count + 1) * sizeof *values);
    struct arena arena = {0};
    for (unsigned i = 0; i < count; i++) {
        values[i] = is_current && row[i]->current ? row[i]->current : row[i]->state;
        if (!values[i])
            values[i] = row_new(&arena, t, row[i]->key); // nothing known: matches nothing but through its key
    }
    int result = store_pg_stage(d, t, values, count, false, problem);
    free(values);
    arena_fini(&arena);
    return result;
}

int store_pg_holders(struct store *store, const struct table *t, unsigned unique_at, struct work **row, unsigned count,
                     store_found *found, void *context, struct arena *arena, struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    const struct unique_key *key = &t->unique[unique_at];
    const struct pg_unique *u = &pg_table_of(d, t)->unique[unique_at];
    struct buffer sql = {0}, staged = {0}, ours = {0};
    if (count == 0)
        return 0;
    int result = stage(d, t, row, count, false, problem);
    staged_rows(&staged, d, t);
    pg_sql(&staged, " x");
    index_view(&ours, t, u, (const char *)staged.data, "i");
    pg_sql(&sql, "WITH s AS MATERIALIZED %s SELECT s.i", (const char *)ours.data);
    pick_key(&sql, t, "h");
    pg_sql(&sql, " FROM s JOIN ");
    index_view(&sql, t, u, t->name, "0");
    pg_sql(&sql, " h ON ");
    same_parts(&sql, t, key, u);
    pg_sql(&sql, " UNION SELECT s.i");
    pick_key(&sql, t, "h");
    pg_sql(&sql, " FROM s JOIN s h ON h.i < s.i AND ");
    same_parts(&sql, t, key, u);
    if (result == 0)
        result = report(d, pg_ask(d, (const char *)sql.data, NULL, problem), t, found, context, arena);
    buffer_fini(&sql);
    buffer_fini(&staged);
    buffer_fini(&ours);
    return result;
}

// ---- references ----

// The columns of `t` that another table refers to are exactly its key, in this order.
static bool refers_to_key(const struct foreign_key *f, const struct table *parent, unsigned *position)
{
    if (f->column_count != parent->key_count)
        return false;
    for (unsigned k = 0; k < parent->key_count; k++) {
        unsigned at = 0;
        while (at < f->column_count && f->parent_column[at] != parent->key[k])
            at++;
        if (at == f->column_count)
            return false;
        position[k] = at;
    }
    return true;
}

static void same_reference(struct buffer *sql, const struct table *child, const struct table *parent,
                           const struct foreign_key *f, const char *child_alias, const char *parent_alias)
{
    for (unsigned i = 0; i < f->column_count; i++) {
        pg_sql(sql, "%s%s.", i ? " AND " : "", child_alias);
        pg_sql_name(sql, child->column[f->column[i]].name);
        pg_sql(sql, " = %s.", parent_alias);
        pg_sql_name(sql, parent->column[f->parent_column[i]].name);
    }
}

static void parents_query(struct buffer *sql, struct door_pg *d, const struct table *t, const struct table *parent,
                          const struct foreign_key *f)
{
    unsigned position[64];
    bool by_key = refers_to_key(f, parent, position);
    pg_sql(sql, "SELECT s.i, p.");
    pg_sql_name(sql, parent->column[parent->key[0]].name);
    pg_sql(sql, " IS NOT NULL OR ");
    for (unsigned i = 0; i < f->column_count; i++) {
        pg_sql(sql, "%ss.", i ? " OR " : "");
        pg_sql_name(sql, t->column[f->column[i]].name);
        pg_sql(sql, " IS NULL");
    }
    for (unsigned k = 0; k < parent->key_count; k++) {
        struct pg_column *key = &pg_table_of(d, parent)->column[parent->key[k]];
        if (by_key) {
            pg_sql(sql, ", s.");
            pg_sql_name(sql, t->column[f->column[position[k]]].name);
            pg_sql(sql, "::%s", key->base);
            continue;
        }
        // who held the values last, by the window
        pg_sql(sql, ", (SELECT c.v%d FROM dbsync.c_%lld c WHERE ", key->attnum, (long long)parent->id);
        for (unsigned i = 0; i < f->column_count; i++) {
            pg_sql(sql, "%sc.v%d = s.", i ? " AND " : "", pg_table_of(d, parent)->column[f->parent_column[i]].attnum);
            pg_sql_name(sql, t->column[f->column[i]].name);
        }
        pg_sql(sql, " ORDER BY c.seq DESC LIMIT 1)");
    }
    pg_sql(sql, " FROM ");
    staged_rows(sql, d, t);
    pg_sql(sql, " s LEFT JOIN %s p ON ", parent->name);
    same_reference(sql, t, parent, f, "s", "p");
}

int store_pg_parents(struct store *store, const struct table *t, unsigned foreign_at, struct work **row, unsigned count,
                     bool *is_there, struct key *parent_key, struct arena *arena, struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    const struct foreign_key *f = &t->foreign[foreign_at];
    if (count == 0 || f->parent_at < 0) {
        for (unsigned i = 0; i < count; i++)
            is_there[i] = true;
        return 0;
    }
    const struct table *parent = &d->schema->table[f->parent_at];
    struct buffer sql = {0};
    int result = stage(d, t, row, count, false, problem);
    parents_query(&sql, d, t, parent, f);
    PGresult *r = result == 0 ? pg_ask(d, (const char *)sql.data, NULL, problem) : NULL;
    if (result == 0 && !r)
        result = -pg_errno(d);
    for (int i = 0; r && i < PQntuples(r); i++) {
        unsigned at = (unsigned)pg_number(r, i, 0);
        bool is_null = false;
        for (unsigned k = 0; k < parent->key_count; k++)
            is_null |= PQgetisnull(r, i, 2 + (int)k);
        is_there[at] = pg_number(r, i, 1) != 0;
        parent_key[at] = is_null ? (struct key){NULL, 0} : pg_key(r, i, 2, parent, arena);
    }
    PQclear(r);
    buffer_fini(&sql);
    return result;
}

int store_pg_children(struct store *store, const struct table *child, unsigned foreign_at, struct work **row,
                      unsigned count, store_found *found, void *context, struct arena *arena, struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    const struct foreign_key *f = &child->foreign[foreign_at];
    if (count == 0 || f->parent_at < 0)
        return 0;
    const struct table *parent = &d->schema->table[f->parent_at];
    struct buffer sql = {0};
    int result = stage(d, parent, row, count, true, problem);
    pg_sql(&sql, "SELECT s.i");
    for (unsigned k = 0; k < child->key_count; k++) {
        pg_sql(&sql, ", c.");
        pg_sql_name(&sql, child->column[child->key[k]].name);
    }
    pg_sql(&sql, " FROM ");
    staged_rows(&sql, d, parent);
    pg_sql(&sql, " s JOIN %s c ON ", child->name);
    same_reference(&sql, child, parent, f, "c", "s");
    // The referring columns often have no index.
    if (result == 0)
        result = pg_run(d, "SET LOCAL enable_hashjoin = on", problem);
    if (result == 0)
        result = report(d, pg_ask(d, (const char *)sql.data, NULL, problem), child, found, context, arena);
    if (result == 0)
        result = pg_run(d, "SET LOCAL enable_hashjoin = off", problem);
    buffer_fini(&sql);
    return result;
}

// ---- ranges ----

int store_pg_keys(struct store *store, const struct table *t, struct key after, struct key upto, store_found *found,
                  void *context, struct arena *arena, struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    struct buffer sql = {0};
    pg_sql(&sql, "SELECT 0, ");
    pg_sql_key_order(&sql, t);
    pg_sql(&sql, " FROM %s t WHERE ", t->name);
    pg_sql_range(&sql, d, t, after, upto);
    pg_sql(&sql, " ORDER BY ");
    pg_sql_key_order(&sql, t);
    int result = report(d, pg_ask(d, (const char *)sql.data, NULL, problem), t, found, context, arena);
    buffer_fini(&sql);
    return result;
}

int store_pg_digest(struct store *store, const struct table *t, struct key after, struct key upto, uint64_t *rows,
                    uint64_t *sum, bool *is_busy, struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    struct buffer sql = {0}, range = {0};
    struct pg_table *p = pg_table_of(d, t);
    int64_t busy = 0;
    // The change table's columns under the table's names, so that the same range serves.
    pg_sql_range(&range, d, t, after, upto);
    pg_sql(&sql, "SELECT EXISTS(SELECT 1 FROM (SELECT ");
    for (unsigned k = 0; k < t->key_count; k++) {
        pg_sql(&sql, "%sv%d AS ", k ? ", " : "", p->column[t->key[k]].attnum);
        pg_sql_name(&sql, t->column[t->key[k]].name);
    }
    pg_sql(&sql, " FROM dbsync.c_%lld) t WHERE %s)", (long long)t->id, (const char *)range.data);
    int result = pg_ask_number(d, &busy, problem, "%s", (const char *)sql.data);
    *is_busy = busy != 0;
    if (result == 0)
        result = door_pg_digest(d, t, after, upto, rows, sum, problem);
    buffer_fini(&sql);
    buffer_fini(&range);
    return result;
}
