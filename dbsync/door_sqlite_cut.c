// SPDX-License-Identifier: Apache-2.0
// Cuts of the log, and the batches made of them.
//
// A cut is the log up to `seq` at one moment; one writer at a time makes that a transaction border. It is recorded in a
// short transaction of its own; then the range is read, folded and encoded. The same range gives the same registers
// when it is read again, as compaction and the clearing of lost registers leave cut changes alone.
#include <errno.h>
#include <string.h>

#include "dbsync/door_sqlite_private.h"

struct cut {
    uint16_t peer;
    uint64_t number, previous;
    int64_t low, high, clock;
    struct window_vector seen, needs;
    bool is_new;
    bool is_first; // at its position of the log
};

static struct window_vector vector_at(sqlite3_stmt *s, int at)
{
    struct bytes_reader in = bytes_reader_init(sqlite3_column_blob(s, at), (size_t)sqlite3_column_bytes(s, at));
    struct window_vector v = {0};
    return in.len ? window_decode(&in) : v;
}

static int find_made(struct door_sqlite *d, const struct door_read_request *request, struct cut *cut,
                     struct problem *problem)
{
    sqlite3_stmt *s =
        sqlite_cached(d,
                      "SELECT number, previous, low, high, clock, seen, needs FROM dbsync_cut WHERE peer = ?1 "
                      "AND number > ?2 ORDER BY number LIMIT 1",
                      problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int64(s, 1, request->peer);
    sqlite3_bind_int64(s, 2, (int64_t)request->after);
    int result = sqlite_step(d, s, problem);
    if (result != 1)
        return result;
    cut->number = (uint64_t)sqlite3_column_int64(s, 0);
    cut->previous = (uint64_t)sqlite3_column_int64(s, 1);
    cut->low = sqlite3_column_int64(s, 2);
    cut->high = sqlite3_column_int64(s, 3);
    cut->clock = sqlite3_column_int64(s, 4);
    cut->seen = vector_at(s, 5);
    cut->needs = vector_at(s, 6);
    sqlite3_reset(s);
    return 1;
}

struct peer_log { // what a new cut must know of its peer
    int64_t cut, cut_seq, seq, clock, state;
    uint64_t head, first; // latest cut; the first one made at position first_seq
    int64_t first_seq;
    struct window_vector had, told;
    bool owes; // rows were applied that the peer has not been told of
};

static int read_peer_log(struct door_sqlite *d, uint16_t peer, struct peer_log *log, struct problem *problem)
{
    sqlite3_stmt *s = sqlite_cached(d,
                                    "SELECT p.cut, p.cut_seq, c.seq, c.hlc, p.state, i.head, p.had, p.told, i.first, "
                                    "i.first_seq FROM dbsync_peer p, "
                                    "dbsync_clock c, dbsync_site i WHERE p.site = ?1",
                                    problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int64(s, 1, peer);
    int result = sqlite_step(d, s, problem);
    if (result != 1)
        return result < 0 ? result : problem_set(problem, ENOENT, "site %u is no peer here", peer);
    log->cut = sqlite3_column_int64(s, 0);
    log->cut_seq = sqlite3_column_int64(s, 1);
    log->seq = sqlite3_column_int64(s, 2);
    log->clock = sqlite3_column_int64(s, 3);
    log->state = sqlite3_column_int64(s, 4);
    log->head = (uint64_t)sqlite3_column_int64(s, 5);
    log->had = vector_at(s, 6);
    log->told = vector_at(s, 7);
    log->first = (uint64_t)sqlite3_column_int64(s, 8);
    log->first_seq = sqlite3_column_int64(s, 9);
    sqlite3_reset(s);
    s = sqlite_cached(d, "SELECT site, applied_rows FROM dbsync_peer", problem);
    result = s ? 1 : d->failure;
    log->owes = false;
    while (result > 0 && (result = sqlite_step(d, s, problem)) == 1)
        log->owes |= (uint64_t)sqlite3_column_int64(s, 1) > window_get(&log->told, (uint16_t)sqlite3_column_int(s, 0));
    return result;
}

static int bind_vector(struct buffer *bytes, sqlite3_stmt *s, int at, const struct window_vector *v)
{
    buffer_reset(bytes);
    window_encode(bytes, v);
    return sqlite3_bind_blob64(s, at, bytes->data, bytes->len, SQLITE_TRANSIENT);
}

static int store_cut(struct door_sqlite *d, const struct cut *cut, struct problem *problem)
{
    struct buffer bytes = {0};
    sqlite3_stmt *s =
        sqlite_cached(d,
                      "INSERT INTO dbsync_cut(peer, number, previous, low, high, clock, seen, needs, rows) "
                      "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)",
                      problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int64(s, 1, cut->peer);
    sqlite3_bind_int64(s, 2, (int64_t)cut->number);
    sqlite3_bind_int64(s, 3, (int64_t)cut->previous);
    sqlite3_bind_int64(s, 4, cut->low);
    sqlite3_bind_int64(s, 5, cut->high);
    sqlite3_bind_int64(s, 6, cut->clock);
    bind_vector(&bytes, s, 7, &cut->seen);
    bind_vector(&bytes, s, 8, &cut->needs);
    int result = sqlite_done(d, s, problem);
    s = result < 0
            ? NULL
            : sqlite_cached(d, "UPDATE dbsync_peer SET cut = ?2, cut_seq = ?3, had = ?4, told = ?5 WHERE site = ?1",
                            problem);
    if (s) {
        sqlite3_bind_int64(s, 1, cut->peer);
        sqlite3_bind_int64(s, 2, (int64_t)cut->number);
        sqlite3_bind_int64(s, 3, cut->high);
        bind_vector(&bytes, s, 4, &cut->needs);
        bind_vector(&bytes, s, 5, &cut->seen);
        result = sqlite_done(d, s, problem);
    }
    buffer_fini(&bytes);
    if (result == 0 && s)
        result = sqlite_runf(
            d, problem,
            "UPDATE dbsync_site SET head = max(head, %lld), first = CASE WHEN %d THEN %lld ELSE first END, "
            "first_seq = CASE WHEN %d THEN %lld ELSE first_seq END",
            (long long)cut->number, cut->is_first, (long long)cut->number, cut->is_first, (long long)cut->high);
    return s ? result : d->failure;
}

// 1: a new cut was made; 0: there is nothing to cut. Inside an immediate transaction.
static int make_cut(struct door_sqlite *d, const struct door_read_request *request, struct cut *cut,
                    struct problem *problem)
{
    struct peer_log log;
    unsigned peer_count;
    int result = read_peer_log(d, request->peer, &log, problem);
    if (result < 0)
        return result;
    bool has_rows = log.seq > log.cut_seq;
    if (!has_rows && !log.owes && !request->owes_news)
        return 0;
    cut->peer = request->peer;
    bool is_known_position = has_rows && log.first_seq == log.seq && log.first > (uint64_t)log.cut;
    cut->number = is_known_position ? log.first : log.head + 1;
    cut->is_first = has_rows && !is_known_position;
    cut->previous = (uint64_t)log.cut;
    cut->low = log.cut_seq;
    cut->high = log.seq;
    cut->clock = log.clock;
    cut->is_new = true;
    result = door_sqlite_vector(d, &cut->needs, &peer_count, problem);
    cut->seen = has_rows ? log.had : cut->needs; // a batch without rows was written by nobody before now
    if (result == 0)
        result = store_cut(d, cut, problem);
    return result < 0 ? result : 1;
}

static int find_or_make(struct door_sqlite *d, const struct door_read_request *request, struct cut *cut,
                        struct problem *problem)
{
    int result = find_made(d, request, cut, problem);
    if (result != 0)
        return result;
    result = door_sqlite_begin(d, true, problem);
    if (result < 0)
        return result;
    result = make_cut(d, request, cut, problem);
    if (result == 1) {
        int committed = door_sqlite_commit(d, problem);
        result = committed < 0 ? committed : 1;
    }
    if (result != 1)
        door_sqlite_rollback(d);
    return result;
}

static int fold_range(struct door_sqlite *d, const struct table *t, const struct cut *cut, struct fold *fold,
                      struct problem *problem)
{
    struct arena arena = {0};
    sqlite3_stmt *s = door_sqlite_statement(d, t, STATEMENT_LOG_RANGE, problem);
    if (!s)
        return d->failure;
    sqlite3_bind_int64(s, 1, cut->low);
    sqlite3_bind_int64(s, 2, cut->high);
    int result;
    while ((result = sqlite_step(d, s, problem)) == 1) {
        struct row *row = door_sqlite_change(d, t, s, &arena, problem);
        if (!row) {
            result = d->failure;
            break;
        }
        if (row_has_registers(row))
            fold_add(fold, row);
        arena_reset(&arena);
    }
    sqlite3_reset(s);
    arena_fini(&arena);
    return result;
}

static int write_changes(struct door_sqlite *d, const struct cut *cut, struct batch_writer *w, door_sink *sink,
                         void *context, struct door_batch *batch, struct problem *problem)
{
    enum { DRAIN_BYTES = 256 << 10 };
    struct fold fold = {0};
    int result = 0;
    for (unsigned i = 0; result == 0 && i < d->schema->table_count && cut->high > cut->low; i++) {
        result = fold_range(d, &d->schema->table[i], cut, &fold, problem);
        batch->changes += fold.change_count;
        for (uint32_t r = 0; result == 0 && r < fold.count; r++) {
            batch_change(w, fold.entry[r].row);
            if (w->out.len >= DRAIN_BYTES)
                result = batch_drain(w, sink, context);
        }
        fold_reset(&fold);
    }
    fold_fini(&fold);
    return result;
}

int door_sqlite_read_batch(struct door *door, const struct door_read_request *request, door_sink *sink, void *context,
                           struct door_batch *batch, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    const struct schema *schema;
    struct door_identity own;
    struct cut cut = {.peer = request->peer};
    memset(batch, 0, sizeof *batch);
    int result = door_sqlite_identity(door, &own, problem);
    if (result == 0)
        result = door_sqlite_schema(door, &schema, problem);
    if (result == 0)
        result = find_or_make(d, request, &cut, problem);
    if (result <= 0)
        return result;
    struct batch_header header = {.from = own.site,
                                  .incarnation = own.incarnation,
                                  .number = cut.number,
                                  .previous = cut.previous,
                                  .seen = cut.seen,
                                  .needs = cut.needs,
                                  .max_hlc = cut.clock};
    struct batch_writer w = {0};
    batch_begin(&w, &header);
    result = door_sqlite_begin(d, false, problem);
    if (result == 0)
        result = write_changes(d, &cut, &w, sink, context, batch, problem);
    door_sqlite_rollback(d);
    batch_end(&w);
    if (result == 0)
        result = batch_drain(&w, sink, context);
    batch->number = cut.number;
    batch->previous = cut.previous;
    batch->rows = w.row_count;
    batch->bytes = w.bytes;
    batch->is_new = cut.is_new;
    batch_writer_fini(&w);
    return result;
}

int door_sqlite_has_news(struct door *door, uint16_t peer, bool *has_news, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    struct peer_log log;
    int result = read_peer_log(d, peer, &log, problem);
    *has_news = result == 0 && log.state != PEER_PAUSED && (log.seq > log.cut_seq || log.owes);
    return result;
}

int door_sqlite_acked(struct door *door, uint16_t peer, uint64_t number, struct problem *problem)
{
    return sqlite_runf(door_sqlite_of(door), problem, "UPDATE dbsync_peer SET acked = max(acked, %lld) WHERE site = %d",
                       (long long)number, peer);
}
