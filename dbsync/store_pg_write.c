// SPDX-License-Identifier: Apache-2.0
// Writing rows: whole sets in one statement, over COPY in binary form. What the database refuses is found by halving
// the set inside savepoints.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_pg_private.h"
#include "dbsync/row_codec.h"

enum { CAREFUL_BATCHES = 50, REFUSE_AFTER_ATTEMPTS = 3 };

// ---- staging ----

void pg_sql_stage(struct buffer *sql, const struct table *t)
{
    pg_sql(sql, "dbsync_s_%lld_%u", (long long)t->id, t->epoch);
}

static int make_stage(struct door_pg *d, const struct table *t, struct problem *problem)
{
    struct pg_table *p = pg_table_of(d, t);
    struct buffer sql = {0};
    pg_sql(&sql, "CREATE TEMP TABLE IF NOT EXISTS ");
    pg_sql_stage(&sql, t);
    pg_sql(&sql, "(call int, i int, op \"char\", hlc bigint, vers bytea");
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!t->column[c].is_generated)
            pg_sql(&sql, ", v%d %s", p->column[c].attnum, p->column[c].is_text ? "text" : p->column[c].base);
    }
    pg_sql(&sql, ") ON COMMIT DELETE ROWS");
    int result = pg_run(d, (const char *)sql.data, problem);
    buffer_fini(&sql);
    return result;
}

// `only`: columns whose values go along; null: all.
static void copy_row_values(struct pg_copy *copy, const struct row *row, const bool *only)
{
    for (unsigned c = 0; c < row->table->column_count; c++) {
        if (!row->table->column[c].is_generated)
            pg_copy_value(copy, row->known[c] && (!only || only[c]) ? &row->value[c] : NULL);
    }
}

static void copy_versions(struct pg_copy *copy, const struct row *row, struct buffer *bytes)
{
    buffer_reset(bytes);
    row_encode_versions(bytes, row);
    pg_copy_octets(copy, row->life == LIFE_DEAD ? "D" : "U", 1);
    pg_copy_i64(copy, row_latest(row).hlc);
    pg_copy_octets(copy, bytes->data, bytes->len);
}

static int stage_columns(struct door_pg *d, const struct table *t, const struct row *const *row, unsigned count,
                         bool with_versions, const bool *only, struct problem *problem)
{
    struct buffer sql = {0}, bytes = {0};
    struct pg_copy copy;
    int result = make_stage(d, t, problem);
    pg_sql(&sql, "COPY pg_temp.");
    pg_sql_stage(&sql, t);
    pg_sql(&sql, " FROM STDIN BINARY");
    if (result == 0)
        result = pg_copy_begin(d, &copy, (const char *)sql.data, problem);
    buffer_fini(&sql);
    if (result < 0)
        return result;
    d->stage_call++;
    for (unsigned i = 0; i < count; i++) {
        pg_copy_row(&copy, 5 + door_pg_value_count(t));
        pg_copy_i32(&copy, (int32_t)d->stage_call);
        pg_copy_i32(&copy, (int32_t)i);
        if (with_versions) {
            copy_versions(&copy, row[i], &bytes);
        } else {
            pg_copy_value(&copy, NULL);
            pg_copy_value(&copy, NULL);
            pg_copy_value(&copy, NULL);
        }
        copy_row_values(&copy, row[i], only);
    }
    buffer_fini(&bytes);
    return pg_copy_end(&copy, problem);
}

int store_pg_stage(struct door_pg *d, const struct table *t, const struct row *const *row, unsigned count,
                   bool with_versions, struct problem *problem)
{
    return stage_columns(d, t, row, count, with_versions, NULL, problem);
}

static int stage_states(struct door_pg *d, struct work **row, unsigned count, const bool *only, struct problem *problem)
{
    const struct row **state = memory_take((count + 1) * sizeof *state);
    for (unsigned i = 0; i < count; i++)
        state[i] = row[i]->state;
    int result = stage_columns(d, row[0]->table, state, count, false, only, problem);
    free(state);
    return result;
}

// ---- deletes ----

int store_pg_remove(struct store *store, struct work **row, unsigned count, struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    if (count == 0)
        return 0;
    const struct table *t = row[0]->table;
    struct key *key = memory_take(count * sizeof *key);
    struct pg_keys keys;
    struct pg_params params = {0};
    struct buffer sql = {0};
    for (unsigned i = 0; i < count; i++) {
        key[i] = row[i]->key;
        row[i]->is_removed = true;
    }
    pg_sql(&sql, "DELETE FROM %s t USING ", t->name);
    pg_sql_keys(&sql, d, t);
    pg_sql(&sql, " WHERE ");
    pg_sql_same_key(&sql, d, t, "t", false);
    pg_sql(&sql, " RETURNING k.i");
    int result = pg_keys_put(&keys, &params, d, t, key, count, problem);
    PGresult *r = result == 0 ? pg_ask(d, (const char *)sql.data, &params, problem) : NULL;
    if (result == 0 && !r)
        result = -pg_errno(d);
    for (int i = 0; r && i < PQntuples(r); i++)
        row[pg_number(r, i, 0) - 1]->was_live = true;
    PQclear(r);
    pg_keys_fini(&keys);
    buffer_fini(&sql);
    free(key);
    return result;
}

// ---- inserts ----

static void column_list(struct buffer *sql, const struct table *t)
{
    const char *comma = "";
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated)
            continue;
        pg_sql(sql, "%s", comma);
        pg_sql_name(sql, t->column[c].name);
        comma = ", ";
    }
}

static bool has_text(const struct table *t, const struct pg_table *p)
{
    for (unsigned c = 0; c < t->column_count; c++) {
        if (p->column[c].is_text && !t->column[c].is_generated)
            return true;
    }
    return false;
}

// Straight into the table.
static int copy_rows(struct door_pg *d, struct work **row, unsigned count, struct problem *problem)
{
    const struct table *t = row[0]->table;
    struct buffer sql = {0};
    struct pg_copy copy;
    pg_sql(&sql, "COPY %s(", t->name);
    column_list(&sql, t);
    pg_sql(&sql, ") FROM STDIN BINARY");
    int result = pg_copy_begin(d, &copy, (const char *)sql.data, problem);
    buffer_fini(&sql);
    if (result < 0)
        return result;
    for (unsigned i = 0; i < count; i++) {
        pg_copy_row(&copy, door_pg_value_count(t));
        copy_row_values(&copy, row[i]->state, NULL);
    }
    return pg_copy_end(&copy, problem);
}

// Through the staging table, where a column travels as text.
static int insert_staged(struct door_pg *d, struct work **row, unsigned count, struct problem *problem)
{
    const struct table *t = row[0]->table;
    struct pg_table *p = pg_table_of(d, t);
    struct buffer sql = {0};
    int result = stage_states(d, row, count, NULL, problem);
    pg_sql(&sql, "INSERT INTO %s(", t->name);
    column_list(&sql, t);
    pg_sql(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    const char *comma = "";
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated)
            continue;
        pg_sql(&sql, "%sv%d::%s", comma, p->column[c].attnum, p->column[c].type);
        comma = ", ";
    }
    pg_sql(&sql, " FROM pg_temp.");
    pg_sql_stage(&sql, t);
    pg_sql(&sql, " WHERE call = %u ORDER BY i", d->stage_call);
    if (result == 0)
        result = pg_run(d, (const char *)sql.data, problem);
    buffer_fini(&sql);
    return result;
}

static void mark_inserted(struct door_pg *d, struct work **row, unsigned count)
{
    pg_table_of(d, row[0]->table)->has_inserted = true;
    d->inserted = memory_resize(d->inserted, (d->inserted_count + count) * sizeof *d->inserted);
    for (unsigned i = 0; i < count; i++) {
        row[i]->is_done = true;
        struct key key = {arena_copy(&d->inserted_keys, row[i]->key.bytes, row[i]->key.len), row[i]->key.len};
        d->inserted[d->inserted_count++] = (struct pg_inserted){row[i]->table, key};
    }
}

static int insert_rows(struct door_pg *d, struct work **row, unsigned count, struct problem *problem)
{
    const struct table *t = row[0]->table;
    int result =
        has_text(t, pg_table_of(d, t)) ? insert_staged(d, row, count, problem) : copy_rows(d, row, count, problem);
    if (result == 0)
        mark_inserted(d, row, count);
    return result;
}

// ---- updates ----

static bool is_written(const struct work *w, const struct pg_table *p, unsigned c)
{
    const struct column *column = &w->table->column[c];
    if (column->is_generated || column->in_key || p->column[c].is_always)
        return false;
    return w->action == MERGE_INSERT ? w->state->known[c] : w->write[c];
}

static bool same_columns(const struct work *a, const struct work *b, const struct pg_table *p)
{
    for (unsigned c = 0; c < a->table->column_count; c++) {
        if (is_written(a, p, c) != is_written(b, p, c))
            return false;
    }
    return true;
}

static void update_text(struct buffer *sql, struct door_pg *d, const struct work *w)
{
    const struct table *t = w->table;
    struct pg_table *p = pg_table_of(d, t);
    const char *comma = "";
    pg_sql(sql, "UPDATE %s t SET ", t->name);
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!is_written(w, p, c))
            continue;
        pg_sql(sql, "%s", comma);
        pg_sql_name(sql, t->column[c].name);
        pg_sql(sql, " = s.v%d::%s", p->column[c].attnum, p->column[c].type);
        comma = ", ";
    }
    pg_sql(sql, " FROM pg_temp.");
    pg_sql_stage(sql, t);
    pg_sql(sql, " s WHERE s.call = %u", d->stage_call);
    for (unsigned k = 0; k < t->key_count; k++) {
        pg_sql(sql, " AND t.");
        pg_sql_name(sql, t->column[t->key[k]].name);
        pg_sql(sql, " = s.v%d", p->column[t->key[k]].attnum);
    }
    pg_sql(sql, " RETURNING s.i");
}

// Rows that write the same columns, in one statement.
static int update_rows(struct door_pg *d, struct work **row, unsigned count, struct problem *problem)
{
    struct pg_table *p = pg_table_of(d, row[0]->table);
    bool any = false, only[SCHEMA_COLUMN_MAX];
    for (unsigned c = 0; c < row[0]->table->column_count; c++) {
        bool writes = is_written(row[0], p, c);
        any |= writes;
        only[c] = writes || row[0]->table->column[c].in_key;
    }
    for (unsigned i = 0; i < count; i++) {
        row[i]->is_missing = any;
        row[i]->is_done = !any;
    }
    if (!any)
        return 0;
    struct buffer sql = {0};
    int result = stage_states(d, row, count, only, problem);
    PGresult *r = NULL;
    if (result == 0) {
        update_text(&sql, d, row[0]);
        r = pg_ask(d, (const char *)sql.data, NULL, problem);
        result = r ? 0 : -pg_errno(d);
    }
    for (int i = 0; r && i < PQntuples(r); i++) {
        struct work *w = row[pg_number(r, i, 0)];
        w->is_missing = false;
        w->is_done = true;
    }
    PQclear(r);
    buffer_fini(&sql);
    return result;
}

// ---- sets that may be refused ----

typedef int write_set(struct door_pg *d, struct work **row, unsigned count, struct problem *problem);

static bool is_refusal(const struct door_pg *d)
{
    return strncmp(d->sqlstate, "22", 2) == 0 || strncmp(d->sqlstate, "23", 2) == 0 ||
           strncmp(d->sqlstate, "54", 2) == 0 || strncmp(d->sqlstate, "P0", 2) == 0 ||
           strncmp(d->sqlstate, "42846", 5) == 0;
}

// The insert met a row: it came since we looked, or we had not looked.
static int met_a_row(struct door_pg *d, struct problem *problem)
{
    bool is_new = !d->is_careful;
    d->is_careful = true;
    d->careful_left = CAREFUL_BATCHES;
    if (is_new || d->attempt < REFUSE_AFTER_ATTEMPTS)
        return problem_set(problem, EAGAIN, "%s: an insert met a row", d->name);
    return 0;
}

static int write_guarded(struct door_pg *d, struct work **row, unsigned count, write_set *write,
                         struct problem *problem)
{
    struct range {
        unsigned from, count;
    } stack[64] = {{0, count}};
    unsigned depth = count ? 1 : 0;
    while (depth > 0) { // each refusal halves a range: at most 2 * count rounds, and 32 ranges at once
        struct range now = stack[--depth];
        int result = pg_run(d, "SAVEPOINT dbsync", problem);
        if (result == 0)
            result = write(d, row + now.from, now.count, problem);
        if (result == 0) {
            result = pg_run(d, "RELEASE SAVEPOINT dbsync", problem);
            if (result < 0)
                return result;
            continue;
        }
        if (PQstatus(d->db) != CONNECTION_OK || !is_refusal(d))
            return result;
        struct problem word = *problem;
        bool is_unique = strcmp(d->sqlstate, "23505") == 0;
        result = pg_run(d, "ROLLBACK TO SAVEPOINT dbsync", problem);
        if (result == 0 && is_unique)
            result = met_a_row(d, problem);
        if (result < 0)
            return result;
        if (now.count == 1) {
            row[now.from]->refused = memory_text(word.text);
            continue;
        }
        stack[depth++] = (struct range){now.from + now.count / 2, now.count - now.count / 2};
        stack[depth++] = (struct range){now.from, now.count / 2};
    }
    return 0;
}

int store_pg_write(struct store *store, struct work **row, unsigned count, struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    struct work **set = memory_take((count + 1) * sizeof *set), **rest = memory_take((count + 1) * sizeof *rest);
    unsigned set_count = 0, rest_count = 0;
    for (unsigned i = 0; i < count; i++) {
        bool is_insert = row[i]->is_removed || (row[i]->action == MERGE_INSERT && row[i]->presence != PRESENCE_PRESENT);
        if (is_insert)
            set[set_count++] = row[i];
        else
            rest[rest_count++] = row[i];
    }
    int result = write_guarded(d, set, set_count, insert_rows, problem);
    while (result == 0 && rest_count > 0) {
        const struct work *first = rest[0]; // its place is taken by another below
        unsigned left = 0;
        set_count = 0;
        for (unsigned i = 0; i < rest_count; i++) {
            if (same_columns(first, rest[i], pg_table_of(d, first->table)))
                set[set_count++] = rest[i];
            else
                rest[left++] = rest[i];
        }
        rest_count = left;
        result = write_guarded(d, set, set_count, update_rows, problem);
    }
    free(set);
    free(rest);
    return result;
}
