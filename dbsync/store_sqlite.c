// SPDX-License-Identifier: Apache-2.0
// Row operations of apply on SQLite: prepared statements in a loop.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"
#include "dbsync/row_codec.h"

static struct table_sql *sql_of(struct door_sqlite *d, const struct table *t)
{
    return &d->sql[t - d->schema->table];
}

static int cursor(struct store *store, uint16_t peer, struct store_cursor *c, struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    memset(c, 0, sizeof *c);
    sqlite3_stmt *s =
        sqlite_cached(d,
                      "SELECT applied, applied_rows, dbsync_peer.incarnation, base_mode, hlc, head FROM dbsync_peer, "
                      "dbsync_clock, dbsync_site WHERE dbsync_peer.site = ?1",
                      problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int64(s, 1, peer);
    int result = sqlite_step(d, s, problem);
    if (result != 1)
        return result < 0 ? result : problem_set(problem, ENOENT, "site %u is no peer here", peer);
    c->applied = (uint64_t)sqlite3_column_int64(s, 0);
    c->applied_rows = (uint64_t)sqlite3_column_int64(s, 1);
    c->incarnation = (uint64_t)sqlite3_column_int64(s, 2);
    c->base_mode = (enum merge_base_mode)sqlite3_column_int(s, 3);
    c->clock = sqlite3_column_int64(s, 4);
    c->own_head = (uint64_t)sqlite3_column_int64(s, 5);
    sqlite3_reset(s);
    c->wall_us = door_sqlite_wall_us(d);
    int64_t parked = 0;
    result = sqlite_number(d, "SELECT EXISTS(SELECT 1 FROM dbsync_parked WHERE reason <> ?1)", PARK_UNIQUE, 0, &parked,
                           problem);
    d->has_parked = parked != 0;
    if (result < 0)
        return result;
    for (unsigned i = 0; i < d->schema->table_count; i++)
        d->sql[i].is_looked = false;
    return door_sqlite_vector(d, &c->vector, &c->peer_count, problem);
}

// ---- load ----

// The folded registers of the window's changes of one row, in `arena`.
static struct row *take_folded(struct fold *fold, struct arena *arena)
{
    struct row *row = fold->count ? row_clone(arena, fold->entry[0].row) : NULL;
    if (row)
        row_own(arena, row);
    fold_fini(fold);
    return row;
}

int door_sqlite_window(struct door_sqlite *d, const struct table *t, struct key key, int64_t seen_seq, struct row **all,
                       struct row **unseen, struct arena *arena, struct problem *problem)
{
    sqlite3_stmt *s = door_sqlite_statement(d, t, STATEMENT_WINDOW, problem);
    if (!s)
        return d->failure;
    sqlite_bind_key(s, 1, t, key);
    struct fold every = {0}, later = {0};
    int result;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        struct row *change = door_sqlite_change(d, t, s, arena, problem);
        if (!change) {
            sqlite3_reset(s);
            result = d->failure;
            break;
        }
        if (!row_has_registers(change))
            continue;
        fold_add(&every, change);
        if (unseen && sqlite3_column_int64(s, 0) > seen_seq)
            fold_add(&later, change);
    }
    *all = take_folded(&every, arena);
    struct row *after = take_folded(&later, arena);
    if (unseen)
        *unseen = after;
    return result;
}

static int load_window(struct door_sqlite *d, struct work *w, int64_t seen_seq, struct arena *arena,
                       struct problem *problem)
{
    return door_sqlite_window(d, w->table, w->key, seen_seq, &w->local, &w->unseen, arena, problem);
}

static int load_remote(struct door_sqlite *d, struct work *w, struct arena *arena, struct problem *problem)
{
    sqlite3_stmt *s = door_sqlite_statement(d, w->table, STATEMENT_REMOTE, problem);
    if (!s)
        return d->failure;
    sqlite3_bind_blob64(s, 1, w->key.bytes, w->key.len, SQLITE_STATIC);
    int result;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        size_t len = (size_t)sqlite3_column_bytes(s, 0);
        struct row *remote =
            row_decode(arena, w->table, w->key, arena_copy(arena, sqlite3_column_blob(s, 0), len), len);
        if (!remote) {
            sqlite3_reset(s);
            return problem_set(problem, EIO, "%s: remembered registers of table %s are malformed", d->path,
                               w->table->name);
        }
        if (w->local)
            row_join(w->local, remote);
        else
            w->local = remote;
    }
    return result;
}

static int load_current(struct door_sqlite *d, struct work *w, struct arena *arena, struct problem *problem)
{
    sqlite3_stmt *s = door_sqlite_statement(d, w->table, STATEMENT_ROW, problem);
    if (!s)
        return d->failure;
    sqlite_bind_key(s, 1, w->table, w->key);
    int result = sqlite_step(d, s, problem), at = 0;
    w->presence = result == 1 ? PRESENCE_PRESENT : PRESENCE_ABSENT;
    if (result != 1)
        return result;
    w->current = row_new(arena, w->table, w->key);
    for (unsigned c = 0; w->current && c < w->table->column_count; c++) {
        if (w->table->column[c].is_generated)
            continue;
        struct value v = sqlite_value(s, at++);
        row_set(w->current, c, value_copy(arena, &v), version_make(0, VERSION_USER, 0));
    }
    sqlite3_reset(s);
    return 0;
}

// A table without change rows, which is the usual case on a site that only receives, needs no look at each row.
static int look(struct door_sqlite *d, const struct table *t, struct table_sql *q, struct problem *problem)
{
    sqlite3_stmt *s = door_sqlite_statement(d, t, STATEMENT_HAS_WINDOW, problem);
    int result = s ? sqlite_step(d, s, problem) : d->failure;
    if (result != 1)
        return result < 0 ? result : -EIO;
    q->has_window = sqlite3_column_int(s, 0) != 0;
    q->has_remote = sqlite3_column_int(s, 1) != 0;
    q->is_looked = true;
    sqlite3_reset(s);
    return 0;
}

static int load(struct store *store, uint16_t peer, uint64_t seen, struct work **row, unsigned count,
                struct arena *arena, struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    int64_t seen_seq = 0;
    int result =
        sqlite_number(d, "SELECT high FROM dbsync_cut WHERE peer = ?1 AND number <= ?2 ORDER BY number DESC LIMIT 1",
                      peer, (int64_t)seen, &seen_seq, problem);
    for (unsigned i = 0; result == 0 && i < count; i++) {
        struct table_sql *q = sql_of(d, row[i]->table);
        if (!q->is_looked)
            result = look(d, row[i]->table, q, problem);
        if (result == 0 && q->has_window)
            result = load_window(d, row[i], seen_seq, arena, problem);
        if (result == 0 && q->has_remote)
            result = load_remote(d, row[i], arena, problem);
        if (result == 0 && d->has_parked)
            result = store_sqlite_load_parked(d, row[i], arena, problem);
        if (result == 0 && (row[i]->want_current || row[i]->local))
            result = load_current(d, row[i], arena, problem);
    }
    return result;
}

// ---- writing rows ----

static int remove_rows(struct store *store, struct work **row, unsigned count, struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    int result = 0;
    for (unsigned i = 0; result == 0 && i < count; i++) {
        sqlite3_stmt *s = door_sqlite_statement(d, row[i]->table, STATEMENT_DELETE, problem);
        if (!s)
            return d->failure;
        sqlite_bind_key(s, 1, row[i]->table, row[i]->key);
        result = sqlite_done(d, s, problem);
        row[i]->was_live |= sqlite3_changes(d->db) > 0;
        row[i]->is_removed = true;
    }
    return result;
}

static sqlite3_stmt *update_statement(struct door_sqlite *d, const struct work *w, struct problem *problem)
{
    struct table_sql *q = sql_of(d, w->table);
    unsigned n = w->table->column_count;
    for (unsigned i = 0; i < q->update_count; i++) {
        if (memcmp(q->update[i].column, w->write, n * sizeof(bool)) == 0) {
            sqlite3_reset(q->update[i].statement);
            return q->update[i].statement;
        }
    }
    sqlite3_str *text = sqlite3_str_new(NULL);
    unsigned at = 1;
    sqlite3_str_appendf(text, "UPDATE \"%w\" SET ", w->table->name);
    for (unsigned c = 0; c < n; c++) {
        if (w->write[c])
            sqlite3_str_appendf(text, "%s\"%w\" = ?%u", at > 1 ? ", " : "", w->table->column[c].name, at), at++;
    }
    for (unsigned k = 0; k < w->table->key_count; k++)
        sqlite3_str_appendf(text, "%s\"%w\" = ?%u", k ? " AND " : " WHERE ", w->table->column[w->table->key[k]].name,
                            at + k);
    char *sql = sqlite3_str_finish(text);
    sqlite3_stmt *statement = NULL;
    if (sql)
        sqlite_prepare(d, sql, &statement, problem);
    sqlite3_free(sql);
    if (!statement)
        return NULL;
    unsigned slot = q->update_count < TABLE_UPDATE_MAX ? q->update_count++ : 0;
    sqlite3_finalize(q->update[slot].statement);
    free(q->update[slot].column);
    q->update[slot].column = memory_take(n * sizeof(bool));
    memcpy(q->update[slot].column, w->write, n * sizeof(bool));
    q->update[slot].statement = statement;
    return statement;
}

static int bind_write(struct work *w, sqlite3_stmt *s, bool is_update)
{
    int at = 1;
    for (unsigned c = 0; c < w->table->column_count; c++) {
        if (is_update ? w->write[c] : !w->table->column[c].is_generated)
            sqlite_bind(s, at++, &w->state->value[c]);
    }
    return at;
}

static int write_one(struct door_sqlite *d, struct work *w, struct problem *problem)
{
    bool is_update = w->action == MERGE_UPDATE && !w->is_removed;
    sqlite3_stmt *s =
        is_update ? update_statement(d, w, problem) : door_sqlite_statement(d, w->table, STATEMENT_INSERT, problem);
    if (!s)
        return d->failure;
    int at = bind_write(w, s, is_update);
    if (is_update)
        sqlite_bind_key(s, at, w->table, w->key);
    int result = sqlite_done(d, s, problem);
    if (result < 0 && (sqlite3_errcode(d->db) & 0xff) == SQLITE_CONSTRAINT) {
        w->refused = memory_text(sqlite3_errmsg(d->db)); // SQLite undid the statement, the transaction stands
        return 0;
    }
    w->is_missing = result == 0 && is_update && sqlite3_changes(d->db) == 0;
    w->is_done = result == 0 && !w->is_missing;
    return result;
}

static int write_rows(struct store *store, struct work **row, unsigned count, struct problem *problem)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < count; i++)
        result = write_one(store_sqlite_door(store), row[i], problem);
    return result;
}

// ---- bookkeeping ----

static int log_repair(struct store *store, struct work **row, unsigned count, struct problem *problem)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < count; i++) {
        if (row[i]->repair)
            result = door_sqlite_log_row(store_sqlite_door(store), row[i]->repair, problem);
    }
    return result;
}

static int remember(struct store *store, uint16_t origin, uint64_t cut, struct work **row, unsigned count,
                    struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    struct buffer bytes = {0};
    int result = 0;
    for (unsigned i = 0; result == 0 && i < count; i++) {
        sqlite3_stmt *s =
            sqlite_cached(d,
                          "INSERT INTO dbsync_remote SELECT ?1, ?2, ?3, ?4, seq, ?5 FROM dbsync_clock WHERE 1 "
                          "ON CONFLICT DO UPDATE SET cut = excluded.cut, local_seq = excluded.local_seq, "
                          "registers = excluded.registers",
                          problem);
        if (!s)
            return d->failure;
        buffer_reset(&bytes);
        row_encode(&bytes, row[i]->state);
        sqlite3_bind_int64(s, 1, row[i]->table->id);
        sqlite3_bind_blob64(s, 2, row[i]->key.bytes, row[i]->key.len, SQLITE_STATIC);
        sqlite3_bind_int64(s, 3, origin);
        sqlite3_bind_int64(s, 4, (int64_t)cut);
        sqlite3_bind_blob64(s, 5, bytes.data, bytes.len, SQLITE_STATIC);
        result = sqlite_done(d, s, problem);
    }
    buffer_fini(&bytes);
    return result;
}

static int finish(struct store *store, uint16_t peer, const struct batch_header *header, bool owes_news, int64_t clock,
                  struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    struct buffer seen = {0};
    sqlite3_stmt *s = sqlite_cached(d,
                                    "UPDATE dbsync_peer SET applied = ?2, applied_rows = CASE WHEN ?3 THEN ?2 ELSE "
                                    "applied_rows END, incarnation = ?4, seen = ?5 WHERE site = ?1",
                                    problem);
    if (!s)
        return d->failure;
    window_encode(&seen, &header->seen);
    sqlite3_bind_int64(s, 1, peer);
    sqlite3_bind_int64(s, 2, (int64_t)header->number);
    sqlite3_bind_int(s, 3, owes_news);
    sqlite3_bind_int64(s, 4, (int64_t)header->incarnation);
    sqlite3_bind_blob64(s, 5, seen.data, seen.len, SQLITE_STATIC);
    int result = sqlite_done(d, s, problem);
    buffer_fini(&seen);
    if (result == 0)
        result = sqlite_runf(d, problem, "UPDATE dbsync_clock SET hlc = max(hlc, %lld)", (long long)clock);
    return result;
}

const struct store_ops store_sqlite_ops = {
    .chunk = 1,
    .cursor = cursor,
    .load = load,
    .holders = store_sqlite_holders,
    .parents = store_sqlite_parents,
    .children = store_sqlite_children,
    .remove = remove_rows,
    .write = write_rows,
    .log_repair = log_repair,
    .drop_lost = store_sqlite_drop_lost,
    .remember = remember,
    .conflict = store_sqlite_conflict,
    .park = store_sqlite_park,
    .waiting = store_sqlite_waiting,
    .unpark = store_sqlite_unpark,
    .keys = store_sqlite_keys,
    .digest = store_sqlite_digest,
    .finish = finish,
};
