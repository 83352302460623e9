// SPDX-License-Identifier: Apache-2.0
// What the SQLite door costs: rows a second captured, cut and applied, on files in a directory given, one core.
//
//   bench_dbsync DIRECTORY ROWS RUNS
// One JSON object a line (docs/performance.md says how they are read).
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "dbsync/door.h"

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(int result, const struct problem *why)
{
    if (result < 0) {
        fprintf(stderr, "bench_dbsync: %s\n", why->text);
        exit(1);
    }
}

static void run(sqlite3 *db, const char *sql)
{
    char *error = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK) {
        fprintf(stderr, "bench_dbsync: %s: %s\n", sql, error);
        exit(1);
    }
}

static sqlite3 *create(const char *path)
{
    sqlite3 *db;
    char other[4200];
    const char *const suffix[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        snprintf(other, sizeof other, "%s%s", path, suffix[i]);
        unlink(other);
    }
    if (sqlite3_open(path, &db) != SQLITE_OK)
        exit(1);
    run(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
            "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, amount REAL, note TEXT)");
    return db;
}

static double load(sqlite3 *db, int rows, int per_transaction, const char *sql)
{
    sqlite3_stmt *s;
    double start = now_s();
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        exit(1);
    for (int i = 0; i < rows; i++) {
        if (i % per_transaction == 0)
            run(db, "BEGIN IMMEDIATE");
        sqlite3_bind_int(s, 1, i);
        sqlite3_step(s);
        sqlite3_reset(s);
        if ((i + 1) % per_transaction == 0 || i + 1 == rows)
            run(db, "COMMIT");
    }
    sqlite3_finalize(s);
    return now_s() - start;
}

static int take(void *context, const void *bytes, size_t len)
{
    buffer_put(context, bytes, len);
    return 0;
}

static void emit(const char *what, double value, const char *unit)
{
    printf("{\"bench\":\"dbsync\",\"case\":\"sqlite\",\"metric\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"}\n", what, value,
           unit);
}

static struct door *open_site(const char *path, uint16_t site, uint16_t peer, bool add)
{
    char url[4200];
    struct problem why;
    struct door *d;
    struct door_table_options options = {GRANULARITY_COLUMN, UNIQUE_PARK};
    snprintf(url, sizeof url, "sqlite:%s", path);
    check(door_open(url, &d, &why), &why);
    if (add) {
        check(d->ops->init(d, site, site == 1 ? "a" : "b", &why), &why);
        check(d->ops->peer_add(d, peer, "peer", &why), &why);
        check(d->ops->add_table(d, "t", &options, &why), &why);
    }
    return d;
}

static void move(struct door *from, struct door *to, int rows, const char *what)
{
    struct buffer bytes = {0};
    struct arena arena = {0};
    struct problem why;
    struct door_batch batch;
    struct apply_result result;
    struct door_peer peer[1];
    unsigned count;
    char metric[64];
    check(to->ops->peers(to, peer, 1, &count, &why), &why);
    struct door_read_request request = {.peer = 2, .after = peer[0].applied};
    double start = now_s();
    check(from->ops->read_batch(from, &request, take, &bytes, &batch, &why), &why);
    double cut = now_s();
    check(to->ops->apply(to, 1, bytes.data, bytes.len, &arena, &result, &why), &why);
    double done = now_s();
    if (result.verdict != APPLY_DONE || result.rows != (uint64_t)rows) {
        fprintf(stderr, "bench_dbsync: %llu rows applied, not %d\n", (unsigned long long)result.rows, rows);
        exit(1);
    }
    snprintf(metric, sizeof metric, "%s_cut_rows_per_s", what);
    emit(metric, rows / (cut - start), "1/s");
    snprintf(metric, sizeof metric, "%s_apply_rows_per_s", what);
    emit(metric, rows / (done - cut), "1/s");
    snprintf(metric, sizeof metric, "%s_bytes_per_row", what);
    emit(metric, (double)bytes.len / rows, "bytes");
    buffer_fini(&bytes);
    arena_fini(&arena);
}

int main(int argc, char **argv)
{
    static const char insert[] =
        "INSERT INTO t VALUES(?1, 'name of ' || ?1, ?1 * 1.5, 'a note that is a little longer')";
    static const char update[] = "UPDATE t SET amount = amount + 1 WHERE id = ?1";
    if (argc != 4) {
        fputs("usage: bench_dbsync DIRECTORY ROWS RUNS\n", stderr);
        return 2;
    }
    int rows = atoi(argv[2]), runs = atoi(argv[3]);
    char path[2][4096];
    for (int r = 0; r < runs; r++) {
        for (int i = 0; i < 2; i++)
            snprintf(path[i], sizeof path[i], "%s/%c.db", argv[1], 'a' + i);
        sqlite3 *bare = create(path[0]);
        double plain = load(bare, rows, 100, insert);
        sqlite3_close(bare);
        sqlite3 *a = create(path[0]), *b = create(path[1]);
        struct door *da = open_site(path[0], 1, 2, true), *db = open_site(path[1], 2, 1, true);
        double captured = load(a, rows, 100, insert);
        emit("insert_plain_rows_per_s", rows / plain, "1/s");
        emit("insert_captured_rows_per_s", rows / captured, "1/s");
        emit("insert_slowdown", captured / plain, "1");
        move(da, db, rows, "insert");
        load(a, rows, 100, update);
        move(da, db, rows, "update");
        da->ops->close(da);
        db->ops->close(db);
        sqlite3_close(a);
        sqlite3_close(b);
        unlink(path[0]);
        unlink(path[1]);
    }
    return 0;
}
