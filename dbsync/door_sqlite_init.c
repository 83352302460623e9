// SPDX-License-Identifier: Apache-2.0
// Our own tables, who we are, and our peers.
#include <errno.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"

// clock is one row that every captured change advances: `seq` orders the log (one writer at a time: commit order),
// `hlc` is the hybrid clock. Vectors are window_encode's bytes.
static const char own_tables[] =
    "CREATE TABLE dbsync_site(one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER, site INTEGER, name TEXT, uuid "
    "BLOB, "
    "incarnation INTEGER, head INTEGER DEFAULT 0, first INTEGER DEFAULT 0, first_seq INTEGER DEFAULT 0, adds INTEGER "
    "DEFAULT 0);"
    "CREATE TABLE dbsync_clock(one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER, hlc INTEGER);"
    "CREATE TABLE dbsync_table(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, granularity INTEGER, "
    "unique_policy INTEGER, epoch INTEGER, fingerprint BLOB, definition TEXT);"
    "CREATE TABLE dbsync_peer(site INTEGER PRIMARY KEY, name TEXT, incarnation INTEGER DEFAULT 0, state INTEGER "
    "DEFAULT 0, "
    "reason TEXT DEFAULT '', applied INTEGER DEFAULT 0, applied_rows INTEGER DEFAULT 0, cut INTEGER DEFAULT 0, "
    "cut_seq INTEGER DEFAULT 0, acked INTEGER DEFAULT 0, base_mode INTEGER DEFAULT 0, boot_rows INTEGER DEFAULT 0, "
    "had BLOB, told BLOB, seen BLOB);"
    "CREATE TABLE dbsync_cut(peer INTEGER, number INTEGER, previous INTEGER, low INTEGER, high INTEGER, rows INTEGER, "
    "clock INTEGER, seen BLOB, needs BLOB, boot TEXT, boot_after BLOB, boot_upto BLOB, boot_last INTEGER, "
    "PRIMARY KEY(peer, number)) WITHOUT ROWID;"
    "CREATE TABLE dbsync_border(seq INTEGER PRIMARY KEY);"
    "CREATE TABLE dbsync_remote(tbl INTEGER, key BLOB, origin INTEGER, cut INTEGER, local_seq INTEGER, registers BLOB, "
    "PRIMARY KEY(tbl, key, origin)) WITHOUT ROWID;"
    "CREATE TABLE dbsync_boot(peer INTEGER, tbl TEXT, digest INTEGER, after BLOB, PRIMARY KEY(peer, tbl, digest)) "
    "WITHOUT ROWID;"
    "CREATE TABLE dbsync_request(peer INTEGER, tbl TEXT, key BLOB, cut INTEGER, PRIMARY KEY(peer, tbl, key)) WITHOUT "
    "ROWID;"
    "CREATE TABLE dbsync_conflict(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, peer INTEGER, batch INTEGER, tbl "
    "TEXT, "
    "pk TEXT, kind INTEGER, local_lost INTEGER, winner_hlc INTEGER, winner_site INTEGER, loser_hlc INTEGER, "
    "loser_site INTEGER, winner TEXT, loser TEXT, rule TEXT, key BLOB, loser_row BLOB);"
    "CREATE TABLE dbsync_parked(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, peer INTEGER, batch INTEGER, tbl "
    "TEXT, "
    "pk TEXT, reason INTEGER, text TEXT, image TEXT, key BLOB, row BLOB);"
    "CREATE TABLE dbsync_count(name TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID;";

static int make_identity(struct door_sqlite *d, uint16_t site, const char *name, struct problem *problem)
{
    int result = sqlite_run(d, own_tables, problem);
    if (result == 0)
        result =
            sqlite_runf(d, problem,
                        "INSERT INTO dbsync_site(one, format, site, name, uuid, incarnation) VALUES(1, %d, %d, %Q, "
                        "randomblob(16), random() & 0x7fffffffffffffff | 1);"
                        "INSERT INTO dbsync_clock VALUES(1, 0, 0);",
                        DOOR_FORMAT, site, name);
    return result;
}

int door_sqlite_init(struct door *door, uint16_t site, const char *name, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    struct door_identity known;
    if (site == 0 || strlen(name) >= DOOR_NAME_MAX)
        return problem_set(problem, EINVAL, "site number 1..65535 and a name of at most %d octets", DOOR_NAME_MAX - 1);
    int result = door_sqlite_identity(door, &known, problem);
    if (result == 0 && (known.site != site || strcmp(known.name, name)))
        return problem_set(problem, EEXIST, "%s is already site %u (%s); a copied file must be made anew with `resync`",
                           d->path, known.site, known.name);
    if (result != -ENOENT)
        return result;
    result = door_sqlite_begin(d, true, problem);
    if (result < 0)
        return result;
    result = make_identity(d, site, name, problem);
    if (result == 0)
        result = door_sqlite_commit(d, problem);
    if (result < 0)
        door_sqlite_rollback(d);
    return result;
}

int door_sqlite_identity(struct door *door, struct door_identity *identity, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    memset(identity, 0, sizeof *identity);
    int64_t found = 0;
    int result =
        sqlite_number(d, "SELECT count(*) FROM sqlite_schema WHERE name = 'dbsync_site'", 0, 0, &found, problem);
    if (result < 0)
        return result;
    if (!found)
        return problem_set(problem, ENOENT, "%s is not prepared; run `signpost-dbsync init`", d->path);
    sqlite3_stmt *s = sqlite_cached(
        d, "SELECT format, site, name, uuid, incarnation, head, hlc FROM dbsync_site, dbsync_clock", problem);
    result = s ? sqlite_step(d, s, problem) : d->failure;
    if (result != 1)
        return result < 0 ? result : problem_set(problem, ENOENT, "%s: dbsync_site is empty", d->path);
    if (sqlite3_column_int(s, 0) != DOOR_FORMAT)
        result = problem_set(problem, EPROTONOSUPPORT, "%s was prepared by another release (format %d, this is %d)",
                             d->path, sqlite3_column_int(s, 0), DOOR_FORMAT);
    identity->site = d->site = d->store.site = (uint16_t)sqlite3_column_int(s, 1);
    strncpy(identity->name, (const char *)sqlite3_column_text(s, 2), DOOR_NAME_MAX - 1);
    if (sqlite3_column_bytes(s, 3) == DOOR_UUID_LEN)
        memcpy(identity->uuid, sqlite3_column_blob(s, 3), DOOR_UUID_LEN);
    identity->incarnation = (uint64_t)sqlite3_column_int64(s, 4);
    identity->head = (uint64_t)sqlite3_column_int64(s, 5);
    identity->clock = sqlite3_column_int64(s, 6);
    sqlite3_reset(s);
    return result < 0 ? result : 0;
}

int door_sqlite_renew(struct door *door, struct problem *problem)
{
    return sqlite_runf(door_sqlite_of(door), problem,
                       "BEGIN IMMEDIATE; UPDATE dbsync_site SET incarnation = random() & 0x7fffffffffffffff | 1;"
                       "UPDATE dbsync_peer SET incarnation = 0, state = %d, reason = 'new incarnation'; COMMIT",
                       PEER_NEEDS_BOOTSTRAP);
}

int64_t door_sqlite_wall_us(struct door_sqlite *d)
{
    int64_t now = 0;
    struct problem ignored;
    sqlite_number(d, "SELECT CAST((julianday('now') - 2440587.5) * 86400000 + 0.5 AS INTEGER) * 1000", 0, 0, &now,
                  &ignored);
    return now;
}

// ---- peers ----

int door_sqlite_peer_add(struct door *door, uint16_t site, const char *name, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    struct door_identity own;
    int result = door_sqlite_identity(door, &own, problem);
    if (result < 0)
        return result;
    if (site == 0 || site == own.site || strlen(name) >= DOOR_NAME_MAX)
        return problem_set(problem, EINVAL, "peer %u: a site number 1..65535 other than our own (%u)", site, own.site);
    return sqlite_runf(d, problem,
                       "INSERT INTO dbsync_peer(site, name) VALUES(%d, %Q) ON CONFLICT(site) DO UPDATE SET "
                       "name = excluded.name",
                       site, name);
}

int door_sqlite_peer_remove(struct door *door, uint16_t site, struct problem *problem)
{
    return sqlite_runf(
        door_sqlite_of(door), problem,
        "BEGIN IMMEDIATE; DELETE FROM dbsync_peer WHERE site = %d; DELETE FROM dbsync_cut WHERE peer = %d;"
        "DELETE FROM dbsync_boot WHERE peer = %d; DELETE FROM dbsync_request WHERE peer = %d; COMMIT",
        site, site, site, site);
}

static struct window_vector vector_at(sqlite3_stmt *s, int at)
{
    struct bytes_reader in = bytes_reader_init(sqlite3_column_blob(s, at), (size_t)sqlite3_column_bytes(s, at));
    struct window_vector v = {0};
    return in.len ? window_decode(&in) : v;
}

int door_sqlite_vector(struct door_sqlite *d, struct window_vector *vector, unsigned *peer_count,
                       struct problem *problem)
{
    sqlite3_stmt *s = sqlite_cached(d, "SELECT site, applied FROM dbsync_peer", problem);
    int result = s ? 1 : d->failure;
    memset(vector, 0, sizeof *vector);
    *peer_count = 0;
    while (result > 0 && (result = sqlite_step(d, s, problem)) == 1) {
        ++*peer_count;
        window_set(vector, (uint16_t)sqlite3_column_int(s, 0), (uint64_t)sqlite3_column_int64(s, 1));
    }
    return result;
}

// The age of the oldest change that no cut for the peer has taken, by the hybrid clock.
static int64_t backlog_age(struct door_sqlite *d, int64_t cut_seq)
{
    int64_t oldest = INT64_MAX;
    struct problem ignored;
    const struct schema *schema;
    if (door_sqlite_schema(&d->door, &schema, &ignored) < 0)
        return 0;
    for (unsigned i = 0; i < schema->table_count; i++) {
        sqlite3_stmt *s = door_sqlite_statement(d, &schema->table[i], STATEMENT_OLDEST, &ignored);
        if (!s)
            continue;
        sqlite3_bind_int64(s, 1, cut_seq);
        if (sqlite_step(d, s, &ignored) == 1 && sqlite3_column_int64(s, 0) < oldest)
            oldest = sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    int64_t age = oldest == INT64_MAX ? 0 : door_sqlite_wall_us(d) - oldest;
    return age > 0 ? age : 0;
}

int door_sqlite_peers(struct door *door, struct door_peer *peer, unsigned cap, unsigned *count, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    sqlite3_stmt *s = sqlite_cached(
        d,
        "SELECT site, name, incarnation, state, reason, applied, cut, acked, seen, boot_rows, "
        "(SELECT seq FROM dbsync_clock) - cut_seq, coalesce((SELECT tbl FROM dbsync_boot b WHERE "
        "b.peer = p.site AND digest = 0 ORDER BY tbl LIMIT 1), ''), cut_seq FROM dbsync_peer p ORDER BY site",
        problem);
    struct door_identity own;
    int result = s ? door_sqlite_identity(door, &own, problem) : d->failure;
    result = result == 0 ? 1 : result;
    *count = 0;
    while (result > 0 && (result = sqlite_step(d, s, problem)) == 1 && *count < cap) {
        struct door_peer *p = &peer[(*count)++];
        memset(p, 0, sizeof *p);
        p->site = (uint16_t)sqlite3_column_int(s, 0);
        strncpy(p->name, (const char *)sqlite3_column_text(s, 1), sizeof p->name - 1);
        p->incarnation = (uint64_t)sqlite3_column_int64(s, 2);
        p->state = (enum peer_state)sqlite3_column_int(s, 3);
        strncpy(p->reason, (const char *)sqlite3_column_text(s, 4), sizeof p->reason - 1);
        p->applied = (uint64_t)sqlite3_column_int64(s, 5);
        p->cut = (uint64_t)sqlite3_column_int64(s, 6);
        p->acked = (uint64_t)sqlite3_column_int64(s, 7);
        struct window_vector seen = vector_at(s, 8);
        p->stable = window_get(&seen, d->site);
        p->boot_rows = (uint64_t)sqlite3_column_int64(s, 9);
        p->backlog_rows = (uint64_t)sqlite3_column_int64(s, 10);
        strncpy(p->boot_table, (const char *)sqlite3_column_text(s, 11), sizeof p->boot_table - 1);
        p->is_bootstrapping = p->boot_table[0] != 0;
        if (p->backlog_rows)
            result =
                door_sqlite_backlog_octets(d, sqlite3_column_int64(s, 12), p->backlog_rows, &p->backlog_bytes, problem);
        result = result < 0 ? result : 1;
        p->backlog_age_us = p->backlog_rows ? backlog_age(d, sqlite3_column_int64(s, 12)) : 0;
    }
    if (s)
        sqlite3_reset(s);
    return result < 0 ? result : 0;
}

int door_sqlite_peer_set_state(struct door *door, uint16_t site, enum peer_state state, const char *reason,
                               struct problem *problem)
{
    return sqlite_runf(door_sqlite_of(door), problem, "UPDATE dbsync_peer SET state = %d, reason = %Q WHERE site = %d",
                       state, reason, site);
}

int door_sqlite_peer_meet(struct door *door, uint16_t site, uint64_t incarnation, uint64_t applied_of_ours,
                          struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    int64_t known = -1, cut = 0, acked = 0;
    int result = sqlite_number(d, "SELECT incarnation FROM dbsync_peer WHERE site = ?1", site, 0, &known, problem);
    if (result == 0)
        result = sqlite_number(d, "SELECT cut FROM dbsync_peer WHERE site = ?1", site, 0, &cut, problem);
    if (result == 0)
        result = sqlite_number(d, "SELECT acked FROM dbsync_peer WHERE site = ?1", site, 0, &acked, problem);
    if (result < 0)
        return result;
    if (known < 0)
        return problem_set(problem, ENOENT, "site %u is no peer here", site);
    if (known == 0)
        return sqlite_runf(d, problem, "UPDATE dbsync_peer SET incarnation = %lld WHERE site = %d",
                           (long long)incarnation, site);
    if ((uint64_t)known != incarnation) {
        result = problem_set(
            problem, EEXIST,
            "site %u answers with another database than the one known (restored or cloned); run `resync`", site);
    } else if (applied_of_ours > (uint64_t)cut) {
        result =
            problem_set(problem, ESTALE,
                        "site %u has applied cut %llu, but this database made only %llu: it went back in time; run "
                        "`resync` here",
                        site, (unsigned long long)applied_of_ours, (unsigned long long)cut);
    }
    if (result == 0 && applied_of_ours < (uint64_t)acked)
        result =
            problem_set(problem, ESTALE,
                        "site %u has acknowledged cut %lld and now knows only %llu: it was restored from a backup; run "
                        "`resync` there and bootstrap it",
                        site, (long long)acked, (unsigned long long)applied_of_ours);
    struct problem ignored;
    if (result < 0)
        door_sqlite_peer_set_state(door, site, PEER_FOREIGN, problem->text, &ignored);
    return result;
}
