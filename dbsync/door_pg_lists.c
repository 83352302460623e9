// SPDX-License-Identifier: Apache-2.0
// Conflicts and parked rows: shown, tried again, decided by hand.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_pg_private.h"
#include "dbsync/row_codec.h"

// ---- rows for people ----

// Values as the database itself writes them in JSON; row_json's hexadecimal where it no longer can.
static void row_for_people(struct door_pg *d, struct buffer *out, const struct row *row)
{
    const struct table *t = row->table;
    struct pg_table *p = pg_table_of(d, t);
    struct buffer sql = {0};
    struct pg_params params = {0};
    struct problem ignored;
    unsigned shown = 0;
    pg_sql(&sql, "SELECT json_build_object(");
    for (unsigned c = 0; c < t->column_count && shown < PG_PARAM_MAX; c++) {
        if (!row->known[c] || t->column[c].is_generated)
            continue;
        const struct value *v = &row->value[c];
        pg_sql(&sql, "%s", shown ? ", " : "");
        pg_sql_literal(&sql, t->column[c].name);
        pg_sql(&sql, ", $%u::%s", ++shown, p->column[c].is_text ? "text" : p->column[c].base);
        if (v->type == VALUE_NULL)
            pg_put_text(&params, NULL);
        else
            pg_put_bytes(&params, v->bytes, v->len);
    }
    pg_sql(&sql, ")::text");
    bool is_whole = shown < PG_PARAM_MAX;
    PGresult *r = is_whole ? pg_ask(d, (const char *)sql.data, &params, &ignored) : NULL;
    if (r && PQntuples(r) == 1)
        buffer_put(out, pg_text(r, 0, 0), strlen(pg_text(r, 0, 0)));
    else
        row_json(out, row);
    PQclear(r);
    buffer_fini(&sql);
}

static struct row *stored_row(struct door_pg *d, const PGresult *r, int i, int table_at, int key_at, int row_at,
                              struct arena *arena)
{
    int at = schema_find(d->schema, pg_text(r, i, table_at));
    if (at < 0 || PQgetisnull(r, i, row_at))
        return NULL;
    size_t key_len = (size_t)PQgetlength(r, i, key_at), len = (size_t)PQgetlength(r, i, row_at);
    struct key key = {arena_copy(arena, PQgetvalue(r, i, key_at), key_len), (uint32_t)key_len};
    const void *bytes = arena_copy(arena, PQgetvalue(r, i, row_at), len);
    return row_decode(arena, &d->schema->table[at], key, bytes, len);
}

static void put_image(struct door_pg *d, struct buffer *out, const char *name, const struct row *row)
{
    pg_sql(out, ", \"%s\": ", name);
    if (row)
        row_for_people(d, out, row);
    else
        pg_sql(out, "null");
}

static void put_string(struct buffer *out, const char *name, const char *text)
{
    pg_sql(out, ", \"%s\": ", name);
    row_json_string(out, text, strlen(text));
}

static void put_key(struct door_pg *d, struct buffer *out, const struct table *t, struct key key)
{
    struct arena arena = {0};
    struct row *row = row_new(&arena, t, key);
    put_image(d, out, "key", row);
    arena_fini(&arena);
}

static const char *table_key(struct door_pg *d, const PGresult *r, int i, int table_at, int key_at, struct buffer *out)
{
    int at = schema_find(d->schema, pg_text(r, i, table_at));
    struct key key = {(const uint8_t *)PQgetvalue(r, i, key_at), (uint32_t)PQgetlength(r, i, key_at)};
    put_string(out, "table", pg_text(r, i, table_at));
    if (at >= 0)
        put_key(d, out, &d->schema->table[at], key);
    return pg_text(r, i, table_at);
}

typedef void put_entry(struct door_pg *d, struct buffer *out, const PGresult *r, int i, struct arena *arena);

// One entry a call; the query has id, time, peer, batch, table and key first, and a limit last.
static int list(struct door *door, const char *query, unsigned limit, put_entry *put, door_listed *listed,
                void *context, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    const struct schema *schema;
    int result = door_pg_schema(door, &schema, problem);
    if (result < 0)
        return result;
    PGresult *r = pg_askf(d, problem, "%s ORDER BY id DESC LIMIT %u", query, limit ? limit : 1000000);
    if (!r)
        return -pg_errno(d);
    struct buffer out = {0};
    bool stops = false;
    for (int i = 0; i < PQntuples(r) && !stops; i++) {
        struct arena arena = {0};
        buffer_reset(&out);
        pg_sql(&out, "{\"id\": %lld, \"time_us\": %lld, \"peer\": %d, \"batch\": %lld", (long long)pg_number(r, i, 0),
               (long long)pg_number(r, i, 1), (int)pg_number(r, i, 2), (long long)pg_number(r, i, 3));
        table_key(d, r, i, 4, 5, &out);
        put(d, &out, r, i, &arena);
        pg_sql(&out, "}");
        arena_fini(&arena);
        stops = listed(context, (const char *)out.data) != 0;
    }
    PQclear(r);
    buffer_fini(&out);
    return 0;
}

static void put_conflict(struct door_pg *d, struct buffer *out, const PGresult *r, int i, struct arena *arena)
{
    put_string(out, "kind", conflict_kind_name((enum conflict_kind)pg_number(r, i, 6)));
    pg_sql(out,
           ", \"local_lost\": %s, \"winner_time_us\": %lld, \"winner_site\": %d, \"loser_time_us\": %lld, "
           "\"loser_site\": %d",
           pg_number(r, i, 7) ? "true" : "false", (long long)pg_number(r, i, 8), (int)pg_number(r, i, 9),
           (long long)pg_number(r, i, 10), (int)pg_number(r, i, 11));
    put_image(d, out, "winner", stored_row(d, r, i, 4, 5, 12, arena));
    put_image(d, out, "loser", stored_row(d, r, i, 4, 5, 13, arena));
    put_string(out, "rule", pg_text(r, i, 14));
}

int door_pg_conflicts(struct door *door, unsigned limit, door_listed *listed, void *context, struct problem *problem)
{
    return list(door,
                "SELECT id, (date_part('epoch', at) * 1000000)::bigint, peer, batch, tbl, key, kind, local_lost, "
                "winner_hlc, winner_site, loser_hlc, loser_site, winner, loser, rule FROM dbsync.conflict",
                limit, put_conflict, listed, context, problem);
}

static void put_parked(struct door_pg *d, struct buffer *out, const PGresult *r, int i, struct arena *arena)
{
    static const char *const reason[] = {"unique", "foreign", "missing_row", "missing_parent", "refused", "overflow"};
    int64_t why = pg_number(r, i, 6);
    put_string(out, "reason", why >= 0 && why <= PARK_OVERFLOW ? reason[why] : "?");
    put_string(out, "text", pg_text(r, i, 7));
    put_image(d, out, "image", stored_row(d, r, i, 4, 5, 8, arena));
}

int door_pg_parked(struct door *door, unsigned limit, door_listed *listed, void *context, struct problem *problem)
{
    return list(
        door,
        "SELECT id, (date_part('epoch', at) * 1000000)::bigint, peer, batch, tbl, key, reason, text, image FROM "
        "dbsync.parked",
        limit, put_parked, listed, context, problem);
}

// ---- writing a row by hand ----

// As an ordinary write of this site: with triggers, so that it is captured and sent like any other.
static int write_as_user(struct door_pg *d, const struct row *image, struct problem *problem)
{
    const struct table *t = image->table;
    struct pg_table *p = pg_table_of(d, t);
    struct buffer sql = {0}, set = {0};
    int result = store_pg_stage(d, t, &image, 1, false, problem);
    const char *comma = "";
    pg_sql(&sql, "INSERT INTO %s(", t->name);
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated || !image->known[c])
            continue;
        pg_sql(&sql, "%s", comma);
        pg_sql_name(&sql, t->column[c].name);
        if (!t->column[c].in_key && !p->column[c].is_always) {
            pg_sql(&set, "%s", set.len ? ", " : "");
            pg_sql_name(&set, t->column[c].name);
            pg_sql(&set, " = excluded.");
            pg_sql_name(&set, t->column[c].name);
        }
        comma = ", ";
    }
    pg_sql(&sql, ") OVERRIDING SYSTEM VALUE SELECT ");
    comma = "";
    for (unsigned c = 0; c < t->column_count; c++) {
        if (t->column[c].is_generated || !image->known[c])
            continue;
        pg_sql(&sql, "%sv%d::%s", comma, p->column[c].attnum, p->column[c].type);
        comma = ", ";
    }
    pg_sql(&sql, " FROM pg_temp.");
    pg_sql_stage(&sql, t);
    pg_sql(&sql, " WHERE call = %u ON CONFLICT (", d->stage_call);
    for (unsigned k = 0; k < t->key_count; k++) {
        pg_sql(&sql, "%s", k ? ", " : "");
        pg_sql_name(&sql, t->column[t->key[k]].name);
    }
    pg_sql(&sql, ") DO %s%s", set.len ? "UPDATE SET " : "NOTHING", set.len ? (const char *)set.data : "");
    if (result == 0)
        result = pg_run(d, (const char *)sql.data, problem);
    buffer_fini(&sql);
    buffer_fini(&set);
    return result;
}

// In one transaction with the removal from its list; a refusal leaves both as they were.
static int put_back(struct door_pg *d, const struct row *image, const char *list, int64_t id, struct problem *problem)
{
    int result = pg_run(d, "BEGIN; SET LOCAL session_replication_role = origin", problem);
    if (result == 0 && image)
        result = write_as_user(d, image, problem);
    if (result == 0)
        result = pg_runf(d, problem, "DELETE FROM dbsync.%s WHERE id = %lld", list, (long long)id);
    if (result == 0)
        result = door_pg_commit(d, problem);
    door_pg_rollback(d);
    return result;
}

int door_pg_retry(struct door *door, int64_t id, unsigned *done, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    const struct schema *schema;
    struct apply_result applied;
    struct arena arena = {0};
    *done = 0;
    int result = door_pg_schema(door, &schema, problem);
    door_pg_forget_transaction(d);
    d->is_careful = true;
    if (result == 0)
        result = door_pg_begin(d, problem);
    if (result == 0)
        result = apply_parked_again(&d->store, id, &arena, &applied, problem);
    if (result == 0)
        result = store_pg_write_lists(d, problem);
    if (result == 0)
        result = door_pg_commit(d, problem);
    if (result == 0)
        *done = (unsigned)(applied.inserted + applied.updated);
    door_pg_rollback(d);
    arena_fini(&arena);
    return result;
}

static int resolve_in(struct door_pg *d, const char *list, const char *image_column, int64_t id,
                      enum door_resolution resolution, struct problem *problem)
{
    PGresult *r = pg_askf(d, problem, "SELECT id, tbl, key, %s FROM dbsync.%s WHERE id = %lld", image_column, list,
                          (long long)id);
    if (!r)
        return -pg_errno(d);
    struct arena arena = {0};
    int result = PQntuples(r) == 1 ? 1 : 0;
    if (result == 1) {
        struct row *image = resolution == RESOLVE_TAKE_LOSER ? stored_row(d, r, 0, 1, 2, 3, &arena) : NULL;
        if (resolution == RESOLVE_TAKE_LOSER && !image)
            result =
                problem_set(problem, ESTALE, "the image of %lld is of a table that has changed since", (long long)id);
        else
            result = put_back(d, image, list, id, problem);
        result = result == 0 ? 1 : result;
    }
    PQclear(r);
    arena_fini(&arena);
    return result;
}

// Conflicts and parked rows have numbers of their own; a parked row is named by the negative of its number.
int door_pg_resolve(struct door *door, int64_t id, enum door_resolution resolution, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    const struct schema *schema;
    int result = door_pg_schema(door, &schema, problem);
    if (result == 0)
        result = id > 0 ? resolve_in(d, "conflict", "loser", id, resolution, problem)
                        : resolve_in(d, "parked", "image", -id, resolution, problem);
    if (result == 0)
        result = problem_set(problem, ENOENT, "there is no %s %lld", id > 0 ? "conflict" : "parked row",
                             (long long)(id > 0 ? id : -id));
    return result < 0 ? result : 0;
}
