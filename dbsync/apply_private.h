// SPDX-License-Identifier: Apache-2.0
// What the files of the apply algorithm share.
//
//   apply.c        cursor, reading, loading and deciding, bookkeeping at the end
//   apply_write.c  removing, unique keys, writing
//   apply_refer.c  references
//   apply_span.c   ranges of bootstrap and digests
#pragma once

#include "dbsync/apply.h"
#include "dbsync/work_set.h"

struct work_list {
    struct work **row;
    uint32_t count, cap;
};

struct apply_span {
    struct batch_record record;
    uint32_t first_row, last_row; // base rows of the range: indices into `base`
};

struct apply {
    struct store *store;
    uint16_t peer;
    uint64_t number; // of the batch
    uint64_t seen;   // our cut that the sender had applied
    struct store_cursor cursor;
    struct batch_reader batch;
    struct arena *arena;
    struct work_set set;
    uint32_t loaded;        // rows of the set that were loaded and decided
    struct work_list queue; // to be written
    struct work_list died;  // left the table, or their referenced columns change: who refers to them?
    struct work_list check; // their own references must be checked
    struct work_list base;  // BASE rows in order
    struct apply_span *span;
    unsigned span_count;
    struct apply_request_key *missing;
    unsigned missing_count;
    int failure; // why apply_draw gave out no row
    struct apply_result *result;
    struct problem *problem;
};

void apply_list_add(struct work_list *list, struct work *w);

// Loads and decides the rows that the set got since the last call.
int apply_load(struct apply *a);
// The row of a key, loaded; drawn in when the batch does not have it. Null: see the problem.
struct work *apply_draw(struct apply *a, const struct table *table, struct key key);
bool apply_is_in_table(const struct work *w);
// A row of registers to be logged for w.
struct row *apply_repair_of(struct apply *a, struct work *w);
int apply_park(struct apply *a, struct work *w, enum park_reason reason, const char *text);
// An update met no row: the whole row is asked for.
int apply_miss(struct apply *a, struct work *w);
int apply_conflict(struct apply *a, const struct merge_conflict *conflict);

// apply_write.c: takes dead rows, and live ones whose unique columns change, out of the table.
int apply_remove_leaving(struct apply *a);
int apply_write_queue(struct apply *a);
int apply_remove(struct apply *a, struct work *w);

// apply_refer.c: one round over `died` and `check`; fills `queue` again where repairs ask for writes.
int apply_refer(struct apply *a, bool is_last_round);

// apply_span.c
int apply_span_add(struct apply *a, const struct batch_record *record);
int apply_spans(struct apply *a);
