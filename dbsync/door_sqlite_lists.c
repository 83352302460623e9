// SPDX-License-Identifier: Apache-2.0
// Lists for people, what they decide, and figures.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"
#include "dbsync/hybrid_clock.h"
#include "dbsync/row_codec.h"

static const char *reason_name(int reason)
{
    static const char *const name[] = {"unique", "foreign", "missing_row", "missing_parent", "refused", "overflow"};
    return reason >= 0 && reason < (int)(sizeof name / sizeof name[0]) ? name[reason] : "unknown";
}

// ---- lists ----

struct json_row { // columns of a statement: how each becomes a member
    const char *name;
    enum { JSON_NUMBER, JSON_TEXT, JSON_RAW, JSON_KIND, JSON_REASON, JSON_BOOL } as;
};

static void put(struct buffer *out, const char *text)
{
    buffer_put(out, text, strlen(text));
}

static void put_member(struct buffer *out, const struct json_row *member, sqlite3_stmt *s, int at)
{
    const char *text = (const char *)sqlite3_column_text(s, at);
    put(out, at ? ", \"" : "{\"");
    put(out, member->name);
    put(out, "\": ");
    switch (member->as) {
    case JSON_TEXT:
        row_json_string(out, text ? text : "", (size_t)sqlite3_column_bytes(s, at));
        return;
    case JSON_KIND:
        row_json_string(out, conflict_kind_name((enum conflict_kind)sqlite3_column_int(s, at)),
                        strlen(conflict_kind_name((enum conflict_kind)sqlite3_column_int(s, at))));
        return;
    case JSON_REASON:
        row_json_string(out, reason_name(sqlite3_column_int(s, at)), strlen(reason_name(sqlite3_column_int(s, at))));
        return;
    case JSON_BOOL:
        put(out, sqlite3_column_int(s, at) ? "true" : "false");
        return;
    case JSON_NUMBER:
    case JSON_RAW:
        put(out, text ? text : "null");
    }
}

static int list(struct door_sqlite *d, const char *literal, const struct json_row *members, int count, unsigned limit,
                door_listed *listed, void *context, struct problem *problem)
{
    struct buffer json = {0};
    sqlite3_stmt *s = sqlite_cached(d, literal, problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int64(s, 1, limit ? (int64_t)limit : -1);
    int result, stop = 0;
    while (!stop && (result = sqlite_step(d, s, problem)) == 1) {
        buffer_reset(&json);
        for (int i = 0; i < count; i++)
            put_member(&json, &members[i], s, i);
        put(&json, "}");
        buffer_u8(&json, 0);
        stop = listed(context, (const char *)json.data);
    }
    sqlite3_reset(s);
    buffer_fini(&json);
    return stop || result > 0 ? 0 : result;
}

int door_sqlite_conflicts(struct door *door, unsigned limit, door_listed *listed, void *context,
                          struct problem *problem)
{
    static const struct json_row members[] = {{"id", JSON_NUMBER},
                                              {"time_us", JSON_NUMBER},
                                              {"peer", JSON_NUMBER},
                                              {"batch", JSON_NUMBER},
                                              {"table", JSON_TEXT},
                                              {"key", JSON_RAW},
                                              {"kind", JSON_KIND},
                                              {"local_lost", JSON_BOOL},
                                              {"winner_time_us", JSON_NUMBER},
                                              {"winner_site", JSON_NUMBER},
                                              {"loser_time_us", JSON_NUMBER},
                                              {"loser_site", JSON_NUMBER},
                                              {"winner", JSON_RAW},
                                              {"loser", JSON_RAW},
                                              {"rule", JSON_TEXT}};
    return list(door_sqlite_of(door),
                "SELECT id, at, peer, batch, tbl, pk, kind, local_lost, winner_hlc, winner_site, loser_hlc, "
                "loser_site, winner, "
                "loser, rule FROM dbsync_conflict ORDER BY id DESC LIMIT ?1",
                members, sizeof members / sizeof members[0], limit, listed, context, problem);
}

int door_sqlite_parked(struct door *door, unsigned limit, door_listed *listed, void *context, struct problem *problem)
{
    static const struct json_row members[] = {{"id", JSON_NUMBER},     {"time_us", JSON_NUMBER}, {"peer", JSON_NUMBER},
                                              {"batch", JSON_NUMBER},  {"table", JSON_TEXT},     {"key", JSON_RAW},
                                              {"reason", JSON_REASON}, {"text", JSON_TEXT},      {"image", JSON_RAW}};
    return list(door_sqlite_of(door),
                "SELECT id, at, peer, batch, tbl, pk, reason, text, image FROM dbsync_parked ORDER BY id DESC LIMIT ?1",
                members, sizeof members / sizeof members[0], limit, listed, context, problem);
}

// ---- deciding by hand ----

// Writes a kept row as a change of this site, made now: every column, newer than all that is known.
static int write_now(struct door_sqlite *d, struct row *row, struct arena *arena, struct problem *problem)
{
    int64_t last = 0;
    int result = sqlite_number(d, "SELECT hlc FROM dbsync_clock", 0, 0, &last, problem);
    struct version now = version_make(clock_next(last, door_sqlite_wall_us(d)), VERSION_USER, d->site);
    bool *write = arena_take_zeroed(arena, row->table->column_count * sizeof *write);
    row->life = LIFE_LIVE;
    row->life_version = now;
    for (unsigned c = 0; c < row->table->column_count; c++) {
        if (row->known[c] && !row->table->column[c].in_key)
            write[c] = (row->version[c] = now, true);
    }
    row_close_groups(row);
    struct work w = {.table = row->table, .key = row->key, .state = row, .write = write};
    w.action = merge_action_of(row, NULL, PRESENCE_ABSENT, write);
    if (w.action != MERGE_INSERT)
        return problem_set(problem, EINVAL, "the row is not known whole; write it in the application instead");
    struct work *rows[] = {&w};
    if (result == 0)
        result = store_sqlite_ops.write(&d->store, rows, 1, problem);
    if (w.refused) {
        result = problem_set(problem, EEXIST, "the database refuses the row: %s", w.refused);
        free(w.refused);
    }
    return result < 0 ? result : door_sqlite_log_row(d, row, problem);
}

static int take_loser(struct door_sqlite *d, sqlite3_stmt *s, struct problem *problem)
{
    struct arena arena = {0};
    int at = schema_find(d->schema, (const char *)sqlite3_column_text(s, 0));
    uint32_t key_len = (uint32_t)sqlite3_column_bytes(s, 1);
    size_t len = (size_t)sqlite3_column_bytes(s, 2);
    struct key key = {arena_copy(&arena, sqlite3_column_blob(s, 1), key_len), key_len};
    const void *bytes = arena_copy(&arena, sqlite3_column_blob(s, 2), len);
    struct row *row = at < 0 ? NULL : row_decode(&arena, &d->schema->table[at], key, bytes, len);
    sqlite3_reset(s);
    int result = row ? write_now(d, row, &arena, problem)
                     : problem_set(problem, EINVAL, "the table was removed or altered since");
    arena_fini(&arena);
    return result;
}

// Conflicts and parked rows have numbers of their own; a parked row is named by the negative of its number.
int door_sqlite_resolve(struct door *door, int64_t id, enum door_resolution resolution, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    int result = door_sqlite_begin_work(door, problem);
    if (result < 0)
        return result;
    sqlite3_stmt *s = id > 0
                          ? sqlite_cached(d, "SELECT tbl, key, loser_row FROM dbsync_conflict WHERE id = ?1", problem)
                          : sqlite_cached(d, "SELECT tbl, key, row FROM dbsync_parked WHERE id = -?1", problem);
    if (s)
        sqlite3_bind_int64(s, 1, id);
    result = s ? sqlite_step(d, s, problem) : d->failure;
    if (result == 0)
        result = problem_set(problem, ENOENT, "there is no %s %lld", id > 0 ? "conflict" : "parked row",
                             (long long)(id > 0 ? id : -id));
    else if (result == 1 && resolution == RESOLVE_TAKE_LOSER)
        result = take_loser(d, s, problem);
    if (s)
        sqlite3_reset(s);
    if (result >= 0)
        result = id > 0 ? sqlite_runf(d, problem, "DELETE FROM dbsync_conflict WHERE id = %lld", (long long)id)
                        : sqlite_runf(d, problem, "DELETE FROM dbsync_parked WHERE id = %lld", (long long)-id);
    if (result == 0)
        result = door_sqlite_commit(d, problem);
    door_sqlite_rollback(d);
    return result;
}

int door_sqlite_retry(struct door *door, int64_t id, unsigned *done, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    struct arena arena = {0};
    struct apply_result applied;
    *done = 0;
    int result = door_sqlite_begin_work(door, problem);
    if (result == 0)
        result = apply_parked_again(&d->store, id, &arena, &applied, problem);
    if (result == 0)
        result = door_sqlite_commit(d, problem);
    if (result == 0)
        *done = (unsigned)(applied.inserted + applied.updated);
    door_sqlite_rollback(d);
    arena_fini(&arena);
    return result;
}

int door_sqlite_purge(struct door *door, int64_t before_us, struct problem *problem)
{
    return sqlite_runf(door_sqlite_of(door), problem, "DELETE FROM dbsync_conflict WHERE at < %lld",
                       (long long)before_us);
}

// ---- figures ----

static int count_tables(struct door_sqlite *d, uint64_t *rows, struct problem *problem)
{
    const struct schema *schema;
    int result = door_sqlite_schema(&d->door, &schema, problem);
    for (unsigned i = 0; result == 0 && i < schema->table_count; i++) {
        char *sql = sqlite3_mprintf("SELECT count(*) FROM dbsync_c_%lld", (long long)schema->table[i].id);
        sqlite3_stmt *s = NULL;
        result = sqlite_prepare(d, sql, &s, problem);
        if (result == 0 && sqlite3_step(s) == SQLITE_ROW)
            *rows += (uint64_t)sqlite3_column_int64(s, 0);
        sqlite3_finalize(s);
        sqlite3_free(sql);
    }
    return result;
}

int door_sqlite_counts(struct door *door, struct door_counts *counts, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    int64_t number[4] = {0}, now = door_sqlite_wall_us(d);
    memset(counts, 0, sizeof *counts);
    int result = count_tables(d, &counts->change_rows, problem);
    if (result == 0)
        result = sqlite_number(d, "SELECT count(*) FROM dbsync_remote", 0, 0, &number[0], problem);
    if (result == 0)
        result = sqlite_number(d, "SELECT count(*) FROM dbsync_parked", 0, 0, &number[1], problem);
    if (result == 0)
        result = sqlite_number(d, "SELECT count(*) FROM dbsync_conflict WHERE at > ?1 - 3600000000", now, 0, &number[2],
                               problem);
    if (result == 0)
        result = sqlite_number(d, "SELECT count(*) FROM dbsync_conflict WHERE at > ?1 - 86400000000", now, 0,
                               &number[3], problem);
    counts->remote_rows = (uint64_t)number[0];
    counts->parked = (uint64_t)number[1];
    counts->conflict_hour = (uint64_t)number[2];
    counts->conflict_day = (uint64_t)number[3];
    for (int kind = 0; result == 0 && kind < CONFLICT_KIND_COUNT; kind++) {
        sqlite3_stmt *s = sqlite_cached(d, "SELECT n FROM dbsync_count WHERE name = ?1", problem);
        if (!s)
            return d->failure;
        sqlite3_bind_text(s, 1, conflict_kind_name((enum conflict_kind)kind), -1, SQLITE_STATIC);
        if (sqlite_step(d, s, problem) == 1)
            counts->conflict[kind] = (uint64_t)sqlite3_column_int64(s, 0);
        sqlite3_reset(s);
    }
    return result;
}

int door_sqlite_position(struct door *door, uint64_t *position, struct problem *problem)
{
    int64_t seq = 0;
    int result = sqlite_number(door_sqlite_of(door), "SELECT seq FROM dbsync_clock", 0, 0, &seq, problem);
    *position = (uint64_t)seq;
    return result;
}

int door_sqlite_position_reached(struct door *door, uint16_t peer, uint64_t position, bool *reached,
                                 struct problem *problem)
{
    int64_t high = 0;
    int result =
        sqlite_number(door_sqlite_of(door),
                      "SELECT coalesce(max(high), 0) FROM dbsync_cut c JOIN dbsync_peer p ON p.site = c.peer WHERE "
                      "c.peer = ?1 AND c.number <= p.acked",
                      peer, 0, &high, problem);
    *reached = (uint64_t)high >= position;
    return result;
}

// ---- doctor ----

static int finding(door_listed *listed, void *context, const char *level, const char *table, const char *what,
                   const char *remedy)
{
    struct buffer json = {0};
    const char *part[][2] = {{"level", level}, {"table", table}, {"finding", what}, {"remedy", remedy}};
    for (int i = 0; i < 4; i++) {
        put(&json, i ? ", \"" : "{\"");
        put(&json, part[i][0]);
        put(&json, "\": ");
        row_json_string(&json, part[i][1], strlen(part[i][1]));
    }
    put(&json, "}");
    buffer_u8(&json, 0);
    int stop = listed(context, (const char *)json.data);
    buffer_fini(&json);
    return stop;
}

static int doctor_query(struct door_sqlite *d, const char *literal, const char *level, const char *what,
                        const char *remedy, door_listed *listed, void *context, struct problem *problem)
{
    sqlite3_stmt *s = sqlite_cached(d, literal, problem);
    int result = s ? 1 : d->failure;
    while (result > 0 && (result = sqlite_step(d, s, problem)) == 1) {
        if (finding(listed, context, level, (const char *)sqlite3_column_text(s, 0), what, remedy))
            break;
    }
    if (s)
        sqlite3_reset(s);
    return result < 0 ? result : 0;
}

int door_sqlite_doctor(struct door *door, door_listed *listed, void *context, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    const struct schema *schema;
    struct door_identity own;
    int result = door_sqlite_identity(door, &own, problem);
    if (result == 0 && door_sqlite_schema(door, &schema, problem) == -ESTALE)
        finding(listed, context, "error", "", problem->text, "run `signpost-dbsync add` for the table on both sites");
    if (result == 0)
        result = doctor_query(
            d,
            "SELECT t.name FROM dbsync_table t JOIN sqlite_schema m ON m.name = t.name AND m.type = 'table' "
            "WHERE (SELECT count(*) FROM pragma_table_info(t.name) WHERE pk > 0) = 1 AND EXISTS(SELECT 1 FROM "
            "pragma_table_info(t.name) WHERE pk = 1 AND upper(type) = 'INTEGER')",
            "warning", "row identifiers that SQLite hands out itself are drawn alike on all sites",
            "let each site draw from numbers of its own (identifier % sites = its index), or use UUIDs", listed,
            context, problem);
    if (result == 0)
        result = doctor_query(
            d,
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT "
            "LIKE 'dbsync_%' AND name NOT IN (SELECT name FROM dbsync_table)",
            "note", "the table is not synchronised", "run `signpost-dbsync add` if it should be", listed, context,
            problem);
    if (result == 0)
        result = doctor_query(
            d,
            "SELECT DISTINCT t.name FROM dbsync_table t, pragma_foreign_key_list(t.name) f WHERE f.\"table\" "
            "NOT IN (SELECT name FROM dbsync_table) COLLATE NOCASE",
            "warning", "it refers to a table that is not synchronised", "add that table, too", listed, context,
            problem);
    if (result == 0)
        result =
            doctor_query(d,
                         "SELECT t.name FROM dbsync_table t WHERE NOT EXISTS(SELECT 1 FROM sqlite_schema WHERE type = "
                         "'trigger' AND name = 'dbsync_i_' || t.id)",
                         "error", "its capture triggers are gone: changes are lost to the other sites",
                         "run `signpost-dbsync add` again, then `bootstrap`", listed, context, problem);
    return result;
}
