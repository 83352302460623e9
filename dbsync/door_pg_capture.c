// SPDX-License-Identifier: Apache-2.0
// Change tables and the triggers that fill them.
//
// A change table dbsync.c_<id> has for each change: seq, xid, op (I, U, D, or T for a row that TRUNCATE removed), hlc
// (the time stamp), vers (null but for repairs and folded changes: row_encode_versions), one mask column for each 64
// attribute numbers, and the entire row, new for I and U, old for D and T, in columns v<attnum> of the same base types
// without constraints. Nothing is converted to text in the user's transaction, so DateStyle and its kin have no say. A
// change of the row identifier is written as D and I.
//
// The functions are SECURITY DEFINER (the application needs no right here) with a fixed search_path. Changed columns
// are found by IS DISTINCT FROM for types whose equal values are equal bits, else by the record image (1.0 and 1.00
// differ for us; json, xml and point have no equality at all).
//
// The triggers' names sort before all letters: an AFTER trigger of the application may write the same row again, and
// that change must come behind the one that caused it. For the same reason statements are captured in bulk, from
// transition tables at their end, only where the application has no triggers of its own.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_pg_private.h"

#define WALL_US "(date_part('epoch', clock_timestamp()) * 1000000)::bigint"
#define FLOOR   "coalesce(pg_sequence_last_value('dbsync.base'::regclass), 0)"

static void masks(struct buffer *sql, const struct pg_table *p, const char *value)
{
    for (unsigned w = 0; w < p->mask_count; w++) {
        if (value)
            pg_sql(sql, "%s, ", value);
        else
            pg_sql(sql, "mask%u, ", w);
    }
}

static void values(struct buffer *sql, const struct table *t, const struct pg_table *p, const char *from)
{
    const char *comma = "";
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated)
            continue;
        if (from) {
            pg_sql(sql, "%s%s.", comma, from);
            pg_sql_name(sql, t->column[c].name);
        } else {
            pg_sql(sql, "%sv%d", comma, p->column[c].attnum);
        }
        comma = ", ";
    }
}

static void change_table(struct buffer *sql, const struct table *t, const struct pg_table *p)
{
    long long id = (long long)t->id;
    pg_sql(sql,
           "CREATE TABLE dbsync.c_%lld(seq bigint NOT NULL DEFAULT nextval('dbsync.seq'), xid xid8 NOT NULL DEFAULT "
           "pg_current_xact_id(), hlc bigint NOT NULL, op \"char\" NOT NULL, vers bytea",
           id);
    for (unsigned w = 0; w < p->mask_count; w++)
        pg_sql(sql, ", mask%u bigint NOT NULL DEFAULT 0", w);
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!t->column[c].is_generated)
            pg_sql(sql, ", v%d %s", p->column[c].attnum, p->column[c].base);
    }
    pg_sql(
        sql,
        ") WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, "
        "autovacuum_vacuum_cost_delay = 0);\n");
    pg_sql(sql, "CREATE INDEX ON dbsync.c_%lld(xid);\nCREATE INDEX ON dbsync.c_%lld(", id, id);
    for (unsigned k = 0; k < t->key_count; k++)
        pg_sql(sql, "%sv%d", k ? ", " : "", p->column[t->key[k]].attnum);
    pg_sql(sql, ");\n");
}

static void insert_into(struct buffer *sql, const struct table *t, const struct pg_table *p)
{
    pg_sql(sql, "INSERT INTO dbsync.c_%lld(seq, op, hlc, ", (long long)t->id);
    masks(sql, p, NULL);
    values(sql, t, p, NULL);
    pg_sql(sql, ") ");
}

// One row, from NEW or OLD; `mask`: null for the variables m0, m1, ...
static void log_one(struct buffer *sql, const struct table *t, const struct pg_table *p, char op, const char *row,
                    const char *mask)
{
    pg_sql(sql, "  s := nextval('dbsync.seq'::regclass);\n  ");
    insert_into(sql, t, p);
    pg_sql(sql, "VALUES(s, '%c', greatest(" WALL_US ", " FLOOR " + s), ", op);
    for (unsigned w = 0; w < p->mask_count; w++) {
        if (mask)
            pg_sql(sql, "%s, ", mask);
        else
            pg_sql(sql, "m%u, ", w);
    }
    values(sql, t, p, row);
    pg_sql(sql, ");\n");
}

// All rows of a relation in one statement. No two have the same identifier, so one place in the log serves them all.
static void log_all(struct buffer *sql, const struct table *t, const struct pg_table *p, char op, const char *from)
{
    pg_sql(sql, "  ");
    insert_into(sql, t, p);
    pg_sql(sql, "SELECT dbsync_s, '%c', dbsync_h, ", op);
    masks(sql, p, op == 'I' ? "-1" : "0");
    values(sql, t, p, "n");
    pg_sql(sql, " FROM %s n;\n", from);
}

static void function(struct buffer *sql, const struct table *t, const char *name, const char *declare)
{
    pg_sql(sql,
           "CREATE OR REPLACE FUNCTION dbsync.%s_%lld() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET "
           "search_path = pg_catalog, pg_temp AS $dbsync$\n" PG_CAPTURE_FORM "\nDECLARE %s\nBEGIN\n",
           name, (long long)t->id, declare);
}

static void trigger(struct buffer *sql, const struct table *t, const char *name, const char *event, const char *rest)
{
    pg_sql(sql,
           "  RETURN NULL;\nEND $dbsync$;\nCREATE TRIGGER \"!dbsync_%s\" %s ON %s %s EXECUTE FUNCTION "
           "dbsync.%s_%lld();\n",
           name, event, t->name, rest, name, (long long)t->id);
}

static const char declare_one_place[] =
    "dbsync_s bigint := nextval('dbsync.seq'::regclass); dbsync_h bigint := greatest(" WALL_US ", " FLOOR
    " + dbsync_s);";

static void insert_and_delete(struct buffer *sql, const struct table *t, const struct pg_table *p)
{
    if (p->has_row_triggers) {
        function(sql, t, "i", "s bigint;");
        log_one(sql, t, p, 'I', "NEW", "-1");
        trigger(sql, t, "i", "AFTER INSERT", "FOR EACH ROW");
        function(sql, t, "d", "s bigint;");
        log_one(sql, t, p, 'D', "OLD", "0");
        trigger(sql, t, "d", "AFTER DELETE", "FOR EACH ROW");
        return;
    }
    function(sql, t, "i", declare_one_place);
    log_all(sql, t, p, 'I', "dbsync_new");
    trigger(sql, t, "i", "AFTER INSERT", "REFERENCING NEW TABLE AS dbsync_new FOR EACH STATEMENT");
    function(sql, t, "d", declare_one_place);
    log_all(sql, t, p, 'D', "dbsync_old");
    trigger(sql, t, "d", "AFTER DELETE", "REFERENCING OLD TABLE AS dbsync_old FOR EACH STATEMENT");
}

// Whether a column's values before and after differ.
static void differs(struct buffer *sql, const struct pg_column *p, const char *before, const char *after)
{
    if (p->is_plain)
        pg_sql(sql, "%s IS DISTINCT FROM %s", before, after);
    else
        pg_sql(sql, "record_image_ne(ROW(%s), ROW(%s))", before, after);
}

// ---- updates by statement ----
//
// Pairs of rows, column by column as o<attnum> and n<attnum>; what differs; what is written. OFFSET 0 keeps the planner
// from putting one into the other, which would compare each column twice.

// "CASE WHEN <there is no row before> THEN ... WHEN <none after> THEN ... ELSE"
static void by_presence(struct buffer *sql, const struct table *t, const struct pg_table *p, const char *only_after,
                        const char *only_before)
{
    int key = p->column[t->key[0]].attnum;
    pg_sql(sql, "CASE WHEN o%d IS NULL THEN %s WHEN n%d IS NULL THEN %s ELSE ", key, only_after, key, only_before);
}

// The bits of one mask column.
static void update_mask(struct buffer *sql, const struct table *t, const struct pg_table *p, unsigned word)
{
    by_presence(sql, t, p, "-1", "0");
    pg_sql(sql, "0::bigint");
    for (unsigned c = 0; c < t->column_count; c++) {
        unsigned bit = (unsigned)p->column[c].attnum - 1;
        char before[16], after[16];
        if (t->column[c].is_generated || t->column[c].in_key || bit / 64 != word)
            continue;
        snprintf(before, sizeof before, "o%u", bit + 1);
        snprintf(after, sizeof after, "n%u", bit + 1);
        pg_sql(sql, " | CASE WHEN ");
        differs(sql, &p->column[c], before, after);
        pg_sql(sql, " THEN 1::bigint << %u ELSE 0 END", bit % 64);
    }
    pg_sql(sql, " END AS m%u, ", word);
}

// A value that the server keeps outside of the row, uncompressed (its size is that of its octets alone), is fetched
// here, once, by making an array of it: comparing and writing would fetch it each. What is compressed stays so, as it
// is written like that.
static void paired_value(struct buffer *sql, const struct column *column, const struct pg_column *p, const char *row)
{
    struct buffer value = {0};
    pg_sql(&value, "%s.", row);
    pg_sql_name(&value, column->name);
    const char *v = (const char *)value.data;
    if (pg_has_octets(p))
        pg_sql(sql, "CASE WHEN pg_column_size(%s) = octet_length(%s) THEN (ARRAY[%s])[1] ELSE %s END", v, v, v, v);
    else
        pg_sql(sql, "%s", v);
    pg_sql(sql, " AS %s%d", row, p->attnum);
    buffer_fini(&value);
}

static void pairs_of_rows(struct buffer *sql, const struct table *t, const struct pg_table *p)
{
    const char *comma = "";
    pg_sql(sql, "SELECT ");
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated)
            continue;
        pg_sql(sql, "%s", comma);
        paired_value(sql, &t->column[c], &p->column[c], "o");
        pg_sql(sql, ", ");
        paired_value(sql, &t->column[c], &p->column[c], "n");
        comma = ", ";
    }
    pg_sql(sql, " FROM dbsync_old o FULL JOIN dbsync_new n ON ");
    for (unsigned k = 0; k < t->key_count; k++) {
        pg_sql(sql, "%so.", k ? " AND " : "");
        pg_sql_name(sql, t->column[t->key[k]].name);
        pg_sql(sql, " = n.");
        pg_sql_name(sql, t->column[t->key[k]].name);
    }
    pg_sql(sql, " OFFSET 0");
}

static void changes_of_rows(struct buffer *sql, const struct table *t, const struct pg_table *p)
{
    int key = p->column[t->key[0]].attnum;
    const char *comma = "";
    pg_sql(sql, "SELECT ");
    by_presence(sql, t, p, "'I'::\"char\"", "'D'::\"char\"");
    pg_sql(sql, "'U'::\"char\" END AS dbsync_op, ");
    for (unsigned w = 0; w < p->mask_count; w++)
        update_mask(sql, t, p, w);
    for (unsigned c = 0; c < t->column_count; c++) {
        int n = p->column[c].attnum;
        if (t->column[c].is_generated)
            continue;
        pg_sql(sql, "%sCASE WHEN n%d IS NULL THEN o%d ELSE n%d END AS v%d", comma, key, n, n, n);
        comma = ", ";
    }
    pg_sql(sql, " FROM (");
    pairs_of_rows(sql, t, p);
    pg_sql(sql, ") y OFFSET 0");
}

// Rows before and after are paired by their identifier: who gave his away is deleted, who has a new one inserted. Two
// rows that change identifiers with each other are two rows with new values, which is the same.
static void update_in_bulk(struct buffer *sql, const struct table *t, const struct pg_table *p)
{
    function(sql, t, "u", "dbsync_w bigint := " WALL_US "; dbsync_b bigint := " FLOOR ";");
    pg_sql(sql, "  ");
    insert_into(sql, t, p);
    pg_sql(sql, "SELECT s.dbsync_seq, s.dbsync_op, greatest(dbsync_w, dbsync_b + s.dbsync_seq), ");
    for (unsigned w = 0; w < p->mask_count; w++)
        pg_sql(sql, "s.m%u, ", w);
    values(sql, t, p, NULL);
    pg_sql(sql, " FROM (SELECT nextval('dbsync.seq'::regclass) AS dbsync_seq, x.* FROM (");
    changes_of_rows(sql, t, p);
    pg_sql(sql, ") x WHERE x.dbsync_op <> 'U' OR (m0");
    for (unsigned w = 1; w < p->mask_count; w++)
        pg_sql(sql, " | m%u", w);
    pg_sql(sql, ") <> 0) s;\n");
    trigger(sql, t, "u", "AFTER UPDATE",
            "REFERENCING OLD TABLE AS dbsync_old NEW TABLE AS dbsync_new FOR EACH STATEMENT");
}

// ---- updates by row ----

// An action of a reference to the same table writes its rows, and logs them, before the statement that caused it ends.
static bool refers_to_itself(const struct table *t)
{
    for (unsigned f = 0; f < t->foreign_count; f++) {
        if (strcmp(t->foreign[f].parent_name, t->name) == 0)
            return true;
    }
    return false;
}

static void differs_by_row(struct buffer *sql, const struct table *t, const struct pg_table *p, unsigned c)
{
    struct buffer before = {0}, after = {0};
    pg_sql(&before, "OLD.");
    pg_sql_name(&before, t->column[c].name);
    pg_sql(&after, "NEW.");
    pg_sql_name(&after, t->column[c].name);
    differs(sql, &p->column[c], (const char *)before.data, (const char *)after.data);
    buffer_fini(&before);
    buffer_fini(&after);
}

static void update_by_row(struct buffer *sql, const struct table *t, const struct pg_table *p)
{
    struct buffer declare = {0};
    pg_sql(&declare, "s bigint;");
    for (unsigned w = 0; w < p->mask_count; w++)
        pg_sql(&declare, " m%u bigint := 0;", w);
    function(sql, t, "u", (const char *)declare.data);
    buffer_fini(&declare);
    pg_sql(sql, "  IF ");
    for (unsigned k = 0; k < t->key_count; k++) {
        pg_sql(sql, "%s", k ? " OR " : "");
        differs_by_row(sql, t, p, t->key[k]);
    }
    pg_sql(sql, " THEN\n");
    log_one(sql, t, p, 'D', "OLD", "0");
    log_one(sql, t, p, 'I', "NEW", "-1");
    pg_sql(sql, "  RETURN NULL;\n  END IF;\n");
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated || t->column[c].in_key)
            continue;
        unsigned bit = (unsigned)p->column[c].attnum - 1;
        pg_sql(sql, "  IF ");
        differs_by_row(sql, t, p, c);
        pg_sql(sql, " THEN m%u := m%u | (1::bigint << %u); END IF;\n", bit / 64, bit / 64, bit % 64);
    }
    pg_sql(sql, "  IF m0 ");
    for (unsigned w = 1; w < p->mask_count; w++)
        pg_sql(sql, "| m%u ", w);
    pg_sql(sql, "= 0 THEN RETURN NULL; END IF;\n");
    log_one(sql, t, p, 'U', "NEW", NULL);
    trigger(sql, t, "u", "AFTER UPDATE", "FOR EACH ROW");
}

static void triggers(struct buffer *sql, const struct table *t, const struct pg_table *p)
{
    insert_and_delete(sql, t, p);
    enum { PAIRED_COLUMNS_MAX = 800 }; // a SELECT has at most 1664
    if (p->has_row_triggers || refers_to_itself(t) || t->column_count > PAIRED_COLUMNS_MAX)
        update_by_row(sql, t, p);
    else
        update_in_bulk(sql, t, p);
    struct buffer from = {0};
    pg_sql(&from, "ONLY %s", t->name);
    function(sql, t, "t", declare_one_place);
    log_all(sql, t, p, 'T', (const char *)from.data);
    trigger(sql, t, "t", "BEFORE TRUNCATE", "FOR EACH STATEMENT");
    buffer_fini(&from);
}

static void drop_triggers(struct buffer *sql, const char *table, long long id)
{
    for (const char *name = "iudt"; *name; name++)
        pg_sql(sql, "DROP TRIGGER IF EXISTS \"!dbsync_%c\" ON %s;\nDROP FUNCTION IF EXISTS dbsync.%c_%lld() CASCADE;\n",
               *name, table, *name, id);
}

// ---- add ----

static int describe_one(struct door_pg *d, const char *name, const struct door_table_options *options,
                        struct schema **schema, struct pg_table *own, struct problem *problem)
{
    *schema = memory_take(sizeof **schema);
    memset(*schema, 0, sizeof **schema);
    (*schema)->table = memory_take(sizeof *(*schema)->table);
    (*schema)->table_count = 1;
    int result = door_pg_describe(d, name, options, (*schema)->table, own, problem);
    if (result == 0)
        schema_finish(*schema);
    return result;
}

static void free_one(struct schema *schema, struct pg_table *own)
{
    if (schema)
        door_pg_free_table(own, schema->table[0].column_count, schema->table[0].unique_count);
    schema_free(schema);
}

// Columns that the table got since, or whose type changed: the change table follows, captured changes stay.
static int extend_change_table(struct door_pg *d, const struct table *t, const struct pg_table *p, struct buffer *sql,
                               struct problem *problem)
{
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated)
            continue;
        PGresult *r = pg_askf(d, problem,
                              "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = "
                              "'dbsync.c_%lld'::regclass AND attname = 'v%d' AND NOT attisdropped",
                              (long long)t->id, p->column[c].attnum);
        if (!r)
            return -pg_errno(d);
        if (PQntuples(r) == 0)
            pg_sql(sql, "ALTER TABLE dbsync.c_%lld ADD COLUMN v%d %s;\n", (long long)t->id, p->column[c].attnum,
                   p->column[c].base);
        else if (strcmp(pg_text(r, 0, 0), p->column[c].base))
            pg_sql(sql, "ALTER TABLE dbsync.c_%lld ALTER COLUMN v%d TYPE %s USING v%d::%s;\n", (long long)t->id,
                   p->column[c].attnum, p->column[c].base, p->column[c].attnum, p->column[c].base);
        PQclear(r);
    }
    for (unsigned w = 0; w < p->mask_count; w++)
        pg_sql(sql, "ALTER TABLE dbsync.c_%lld ADD COLUMN IF NOT EXISTS mask%u bigint NOT NULL DEFAULT 0;\n",
               (long long)t->id, w);
    return 0;
}

static int register_table(struct door_pg *d, struct table *t, const struct pg_table *p,
                          const struct door_table_options *options, bool *is_known, struct problem *problem)
{
    struct pg_params params = {0};
    pg_put_number(&params, p->oid);
    pg_put_text(&params, t->name);
    pg_put_number(&params, options->granularity);
    pg_put_number(&params, options->unique);
    pg_put_text(&params, t->definition);
    PGresult *r = pg_ask(d,
                         "WITH a AS (UPDATE dbsync.site SET adds = adds + 1) INSERT INTO dbsync.tbl(relation, name, "
                         "granularity, unique_policy, epoch, definition) VALUES($1, $2, $3, $4, 1, $5) ON "
                         "CONFLICT(relation) DO UPDATE SET name = excluded.name, granularity = excluded.granularity, "
                         "unique_policy = excluded.unique_policy, epoch = tbl.epoch + 1, definition = "
                         "excluded.definition RETURNING id, to_regclass('dbsync.c_' || id) IS NOT NULL",
                         &params, problem);
    if (!r)
        return -pg_errno(d);
    t->id = pg_number(r, 0, 0);
    *is_known = pg_number(r, 0, 1) != 0;
    PQclear(r);
    return 0;
}

static int add_in_transaction(struct door_pg *d, struct table *t, const struct pg_table *p,
                              const struct door_table_options *options, struct problem *problem)
{
    bool is_known = false;
    struct buffer sql = {0};
    // No writer in flight: what is committed later goes through the triggers.
    int result = pg_runf(d, problem, "LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE", t->name);
    if (result == 0)
        result = register_table(d, t, p, options, &is_known, problem);
    if (result == 0 && is_known) {
        drop_triggers(&sql, t->name, (long long)t->id);
        result = extend_change_table(d, t, p, &sql, problem);
    } else if (result == 0) {
        change_table(&sql, t, p);
    }
    if (result == 0) {
        triggers(&sql, t, p);
        result = pg_run(d, (const char *)sql.data, problem);
    }
    buffer_fini(&sql);
    return result;
}

int door_pg_add_table(struct door *door, const char *name, const struct door_table_options *options,
                      struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    struct schema *schema = NULL;
    struct pg_table own = {0};
    struct door_identity identity;
    int result = door_pg_identity(door, &identity, problem);
    if (result == 0)
        result = describe_one(d, name, options, &schema, &own, problem);
    if (result == 0)
        result = door_pg_begin(d, problem);
    if (result == 0) {
        result = add_in_transaction(d, schema->table, &own, options, problem);
        if (result == 0)
            result = door_pg_commit(d, problem);
        door_pg_rollback(d);
    }
    free_one(schema, &own);
    return result;
}

int door_pg_table_sql(struct door *door, const char *name, const struct door_table_options *options, char **sql,
                      struct problem *problem)
{
    struct schema *schema = NULL;
    struct pg_table own = {0};
    struct buffer text = {0};
    int result = describe_one(door_pg_of(door), name, options, &schema, &own, problem);
    if (result == 0) {
        change_table(&text, schema->table, &own);
        triggers(&text, schema->table, &own);
        *sql = memory_text((const char *)text.data);
    }
    buffer_fini(&text);
    free_one(schema, &own);
    return result;
}

// ---- remove ----

static int unsent_rows(struct door_pg *d, int64_t id, int64_t *unsent, struct problem *problem)
{
    PGresult *r = pg_askf(d, problem, "SELECT snapshot FROM dbsync.outbound");
    if (!r)
        return -pg_errno(d);
    int result = 0;
    for (int i = 0; result == 0 && i < PQntuples(r); i++) {
        struct buffer between = {0};
        int64_t n = 0;
        pg_sql_between(&between, pg_text(r, i, 0), NULL);
        result = pg_ask_number(d, &n, problem, "SELECT count(*) FROM dbsync.c_%lld c WHERE %s", (long long)id,
                               (const char *)between.data);
        *unsent = n > *unsent ? n : *unsent;
        buffer_fini(&between);
    }
    PQclear(r);
    return result;
}

int door_pg_remove_table(struct door *door, const char *name, bool force, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    struct pg_params params = {0};
    pg_put_text(&params, name);
    PGresult *r = pg_ask(d,
                         "SELECT id, name, to_regclass(name) IS NOT NULL FROM dbsync.tbl WHERE name = $1 OR relation = "
                         "to_regclass($1) OR name = 'public.' || quote_ident($1)",
                         &params, problem);
    if (!r)
        return -pg_errno(d);
    int64_t id = PQntuples(r) == 1 ? pg_number(r, 0, 0) : -1, unsent = 0;
    bool exists = id >= 0 && pg_number(r, 0, 2);
    char *full = id >= 0 ? pg_text_copy(r, 0, 1) : NULL;
    PQclear(r);
    if (id < 0)
        return problem_set(problem, ENOENT, "table %s is not synchronised", name);
    int result = unsent_rows(d, id, &unsent, problem);
    if (result == 0 && unsent > 0 && !force)
        result = problem_set(problem, EBUSY, "table %s has %lld changes that were not sent; wait, or use --force", name,
                             (long long)unsent);
    if (result == 0) {
        struct buffer sql = {0};
        pg_sql(&sql, "BEGIN;\n");
        if (exists)
            drop_triggers(&sql, full, (long long)id);
        for (const char *f = "iudt"; *f; f++)
            pg_sql(&sql, "DROP FUNCTION IF EXISTS dbsync.%c_%lld() CASCADE;\n", *f, (long long)id);
        pg_sql(&sql,
               "DROP TABLE dbsync.c_%lld; DELETE FROM dbsync.tbl WHERE id = %lld; DELETE FROM dbsync.remote WHERE tbl "
               "= %lld; UPDATE dbsync.site SET adds = adds + 1; COMMIT",
               (long long)id, (long long)id, (long long)id);
        door_pg_forget_schema(d);
        result = pg_run(d, (const char *)sql.data, problem);
        door_pg_rollback(d);
        buffer_fini(&sql);
    }
    free(full);
    return result;
}
