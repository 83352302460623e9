// SPDX-License-Identifier: Apache-2.0
// The door to PostgreSQL: opening, transactions, apply with its retries, and the table of operations.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dbsync/door_pg_private.h"

enum {
    APPLY_ATTEMPTS = 6,    // before the caller hears of it
    LOCK_TIMEOUT_MS = 500, // we wait no longer for the application, nor it for us through a queue behind our wait
    OLDEST_SERVER = 130000
};

int door_pg_begin(struct door_pg *d, struct problem *problem)
{
    return pg_run(d, "BEGIN ISOLATION LEVEL READ COMMITTED", problem);
}

int door_pg_commit(struct door_pg *d, struct problem *problem)
{
    return pg_run(d, "COMMIT", problem);
}

void door_pg_rollback(struct door_pg *d)
{
    if (PQtransactionStatus(d->db) != PQTRANS_IDLE)
        PQclear(PQexec(d->db, "ROLLBACK"));
}

static void close_door(struct door *door)
{
    struct door_pg *d = door_pg_of(door);
    if (d->db)
        door_pg_rollback(d);
    door_pg_forget_schema(d);
    PQfinish(d->db);
    free(d->name);
    free(d->seen_snapshot);
    free(d->load_snapshot);
    buffer_fini(&d->conflicts);
    free(d->inserted);
    arena_fini(&d->inserted_keys);
    free(d);
}

// ---- apply ----

void door_pg_forget_transaction(struct door_pg *d)
{
    free(d->seen_snapshot);
    free(d->load_snapshot);
    d->seen_snapshot = d->load_snapshot = NULL;
    buffer_reset(&d->conflicts);
    d->conflict_count = 0;
    memset(d->conflict_kind, 0, sizeof d->conflict_kind);
    d->inserted_count = 0;
    arena_reset(&d->inserted_keys);
    for (unsigned i = 0; d->schema && i < d->schema->table_count; i++)
        d->table[i].has_inserted = false;
}

static int apply_once(struct door_pg *d, uint16_t peer, const void *bytes, size_t len, struct arena *arena,
                      struct apply_result *result, struct problem *problem)
{
    door_pg_forget_transaction(d);
    int status = door_pg_begin(d, problem);
    if (status == 0)
        status = apply_batch(&d->store, peer, bytes, len, arena, result, problem);
    if (status == 0 && result->verdict == APPLY_DONE)
        status = door_pg_commit(d, problem);
    if (status < 0 && PQstatus(d->db) != CONNECTION_OK)
        status = -ENOTCONN;
    door_pg_rollback(d);
    return status;
}

// Two appliers, or an applier and the application, that met in a deadlock must not meet again in step.
static void wait_jittered(unsigned attempt)
{
    unsigned most_us = 2000u << attempt;
    struct timespec pause = {0, (long)(1000 + (unsigned)random() % most_us) * 1000};
    nanosleep(&pause, NULL);
}

static int apply(struct door *door, uint16_t peer, const void *bytes, size_t len, struct arena *arena,
                 struct apply_result *result, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    const struct schema *schema;
    memset(result, 0, sizeof *result);
    int status = door_pg_schema(door, &schema, problem);
    if (status < 0)
        return status;
    d->store.stops_on_error = door->stops_on_error;
    if (d->careful_left == 0)
        d->is_careful = false;
    else
        d->careful_left--;
    for (d->attempt = 0; d->attempt < APPLY_ATTEMPTS; d->attempt++) {
        status = apply_once(d, peer, bytes, len, arena, result, problem);
        if (status != -EAGAIN)
            break;
        wait_jittered(d->attempt);
    }
    d->store.stops_on_error = false; // what people ask for by hand is parked again
    return status;
}

static const struct door_ops ops = {
    .engine = "postgres",
    .close = close_door,
    .init = door_pg_init,
    .identity = door_pg_identity,
    .renew = door_pg_renew,
    .add_table = door_pg_add_table,
    .remove_table = door_pg_remove_table,
    .table_sql = door_pg_table_sql,
    .schema = door_pg_schema,
    .doctor = door_pg_doctor,
    .peer_add = door_pg_peer_add,
    .peer_remove = door_pg_peer_remove,
    .peers = door_pg_peers,
    .peer_set_state = door_pg_peer_set_state,
    .peer_meet = door_pg_peer_meet,
    .read_batch = door_pg_read_batch,
    .has_news = door_pg_has_news,
    .apply = apply,
    .acked = door_pg_acked,
    .collect = door_pg_collect,
    .compact = door_pg_compact,
    .bootstrap = door_pg_bootstrap,
    .set_base_mode = door_pg_set_base_mode,
    .request_rows = door_pg_request_rows,
    .verify = door_pg_verify,
    .conflicts = door_pg_conflicts,
    .parked = door_pg_parked,
    .retry = door_pg_retry,
    .resolve = door_pg_resolve,
    .purge = door_pg_purge,
    .counts = door_pg_counts,
    .position = door_pg_position,
    .position_reached = door_pg_position_reached,
};

// ---- opening ----

// Whatever the role, the database or the environment set: what we read and write means the same in every session.
// search_path has no schema of the application, so nothing of theirs can stand in for a built-in function.
static int configure(struct door_pg *d, struct problem *problem)
{
    d->version = PQserverVersion(d->db);
    if (d->version < OLDEST_SERVER)
        return problem_set(problem, EINVAL, "%s: PostgreSQL %d is too old; 13 and later are supported", d->name,
                           d->version / 10000);
    if (pg_run(d, "SET session_replication_role = replica", problem) < 0)
        return problem_set(problem, EACCES,
                           "%s: the role %s may not set session_replication_role, which keeps triggers still while "
                           "changes are applied; connect as a superuser, or (15 and later) GRANT SET ON PARAMETER "
                           "session_replication_role TO it",
                           d->name, PQuser(d->db));
    return pg_runf(
        d, problem,
        "SET search_path = pg_catalog, pg_temp; SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC';"
        "SET IntervalStyle = postgres; SET extra_float_digits = 3; SET bytea_output = hex; SET lc_monetary = 'C';"
        "SET standard_conforming_strings = on; SET quote_all_identifiers = off; SET xmloption = content;"
        "SET default_transaction_isolation = 'read committed'; SET default_transaction_read_only = off;"
        "SET synchronous_commit = on; SET lock_timeout = %d; SET statement_timeout = 0;"
        "SET idle_in_transaction_session_timeout = 0; SET jit = off; SET enable_hashjoin = off; SET enable_mergejoin = "
        "off; SET work_mem = '64MB'; SET temp_buffers = '64MB';"
        "SET row_security = off; SET client_min_messages = error; SET default_table_access_method = heap;"
        "SET check_function_bodies = on; SET array_nulls = on; SET default_tablespace = ''; SET escape_string_warning "
        "= off; SELECT set_config('client_encoding', CASE current_setting('server_encoding') WHEN 'SQL_ASCII' "
        "THEN 'SQL_ASCII' ELSE 'UTF8' END, false)",
        LOCK_TIMEOUT_MS);
}

static char *name_of(const PGconn *db)
{
    char *name = NULL;
    const char *host = PQhost(db);
    if (asprintf(&name, "database %s at %s", PQdb(db) ? PQdb(db) : "?", host && *host ? host : "local socket") < 0)
        abort();
    return name;
}

static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

int door_pg_open(const char *conninfo, struct door **door, struct problem *problem)
{
    struct door_pg *d = memory_take(sizeof *d);
    memset(d, 0, sizeof *d);
    d->door.ops = &ops;
    d->store.ops = &store_pg_ops;
    const char *const keyword[] = {"dbname", "fallback_application_name", "connect_timeout", "keepalives_idle", NULL};
    const char *const value[] = {conninfo, "signpost-dbsync", "5", "10", NULL};
    d->db = PQconnectdbParams(keyword, value, 1);
    d->name = name_of(d->db);
    PQsetNoticeReceiver(d->db, ignore_notice, NULL);
    int result = 0;
    if (PQstatus(d->db) != CONNECTION_OK) {
        const char *text = PQerrorMessage(d->db);
        result = problem_set(problem, ENOTCONN, "%s: %.*s", d->name, (int)strcspn(text, "\n"), text);
    } else {
        result = configure(d, problem);
    }
    if (result < 0) {
        close_door(&d->door);
        return result;
    }
    *door = &d->door;
    return 0;
}
