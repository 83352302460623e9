// SPDX-License-Identifier: Apache-2.0
// How much of the log one cut may take, and the times of what it takes.
//
// The limits part the log between transactions. Rows are counted always; octets only when the change tables are so
// large that they could exceed the limit.
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_pg_private.h"

// Octets of a change's values as they travel. What the server keeps compressed counts compressed, where asking for
// more would mean to decompress it.
static void sql_octets(struct buffer *sql, const struct table *t, const struct pg_table *p)
{
    enum { ROW_OCTETS = 32 }; // key, mask and version
    pg_sql(sql, "sum(%d", ROW_OCTETS);
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated)
            continue;
        pg_sql(sql, " + coalesce(%s(v%d), 0)", pg_has_octets(&p->column[c]) ? "octet_length" : "pg_column_size",
               p->column[c].attnum);
    }
    pg_sql(sql, ")");
}

// Whether the change tables can hold more octets than the limit: then, and only then, they are counted.
static int must_weigh(struct door_pg *d, uint64_t byte_limit, bool *must, struct problem *problem)
{
    enum { COMPRESSION = 8 };
    struct buffer sql = {0};
    *must = false;
    if (byte_limit == 0)
        return 0;
    pg_sql(&sql, "SELECT 0::bigint");
    for (unsigned i = 0; i < d->schema->table_count; i++)
        pg_sql(&sql, " + pg_table_size('dbsync.c_%lld'::regclass)", (long long)d->schema->table[i].id);
    PGresult *r = pg_ask_kept(d, (const char *)sql.data, NULL, problem);
    buffer_fini(&sql);
    if (!r)
        return -pg_errno(d);
    *must = (uint64_t)pg_number(r, 0, 0) > byte_limit / COMPRESSION;
    PQclear(r);
    return 0;
}

int door_pg_measure(struct door_pg *d, const char *low, const struct door_read_request *limits, struct pg_measure *m,
                    struct problem *problem)
{
    struct buffer sql = {0}, between = {0};
    bool weigh = false;
    int result = must_weigh(d, limits->byte_limit, &weigh, problem);
    if (result < 0)
        return result;
    struct pg_params params = {0};
    pg_put_between(&params, low, NULL);
    pg_put_number(&params, limits->row_limit);
    pg_put_number(&params, weigh ? (int64_t)limits->byte_limit : 0);
    pg_sql_between_kept(&between, false);
    pg_sql(&sql, "WITH x AS (SELECT NULL::xid8 AS xid, 0::bigint AS n, 0::bigint AS b, 0::bigint AS f, 0::bigint AS l "
                 "WHERE false");
    for (unsigned i = 0; i < d->schema->table_count; i++) {
        const struct table *t = &d->schema->table[i];
        pg_sql(&sql, " UNION ALL (SELECT xid, count(*), ");
        if (weigh)
            sql_octets(&sql, t, &d->table[i]);
        else
            pg_sql(&sql, "0");
        pg_sql(&sql, ", min(hlc), max(hlc) FROM dbsync.c_%lld c WHERE %s GROUP BY xid)", (long long)t->id,
               (const char *)between.data);
    }
    // The first transaction that would exceed a limit, but never the first of all.
    pg_sql(
        &sql,
        "), y AS (SELECT xid, sum(n) AS n, sum(b) AS b, min(f) AS f, max(l) AS l FROM x GROUP BY xid), z AS (SELECT "
        "min(xid) AS xid FROM (SELECT xid, n, sum(n) OVER w AS rows, sum(b) OVER w AS octets FROM y WINDOW w AS "
        "(ORDER BY xid)) y WHERE rows > n AND (($3::bigint > 0 AND rows > $3) OR ($4::bigint > 0 AND octets > $4))) "
        "SELECT "
        "coalesce((SELECT xid::text::bigint FROM z), 0), coalesce(min(f), 0)::bigint, coalesce(max(l), 0)::bigint "
        "FROM y WHERE xid < coalesce((SELECT xid FROM z), '18446744073709551615'::xid8) AND $1::xid8 IS NOT NULL AND "
        "$2::pg_snapshot IS NOT NULL");
    PGresult *r = pg_ask_kept(d, (const char *)sql.data, &params, problem);
    if (r)
        *m = (struct pg_measure){pg_number(r, 0, 0), pg_number(r, 0, 1), pg_number(r, 0, 2)};
    PQclear(r);
    buffer_fini(&sql);
    buffer_fini(&between);
    return r ? 0 : -pg_errno(d);
}

// A clock that was set back between two writes of one row: the second one, when it comes in a later cut than the first,
// gets a time behind it, for good, so that every site orders the two as they were made.
int door_pg_raise_late_writes(struct door_pg *d, const struct pg_cut *cut, int64_t first_hlc, struct problem *problem)
{
    int64_t before = 0;
    int result = pg_ask_number(d, &before, problem, "SELECT clock FROM dbsync.cut WHERE peer = %d AND number = %lld",
                               cut->peer, (long long)cut->previous);
    struct buffer between = {0}, latest = {0};
    pg_sql_between(&between, cut->low, cut->high);
    for (unsigned i = 0; result == 0 && before >= first_hlc && i < d->schema->table_count; i++) {
        const struct table *t = &d->schema->table[i];
        long long id = (long long)t->id;
        buffer_reset(&latest);
        pg_sql(&latest, "(SELECT max(p.hlc) FROM dbsync.c_%lld p WHERE p.seq < c.seq", id);
        for (unsigned k = 0; k < t->key_count; k++) {
            int attnum = d->table[i].column[t->key[k]].attnum;
            pg_sql(&latest, " AND p.v%d = c.v%d", attnum, attnum);
        }
        pg_sql(&latest, ")");
        const char *of_row = (const char *)latest.data;
        result = pg_runf(d, problem,
                         "UPDATE dbsync.c_%lld c SET hlc = %s + 1 WHERE %s AND c.vers IS NULL AND c.hlc <= %lld AND "
                         "c.hlc <= %s",
                         id, of_row, (const char *)between.data, (long long)before, of_row);
    }
    buffer_fini(&between);
    buffer_fini(&latest);
    return result;
}
