// SPDX-License-Identifier: Apache-2.0
// Dropping what is stable, and folding what no cut has taken.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"

struct peers {
    uint16_t site[WINDOW_SITE_MAX];
    struct window_vector seen[WINDOW_SITE_MAX];
    unsigned count;
};

// A peer that is to be bootstrapped anyway holds nothing.
static int read_peers(struct door_sqlite *d, struct peers *peers, struct problem *problem)
{
    sqlite3_stmt *s = sqlite_cached(d, "SELECT site, seen FROM dbsync_peer WHERE state <> ?1 ORDER BY site", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int(s, 1, PEER_NEEDS_BOOTSTRAP);
    int result;
    peers->count = 0;
    while ((result = sqlite_step(d, s, problem)) == 1 && peers->count < WINDOW_SITE_MAX) {
        struct bytes_reader in = bytes_reader_init(sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1));
        struct window_vector none = {0};
        peers->site[peers->count] = (uint16_t)sqlite3_column_int(s, 0);
        peers->seen[peers->count++] = in.len ? window_decode(&in) : none;
    }
    sqlite3_reset(s);
    return result;
}

// The position up to which every peer has seen our log.
static int stable_position(struct door_sqlite *d, const struct peers *peers, int64_t *position, struct problem *problem)
{
    int result = 0;
    *position = INT64_MAX;
    if (peers->count == 0) { // nobody has to be told, so nothing has to be kept
        return sqlite_number(d,
                             "SELECT CASE WHEN EXISTS(SELECT 1 FROM dbsync_peer) THEN seq ELSE 0 END FROM dbsync_clock",
                             0, 0, position, problem);
    }
    for (unsigned i = 0; result == 0 && i < peers->count; i++) {
        int64_t high = 0;
        uint64_t cut = window_get(&peers->seen[i], d->site);
        result = sqlite_number(
            d, "SELECT high FROM dbsync_cut WHERE peer = ?1 AND number <= ?2 ORDER BY number DESC LIMIT 1",
            peers->site[i], (int64_t)cut, &high, problem);
        *position = high < *position ? high : *position;
    }
    return result;
}

static int drop_changes(struct door_sqlite *d, int64_t position, bool *more, struct problem *problem)
{
    enum { LIMIT = 20000 };
    int result = 0;
    for (unsigned i = 0; result == 0 && i < d->schema->table_count; i++) {
        result = sqlite_runf(d, problem,
                             "DELETE FROM dbsync_c_%lld WHERE seq <= min(%lld, (SELECT coalesce(min(seq), 0) FROM "
                             "dbsync_c_%lld) + %d)",
                             (long long)d->schema->table[i].id, (long long)position, (long long)d->schema->table[i].id,
                             LIMIT);
        *more |= sqlite3_changes(d->db) >= LIMIT;
    }
    return result;
}

// Remembered registers go when their own cut is stable and the local changes that they overrule are gone, too.
static int drop_remembered(struct door_sqlite *d, const struct peers *peers, int64_t position, struct problem *problem)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < peers->count; i++) {
        uint64_t stable = window_stable(d->site, peers->site[i], peers->site, peers->seen, peers->count);
        if (stable > INT64_MAX)
            stable = INT64_MAX;
        result =
            sqlite_runf(d, problem, "DELETE FROM dbsync_remote WHERE origin = %d AND cut <= %lld AND local_seq <= %lld",
                        peers->site[i], (long long)stable, (long long)position);
    }
    return result;
}

// Cut records: the latest of each peer that is seen stays, since it says which position that is.
static int drop_cuts(struct door_sqlite *d, const struct peers *peers, struct problem *problem)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < peers->count; i++) {
        long long cut = (long long)window_get(&peers->seen[i], d->site);
        result =
            sqlite_runf(d, problem,
                        "DELETE FROM dbsync_cut WHERE peer = %d AND number < (SELECT max(number) FROM dbsync_cut WHERE "
                        "peer = %d AND number <= %lld)",
                        peers->site[i], peers->site[i], cut);
    }
    return result;
}

int door_sqlite_collect(struct door *door, bool *more, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    struct peers peers;
    int64_t position = 0;
    *more = false;
    int result = door_sqlite_begin_work(door, problem);
    if (result < 0)
        return result;
    result = read_peers(d, &peers, problem);
    if (result == 0)
        result = stable_position(d, &peers, &position, problem);
    if (result == 0 && position > 0)
        result = drop_changes(d, position, more, problem);
    if (result == 0)
        result = drop_remembered(d, &peers, position, problem);
    if (result == 0)
        result = drop_cuts(d, &peers, problem);
    if (result == 0)
        result = door_sqlite_commit(d, problem);
    door_sqlite_rollback(d);
    return result;
}

// ---- compaction ----

static int compact_table(struct door_sqlite *d, const struct table *t, int64_t cut_seq, uint64_t *before,
                         uint64_t *after, struct problem *problem)
{
    struct arena arena = {0};
    struct fold fold = {0};
    sqlite3_stmt *s = door_sqlite_statement(d, t, STATEMENT_LOG_RANGE, problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int64(s, 1, cut_seq);
    sqlite3_bind_int64(s, 2, INT64_MAX);
    int result;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        struct row *row = door_sqlite_change(d, t, s, &arena, problem);
        if (!row) {
            result = d->failure;
            break;
        }
        if (row_has_registers(row))
            fold_add(&fold, row);
        arena_reset(&arena);
        ++*before;
    }
    sqlite3_reset(s);
    if (result == 0 && fold.count < fold.change_count) {
        result =
            sqlite_runf(d, problem, "DELETE FROM dbsync_c_%lld WHERE seq > %lld", (long long)t->id, (long long)cut_seq);
        for (uint32_t i = 0; result == 0 && i < fold.count; i++)
            result = door_sqlite_log_row(d, fold.entry[i].row, problem);
    }
    *after += fold.count;
    fold_fini(&fold);
    arena_fini(&arena);
    return result;
}

int door_sqlite_compact(struct door *door, uint64_t *before, uint64_t *after, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    int64_t cut_seq = 0;
    *before = *after = 0;
    int result = door_sqlite_begin_work(door, problem);
    if (result < 0)
        return result;
    result = sqlite_number(d, "SELECT max(cut_seq) FROM dbsync_peer", 0, 0, &cut_seq, problem);
    for (unsigned i = 0; result == 0 && i < d->schema->table_count; i++)
        result = compact_table(d, &d->schema->table[i], cut_seq, before, after, problem);
    if (result == 0)
        result = door_sqlite_forget_borders(d, cut_seq, INT64_MAX, problem);
    if (result == 0)
        result = door_sqlite_commit(d, problem);
    door_sqlite_rollback(d);
    return result;
}
