// SPDX-License-Identifier: Apache-2.0
// Transaction borders of the log, noted while changes collect, so that a long log can be cut into several batches.
//
// The log does not say where a transaction ended: any process writes it through triggers. But what one of our own
// transactions finds is the end of one, so the poll notes the position now and then. Between two notes the log is never
// divided, and what came while no daemon ran is one piece.
#include <errno.h>
#include <stdlib.h>

#include "dbsync/door_sqlite_private.h"

int door_sqlite_note_border(struct door_sqlite *d, int64_t cut_seq, int64_t seq, struct problem *problem)
{
    const struct schema *schema;
    int64_t last = 0;
    if (seq - cut_seq < (int64_t)d->border_changes)
        return 0;
    int result = sqlite_number(d, "SELECT coalesce(max(seq), 0) FROM dbsync_border", 0, 0, &last, problem);
    if (result < 0 || seq - last < (int64_t)d->border_changes)
        return result;
    result = door_sqlite_schema(&d->door, &schema, problem);
    if (result == 0)
        result = door_sqlite_begin(d, true, problem);
    if (result < 0)
        return result;
    result = sqlite_run(d, "INSERT OR IGNORE INTO dbsync_border SELECT seq FROM dbsync_clock", problem);
    if (result == 0)
        result = door_sqlite_commit(d, problem);
    door_sqlite_rollback(d);
    return result;
}

// Octets of the changes in (low, high], as far as the file says without reading them: text counts its characters.
static int weigh(struct door_sqlite *d, int64_t low, int64_t high, uint64_t *octets, struct problem *problem)
{
    enum { ROW_OCTETS = 32 }; // key, mask and version
    sqlite3_str *sql = sqlite3_str_new(d->db);
    sqlite3_str_appendf(sql, "SELECT 0");
    for (unsigned i = 0; i < d->schema->table_count; i++) {
        const struct table *t = &d->schema->table[i];
        sqlite3_str_appendf(sql, " + (SELECT coalesce(sum(%d", ROW_OCTETS);
        for (unsigned c = 0; c < t->column_count; c++) {
            if (!t->column[c].is_generated)
                sqlite3_str_appendf(sql, " + coalesce(length(\"v_%w\"), 0)", t->column[c].name);
        }
        sqlite3_str_appendf(sql, "), 0) FROM dbsync_c_%lld WHERE seq > %lld AND seq <= %lld)", (long long)t->id,
                            (long long)low, (long long)high);
    }
    char *text = sqlite3_str_finish(sql);
    sqlite3_stmt *s = NULL;
    int result = text ? sqlite_prepare(d, text, &s, problem) : problem_set(problem, ENOMEM, "out of memory");
    if (result == 0)
        result = sqlite_step(d, s, problem);
    if (result == 1)
        *octets = (uint64_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_free(text);
    return result < 0 ? result : 0;
}

int door_sqlite_backlog_octets(struct door_sqlite *d, int64_t low, uint64_t rows, uint64_t *octets,
                               struct problem *problem)
{
    enum { SAMPLE = 200 };
    const struct schema *schema;
    int64_t seq = 0;
    uint64_t weight = 0;
    *octets = 0;
    int result = door_sqlite_schema(&d->door, &schema, problem);
    if (result == 0)
        result = sqlite_number(d, "SELECT seq FROM dbsync_clock", 0, 0, &seq, problem);
    int64_t from = seq - low > SAMPLE ? seq - SAMPLE : low;
    if (result == 0 && seq > from)
        result = weigh(d, from, seq, &weight, problem);
    if (result == 0 && seq > from)
        *octets = weight * rows / (uint64_t)(seq - from);
    return result == -ESTALE ? 0 : result; // shown elsewhere
}

// Whether changes are to be weighed at all: not while the whole file is smaller than the limit.
static int must_weigh(struct door_sqlite *d, uint64_t limit, bool *must, struct problem *problem)
{
    int64_t octets = 0;
    int result = limit ? sqlite_number(d, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", 0,
                                       0, &octets, problem)
                       : 0;
    *must = (uint64_t)octets > limit;
    return result;
}

static bool is_too_much(const struct door_read_request *limits, uint64_t rows, uint64_t octets)
{
    return (limits->row_limit && rows > limits->row_limit) || (limits->byte_limit && octets > limits->byte_limit);
}

int door_sqlite_choose_high(struct door_sqlite *d, int64_t low, int64_t seq, const struct door_read_request *limits,
                            int64_t *high, struct problem *problem)
{
    uint64_t octets = 0, more = 0;
    bool weighs = false;
    *high = seq;
    int result = must_weigh(d, limits->byte_limit, &weighs, problem);
    if (result < 0 || (!weighs && !is_too_much(limits, (uint64_t)(seq - low), 0)))
        return result;
    sqlite3_stmt *s = sqlite_cached(
        d, "SELECT seq FROM dbsync_border WHERE seq > ?1 AND seq < ?2 UNION ALL SELECT ?2 ORDER BY 1", problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int64(s, 1, low);
    sqlite3_bind_int64(s, 2, seq);
    int64_t taken = low;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        int64_t border = sqlite3_column_int64(s, 0);
        if (weighs && weigh(d, taken, border, &more, problem) < 0) {
            result = d->failure;
            break;
        }
        octets += weighs ? more : 0;
        if (taken > low && is_too_much(limits, (uint64_t)(border - low), octets))
            break;
        taken = border;
    }
    sqlite3_reset(s);
    *high = taken > low ? taken : seq;
    return result < 0 ? result : 0;
}

int door_sqlite_forget_borders(struct door_sqlite *d, int64_t low, int64_t high, struct problem *problem)
{
    return sqlite_runf(d, problem, "DELETE FROM dbsync_border WHERE seq > %lld AND seq <= %lld", (long long)low,
                       (long long)high);
}
