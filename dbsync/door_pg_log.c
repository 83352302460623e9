// SPDX-License-Identifier: Apache-2.0
// Change rows: read as registers, and written for repairs and folded changes.
#include <errno.h>
#include <string.h>

#include "dbsync/door_pg_private.h"
#include "dbsync/row_codec.h"

enum { CHANGE_FIELDS = 4 }; // seq, op, hlc, vers; masks and values follow

static void column_name(struct buffer *sql, const struct table *t, const struct pg_table *p, unsigned c,
                        const char *alias, bool is_change)
{
    pg_sql(sql, "%s.", alias);
    if (is_change)
        pg_sql(sql, "v%d", p->column[c].attnum);
    else
        pg_sql_name(sql, t->column[c].name);
}

void pg_sql_values(struct buffer *sql, struct door_pg *d, const struct table *t, const char *alias, bool is_change)
{
    struct pg_table *p = pg_table_of(d, t);
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated)
            continue;
        pg_sql(sql, ", ");
        column_name(sql, t, p, c, alias, is_change);
        if (p->column[c].is_text)
            pg_sql(sql, "::text");
    }
}

void pg_sql_same_key(struct buffer *sql, struct door_pg *d, const struct table *t, const char *alias, bool is_change)
{
    struct pg_table *p = pg_table_of(d, t);
    for (unsigned k = 0; k < t->key_count; k++) {
        pg_sql(sql, "%sk.k%u = ", k ? " AND " : "", k + 1);
        column_name(sql, t, p, t->key[k], alias, is_change);
    }
}

void pg_sql_change(struct buffer *sql, struct door_pg *d, const struct table *t)
{
    pg_sql(sql, "c.seq, c.op, c.hlc, c.vers");
    for (unsigned w = 0; w < pg_table_of(d, t)->mask_count; w++)
        pg_sql(sql, ", c.mask%u", w);
    pg_sql_values(sql, d, t, "c", true);
}

unsigned door_pg_value_count(const struct table *t)
{
    unsigned n = 0;
    for (unsigned c = 0; c < t->column_count; c++)
        n += !t->column[c].is_generated;
    return n;
}

// ---- reading ----

struct row *door_pg_row(const struct table *t, const struct value *field, struct arena *arena)
{
    struct value of_column[SCHEMA_COLUMN_MAX];
    struct value key_value[64];
    struct buffer key = {0};
    unsigned at = 0;
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!t->column[c].is_generated)
            of_column[c] = field[at++];
    }
    for (unsigned k = 0; k < t->key_count && k < 64; k++)
        key_value[k] = of_column[t->key[k]];
    key_encode(&key, key_value, t->key_count);
    struct key own = {arena_copy(arena, key.data, key.len), (uint32_t)key.len};
    buffer_fini(&key);
    struct row *row = row_new(arena, t, own);
    for (unsigned c = 0; row && c < t->column_count; c++) {
        if (!t->column[c].is_generated)
            row_set(row, c, of_column[c], version_make(0, VERSION_USER, 0));
    }
    return row;
}

static uint64_t number(const struct value *v)
{
    uint64_t n = 0;
    for (uint32_t i = 0; v->type == VALUE_NATIVE && i < v->len && i < 8; i++)
        n = n << 8 | v->bytes[i];
    return n;
}

// Op and masks as registers; the values are already in the row.
static void set_registers(struct door_pg *d, struct row *row, char op, struct version v, const struct value *mask)
{
    const struct table *t = row->table;
    const struct pg_table *p = pg_table_of(d, t);
    row->life = op == 'D' || op == 'T' ? LIFE_DEAD : LIFE_LIVE;
    row->is_born = op == 'I';
    row->life_version = v;
    for (unsigned c = 0; c < t->column_count; c++) {
        unsigned bit = (unsigned)p->column[c].attnum - 1;
        if (!t->column[c].is_generated && !t->column[c].in_key && (number(&mask[bit / 64]) >> bit % 64 & 1))
            row->version[c] = v;
    }
}

struct row *door_pg_change(struct door_pg *d, const struct table *t, const struct value *field, struct arena *arena,
                           struct problem *problem)
{
    const struct value *mask = field + CHANGE_FIELDS;
    struct row *row = door_pg_row(t, mask + pg_table_of(d, t)->mask_count, arena);
    char op = field[1].type == VALUE_NATIVE && field[1].len ? (char)field[1].bytes[0] : 0;
    if (!row || !strchr("IUDT", op)) {
        problem_set(problem, EIO, "%s: change %llu of table %s is malformed", d->name,
                    (unsigned long long)number(&field[0]), t->name);
        return NULL;
    }
    if (field[3].type == VALUE_NULL) {
        set_registers(d, row, op, version_make((int64_t)number(&field[2]), VERSION_USER, d->site), mask);
    } else if (row_decode_versions(row, field[3].bytes, field[3].len) < 0) {
        problem_set(problem, EIO, "%s: versions of change %llu of table %s are malformed", d->name,
                    (unsigned long long)number(&field[0]), t->name);
        return NULL;
    }
    row_close_groups(row);
    return row;
}

struct folding {
    struct door_pg *d;
    const struct table *t;
    struct fold *fold;
    struct arena arena;
    struct problem *problem;
};

static int fold_change(void *context, const struct value *field, unsigned count)
{
    struct folding *f = context;
    (void)count;
    struct row *row = door_pg_change(f->d, f->t, field, &f->arena, f->problem);
    if (!row)
        return -EIO;
    if (row_has_registers(row))
        fold_add(f->fold, row);
    arena_reset(&f->arena);
    return 0;
}

int door_pg_fold(struct door_pg *d, const struct table *t, const char *condition, struct fold *fold,
                 struct problem *problem)
{
    struct folding f = {.d = d, .t = t, .fold = fold, .problem = problem};
    struct buffer sql = {0};
    pg_sql(&sql, "SELECT ");
    pg_sql_change(&sql, d, t);
    pg_sql(&sql, " FROM dbsync.c_%lld c WHERE %s ORDER BY c.seq", (long long)t->id, condition);
    int result = pg_copy_out(d, (const char *)sql.data, fold_change, &f, problem);
    arena_fini(&f.arena);
    buffer_fini(&sql);
    return result;
}

// ---- writing ----

int door_pg_log_rows(struct door_pg *d, const struct table *t, const struct row *const *row, unsigned count,
                     struct problem *problem)
{
    struct pg_table *p = pg_table_of(d, t);
    if (count == 0)
        return 0;
    int result = store_pg_stage(d, t, row, count, true, problem);
    if (result < 0)
        return result;
    struct buffer sql = {0};
    pg_sql(&sql, "INSERT INTO dbsync.c_%lld(op, hlc, vers", (long long)t->id);
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!t->column[c].is_generated)
            pg_sql(&sql, ", v%d", p->column[c].attnum);
    }
    pg_sql(&sql, ") SELECT op, hlc, vers");
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!t->column[c].is_generated)
            pg_sql(&sql, ", s.v%d::%s", p->column[c].attnum, p->column[c].base);
    }
    pg_sql(&sql, " FROM pg_temp.");
    pg_sql_stage(&sql, t);
    pg_sql(&sql, " s WHERE call = %u ORDER BY i", d->stage_call);
    result = pg_run(d, (const char *)sql.data, problem);
    buffer_fini(&sql);
    return result;
}
