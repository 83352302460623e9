// SPDX-License-Identifier: Apache-2.0
// One row as registers, and `row_join`, the one merge of dbsync.
//
// A row is a life register (live or dead) and one register for each column group; each register has the version of the
// write that set it. Inserting writes life and every group; updating writes life = live and the changed groups;
// deleting writes life = dead and keeps the column registers. row_join takes the later of each register. It is
// associative, commutative and idempotent, so order and repetition of delivery cannot matter; consolidating a log
// (fold.h), resolving conflicts and applying (merge.h) are the same function.
//
// A column may also be known without a register (version stable): context, such as the rest of the row in a change
// record or the image of a deleted row. Context fills a row that must be written whole; it never decides anything.
//
// Generated columns are never known. Key columns are context (their values follow from the key), except where the key's
// normal form loses the storage class (value.h). Rows live in an arena; values are borrowed. Pure; one thread.
#pragma once

#include "dbsync/schema.h"
#include "dbsync/version.h"

#ifdef __cplusplus
extern "C" {
#endif

enum life { LIFE_UNKNOWN, LIFE_DEAD, LIFE_LIVE }; // in the order that breaks a tie of versions: live wins

struct row {
    const struct table *table;
    struct key key;
    uint8_t life; // enum life
    bool is_born; // an insert is among what made it; for the names of conflicts alone
    struct version life_version;
    struct value *value;     // [column_count]; valid where known
    struct version *version; // [column_count]; equal within a group; stable: no register
    bool *known;             // [column_count]
};

// A row of which nothing is known but its key; key columns are filled in from it. Null when the key does not fit the
// table.
struct row *row_new(struct arena *arena, const struct table *table, struct key key);

// Copies registers and context; values and key stay borrowed.
struct row *row_clone(struct arena *arena, const struct row *row);

// Copies what is borrowed into the arena, for a row that must outlive its source.
void row_own(struct arena *arena, struct row *row);

// Makes `value` known in column `at`; as context, or as a register when the version is not stable.
void row_set(struct row *row, unsigned at, struct value value, struct version version);

// Spreads a register over its whole group: every column of a group that has a register takes the group's latest
// version. Values of all of them must be known. Called once for each change captured.
void row_close_groups(struct row *row);

// into = into joined with from. Equal versions: live over dead, then the greater values of the group in column order.
// Context is filled in where nothing is known; `from`'s context replaces older context.
void row_join(struct row *into, const struct row *from);

// -1, 0, 1: which of two rows has the later register of a group; a missing one is the oldest.
int row_compare_group(const struct row *a, const struct row *b, unsigned group);
int row_compare_life(const struct row *a, const struct row *b);

static inline bool row_has_group(const struct row *row, unsigned group)
{
    return !version_is_stable(row->version[row->table->group_first[group]]);
}

// The latest version in any register.
struct version row_latest(const struct row *row);

// True when some register is left.
bool row_has_registers(const struct row *row);

// Registers (not context) equal in versions and values.
bool row_equal(const struct row *a, const struct row *b);

#ifdef __cplusplus
}
#endif
