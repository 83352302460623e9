// SPDX-License-Identifier: Apache-2.0
// Batches read from cuts: the changes folded, bootstrap rows, requested rows, digests. One read transaction.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_pg_private.h"
#include "dbsync/row_codec.h"

enum { DRAIN_BYTES = 256 << 10 };

struct reading {
    struct door_pg *d;
    const struct pg_cut *cut;
    struct batch_writer w;
    door_sink *sink;
    void *context;
    struct fold fold;
    struct fold window; // registers of the table being bootstrapped
    const struct table *base_table;
    struct arena arena;
    struct problem *problem;
};

static int drain_if_full(struct reading *r)
{
    return r->w.out.len >= DRAIN_BYTES ? batch_drain(&r->w, r->sink, r->context) : 0;
}

// ---- changes ----

static int fold_changes(struct reading *r)
{
    struct door_pg *d = r->d;
    struct buffer between = {0}, sql = {0};
    struct pg_params params = {0};
    pg_put_between(&params, r->cut->low, r->cut->high);
    pg_sql_between_kept(&between, true);
    pg_sql(&sql, "SELECT 0 WHERE $1::xid8 IS NULL OR $2::pg_snapshot IS NULL OR $3::xid8 IS NULL OR $4::pg_snapshot IS "
                 "NULL");
    for (unsigned i = 0; i < d->schema->table_count; i++)
        pg_sql(&sql, " UNION ALL SELECT %u WHERE (SELECT true FROM dbsync.c_%lld c WHERE %s ORDER BY c.xid LIMIT 1)", i,
               (long long)d->schema->table[i].id, (const char *)between.data);
    PGresult *changed = pg_ask_kept(d, (const char *)sql.data, &params, r->problem);
    buffer_reset(&between);
    pg_sql_between(&between, r->cut->low, r->cut->high);
    int result = changed ? 0 : -pg_errno(d);
    for (int i = 0; result == 0 && i < PQntuples(changed); i++)
        result = door_pg_fold(d, &d->schema->table[pg_number(changed, i, 0)], (const char *)between.data, &r->fold,
                              r->problem);
    PQclear(changed);
    buffer_fini(&sql);
    buffer_fini(&between);
    return result;
}

static int64_t latest_of(const struct fold *fold)
{
    int64_t latest = 0;
    for (uint32_t i = 0; i < fold->count; i++) {
        int64_t hlc = row_latest(fold->entry[i].row).hlc;
        latest = hlc > latest ? hlc : latest;
    }
    return latest;
}

static int write_changes(struct reading *r)
{
    int result = 0;
    for (uint32_t i = 0; result == 0 && i < r->fold.count; i++) {
        batch_change(&r->w, r->fold.entry[i].row);
        result = drain_if_full(r);
    }
    return result;
}

// ---- whole rows ----

static int add_remote(struct reading *r, const struct table *t)
{
    PGresult *found =
        pg_askf(r->d, r->problem, "SELECT key, registers FROM dbsync.remote WHERE tbl = %lld", (long long)t->id);
    if (!found)
        return -pg_errno(r->d);
    for (int i = 0; i < PQntuples(found); i++) {
        struct key key = {(const uint8_t *)PQgetvalue(found, i, 0), (uint32_t)PQgetlength(found, i, 0)};
        struct row *row = row_decode(&r->arena, t, key, PQgetvalue(found, i, 1), (size_t)PQgetlength(found, i, 1));
        if (row)
            fold_add(&r->window, row);
        arena_reset(&r->arena);
    }
    PQclear(found);
    return 0;
}

static int write_base(void *context, const struct value *field, unsigned count)
{
    struct reading *r = context;
    (void)count;
    struct row *row = door_pg_row(r->base_table, field, &r->arena);
    if (!row)
        return -EIO;
    struct row *registers = fold_find(&r->window, row->table, row->key);
    if (registers)
        row_join(row, registers);
    row->life = LIFE_LIVE;
    batch_base(&r->w, row);
    arena_reset(&r->arena);
    return drain_if_full(r);
}

static int base_rows(struct reading *r, const struct table *t, const char *condition)
{
    struct buffer sql = {0}, columns = {0};
    pg_sql_values(&columns, r->d, t, "t", false);
    pg_sql(&sql, "SELECT %s FROM %s t WHERE %s", (const char *)columns.data + 2, t->name, condition);
    r->base_table = t;
    fold_reset(&r->window);
    int result = door_pg_fold(r->d, t, "true", &r->window, r->problem);
    if (result == 0)
        result = add_remote(r, t);
    if (result == 0)
        result = pg_copy_out(r->d, (const char *)sql.data, write_base, r, r->problem);
    buffer_fini(&sql);
    buffer_fini(&columns);
    return result;
}

static int write_boot(struct reading *r)
{
    const struct pg_cut *cut = r->cut;
    int at = cut->boot_table ? schema_find(r->d->schema, cut->boot_table) : -1;
    if (at < 0)
        return 0;
    const struct table *t = &r->d->schema->table[at];
    struct key after = {cut->boot_after.data, (uint32_t)cut->boot_after.len};
    struct key upto = {cut->boot_upto.data, (uint32_t)cut->boot_upto.len};
    struct buffer range = {0};
    pg_sql_range(&range, r->d, t, after, upto);
    int result = base_rows(r, t, (const char *)range.data);
    buffer_fini(&range);
    batch_range(&r->w, t, after, upto, cut->boot_last);
    return result;
}

static int write_requested(struct reading *r)
{
    struct pg_params params = {0};
    pg_put_number(&params, r->cut->peer);
    pg_put_number(&params, (int64_t)r->cut->number);
    PGresult *asked =
        pg_ask_kept(r->d, "SELECT tbl, key FROM dbsync.request WHERE peer = $1 AND cut = $2 ORDER BY tbl, key", &params,
                    r->problem);
    if (!asked)
        return -pg_errno(r->d);
    int result = 0;
    for (int i = 0; result == 0 && i < PQntuples(asked); i++) {
        int at = schema_find(r->d->schema, pg_text(asked, i, 0));
        struct key key = {(const uint8_t *)PQgetvalue(asked, i, 1), (uint32_t)PQgetlength(asked, i, 1)};
        struct buffer condition = {0};
        if (at < 0)
            continue;
        pg_sql_compare(&condition, r->d, &r->d->schema->table[at], "=", key);
        result = base_rows(r, &r->d->schema->table[at], (const char *)condition.data);
        buffer_fini(&condition);
    }
    PQclear(asked);
    return result;
}

static void write_digests(struct reading *r)
{
    struct bytes_reader in = bytes_reader_init(r->cut->digests.data, r->cut->digests.len);
    while (bytes_left(&in) > 0) {
        char name[SCHEMA_NAME_MAX + 1] = "";
        size_t len = (size_t)bytes_bounded(&in, SCHEMA_NAME_MAX);
        const uint8_t *text = bytes_take(&in, len);
        if (text)
            memcpy(name, text, len);
        name[len] = 0;
        struct key after, upto;
        after.len = (uint32_t)bytes_bounded(&in, KEY_BYTES_MAX);
        after.bytes = bytes_take(&in, after.len);
        upto.len = (uint32_t)bytes_bounded(&in, KEY_BYTES_MAX);
        upto.bytes = bytes_take(&in, upto.len);
        uint64_t rows = bytes_varint(&in), sum = bytes_u64(&in);
        int at = in.failed ? -1 : schema_find(r->d->schema, name);
        if (at >= 0)
            batch_digest(&r->w, &r->d->schema->table[at], after, upto, rows, sum);
    }
}

// ---- the batch ----

static int write_batch(struct reading *r, const struct door_identity *own)
{
    const struct pg_cut *cut = r->cut;
    int result = fold_changes(r);
    if (result < 0)
        return result;
    int64_t latest = latest_of(&r->fold);
    struct batch_header header = {.from = own->site,
                                  .incarnation = own->incarnation,
                                  .number = cut->number,
                                  .previous = cut->previous,
                                  .seen = cut->seen,
                                  .needs = cut->needs,
                                  .max_hlc = latest > cut->clock ? latest : cut->clock};
    batch_begin(&r->w, &header);
    result = write_changes(r);
    if (result == 0)
        result = write_boot(r);
    if (result == 0)
        result = write_requested(r);
    if (result == 0)
        write_digests(r);
    batch_end(&r->w);
    return result == 0 ? batch_drain(&r->w, r->sink, r->context) : result;
}

int door_pg_read_batch(struct door *door, const struct door_read_request *request, door_sink *sink, void *context,
                       struct door_batch *batch, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    const struct schema *schema;
    struct door_identity own;
    struct pg_cut cut = {0};
    memset(batch, 0, sizeof *batch);
    int result = door_pg_identity(door, &own, problem);
    if (result == 0)
        result = door_pg_schema(door, &schema, problem);
    if (result == 0)
        result = door_pg_find_or_make(d, request, &cut, problem);
    if (result <= 0) {
        door_pg_cut_fini(&cut);
        return result;
    }
    struct reading r = {.d = d, .cut = &cut, .sink = sink, .context = context, .problem = problem};
    result = pg_run(d, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = off", problem);
    if (result == 0)
        result = write_batch(&r, &own);
    door_pg_rollback(d);
    if (result == 0 && cut.is_new && latest_of(&r.fold) > cut.clock) // folding raised versions of a clock set back
        result = door_pg_raise_clock(d, latest_of(&r.fold), problem);
    batch->number = cut.number;
    batch->previous = cut.previous;
    batch->changes = r.fold.change_count;
    batch->rows = r.w.row_count;
    batch->bytes = r.w.bytes;
    batch->is_new = cut.is_new;
    batch->more = cut.more;
    batch_writer_fini(&r.w);
    fold_fini(&r.fold);
    fold_fini(&r.window);
    arena_fini(&r.arena);
    door_pg_cut_fini(&cut);
    return result;
}

// ---- asking for more than changes ----

static int boot_rows(struct door_pg *d, uint16_t peer, const char *table, bool is_digest, struct problem *problem)
{
    const struct schema *schema;
    int result = door_pg_schema(&d->door, &schema, problem);
    if (result < 0)
        return result;
    struct pg_params p = {0};
    pg_put_number(&p, peer);
    pg_put_text(&p, table);
    pg_put_text(&p, is_digest ? "true" : "false");
    PGresult *r =
        pg_ask(d,
               "INSERT INTO dbsync.boot(peer, tbl, digest) SELECT site, t.name, $3::bool FROM dbsync.outbound, "
               "dbsync.tbl t WHERE site = $1 AND ($2::text IS NULL OR t.name = $2 OR t.name = 'public.' || "
               "quote_ident($2)) ON CONFLICT (peer, tbl, digest) DO UPDATE SET after = '' RETURNING 1",
               &p, problem);
    if (!r)
        return -pg_errno(d);
    if (PQntuples(r) == 0 && table)
        result = problem_set(problem, ENOENT, "table %s is not synchronised, or site %u is no peer here", table, peer);
    PQclear(r);
    return result;
}

int door_pg_bootstrap(struct door *door, uint16_t peer, const char *table, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    int result = boot_rows(d, peer, table, false, problem);
    if (result == 0)
        result = pg_runf(d, problem,
                         "UPDATE dbsync.outbound SET boot_rows = 0, state = CASE state WHEN %d THEN %d ELSE "
                         "state END WHERE site = %d",
                         PEER_NEEDS_BOOTSTRAP, PEER_RUNNING, peer);
    return result;
}

int door_pg_verify(struct door *door, uint16_t peer, struct problem *problem)
{
    return boot_rows(door_pg_of(door), peer, NULL, true, problem);
}

int door_pg_set_base_mode(struct door *door, uint16_t peer, enum merge_base_mode mode, struct problem *problem)
{
    return pg_runf(door_pg_of(door), problem, "UPDATE dbsync.outbound SET base_mode = %d WHERE site = %d", mode, peer);
}

int door_pg_request_rows(struct door *door, uint16_t peer, const char *table, const struct key *key, unsigned count,
                         struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    int result = 0;
    for (unsigned i = 0; result == 0 && i < count; i++) {
        struct pg_params p = {0};
        pg_put_number(&p, peer);
        pg_put_text(&p, table);
        pg_put_bytes(&p, key[i].bytes, key[i].len);
        PGresult *r = pg_ask(d,
                             "INSERT INTO dbsync.request(peer, tbl, key) VALUES($1, $2, $3) ON CONFLICT (peer, tbl, "
                             "key) DO UPDATE SET cut = NULL",
                             &p, problem);
        result = r ? 0 : -pg_errno(d);
        PQclear(r);
    }
    return result;
}
