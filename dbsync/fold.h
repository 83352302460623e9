// SPDX-License-Identifier: Apache-2.0
// Consolidation: a log of changes becomes one row of registers for each row touched.
//
// Different entries of a row are combined; of several changes to one entry only the latest stays (row_join). A delete
// stays a delete with the columns it absorbed, also right after an insert: another site may have inserted the same row.
// An insert after a delete is a live row with every column new. apply(fold(log)) = apply(log), and folding in parts is
// folding at once; both are tested.
//
// Changes must come in the order they were captured. A change of this site whose version does not exceed the register
// it follows (a clock that stood still or went back) is raised to the next version: one site's own order is the log's.
// One thread. Rows and their borrowed values live in the fold's arena.
#pragma once

#include "dbsync/row.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fold_entry {
    struct row *row;
    uint64_t hash;
};

// Zeroed: empty.
struct fold {
    struct arena arena;
    struct fold_entry *entry; // in the order first touched
    uint32_t count, cap;
    uint32_t *slot; // open addressing: index + 1
    uint32_t slot_count;
    uint64_t change_count; // changes added, for the consolidation ratio
};

// Adds a change. Its octets are copied. The row given is not kept.
void fold_add(struct fold *fold, const struct row *change);

// The folded row of a key, or null.
struct row *fold_find(const struct fold *fold, const struct table *table, struct key key);

// Empties it; keeps memory for the next log.
void fold_reset(struct fold *fold);
void fold_fini(struct fold *fold);

#ifdef __cplusplus
}
#endif
