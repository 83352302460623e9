// SPDX-License-Identifier: Apache-2.0
// libpq: statements, parameters, COPY in binary both ways, errors by SQLSTATE.
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dbsync/door_pg_private.h"

// ---- text ----

void pg_sql(struct buffer *sql, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    int len = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (len > 0)
        buffer_put(sql, text, (size_t)len);
    free(text);
    *buffer_extend(sql, 1) = 0;
    sql->len--;
}

static void quoted(struct buffer *sql, char quote, const char *text)
{
    buffer_u8(sql, (uint8_t)quote);
    for (; *text; text++) {
        if (*text == quote)
            buffer_u8(sql, (uint8_t)quote);
        buffer_u8(sql, (uint8_t)*text);
    }
    buffer_u8(sql, (uint8_t)quote);
    pg_sql(sql, "%s", "");
}

void pg_sql_name(struct buffer *sql, const char *name)
{
    quoted(sql, '"', name);
}

// standard_conforming_strings is on in our session: a backslash is a backslash.
void pg_sql_literal(struct buffer *sql, const char *text)
{
    quoted(sql, '\'', text);
}

void pg_sql_bytes(struct buffer *sql, const void *bytes, size_t len)
{
    static const char digit[] = "0123456789abcdef";
    const uint8_t *b = bytes;
    buffer_put(sql, "'\\x", 3);
    for (size_t i = 0; i < len; i++) {
        buffer_u8(sql, (uint8_t)digit[b[i] >> 4]);
        buffer_u8(sql, (uint8_t)digit[b[i] & 15]);
    }
    pg_sql(sql, "'::bytea");
}

// ---- parameters ----

static void put(struct pg_params *p, const char *value, size_t len, int format)
{
    if (p->count == PG_PARAM_MAX)
        abort(); // a statement of ours with more parameters than the structure was made for
    p->value[p->count] = value;
    p->len[p->count] = (int)len;
    p->format[p->count++] = format;
}

void pg_put_text(struct pg_params *p, const char *text)
{
    put(p, text, text ? strlen(text) : 0, 0);
}

void pg_put_number(struct pg_params *p, int64_t n)
{
    char *text = p->number[p->count];
    snprintf(text, sizeof p->number[0], "%" PRId64, n);
    pg_put_text(p, text);
}

void pg_put_bytes(struct pg_params *p, const void *bytes, size_t len)
{
    put(p, bytes ? bytes : "", len, 1);
}

// ---- errors ----

int pg_errno(const struct door_pg *d)
{
    static const struct {
        const char *state;
        int error;
    } known[] = {
        {"40", EAGAIN},    // serialisation, deadlock
        {"55P03", EAGAIN}, // lock_timeout
        {"55006", EAGAIN}, // object in use
        {"57014", EAGAIN}, // cancelled
        {"53", EAGAIN},    // out of disk, memory, connections: an operator may cure it
        {"57P", ENOTCONN}, // shut down, crashed, starting up
        {"08", ENOTCONN},  {"42P01", ESTALE}, {"42703", ESTALE}, {"3F000", ESTALE}, {"42501", EACCES},
    };
    if (PQstatus(d->db) != CONNECTION_OK)
        return ENOTCONN;
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strncmp(d->sqlstate, known[i].state, strlen(known[i].state)) == 0)
            return known[i].error;
    }
    return EIO;
}

int pg_problem(struct door_pg *d, const PGresult *result, struct problem *problem, const char *doing)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *text = result ? PQresultErrorMessage(result) : PQerrorMessage(d->db);
    snprintf(d->sqlstate, sizeof d->sqlstate, "%s", state ? state : "");
    int len = (int)strcspn(text, "\n");
    return problem_set(problem, pg_errno(d), "%s: %.*s%s%s (%.200s)", d->name, len, text, state ? " SQLSTATE " : "",
                       state ? state : "", doing);
}

// ---- statements ----

int pg_run(struct door_pg *d, const char *sql, struct problem *problem)
{
    PGresult *r = PQexec(d->db, sql);
    ExecStatusType status = PQresultStatus(r);
    int result = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : pg_problem(d, r, problem, sql);
    PQclear(r);
    return result;
}

static char *format_text(const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        abort();
    return text;
}

int pg_runf(struct door_pg *d, struct problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *sql = format_text(format, arguments);
    va_end(arguments);
    int result = pg_run(d, sql, problem);
    free(sql);
    return result;
}

// The result of a statement, or NULL and the problem when the server did not do it.
static PGresult *checked(struct door_pg *d, PGresult *r, const char *sql, struct problem *problem)
{
    ExecStatusType status = PQresultStatus(r);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return r;
    pg_problem(d, r, problem, sql);
    PQclear(r);
    return NULL;
}

PGresult *pg_ask(struct door_pg *d, const char *sql, const struct pg_params *p, struct problem *problem)
{
    PGresult *r = PQexecParams(d->db, sql, p ? p->count : 0, NULL, p ? p->value : NULL, p ? p->len : NULL,
                               p ? p->format : NULL, 1);
    return checked(d, r, sql, problem);
}

// Names a prepared statement; a full list is thrown away, as only definitions that change again and again can fill it.
static int keep(struct door_pg *d, const char *sql, uint64_t hash, const char *name, struct problem *problem)
{
    for (unsigned i = 0; i < d->kept_count; i++) {
        if (d->kept[i] == hash)
            return 0;
    }
    if (d->kept_count == PG_KEPT_MAX) {
        int result = pg_run(d, "DEALLOCATE ALL", problem);
        if (result < 0)
            return result;
        d->kept_count = 0;
    }
    PGresult *r = PQprepare(d->db, name, sql, 0, NULL);
    bool is_kept = PQresultStatus(r) == PGRES_COMMAND_OK;
    int result = is_kept ? 0 : pg_problem(d, r, problem, sql);
    PQclear(r);
    if (is_kept)
        d->kept[d->kept_count++] = hash;
    return result;
}

PGresult *pg_ask_kept(struct door_pg *d, const char *sql, const struct pg_params *p, struct problem *problem)
{
    char name[24];
    uint64_t hash = XXH3_64bits(sql, strlen(sql));
    snprintf(name, sizeof name, "k%016" PRIx64, hash);
    if (keep(d, sql, hash, name, problem) < 0)
        return NULL;
    PGresult *r =
        PQexecPrepared(d->db, name, p ? p->count : 0, p ? p->value : NULL, p ? p->len : NULL, p ? p->format : NULL, 1);
    return checked(d, r, sql, problem);
}

static PGresult *ask_text(struct door_pg *d, struct problem *problem, const char *format, va_list arguments)
{
    char *sql = format_text(format, arguments);
    PGresult *r = pg_ask(d, sql, NULL, problem);
    free(sql);
    return r;
}

PGresult *pg_askf(struct door_pg *d, struct problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PGresult *r = ask_text(d, problem, format, arguments);
    va_end(arguments);
    return r;
}

static int64_t big_endian(const void *bytes, int len)
{
    const uint8_t *b = bytes;
    uint64_t n = len > 0 && b[0] & 0x80 && len > 1 ? UINT64_MAX : 0;
    for (int i = 0; i < len && i < 8; i++)
        n = n << 8 | b[i];
    return (int64_t)n;
}

int64_t pg_number(const PGresult *r, int row, int column)
{
    return big_endian(PQgetvalue(r, row, column), PQgetlength(r, row, column));
}

const char *pg_text(const PGresult *r, int row, int column)
{
    return PQgetvalue(r, row, column);
}

char *pg_text_copy(const PGresult *r, int row, int column)
{
    return PQgetisnull(r, row, column) ? NULL : memory_text(PQgetvalue(r, row, column));
}

struct value pg_value(const PGresult *r, int row, int column)
{
    if (PQgetisnull(r, row, column))
        return value_null();
    return value_bytes(VALUE_NATIVE, PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
}

int pg_ask_number(struct door_pg *d, int64_t *out, struct problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PGresult *r = ask_text(d, problem, format, arguments);
    va_end(arguments);
    if (!r)
        return -pg_errno(d);
    if (PQntuples(r) > 0 && !PQgetisnull(r, 0, 0))
        *out = pg_number(r, 0, 0);
    PQclear(r);
    return 0;
}

// ---- COPY in ----

static void put_be(struct buffer *out, uint64_t n, int len)
{
    uint8_t *p = buffer_extend(out, (size_t)len);
    for (int i = len - 1; i >= 0; i--, n >>= 8)
        p[i] = (uint8_t)n;
}

int pg_copy_begin(struct door_pg *d, struct pg_copy *copy, const char *sql, struct problem *problem)
{
    static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0";
    memset(copy, 0, sizeof *copy);
    copy->d = d;
    PGresult *r = PQexec(d->db, sql);
    int result = PQresultStatus(r) == PGRES_COPY_IN ? 0 : pg_problem(d, r, problem, sql);
    PQclear(r);
    buffer_put(&copy->out, header, 19);
    return result;
}

static void drain(struct pg_copy *copy)
{
    enum { CHUNK_BYTES = 1 << 20 };
    for (size_t at = 0; at < copy->out.len && !copy->failed; at += CHUNK_BYTES) {
        size_t len = copy->out.len - at < CHUNK_BYTES ? copy->out.len - at : CHUNK_BYTES;
        copy->failed = PQputCopyData(copy->d->db, (const char *)copy->out.data + at, (int)len) != 1;
    }
    buffer_reset(&copy->out);
}

void pg_copy_row(struct pg_copy *copy, unsigned fields)
{
    if (copy->out.len > 64 << 10)
        drain(copy);
    put_be(&copy->out, fields, 2);
}

void pg_copy_octets(struct pg_copy *copy, const void *bytes, size_t len)
{
    put_be(&copy->out, len, 4);
    buffer_put(&copy->out, bytes, len);
}

void pg_copy_value(struct pg_copy *copy, const struct value *v)
{
    if (v && v->type == VALUE_NATIVE)
        pg_copy_octets(copy, v->bytes, v->len);
    else
        put_be(&copy->out, UINT32_MAX, 4);
}

void pg_copy_i64(struct pg_copy *copy, int64_t n)
{
    put_be(&copy->out, 8, 4);
    put_be(&copy->out, (uint64_t)n, 8);
}

void pg_copy_i32(struct pg_copy *copy, int32_t n)
{
    put_be(&copy->out, 4, 4);
    put_be(&copy->out, (uint32_t)n, 4);
}

int pg_copy_end(struct pg_copy *copy, struct problem *problem)
{
    put_be(&copy->out, 0xffff, 2);
    drain(copy);
    PQputCopyEnd(copy->d->db, copy->failed ? "cut short" : NULL);
    int result = 0;
    for (PGresult *r; (r = PQgetResult(copy->d->db)); PQclear(r)) {
        if (PQresultStatus(r) != PGRES_COMMAND_OK && result == 0)
            result = pg_problem(copy->d, r, problem, "COPY");
    }
    if (PQstatus(copy->d->db) != CONNECTION_OK && result == 0)
        result = pg_problem(copy->d, NULL, problem, "COPY");
    buffer_fini(&copy->out);
    return result;
}

// ---- COPY out ----

struct copy_reader {
    struct value *field;
    unsigned cap;
    bool has_header;
};

// One piece is one row, behind the header in the first. 1: a row; 0: the trailer; -EBADMSG.
static int read_copied(struct copy_reader *c, const char *bytes, int len, unsigned *count)
{
    struct bytes_reader in = bytes_reader_init(bytes, (size_t)len);
    if (!c->has_header) {
        bytes_take(&in, 15);
        const uint8_t *extension = bytes_take(&in, 4);
        if (extension)
            bytes_take(&in, (size_t)big_endian(extension, 4));
        c->has_header = true;
        if (!in.failed && bytes_left(&in) == 0) {
            *count = 0;
            return 1;
        }
    }
    const uint8_t *n = bytes_take(&in, 2);
    int fields = n ? (int)(int16_t)big_endian(n, 2) : -2;
    if (fields == -1)
        return 0;
    if (fields < 0)
        return -EBADMSG;
    if ((unsigned)fields > c->cap) {
        c->cap = (unsigned)fields;
        c->field = memory_resize(c->field, c->cap * sizeof *c->field);
    }
    for (int i = 0; i < fields; i++) {
        const uint8_t *l = bytes_take(&in, 4);
        int64_t size = l ? big_endian(l, 4) : -1;
        c->field[i] = size < 0 ? value_null() : value_bytes(VALUE_NATIVE, bytes_take(&in, (size_t)size), (size_t)size);
    }
    *count = (unsigned)fields;
    return in.failed ? -EBADMSG : 1;
}

int pg_copy_out(struct door_pg *d, const char *query, pg_copied *row, void *context, struct problem *problem)
{
    struct copy_reader reader = {0};
    struct buffer sql = {0};
    pg_sql(&sql, "COPY (%s) TO STDOUT (FORMAT binary)", query);
    PGresult *r = PQexec(d->db, (const char *)sql.data);
    int result = PQresultStatus(r) == PGRES_COPY_OUT ? 0 : pg_problem(d, r, problem, (const char *)sql.data);
    bool is_copying = result == 0;
    PQclear(r);
    buffer_fini(&sql);
    char *bytes = NULL;
    int len;
    while (is_copying && (len = PQgetCopyData(d->db, &bytes, 0)) > 0) {
        unsigned count = 0;
        int status = result == 0 ? read_copied(&reader, bytes, len, &count) : 0;
        if (status == 1 && count > 0)
            result = row(context, reader.field, count); // an error: the rest is read and thrown away
        else if (status < 0)
            result = problem_set(problem, EIO, "%s: COPY gave what is not its binary format", d->name);
        PQfreemem(bytes);
    }
    while (is_copying && (r = PQgetResult(d->db))) {
        if (PQresultStatus(r) != PGRES_COMMAND_OK && result == 0)
            result = pg_problem(d, r, problem, query);
        PQclear(r);
    }
    free(reader.field);
    return result;
}

// ---- keys ----

int pg_keys_put(struct pg_keys *keys, struct pg_params *params, struct door_pg *d, const struct table *t,
                const struct key *key, unsigned count, struct problem *problem)
{
    struct pg_table *p = pg_table_of(d, t);
    memset(keys, 0, sizeof *keys);
    for (unsigned k = 0; k < t->key_count; k++) {
        put_be(&keys->column[k], count > 0, 4);
        put_be(&keys->column[k], 0, 4);
        put_be(&keys->column[k], p->column[t->key[k]].oid, 4);
        if (count) {
            put_be(&keys->column[k], count, 4);
            put_be(&keys->column[k], 1, 4);
        }
    }
    for (unsigned i = 0; i < count; i++) {
        struct bytes_reader in = bytes_reader_init(key[i].bytes, key[i].len);
        for (unsigned k = 0; k < t->key_count; k++) {
            struct value v = value_decode(&in);
            if (v.type != VALUE_NATIVE)
                return problem_set(problem, EBADMSG, "table %s: a row identifier is not of this database's form",
                                   t->name);
            put_be(&keys->column[k], v.len, 4);
            buffer_put(&keys->column[k], v.bytes, v.len);
        }
    }
    for (unsigned k = 0; k < t->key_count; k++)
        pg_put_bytes(params, keys->column[k].data, keys->column[k].len);
    return 0;
}

void pg_keys_fini(struct pg_keys *keys)
{
    for (unsigned k = 0; k < 64; k++)
        buffer_fini(&keys->column[k]);
}

void pg_sql_keys(struct buffer *sql, struct door_pg *d, const struct table *t)
{
    struct pg_table *p = pg_table_of(d, t);
    pg_sql(sql, "unnest(");
    for (unsigned k = 0; k < t->key_count; k++)
        pg_sql(sql, "%s$%u::%s[]", k ? ", " : "", k + 1, p->column[t->key[k]].base);
    pg_sql(sql, ") WITH ORDINALITY k(");
    for (unsigned k = 0; k < t->key_count; k++)
        pg_sql(sql, "k%u, ", k + 1);
    pg_sql(sql, "i)");
}
