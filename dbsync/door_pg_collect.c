// SPDX-License-Identifier: Apache-2.0
// Garbage collection, compaction, positions and counts.
//
// A change row goes when every peer's latest batch had seen a cut that holds it (stable): nothing that a peer sends
// later can have been written without knowing it. Peers that need a bootstrap hold nothing.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/door_pg_private.h"

enum { COLLECT_ROWS = 50000 }; // of one table and call

// Condition on xid for what is stable at all peers; false: nothing is.
static int stable_condition(struct door_pg *d, struct buffer *sql, struct buffer *cuts, unsigned *peers,
                            struct problem *problem)
{
    PGresult *r =
        pg_askf(d, problem,
                "SELECT p.site, p.seen FROM dbsync.peer p JOIN dbsync.outbound o USING (site) WHERE o.state <> "
                "%d",
                PEER_NEEDS_BOOTSTRAP);
    if (!r)
        return -pg_errno(d);
    int result = 1;
    *peers = (unsigned)PQntuples(r);
    pg_sql(sql, "true");
    pg_sql(cuts, "%s", "");
    for (int i = 0; result == 1 && i < PQntuples(r); i++) {
        struct window_vector seen = pg_vector(r, i, 1);
        unsigned long long stable = window_get(&seen, d->site);
        int peer = (int)pg_number(r, i, 0);
        PGresult *cut =
            pg_askf(d, problem,
                    "SELECT high, number FROM dbsync.cut WHERE peer = %d AND number <= %llu ORDER BY number "
                    "DESC LIMIT 1",
                    peer, stable);
        if (!cut) {
            result = -pg_errno(d);
        } else if (PQntuples(cut) == 0) {
            result = 0;
        } else {
            const char *high = pg_text(cut, 0, 0);
            unsigned long long bound = strtoull(strchr(high, ':') + 1, NULL, 10);
            pg_sql(sql, " AND xid < '%llu'::xid8 AND pg_visible_in_snapshot(xid, '%s'::pg_snapshot)", bound, high);
            pg_sql(cuts,
                   "DELETE FROM dbsync.cut WHERE peer = %d AND number < %lld; DELETE FROM dbsync.request WHERE "
                   "peer = %d AND cut < %lld;",
                   peer, (long long)pg_number(cut, 0, 1), peer, (long long)pg_number(cut, 0, 1));
        }
        PQclear(cut);
    }
    PQclear(r);
    return result;
}

static int collect_table(struct door_pg *d, const struct table *t, const char *condition, bool *more,
                         struct problem *problem)
{
    int64_t n = 0;
    int result = pg_ask_number(d, &n, problem,
                               "WITH gone AS (DELETE FROM dbsync.c_%lld WHERE ctid = ANY(ARRAY(SELECT ctid FROM "
                               "dbsync.c_%lld WHERE %s LIMIT %d)) RETURNING 1) SELECT count(*) FROM gone",
                               (long long)t->id, (long long)t->id, condition, COLLECT_ROWS);
    *more |= n == COLLECT_ROWS;
    return result;
}

// Remembered registers of a site must also be stable at the others: only a cluster of three has any.
// The transaction that remembered them is in a cut only when there is another one, which an idle database does not
// make; but where no change is left in the same snapshot, those that they overrule are stable.
static int collect_remote(struct door_pg *d, const char *condition, unsigned peer_count, struct problem *problem)
{
    if (peer_count <= 1) {
        struct buffer sql = {0};
        pg_sql(&sql, "DELETE FROM dbsync.remote WHERE (%s) OR NOT (false", condition);
        for (unsigned i = 0; i < d->schema->table_count; i++)
            pg_sql(&sql, " OR EXISTS(SELECT 1 FROM dbsync.c_%lld)", (long long)d->schema->table[i].id);
        pg_sql(&sql, ")");
        int result = pg_run(d, (const char *)sql.data, problem);
        buffer_fini(&sql);
        return result;
    }
    uint16_t site[WINDOW_SITE_MAX];
    struct window_vector seen[WINDOW_SITE_MAX];
    PGresult *r = pg_askf(d, problem, "SELECT site, seen FROM dbsync.peer ORDER BY site LIMIT %d", WINDOW_SITE_MAX);
    if (!r)
        return -pg_errno(d);
    unsigned n = (unsigned)PQntuples(r);
    for (unsigned i = 0; i < n; i++) {
        site[i] = (uint16_t)pg_number(r, (int)i, 0);
        seen[i] = pg_vector(r, (int)i, 1);
    }
    PQclear(r);
    int result = 0;
    for (unsigned i = 0; result == 0 && i < n; i++) {
        uint64_t stable = window_stable(d->site, site[i], site, seen, n);
        result = pg_runf(d, problem, "DELETE FROM dbsync.remote WHERE origin = %d AND cut <= %lld AND %s", site[i],
                         (long long)(stable > INT64_MAX ? INT64_MAX : stable), condition);
    }
    return result;
}

int door_pg_collect(struct door *door, bool *more, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    const struct schema *schema;
    struct buffer condition = {0}, cuts = {0};
    unsigned peers = 0;
    *more = false;
    int result = door_pg_schema(door, &schema, problem);
    // What is dropped need not be durable: after a crash it is dropped again.
    if (result == 0)
        result = pg_run(d, "BEGIN; SET LOCAL synchronous_commit = off", problem);
    if (result == 0)
        result = stable_condition(d, &condition, &cuts, &peers, problem);
    if (result == 1) {
        result = 0;
        for (unsigned i = 0; result == 0 && i < schema->table_count; i++)
            result = collect_table(d, &schema->table[i], (const char *)condition.data, more, problem);
        if (result == 0 && !*more)
            result = collect_remote(d, (const char *)condition.data, peers, problem);
        if (result == 0 && !*more && cuts.len)
            result = pg_run(d, (const char *)cuts.data, problem);
    }
    if (result == 0)
        result = door_pg_commit(d, problem);
    door_pg_rollback(d);
    buffer_fini(&condition);
    buffer_fini(&cuts);
    return result;
}

// ---- compaction ----

// Folds the changes of one table that no cut has taken. New rows get this transaction's number, so the next cut takes
// them; the old ones vanish with it.
static int compact_table(struct door_pg *d, const struct table *t, const char *condition, uint64_t *before,
                         uint64_t *after, struct problem *problem)
{
    struct fold fold = {0};
    int result = door_pg_fold(d, t, condition, &fold, problem);
    if (result == 0 && fold.count < fold.change_count) {
        result = pg_runf(d, problem, "DELETE FROM dbsync.c_%lld c WHERE %s", (long long)t->id, condition);
        const struct row **row = memory_take((fold.count + 1) * sizeof *row);
        for (uint32_t i = 0; i < fold.count; i++)
            row[i] = fold.entry[i].row;
        if (result == 0)
            result = door_pg_log_rows(d, t, row, fold.count, problem);
        free(row);
    }
    *before += fold.change_count;
    *after += fold.count;
    fold_fini(&fold);
    return result;
}

static int compact_all(struct door_pg *d, const struct schema *schema, uint64_t *before, uint64_t *after,
                       struct problem *problem)
{
    PGresult *r = pg_askf(d, problem, "SELECT snapshot FROM dbsync.outbound");
    int result = r ? 0 : -pg_errno(d);
    struct buffer condition = {0};
    pg_sql(&condition, "true");
    for (int i = 0; r && i < PQntuples(r); i++) {
        pg_sql(&condition, " AND ");
        pg_sql_between(&condition, pg_text(r, i, 0), NULL);
    }
    for (unsigned i = 0; result == 0 && i < schema->table_count; i++)
        result = compact_table(d, &schema->table[i], (const char *)condition.data, before, after, problem);
    PQclear(r);
    buffer_fini(&condition);
    return result < 0 ? result : door_pg_commit(d, problem);
}

int door_pg_compact(struct door *door, uint64_t *before, uint64_t *after, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    const struct schema *schema;
    *before = *after = 0;
    int result = door_pg_schema(door, &schema, problem);
    // The lock keeps cuts out: one that saw the old rows would later find neither them nor the new ones.
    if (result == 0)
        result = door_pg_lock_cuts(d, true, problem);
    if (result < 0)
        return result;
    result = pg_run(d, "BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE dbsync.outbound IN EXCLUSIVE MODE", problem);
    if (result == 0)
        result = compact_all(d, schema, before, after, problem);
    door_pg_rollback(d);
    struct problem ignored;
    door_pg_lock_cuts(d, false, &ignored);
    return result;
}

// ---- positions ----

// The latest cut's number: whatever is committed now is in the next one's snapshot.
int door_pg_position(struct door *door, uint64_t *position, struct problem *problem)
{
    int64_t head = 0;
    int result = pg_ask_number(door_pg_of(door), &head, problem,
                               "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM dbsync.head");
    *position = (uint64_t)head;
    return result;
}

int door_pg_position_reached(struct door *door, uint16_t peer, uint64_t position, bool *reached,
                             struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    *reached = false;
    PGresult *r = pg_askf(d, problem, "SELECT acked, cut FROM dbsync.outbound WHERE site = %d", peer);
    if (!r)
        return -pg_errno(d);
    bool is_known = PQntuples(r) == 1;
    uint64_t acked = is_known ? (uint64_t)pg_number(r, 0, 0) : 0, cut = is_known ? (uint64_t)pg_number(r, 0, 1) : 0;
    PQclear(r);
    if (!is_known)
        return problem_set(problem, ENOENT, "site %u is no peer here", peer);
    *reached = acked > position;
    if (*reached || acked < cut)
        return 0;
    enum door_news news = DOOR_NO_NEWS;
    const struct schema *schema;
    int result = door_pg_schema(door, &schema, problem); // a table may have been added since
    if (result == 0)
        result = door_pg_has_news(door, peer, &news, problem);
    *reached = result == 0 && news != DOOR_HAS_NEWS; // all cuts are acknowledged, and there is nothing for another one
    return result;
}

// ---- counts ----

int door_pg_purge(struct door *door, int64_t before_us, struct problem *problem)
{
    return pg_runf(door_pg_of(door), problem, "DELETE FROM dbsync.conflict WHERE at < to_timestamp(%lld / 1e6)",
                   (long long)before_us);
}

int door_pg_counts(struct door *door, struct door_counts *counts, struct problem *problem)
{
    struct door_pg *d = door_pg_of(door);
    const struct schema *schema;
    memset(counts, 0, sizeof *counts);
    int result = door_pg_schema(door, &schema, problem);
    if (result < 0)
        return result;
    struct buffer sql = {0};
    pg_sql(&sql, "SELECT 0::bigint");
    for (unsigned i = 0; i < schema->table_count; i++)
        pg_sql(&sql, " + (SELECT count(*) FROM dbsync.c_%lld)", (long long)schema->table[i].id);
    pg_sql(&sql,
           ", (SELECT count(*) FROM dbsync.remote), (SELECT count(*) FROM dbsync.parked), (SELECT count(*) FROM "
           "dbsync.conflict WHERE at > now() - interval '1 hour'), (SELECT count(*) FROM dbsync.conflict WHERE at "
           "> now() - interval '1 day')");
    PGresult *r = pg_ask(d, (const char *)sql.data, NULL, problem);
    buffer_fini(&sql);
    if (!r)
        return -pg_errno(d);
    counts->change_rows = (uint64_t)pg_number(r, 0, 0);
    counts->remote_rows = (uint64_t)pg_number(r, 0, 1);
    counts->parked = (uint64_t)pg_number(r, 0, 2);
    counts->conflict_hour = (uint64_t)pg_number(r, 0, 3);
    counts->conflict_day = (uint64_t)pg_number(r, 0, 4);
    PQclear(r);
    r = pg_askf(d, problem, "SELECT name, n FROM dbsync.count");
    for (int i = 0; r && i < PQntuples(r); i++) {
        for (int k = 0; k < CONFLICT_KIND_COUNT; k++) {
            if (strcmp(pg_text(r, i, 0), conflict_kind_name((enum conflict_kind)k)) == 0)
                counts->conflict[k] = (uint64_t)pg_number(r, i, 1);
        }
    }
    result = r ? 0 : -pg_errno(d);
    PQclear(r);
    return result;
}
