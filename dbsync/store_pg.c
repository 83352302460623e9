// SPDX-License-Identifier: Apache-2.0
// Row operations of apply on PostgreSQL: what is known of the rows, and the bookkeeping at the end.
//
// Rows are locked before their window is read, so that a change which commits in between is either seen or waits for
// us. A row that is inserted whole, the common case, is not looked for first: should the insert meet it, the batch is
// rolled back and applied again carefully (d->is_careful). Keys that were not there cannot be locked; finish looks
// whether somebody wrote them meanwhile.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_pg_private.h"
#include "dbsync/row_codec.h"

static int cursor(struct store *store, uint16_t peer, struct store_cursor *c, struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    memset(c, 0, sizeof *c);
    // The lock makes appliers of one peer take turns.
    struct pg_params params = {0};
    pg_put_number(&params, peer);
    PGresult *r = pg_ask_kept(d, "SELECT 1 FROM dbsync.peer WHERE site = $1 FOR NO KEY UPDATE", &params, problem);
    if (!r)
        return -pg_errno(d);
    PQclear(r);
    struct pg_params reason = {0};
    pg_put_number(&reason, PARK_UNIQUE);
    r = pg_ask_kept(
        d,
        "SELECT q.site, q.applied, q.applied_rows, q.incarnation, (SELECT base_mode FROM dbsync.outbound o WHERE "
        "o.site = q.site), (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM dbsync.head), (SELECT "
        "s.last_value + b.last_value FROM dbsync.seq s, dbsync.base b), (date_part('epoch', clock_timestamp()) "
        "* 1000000)::bigint, EXISTS(SELECT 1 FROM dbsync.remote), EXISTS(SELECT 1 FROM dbsync.parked WHERE reason <> "
        "$1) FROM dbsync.peer q",
        &reason, problem);
    if (!r)
        return -pg_errno(d);
    bool is_known = false;
    for (int i = 0; i < PQntuples(r); i++) {
        uint16_t site = (uint16_t)pg_number(r, i, 0);
        c->peer_count++;
        d->knows_remote = pg_number(r, i, 8) != 0;
        d->knows_parked = pg_number(r, i, 9) != 0;
        window_set(&c->vector, site, (uint64_t)pg_number(r, i, 1));
        if (site != peer)
            continue;
        is_known = true;
        c->applied = (uint64_t)pg_number(r, i, 1);
        c->applied_rows = (uint64_t)pg_number(r, i, 2);
        c->incarnation = (uint64_t)pg_number(r, i, 3);
        c->base_mode = (enum merge_base_mode)pg_number(r, i, 4);
        c->own_head = (uint64_t)pg_number(r, i, 5);
        c->clock = pg_number(r, i, 6);
        c->wall_us = pg_number(r, i, 7);
    }
    PQclear(r);
    return is_known ? 0 : problem_set(problem, ENOENT, "site %u is no peer here", peer);
}

// ---- load ----

// An insert of the whole row, of which nothing is likely to be here.
static bool is_insert(const struct work *w)
{
    if (!w->incoming || w->want_current || w->is_base || w->incoming->life != LIFE_LIVE)
        return false;
    const struct table *t = w->table;
    for (unsigned c = 0; c < t->column_count; c++) {
        if (!w->incoming->known[c] && !t->column[c].is_generated)
            return false;
    }
    return true;
}

struct loading {
    struct door_pg *d;
    const struct table *t;
    struct work **row;
    struct key *key; // of those that are asked for
    unsigned *at;    // their index in `row`
    unsigned count;
    struct arena *arena;
    struct problem *problem;
};

static void copy_values(const PGresult *r, int row, int from, unsigned count, struct value *value, struct arena *arena)
{
    for (unsigned i = 0; i < count; i++) {
        struct value v = pg_value(r, row, from + (int)i);
        value[i] = value_copy(arena, &v);
    }
}

static PGresult *ask_with_keys(struct loading *l, const struct buffer *sql)
{
    struct pg_keys keys;
    struct pg_params params = {0};
    PGresult *r = NULL;
    if (pg_keys_put(&keys, &params, l->d, l->t, l->key, l->count, l->problem) == 0)
        r = pg_ask(l->d, (const char *)sql->data, &params, l->problem);
    pg_keys_fini(&keys);
    return r;
}

// Finds and locks them; `with_values`: and reads them.
static int lock_rows(struct loading *l, bool with_values)
{
    struct buffer sql = {0};
    pg_sql(&sql, "SELECT k.i");
    if (with_values)
        pg_sql_values(&sql, l->d, l->t, "t", false);
    pg_sql(&sql, " FROM ");
    pg_sql_keys(&sql, l->d, l->t);
    pg_sql(&sql, " JOIN %s t ON ", l->t->name);
    pg_sql_same_key(&sql, l->d, l->t, "t", false);
    pg_sql(&sql, " ORDER BY ");
    pg_sql_key_order(&sql, l->t);
    pg_sql(&sql, " FOR UPDATE OF t");
    PGresult *r = ask_with_keys(l, &sql);
    buffer_fini(&sql);
    if (!r)
        return -pg_errno(l->d);
    for (unsigned i = 0; i < l->count; i++)
        l->row[l->at[i]]->presence = PRESENCE_ABSENT;
    struct value value[SCHEMA_COLUMN_MAX];
    for (int i = 0; i < PQntuples(r); i++) {
        struct work *w = l->row[l->at[pg_number(r, i, 0) - 1]];
        w->presence = PRESENCE_PRESENT;
        if (!with_values)
            continue;
        copy_values(r, i, 1, door_pg_value_count(l->t), value, l->arena);
        w->current = door_pg_row(l->t, value, l->arena);
    }
    PQclear(r);
    return 0;
}

static int read_window(struct loading *l)
{
    struct buffer sql = {0};
    pg_sql(&sql, "SELECT k.i, ");
    if (l->d->seen_snapshot)
        pg_sql(&sql, "NOT pg_visible_in_snapshot(c.xid, '%s'::pg_snapshot), ", l->d->seen_snapshot);
    else
        pg_sql(&sql, "true, ");
    pg_sql_change(&sql, l->d, l->t);
    pg_sql(&sql, " FROM ");
    pg_sql_keys(&sql, l->d, l->t);
    pg_sql(&sql, " JOIN dbsync.c_%lld c ON ", (long long)l->t->id);
    pg_sql_same_key(&sql, l->d, l->t, "c", true);
    pg_sql(&sql, " ORDER BY k.i, c.seq");
    PGresult *r = ask_with_keys(l, &sql);
    buffer_fini(&sql);
    if (!r)
        return -pg_errno(l->d);
    struct value field[SCHEMA_COLUMN_MAX + 64];
    struct fold all = {0}, unseen = {0};
    int result = 0, n = PQntuples(r);
    for (int i = 0; result == 0 && i < n; i++) {
        copy_values(r, i, 2, (unsigned)PQnfields(r) - 2, field, l->arena);
        struct row *change = door_pg_change(l->d, l->t, field, l->arena, l->problem);
        if (!change)
            result = -EIO;
        else if (row_has_registers(change)) {
            fold_add(&all, change);
            if (pg_number(r, i, 1))
                fold_add(&unseen, change);
        }
    }
    for (unsigned i = 0; result == 0 && all.count && i < l->count; i++) {
        struct work *w = l->row[l->at[i]];
        const struct row *local = fold_find(&all, l->t, w->key), *mine = fold_find(&unseen, l->t, w->key);
        w->local = local ? row_clone(l->arena, local) : NULL;
        w->unseen = mine ? row_clone(l->arena, mine) : NULL;
        if (w->local)
            row_own(l->arena, w->local);
        if (w->unseen)
            row_own(l->arena, w->unseen);
    }
    fold_fini(&all);
    fold_fini(&unseen);
    PQclear(r);
    return result;
}

// Registers kept as bytes: remembered remote ones, and rows parked on this site alone.
static int read_kept(struct loading *l, const char *select, bool is_parked)
{
    struct buffer sql = {0};
    pg_sql(&sql, "SELECT u.i, r.registers FROM unnest(ARRAY[");
    for (unsigned i = 0; i < l->count; i++) {
        pg_sql(&sql, "%s", i ? ", " : "");
        pg_sql_bytes(&sql, l->key[i].bytes, l->key[i].len);
    }
    pg_sql(&sql, "]::bytea[]) WITH ORDINALITY u(key, i) JOIN (%s) r ON r.key = u.key", select);
    PGresult *r = pg_ask(l->d, (const char *)sql.data, NULL, l->problem);
    buffer_fini(&sql);
    if (!r)
        return -pg_errno(l->d);
    int result = 0;
    for (int i = 0; result == 0 && i < PQntuples(r); i++) {
        struct work *w = l->row[l->at[pg_number(r, i, 0) - 1]];
        size_t len = (size_t)PQgetlength(r, i, 1);
        struct row *kept = row_decode(l->arena, l->t, w->key, arena_copy(l->arena, PQgetvalue(r, i, 1), len), len);
        if (!kept && is_parked)
            continue; // parked under an older definition: it stays in the list for people
        w->was_parked |= is_parked;
        if (!kept)
            result = problem_set(l->problem, EIO, "%s: remembered registers of table %s are malformed", l->d->name,
                                 l->t->name);
        else if (w->local)
            row_join(w->local, kept);
        else
            w->local = kept;
    }
    PQclear(r);
    return result;
}

static int read_all_kept(struct loading *l)
{
    struct buffer select = {0};
    int result = 0;
    if (l->d->knows_remote) {
        pg_sql(&select, "SELECT key, registers FROM dbsync.remote WHERE tbl = %lld", (long long)l->t->id);
        result = read_kept(l, (const char *)select.data, false);
    }
    if (result == 0 && l->d->knows_parked) {
        buffer_reset(&select);
        pg_sql(&select, "SELECT key, image AS registers FROM dbsync.parked WHERE reason <> %d AND tbl = ", PARK_UNIQUE);
        pg_sql_literal(&select, l->t->name);
        result = read_kept(l, (const char *)select.data, true);
    }
    buffer_fini(&select);
    return result;
}

// The snapshot of our cut that the sender had applied when it wrote the batch.
static int read_seen(struct door_pg *d, uint16_t peer, uint64_t seen, struct problem *problem)
{
    struct pg_params params = {0};
    pg_put_number(&params, peer);
    pg_put_number(&params, (int64_t)seen);
    PGresult *r =
        pg_ask_kept(d,
                    "SELECT pg_current_snapshot()::text, (SELECT high FROM dbsync.cut WHERE peer = $1 AND number "
                    "<= $2 ORDER BY number DESC LIMIT 1)",
                    &params, problem);
    if (!r)
        return -pg_errno(d);
    d->load_snapshot = pg_text_copy(r, 0, 0);
    d->seen_snapshot = pg_text_copy(r, 0, 1);
    PQclear(r);
    return 0;
}

static int load(struct store *store, uint16_t peer, uint64_t seen, struct work **row, unsigned count,
                struct arena *arena, struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    if (count == 0)
        return 0;
    struct loading l = {.d = d, .t = row[0]->table, .row = row, .arena = arena, .problem = problem};
    l.key = arena_take(arena, count * sizeof *l.key);
    l.at = arena_take(arena, count * sizeof *l.at);
    int64_t has_window = 0;
    bool with_values = pg_table_of(d, l.t)->had_window;
    int result = d->load_snapshot ? 0 : read_seen(d, peer, seen, problem);
    for (unsigned i = 0; i < count; i++) {
        with_values |= row[i]->want_current;
        if (d->is_careful || !is_insert(row[i])) {
            l.key[l.count] = row[i]->key;
            l.at[l.count++] = i;
        }
    }
    if (result == 0 && l.count)
        result = lock_rows(&l, with_values);
    if (result == 0)
        result = pg_ask_number(d, &has_window, problem, "SELECT EXISTS(SELECT 1 FROM dbsync.c_%lld)",
                               (long long)row[0]->table->id);
    // As they stand they are context of a conflict alone, which is about changes of ours that are still remembered.
    pg_table_of(d, l.t)->had_window = has_window != 0;
    bool may_clash = has_window || d->knows_remote || d->knows_parked;
    if (result == 0 && l.count && may_clash && !with_values)
        result = lock_rows(&l, true);
    for (l.count = 0; l.count < count; l.count++) {
        l.key[l.count] = row[l.count]->key;
        l.at[l.count] = l.count;
    }
    if (result == 0 && has_window)
        result = read_window(&l);
    if (result == 0)
        result = read_all_kept(&l);
    return result;
}

// ---- bookkeeping ----

static int log_repair(struct store *store, struct work **row, unsigned count, struct problem *problem)
{
    const struct row **repair = memory_take((count + 1) * sizeof *repair);
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        if (row[i]->repair)
            repair[n++] = row[i]->repair;
    }
    int result = n ? door_pg_log_rows(door_pg_of_store(store), row[0]->table, repair, n, problem) : 0;
    free(repair);
    return result;
}

// What survives of a change that no cut has taken: registers that did not lose against `state`.
static bool clear_lost(struct row *change, const struct row *state)
{
    bool life_lost = row_compare_life(change, state) < 0, any = false;
    for (unsigned g = 0; g < change->table->group_count; g++) {
        bool lost = row_has_group(change, g) && row_compare_group(change, state, g) < 0;
        for (unsigned c = change->table->group_first[g]; c != SCHEMA_NONE; c = change->table->column[c].group_next) {
            if (lost)
                change->version[c] = version_make(0, VERSION_USER, 0);
            any |= !version_is_stable(change->version[c]);
        }
    }
    if (life_lost) {
        change->life = LIFE_UNKNOWN;
        change->life_version = version_make(0, VERSION_USER, 0);
    }
    return any || !life_lost;
}

static int drop_lost_row(struct door_pg *d, const struct work *w, const char *uncut, struct problem *problem)
{
    struct loading l = {.d = d, .t = w->table, .problem = problem, .count = 1};
    struct key key = w->key;
    struct buffer sql = {0}, versions = {0};
    struct arena arena = {0};
    l.key = &key;
    pg_sql(&sql, "SELECT c.ctid::text, ");
    pg_sql_change(&sql, d, w->table);
    pg_sql(&sql, " FROM ");
    pg_sql_keys(&sql, d, w->table);
    pg_sql(&sql, " JOIN dbsync.c_%lld c ON ", (long long)w->table->id);
    pg_sql_same_key(&sql, d, w->table, "c", true);
    pg_sql(&sql, " WHERE %s", uncut);
    PGresult *r = ask_with_keys(&l, &sql);
    int result = r ? 0 : -pg_errno(d);
    struct value field[SCHEMA_COLUMN_MAX + 64];
    for (int i = 0; result == 0 && i < PQntuples(r); i++) {
        copy_values(r, i, 1, (unsigned)PQnfields(r) - 1, field, &arena);
        struct row *change = door_pg_change(d, w->table, field, &arena, problem);
        if (!change) {
            result = -EIO;
            break;
        }
        buffer_reset(&sql);
        if (clear_lost(change, w->state)) {
            buffer_reset(&versions);
            row_encode_versions(&versions, change);
            pg_sql(&sql, "UPDATE dbsync.c_%lld SET vers = ", (long long)w->table->id);
            pg_sql_bytes(&sql, versions.data, versions.len);
        } else {
            pg_sql(&sql, "DELETE FROM dbsync.c_%lld", (long long)w->table->id);
        }
        pg_sql(&sql, " WHERE ctid = '%s'::tid", pg_text(r, i, 0));
        result = pg_run(d, (const char *)sql.data, problem);
    }
    PQclear(r);
    arena_fini(&arena);
    buffer_fini(&sql);
    buffer_fini(&versions);
    return result;
}

static int drop_lost(struct store *store, struct work **row, unsigned count, struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    PGresult *r = pg_askf(d, problem, "SELECT snapshot FROM dbsync.outbound");
    if (!r)
        return -pg_errno(d);
    struct buffer uncut = {0};
    pg_sql(&uncut, "true");
    for (int i = 0; i < PQntuples(r); i++) {
        pg_sql(&uncut, " AND ");
        pg_sql_between(&uncut, pg_text(r, i, 0), NULL);
    }
    PQclear(r);
    int result = 0;
    for (unsigned i = 0; result == 0 && i < count; i++)
        result = drop_lost_row(d, row[i], (const char *)uncut.data, problem);
    buffer_fini(&uncut);
    return result;
}

static int remember(struct store *store, uint16_t origin, uint64_t cut, struct work **row, unsigned count,
                    struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    struct buffer bytes = {0};
    struct pg_copy copy;
    if (count == 0)
        return 0;
    int result =
        pg_run(d,
               "CREATE TEMP TABLE IF NOT EXISTS dbsync_remote(call int, tbl int, key bytea, registers bytea) ON "
               "COMMIT DELETE ROWS",
               problem);
    if (result == 0)
        result = pg_copy_begin(d, &copy, "COPY pg_temp.dbsync_remote FROM STDIN BINARY", problem);
    if (result < 0)
        return result;
    d->stage_call++;
    for (unsigned i = 0; i < count; i++) {
        buffer_reset(&bytes);
        row_encode(&bytes, row[i]->state);
        pg_copy_row(&copy, 4);
        pg_copy_i32(&copy, (int32_t)d->stage_call);
        pg_copy_i32(&copy, (int32_t)row[i]->table->id);
        pg_copy_octets(&copy, row[i]->key.bytes, row[i]->key.len);
        pg_copy_octets(&copy, bytes.data, bytes.len);
    }
    buffer_fini(&bytes);
    result = pg_copy_end(&copy, problem);
    if (result == 0)
        result =
            pg_runf(d, problem,
                    "INSERT INTO dbsync.remote(tbl, key, origin, cut, registers) SELECT DISTINCT ON (tbl, key) tbl, "
                    "key, %d, %lld, registers FROM pg_temp.dbsync_remote WHERE call = %u ON CONFLICT (tbl, key, "
                    "origin) DO UPDATE SET cut = excluded.cut, xid = excluded.xid, registers = excluded.registers",
                    origin, (long long)cut, d->stage_call);
    d->knows_remote = true;
    return result;
}

// ---- lists ----

static void put_row_bytes(struct buffer *sql, const struct row *row)
{
    struct buffer bytes = {0};
    if (row)
        row_encode(&bytes, row);
    pg_sql_bytes(sql, bytes.data, bytes.len);
    buffer_fini(&bytes);
}

static int conflict(struct store *store, uint16_t peer, uint64_t number, const struct merge_conflict *c,
                    struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    const struct row *row = c->winner ? c->winner : c->loser;
    (void)problem;
    d->conflict_kind[c->kind]++;
    if (c->kind == CONFLICT_DELETE_DELETE)
        return 0; // counted, not listed
    pg_sql(&d->conflicts, "%s(%d, %lld, ", d->conflict_count++ ? ", " : "", peer, (long long)number);
    pg_sql_literal(&d->conflicts, row->table->name);
    pg_sql(&d->conflicts, ", ");
    pg_sql_bytes(&d->conflicts, row->key.bytes, row->key.len);
    pg_sql(&d->conflicts, ", %d, %s, %lld, %d, %lld, %d, ", c->kind, c->local_lost ? "true" : "false",
           (long long)c->winner_version.hlc, c->winner_version.site, (long long)c->loser_version.hlc,
           c->loser_version.site);
    put_row_bytes(&d->conflicts, c->winner);
    pg_sql(&d->conflicts, ", ");
    put_row_bytes(&d->conflicts, c->loser);
    pg_sql(&d->conflicts, ", ");
    pg_sql_literal(&d->conflicts, c->rule ? c->rule : "");
    pg_sql(&d->conflicts, ")");
    return 0;
}

static int forget_parked(struct door_pg *d, const struct table *t, struct key key, struct problem *problem)
{
    struct buffer sql = {0};
    pg_sql(&sql, "DELETE FROM dbsync.parked WHERE reason <> %d AND tbl = ", PARK_UNIQUE);
    pg_sql_literal(&sql, t->name);
    pg_sql(&sql, " AND key = ");
    pg_sql_bytes(&sql, key.bytes, key.len);
    int result = pg_run(d, (const char *)sql.data, problem);
    buffer_fini(&sql);
    return result;
}

static int unpark(struct store *store, struct work **row, unsigned count, struct problem *problem)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < count; i++)
        result = forget_parked(door_pg_of_store(store), row[i]->table, row[i]->key, problem);
    return result;
}

static int waiting(struct store *store, int64_t which, store_found *found, void *context, struct arena *arena,
                   struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    bool all = which == STORE_WAITING_ALL;
    if (!d->knows_parked && which == STORE_WAITING_PARENT)
        return 0;
    PGresult *r = pg_askf(d, problem,
                          "SELECT tbl, key FROM dbsync.parked WHERE reason <> %d AND (%s OR id = %lld OR (%lld < 0 AND "
                          "reason = %d))",
                          PARK_UNIQUE, all ? "true" : "false", (long long)which, (long long)which, PARK_MISSING_PARENT);
    if (!r)
        return -pg_errno(d);
    d->knows_parked |= PQntuples(r) > 0;
    for (int i = 0; i < PQntuples(r); i++) {
        int at = schema_find(d->schema, pg_text(r, i, 0));
        size_t len = (size_t)PQgetlength(r, i, 1);
        struct key key = {arena_copy(arena, PQgetvalue(r, i, 1), len), (uint32_t)len};
        if (at >= 0)
            found(context, 0, &d->schema->table[at], key);
    }
    PQclear(r);
    return 0;
}

static int park(struct store *store, uint16_t peer, uint64_t number, const struct park_entry *e,
                struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    struct buffer sql = {0};
    int result = e->reason == PARK_UNIQUE ? 0 : forget_parked(d, e->table, e->key, problem);
    pg_sql(&sql, "INSERT INTO dbsync.parked(peer, batch, tbl, key, reason, text, image) VALUES (%d, %lld, ", peer,
           (long long)number);
    pg_sql_literal(&sql, e->table->name);
    pg_sql(&sql, ", ");
    pg_sql_bytes(&sql, e->key.bytes, e->key.len);
    pg_sql(&sql, ", %d, ", e->reason);
    pg_sql_literal(&sql, e->text ? e->text : "");
    pg_sql(&sql, ", ");
    put_row_bytes(&sql, e->image);
    pg_sql(&sql, ")");
    if (result == 0)
        result = pg_run(d, (const char *)sql.data, problem);
    buffer_fini(&sql);
    d->knows_parked |= e->reason != PARK_UNIQUE;
    return result;
}

int store_pg_write_lists(struct door_pg *d, struct problem *problem)
{
    int result = 0;
    if (d->conflict_count)
        result =
            pg_runf(d, problem,
                    "INSERT INTO dbsync.conflict(peer, batch, tbl, key, kind, local_lost, winner_hlc, winner_site, "
                    "loser_hlc, loser_site, winner, loser, rule) VALUES %s",
                    (const char *)d->conflicts.data);
    for (int k = 0; result == 0 && k < CONFLICT_KIND_COUNT; k++) {
        if (d->conflict_kind[k])
            result =
                pg_runf(d, problem,
                        "INSERT INTO dbsync.count VALUES('%s', %lld) ON CONFLICT(name) DO UPDATE SET n = count.n + "
                        "excluded.n",
                        conflict_kind_name((enum conflict_kind)k), (long long)d->conflict_kind[k]);
    }
    return result;
}

// ---- finish ----

static bool was_inserted(const struct door_pg *d, const struct row *row)
{
    for (unsigned i = 0; i < d->inserted_count; i++) {
        if (d->inserted[i].table == row->table && key_compare(&d->inserted[i].key, &row->key) == 0)
            return true;
    }
    return false;
}

// A key that was not there could not be locked. Whoever inserted and deleted it since we looked left a later change
// in the log than the state that we have written.
static int look_for_races(struct door_pg *d, struct problem *problem)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < d->schema->table_count && d->inserted_count; i++) {
        if (!d->table[i].has_inserted || !d->load_snapshot)
            continue;
        struct buffer between = {0};
        struct fold meanwhile = {0};
        pg_sql_between(&between, d->load_snapshot, NULL);
        pg_sql(&between, " AND c.xid <> pg_current_xact_id()");
        result = door_pg_fold(d, &d->schema->table[i], (const char *)between.data, &meanwhile, problem);
        for (uint32_t r = 0; result == 0 && r < meanwhile.count; r++) {
            const struct row *row = meanwhile.entry[r].row;
            if (row->life == LIFE_DEAD && was_inserted(d, row))
                result = problem_set(problem, EAGAIN, "%s: a row of table %s came and went while a batch was applied",
                                     d->name, row->table->name);
        }
        fold_fini(&meanwhile);
        buffer_fini(&between);
    }
    return result;
}

static int finish(struct store *store, uint16_t peer, const struct batch_header *header, bool has_rows, int64_t clock,
                  struct problem *problem)
{
    struct door_pg *d = door_pg_of_store(store);
    struct buffer seen = {0}, sql = {0};
    window_encode(&seen, &header->seen);
    pg_sql(&sql, "UPDATE dbsync.peer SET applied = %lld, incarnation = %lld, ", (long long)header->number,
           (long long)header->incarnation);
    if (has_rows)
        pg_sql(&sql, "applied_rows = %lld, ", (long long)header->number);
    pg_sql(&sql, "seen = ");
    pg_sql_bytes(&sql, seen.data, seen.len);
    pg_sql(&sql, " WHERE site = %d", peer);
    int result = store_pg_write_lists(d, problem);
    if (result == 0)
        result = look_for_races(d, problem);
    if (result == 0)
        result = pg_run(d, (const char *)sql.data, problem);
    if (result == 0)
        result = door_pg_raise_clock(d, clock, problem);
    buffer_fini(&seen);
    buffer_fini(&sql);
    return result;
}

const struct store_ops store_pg_ops = {
    .chunk = 10000,
    .cursor = cursor,
    .load = load,
    .holders = store_pg_holders,
    .parents = store_pg_parents,
    .children = store_pg_children,
    .remove = store_pg_remove,
    .write = store_pg_write,
    .log_repair = log_repair,
    .drop_lost = drop_lost,
    .remember = remember,
    .conflict = conflict,
    .park = park,
    .waiting = waiting,
    .unpark = unpark,
    .keys = store_pg_keys,
    .digest = store_pg_digest,
    .finish = finish,
};
