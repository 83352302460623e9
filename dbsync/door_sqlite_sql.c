// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"

int sqlite_problem(struct door_sqlite *d, struct problem *problem, const char *doing)
{
    int code = sqlite3_errcode(d->db) & 0xff;
    bool is_busy = code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_INTERRUPT;
    bool is_gone = code == SQLITE_NOTADB || code == SQLITE_CANTOPEN;
    d->failure = -(is_busy ? EAGAIN : is_gone ? ENOTCONN : EIO);
    return problem_set(problem, -d->failure, "%s: %s: %s", d->path, doing, sqlite3_errmsg(d->db));
}

int sqlite_run(struct door_sqlite *d, const char *sql, struct problem *problem)
{
    return sqlite3_exec(d->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sqlite_problem(d, problem, sql);
}

int sqlite_runf(struct door_sqlite *d, struct problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *sql = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    int result = sql ? sqlite_run(d, sql, problem) : problem_set(problem, ENOMEM, "out of memory");
    sqlite3_free(sql);
    return result;
}

int sqlite_prepare(struct door_sqlite *d, const char *sql, sqlite3_stmt **statement, struct problem *problem)
{
    if (sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) == SQLITE_OK)
        return 0;
    return sqlite_problem(d, problem, sql);
}

sqlite3_stmt *sqlite_cached(struct door_sqlite *d, const char *literal, struct problem *problem)
{
    for (unsigned i = 0; i < d->cached_count; i++) {
        if (d->cached[i].text == literal) {
            sqlite3_reset(d->cached[i].statement);
            sqlite3_clear_bindings(d->cached[i].statement);
            return d->cached[i].statement;
        }
    }
    sqlite3_stmt *statement;
    if (d->cached_count == sizeof d->cached / sizeof d->cached[0]) {
        problem_set(problem, ENOSPC, "more statements than the door keeps");
        return NULL;
    }
    if (sqlite_prepare(d, literal, &statement, problem) < 0)
        return NULL;
    d->cached[d->cached_count].text = literal;
    d->cached[d->cached_count++].statement = statement;
    return statement;
}

int sqlite_step(struct door_sqlite *d, sqlite3_stmt *statement, struct problem *problem)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return 1;
    int result = code == SQLITE_DONE ? 0 : sqlite_problem(d, problem, sqlite3_sql(statement));
    sqlite3_reset(statement);
    return result;
}

int sqlite_done(struct door_sqlite *d, sqlite3_stmt *statement, struct problem *problem)
{
    int result = sqlite_step(d, statement, problem);
    if (result == 1) {
        sqlite3_reset(statement);
        return 0;
    }
    return result;
}

void sqlite_bind(sqlite3_stmt *statement, int at, const struct value *v)
{
    switch ((enum value_type)v->type) {
    case VALUE_INTEGER:
        sqlite3_bind_int64(statement, at, v->integer);
        return;
    case VALUE_REAL:
        sqlite3_bind_double(statement, at, v->real);
        return;
    case VALUE_TEXT:
        sqlite3_bind_text64(statement, at, v->len ? (const char *)v->bytes : "", v->len, SQLITE_STATIC, SQLITE_UTF8);
        return;
    case VALUE_BLOB:
    case VALUE_NATIVE:
        if (v->len)
            sqlite3_bind_blob64(statement, at, v->bytes, v->len, SQLITE_STATIC);
        else
            sqlite3_bind_zeroblob(statement, at, 0);
        return;
    case VALUE_NULL:
    case VALUE_TYPE_COUNT:
        sqlite3_bind_null(statement, at);
    }
}

void sqlite_bind_key(sqlite3_stmt *statement, int at, const struct table *table, struct key key)
{
    struct bytes_reader in = bytes_reader_init(key.bytes, key.len);
    for (int i = 0; i < table->key_count; i++) {
        struct value v = value_decode(&in);
        sqlite_bind(statement, at + i, &v);
    }
}

struct value sqlite_value(sqlite3_stmt *statement, int at)
{
    switch (sqlite3_column_type(statement, at)) {
    case SQLITE_INTEGER:
        return value_integer(sqlite3_column_int64(statement, at));
    case SQLITE_FLOAT:
        return value_real(sqlite3_column_double(statement, at));
    case SQLITE_TEXT: {
        const void *text = sqlite3_column_text(statement, at);
        return value_bytes(VALUE_TEXT, text, (size_t)sqlite3_column_bytes(statement, at));
    }
    case SQLITE_BLOB: {
        const void *blob = sqlite3_column_blob(statement, at);
        return value_bytes(VALUE_BLOB, blob, (size_t)sqlite3_column_bytes(statement, at));
    }
    default:
        return value_null();
    }
}

int sqlite_number(struct door_sqlite *d, const char *literal, int64_t a, int64_t b, int64_t *out,
                  struct problem *problem)
{
    sqlite3_stmt *s = sqlite_cached(d, literal, problem);
    if (!s)
        return d->failure;
    if (sqlite3_bind_parameter_count(s) > 0)
        sqlite3_bind_int64(s, 1, a);
    if (sqlite3_bind_parameter_count(s) > 1)
        sqlite3_bind_int64(s, 2, b);
    int result = sqlite_step(d, s, problem);
    if (result == 1) {
        *out = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return result < 0 ? result : 0;
}
