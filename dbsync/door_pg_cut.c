// SPDX-License-Identifier: Apache-2.0
// Cuts of the log by transaction snapshot.
//
// A cut is a snapshot S_k; its batch holds the changes of the transactions visible in S_k and not in S_(k-1). A long
// transaction is simply not in S_k and comes with a later cut, so none is waited for and none is lost, in whatever
// order they commit; a rolled-back one is never visible; a prepared one becomes visible with COMMIT PREPARED.
//
// The cut is made and recorded in one short REPEATABLE READ transaction, whose snapshot is S_k; what is applied here
// (`needs`) and the digests are read in it, too. The changes are read later: whoever is visible in S_k stays visible.
// The number is drawn before the snapshot, so everything committed before a number was known is in that number's cut,
// and cuts are made one at a time, so a greater number means a later snapshot, whichever peer it is for.
//
// A row limit takes the transactions up to some number of those visible: a snapshot like any other, only that no
// server ever had it.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_pg_private.h"

enum { BOOT_ROWS = 5000, DIGEST_ROWS_PER_CUT = 20 * DOOR_DIGEST_ROWS };

void door_pg_cut_fini(struct pg_cut *cut)
{
    free(cut->low);
    free(cut->high);
    free(cut->boot_table);
    buffer_fini(&cut->boot_after);
    buffer_fini(&cut->boot_upto);
    buffer_fini(&cut->digests);
}

void pg_sql_between(struct buffer *sql, const char *low, const char *high)
{
    unsigned long long bound;
    pg_sql(sql, "true");
    if (low && sscanf(low, "%llu:", &bound) == 1)
        pg_sql(sql, " AND c.xid >= '%llu'::xid8 AND NOT pg_visible_in_snapshot(c.xid, '%s'::pg_snapshot)", bound, low);
    if (high && sscanf(high, "%*u:%llu:", &bound) == 1)
        pg_sql(sql, " AND c.xid < '%llu'::xid8 AND pg_visible_in_snapshot(c.xid, '%s'::pg_snapshot)", bound, high);
}

void pg_sql_between_kept(struct buffer *sql, bool has_high)
{
    pg_sql(sql, "c.xid >= $1::xid8 AND NOT pg_visible_in_snapshot(c.xid, $2::pg_snapshot)");
    if (has_high)
        pg_sql(sql, " AND c.xid < $3::xid8 AND pg_visible_in_snapshot(c.xid, $4::pg_snapshot)");
}

void pg_put_between(struct pg_params *params, const char *low, const char *high)
{
    unsigned long long bound = 0;
    sscanf(low, "%llu:", &bound);
    pg_put_number(params, (int64_t)bound);
    pg_put_text(params, low);
    if (!high)
        return;
    sscanf(high, "%*u:%llu:", &bound);
    pg_put_number(params, (int64_t)bound);
    pg_put_text(params, high);
}

static struct buffer bytes_of(const PGresult *r, int row, int column)
{
    struct buffer b = {0};
    buffer_put(&b, PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
    return b;
}

static int find_made(struct door_pg *d, const struct door_read_request *request, struct pg_cut *cut,
                     struct problem *problem)
{
    struct pg_params params = {0};
    pg_put_number(&params, request->peer);
    pg_put_number(&params, (int64_t)request->after);
    PGresult *r =
        pg_ask_kept(d,
                    "SELECT number, previous, low, high, clock, seen, needs, boot, boot_after, boot_upto, "
                    "boot_last, digests FROM dbsync.cut WHERE peer = $1 AND number > $2 ORDER BY number LIMIT 1",
                    &params, problem);
    if (!r)
        return -pg_errno(d);
    bool is_made = PQntuples(r) == 1;
    if (is_made) {
        cut->number = (uint64_t)pg_number(r, 0, 0);
        cut->previous = (uint64_t)pg_number(r, 0, 1);
        cut->low = pg_text_copy(r, 0, 2);
        cut->high = pg_text_copy(r, 0, 3);
        cut->clock = pg_number(r, 0, 4);
        cut->seen = pg_vector(r, 0, 5);
        cut->needs = pg_vector(r, 0, 6);
        cut->boot_table = pg_text_copy(r, 0, 7);
        cut->boot_after = bytes_of(r, 0, 8);
        cut->boot_upto = bytes_of(r, 0, 9);
        cut->boot_last = pg_number(r, 0, 10) != 0;
        cut->digests = bytes_of(r, 0, 11);
    }
    PQclear(r);
    return is_made;
}

// ---- news ----

struct outbound { // what a new cut must know of its peer
    uint64_t cut;
    enum peer_state state;
    char *snapshot, *now;
    int64_t floor;
    struct window_vector had, told, applied;
    bool owes;      // rows were applied that the peer has not been told of
    bool has_extra; // bootstrap, digests, requests
};

static void outbound_fini(struct outbound *o)
{
    free(o->snapshot);
    free(o->now);
}

static int read_outbound(struct door_pg *d, uint16_t peer, struct outbound *o, struct problem *problem)
{
    memset(o, 0, sizeof *o);
    struct pg_params params = {0};
    pg_put_number(&params, peer);
    PGresult *r = pg_ask_kept(
        d,
        "SELECT o.cut, o.state, o.snapshot, pg_current_snapshot()::text, (SELECT s.last_value + b.last_value FROM "
        "dbsync.seq s, dbsync.base b), o.had, o.told, EXISTS(SELECT 1 FROM dbsync.boot b WHERE b.peer = o.site) OR "
        "EXISTS(SELECT 1 FROM dbsync.request q WHERE q.peer = o.site AND q.cut IS NULL), p.site, p.applied, "
        "p.applied_rows FROM dbsync.outbound o, dbsync.peer p WHERE o.site = $1 ORDER BY p.site",
        &params, problem);
    if (!r)
        return -pg_errno(d);
    int n = PQntuples(r);
    if (n == 0) {
        PQclear(r);
        return problem_set(problem, ENOENT, "site %u is no peer here", peer);
    }
    o->cut = (uint64_t)pg_number(r, 0, 0);
    o->state = (enum peer_state)pg_number(r, 0, 1);
    o->snapshot = pg_text_copy(r, 0, 2);
    o->now = pg_text_copy(r, 0, 3);
    o->floor = pg_number(r, 0, 4);
    o->had = pg_vector(r, 0, 5);
    o->told = pg_vector(r, 0, 6);
    o->has_extra = pg_number(r, 0, 7) != 0;
    for (int i = 0; i < n; i++) {
        uint16_t site = (uint16_t)pg_number(r, i, 8);
        window_set(&o->applied, site, (uint64_t)pg_number(r, i, 9));
        o->owes |= (uint64_t)pg_number(r, i, 10) > window_get(&o->told, site);
    }
    PQclear(r);
    return 0;
}

// Whether some change is not in the snapshot `low`. The order makes the server look at the log's end alone.
static int has_changes(struct door_pg *d, const char *low, bool *has, struct problem *problem)
{
    struct buffer sql = {0}, between = {0};
    struct pg_params params = {0};
    pg_put_between(&params, low, NULL);
    pg_sql_between_kept(&between, false);
    pg_sql(&sql, "SELECT $1::xid8 IS NULL OR $2::pg_snapshot IS NULL");
    for (unsigned i = 0; i < d->schema->table_count; i++)
        pg_sql(&sql, " OR coalesce((SELECT true FROM dbsync.c_%lld c WHERE %s ORDER BY c.xid LIMIT 1), false)",
               (long long)d->schema->table[i].id, (const char *)between.data);
    PGresult *r = pg_ask_kept(d, (const char *)sql.data, &params, problem);
    buffer_fini(&sql);
    buffer_fini(&between);
    if (!r)
        return -pg_errno(d);
    *has = pg_number(r, 0, 0) != 0;
    PQclear(r);
    return 0;
}

static int look_for_news(struct door_pg *d, uint16_t peer, enum door_news *news, struct problem *problem)
{
    struct outbound o;
    bool has_more = false;
    *news = DOOR_NO_NEWS;
    int result = read_outbound(d, peer, &o, problem);
    if (result < 0)
        return result;
    if (o.state != PEER_PAUSED) {
        has_more = o.has_extra;
        if (!has_more)
            result = has_changes(d, o.snapshot, &has_more, problem);
        *news = has_more ? DOOR_HAS_NEWS : o.owes ? DOOR_OWES : DOOR_NO_NEWS;
    }
    outbound_fini(&o);
    return result;
}

// Asked many times a second: whether definitions changed is left to those who read, apply and count.
int door_pg_has_news(struct door *door, uint16_t peer, enum door_news *news, struct problem *problem)
{
    static const char undefined_table[] = "42P01";
    struct door_pg *d = door_pg_of(door);
    const struct schema *schema;
    *news = DOOR_NO_NEWS;
    int result = d->schema ? look_for_news(d, peer, news, problem) : -ESTALE;
    if (result == 0 || (d->schema && strcmp(d->sqlstate, undefined_table)))
        return result;
    result = door_pg_schema(door, &schema, problem);
    return result < 0 ? result : look_for_news(d, peer, news, problem);
}

// ---- the snapshot of a cut ----

// The transactions of `now` below `limit`, as a snapshot.
static char *snapshot_below(const char *now, uint64_t limit)
{
    struct buffer out = {0};
    uint64_t first = limit;
    const char *list = strrchr(now, ':') + 1;
    char *end;
    for (const char *at = list; *at; at = *end ? end + 1 : end) {
        uint64_t xid = strtoull(at, &end, 10);
        if (xid < first)
            first = xid;
    }
    pg_sql(&out, "%" PRIu64 ":%" PRIu64 ":", first, limit);
    const char *comma = "";
    for (const char *at = list; *at; at = *end ? end + 1 : end) {
        uint64_t xid = strtoull(at, &end, 10);
        if (xid < limit) {
            pg_sql(&out, "%s%" PRIu64, comma, xid);
            comma = ",";
        }
    }
    return (char *)out.data;
}

// ---- how much of the log a cut takes ----

// The cut's snapshot: `now`, or an earlier one when more changes than the limits allow lie in between. The floor of the
// clock rises above what the cut holds.
static int choose_snapshot(struct door_pg *d, const struct outbound *o, const struct pg_measure *m, struct pg_cut *cut,
                           struct problem *problem)
{
    int result = 0;
    cut->more = m->limit > 0;
    cut->high = m->limit > 0 ? snapshot_below(o->now, (uint64_t)m->limit) : memory_text(o->now);
    cut->clock = m->last_hlc > o->floor ? m->last_hlc : o->floor;
    if (m->last_hlc > 0)
        result = door_pg_raise_late_writes(d, cut, m->first_hlc, problem);
    if (result == 0 && cut->clock > o->floor)
        result = door_pg_raise_clock(d, cut->clock, problem);
    return result;
}

// ---- bootstrap chunks and digests ----

void pg_sql_key_order(struct buffer *sql, const struct table *t)
{
    for (unsigned k = 0; k < t->key_count; k++) {
        pg_sql(sql, k ? ", t." : "t.");
        pg_sql_name(sql, t->column[t->key[k]].name);
    }
}

// Key values cross into SQL text through decode() and the type's own input of its binary form, which SQL does not
// offer; so they are looked up as text once.
void pg_sql_compare(struct buffer *sql, struct door_pg *d, const struct table *t, const char *comparison,
                    struct key key)
{
    struct pg_keys keys;
    struct pg_params params = {0};
    struct buffer select = {0};
    struct problem ignored;
    PGresult *r = NULL;
    pg_sql(&select, "SELECT k1::text");
    for (unsigned k = 1; k < t->key_count; k++)
        pg_sql(&select, ", k%u::text", k + 1);
    pg_sql(&select, " FROM ");
    pg_sql_keys(&select, d, t);
    if (pg_keys_put(&keys, &params, d, t, &key, 1, &ignored) == 0)
        r = pg_ask(d, (const char *)select.data, &params, &ignored);
    pg_sql(sql, "(");
    pg_sql_key_order(sql, t);
    pg_sql(sql, ") %s (", comparison);
    for (unsigned k = 0; k < t->key_count; k++) {
        pg_sql(sql, "%s", k ? ", " : "");
        if (r && PQntuples(r) == 1)
            pg_sql_literal(sql, pg_text(r, 0, (int)k));
        else
            pg_sql(sql, "NULL");
        pg_sql(sql, "::%s", pg_table_of(d, t)->column[t->key[k]].base);
    }
    pg_sql(sql, ")");
    PQclear(r);
    pg_keys_fini(&keys);
    buffer_fini(&select);
}

void pg_sql_range(struct buffer *sql, struct door_pg *d, const struct table *t, struct key after, struct key upto)
{
    pg_sql(sql, "true");
    if (after.len) {
        pg_sql(sql, " AND ");
        pg_sql_compare(sql, d, t, ">", after);
    }
    if (upto.len) {
        pg_sql(sql, " AND ");
        pg_sql_compare(sql, d, t, "<=", upto);
    }
}

static int choose_boot(struct door_pg *d, unsigned rows, struct pg_cut *cut, struct problem *problem)
{
    PGresult *r =
        pg_askf(d, problem, "SELECT tbl, after FROM dbsync.boot WHERE peer = %d AND NOT digest ORDER BY tbl LIMIT 1",
                cut->peer);
    if (!r)
        return -pg_errno(d);
    int at = PQntuples(r) == 1 ? schema_find(d->schema, pg_text(r, 0, 0)) : -1;
    if (at < 0) {
        bool is_gone = PQntuples(r) == 1;
        PQclear(r);
        return is_gone ? pg_runf(d, problem,
                                 "DELETE FROM dbsync.boot WHERE peer = %d AND tbl NOT IN (SELECT name FROM "
                                 "dbsync.tbl)",
                                 cut->peer)
                       : 0;
    }
    const struct table *t = &d->schema->table[at];
    cut->boot_table = memory_text(t->name);
    cut->boot_after = bytes_of(r, 0, 1);
    PQclear(r);
    struct buffer sql = {0};
    struct key after = {cut->boot_after.data, (uint32_t)cut->boot_after.len}, open = {NULL, 0};
    pg_sql(&sql, "SELECT ");
    pg_sql_key_order(&sql, t);
    pg_sql(&sql, " FROM %s t WHERE ", t->name);
    pg_sql_range(&sql, d, t, after, open);
    pg_sql(&sql, " ORDER BY ");
    pg_sql_key_order(&sql, t);
    pg_sql(&sql, " OFFSET %u LIMIT 1", (rows ? rows : BOOT_ROWS) - 1);
    r = pg_ask(d, (const char *)sql.data, NULL, problem);
    buffer_reset(&sql);
    int result = r ? 0 : -pg_errno(d);
    if (r && PQntuples(r) == 1) {
        struct arena arena = {0};
        struct key upto = pg_key(r, 0, 0, t, &arena);
        buffer_put(&cut->boot_upto, upto.bytes, upto.len);
        arena_fini(&arena);
        pg_sql(&sql, "UPDATE dbsync.boot SET after = ");
        pg_sql_bytes(&sql, cut->boot_upto.data, cut->boot_upto.len);
    } else {
        cut->boot_last = true;
        pg_sql(&sql, "DELETE FROM dbsync.boot");
    }
    PQclear(r);
    pg_sql(&sql, " WHERE peer = %d AND NOT digest AND tbl = ", cut->peer);
    pg_sql_literal(&sql, t->name);
    if (result == 0)
        result = pg_run(d, (const char *)sql.data, problem);
    buffer_fini(&sql);
    return result;
}

struct digesting {
    const struct table *t;
    struct buffer *out;
    struct buffer after, last;
    uint64_t rows, sum, total;
    struct arena arena;
};

static void put_digest(struct digesting *g, bool is_end)
{
    buffer_block(g->out, g->t->name, strlen(g->t->name));
    buffer_block(g->out, g->after.data, g->after.len);
    buffer_block(g->out, g->last.data, is_end ? 0 : g->last.len);
    buffer_varint(g->out, g->rows);
    buffer_u64(g->out, g->sum);
    buffer_reset(&g->after);
    buffer_put(&g->after, g->last.data, g->last.len);
    g->rows = g->sum = 0;
}

static int digest_row(void *context, const struct value *field, unsigned count)
{
    struct digesting *g = context;
    (void)count;
    struct row *row = door_pg_row(g->t, field, &g->arena);
    if (!row)
        return -EIO;
    g->sum += door_row_digest(row);
    g->rows++;
    g->total++;
    buffer_reset(&g->last);
    buffer_put(&g->last, row->key.bytes, row->key.len);
    if (g->out && g->rows == DOOR_DIGEST_ROWS)
        put_digest(g, false);
    arena_reset(&g->arena);
    return 0;
}

static void digest_query(struct buffer *sql, struct door_pg *d, const struct table *t, struct key after,
                         struct key upto)
{
    struct buffer columns = {0};
    pg_sql_values(&columns, d, t, "t", false);
    pg_sql(sql, "SELECT %s FROM %s t WHERE ", (const char *)columns.data + 2, t->name);
    pg_sql_range(sql, d, t, after, upto);
    buffer_fini(&columns);
}

int door_pg_digest(struct door_pg *d, const struct table *t, struct key after, struct key upto, uint64_t *rows,
                   uint64_t *sum, struct problem *problem)
{
    struct digesting g = {.t = t};
    struct buffer sql = {0};
    digest_query(&sql, d, t, after, upto);
    int result = pg_copy_out(d, (const char *)sql.data, digest_row, &g, problem);
    *rows = g.rows;
    *sum = g.sum;
    buffer_fini(&sql);
    buffer_fini(&g.last);
    arena_fini(&g.arena);
    return result;
}

// Digests of the next rows of the table in turn, read in the cut's own snapshot.
static int choose_digests(struct door_pg *d, struct pg_cut *cut, struct problem *problem)
{
    PGresult *r = pg_askf(
        d, problem, "SELECT tbl, after FROM dbsync.boot WHERE peer = %d AND digest ORDER BY tbl LIMIT 1", cut->peer);
    if (!r)
        return -pg_errno(d);
    int at = PQntuples(r) == 1 ? schema_find(d->schema, pg_text(r, 0, 0)) : -1;
    if (at < 0) {
        PQclear(r);
        return 0;
    }
    struct digesting g = {.t = &d->schema->table[at], .out = &cut->digests, .after = bytes_of(r, 0, 1)};
    struct key after = {g.after.data, (uint32_t)g.after.len}, open = {NULL, 0};
    struct buffer sql = {0};
    PQclear(r);
    digest_query(&sql, d, g.t, after, open);
    pg_sql(&sql, " ORDER BY ");
    pg_sql_key_order(&sql, g.t);
    pg_sql(&sql, " LIMIT %d", DIGEST_ROWS_PER_CUT);
    int result = pg_copy_out(d, (const char *)sql.data, digest_row, &g, problem);
    buffer_reset(&sql);
    if (g.total < DIGEST_ROWS_PER_CUT) {
        put_digest(&g, true);
        pg_sql(&sql, "DELETE FROM dbsync.boot");
    } else {
        pg_sql(&sql, "UPDATE dbsync.boot SET after = ");
        pg_sql_bytes(&sql, g.last.data, g.last.len);
    }
    pg_sql(&sql, " WHERE peer = %d AND digest AND tbl = ", cut->peer);
    pg_sql_literal(&sql, g.t->name);
    if (result == 0)
        result = pg_run(d, (const char *)sql.data, problem);
    buffer_fini(&sql);
    buffer_fini(&g.after);
    buffer_fini(&g.last);
    arena_fini(&g.arena);
    return result;
}

// ---- making a cut ----

static void sql_vector(struct buffer *sql, const struct window_vector *v)
{
    struct buffer bytes = {0};
    window_encode(&bytes, v);
    pg_sql_bytes(sql, bytes.data, bytes.len);
    buffer_fini(&bytes);
}

static int store_cut(struct door_pg *d, const struct pg_cut *cut, struct problem *problem)
{
    struct buffer sql = {0};
    pg_sql(&sql,
           "INSERT INTO dbsync.cut(peer, number, previous, low, high, clock, seen, needs, boot, boot_after, boot_upto, "
           "boot_last, digests) VALUES(%d, %" PRIu64 ", %" PRIu64 ", '%s', '%s', %" PRId64 ", ",
           cut->peer, cut->number, cut->previous, cut->low, cut->high, cut->clock);
    sql_vector(&sql, &cut->seen);
    pg_sql(&sql, ", ");
    sql_vector(&sql, &cut->needs);
    pg_sql(&sql, ", ");
    if (cut->boot_table)
        pg_sql_literal(&sql, cut->boot_table);
    else
        pg_sql(&sql, "NULL");
    pg_sql(&sql, ", ");
    pg_sql_bytes(&sql, cut->boot_after.data, cut->boot_after.len);
    pg_sql(&sql, ", ");
    pg_sql_bytes(&sql, cut->boot_upto.data, cut->boot_upto.len);
    pg_sql(&sql, ", %s, ", cut->boot_last ? "true" : "false");
    pg_sql_bytes(&sql, cut->digests.data, cut->digests.len);
    pg_sql(&sql,
           "); UPDATE dbsync.request SET cut = %" PRIu64 " WHERE peer = %d AND cut IS NULL; UPDATE "
           "dbsync.outbound SET cut = %" PRIu64 ", snapshot = '%s', had = ",
           cut->number, cut->peer, cut->number, cut->high);
    sql_vector(&sql, &cut->needs);
    pg_sql(&sql, ", told = ");
    sql_vector(&sql, &cut->seen);
    pg_sql(&sql, " WHERE site = %d", cut->peer);
    int result = pg_run(d, (const char *)sql.data, problem);
    buffer_fini(&sql);
    return result;
}

// 1: a new cut was made; 0: there is nothing to cut. In the cut's transaction.
static int make_cut(struct door_pg *d, const struct door_read_request *request, struct pg_cut *cut,
                    struct problem *problem)
{
    struct outbound o;
    struct pg_measure m = {0};
    struct door_read_request limits = *request;
    int result = read_outbound(d, request->peer, &o, problem);
    if (o.applied.count > 1) // third sites: a number stands for all that was committed
        limits.row_limit = 0, limits.byte_limit = 0;
    if (result == 0)
        result = door_pg_measure(d, o.snapshot, &limits, &m, problem);
    bool has_rows = m.last_hlc > 0;
    bool is_wanted = result == 0 && o.state != PEER_PAUSED && (has_rows || o.owes || o.has_extra || request->owes_news);
    if (is_wanted && o.cut >= cut->number)
        result = problem_set(problem, EAGAIN, "%s: another daemon makes cuts for site %u, too", d->name, request->peer);
    if (result == 0 && is_wanted) {
        cut->previous = o.cut;
        cut->low = memory_text(o.snapshot);
        cut->needs = o.applied;
        cut->seen =
            has_rows || o.has_extra ? o.had : o.applied; // a batch without rows was written by nobody before now
        cut->is_new = true;
        result = choose_snapshot(d, &o, &m, cut, problem);
    }
    if (result == 0 && is_wanted && o.has_extra && !cut->more) {
        result = choose_boot(d, request->boot_rows, cut, problem);
        if (result == 0 && !cut->boot_table)
            result = choose_digests(d, cut, problem);
    }
    if (result == 0 && is_wanted)
        result = store_cut(d, cut, problem);
    outbound_fini(&o);
    return result < 0 ? result : is_wanted;
}

int door_pg_lock_cuts(struct door_pg *d, bool lock, struct problem *problem)
{
    return pg_run(d, lock ? "SELECT pg_advisory_lock(1397769282, 2)" : "SELECT pg_advisory_unlock(1397769282, 2)",
                  problem);
}

int door_pg_find_or_make(struct door_pg *d, const struct door_read_request *request, struct pg_cut *cut,
                         struct problem *problem)
{
    cut->peer = request->peer;
    int result = find_made(d, request, cut, problem);
    if (result != 0)
        return result;
    enum door_news news = request->owes_news ? DOOR_OWES : DOOR_NO_NEWS;
    if (!request->owes_news)
        result = look_for_news(d, request->peer, &news, problem);
    if (result < 0 || news == DOOR_NO_NEWS)
        return result;
    result = door_pg_lock_cuts(d, true, problem);
    if (result < 0)
        return result;
    PGresult *drawn = pg_ask_kept(d, "SELECT nextval('dbsync.head')", NULL, problem);
    result = drawn ? 0 : -pg_errno(d);
    cut->number = drawn ? (uint64_t)pg_number(drawn, 0, 0) : 0;
    PQclear(drawn);
    if (result == 0)
        result = pg_run(d,
                        "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL enable_seqscan = off; LOCK TABLE "
                        "dbsync.outbound IN EXCLUSIVE MODE",
                        problem);
    if (result == 0)
        result = make_cut(d, request, cut, problem);
    if (result == 1) {
        int committed = door_pg_commit(d, problem);
        result = committed < 0 ? committed : 1;
    }
    door_pg_rollback(d);
    struct problem ignored;
    door_pg_lock_cuts(d, false, &ignored);
    return result;
}
