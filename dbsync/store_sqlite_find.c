// SPDX-License-Identifier: Apache-2.0
// Finding rows for apply: holders of unique keys, parents, children, ranges. Comparisons are the database's own, with
// the collation of the index or column.
#include <errno.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"

static void key_names(sqlite3_str *sql, const struct table *t, const char *prefix)
{
    for (unsigned k = 0; k < t->key_count; k++)
        sqlite3_str_appendf(sql, "%s\"%s%w\"", k ? ", " : "", prefix, t->column[t->key[k]].name);
}

struct key door_sqlite_key(const struct table *t, sqlite3_stmt *s, int at, struct arena *arena)
{
    struct value values[SCHEMA_COLUMN_MAX];
    struct buffer bytes = {0};
    for (unsigned k = 0; k < t->key_count; k++)
        values[k] = sqlite_value(s, at + (int)k);
    key_encode(&bytes, values, t->key_count);
    struct key key = {arena_copy(arena, bytes.data, bytes.len), (uint32_t)bytes.len};
    buffer_fini(&bytes);
    return key;
}

struct row *door_sqlite_row(const struct table *t, sqlite3_stmt *s, struct arena *arena)
{
    struct value values[SCHEMA_COLUMN_MAX], key_values[SCHEMA_COLUMN_MAX];
    struct buffer bytes = {0};
    int at = 0;
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!t->column[c].is_generated)
            values[c] = sqlite_value(s, at++);
    }
    for (unsigned k = 0; k < t->key_count; k++)
        key_values[k] = values[t->key[k]];
    key_encode(&bytes, key_values, t->key_count);
    struct key key = {arena_copy(arena, bytes.data, bytes.len), (uint32_t)bytes.len};
    buffer_fini(&bytes);
    struct row *row = row_new(arena, t, key);
    for (unsigned c = 0; row && c < t->column_count; c++) {
        if (!t->column[c].is_generated)
            row_set(row, c, value_copy(arena, &values[c]), version_make(0, VERSION_USER, 0));
    }
    if (row)
        row->life = LIFE_LIVE;
    return row;
}

static int prepare_text(struct door_sqlite *d, sqlite3_str *text, sqlite3_stmt **statement, struct problem *problem)
{
    char *sql = sqlite3_str_finish(text);
    int result = sql ? sqlite_prepare(d, sql, statement, problem) : problem_set(problem, ENOMEM, "out of memory");
    sqlite3_free(sql);
    return result;
}

// ---- unique keys ----

// Parameters: column c is ?(c+1), key column k ?(column_count+1+k). The predicate is asked of the row in the table and,
// over the same column names, of the row to be written.
static int prepare_holder(struct door_sqlite *d, const struct table *t, const struct unique_key *u,
                          sqlite3_stmt **statement, struct problem *problem)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(sql, "SELECT ");
    key_names(sql, t, "");
    sqlite3_str_appendf(sql, " FROM \"%w\" WHERE (", t->name);
    key_names(sql, t, "");
    sqlite3_str_appendf(sql, ") IS NOT (");
    for (unsigned k = 0; k < t->key_count; k++)
        sqlite3_str_appendf(sql, "%s?%u", k ? ", " : "", t->column_count + 1u + k);
    sqlite3_str_appendf(sql, ")");
    for (unsigned i = 0; i < u->column_count; i++) {
        // the definition names each column's collation after it
        const char *name = t->column[u->column[i]].name;
        char *quoted = sqlite3_mprintf("\"%w\" COLLATE ", name);
        const char *at = quoted ? strstr(u->definition, quoted) : NULL;
        at = at ? at + strlen(quoted) : "BINARY";
        sqlite3_str_appendf(sql, " AND \"%w\" COLLATE %.*s = ?%u", name, (int)strcspn(at, ",) "), at,
                            u->column[i] + 1u);
        sqlite3_free(quoted);
    }
    const char *predicate = u->is_partial ? strstr(u->definition, " WHERE ") : NULL;
    if (predicate) {
        predicate += strlen(" WHERE ");
        sqlite3_str_appendf(sql, " AND (%s) AND (SELECT (%s) FROM (SELECT ", predicate, predicate);
        for (unsigned c = 0; c < t->column_count; c++)
            sqlite3_str_appendf(sql, "%s?%u AS \"%w\"", c ? ", " : "", c + 1, t->column[c].name);
        sqlite3_str_appendf(sql, "))");
    }
    return prepare_text(d, sql, statement, problem);
}

static bool has_null(const struct row *row, const uint16_t *column, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (row->value[column[i]].type == VALUE_NULL)
            return true;
    }
    return false;
}

static int holders_of(struct door_sqlite *d, sqlite3_stmt *s, struct work *w, unsigned at, store_found *found,
                      void *context, struct arena *arena, struct problem *problem)
{
    const struct table *t = w->table;
    int result, parameters = sqlite3_bind_parameter_count(s);
    for (unsigned c = 0; c < t->column_count && (int)c < parameters; c++) {
        if (w->state->known[c])
            sqlite_bind(s, (int)c + 1, &w->state->value[c]);
        else
            sqlite3_bind_null(s, (int)c + 1);
    }
    sqlite_bind_key(s, t->column_count + 1, t, w->key);
    while ((result = sqlite_step(d, s, problem)) == 1)
        found(context, at, t, door_sqlite_key(t, s, 0, arena));
    return result;
}

int store_sqlite_holders(struct store *store, const struct table *t, unsigned unique_at, struct work **row,
                         unsigned count, store_found *found, void *context, struct arena *arena,
                         struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    const struct unique_key *u = &t->unique[unique_at];
    sqlite3_stmt **s = &d->sql[t - d->schema->table].holder[unique_at];
    int result = *s ? 0 : prepare_holder(d, t, u, s, problem);
    for (unsigned i = 0; result == 0 && i < count; i++) {
        if (!has_null(row[i]->state, u->column, u->column_count))
            result = holders_of(d, *s, row[i], i, found, context, arena, problem);
    }
    return result;
}

// ---- references ----

static int prepare_parent(struct door_sqlite *d, const struct foreign_key *f, sqlite3_stmt **statement,
                          struct problem *problem)
{
    const struct table *parent = &d->schema->table[f->parent_at];
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(sql, "SELECT 1 FROM \"%w\" WHERE ", parent->name);
    for (unsigned i = 0; i < f->column_count; i++)
        sqlite3_str_appendf(sql, "%s\"%w\" = ?%u", i ? " AND " : "", parent->column[f->parent_column[i]].name, i + 1);
    return prepare_text(d, sql, statement, problem);
}

static void bind_columns(sqlite3_stmt *s, const struct row *row, const uint16_t *column, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        sqlite_bind(s, (int)i + 1, &row->value[column[i]]);
}

// The row identifier of the row that held these values last, from the change table.
static int last_holder(struct door_sqlite *d, const struct foreign_key *f, const struct row *child, struct key *key,
                       struct arena *arena, struct problem *problem)
{
    const struct table *parent = &d->schema->table[f->parent_at];
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_stmt *s = NULL;
    sqlite3_str_appendf(sql, "SELECT ");
    key_names(sql, parent, "v_");
    sqlite3_str_appendf(sql, " FROM dbsync_c_%lld WHERE ", (long long)parent->id);
    for (unsigned i = 0; i < f->column_count; i++)
        sqlite3_str_appendf(sql, "%s\"v_%w\" = ?%u", i ? " AND " : "", parent->column[f->parent_column[i]].name, i + 1);
    sqlite3_str_appendf(sql, " ORDER BY seq DESC LIMIT 1");
    int result = prepare_text(d, sql, &s, problem);
    if (result == 0) {
        bind_columns(s, child, f->column, f->column_count);
        result = sqlite_step(d, s, problem);
        if (result == 1)
            *key = door_sqlite_key(parent, s, 0, arena);
    }
    sqlite3_finalize(s);
    return result < 0 ? result : 0;
}

static bool is_to_primary_key(const struct table *parent, const struct foreign_key *f)
{
    bool same = f->column_count == parent->key_count;
    for (unsigned i = 0; same && i < f->column_count; i++) {
        bool found = false;
        for (unsigned k = 0; k < parent->key_count; k++)
            found |= f->parent_column[i] == parent->key[k];
        same = found;
    }
    return same;
}

static struct key key_by_reference(const struct table *parent, const struct foreign_key *f, const struct row *child,
                                   struct arena *arena)
{
    struct value values[SCHEMA_COLUMN_MAX];
    struct buffer bytes = {0};
    for (unsigned i = 0; i < f->column_count; i++) {
        for (unsigned k = 0; k < parent->key_count; k++) {
            if (parent->key[k] == f->parent_column[i])
                values[k] = child->value[f->column[i]];
        }
    }
    key_encode(&bytes, values, parent->key_count);
    struct key key = {arena_copy(arena, bytes.data, bytes.len), (uint32_t)bytes.len};
    buffer_fini(&bytes);
    return key;
}

int store_sqlite_parents(struct store *store, const struct table *t, unsigned foreign_at, struct work **row,
                         unsigned count, bool *is_there, struct key *parent_key, struct arena *arena,
                         struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    const struct foreign_key *f = &t->foreign[foreign_at];
    const struct table *parent = &d->schema->table[f->parent_at];
    sqlite3_stmt **s = &d->sql[t - d->schema->table].parent[foreign_at];
    int result = *s ? 0 : prepare_parent(d, f, s, problem);
    for (unsigned i = 0; result == 0 && i < count; i++) {
        is_there[i] = has_null(row[i]->state, f->column, f->column_count);
        if (is_there[i])
            continue;
        bind_columns(*s, row[i]->state, f->column, f->column_count);
        result = sqlite_step(d, *s, problem);
        sqlite3_reset(*s);
        is_there[i] = result == 1;
        if (result == 0 && is_to_primary_key(parent, f))
            parent_key[i] = key_by_reference(parent, f, row[i]->state, arena);
        else if (result == 0)
            result = last_holder(d, f, row[i]->state, &parent_key[i], arena, problem);
        result = result < 0 ? result : 0;
    }
    return result;
}

static int prepare_children(struct door_sqlite *d, const struct table *child, const struct foreign_key *f,
                            sqlite3_stmt **statement, struct problem *problem)
{
    sqlite3_str *sql = sqlite3_str_new(NULL);
    sqlite3_str_appendf(sql, "SELECT ");
    key_names(sql, child, "");
    sqlite3_str_appendf(sql, " FROM \"%w\" WHERE ", child->name);
    for (unsigned i = 0; i < f->column_count; i++)
        sqlite3_str_appendf(sql, "%s\"%w\" = ?%u", i ? " AND " : "", child->column[f->column[i]].name, i + 1);
    return prepare_text(d, sql, statement, problem);
}

int store_sqlite_children(struct store *store, const struct table *child, unsigned foreign_at, struct work **row,
                          unsigned count, store_found *found, void *context, struct arena *arena,
                          struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    const struct foreign_key *f = &child->foreign[foreign_at];
    sqlite3_stmt **s = &d->sql[child - d->schema->table].children[foreign_at];
    int result = *s ? 0 : prepare_children(d, child, f, s, problem);
    for (unsigned i = 0; result == 0 && i < count; i++) {
        const struct row *shown = row[i]->current ? row[i]->current : row[i]->state;
        bool is_known = true;
        for (unsigned c = 0; c < f->column_count; c++)
            is_known &= shown->known[f->parent_column[c]];
        if (!is_known)
            continue;
        bind_columns(*s, shown, f->parent_column, f->column_count);
        while ((result = sqlite_step(d, *s, problem)) == 1)
            found(context, i, child, door_sqlite_key(child, *s, 0, arena));
    }
    return result;
}

// ---- ranges ----

sqlite3_stmt *door_sqlite_range(struct door_sqlite *d, const struct table *t, struct key after, struct key upto,
                                struct problem *problem)
{
    enum table_statement which = after.len  ? upto.len ? STATEMENT_CHUNK_BETWEEN : STATEMENT_CHUNK_AFTER
                                 : upto.len ? STATEMENT_CHUNK_UPTO
                                            : STATEMENT_CHUNK;
    sqlite3_stmt *s = door_sqlite_statement(d, t, which, problem);
    if (!s)
        return NULL;
    if (after.len)
        sqlite_bind_key(s, 1, t, after);
    if (upto.len)
        sqlite_bind_key(s, t->key_count + 1, t, upto);
    return s;
}

int store_sqlite_keys(struct store *store, const struct table *t, struct key after, struct key upto, store_found *found,
                      void *context, struct arena *arena, struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    sqlite3_stmt *s = door_sqlite_range(d, t, after, upto, problem);
    int result = s ? 1 : d->failure;
    while (result > 0 && (result = sqlite_step(d, s, problem)) == 1) {
        struct row *row = door_sqlite_row(t, s, arena);
        if (row)
            found(context, 0, t, row->key);
    }
    return result;
}

int store_sqlite_digest(struct store *store, const struct table *t, struct key after, struct key upto, uint64_t *rows,
                        uint64_t *sum, bool *is_busy, struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    struct arena arena = {0};
    sqlite3_stmt *s = door_sqlite_range(d, t, after, upto, problem);
    int result = s ? 1 : d->failure;
    *rows = *sum = 0;
    while (result > 0 && (result = sqlite_step(d, s, problem)) == 1) {
        struct row *row = door_sqlite_row(t, s, &arena);
        ++*rows;
        *sum += row ? door_row_digest(row) : 0;
        arena_reset(&arena);
    }
    arena_fini(&arena);
    // Whatever this table has in the window may be what differs.
    sqlite3_stmt *window = NULL;
    char *sql = sqlite3_mprintf("SELECT EXISTS(SELECT 1 FROM dbsync_c_%lld)", (long long)t->id);
    if (result == 0)
        result = sqlite_prepare(d, sql, &window, problem);
    if (result == 0 && (result = sqlite_step(d, window, problem)) == 1)
        *is_busy = sqlite3_column_int(window, 0) != 0;
    sqlite3_finalize(window);
    sqlite3_free(sql);
    return result < 0 ? result : 0;
}
