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
    bool is_new, more;
    bool is_first; // at its position of the log
    struct boot_range base, digest;
};

static struct window_vector vector_at(sqlite3_stmt *s, int at)
{
    struct bytes_reader in = bytes_reader_init(sqlite3_column_blob(s, at), (size_t)sqlite3_column_bytes(s, at));
    struct window_vector v = {0};
    return in.len ? window_decode(&in) : v;
}

static struct key key_at(sqlite3_stmt *s, int at, struct arena *arena)
{
    uint32_t len = (uint32_t)sqlite3_column_bytes(s, at);
    struct key key = {arena_copy(arena, sqlite3_column_blob(s, at), len), len};
    return key;
}

static int find_made(struct door_sqlite *d, const struct door_read_request *request, struct cut *cut,
                     struct arena *arena, struct problem *problem)
{
    sqlite3_stmt *s = sqlite_cached(d,
                                    "SELECT number, previous, low, high, clock, seen, needs, boot, boot_after, "
                                    "boot_upto, boot_last FROM dbsync_cut WHERE peer = ?1 "
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
    const char *boot = (const char *)sqlite3_column_text(s, 7);
    int at = boot ? schema_find(d->schema, boot) : -1;
    if (at >= 0)
        cut->base = (struct boot_range){&d->schema->table[at], key_at(s, 8, arena), key_at(s, 9, arena),
                                        sqlite3_column_int(s, 10) != 0};
    sqlite3_reset(s);
    return 1;
}

struct peer_log { // what a new cut must know of its peer
    int64_t cut, cut_seq, seq, clock, state;
    uint64_t head, first; // latest cut; the first one made at position first_seq
    int64_t first_seq;
    struct window_vector had, told;
    unsigned peer_count;
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
    log->peer_count = 0;
    for (; result > 0 && (result = sqlite_step(d, s, problem)) == 1; log->peer_count++)
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
                      "INSERT INTO dbsync_cut(peer, number, previous, low, high, clock, seen, needs, rows, boot, "
                      "boot_after, boot_upto, boot_last) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10, ?11, ?12)",
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
    if (cut->base.table) {
        sqlite3_bind_text(s, 9, cut->base.table->name, -1, SQLITE_STATIC);
        sqlite3_bind_blob64(s, 10, cut->base.after.bytes, cut->base.after.len, SQLITE_STATIC);
        sqlite3_bind_blob64(s, 11, cut->base.upto.bytes, cut->base.upto.len, SQLITE_STATIC);
        sqlite3_bind_int(s, 12, cut->base.is_last);
    }
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
    if (result == 0 && s)
        result = door_sqlite_forget_borders(d, 0, cut->high, problem);
    return s ? result : d->failure;
}

static bool is_stopped(int64_t state)
{
    return state == PEER_PAUSED || state == PEER_FOREIGN || state == PEER_NEEDS_BOOTSTRAP;
}

// 1: a new cut was made; 0: there is nothing to cut. Inside an immediate transaction.
static int make_cut(struct door_sqlite *d, const struct door_read_request *request, struct cut *cut,
                    struct arena *arena, struct problem *problem)
{
    struct peer_log log;
    unsigned peer_count;
    bool boot = false;
    int result = read_peer_log(d, request->peer, &log, problem);
    if (result == 0)
        result = door_sqlite_boot_pending(d, request->peer, &boot, problem);
    if (result < 0)
        return result;
    bool has_rows = log.seq > log.cut_seq;
    int64_t end = log.seq;
    if (is_stopped(log.state) || (!has_rows && !log.owes && !boot && !request->owes_news))
        return 0;
    cut->peer = request->peer;
    if (log.peer_count == 1) // third sites: a number stands for all that was committed
        result = door_sqlite_choose_high(d, log.cut_seq, log.seq, request, &log.seq, problem);
    if (result < 0)
        return result;
    bool is_known_position = has_rows && log.first_seq == log.seq && log.first > (uint64_t)log.cut;
    cut->number = is_known_position ? log.first : log.head + 1;
    cut->is_first = has_rows && !is_known_position;
    cut->previous = (uint64_t)log.cut;
    cut->low = log.cut_seq;
    cut->high = log.seq;
    cut->more = log.seq < end;
    cut->clock = log.clock;
    cut->is_new = true;
    result = door_sqlite_vector(d, &cut->needs, &peer_count, problem);
    cut->seen = has_rows ? log.had : cut->needs; // a batch without rows was written by nobody before now
    if (result == 0 && boot && !cut->more)       // base rows are true at the log's end
        result = door_sqlite_boot_plan(d, request->peer, request->boot_rows, cut->number, &cut->base, &cut->digest,
                                       arena, problem);
    if (result == 0)
        result = store_cut(d, cut, problem);
    return result < 0 ? result : 1;
}

struct changes { // of one table on their way into a batch
    struct door_sqlite *d;
    struct batch_writer *writer;
    door_sink *sink; // null: nothing may be handed out yet
    void *context;
    struct fold fold;
    struct door_batch *batch;
};

static int write_folded(struct changes *c)
{
    enum { DRAIN_BYTES = 256 << 10 };
    int result = 0;
    for (uint32_t r = 0; result == 0 && r < c->fold.count; r++) {
        batch_change(c->writer, c->fold.entry[r].row);
        if (c->sink && c->writer->out.len >= DRAIN_BYTES)
            result = batch_drain(c->writer, c->sink, c->context);
    }
    c->batch->changes += c->fold.change_count;
    fold_reset(&c->fold);
    return result;
}

// A small cut is folded in the order of the log. A large one is read by key, so that one row is in memory at a time.
static int write_table(struct changes *c, const struct table *t, const struct cut *cut, struct problem *problem)
{
    enum { LARGE_CUT = 100000 };
    bool by_key = cut->high - cut->low > LARGE_CUT;
    struct arena arena = {0};
    sqlite3_stmt *s = door_sqlite_statement(c->d, t, by_key ? STATEMENT_LOG_ORDERED : STATEMENT_LOG_RANGE, problem);
    if (!s)
        return c->d->failure;
    sqlite3_bind_int64(s, 1, cut->low);
    sqlite3_bind_int64(s, 2, cut->high);
    int result, written = 0;
    while (written == 0 && (result = sqlite_step(c->d, s, problem)) == 1) {
        struct row *row = door_sqlite_change(c->d, t, s, &arena, problem);
        if (!row) {
            written = c->d->failure;
            break;
        }
        if (by_key && c->fold.count && key_compare(&c->fold.entry[0].row->key, &row->key) != 0)
            written = write_folded(c);
        if (row_has_registers(row))
            fold_add(&c->fold, row);
        arena_reset(&arena);
    }
    sqlite3_reset(s);
    arena_fini(&arena);
    if (written < 0 || result < 0)
        return written < 0 ? written : result;
    return write_folded(c);
}

static int write_changes(struct door_sqlite *d, const struct cut *cut, struct batch_writer *w, door_sink *sink,
                         void *context, struct door_batch *batch, struct problem *problem)
{
    struct changes changes = {.d = d, .writer = w, .sink = sink, .context = context, .batch = batch};
    int result = 0;
    for (unsigned i = 0; result == 0 && i < d->schema->table_count && cut->high > cut->low; i++)
        result = write_table(&changes, &d->schema->table[i], cut, problem);
    fold_fini(&changes.fold);
    return result;
}

static int count_boot(struct door_sqlite *d, uint16_t peer, uint64_t rows, struct problem *problem)
{
    return rows ? sqlite_runf(d, problem, "UPDATE dbsync_peer SET boot_rows = boot_rows + %lld WHERE site = %d",
                              (long long)rows, peer)
                : 0;
}

struct reading {
    struct door_sqlite *d;
    const struct door_read_request *request;
    struct cut cut;
    struct batch_writer writer;
    door_sink *sink; // null while nothing may be handed out yet
    void *context;
    struct door_batch *batch;
    struct problem *problem;
};

// Everything of the cut into the writer. Without a sink it stays in memory: base rows of one cut are bounded.
static int write_all(struct reading *r)
{
    struct batch_header header = {.from = r->d->site,
                                  .number = r->cut.number,
                                  .previous = r->cut.previous,
                                  .seen = r->cut.seen,
                                  .needs = r->cut.needs,
                                  .max_hlc = r->cut.clock,
                                  .moves_log = r->cut.high > r->cut.low};
    struct door_identity own;
    uint64_t base_rows = 0;
    int result = door_sqlite_identity(&r->d->door, &own, r->problem);
    header.incarnation = own.incarnation;
    batch_begin(&r->writer, &header);
    if (result == 0)
        result = write_changes(r->d, &r->cut, &r->writer, r->sink, r->context, r->batch, r->problem);
    if (result == 0)
        result = door_sqlite_requested_write(r->d, &r->writer, r->request->peer, r->cut.number, r->problem);
    if (result == 0 && r->cut.base.table)
        result = door_sqlite_boot_write(r->d, &r->writer, &r->cut.base, &base_rows, r->problem);
    if (result == 0 && r->cut.digest.table)
        result = door_sqlite_digest_write(r->d, &r->writer, &r->cut.digest, r->problem);
    batch_end(&r->writer);
    return result == 0 && r->cut.is_new && !r->sink ? count_boot(r->d, r->request->peer, base_rows, r->problem)
                                                    : result;
}

// 1: a cut was made, and written already when it has base rows or digests, which must be true at it.
static int cut_new(struct reading *r, struct arena *arena, bool *is_written)
{
    int result = door_sqlite_begin(r->d, true, r->problem);
    if (result < 0)
        return result;
    result = make_cut(r->d, r->request, &r->cut, arena, r->problem);
    bool in_place = result == 1 && (r->cut.base.table || r->cut.digest.table);
    if (in_place) {
        door_sink *sink = r->sink;
        r->sink = NULL;
        int written = write_all(r);
        r->sink = sink;
        result = written < 0 ? written : 1;
        *is_written = result == 1;
    }
    if (result == 1) {
        int committed = door_sqlite_commit(r->d, r->problem);
        result = committed < 0 ? committed : 1;
    }
    door_sqlite_rollback(r->d);
    return result;
}

static int read_cut(struct reading *r, bool is_written)
{
    int result = is_written ? 0 : door_sqlite_begin(r->d, false, r->problem);
    if (result == 0 && !is_written)
        result = write_all(r);
    door_sqlite_rollback(r->d);
    if (result == 0)
        result = batch_drain(&r->writer, r->sink, r->context);
    r->batch->number = r->cut.number;
    r->batch->previous = r->cut.previous;
    r->batch->rows = r->writer.row_count;
    r->batch->bytes = r->writer.bytes;
    r->batch->is_new = r->cut.is_new;
    r->batch->more = r->cut.more;
    return result;
}

int door_sqlite_read_batch(struct door *door, const struct door_read_request *request, door_sink *sink, void *context,
                           struct door_batch *batch, struct problem *problem)
{
    struct reading r = {.d = door_sqlite_of(door),
                        .request = request,
                        .sink = sink,
                        .context = context,
                        .batch = batch,
                        .problem = problem};
    struct arena arena = {0};
    struct door_identity own;
    const struct schema *schema;
    bool is_written = false;
    memset(batch, 0, sizeof *batch);
    int result = door_sqlite_identity(door, &own, problem);
    if (result == 0)
        result = door_sqlite_schema(door, &schema, problem);
    if (result == 0)
        result = find_made(r.d, request, &r.cut, &arena, problem);
    if (result == 0)
        result = cut_new(&r, &arena, &is_written);
    if (result == 1)
        result = read_cut(&r, is_written);
    batch_writer_fini(&r.writer);
    arena_fini(&arena);
    return result;
}

int door_sqlite_has_news(struct door *door, uint16_t peer, enum door_news *news, struct problem *problem)
{
    struct door_sqlite *d = door_sqlite_of(door);
    struct peer_log log;
    int result = read_peer_log(d, peer, &log, problem);
    bool boot = false;
    if (result == 0)
        result = door_sqlite_boot_pending(d, peer, &boot, problem);
    *news = DOOR_NO_NEWS;
    if (result == 0 && !is_stopped(log.state))
        *news = log.seq > log.cut_seq || boot ? DOOR_HAS_NEWS : log.owes ? DOOR_OWES : DOOR_NO_NEWS;
    return result == 0 && log.peer_count == 1 ? door_sqlite_note_border(d, log.cut_seq, log.seq, problem) : result;
}

int door_sqlite_acked(struct door *door, uint16_t peer, uint64_t number, struct problem *problem)
{
    return sqlite_runf(door_sqlite_of(door), problem,
                       "UPDATE dbsync_peer SET acked = max(acked, %lld) WHERE site = %d;"
                       "DELETE FROM dbsync_request WHERE peer = %d AND cut BETWEEN 1 AND %lld",
                       (long long)number, peer, peer, (long long)number);
}
