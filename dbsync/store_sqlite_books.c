// SPDX-License-Identifier: Apache-2.0
// The books of apply: registers that lost leave the outbox; conflicts and parked rows are kept for people.
#include <errno.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"
#include "dbsync/row_codec.h"

// ---- lost registers ----

// Clears in `own` what `state` beats. Life goes only with the last column register: what is left must still say what it
// is.
static bool clear_lost(struct row *own, const struct row *state)
{
    const struct table *t = own->table;
    bool cleared = false, any_left = false;
    for (unsigned g = 0; g < t->group_count; g++) {
        if (!row_has_group(own, g))
            continue;
        if (row_compare_group(own, state, g) >= 0) {
            any_left = true;
            continue;
        }
        cleared = true;
        for (unsigned c = t->group_first[g]; c != SCHEMA_NONE; c = t->column[c].group_next)
            row_set(own, c, state->value[c], version_make(0, VERSION_USER, 0));
    }
    if (!any_left && row_compare_life(own, state) < 0) {
        own->life = LIFE_UNKNOWN;
        own->life_version = version_make(0, VERSION_USER, 0);
        cleared = true;
    }
    return cleared;
}

static int fold_uncut(struct door_sqlite *d, const struct work *w, int64_t cut_seq, struct fold *fold,
                      struct arena *arena, struct problem *problem)
{
    sqlite3_stmt *s = door_sqlite_statement(d, w->table, STATEMENT_WINDOW, problem);
    if (!s)
        return d->failure;
    sqlite_bind_key(s, 1, w->table, w->key);
    int result;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        struct row *change = door_sqlite_change(d, w->table, s, arena, problem);
        if (!change) {
            sqlite3_reset(s);
            return d->failure;
        }
        if (sqlite3_column_int64(s, 0) > cut_seq && row_has_registers(change))
            fold_add(fold, change);
    }
    return result;
}

static int drop_one(struct door_sqlite *d, struct work *w, int64_t cut_seq, struct problem *problem)
{
    struct arena arena = {0};
    struct fold fold = {0};
    int result = fold_uncut(d, w, cut_seq, &fold, &arena, problem);
    if (result == 0 && fold.count && clear_lost(fold.entry[0].row, w->state)) {
        sqlite3_stmt *s = door_sqlite_statement(d, w->table, STATEMENT_LOG_DROP, problem);
        if (s) {
            sqlite_bind_key(s, 1, w->table, w->key);
            sqlite3_bind_int64(s, w->table->key_count + 1, cut_seq);
        }
        result = s ? sqlite_done(d, s, problem) : d->failure;
        if (result == 0 && row_has_registers(fold.entry[0].row))
            result = door_sqlite_log_row(d, fold.entry[0].row, problem);
    }
    fold_fini(&fold);
    arena_fini(&arena);
    return result;
}

int store_sqlite_drop_lost(struct store *store, struct work **row, unsigned count, struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    int64_t cut_seq = 0;
    int result = sqlite_number(d, "SELECT max(cut_seq) FROM dbsync_peer", 0, 0, &cut_seq, problem);
    for (unsigned i = 0; result == 0 && i < count; i++)
        result = drop_one(d, row[i], cut_seq, problem);
    return result;
}

// ---- lists for people ----

static void bind_json(sqlite3_stmt *s, int at, struct buffer *json)
{
    sqlite3_bind_text64(s, at, (const char *)json->data, json->len, SQLITE_TRANSIENT, SQLITE_UTF8);
    buffer_reset(json);
}

static int count_conflict(struct door_sqlite *d, enum conflict_kind kind, struct problem *problem)
{
    sqlite3_stmt *s =
        sqlite_cached(d, "INSERT INTO dbsync_count VALUES(?1, 1) ON CONFLICT DO UPDATE SET n = n + 1", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_text(s, 1, conflict_kind_name(kind), -1, SQLITE_STATIC);
    return sqlite_done(d, s, problem);
}

int store_sqlite_conflict(struct store *store, uint16_t peer, uint64_t number, const struct merge_conflict *c,
                          struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    int result = count_conflict(d, c->kind, problem);
    if (result < 0 || c->kind == CONFLICT_DELETE_DELETE)
        return result;
    sqlite3_stmt *s =
        sqlite_cached(d,
                      "INSERT INTO dbsync_conflict(at, peer, batch, tbl, pk, kind, local_lost, winner_hlc, "
                      "winner_site, loser_hlc, loser_site, winner, loser, rule, key, loser_row) VALUES(?1, ?2, "
                      "?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                      problem);
    if (!s)
        return d->failure;
    struct buffer json = {0}, row = {0};
    sqlite3_bind_int64(s, 1, door_sqlite_wall_us(d));
    sqlite3_bind_int64(s, 2, peer);
    sqlite3_bind_int64(s, 3, (int64_t)number);
    sqlite3_bind_text(s, 4, c->loser->table->name, -1, SQLITE_TRANSIENT);
    row_key_json(&json, c->loser);
    bind_json(s, 5, &json);
    sqlite3_bind_int(s, 6, c->kind);
    sqlite3_bind_int(s, 7, c->local_lost);
    sqlite3_bind_int64(s, 8, c->winner_version.hlc);
    sqlite3_bind_int64(s, 9, c->winner_version.site);
    sqlite3_bind_int64(s, 10, c->loser_version.hlc);
    sqlite3_bind_int64(s, 11, c->loser_version.site);
    row_json(&json, c->winner);
    bind_json(s, 12, &json);
    row_json(&json, c->loser);
    bind_json(s, 13, &json);
    sqlite3_bind_text(s, 14, c->rule, -1, SQLITE_TRANSIENT);
    sqlite3_bind_blob64(s, 15, c->loser->key.bytes, c->loser->key.len, SQLITE_STATIC);
    row_encode(&row, c->loser);
    sqlite3_bind_blob64(s, 16, row.data, row.len, SQLITE_STATIC);
    result = sqlite_done(d, s, problem);
    buffer_fini(&json);
    buffer_fini(&row);
    return result;
}

static int forget_parked(struct door_sqlite *d, const struct table *t, struct key key, struct problem *problem)
{
    sqlite3_stmt *s =
        sqlite_cached(d, "DELETE FROM dbsync_parked WHERE tbl = ?1 AND key = ?2 AND reason <> ?3", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_text(s, 1, t->name, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(s, 2, key.bytes, key.len, SQLITE_STATIC);
    sqlite3_bind_int(s, 3, PARK_UNIQUE);
    return sqlite_done(d, s, problem);
}

int store_sqlite_unpark(struct store *store, struct work **row, unsigned count, struct problem *problem)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < count; i++)
        result = forget_parked(store_sqlite_door(store), row[i]->table, row[i]->key, problem);
    return result;
}

int store_sqlite_waiting(struct store *store, int64_t which, store_found *found, void *context, struct arena *arena,
                         struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    sqlite3_stmt *s =
        sqlite_cached(d,
                      "SELECT tbl, key FROM dbsync_parked WHERE reason <> ?3 AND (?2 = 0 OR id = ?2 OR (?2 < 0 AND "
                      "reason = ?1))",
                      problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int(s, 1, PARK_MISSING_PARENT);
    sqlite3_bind_int64(s, 2, which);
    sqlite3_bind_int(s, 3, PARK_UNIQUE);
    int result;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        int at = schema_find(d->schema, (const char *)sqlite3_column_text(s, 0));
        uint32_t len = (uint32_t)sqlite3_column_bytes(s, 1);
        struct key key = {arena_copy(arena, sqlite3_column_blob(s, 1), len), len};
        if (at >= 0)
            found(context, 0, &d->schema->table[at], key);
    }
    return result;
}

int store_sqlite_load_parked(struct door_sqlite *d, struct work *w, struct arena *arena, struct problem *problem)
{
    sqlite3_stmt *s =
        sqlite_cached(d, "SELECT row FROM dbsync_parked WHERE tbl = ?1 AND key = ?2 AND reason <> ?3", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_text(s, 1, w->table->name, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(s, 2, w->key.bytes, w->key.len, SQLITE_STATIC);
    sqlite3_bind_int(s, 3, PARK_UNIQUE);
    int result;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        size_t len = (size_t)sqlite3_column_bytes(s, 0);
        struct row *row = row_decode(arena, w->table, w->key, arena_copy(arena, sqlite3_column_blob(s, 0), len), len);
        if (!row)
            continue; // parked under an older definition: it stays in the list for people
        w->was_parked = true;
        if (w->local)
            row_join(w->local, row);
        else
            w->local = row;
    }
    return result;
}

int store_sqlite_park(struct store *store, uint16_t peer, uint64_t number, const struct park_entry *e,
                      struct problem *problem)
{
    struct door_sqlite *d = store_sqlite_door(store);
    int forgotten = e->reason == PARK_UNIQUE ? 0 : forget_parked(d, e->table, e->key, problem);
    if (forgotten < 0)
        return forgotten;
    sqlite3_stmt *s =
        sqlite_cached(d,
                      "INSERT INTO dbsync_parked(at, peer, batch, tbl, pk, reason, text, image, key, row) "
                      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                      problem);
    if (!s)
        return d->failure;
    struct buffer json = {0}, row = {0};
    sqlite3_bind_int64(s, 1, door_sqlite_wall_us(d));
    sqlite3_bind_int64(s, 2, peer);
    sqlite3_bind_int64(s, 3, (int64_t)number);
    sqlite3_bind_text(s, 4, e->table->name, -1, SQLITE_TRANSIENT);
    row_key_json(&json, e->image);
    bind_json(s, 5, &json);
    sqlite3_bind_int(s, 6, e->reason);
    sqlite3_bind_text(s, 7, e->text, -1, SQLITE_TRANSIENT);
    row_json(&json, e->image);
    bind_json(s, 8, &json);
    sqlite3_bind_blob64(s, 9, e->key.bytes, e->key.len, SQLITE_STATIC);
    row_encode(&row, e->image);
    sqlite3_bind_blob64(s, 10, row.data, row.len, SQLITE_STATIC);
    int result = sqlite_done(d, s, problem);
    d->has_parked = true;
    buffer_fini(&json);
    buffer_fini(&row);
    return result;
}
