// SPDX-License-Identifier: Apache-2.0
// Base rows and digests of a cut: bootstrap, rows asked for, verification.
//
// They are read in the transaction that makes the cut, so they are true at it. What was written down with the cut
// (table, first and last key) is read again when the batch is, at a later moment: what changed in between comes with a
// later batch, too. Digests are not repeated: later they would not be true.
#include <errno.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"

enum { BOOT_ROWS = 5000 };

static struct key key_at(sqlite3_stmt *s, int at, struct arena *arena)
{
    uint32_t len = (uint32_t)sqlite3_column_bytes(s, at);
    struct key key = {arena_copy(arena, sqlite3_column_blob(s, at), len), len};
    return key;
}

// ---- starting ----

static int start(struct door_sqlite *d, uint16_t peer, const char *table, bool digest, struct problem *problem)
{
    const struct schema *schema;
    int result = door_sqlite_schema(&d->door, &schema, problem);
    if (result < 0)
        return result;
    if (table && schema_find(schema, table) < 0)
        return problem_set(problem, ENOENT, "table %s is not synchronised", table);
    for (unsigned i = 0; result == 0 && i < schema->table_count; i++) {
        if (!table || strcmp(schema->table[i].name, table) == 0)
            result = sqlite_runf(d, problem, "INSERT OR REPLACE INTO dbsync_boot VALUES(%d, %Q, %d, x'')", peer,
                                 schema->table[i].name, digest);
    }
    return result;
}

int door_sqlite_bootstrap(struct door *door, uint16_t peer, const char *table, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    int result = door_sqlite_begin(d, true, problem);
    if (result == 0)
        result =
            sqlite_runf(d, problem,
                        "UPDATE dbsync_peer SET boot_rows = 0, state = CASE WHEN state = %d THEN %d ELSE state END, "
                        "reason = CASE WHEN state = %d THEN '' ELSE reason END WHERE site = %d",
                        PEER_NEEDS_BOOTSTRAP, PEER_RUNNING, PEER_NEEDS_BOOTSTRAP, peer);
    if (result == 0)
        result = start(d, peer, table, false, problem);
    if (result == 0)
        result = door_sqlite_commit(d, problem);
    door_sqlite_rollback(d);
    return result;
}

int door_sqlite_verify(struct door *door, uint16_t peer, struct problem *problem)
{
    return start(door_sqlite_of(door), peer, NULL, true, problem);
}

int door_sqlite_set_base_mode(struct door *door, uint16_t peer, enum merge_base_mode mode, struct problem *problem)
{
    return sqlite_runf(door_sqlite_of(door), problem, "UPDATE dbsync_peer SET base_mode = %d WHERE site = %d", mode,
                       peer);
}

int door_sqlite_request_rows(struct door *door, uint16_t peer, const char *table, const struct key *key, unsigned count,
                             struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    int result = door_sqlite_begin(d, true, problem);
    for (unsigned i = 0; result == 0 && i < count; i++) {
        sqlite3_stmt *s = sqlite_cached(d, "INSERT OR IGNORE INTO dbsync_request VALUES(?1, ?2, ?3, 0)", problem);
        if (!s) {
            result = d->failure;
            break;
        }
        sqlite3_bind_int(s, 1, peer);
        sqlite3_bind_text(s, 2, table, -1, SQLITE_STATIC);
        sqlite3_bind_blob64(s, 3, key[i].bytes, key[i].len, SQLITE_STATIC);
        result = sqlite_done(d, s, problem);
    }
    if (result == 0)
        result = door_sqlite_commit(d, problem);
    door_sqlite_rollback(d);
    return result;
}

// ---- planning a cut ----

int door_sqlite_boot_pending(struct door_sqlite *d, uint16_t peer, bool *pending, struct problem *problem)
{
    int64_t found = 0;
    int result = sqlite_number(d,
                               "SELECT EXISTS(SELECT 1 FROM dbsync_boot WHERE peer = ?1) OR EXISTS(SELECT 1 FROM "
                               "dbsync_request WHERE peer = ?1 AND cut = 0)",
                               peer, 0, &found, problem);
    *pending = found != 0;
    return result;
}

static int next_boot(struct door_sqlite *d, uint16_t peer, bool digest, struct boot_range *range, struct arena *arena,
                     struct problem *problem)
{
    sqlite3_stmt *s = sqlite_cached(
        d, "SELECT tbl, after FROM dbsync_boot WHERE peer = ?1 AND digest = ?2 ORDER BY tbl LIMIT 1", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int(s, 1, peer);
    sqlite3_bind_int(s, 2, digest);
    int result = sqlite_step(d, s, problem);
    if (result != 1)
        return result;
    int at = schema_find(d->schema, (const char *)sqlite3_column_text(s, 0));
    range->table = at < 0 ? NULL : &d->schema->table[at];
    range->after = key_at(s, 1, arena);
    sqlite3_reset(s);
    return 1;
}

// The last of at most `limit` keys behind `after`.
static int find_end(struct door_sqlite *d, struct boot_range *range, unsigned limit, struct arena *arena,
                    struct problem *problem)
{
    sqlite3_stmt *s = door_sqlite_range(d, range->table, range->after, (struct key){NULL, 0}, problem);
    int result = s ? 1 : d->failure;
    struct row *row = NULL;
    unsigned rows = 0;
    while (rows <= limit && result > 0 && (result = sqlite_step(d, s, problem)) == 1) {
        if (rows++ < limit)
            row = door_sqlite_row(range->table, s, arena);
    }
    if (s)
        sqlite3_reset(s);
    range->is_last = rows <= limit;
    range->upto = row && !range->is_last ? row->key : (struct key){NULL, 0};
    return result < 0 ? result : 0;
}

static int move_on(struct door_sqlite *d, uint16_t peer, bool digest, const struct boot_range *range,
                   struct problem *problem)
{
    sqlite3_stmt *s =
        range->is_last
            ? sqlite_cached(d, "DELETE FROM dbsync_boot WHERE peer = ?1 AND tbl = ?2 AND digest = ?3", problem)
            : sqlite_cached(d, "UPDATE dbsync_boot SET after = ?4 WHERE peer = ?1 AND tbl = ?2 AND digest = ?3",
                            problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int(s, 1, peer);
    sqlite3_bind_text(s, 2, range->table->name, -1, SQLITE_STATIC);
    sqlite3_bind_int(s, 3, digest);
    if (!range->is_last)
        sqlite3_bind_blob64(s, 4, range->upto.bytes, range->upto.len, SQLITE_STATIC);
    return sqlite_done(d, s, problem);
}

// The next range of base rows, and of digests, for a cut; the position moves on with the cut.
int door_sqlite_boot_plan(struct door_sqlite *d, uint16_t peer, unsigned limit, uint64_t cut, struct boot_range *base,
                          struct boot_range *digest, struct arena *arena, struct problem *problem)
{
    memset(base, 0, sizeof *base);
    memset(digest, 0, sizeof *digest);
    int result = sqlite_runf(d, problem, "UPDATE dbsync_request SET cut = %lld WHERE peer = %d AND cut = 0",
                             (long long)cut, peer);
    struct boot_range *ranges[] = {base, digest};
    for (int i = 0; result >= 0 && i < 2; i++) {
        result = next_boot(d, peer, i == 1, ranges[i], arena, problem);
        if (result != 1)
            continue;
        if (!ranges[i]->table) { // removed since
            result =
                sqlite_runf(d, problem, "DELETE FROM dbsync_boot WHERE tbl NOT IN (SELECT name FROM dbsync_table)");
            continue;
        }
        result = find_end(d, ranges[i], i == 1 ? BOOT_ROWS * 4 : limit ? limit : BOOT_ROWS, arena, problem);
        if (result == 0)
            result = move_on(d, peer, i == 1, ranges[i], problem);
    }
    return result < 0 ? result : 0;
}

// ---- writing ----

// Registers of the window go with the row: the receiver joins them as always.
static int write_base(struct door_sqlite *d, struct batch_writer *w, struct row *row, struct arena *arena,
                      struct problem *problem)
{
    struct row *window = NULL;
    int result = door_sqlite_window(d, row->table, row->key, 0, &window, NULL, arena, problem);
    if (result == 0 && window)
        row_join(row, window);
    row->life = LIFE_LIVE;
    if (result == 0)
        batch_base(w, row);
    return result;
}

int door_sqlite_boot_write(struct door_sqlite *d, struct batch_writer *w, const struct boot_range *range,
                           uint64_t *rows, struct problem *problem)
{
    struct arena arena = {0};
    sqlite3_stmt *s = door_sqlite_range(d, range->table, range->after, range->upto, problem);
    int result = s ? 1 : d->failure;
    while (result > 0 && (result = sqlite_step(d, s, problem)) == 1) {
        struct row *row = door_sqlite_row(range->table, s, &arena);
        int written = write_base(d, w, row, &arena, problem);
        result = written < 0 ? written : 1;
        ++*rows;
        arena_reset(&arena);
    }
    if (s)
        sqlite3_reset(s);
    arena_fini(&arena);
    if (result >= 0)
        batch_range(w, range->table, range->after, range->upto, range->is_last);
    return result < 0 ? result : 0;
}

int door_sqlite_digest_write(struct door_sqlite *d, struct batch_writer *w, const struct boot_range *range,
                             struct problem *problem)
{
    struct arena arena = {0};
    struct key after = range->after, last = {NULL, 0};
    uint64_t rows = 0, sum = 0;
    struct arena keys = {0};
    sqlite3_stmt *s = door_sqlite_range(d, range->table, range->after, range->upto, problem);
    int result = s ? 1 : d->failure;
    while (result > 0 && (result = sqlite_step(d, s, problem)) == 1) {
        struct row *row = door_sqlite_row(range->table, s, &arena);
        sum += door_row_digest(row);
        last = (struct key){arena_copy(&keys, row->key.bytes, row->key.len), row->key.len};
        arena_reset(&arena);
        if (++rows < DOOR_DIGEST_ROWS)
            continue;
        batch_digest(w, range->table, after, last, rows, sum);
        after = last;
        rows = sum = 0;
    }
    if (s)
        sqlite3_reset(s);
    if (result >= 0 && (range->is_last || rows))
        batch_digest(w, range->table, after, range->upto, rows, sum);
    arena_fini(&arena);
    arena_fini(&keys);
    return result < 0 ? result : 0;
}

// Rows that the peer asked for, with this cut. One that is gone needs no answer: its delete is in the log.
int door_sqlite_requested_write(struct door_sqlite *d, struct batch_writer *w, uint16_t peer, uint64_t cut,
                                struct problem *problem)
{
    struct arena arena = {0};
    sqlite3_stmt *s = sqlite_cached(d, "SELECT tbl, key FROM dbsync_request WHERE peer = ?1 AND cut = ?2", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int(s, 1, peer);
    sqlite3_bind_int64(s, 2, (int64_t)cut);
    int result;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        int at = schema_find(d->schema, (const char *)sqlite3_column_text(s, 0));
        if (at < 0)
            continue;
        struct key key = key_at(s, 1, &arena);
        const struct table *t = &d->schema->table[at];
        sqlite3_stmt *row_statement = door_sqlite_statement(d, t, STATEMENT_ROW, problem);
        if (!row_statement) {
            result = d->failure;
            break;
        }
        sqlite_bind_key(row_statement, 1, t, key);
        result = sqlite_step(d, row_statement, problem);
        if (result == 1)
            result = write_base(d, w, door_sqlite_row(t, row_statement, &arena), &arena, problem);
        sqlite3_reset(row_statement);
        if (result < 0)
            break;
    }
    sqlite3_reset(s);
    arena_fini(&arena);
    return result < 0 ? result : 0;
}
