// SPDX-License-Identifier: Apache-2.0
// The database door: all that the daemon and the commands may ask of a database. door_sqlite.c and door_pg.c implement
// it; nothing else of dbsync knows SQL.
//
// A door is one database opened as the synchroniser. Its own objects live in the schema `dbsync` (PostgreSQL) or in
// tables with the prefix `dbsync_` (SQLite). It reads and writes rows; what shall be written is decided by the pure
// core: fold.h consolidates what `read_batch` reads, apply.h decides what `apply` writes.
//
// Threads: a door belongs to one thread; open another for another thread (the daemon opens one for reading and one for
// applying). Calls block on the database. Errors: 0 or negative errno, with a text for people:
//   -EAGAIN   busy, deadlock or serialisation: nothing was changed, try again after a short, jittered wait
//   -ENOTCONN the database is gone: close, open again, go on; nothing was changed or the commit's fate shows in
//   `applied` -ESTALE   the schema changed under us, or differs from the peer's: stop the stream, show both definitions
//   -EINVAL   the operator's mistake
#pragma once

#include "dbsync/apply.h"

#ifdef __cplusplus
extern "C" {
#endif

struct door;

enum {
    DOOR_NAME_MAX = 64,
    DOOR_UUID_LEN = 16,
    DOOR_DIGEST_ROWS = 1000, // rows of one verify digest
    DOOR_FORMAT = 1          // of our own tables; refused when newer
};

// ---- who we are ----

struct door_identity {
    uint16_t site;               // 1..65535, unique in the cluster
    char name[DOOR_NAME_MAX];    // of the site, for people and certificates
    uint8_t uuid[DOOR_UUID_LEN]; // of the database, made by init
    uint64_t incarnation;        // made anew by init and `resync`: tells a restored or cloned database from its past
    uint64_t head;               // latest cut made
    int64_t clock;               // floor of the hybrid clock
};

// ---- peers ----

enum peer_state {
    PEER_RUNNING,
    PEER_PAUSED,          // by the operator: nothing is cut or applied; changes collect
    PEER_DRIFT,           // schemas differ
    PEER_HELD,            // a batch waits (clock, third sites)
    PEER_NEEDS_BOOTSTRAP, // gone too long; its hold on the change tables was dropped
    PEER_FOREIGN          // its database is not the one we know, or it has applied more than we made: resync
};

struct door_peer {
    uint16_t site;
    char name[DOOR_NAME_MAX];
    uint64_t incarnation; // 0: never met
    enum peer_state state;
    char reason[256];                 // of the state, for people; empty: none
    uint64_t applied;                 // cut of theirs that we applied
    uint64_t cut;                     // latest cut of ours made for them
    uint64_t acked;                   // cut of ours that they applied durably
    uint64_t stable;                  // cut of ours that their latest batch had seen
    bool is_bootstrapping;            // BASE rows are still to be sent to them
    char boot_table[SCHEMA_NAME_MAX]; // where it stands
    uint64_t boot_rows;               // sent so far
    uint64_t backlog_rows;            // change rows not cut for them yet
    uint64_t backlog_bytes;           // estimate; 0: not known
    int64_t backlog_age_us;           // age of the oldest of them, by the hybrid clock; 0: none
};

// ---- adding tables ----

struct door_table_options {
    enum granularity granularity;
    enum unique_policy unique; // of all unique keys of the table
};

// ---- reading batches ----

struct door_read_request {
    uint16_t peer;
    uint64_t after; // the batch following this cut: a made one is read again with the same registers, else a new cut
    unsigned row_limit;  // of change rows in one cut; a transaction is never divided. 0: no limit
    uint64_t byte_limit; // the same for the octets of their values, as far as they are known without reading them
    unsigned boot_rows;  // BASE rows in one cut while bootstrapping. 0: 5000
    bool owes_news;      // cut an empty batch also when nothing changed (window.h, "owed"); the door checks itself, too
};

struct door_batch {
    uint64_t number, previous; // 0: there is nothing to send
    uint64_t changes;          // captured
    uint64_t rows;             // after consolidation, BASE rows included
    uint64_t bytes;
    bool is_new; // cut by this call
    bool more;   // more waits behind the row limit
};

// Takes the batch's bytes piece by piece; 0, or a negative errno that ends the reading.
typedef int door_sink(void *context, const void *bytes, size_t len);

// What waits for a peer. That its rows were applied here is told by any batch; alone it only lets the peer forget them.
enum door_news { DOOR_NO_NEWS, DOOR_OWES, DOOR_HAS_NEWS };

// ---- lists for people ----

// Rows of conflicts and parked lists are handed out as JSON objects, one call each, so that text and --json output and
// both doors agree. Return nonzero to stop.
typedef int door_listed(void *context, const char *json);

struct door_counts {      // for metrics and status; monotonic since init unless it says gauge
    uint64_t change_rows; // gauge: in the change tables
    uint64_t remote_rows; // gauge: remembered remote registers
    uint64_t parked;      // gauge
    uint64_t conflict[CONFLICT_KIND_COUNT];
    uint64_t conflict_hour, conflict_day; // gauges
};

enum door_resolution { RESOLVE_KEEP, RESOLVE_TAKE_LOSER, RESOLVE_DISCARD };

struct door_ops {
    const char *engine; // "sqlite", "postgres"

    // Releases everything; an open transaction is rolled back.
    void (*close)(struct door *door);

    // Creates our objects; a database that has them keeps its identity (0, nothing changed) unless site or name differ
    // (-EEXIST). -EACCES: what right is missing.
    int (*init)(struct door *door, uint16_t site, const char *name, struct problem *problem);
    int (*identity)(struct door *door, struct door_identity *identity, struct problem *problem); // -ENOENT: no init yet
    // A new incarnation: after a restore, or for a clone. All peers become PEER_NEEDS_BOOTSTRAP.
    int (*renew)(struct door *door, struct problem *problem);

    // Change table and triggers. Running it again after ALTER TABLE brings both up to date and keeps captured changes.
    // -EINVAL: no primary key, nullable key columns, a key that does not compare by bytes, not a table; with the
    // remedy.
    int (*add_table)(struct door *door, const char *table, const struct door_table_options *options,
                     struct problem *problem);
    // Triggers and change table go; unsent changes are counted in the problem text and refused unless `force`.
    int (*remove_table)(struct door *door, const char *table, bool force, struct problem *problem);
    // The SQL that add_table would run, for --dry-run. In memory from malloc.
    int (*table_sql)(struct door *door, const char *table, const struct door_table_options *options, char **sql,
                     struct problem *problem);

    // Synchronised tables as they are now. Cheap when nothing changed. The schema stays valid until the next call that
    // finds a change, and belongs to the door. -ESTALE: a table changed since add_table: which, and both definitions.
    int (*schema)(struct door *door, const struct schema **schema, struct problem *problem);
    // What an operator should know, one finding a call, as JSON {level, table, finding, remedy}: sequences without
    // stride, AUTOINCREMENT, disabled triggers, nullable defaults, tables not added that are referred to, rights,
    // settings.
    int (*doctor)(struct door *door, door_listed *listed, void *context, struct problem *problem);

    int (*peer_add)(struct door *door, uint16_t site, const char *name, struct problem *problem);
    int (*peer_remove)(struct door *door, uint16_t site, struct problem *problem);
    int (*peers)(struct door *door, struct door_peer *peer, unsigned cap, unsigned *count, struct problem *problem);
    int (*peer_set_state)(struct door *door, uint16_t site, enum peer_state state, const char *reason,
                          struct problem *problem);
    // First contact and each HELLO. -EEXIST: another incarnation than the one known; -ESTALE: it claims to have applied
    // a cut we never made (we went back in time), or less than it once acknowledged (it did). The state is set to
    // PEER_FOREIGN in all these cases.
    int (*peer_meet)(struct door *door, uint16_t site, uint64_t incarnation, uint64_t applied_of_ours,
                     struct problem *problem);

    // Reads, or cuts and reads, the next batch. One read transaction; a cut is durable before the sink is first called.
    int (*read_batch)(struct door *door, const struct door_read_request *request, door_sink *sink, void *context,
                      struct door_batch *batch, struct problem *problem);
    // Whether read_batch would find something; cheap, for polling. An engine whose log does not say where transactions
    // end may note the present end.
    int (*has_news)(struct door *door, uint16_t peer, enum door_news *news, struct problem *problem);

    // apply_batch in one transaction, durably committed on return unless the verdict says it was not done.
    int (*apply)(struct door *door, uint16_t peer, const void *bytes, size_t len, struct arena *arena,
                 struct apply_result *result, struct problem *problem);
    int (*acked)(struct door *door, uint16_t peer, uint64_t number, struct problem *problem);

    // Drops change rows, remembered registers and cut records that are stable; bounded work per call (`more`: call
    // again).
    int (*collect)(struct door *door, bool *more, struct problem *problem);
    // Folds changes that no cut has taken, in place. Rows before and after.
    int (*compact)(struct door *door, uint64_t *before, uint64_t *after, struct problem *problem);

    // Starts sending BASE rows to a peer: one table, or all (null). The receiver's mode is its own (base_mode of its
    // peer).
    int (*bootstrap)(struct door *door, uint16_t peer, const char *table, struct problem *problem);
    int (*set_base_mode)(struct door *door, uint16_t peer, enum merge_base_mode mode, struct problem *problem);
    // The peer asks for these rows whole: they go into the next cut as BASE.
    int (*request_rows)(struct door *door, uint16_t peer, const char *table, const struct key *key, unsigned count,
                        struct problem *problem);
    // The next cuts for the peer carry digests of all rows.
    int (*verify)(struct door *door, uint16_t peer, struct problem *problem);

    int (*conflicts)(struct door *door, unsigned limit, door_listed *listed, void *context, struct problem *problem);
    int (*parked)(struct door *door, unsigned limit, door_listed *listed, void *context, struct problem *problem);
    // Tries parked rows again (0: all); how many went in. -ENOENT: no row of that number waits on this site alone.
    int (*retry)(struct door *door, int64_t id, unsigned *done, struct problem *problem);
    // Decides a conflict (its id) or a parked row (the negative of its id) by hand: it leaves the list, and with
    // RESOLVE_TAKE_LOSER its row is written as an ordinary change of this site, made now. -EEXIST: the database refuses
    // it.
    int (*resolve)(struct door *door, int64_t id, enum door_resolution resolution, struct problem *problem);
    // Forgets conflicts noted before a time (microseconds since 1970); parked rows stay until they are decided.
    int (*purge)(struct door *door, int64_t before_us, struct problem *problem);
    int (*counts)(struct door *door, struct door_counts *counts, struct problem *problem);

    // True when every change committed here up to now is applied at the peer: `wait` polls it.
    int (*position)(struct door *door, uint64_t *position, struct problem *problem);
    int (*position_reached)(struct door *door, uint16_t peer, uint64_t position, bool *reached,
                            struct problem *problem);
};

// Base of each implementation's own structure (first member).
struct door {
    const struct door_ops *ops;
    bool stops_on_error; // apply: a row that the database refuses fails the batch (-ECANCELED) instead of being parked
};

// Opens by URL: "sqlite:/path/file.db" or a libpq connection string ("postgresql://...", "host=... dbname=...").
int door_open(const char *url, struct door **door, struct problem *problem);

// The engines. door_pg_open is -ENOSYS in a build without libpq.
int door_sqlite_open(const char *path, struct door **door, struct problem *problem);
int door_pg_open(const char *conninfo, struct door **door, struct problem *problem);

// The sum of a row for verify: of its key and every known column's value, independent of the order of rows.
uint64_t door_row_digest(const struct row *row);

const char *peer_state_name(enum peer_state state);

#ifdef __cplusplus
}
#endif
