// SPDX-License-Identifier: Apache-2.0
// What the core must know of the user's tables: columns, row identifier, registers, unique keys and references.
//
// A door fills a `struct schema` from its catalogue (door.h, `describe`) and calls schema_finish, which resolves
// references, forms the column groups and makes the fingerprint. Immutable afterwards; any thread may read it until
// schema_free.
//
// Group: columns that are one register, because a merge that took one of them from each site could build a row that no
// site ever wrote: the columns of a composite unique key, of a composite reference, of a CHECK that names more than
// one, and all columns in row granularity. A column in none of these is a group of its own.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dbsync/value.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SCHEMA_COLUMN_MAX = 2000, // SQLite's limit; PostgreSQL has 1600
    SCHEMA_TABLE_MAX = 4096,
    SCHEMA_FINGERPRINT_LEN = 32, // SHA-256 of the definition text
    SCHEMA_NAME_MAX = 512        // octets of a qualified table name
};

enum granularity { GRANULARITY_COLUMN, GRANULARITY_ROW };

// What becomes of the loser of a unique key (repair.h).
enum unique_policy {
    UNIQUE_PARK,  // the losing row leaves the table on all sites; its image waits in the parked list
    UNIQUE_NULL,  // the loser's key becomes NULL (park where a column is NOT NULL)
    UNIQUE_SUFFIX // the loser's last text column of the key gets "-<site>-<hash of its row identifier>" (park without
                  // text)
};

enum foreign_action { FOREIGN_NO_ACTION, FOREIGN_RESTRICT, FOREIGN_CASCADE, FOREIGN_SET_NULL, FOREIGN_SET_DEFAULT };

struct column {
    char *name;
    char *type;      // as declared, with modifiers: "numeric(10,2)"
    char *collation; // null: the engine's binary or default one
    char *standard;  // default expression as SQL text; null: none
    bool not_null;
    bool is_generated; // excluded from capture and exchange
    bool in_key;
    bool has_constant; // `constant` holds the default's value: needed for FOREIGN_SET_DEFAULT
    struct value constant;
    uint16_t group;      // index into groups
    uint16_t group_next; // next column of the group, or SCHEMA_NONE
};

enum { SCHEMA_NONE = 0xffff };

struct unique_key { // other than the primary key; tables keep them in order of name
    char *name;
    uint16_t *column;
    uint16_t column_count; // 0: on expressions only, which the door alone can evaluate
    bool nulls_equal;      // NULLS NOT DISTINCT
    bool is_partial;       // has a predicate, or expressions: `definition` says
    char *definition;      // for the fingerprint and the door
    enum unique_policy policy;
};

struct foreign_key {
    char *name;
    char *parent_name;
    int parent_at; // index of the parent in the schema; -1: not synchronised, so never repaired
    uint16_t *column, *parent_column;
    uint16_t column_count;
    enum foreign_action on_delete, on_update;
};

struct table {
    char *name;            // qualified as the door writes it: "public.orders"; in SQLite "orders"
    int64_t id;            // of the change table c_<id>; local to the database
    uint32_t epoch;        // grows when the definition changes
    struct column *column; // synchronised and generated ones, in the table's order
    uint16_t column_count;
    uint16_t *key; // columns of the primary key, in key order
    uint16_t key_count;
    struct unique_key *unique;
    uint16_t unique_count;
    struct foreign_key *foreign;
    uint16_t foreign_count;
    bool is_referenced; // some synchronised table refers to this one
    enum granularity granularity;
    uint16_t group_count;
    uint16_t *group_first; // first column of each group
    char *definition;      // canonical text: what both sites must agree on, shown when they do not
    uint8_t fingerprint[SCHEMA_FINGERPRINT_LEN];
    // for the door while it fills the table: columns that a constraint ties together
    uint16_t *tie; // pairs
    unsigned tie_count;
};

struct schema {
    struct table *table; // in order of name
    unsigned table_count;
};

// Ties two columns into one group. Before schema_finish.
void schema_tie(struct table *table, uint16_t a, uint16_t b);

// Sorts tables and unique keys by name, resolves parents, forms groups, writes definition and fingerprint.
void schema_finish(struct schema *schema);

// Index of a table, or -1.
int schema_find(const struct schema *schema, const char *name);
int schema_column(const struct table *table, const char *name);

void schema_free(struct schema *schema);

#ifdef __cplusplus
}
#endif
