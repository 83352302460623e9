// SPDX-License-Identifier: Apache-2.0
// What the files of the SQLite door share. Only door_sqlite*.c and store_sqlite*.c include this.
//
//   door_sqlite.c          open, close, transactions, the table of operations
//   door_sqlite_sql.c      statements: prepare once, bind, step, values in and out
//   door_sqlite_init.c     our own tables, identity, peers
//   door_sqlite_schema.c   the catalogue read into a schema
//   door_sqlite_capture.c  change tables and triggers
//   door_sqlite_log.c      change rows read, folded, written (repairs, compaction)
//   door_sqlite_cut.c      cuts, batches, bootstrap chunks, digests
//   door_sqlite_boot.c     base rows and digests of a cut
//   door_sqlite_collect.c  dropping what is stable, compaction
//   door_sqlite_lists.c    conflicts, parked rows, doctor, counts
//   store_sqlite.c         row operations of apply: reading and writing rows
//   store_sqlite_find.c    holders of unique keys, parents, children, ranges
//   store_sqlite_books.c   lost registers, conflicts, parked rows
#pragma once

#include <sqlite3.h>
#include <stddef.h>

#include "dbsync/door.h"
#include "dbsync/fold.h"

// Statements of one table, by what they do; prepared when first used.
enum table_statement {
    STATEMENT_ROW, // the row by key
    STATEMENT_SETTLE_GONE,
    STATEMENT_SETTLE_REST,
    STATEMENT_HAS_WINDOW,
    STATEMENT_WINDOW, // its change rows
    STATEMENT_REMOTE, // its remembered remote registers
    STATEMENT_DELETE,
    STATEMENT_INSERT,
    STATEMENT_LOG, // append a change row
    STATEMENT_LOG_RANGE,
    STATEMENT_LOG_ORDERED, // a range by key, then position
    STATEMENT_OLDEST,      // the time of the first change after a position
    STATEMENT_LOG_DROP,    // change rows of a key after a position
    STATEMENT_CHUNK,       // all rows in key order
    STATEMENT_CHUNK_AFTER,
    STATEMENT_CHUNK_UPTO,
    STATEMENT_CHUNK_BETWEEN,
    STATEMENT_COUNT
};

struct table_update { // an UPDATE for one set of columns
    bool *column;
    sqlite3_stmt *statement;
};

enum { TABLE_UPDATE_MAX = 64 }; // kept prepared for one table

struct table_sql {
    sqlite3_stmt *statement[STATEMENT_COUNT];
    struct table_update update[TABLE_UPDATE_MAX];
    unsigned update_count;
    sqlite3_stmt **holder;       // one for each unique key
    sqlite3_stmt **parent;       // one for each foreign key
    sqlite3_stmt **children;     // one for each foreign key of this table, by parent's columns
    bool is_looked;              // has_window and has_remote are known in this transaction
    bool has_window, has_remote; // some change row / remembered remote register exists
};

// Statements without parameters in their text, prepared once by their number in door_sqlite_sql.c.
struct door_sqlite {
    struct door door;
    struct store store;
    sqlite3 *db;
    char *path;
    struct schema *schema;
    struct table_sql *sql;  // [schema->table_count]
    int64_t schema_version; // of SQLite, when the schema was read
    int64_t add_count;      // of ours: grows with each add and remove
    struct cached_statement {
        const char *text; // a literal, compared by address
        sqlite3_stmt *statement;
    } cached[128];
    unsigned cached_count;
    unsigned border_changes; // between two notes of transaction borders
    uint16_t site;
    int failure;     // what the last failed statement means, for callers that only got a null
    bool has_parked; // some row is parked on this site alone, as of the start of the transaction
};

static inline struct door_sqlite *door_sqlite_of(struct door *door)
{
    return (struct door_sqlite *)door;
}

// ---- door_sqlite_sql.c ----

// A problem from SQLite's last error: -EAGAIN when busy or locked, -ESTALE when an object vanished, else -EIO.
int sqlite_problem(struct door_sqlite *d, struct problem *problem, const char *doing);
int sqlite_run(struct door_sqlite *d, const char *sql, struct problem *problem);
// printf-like with SQLite's %Q and %w; several statements.
int sqlite_runf(struct door_sqlite *d, struct problem *problem, const char *format, ...);
int sqlite_prepare(struct door_sqlite *d, const char *sql, sqlite3_stmt **statement, struct problem *problem);
// The prepared statement of a text that is a literal in the program; reset, with nothing bound. Null: see problem.
sqlite3_stmt *sqlite_cached(struct door_sqlite *d, const char *literal, struct problem *problem);
// One step: 1 a row, 0 done, negative errno. Resets the statement unless it gave a row.
int sqlite_step(struct door_sqlite *d, sqlite3_stmt *statement, struct problem *problem);
// Steps a statement that gives no rows.
int sqlite_done(struct door_sqlite *d, sqlite3_stmt *statement, struct problem *problem);
void sqlite_bind(sqlite3_stmt *statement, int at, const struct value *v);
void sqlite_bind_key(sqlite3_stmt *statement, int at, const struct table *table, struct key key);
// Borrowed until the next step.
struct value sqlite_value(sqlite3_stmt *statement, int at);
// A one-value query on literal SQL with up to two integer parameters; 0 rows: `*out` is left alone.
int sqlite_number(struct door_sqlite *d, const char *literal, int64_t a, int64_t b, int64_t *out,
                  struct problem *problem);

// ---- others ----

// A transaction; an immediate one may write, and settles what REPLACE may have removed (door_sqlite_capture.c) before
// anything else, so that rows which we remove ourselves are never taken for it.
int door_sqlite_begin(struct door_sqlite *d, bool immediate, struct problem *problem);
// The same, immediate, with identity and schema as they are now.
int door_sqlite_begin_work(struct door *door, struct problem *problem);
int door_sqlite_commit(struct door_sqlite *d, struct problem *problem);
void door_sqlite_rollback(struct door_sqlite *d);

int door_sqlite_init(struct door *door, uint16_t site, const char *name, struct problem *problem);
int door_sqlite_identity(struct door *door, struct door_identity *identity, struct problem *problem);
int door_sqlite_peer_add(struct door *door, uint16_t site, const char *name, struct problem *problem);
int door_sqlite_peer_remove(struct door *door, uint16_t site, struct problem *problem);
int door_sqlite_peers(struct door *door, struct door_peer *peer, unsigned cap, unsigned *count,
                      struct problem *problem);
int door_sqlite_peer_set_state(struct door *door, uint16_t site, enum peer_state state, const char *reason,
                               struct problem *problem);
int door_sqlite_peer_meet(struct door *door, uint16_t site, uint64_t incarnation, uint64_t applied_of_ours,
                          struct problem *problem);
int door_sqlite_renew(struct door *door, struct problem *problem);
int64_t door_sqlite_wall_us(struct door_sqlite *d);
// What is applied here of every peer.
int door_sqlite_vector(struct door_sqlite *d, struct window_vector *vector, unsigned *peer_count,
                       struct problem *problem);

int door_sqlite_schema(struct door *door, const struct schema **schema, struct problem *problem);
// Reads one table's definition; its options come from `options`.
int door_sqlite_describe(struct door_sqlite *d, const char *name, const struct door_table_options *options,
                         struct table *table, struct problem *problem);
void door_sqlite_forget_schema(struct door_sqlite *d);

int door_sqlite_add_table(struct door *door, const char *table, const struct door_table_options *options,
                          struct problem *problem);
int door_sqlite_remove_table(struct door *door, const char *table, bool force, struct problem *problem);
int door_sqlite_table_sql(struct door *door, const char *table, const struct door_table_options *options, char **sql,
                          struct problem *problem);

// Reads the change row that a statement stands at: columns as STATEMENT_LOG_RANGE selects them.
struct row *door_sqlite_change(struct door_sqlite *d, const struct table *table, sqlite3_stmt *statement,
                               struct arena *arena, struct problem *problem);
// The statement of a table, prepared.
sqlite3_stmt *door_sqlite_statement(struct door_sqlite *d, const struct table *table, enum table_statement which,
                                    struct problem *problem);
// Candidates that are gone become deletes, the others are forgotten.
int door_sqlite_settle(struct door_sqlite *d, struct problem *problem);
// Appends registers as a change row of ours.
int door_sqlite_log_row(struct door_sqlite *d, const struct row *row, struct problem *problem);

int door_sqlite_read_batch(struct door *door, const struct door_read_request *request, door_sink *sink, void *context,
                           struct door_batch *batch, struct problem *problem);
int door_sqlite_has_news(struct door *door, uint16_t peer, enum door_news *news, struct problem *problem);
int door_sqlite_acked(struct door *door, uint16_t peer, uint64_t number, struct problem *problem);
int door_sqlite_collect(struct door *door, bool *more, struct problem *problem);
int door_sqlite_compact(struct door *door, uint64_t *before, uint64_t *after, struct problem *problem);

extern const struct store_ops store_sqlite_ops;

// The registers that own changes of a row hold; `unseen`: those after a position (may be null). Null: none.
int door_sqlite_window(struct door_sqlite *d, const struct table *table, struct key key, int64_t seen_seq,
                       struct row **all, struct row **unseen, struct arena *arena, struct problem *problem);

struct boot_range {
    const struct table *table; // null: none
    struct key after, upto;    // (after, upto]; empty: open
    bool is_last;
};

// ---- door_sqlite_border.c ----

// In has_news: notes the log's present end when many changes have collected behind `cut_seq`.
int door_sqlite_note_border(struct door_sqlite *d, int64_t cut_seq, int64_t seq, struct problem *problem);
// The end of a cut behind `low` that keeps to the limits: a known border up to `seq`, which is the log's end; at least
// the next one.
int door_sqlite_choose_high(struct door_sqlite *d, int64_t low, int64_t seq, const struct door_read_request *limits,
                            int64_t *high, struct problem *problem);
// Octets of what waits behind `low`, from the latest changes' average.
int door_sqlite_backlog_octets(struct door_sqlite *d, int64_t low, uint64_t rows, uint64_t *octets,
                               struct problem *problem);
int door_sqlite_forget_borders(struct door_sqlite *d, int64_t low, int64_t high, struct problem *problem);

int door_sqlite_boot_pending(struct door_sqlite *d, uint16_t peer, bool *pending, struct problem *problem);
int door_sqlite_boot_plan(struct door_sqlite *d, uint16_t peer, unsigned limit, uint64_t cut, struct boot_range *base,
                          struct boot_range *digest, struct arena *arena, struct problem *problem);
int door_sqlite_boot_write(struct door_sqlite *d, struct batch_writer *w, const struct boot_range *range,
                           uint64_t *rows, struct problem *problem);
int door_sqlite_digest_write(struct door_sqlite *d, struct batch_writer *w, const struct boot_range *range,
                             struct problem *problem);
int door_sqlite_requested_write(struct door_sqlite *d, struct batch_writer *w, uint16_t peer, uint64_t cut,
                                struct problem *problem);

int door_sqlite_bootstrap(struct door *door, uint16_t peer, const char *table, struct problem *problem);
int door_sqlite_set_base_mode(struct door *door, uint16_t peer, enum merge_base_mode mode, struct problem *problem);
int door_sqlite_request_rows(struct door *door, uint16_t peer, const char *table, const struct key *key, unsigned count,
                             struct problem *problem);
int door_sqlite_verify(struct door *door, uint16_t peer, struct problem *problem);
int door_sqlite_conflicts(struct door *door, unsigned limit, door_listed *listed, void *context,
                          struct problem *problem);
int door_sqlite_parked(struct door *door, unsigned limit, door_listed *listed, void *context, struct problem *problem);
int door_sqlite_retry(struct door *door, int64_t id, unsigned *done, struct problem *problem);
int door_sqlite_resolve(struct door *door, int64_t id, enum door_resolution resolution, struct problem *problem);
int door_sqlite_purge(struct door *door, int64_t before_us, struct problem *problem);
int door_sqlite_counts(struct door *door, struct door_counts *counts, struct problem *problem);
int door_sqlite_position(struct door *door, uint64_t *position, struct problem *problem);
int door_sqlite_position_reached(struct door *door, uint16_t peer, uint64_t position, bool *reached,
                                 struct problem *problem);
int door_sqlite_doctor(struct door *door, door_listed *listed, void *context, struct problem *problem);

static inline struct door_sqlite *store_sqlite_door(struct store *store)
{
    return (struct door_sqlite *)((char *)store - offsetof(struct door_sqlite, store));
}

int store_sqlite_holders(struct store *store, const struct table *table, unsigned unique_at, struct work **row,
                         unsigned count, store_found *found, void *context, struct arena *arena,
                         struct problem *problem);
int store_sqlite_parents(struct store *store, const struct table *table, unsigned foreign_at, struct work **row,
                         unsigned count, bool *is_there, struct key *parent_key, struct arena *arena,
                         struct problem *problem);
int store_sqlite_children(struct store *store, const struct table *child, unsigned foreign_at, struct work **row,
                          unsigned count, store_found *found, void *context, struct arena *arena,
                          struct problem *problem);
int store_sqlite_waiting(struct store *store, int64_t which, store_found *found, void *context, struct arena *arena,
                         struct problem *problem);
int store_sqlite_unpark(struct store *store, struct work **row, unsigned count, struct problem *problem);
int store_sqlite_load_parked(struct door_sqlite *d, struct work *w, struct arena *arena, struct problem *problem);
int store_sqlite_keys(struct store *store, const struct table *table, struct key after, struct key upto,
                      store_found *found, void *context, struct arena *arena, struct problem *problem);
int store_sqlite_digest(struct store *store, const struct table *table, struct key after, struct key upto,
                        uint64_t *rows, uint64_t *sum, bool *is_busy, struct problem *problem);
int store_sqlite_drop_lost(struct store *store, struct work **row, unsigned count, struct problem *problem);
int store_sqlite_conflict(struct store *store, uint16_t peer, uint64_t number, const struct merge_conflict *conflict,
                          struct problem *problem);
int store_sqlite_park(struct store *store, uint16_t peer, uint64_t number, const struct park_entry *entry,
                      struct problem *problem);
// The key that a statement stands at, its columns in key order from `at` on; in `arena`.
struct key door_sqlite_key(const struct table *table, sqlite3_stmt *statement, int at, struct arena *arena);
// Rows of a table in (after, upto], in key order; stands before the first.
sqlite3_stmt *door_sqlite_range(struct door_sqlite *d, const struct table *table, struct key after, struct key upto,
                                struct problem *problem);
// The row that a statement stands at, whose columns are all but the generated ones, in order.
struct row *door_sqlite_row(const struct table *table, sqlite3_stmt *statement, struct arena *arena);
