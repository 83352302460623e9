// SPDX-License-Identifier: Apache-2.0
// Change tables and the triggers that fill them.
//
// A change table dbsync_c_<id> has for each change: seq, op (I, U, D, or V: see below), hlc (the time stamp), vers
// (null but for repairs and folded changes: row_encode_versions), one mask column for each 64 columns, and the entire
// row, new for I and U, old for D, in columns v_<name> without a type, so that no affinity rewrites a value. A change
// of the row identifier is written as D and I.
//
// Only built-in functions: the application's connection has no extension of ours, and trusted_schema may be off.
//
// REPLACE: rows that SQLite deletes to make room fire no DELETE trigger (unless recursive_triggers is on). Those with
// the same key are overwritten anyway; those that lose through another unique key are written as candidates (V) before
// the statement, and count as deleted only if they are gone when the log is read.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"

#define TICK                                                                                                           \
    "UPDATE dbsync_clock SET seq = seq + 1, hlc = max(hlc + 1, "                                                       \
    "CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER) * 1000) WHERE one = 1;"

static sqlite3_str *mask_columns(sqlite3_str *sql, const struct table *t)
{
    for (unsigned w = 0; w < (t->column_count + 63u) / 64; w++)
        sqlite3_str_appendf(sql, "mask%u, ", w);
    return sql;
}

static void value_columns(sqlite3_str *sql, const struct table *t, const char *prefix, const char *before)
{
    bool is_first = true;
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated)
            continue;
        sqlite3_str_appendf(sql, "%s%s\"%s%w\"", is_first ? "" : ", ", before, prefix, t->column[c].name);
        is_first = false;
    }
}

static void change_table(sqlite3_str *sql, const struct table *t)
{
    sqlite3_str_appendf(sql, "CREATE TABLE dbsync_c_%lld(seq INTEGER PRIMARY KEY, op TEXT, hlc INTEGER, vers BLOB, ",
                        (long long)t->id);
    mask_columns(sql, t);
    value_columns(sql, t, "v_", "");
    sqlite3_str_appendf(sql, ");\nCREATE INDEX dbsync_k_%lld ON dbsync_c_%lld(", (long long)t->id, (long long)t->id);
    for (unsigned k = 0; k < t->key_count; k++)
        sqlite3_str_appendf(sql, "%s\"v_%w\"", k ? ", " : "", t->column[t->key[k]].name);
    sqlite3_str_appendf(sql, ");\n");
    if (t->unique_count)
        sqlite3_str_appendf(sql, "CREATE INDEX dbsync_v_%lld ON dbsync_c_%lld(seq) WHERE op = 'V';\n", (long long)t->id,
                            (long long)t->id);
}

static void insert_into(sqlite3_str *sql, const struct table *t)
{
    sqlite3_str_appendf(sql, " INSERT INTO dbsync_c_%lld(seq, op, hlc, ", (long long)t->id);
    mask_columns(sql, t);
    value_columns(sql, t, "v_", "");
    sqlite3_str_appendf(sql, ")");
}

// One change with constant masks; `row` is OLD or NEW.
static void log_whole(sqlite3_str *sql, const struct table *t, char op, const char *row)
{
    sqlite3_str_appendf(sql, " " TICK);
    insert_into(sql, t);
    sqlite3_str_appendf(sql, " SELECT seq, '%c', hlc, ", op);
    for (unsigned w = 0; w < (t->column_count + 63u) / 64; w++)
        sqlite3_str_appendf(sql, "%d, ", op == 'I' ? -1 : 0);
    value_columns(sql, t, "", row);
    sqlite3_str_appendf(sql, " FROM dbsync_clock WHERE one = 1;");
}

static void key_condition(sqlite3_str *sql, const struct table *t, bool is_same)
{
    for (unsigned k = 0; k < t->key_count; k++) {
        const char *name = t->column[t->key[k]].name;
        sqlite3_str_appendf(sql, "%sOLD.\"%w\" %s NEW.\"%w\"", k ? is_same ? " AND " : " OR " : "", name,
                            is_same ? "IS" : "IS NOT", name);
    }
}

static void change_condition(sqlite3_str *sql, const struct table *t)
{
    bool is_first = true;
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated || t->column[c].in_key)
            continue;
        sqlite3_str_appendf(
            sql, "%sOLD.\"%w\" IS NOT NEW.\"%w\" COLLATE BINARY OR typeof(OLD.\"%w\") <> typeof(NEW.\"%w\")",
            is_first ? "" : " OR ", t->column[c].name, t->column[c].name, t->column[c].name, t->column[c].name);
        is_first = false;
    }
    if (is_first)
        sqlite3_str_appendf(sql, "0");
}

static void update_mask(sqlite3_str *sql, const struct table *t)
{
    for (unsigned w = 0; w < (t->column_count + 63u) / 64; w++) {
        sqlite3_str_appendf(sql, "0");
        for (unsigned c = w * 64; c < t->column_count && c < (w + 1) * 64; c++) {
            const char *name = t->column[c].name;
            if (!t->column[c].is_generated && !t->column[c].in_key)
                sqlite3_str_appendf(sql,
                                    " | ((OLD.\"%w\" IS NOT NEW.\"%w\" COLLATE BINARY OR typeof(OLD.\"%w\") <> "
                                    "typeof(NEW.\"%w\")) << %u)",
                                    name, name, name, name, c - w * 64);
        }
        sqlite3_str_appendf(sql, ", ");
    }
}

static void trigger(sqlite3_str *sql, const struct table *t, const char *suffix, const char *event, char *when)
{
    sqlite3_str_appendf(sql, "CREATE TRIGGER dbsync_%s_%lld %s ON \"%w\"%s BEGIN", suffix, (long long)t->id, event,
                        t->name, when ? when : "");
    sqlite3_free(when);
}

static void update_triggers(sqlite3_str *sql, const struct table *t)
{
    sqlite3_str *when = sqlite3_str_new(NULL);
    sqlite3_str_appendf(when, " WHEN (");
    key_condition(when, t, true);
    sqlite3_str_appendf(when, ") AND (");
    change_condition(when, t);
    sqlite3_str_appendf(when, ")");
    trigger(sql, t, "u", "AFTER UPDATE", sqlite3_str_finish(when));
    sqlite3_str_appendf(sql, " " TICK);
    insert_into(sql, t);
    sqlite3_str_appendf(sql, " SELECT seq, 'U', hlc, ");
    update_mask(sql, t);
    value_columns(sql, t, "", "NEW.");
    sqlite3_str_appendf(sql, " FROM dbsync_clock WHERE one = 1; END;\n");

    when = sqlite3_str_new(NULL);
    sqlite3_str_appendf(when, " WHEN ");
    key_condition(when, t, false);
    trigger(sql, t, "k", "AFTER UPDATE", sqlite3_str_finish(when));
    log_whole(sql, t, 'D', "OLD.");
    log_whole(sql, t, 'I', "NEW.");
    sqlite3_str_appendf(sql, " END;\n");
}

// Rows that share a unique key with NEW and are another row.
static void victims(sqlite3_str *sql, const struct table *t, const struct unique_key *u)
{
    sqlite3_str_appendf(sql, " " TICK);
    insert_into(sql, t);
    sqlite3_str_appendf(sql, " SELECT seq, 'V', hlc, ");
    for (unsigned w = 0; w < (t->column_count + 63u) / 64; w++)
        sqlite3_str_appendf(sql, "0, ");
    value_columns(sql, t, "", "r.");
    sqlite3_str_appendf(sql, " FROM dbsync_clock, \"%w\" r WHERE ", t->name);
    for (unsigned i = 0; i < u->column_count; i++)
        sqlite3_str_appendf(sql, "r.\"%w\" = NEW.\"%w\" AND ", t->column[u->column[i]].name,
                            t->column[u->column[i]].name);
    sqlite3_str_appendf(sql, "(");
    for (unsigned k = 0; k < t->key_count; k++)
        sqlite3_str_appendf(sql, "%sr.\"%w\" IS NOT NEW.\"%w\"", k ? " OR " : "", t->column[t->key[k]].name,
                            t->column[t->key[k]].name);
    sqlite3_str_appendf(sql, ");");
}

static void victim_triggers(sqlite3_str *sql, const struct table *t)
{
    if (t->unique_count == 0)
        return;
    trigger(sql, t, "b", "BEFORE INSERT", NULL);
    for (unsigned u = 0; u < t->unique_count; u++)
        victims(sql, t, &t->unique[u]);
    sqlite3_str_appendf(sql, " END;\n");
    for (unsigned u = 0; u < t->unique_count; u++) {
        char event[64];
        sqlite3_str *when = sqlite3_str_new(NULL);
        sqlite3_str_appendf(when, " WHEN ");
        for (unsigned i = 0; i < t->unique[u].column_count; i++) {
            const char *name = t->column[t->unique[u].column[i]].name;
            sqlite3_str_appendf(when, "%sOLD.\"%w\" IS NOT NEW.\"%w\"", i ? " OR " : "", name, name);
        }
        snprintf(event, sizeof event, "r%u", u);
        trigger(sql, t, event, "BEFORE UPDATE", sqlite3_str_finish(when));
        victims(sql, t, &t->unique[u]);
        sqlite3_str_appendf(sql, " END;\n");
    }
}

static void triggers(sqlite3_str *sql, const struct table *t)
{
    trigger(sql, t, "i", "AFTER INSERT", NULL);
    log_whole(sql, t, 'I', "NEW.");
    sqlite3_str_appendf(sql, " END;\n");
    trigger(sql, t, "d", "AFTER DELETE", NULL);
    log_whole(sql, t, 'D', "OLD.");
    sqlite3_str_appendf(sql, " END;\n");
    update_triggers(sql, t);
    victim_triggers(sql, t);
}

// All triggers of a table id, whatever their number.
static int drop_triggers(struct door_sqlite *d, int64_t id, struct problem *problem)
{
    char *names[64];
    unsigned count = 0;
    sqlite3_stmt *s = sqlite_cached(
        d, "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name GLOB 'dbsync_*_' || ?1", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int64(s, 1, id);
    while (count < 64 && sqlite_step(d, s, problem) == 1)
        names[count++] = memory_text((const char *)sqlite3_column_text(s, 0));
    sqlite3_reset(s);
    int result = 0;
    for (unsigned i = 0; i < count; i++) {
        if (result == 0)
            result = sqlite_runf(d, problem, "DROP TRIGGER \"%w\"", names[i]);
        free(names[i]);
    }
    return result;
}

// Columns that the table got since: the change table follows, captured changes stay.
static int extend_change_table(struct door_sqlite *d, const struct table *t, struct problem *problem)
{
    int result = 0;
    for (unsigned c = 0; result == 0 && c < t->column_count; c++) {
        int64_t has = 0;
        char *name = sqlite3_mprintf("v_%s", t->column[c].name),
             *table = sqlite3_mprintf("dbsync_c_%lld", (long long)t->id);
        has = sqlite3_table_column_metadata(d->db, NULL, table, name, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
        if (!has && !t->column[c].is_generated)
            result = sqlite_runf(d, problem, "ALTER TABLE \"%w\" ADD COLUMN \"%w\"", table, name);
        sqlite3_free(name);
        sqlite3_free(table);
    }
    return result;
}

static int describe_one(struct door_sqlite *d, const char *name, const struct door_table_options *options,
                        struct schema **schema, struct problem *problem)
{
    *schema = memory_take(sizeof **schema);
    (*schema)->table = memory_take(sizeof *(*schema)->table);
    (*schema)->table_count = 1;
    int result = door_sqlite_describe(d, name, options, (*schema)->table, problem);
    if (result == 0)
        schema_finish(*schema);
    return result;
}

static int run_and_free(struct door_sqlite *d, sqlite3_str *sql, struct problem *problem)
{
    char *text = sqlite3_str_finish(sql);
    int result = text ? sqlite_run(d, text, problem) : problem_set(problem, ENOMEM, "out of memory");
    sqlite3_free(text);
    return result;
}

static int add_in_transaction(struct door_sqlite *d, struct table *t, const struct door_table_options *options,
                              struct problem *problem)
{
    int64_t id = 0;
    sqlite3_stmt *s = sqlite_cached(d, "SELECT id FROM dbsync_table WHERE name = ?1", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_text(s, 1, t->name, -1, SQLITE_STATIC);
    int result = sqlite_step(d, s, problem);
    bool is_known = result == 1;
    id = is_known ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    if (result < 0)
        return result;
    result = sqlite_runf(
        d, problem,
        "INSERT INTO dbsync_table(name, granularity, unique_policy, epoch, definition) VALUES(%Q, %d, %d, 1, "
        "%Q) ON CONFLICT(name) DO UPDATE SET granularity = excluded.granularity, unique_policy = "
        "excluded.unique_policy, epoch = epoch + 1, definition = excluded.definition;"
        "UPDATE dbsync_site SET adds = adds + 1",
        t->name, options->granularity, options->unique, t->definition);
    if (result < 0)
        return result;
    t->id = is_known ? id : sqlite3_last_insert_rowid(d->db);
    sqlite3_str *sql = sqlite3_str_new(NULL);
    if (is_known) {
        result = drop_triggers(d, t->id, problem);
        if (result == 0)
            result = extend_change_table(d, t, problem);
    } else {
        change_table(sql, t);
    }
    triggers(sql, t);
    int ran = run_and_free(d, sql, problem);
    return result < 0 ? result : ran;
}

int door_sqlite_add_table(struct door *door, const char *name, const struct door_table_options *options,
                          struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    struct schema *schema = NULL;
    struct door_identity identity;
    int result = door_sqlite_identity(door, &identity, problem);
    if (result == 0)
        result = describe_one(d, name, options, &schema, problem);
    if (result == 0)
        result = door_sqlite_begin(d, true, problem);
    if (result == 0) {
        result = add_in_transaction(d, schema->table, options, problem);
        if (result == 0)
            result = door_sqlite_commit(d, problem);
        if (result < 0)
            door_sqlite_rollback(d);
    }
    schema_free(schema);
    return result;
}

int door_sqlite_remove_table(struct door *door, const char *name, bool force, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    const struct schema *schema;
    int64_t unsent = 0, id = -1;
    int result = door_sqlite_schema(door, &schema, problem);
    if (result < 0 && result != -ESTALE)
        return result;
    sqlite3_stmt *s = sqlite_cached(d, "SELECT id FROM dbsync_table WHERE name = ?1", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    if (sqlite_step(d, s, problem) == 1)
        id = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    if (id < 0)
        return problem_set(problem, ENOENT, "table %s is not synchronised", name);
    char *count = sqlite3_mprintf(
        "SELECT count(*) FROM dbsync_c_%lld WHERE seq > (SELECT min(cut_seq) FROM dbsync_peer)", (long long)id);
    sqlite3_stmt *counted = NULL;
    if (count && sqlite3_prepare_v2(d->db, count, -1, &counted, NULL) == SQLITE_OK &&
        sqlite3_step(counted) == SQLITE_ROW)
        unsent = sqlite3_column_int64(counted, 0);
    sqlite3_finalize(counted);
    sqlite3_free(count);
    if (unsent > 0 && !force)
        return problem_set(problem, EBUSY, "table %s has %lld changes that were not sent; wait, or use --force", name,
                           (long long)unsent);
    door_sqlite_forget_schema(d);
    result = door_sqlite_begin(d, true, problem);
    if (result == 0)
        result = drop_triggers(d, id, problem);
    if (result == 0)
        result =
            sqlite_runf(d, problem,
                        "DROP TABLE dbsync_c_%lld; DELETE FROM dbsync_table WHERE id = %lld; DELETE FROM dbsync_remote "
                        "WHERE tbl = %lld; UPDATE dbsync_site SET adds = adds + 1",
                        (long long)id, (long long)id, (long long)id);
    if (result == 0)
        result = door_sqlite_commit(d, problem);
    if (result < 0)
        door_sqlite_rollback(d);
    return result;
}

int door_sqlite_table_sql(struct door *door, const char *name, const struct door_table_options *options, char **sql,
                          struct problem *problem)
{
    struct schema *schema = NULL;
    int result = describe_one(door_sqlite_of(door), name, options, &schema, problem);
    if (result == 0) {
        sqlite3_str *text = sqlite3_str_new(NULL);
        change_table(text, schema->table);
        triggers(text, schema->table);
        char *built = sqlite3_str_finish(text);
        *sql = memory_text(built);
        sqlite3_free(built);
    }
    schema_free(schema);
    return result;
}
