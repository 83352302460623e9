// SPDX-License-Identifier: Apache-2.0
// Our own tables, who we are, and our peers.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dbsync/door_pg_private.h"

enum { ADVISORY_CLASS = 0x53504442 }; // "SPDB"

// seq      order of the log, drawn while the row's lock is held
// base     the clock's floor as a distance to seq: every change's hlc is at least base + seq. Only cuts and appliers
//          move it, and only upwards; capture reads it. So no two writers race for it, and a change drawn after the
//          floor rose is above it.
// head     number of the latest cut
// peer is written by appliers, outbound by cuts, so that they do not wait for each other.
static const char own_tables[] =
    "CREATE SCHEMA dbsync;"
    "CREATE SEQUENCE dbsync.seq AS bigint CACHE 1;"
    "CREATE SEQUENCE dbsync.base AS bigint MINVALUE 0 START 0 CACHE 1;"
    "CREATE SEQUENCE dbsync.head AS bigint CACHE 1;"
    "CREATE TABLE dbsync.site(one int PRIMARY KEY CHECK (one = 1), format int NOT NULL, site int NOT NULL, name text "
    "NOT NULL, uuid bytea NOT NULL, incarnation bigint NOT NULL, adds bigint NOT NULL DEFAULT 0, system bigint NOT "
    "NULL, timeline int NOT NULL, database oid NOT NULL);"
    "CREATE TABLE dbsync.tbl(id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, relation oid UNIQUE NOT NULL, name text "
    "NOT NULL, granularity int NOT NULL, unique_policy int NOT NULL, epoch bigint NOT NULL, definition text NOT NULL);"
    "CREATE TABLE dbsync.peer(site int PRIMARY KEY, name text NOT NULL, incarnation bigint NOT NULL DEFAULT 0, applied "
    "bigint NOT NULL DEFAULT 0, applied_rows bigint NOT NULL DEFAULT 0, seen bytea NOT NULL DEFAULT '');"
    "CREATE TABLE dbsync.outbound(site int PRIMARY KEY REFERENCES dbsync.peer ON DELETE CASCADE, state int NOT NULL "
    "DEFAULT 0, reason text NOT NULL DEFAULT '', base_mode int NOT NULL DEFAULT 0, cut bigint NOT NULL DEFAULT 0, "
    "snapshot text NOT NULL DEFAULT '1:1:', had bytea NOT NULL DEFAULT '', told bytea NOT NULL DEFAULT '', acked "
    "bigint NOT NULL DEFAULT 0, boot_rows bigint NOT NULL DEFAULT 0);"
    "CREATE TABLE dbsync.cut(peer int NOT NULL, number bigint NOT NULL, previous bigint NOT NULL, low text NOT NULL, "
    "high text NOT NULL, clock bigint NOT NULL, seen bytea NOT NULL, needs bytea NOT NULL, boot text, boot_after "
    "bytea, boot_upto bytea, boot_last bool, digests bytea, PRIMARY KEY(peer, number));"
    "CREATE TABLE dbsync.remote(tbl int NOT NULL, key bytea NOT NULL, origin int NOT NULL, cut bigint NOT NULL, xid "
    "xid8 NOT NULL DEFAULT pg_current_xact_id(), registers bytea NOT NULL, PRIMARY KEY(tbl, key, origin));"
    "CREATE TABLE dbsync.boot(peer int NOT NULL, tbl text NOT NULL, digest bool NOT NULL, after bytea NOT NULL "
    "DEFAULT '', PRIMARY KEY(peer, tbl, digest));"
    "CREATE TABLE dbsync.request(peer int NOT NULL, tbl text NOT NULL, key bytea NOT NULL, cut bigint, PRIMARY "
    "KEY(peer, tbl, key));"
    "CREATE TABLE dbsync.conflict(id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT "
    "clock_timestamp(), peer int, batch bigint, tbl text, key bytea, kind int, local_lost bool, winner_hlc bigint, "
    "winner_site int, loser_hlc bigint, loser_site int, winner bytea, loser bytea, rule text);"
    "CREATE TABLE dbsync.parked(id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL DEFAULT "
    "clock_timestamp(), peer int, batch bigint, tbl text, key bytea, reason int, text text, image bytea);"
    "CREATE INDEX ON dbsync.conflict(at);"
    "CREATE TABLE dbsync.count(name text PRIMARY KEY, n bigint NOT NULL);";

// What tells a copied or promoted database from itself.
#define ORIGIN_SQL                                                                                                     \
    "(SELECT system_identifier FROM pg_control_system()), (SELECT timeline_id FROM pg_control_checkpoint()), "         \
    "(SELECT oid FROM pg_database WHERE datname = current_database())"
#define RANDOM_SQL "('x' || substr(md5(gen_random_uuid()::text), 1, 16))::bit(64)::bigint & 9223372036854775807 | 1"

static int make_identity(struct door_pg *d, uint16_t site, const char *name, struct problem *problem)
{
    struct buffer sql = {0};
    pg_sql(&sql, "%s INSERT INTO dbsync.site SELECT 1, %d, %d, ", own_tables, DOOR_FORMAT, site);
    pg_sql_literal(&sql, name);
    pg_sql(&sql, ", decode(md5(gen_random_uuid()::text || clock_timestamp()::text), 'hex'), %s, 0, %s", RANDOM_SQL,
           ORIGIN_SQL);
    int result = pg_run(d, (const char *)sql.data, problem);
    buffer_fini(&sql);
    return result;
}

int door_pg_init(struct door *door, uint16_t site, const char *name, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    struct door_identity known;
    if (site == 0 || strlen(name) >= DOOR_NAME_MAX)
        return problem_set(problem, EINVAL, "site number 1..65535 and a name of at most %d octets", DOOR_NAME_MAX - 1);
    int result = door_pg_identity(door, &known, problem);
    if (result == 0 && (known.site != site || strcmp(known.name, name)))
        return problem_set(problem, EEXIST,
                           "%s is already site %u (%s); a copied database must be made anew with `resync`", d->name,
                           known.site, known.name);
    if (result != -ENOENT)
        return result;
    result = door_pg_begin(d, problem);
    if (result == 0)
        result = make_identity(d, site, name, problem);
    if (result == 0)
        result = door_pg_commit(d, problem);
    door_pg_rollback(d);
    return result == 0 ? door_pg_identity(door, &known, problem) : result;
}

int door_pg_identity(struct door *door, struct door_identity *identity, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    memset(identity, 0, sizeof *identity);
    int64_t found = d->site != 0; // not asked again: a session is about one database
    int result = 0;
    if (!found)
        result =
            pg_ask_number(d, &found, problem, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('dbsync.site')");
    if (result < 0)
        return result;
    if (!found)
        return problem_set(problem, ENOENT, "%s is not prepared; run `signpost-dbsync init`", d->name);
    PGresult *r =
        pg_ask_kept(d,
                    "SELECT format, site, name, uuid, incarnation, (SELECT CASE WHEN is_called THEN last_value "
                    "ELSE 0 END FROM dbsync.head), (SELECT s.last_value + b.last_value FROM dbsync.seq s, "
                    "dbsync.base b), (system, timeline, database) = (" ORIGIN_SQL ") FROM dbsync.site",
                    NULL, problem);
    if (!r)
        return -pg_errno(d);
    if (PQntuples(r) != 1)
        result = problem_set(problem, ENOENT, "%s: dbsync.site is empty", d->name);
    else if (pg_number(r, 0, 0) != DOOR_FORMAT)
        result = problem_set(problem, EPROTONOSUPPORT, "%s was prepared by another release (format %d, this is %d)",
                             d->name, (int)pg_number(r, 0, 0), DOOR_FORMAT);
    if (result == 0) {
        identity->site = d->site = d->store.site = (uint16_t)pg_number(r, 0, 1);
        strncpy(identity->name, pg_text(r, 0, 2), DOOR_NAME_MAX - 1);
        if (PQgetlength(r, 0, 3) == DOOR_UUID_LEN)
            memcpy(identity->uuid, PQgetvalue(r, 0, 3), DOOR_UUID_LEN);
        identity->incarnation = (uint64_t)pg_number(r, 0, 4);
        identity->head = (uint64_t)pg_number(r, 0, 5);
        identity->clock = pg_number(r, 0, 6);
        if (!pg_number(r, 0, 7))
            result = problem_set(problem, EEXIST,
                                 "%s was copied, restored or promoted since it was prepared (another system "
                                 "identifier, timeline or database); what it sent and applied before may not be what "
                                 "it holds now: run `resync` here",
                                 d->name);
    }
    PQclear(r);
    return result;
}

int door_pg_renew(struct door *door, struct problem *problem)
{
    return pg_runf(door_pg_of(door), problem,
                   "BEGIN; UPDATE dbsync.site SET incarnation = " RANDOM_SQL
                   ", (system, timeline, database) = (SELECT " ORIGIN_SQL ");"
                   "UPDATE dbsync.peer SET incarnation = 0;"
                   "UPDATE dbsync.outbound SET state = %d, reason = 'new incarnation'; COMMIT",
                   PEER_NEEDS_BOOTSTRAP);
}

int door_pg_raise_clock(struct door_pg *d, int64_t hlc, struct problem *problem)
{
    // One at a time, or a lower floor could overwrite a higher one.
    return pg_runf(
        d, problem,
        "SELECT pg_advisory_lock(%d, 1); SELECT setval('dbsync.base', %lld - s.last_value) FROM dbsync.seq s, "
        "dbsync.base b WHERE b.last_value + s.last_value < %lld; SELECT pg_advisory_unlock(%d, 1)",
        ADVISORY_CLASS, (long long)hlc, (long long)hlc, ADVISORY_CLASS);
}

// ---- peers ----

struct window_vector pg_vector(const PGresult *r, int row, int column)
{
    struct bytes_reader in = bytes_reader_init(PQgetvalue(r, row, column), (size_t)PQgetlength(r, row, column));
    struct window_vector v = {0};
    return in.len ? window_decode(&in) : v;
}

int door_pg_peer_add(struct door *door, uint16_t site, const char *name, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    struct door_identity own;
    int result = door_pg_identity(door, &own, problem);
    if (result < 0)
        return result;
    if (site == 0 || site == own.site || strlen(name) >= DOOR_NAME_MAX)
        return problem_set(problem, EINVAL, "peer %u: a site number 1..65535 other than our own (%u)", site, own.site);
    struct buffer sql = {0};
    pg_sql(&sql, "INSERT INTO dbsync.peer(site, name) VALUES(%d, ", site);
    pg_sql_literal(&sql, name);
    pg_sql(&sql,
           ") ON CONFLICT(site) DO UPDATE SET name = excluded.name; INSERT INTO dbsync.outbound(site) VALUES(%d) ON "
           "CONFLICT DO NOTHING",
           site);
    result = pg_run(d, (const char *)sql.data, problem);
    buffer_fini(&sql);
    return result;
}

int door_pg_peer_remove(struct door *door, uint16_t site, struct problem *problem)
{
    return pg_runf(door_pg_of(door), problem,
                   "BEGIN; DELETE FROM dbsync.outbound WHERE site = %d; DELETE FROM dbsync.peer WHERE site = %d; "
                   "DELETE FROM dbsync.cut WHERE peer = %d; DELETE FROM dbsync.boot WHERE peer = %d;"
                   "DELETE FROM dbsync.request WHERE peer = %d; COMMIT",
                   site, site, site, site, site);
}

// Change rows that a peer has not been sent: rows, estimated bytes, age of the oldest.
static int read_backlog(struct door_pg *d, const char *snapshot, struct door_peer *p, struct problem *problem)
{
    const struct schema *schema;
    int result = door_pg_schema(&d->door, &schema, problem);
    if (result < 0)
        return result == -ESTALE ? 0 : result; // shown elsewhere
    struct buffer sql = {0}, between = {0};
    struct pg_params params = {0};
    pg_put_between(&params, snapshot, NULL);
    pg_sql_between_kept(&between, false);
    pg_sql(&sql, "SELECT sum(n)::bigint, sum(b)::bigint, min(h)::bigint, (date_part('epoch', clock_timestamp()) * "
                 "1000000)::bigint FROM (SELECT 0::bigint AS n, 0::bigint AS b, NULL::bigint AS h");
    for (unsigned i = 0; i < schema->table_count; i++)
        pg_sql(&sql,
               " UNION ALL (SELECT count(*), count(*) * coalesce((SELECT sum(avg_width) FROM pg_stats WHERE "
               "schemaname = 'dbsync' AND tablename = 'c_%lld'), 64), min(hlc) FROM dbsync.c_%lld c WHERE %s)",
               (long long)schema->table[i].id, (long long)schema->table[i].id, (const char *)between.data);
    pg_sql(&sql, ") x WHERE $1::xid8 IS NOT NULL AND $2::pg_snapshot IS NOT NULL");
    PGresult *r = pg_ask_kept(d, (const char *)sql.data, &params, problem);
    buffer_fini(&sql);
    buffer_fini(&between);
    if (!r)
        return -pg_errno(d);
    p->backlog_rows = (uint64_t)pg_number(r, 0, 0);
    p->backlog_bytes = (uint64_t)pg_number(r, 0, 1);
    if (!PQgetisnull(r, 0, 2) && pg_number(r, 0, 3) > pg_number(r, 0, 2))
        p->backlog_age_us = pg_number(r, 0, 3) - pg_number(r, 0, 2);
    PQclear(r);
    return 0;
}

static void fill_peer(struct door_pg *d, const PGresult *r, int i, struct door_peer *p)
{
    memset(p, 0, sizeof *p);
    p->site = (uint16_t)pg_number(r, i, 0);
    strncpy(p->name, pg_text(r, i, 1), sizeof p->name - 1);
    p->incarnation = (uint64_t)pg_number(r, i, 2);
    p->state = (enum peer_state)pg_number(r, i, 3);
    strncpy(p->reason, pg_text(r, i, 4), sizeof p->reason - 1);
    p->applied = (uint64_t)pg_number(r, i, 5);
    p->cut = (uint64_t)pg_number(r, i, 6);
    p->acked = (uint64_t)pg_number(r, i, 7);
    struct window_vector seen = pg_vector(r, i, 8);
    p->stable = window_get(&seen, d->site);
    p->boot_rows = (uint64_t)pg_number(r, i, 9);
    strncpy(p->boot_table, pg_text(r, i, 10), sizeof p->boot_table - 1);
    p->is_bootstrapping = p->boot_table[0] != 0;
}

int door_pg_peers(struct door *door, struct door_peer *peer, unsigned cap, unsigned *count, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    *count = 0;
    PGresult *r = pg_askf(d, problem,
                          "SELECT p.site, p.name, p.incarnation, o.state, o.reason, p.applied, o.cut, o.acked, p.seen, "
                          "o.boot_rows, coalesce((SELECT tbl FROM dbsync.boot b WHERE b.peer = p.site AND NOT digest "
                          "ORDER BY tbl LIMIT 1), ''), o.snapshot FROM dbsync.peer p JOIN dbsync.outbound o USING "
                          "(site) ORDER BY p.site");
    if (!r)
        return -pg_errno(d);
    int result = 0;
    for (int i = 0; result == 0 && i < PQntuples(r) && *count < cap; i++) {
        struct door_peer *p = &peer[(*count)++];
        fill_peer(d, r, i, p);
        result = read_backlog(d, pg_text(r, i, 11), p, problem);
    }
    PQclear(r);
    return result;
}

int door_pg_peer_set_state(struct door *door, uint16_t site, enum peer_state state, const char *reason,
                           struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    struct pg_params p = {0};
    pg_put_number(&p, state);
    pg_put_text(&p, reason ? reason : "");
    pg_put_number(&p, site);
    PGresult *r = pg_ask(d, "UPDATE dbsync.outbound SET state = $1, reason = $2 WHERE site = $3", &p, problem);
    int result = r ? 0 : -pg_errno(d);
    PQclear(r);
    return result;
}

int door_pg_peer_meet(struct door *door, uint16_t site, uint64_t incarnation, uint64_t applied_of_ours,
                      struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    PGresult *r = pg_askf(
        d, problem, "SELECT incarnation, cut, acked FROM dbsync.peer JOIN dbsync.outbound USING (site) WHERE site = %d",
        site);
    if (!r)
        return -pg_errno(d);
    bool is_known = PQntuples(r) == 1;
    uint64_t known = is_known ? (uint64_t)pg_number(r, 0, 0) : 0, cut = is_known ? (uint64_t)pg_number(r, 0, 1) : 0;
    uint64_t acked = is_known ? (uint64_t)pg_number(r, 0, 2) : 0;
    PQclear(r);
    if (!is_known)
        return problem_set(problem, ENOENT, "site %u is no peer here", site);
    int result = 0;
    if (known && known != incarnation)
        result = problem_set(
            problem, EEXIST,
            "site %u answers with another database than the one known (restored or cloned); run `resync`", site);
    else if (applied_of_ours > cut)
        result = problem_set(problem, ESTALE,
                             "site %u has applied cut %llu, but this database made only %llu: it went back in time; "
                             "run `resync` here",
                             site, (unsigned long long)applied_of_ours, (unsigned long long)cut);
    else if (known && applied_of_ours < acked)
        result =
            problem_set(problem, ESTALE,
                        "site %u has acknowledged cut %llu and now knows only %llu: it was restored from a backup; "
                        "run `resync` there and bootstrap it",
                        site, (unsigned long long)acked, (unsigned long long)applied_of_ours);
    if (result == 0 && known == 0)
        return pg_runf(d, problem, "UPDATE dbsync.peer SET incarnation = %lld WHERE site = %d", (long long)incarnation,
                       site);
    struct problem ignored;
    if (result < 0)
        door_pg_peer_set_state(door, site, PEER_FOREIGN, problem->text, &ignored);
    return result;
}

int door_pg_acked(struct door *door, uint16_t peer, uint64_t number, struct problem *problem)
{
    return pg_runf(
        door_pg_of(door), problem,
        "SET LOCAL synchronous_commit = off; UPDATE dbsync.outbound SET acked = %lld WHERE site = %d AND acked "
        "< %lld",
        (long long)number, peer, (long long)number); // lost in a crash: the peer says it again
}
