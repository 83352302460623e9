// SPDX-License-Identifier: Apache-2.0
// What the apply algorithm (apply.h) asks of a database: reading and writing sets of rows inside one open transaction.
// No decisions live below this line. Implemented by store_sqlite.c and store_pg.c.
//
// Every operation takes an array of work rows, so that PostgreSQL can do it in one statement over a staging table,
// while SQLite loops over a prepared one. All rows of one call belong to one table, unless it says otherwise. All run
// inside the transaction that `apply` was called in; triggers and foreign keys of the database are off for this
// session, so nothing is captured and nothing cascades. Results (rows, keys, values) go into `arena`. 0 or a negative
// errno with a problem: -EAGAIN means the transaction must be rolled back and tried again (serialisation, deadlock,
// busy).
#pragma once

#include "dbsync/merge.h"
#include "dbsync/problem.h"
#include "dbsync/batch.h"

#ifdef __cplusplus
extern "C" {
#endif

// One row on its way through apply. Filled by apply.c; the store fills what `load` and `write` say.
struct work {
    const struct table *table;
    struct key key;
    struct row *incoming; // null: drawn in by a repair
    bool is_base, is_digested;
    bool want_current; // in: `load` must read the row itself (unique keys, references, conflicts, partial updates)
    // load
    struct row *local;  // registers of the window: own changes joined with remembered remote ones; null: none
    struct row *unseen; // own changes after the position that the sender had applied; null: none
    enum merge_presence presence;
    struct row *current; // values as context; null: absent or not wanted
    // decision
    struct merge_result merge;
    struct row *state;  // what the table shall show
    struct row *repair; // registers set by repairs, to be logged; null: none
    enum merge_action action;
    bool *write;       // [column_count] for MERGE_UPDATE
    bool is_removed;   // by `remove`: to be inserted whole
    bool is_done;      // written
    bool was_live;     // the table showed the row before this batch
    bool was_parked;   // on this site alone: it waits for its parent, or was refused
    bool is_set_aside; // parked for want of a parent: out of the table, but not dead
    unsigned revivals; // by repairs of references, in this batch
    // write
    bool is_missing; // MERGE_UPDATE met no row
    char *refused;   // the database's word why it refused the row (CHECK, type, length); null: taken
    uint32_t at;     // its index in the caller's list; the store may not change it
    void *private_data;
};

enum { STORE_WAITING_PARENT = -1, STORE_WAITING_ALL = 0 };

// Called for each row found by `holders` and `children`: `at` is the index in the array given, `key` the found row's.
typedef void store_found(void *context, unsigned at, const struct table *table, struct key key);

// Where own log positions and peers stand; read at the start of apply.
struct store_cursor {
    uint64_t applied;            // cut of the peer applied last
    uint64_t applied_rows;       // last one that had rows
    uint64_t incarnation;        // of the peer's database as first met; 0: never met
    uint64_t own_head;           // our latest cut
    int64_t clock;               // floor of the hybrid clock
    int64_t wall_us;             // the database's wall clock
    struct window_vector vector; // what is applied here, of every site
    unsigned peer_count;         // peers of this site; more than one: remote registers must always be remembered
    enum merge_base_mode base_mode;
};

enum park_reason { PARK_UNIQUE, PARK_FOREIGN, PARK_MISSING_ROW, PARK_MISSING_PARENT, PARK_REFUSED, PARK_OVERFLOW };

struct park_entry {
    const struct table *table;
    struct key key;
    enum park_reason reason;
    const struct row *image; // all that is known of the row
    const char *text;        // for people: constraint, the database's word
};

struct store;

struct store_ops {
    unsigned
        chunk; // rows that one call should have: 1 for SQLite (`holders` then sees what was written before), else large

    int (*cursor)(struct store *store, uint16_t peer, struct store_cursor *cursor, struct problem *problem);

    // local (with the registers of a row that is parked on this site alone, and was_parked), unseen (by `seen`: our cut
    // that the sender had applied), presence, current.
    int (*load)(struct store *store, uint16_t peer, uint64_t seen, struct work **row, unsigned count,
                struct arena *arena, struct problem *problem);

    // Other live rows of the table that hold the same unique key as `row[i]->state`, as rows that stand in the table or
    // as earlier rows of the array. NULLs, collation, partial predicates and expressions as the database means them.
    int (*holders)(struct store *store, const struct table *table, unsigned unique_at, struct work **row,
                   unsigned count, store_found *found, void *context, struct arena *arena, struct problem *problem);

    // is_there[i]: the parent that row[i]->state refers to by this foreign key stands in the table (true when any of
    // its columns is NULL). Where it does not: parent_key[i], the identifier of the row that last held the referenced
    // values, when the reference is to the primary key or a change row in the window shows it; else an empty key.
    int (*parents)(struct store *store, const struct table *table, unsigned foreign_at, struct work **row,
                   unsigned count, bool *is_there, struct key *parent_key, struct arena *arena,
                   struct problem *problem);

    // Rows of table `child` that refer by its foreign key to what row[i]->current showed, or row[i]->state where that
    // is null (rows of the parent table that died or whose referenced columns change).
    int (*children)(struct store *store, const struct table *child, unsigned foreign_at, struct work **row,
                    unsigned count, store_found *found, void *context, struct arena *arena, struct problem *problem);

    // Deletes rows from the table. Marks is_removed. A row that is not there is no error.
    int (*remove)(struct store *store, struct work **row, unsigned count, struct problem *problem);

    // Inserts (MERGE_INSERT, or is_removed: all known columns of state) or updates (MERGE_UPDATE: columns in `write`).
    // What the database refuses for other reasons than those handled above is told in `refused`, and the transaction
    // goes on.
    int (*write)(struct store *store, struct work **row, unsigned count, struct problem *problem);

    // Appends row->repair to the change table as a change of this site (op by its life; versions as they are).
    int (*log_repair)(struct store *store, struct work **row, unsigned count, struct problem *problem);

    // Clears registers that lost against `state` from own changes that no cut has taken yet; a change left without any
    // goes.
    int (*drop_lost)(struct store *store, struct work **row, unsigned count, struct problem *problem);

    // Keeps the incoming registers (with state's context) until they are stable: later decisions need them. Called for
    // rows with local registers, and for all rows when there are third sites.
    int (*remember)(struct store *store, uint16_t origin, uint64_t cut, struct work **row, unsigned count,
                    struct problem *problem);

    int (*conflict)(struct store *store, uint16_t peer, uint64_t number, const struct merge_conflict *conflict,
                    struct problem *problem);
    // Lists a row; replaces what was parked of it on this site alone (any reason but PARK_UNIQUE).
    int (*park)(struct store *store, uint16_t peer, uint64_t number, const struct park_entry *entry,
                struct problem *problem);

    // Rows parked on this site alone: those that wait for their parent, or all, or the one of a number in the list.
    int (*waiting)(struct store *store, int64_t which, store_found *found, void *context, struct arena *arena,
                   struct problem *problem);
    // Forgets what was parked of these rows on this site alone.
    int (*unpark)(struct store *store, struct work **row, unsigned count, struct problem *problem);

    // Keys of the table in (after, upto] (empty: open end), in the key order of `read_chunk` (door.h), at most `limit`.
    int (*keys)(struct store *store, const struct table *table, struct key after, struct key upto, store_found *found,
                void *context, struct arena *arena, struct problem *problem);
    // Count and sum of row_digest (door.h) of the rows in (after, upto], and whether own changes in the range are on
    // their way.
    int (*digest)(struct store *store, const struct table *table, struct key after, struct key upto, uint64_t *rows,
                  uint64_t *sum, bool *is_busy, struct problem *problem);

    // The end of apply: applied cut, vectors, the sender's `seen`, clock floor (raised to max_hlc).
    int (*finish)(struct store *store, uint16_t peer, const struct batch_header *header, bool owes_news, int64_t clock,
                  struct problem *problem);
};

// Base of each implementation's own structure (first member).
struct store {
    const struct store_ops *ops;
    const struct schema *schema;
    uint16_t site;       // our own
    bool stops_on_error; // door.h
};

#ifdef __cplusplus
}
#endif
