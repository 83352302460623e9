// SPDX-License-Identifier: Apache-2.0
// The door to SQLite: opening, transactions, and the table of operations.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_sqlite.h"
#include "dbsync/door_sqlite_private.h"

enum { BORDER_CHANGES = 1000 }; // between two notes of door_sqlite_border.c; each is a write transaction of ours

int door_sqlite_begin(struct door_sqlite *d, bool immediate, struct problem *problem)
{
    int result = sqlite_run(d, immediate ? "BEGIN IMMEDIATE" : "BEGIN", problem);
    if (result == 0 && immediate)
        result = door_sqlite_settle(d, problem);
    if (result < 0)
        door_sqlite_rollback(d);
    return result;
}

int door_sqlite_begin_work(struct door *door, struct problem *problem)
{
    const struct schema *schema;
    struct door_identity own;
    int result = door_sqlite_identity(door, &own, problem);
    if (result == 0)
        result = door_sqlite_schema(door, &schema, problem);
    return result < 0 ? result : door_sqlite_begin(door_sqlite_of(door), true, problem);
}

int door_sqlite_commit(struct door_sqlite *d, struct problem *problem)
{
    return sqlite_run(d, "COMMIT", problem);
}

void door_sqlite_rollback(struct door_sqlite *d)
{
    if (!sqlite3_get_autocommit(d->db))
        sqlite3_exec(d->db, "ROLLBACK", NULL, NULL, NULL);
}

static void close_door(struct door *door)
{
    struct door_sqlite *d = door_sqlite_of(door);
    door_sqlite_rollback(d);
    door_sqlite_forget_schema(d);
    for (unsigned i = 0; i < d->cached_count; i++)
        sqlite3_finalize(d->cached[i].statement);
    sqlite3_close(d->db);
    free(d->path);
    free(d);
}

static int apply(struct door *door, uint16_t peer, const void *bytes, size_t len, struct arena *arena,
                 struct apply_result *result, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    memset(result, 0, sizeof *result);
    int status = door_sqlite_begin_work(door, problem);
    if (status < 0)
        return status;
    d->store.stops_on_error = door->stops_on_error;
    status = apply_batch(&d->store, peer, bytes, len, arena, result, problem);
    d->store.stops_on_error = false; // what people ask for by hand is parked again
    if (status == 0 && result->verdict == APPLY_DONE)
        status = door_sqlite_commit(d, problem);
    door_sqlite_rollback(d);
    return status;
}

static const struct door_ops ops = {
    .engine = "sqlite",
    .close = close_door,
    .init = door_sqlite_init,
    .identity = door_sqlite_identity,
    .renew = door_sqlite_renew,
    .add_table = door_sqlite_add_table,
    .remove_table = door_sqlite_remove_table,
    .table_sql = door_sqlite_table_sql,
    .schema = door_sqlite_schema,
    .peer_add = door_sqlite_peer_add,
    .peer_remove = door_sqlite_peer_remove,
    .peers = door_sqlite_peers,
    .peer_set_state = door_sqlite_peer_set_state,
    .peer_meet = door_sqlite_peer_meet,
    .read_batch = door_sqlite_read_batch,
    .has_news = door_sqlite_has_news,
    .apply = apply,
    .acked = door_sqlite_acked,
    .collect = door_sqlite_collect,
    .compact = door_sqlite_compact,
    .doctor = door_sqlite_doctor,
    .bootstrap = door_sqlite_bootstrap,
    .set_base_mode = door_sqlite_set_base_mode,
    .request_rows = door_sqlite_request_rows,
    .verify = door_sqlite_verify,
    .conflicts = door_sqlite_conflicts,
    .parked = door_sqlite_parked,
    .retry = door_sqlite_retry,
    .resolve = door_sqlite_resolve,
    .purge = door_sqlite_purge,
    .counts = door_sqlite_counts,
    .position = door_sqlite_position,
    .position_reached = door_sqlite_position_reached,
};

// The twin of PostgreSQL's replica role: what we write fires no trigger (so nothing is captured and nothing of the
// application's runs twice) and no foreign key acts. FULL: an acknowledged commit survives power loss.
static int configure(struct door_sqlite *d, struct problem *problem)
{
    sqlite3_busy_timeout(d->db, 5000);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(d->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
    return sqlite_run(d, "PRAGMA synchronous = FULL; PRAGMA ignore_check_constraints = 0", problem);
}

int door_sqlite_open(const char *path, struct door **door, struct problem *problem)
{
    struct door_sqlite *d = memory_take(sizeof *d);
    d->door.ops = &ops;
    d->store.ops = &store_sqlite_ops;
    d->path = memory_text(path);
    d->failure = -EIO;
    d->border_changes = BORDER_CHANGES;
    int code = sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    int result = code == SQLITE_OK
                     ? configure(d, problem)
                     : problem_set(problem, ENOTCONN, "%s: %s", path, d->db ? sqlite3_errmsg(d->db) : "no memory");
    if (result < 0) {
        close_door(&d->door);
        return result;
    }
    *door = &d->door;
    return 0;
}

void door_sqlite_note_every(struct door *door, unsigned changes)
{
    door_sqlite_of(door)->border_changes = changes;
}

void *door_sqlite_handle(struct door *door)
{
    return door_sqlite_of(door)->db;
}
