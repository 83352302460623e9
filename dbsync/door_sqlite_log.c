// SPDX-License-Identifier: Apache-2.0
// Change rows: read as registers, written for repairs and folded changes; the statements of each table.
#include <errno.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"
#include "dbsync/row_codec.h"

static void names(sqlite3_str *sql, const struct table *t, const char *prefix)
{
    bool is_first = true;
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!t->column[c].is_generated) {
            sqlite3_str_appendf(sql, "%s\"%s%w\"", is_first ? "" : ", ", prefix, t->column[c].name);
            is_first = false;
        }
    }
}

static unsigned mask_count(const struct table *t)
{
    return (t->column_count + 63u) / 64;
}

static void where_key(sqlite3_str *sql, const struct table *t, const char *prefix)
{
    for (unsigned k = 0; k < t->key_count; k++)
        sqlite3_str_appendf(sql, "%s\"%s%w\" = ?%u", k ? " AND " : "", prefix, t->column[t->key[k]].name, k + 1);
}

static void select_changes(sqlite3_str *sql, const struct table *t)
{
    sqlite3_str_appendf(sql, "SELECT seq, op, hlc, vers, ");
    for (unsigned w = 0; w < mask_count(t); w++)
        sqlite3_str_appendf(sql, "mask%u, ", w);
    names(sql, t, "v_");
    sqlite3_str_appendf(sql, " FROM dbsync_c_%lld WHERE ", (long long)t->id);
}

static void insert_row(sqlite3_str *sql, const struct table *t)
{
    bool is_first = true;
    unsigned at = 1;
    sqlite3_str_appendf(sql, "INSERT INTO \"%w\"(", t->name);
    names(sql, t, "");
    sqlite3_str_appendf(sql, ") VALUES(");
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!t->column[c].is_generated)
            sqlite3_str_appendf(sql, "%s?%u", at > 1 ? ", " : "", at), at++;
    }
    sqlite3_str_appendf(sql, ") ON CONFLICT(");
    for (unsigned k = 0; k < t->key_count; k++)
        sqlite3_str_appendf(sql, "%s\"%w\"", k ? ", " : "", t->column[t->key[k]].name);
    sqlite3_str_appendf(sql, ") DO ");
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!t->column[c].is_generated && !t->column[c].in_key) {
            sqlite3_str_appendf(sql, "%s\"%w\" = excluded.\"%w\"", is_first ? "UPDATE SET " : ", ", t->column[c].name,
                                t->column[c].name);
            is_first = false;
        }
    }
    if (is_first)
        sqlite3_str_appendf(sql, "NOTHING");
}

static void log_row(sqlite3_str *sql, const struct table *t)
{
    sqlite3_str_appendf(sql, "INSERT INTO dbsync_c_%lld(seq, op, hlc, vers, ", (long long)t->id);
    names(sql, t, "v_");
    sqlite3_str_appendf(sql, ") VALUES(?1, ?2, ?3, ?4");
    unsigned at = 5;
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!t->column[c].is_generated)
            sqlite3_str_appendf(sql, ", ?%u", at++);
    }
    sqlite3_str_appendf(sql, ")");
}

static void key_tuple(sqlite3_str *sql, const struct table *t, const char *relation, unsigned parameter)
{
    sqlite3_str_appendf(sql, "(");
    for (unsigned k = 0; k < t->key_count; k++)
        sqlite3_str_appendf(sql, "%s\"%w\"", k ? ", " : "", t->column[t->key[k]].name);
    sqlite3_str_appendf(sql, ") %s (", relation);
    for (unsigned k = 0; k < t->key_count; k++)
        sqlite3_str_appendf(sql, "%s?%u", k ? ", " : "", parameter + k);
    sqlite3_str_appendf(sql, ")");
}

// Parameters: the key after which, then the key up to which.
static void chunk(sqlite3_str *sql, const struct table *t, bool after, bool upto)
{
    sqlite3_str_appendf(sql, "SELECT ");
    names(sql, t, "");
    sqlite3_str_appendf(sql, " FROM \"%w\"%s", t->name, after || upto ? " WHERE " : "");
    if (after)
        key_tuple(sql, t, ">", 1);
    if (upto) {
        sqlite3_str_appendf(sql, after ? " AND " : "");
        key_tuple(sql, t, "<=", t->key_count + 1u);
    }
    sqlite3_str_appendf(sql, " ORDER BY ");
    for (unsigned k = 0; k < t->key_count; k++)
        sqlite3_str_appendf(sql, "%s\"%w\"", k ? ", " : "", t->column[t->key[k]].name);
}

static void statement_text(sqlite3_str *sql, const struct table *t, enum table_statement which)
{
    switch (which) {
    case STATEMENT_ROW:
        sqlite3_str_appendf(sql, "SELECT ");
        names(sql, t, "");
        sqlite3_str_appendf(sql, " FROM \"%w\" WHERE ", t->name);
        where_key(sql, t, "");
        break;
    case STATEMENT_SETTLE_GONE:
        sqlite3_str_appendf(
            sql, "UPDATE dbsync_c_%lld SET op = 'D' WHERE op = 'V' AND NOT EXISTS(SELECT 1 FROM \"%w\" WHERE ",
            (long long)t->id, t->name);
        for (unsigned k = 0; k < t->key_count; k++)
            sqlite3_str_appendf(sql, "%s\"%w\" = \"v_%w\"", k ? " AND " : "", t->column[t->key[k]].name,
                                t->column[t->key[k]].name);
        sqlite3_str_appendf(sql, ")");
        break;
    case STATEMENT_SETTLE_REST:
        sqlite3_str_appendf(sql, "DELETE FROM dbsync_c_%lld WHERE op = 'V'", (long long)t->id);
        break;
    case STATEMENT_HAS_WINDOW:
        sqlite3_str_appendf(
            sql, "SELECT EXISTS(SELECT 1 FROM dbsync_c_%lld), EXISTS(SELECT 1 FROM dbsync_remote WHERE tbl = %lld)",
            (long long)t->id, (long long)t->id);
        break;
    case STATEMENT_WINDOW:
        select_changes(sql, t);
        where_key(sql, t, "v_");
        sqlite3_str_appendf(sql, " ORDER BY seq");
        break;
    case STATEMENT_REMOTE:
        sqlite3_str_appendf(sql, "SELECT registers FROM dbsync_remote WHERE tbl = %lld AND key = ?1", (long long)t->id);
        break;
    case STATEMENT_DELETE:
        sqlite3_str_appendf(sql, "DELETE FROM \"%w\" WHERE ", t->name);
        where_key(sql, t, "");
        break;
    case STATEMENT_INSERT:
        insert_row(sql, t);
        break;
    case STATEMENT_LOG:
        log_row(sql, t);
        break;
    case STATEMENT_LOG_RANGE:
        select_changes(sql, t);
        sqlite3_str_appendf(sql, "seq > ?1 AND seq <= ?2 ORDER BY seq");
        break;
    case STATEMENT_LOG_ORDERED:
        select_changes(sql, t);
        sqlite3_str_appendf(sql, "seq > ?1 AND seq <= ?2 ORDER BY ");
        for (unsigned k = 0; k < t->key_count; k++)
            sqlite3_str_appendf(sql, "\"v_%w\", ", t->column[t->key[k]].name);
        sqlite3_str_appendf(sql, "seq");
        break;
    case STATEMENT_OLDEST:
        sqlite3_str_appendf(sql, "SELECT hlc FROM dbsync_c_%lld WHERE seq > ?1 ORDER BY seq LIMIT 1", (long long)t->id);
        break;
    case STATEMENT_LOG_DROP:
        sqlite3_str_appendf(sql, "DELETE FROM dbsync_c_%lld WHERE ", (long long)t->id);
        where_key(sql, t, "v_");
        sqlite3_str_appendf(sql, " AND seq > ?%u", t->key_count + 1u);
        break;
    case STATEMENT_CHUNK:
    case STATEMENT_CHUNK_AFTER:
    case STATEMENT_CHUNK_UPTO:
    case STATEMENT_CHUNK_BETWEEN:
        chunk(sql, t, which == STATEMENT_CHUNK_AFTER || which == STATEMENT_CHUNK_BETWEEN,
              which == STATEMENT_CHUNK_UPTO || which == STATEMENT_CHUNK_BETWEEN);
        break;
    case STATEMENT_COUNT:
        break;
    }
}

sqlite3_stmt *door_sqlite_statement(struct door_sqlite *d, const struct table *table, enum table_statement which,
                                    struct problem *problem)
{
    sqlite3_stmt **statement = &d->sql[table - d->schema->table].statement[which];
    if (*statement) {
        sqlite3_reset(*statement);
        return *statement;
    }
    sqlite3_str *text = sqlite3_str_new(NULL);
    statement_text(text, table, which);
    char *sql = sqlite3_str_finish(text);
    if (!sql || sqlite_prepare(d, sql, statement, problem) < 0)
        *statement = NULL;
    sqlite3_free(sql);
    return *statement;
}

// ---- reading ----

// Op and masks as registers; the values are already in the row.
static void set_registers(struct row *row, char op, struct version v, sqlite3_stmt *s, int mask_at)
{
    const struct table *t = row->table;
    row->life = op == 'D' ? LIFE_DEAD : LIFE_LIVE;
    row->is_born = op == 'I';
    row->life_version = v;
    for (unsigned c = 0; c < t->column_count; c++) {
        uint64_t mask = (uint64_t)sqlite3_column_int64(s, mask_at + (int)(c / 64));
        if (!t->column[c].is_generated && !t->column[c].in_key && (mask >> c % 64 & 1))
            row->version[c] = v;
    }
}

static int read_registers(struct door_sqlite *d, struct row *row, char op, sqlite3_stmt *s, struct problem *problem)
{
    const struct table *t = row->table;
    if (sqlite3_column_type(s, 3) == SQLITE_BLOB) {
        if (row_decode_versions(row, sqlite3_column_blob(s, 3), (size_t)sqlite3_column_bytes(s, 3)) == 0)
            return 0;
        return problem_set(problem, EIO, "%s: versions of a change of table %s are malformed", d->path, t->name);
    }
    if (op != 'V') // a candidate that was not settled yet says nothing
        set_registers(row, op, version_make(sqlite3_column_int64(s, 2), VERSION_USER, d->site), s, 4);
    return 0;
}

struct row *door_sqlite_change(struct door_sqlite *d, const struct table *table, sqlite3_stmt *s, struct arena *arena,
                               struct problem *problem)
{
    struct value values[SCHEMA_COLUMN_MAX];
    struct value key_values[64];
    struct buffer key = {0};
    int at = 4 + (int)mask_count(table);
    for (unsigned c = 0; c < table->column_count; c++) {
        if (!table->column[c].is_generated) {
            struct value v = sqlite_value(s, at++);
            values[c] = value_copy(arena, &v);
        }
    }
    for (unsigned k = 0; k < table->key_count && k < 64; k++)
        key_values[k] = values[table->key[k]];
    key_encode(&key, key_values, table->key_count);
    struct key own = {arena_copy(arena, key.data, key.len), (uint32_t)key.len};
    buffer_fini(&key);
    struct row *row = row_new(arena, table, own);
    for (unsigned c = 0; row && c < table->column_count; c++) {
        if (!table->column[c].is_generated)
            row_set(row, c, values[c], version_make(0, VERSION_USER, 0));
    }
    char op = ((const char *)sqlite3_column_text(s, 1))[0];
    int failed = row ? read_registers(d, row, op, s, problem)
                     : problem_set(problem, EIO, "%s: change row of table %s is malformed", d->path, table->name);
    if (failed < 0) {
        d->failure = failed;
        return NULL;
    }
    row_close_groups(row);
    return row;
}

// ---- candidates ----

int door_sqlite_settle(struct door_sqlite *d, struct problem *problem)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && d->schema && i < d->schema->table_count; i++) {
        const struct table *t = &d->schema->table[i];
        sqlite3_stmt *gone = t->unique_count ? door_sqlite_statement(d, t, STATEMENT_SETTLE_GONE, problem) : NULL;
        sqlite3_stmt *rest = gone ? door_sqlite_statement(d, t, STATEMENT_SETTLE_REST, problem) : NULL;
        if (t->unique_count == 0)
            continue;
        result = rest ? sqlite_done(d, gone, problem) : d->failure;
        if (result == 0)
            result = sqlite_done(d, rest, problem);
    }
    return result;
}

// ---- writing ----

int door_sqlite_log_row(struct door_sqlite *d, const struct row *row, struct problem *problem)
{
    const struct table *t = row->table;
    struct version latest = row_latest(row);
    sqlite3_stmt *tick =
        sqlite_cached(d, "UPDATE dbsync_clock SET seq = seq + 1, hlc = max(hlc, ?1) RETURNING seq", problem);
    if (!tick)
        return d->failure;
    sqlite3_bind_int64(tick, 1, latest.hlc);
    int result = sqlite_step(d, tick, problem);
    if (result != 1)
        return result < 0 ? result : d->failure;
    int64_t seq = sqlite3_column_int64(tick, 0);
    sqlite3_reset(tick);
    sqlite3_stmt *s = door_sqlite_statement(d, t, STATEMENT_LOG, problem);
    if (!s)
        return d->failure;
    struct buffer versions = {0};
    row_encode_versions(&versions, row);
    sqlite3_bind_int64(s, 1, seq);
    sqlite3_bind_text(s, 2, row->life == LIFE_DEAD ? "D" : "U", 1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 3, latest.hlc);
    sqlite3_bind_blob64(s, 4, versions.data, versions.len, SQLITE_STATIC);
    int at = 5;
    struct value null = value_null();
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!t->column[c].is_generated)
            sqlite_bind(s, at++, row->known[c] ? &row->value[c] : &null);
    }
    result = sqlite_done(d, s, problem);
    buffer_fini(&versions);
    d->sql[t - d->schema->table].has_window = true;
    return result;
}
