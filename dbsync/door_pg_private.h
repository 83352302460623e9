// SPDX-License-Identifier: Apache-2.0
// What the files of the PostgreSQL door share. Only door_pg*.c and store_pg*.c include this.
//
//   door_pg.c          open, close, transactions, apply with its retries, the table of operations
//   door_pg_sql.c      libpq: statements, parameters, COPY in binary both ways, errors by SQLSTATE
//   door_pg_init.c     our own tables, identity, peers
//   door_pg_schema.c   the catalogue read into a schema
//   door_pg_capture.c  change tables and triggers
//   door_pg_log.c      change rows read and written
//   door_pg_cut.c      cuts by transaction snapshot
//   door_pg_batch.c    batches read: changes, bootstrap rows, digests
//   door_pg_collect.c  garbage collection, compaction, positions, counts
//   door_pg_lists.c    conflicts, parked rows, retry and resolve
//   door_pg_doctor.c   what an operator should know
//   store_pg.c         row operations of apply: cursor, load, bookkeeping
//   store_pg_write.c   staging, deletes, inserts, updates
//   store_pg_find.c    unique keys, references, ranges
//
// Values travel in the binary form of their type (typsend). Types whose binary form is not portable between databases
// (it holds OIDs: composites, arrays of user-defined types, regclass and its kin) or that have none travel as the text
// that our session's fixed settings make of them.
#pragma once

#include <postgresql/libpq-fe.h>
#include <string.h>

#include "dbsync/door.h"
#include "dbsync/fold.h"

struct pg_column {  // beside struct column, by the same index
    int attnum;     // names the column `v<attnum>` of the change table, and its bit in the mask
    uint32_t oid;   // of the base type
    char *type;     // as declared, to cast to
    char *base;     // under domains, with its modifier: type in the change table and the staging table
    bool is_text;   // travels as text
    bool is_plain;  // equal exactly when its bits are: captured by IS DISTINCT FROM
    bool is_always; // GENERATED ALWAYS AS IDENTITY
};

// octet_length() says how long its values are, without reading those that lie outside of the row.
static inline bool pg_has_octets(const struct pg_column *c)
{
    return strcmp(c->base, "text") == 0 || strcmp(c->base, "bytea") == 0 || strncmp(c->base, "character", 9) == 0;
}

struct pg_unique {
    char **part; // SQL of each key column or expression
    unsigned part_count;
    char *predicate; // null: not partial
};

struct pg_table {
    uint32_t oid;
    struct pg_column *column;
    struct pg_unique *unique; // in the schema's order
    unsigned mask_count;      // mask columns: one for each 64 attribute numbers
    bool has_row_triggers;    // the application's own triggers: bulk capture would log in another order than they act
    bool has_inserted;        // this transaction inserted rows: finish looks for races
    bool had_window;          // changes of ours were there when rows were looked for last
};

enum { PG_KEPT_MAX = 64 };

struct door_pg {
    struct door door;
    struct store store;
    PGconn *db;
    char *name;  // for messages: database@host
    int version; // 150004
    struct schema *schema;
    struct pg_table *table; // [schema->table_count]
    char *catalogue;        // what `schema` saw when it was read
    uint16_t site;
    char sqlstate[6];           // of the last error
    uint64_t kept[PG_KEPT_MAX]; // prepared statements, by the hash of their text
    unsigned kept_count;
    unsigned stage_call;
    bool is_careful;         // lock and look before inserting; set after an insert met a row
    unsigned careful_left;   // batches until it is tried without again
    bool knows_remote;       // remembered registers exist
    bool knows_parked;       // rows parked on this site alone exist
    char *seen_snapshot;     // of the cut that the batch's sender had applied; null: none
    struct buffer conflicts; // VALUES collected for finish
    unsigned conflict_count;
    uint64_t conflict_kind[CONFLICT_KIND_COUNT];
    char *load_snapshot; // of the first load of this transaction
    unsigned attempt;    // of this batch
    struct pg_inserted { // by this transaction
        const struct table *table;
        struct key key;
    } * inserted;
    unsigned inserted_count;
    struct arena inserted_keys; // rows of a portion are gone when the transaction ends
};

static inline struct door_pg *door_pg_of(struct door *door)
{
    return (struct door_pg *)door;
}

static inline struct door_pg *door_pg_of_store(struct store *store)
{
    return (struct door_pg *)((char *)store - offsetof(struct door_pg, store));
}

static inline struct pg_table *pg_table_of(struct door_pg *d, const struct table *t)
{
    return &d->table[t - d->schema->table];
}

// ---- door_pg_sql.c ----

enum { PG_PARAM_MAX = 40 };

struct pg_params {
    int count;
    const char *value[PG_PARAM_MAX];
    int len[PG_PARAM_MAX];
    int format[PG_PARAM_MAX];
    char number[PG_PARAM_MAX][24];
};

void pg_put_text(struct pg_params *p, const char *text); // null: NULL
void pg_put_number(struct pg_params *p, int64_t n);
void pg_put_bytes(struct pg_params *p, const void *bytes, size_t len);

// Appends formatted SQL, keeping a final zero behind the buffer's content.
void pg_sql(struct buffer *sql, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A double-quoted identifier, and a quoted literal.
void pg_sql_name(struct buffer *sql, const char *name);
void pg_sql_literal(struct buffer *sql, const char *text);
void pg_sql_bytes(struct buffer *sql, const void *bytes, size_t len);

// Runs statements without results (several, separated by ;).
int pg_run(struct door_pg *d, const char *sql, struct problem *problem);
int pg_runf(struct door_pg *d, struct problem *problem, const char *format, ...) __attribute__((format(printf, 3, 4)));
// One statement; its result in binary form, or null with a problem. PQclear.
PGresult *pg_ask(struct door_pg *d, const char *sql, const struct pg_params *params, struct problem *problem);
PGresult *pg_askf(struct door_pg *d, struct problem *problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// The same for statements whose text comes again and again: parsed and planned once in a session.
PGresult *pg_ask_kept(struct door_pg *d, const char *sql, const struct pg_params *params, struct problem *problem);
// A problem from the last error, by SQLSTATE; for failures of pg_ask: the errno it stands for is in the returned value.
int pg_problem(struct door_pg *d, const PGresult *result, struct problem *problem, const char *doing);
int pg_errno(const struct door_pg *d);                     // of the last error: positive
int64_t pg_number(const PGresult *r, int row, int column); // int2..int8, bool, "char"
const char *pg_text(const PGresult *r, int row, int column);
char *pg_text_copy(const PGresult *r, int row, int column);    // null when NULL
struct value pg_value(const PGresult *r, int row, int column); // VALUE_NATIVE or NULL, borrowed from the result
// One number; 0 rows: `*out` is left alone.
int pg_ask_number(struct door_pg *d, int64_t *out, struct problem *problem, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// COPY ... FROM STDIN BINARY.
struct pg_copy {
    struct door_pg *d;
    struct buffer out;
    bool failed;
};
int pg_copy_begin(struct door_pg *d, struct pg_copy *copy, const char *sql, struct problem *problem);
void pg_copy_row(struct pg_copy *copy, unsigned fields);
void pg_copy_value(struct pg_copy *copy, const struct value *v); // null: NULL
void pg_copy_i64(struct pg_copy *copy, int64_t n);
void pg_copy_i32(struct pg_copy *copy, int32_t n);
void pg_copy_octets(struct pg_copy *copy, const void *bytes, size_t len);
int pg_copy_end(struct pg_copy *copy, struct problem *problem);

// COPY (query) TO STDOUT BINARY; each row's fields are valid during the call. A negative result of `row` ends it.
typedef int pg_copied(void *context, const struct value *field, unsigned count);
int pg_copy_out(struct door_pg *d, const char *query, pg_copied *row, void *context, struct problem *problem);

// Key columns as binary array parameters, one for each, `$<n>::type[]`. The buffers must outlive the parameters.
struct pg_keys {
    struct buffer column[64];
};
int pg_keys_put(struct pg_keys *keys, struct pg_params *params, struct door_pg *d, const struct table *t,
                const struct key *key, unsigned count, struct problem *problem);
void pg_keys_fini(struct pg_keys *keys);
// "unnest($1::a[], $2::b[]) WITH ORDINALITY k(k1, k2, i)"
void pg_sql_keys(struct buffer *sql, struct door_pg *d, const struct table *t);

// ---- others ----

int door_pg_begin(struct door_pg *d, struct problem *problem);
int door_pg_commit(struct door_pg *d, struct problem *problem);
void door_pg_rollback(struct door_pg *d);
// What the last apply transaction collected.
void door_pg_forget_transaction(struct door_pg *d);

int door_pg_init(struct door *door, uint16_t site, const char *name, struct problem *problem);
int door_pg_identity(struct door *door, struct door_identity *identity, struct problem *problem);
int door_pg_renew(struct door *door, struct problem *problem);
int door_pg_peer_add(struct door *door, uint16_t site, const char *name, struct problem *problem);
int door_pg_peer_remove(struct door *door, uint16_t site, struct problem *problem);
int door_pg_peers(struct door *door, struct door_peer *peer, unsigned cap, unsigned *count, struct problem *problem);
int door_pg_peer_set_state(struct door *door, uint16_t site, enum peer_state state, const char *reason,
                           struct problem *problem);
int door_pg_peer_meet(struct door *door, uint16_t site, uint64_t incarnation, uint64_t applied_of_ours,
                      struct problem *problem);
int door_pg_acked(struct door *door, uint16_t peer, uint64_t number, struct problem *problem);
struct window_vector pg_vector(const PGresult *r, int row, int column);
// Raises the floor of the clock: every later change's version is greater. Outside of transactions' fate.
int door_pg_raise_clock(struct door_pg *d, int64_t hlc, struct problem *problem);

int door_pg_schema(struct door *door, const struct schema **schema, struct problem *problem);
// One table's definition. `own` is filled beside it.
int door_pg_describe(struct door_pg *d, const char *name, const struct door_table_options *options, struct table *table,
                     struct pg_table *own, struct problem *problem);
void door_pg_forget_schema(struct door_pg *d);
void door_pg_free_table(struct pg_table *own, unsigned column_count, unsigned unique_count);

// What the capture functions of this release begin with. Those of an earlier one capture rightly, too: to be raised
// with what is worth a new `add`.
#define PG_CAPTURE_FORM "-- signpost-dbsync capture 2"
int door_pg_add_table(struct door *door, const char *table, const struct door_table_options *options,
                      struct problem *problem);
int door_pg_remove_table(struct door *door, const char *table, bool force, struct problem *problem);
int door_pg_table_sql(struct door *door, const char *table, const struct door_table_options *options, char **sql,
                      struct problem *problem);

// ", x.v1, x.v3::text": the synchronised columns of a table or (is_change) of a change table, in order.
void pg_sql_values(struct buffer *sql, struct door_pg *d, const struct table *t, const char *alias, bool is_change);
// "k.k1 = t.id AND ..."
void pg_sql_same_key(struct buffer *sql, struct door_pg *d, const struct table *t, const char *alias, bool is_change);
// "seq, op, hlc, vers, masks, values" of a change row, alias c.
void pg_sql_change(struct buffer *sql, struct door_pg *d, const struct table *t);
// The change row from its fields, as pg_sql_change selects them. Values are borrowed.
struct row *door_pg_change(struct door_pg *d, const struct table *t, const struct value *field, struct arena *arena,
                           struct problem *problem);
// A row from the values of pg_sql_values; as context. Values are borrowed.
struct row *door_pg_row(const struct table *t, const struct value *field, struct arena *arena);
unsigned door_pg_value_count(const struct table *t);
// Appends registers as change rows of ours, with their versions.
int door_pg_log_rows(struct door_pg *d, const struct table *t, const struct row *const *row, unsigned count,
                     struct problem *problem);
// Folds the change rows of keys (null: of the condition alone) that fulfil a condition on c.
int door_pg_fold(struct door_pg *d, const struct table *t, const char *condition, struct fold *fold,
                 struct problem *problem);

// Condition on c.xid: visible in `high`, not in `low` (either may be null).
void pg_sql_between(struct buffer *sql, const char *low, const char *high);
// The same with parameters, for statements that are kept: $1 and $2, with `has_high` $3 and $4, put first.
void pg_sql_between_kept(struct buffer *sql, bool has_high);
void pg_put_between(struct pg_params *params, const char *low, const char *high); // high: null without
int door_pg_read_batch(struct door *door, const struct door_read_request *request, door_sink *sink, void *context,
                       struct door_batch *batch, struct problem *problem);
int door_pg_has_news(struct door *door, uint16_t peer, enum door_news *news, struct problem *problem);
int door_pg_bootstrap(struct door *door, uint16_t peer, const char *table, struct problem *problem);
int door_pg_set_base_mode(struct door *door, uint16_t peer, enum merge_base_mode mode, struct problem *problem);
int door_pg_request_rows(struct door *door, uint16_t peer, const char *table, const struct key *key, unsigned count,
                         struct problem *problem);
int door_pg_verify(struct door *door, uint16_t peer, struct problem *problem);

struct pg_cut {
    uint16_t peer;
    uint64_t number, previous;
    char *low, *high; // snapshots
    int64_t clock;
    struct window_vector seen, needs;
    char *boot_table; // null: none
    struct buffer boot_after, boot_upto;
    bool boot_last;
    struct buffer digests; // ready records: table, after, upto, rows, sum
    bool is_new, more;
};
void door_pg_cut_fini(struct pg_cut *cut);

struct pg_measure {              // of the changes that a cut takes
    int64_t limit;               // number of the first transaction that is left for the next cut; 0: none is
    int64_t first_hlc, last_hlc; // 0: there are no changes
};
// Of all changes after the snapshot `low` that the transaction sees.
int door_pg_measure(struct door_pg *d, const char *low, const struct door_read_request *limits,
                    struct pg_measure *measure, struct problem *problem);
// In the cut's transaction; `first_hlc` is the earliest time in it.
int door_pg_raise_late_writes(struct door_pg *d, const struct pg_cut *cut, int64_t first_hlc, struct problem *problem);
// One cut at a time in this database; held by the session.
int door_pg_lock_cuts(struct door_pg *d, bool lock, struct problem *problem);
// 1: found or made; 0: nothing to cut.
int door_pg_find_or_make(struct door_pg *d, const struct door_read_request *request, struct pg_cut *cut,
                         struct problem *problem);
// Count and sum of the rows in (after, upto].
int door_pg_digest(struct door_pg *d, const struct table *t, struct key after, struct key upto, uint64_t *rows,
                   uint64_t *sum, struct problem *problem);
// "(a, b) > (...) AND (a, b) <= (...)" or "true".
void pg_sql_range(struct buffer *sql, struct door_pg *d, const struct table *t, struct key after, struct key upto);
// "(t.a, t.b) <comparison> (...)".
void pg_sql_compare(struct buffer *sql, struct door_pg *d, const struct table *t, const char *comparison,
                    struct key key);
void pg_sql_key_order(struct buffer *sql, const struct table *t);

int door_pg_collect(struct door *door, bool *more, struct problem *problem);
int door_pg_compact(struct door *door, uint64_t *before, uint64_t *after, struct problem *problem);
int door_pg_purge(struct door *door, int64_t before_us, struct problem *problem);
int door_pg_counts(struct door *door, struct door_counts *counts, struct problem *problem);
int door_pg_position(struct door *door, uint64_t *position, struct problem *problem);
int door_pg_position_reached(struct door *door, uint16_t peer, uint64_t position, bool *reached,
                             struct problem *problem);
int door_pg_conflicts(struct door *door, unsigned limit, door_listed *listed, void *context, struct problem *problem);
int door_pg_parked(struct door *door, unsigned limit, door_listed *listed, void *context, struct problem *problem);
int door_pg_retry(struct door *door, int64_t id, unsigned *done, struct problem *problem);
int door_pg_resolve(struct door *door, int64_t id, enum door_resolution resolution, struct problem *problem);
int door_pg_doctor(struct door *door, door_listed *listed, void *context, struct problem *problem);

// ---- store_pg_write.c ----

int store_pg_write_lists(struct door_pg *d, struct problem *problem);
// Name of a table's temporary staging table.
void pg_sql_stage(struct buffer *sql, const struct table *t);
// Puts rows' known values into the table's temporary staging table (call, i, op, hlc, vers,
// v<attnum>...) under a new call number, d->stage_call; `i` is the index in the array. `with_versions`: op, hlc and
// vers as a change row has them.
int store_pg_stage(struct door_pg *d, const struct table *t, const struct row *const *row, unsigned count,
                   bool with_versions, struct problem *problem);
int store_pg_remove(struct store *store, struct work **row, unsigned count, struct problem *problem);
int store_pg_write(struct store *store, struct work **row, unsigned count, struct problem *problem);
int store_pg_holders(struct store *store, const struct table *table, unsigned unique_at, struct work **row,
                     unsigned count, store_found *found, void *context, struct arena *arena, struct problem *problem);
int store_pg_parents(struct store *store, const struct table *table, unsigned foreign_at, struct work **row,
                     unsigned count, bool *is_there, struct key *parent_key, struct arena *arena,
                     struct problem *problem);
int store_pg_children(struct store *store, const struct table *child, unsigned foreign_at, struct work **row,
                      unsigned count, store_found *found, void *context, struct arena *arena, struct problem *problem);
int store_pg_keys(struct store *store, const struct table *table, struct key after, struct key upto, store_found *found,
                  void *context, struct arena *arena, struct problem *problem);
int store_pg_digest(struct store *store, const struct table *table, struct key after, struct key upto, uint64_t *rows,
                    uint64_t *sum, bool *is_busy, struct problem *problem);
// The key that a result's columns from `at` on hold, in `arena`.
struct key pg_key(const PGresult *r, int row, int at, const struct table *t, struct arena *arena);

extern const struct store_ops store_pg_ops;
