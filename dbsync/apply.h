// SPDX-License-Identifier: Apache-2.0
// Applying a batch: the algorithm that both databases share, over the row operations of store.h, inside one transaction
// that the door opened and will commit or roll back.
//
// 1. cursor: exactly the next batch of this peer, from the database we know, not too far ahead of our clock, needing
// nothing
//    we have not applied
// 2. load and decide each row (merge.h)
// 3. remove dead rows and live rows whose unique columns change, so that rows may swap a key
// 4. unique keys in order of name: find holders, repair the loser (repair.h), draw in rows that repairs touch
// 5. write
// 6. references, both ways: children without a parent, parents that died under children; repairs go back to 3, at most
//    APPLY_ROUND_MAX rounds, then what is left over is parked
// 7. log repairs, remember registers, clear lost ones from the outbox, list conflicts and parked rows
// 8. ranges of bootstrap, digests; cursor, vectors and clock floor
// Rows that a parked child waits for come with later batches: it is tried again with each.
// A repeated batch changes nothing and is acknowledged. Nothing is dropped: what cannot be written is parked.
#pragma once

#include "dbsync/store.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { APPLY_ROUND_MAX = 16 };

enum apply_verdict {
    APPLY_DONE,
    APPLY_REPEATED,   // had it already: acknowledge
    APPLY_GAP,        // its predecessor is missing: ask from `applied` on
    APPLY_HELD_CLOCK, // too far ahead of our clock: try again in `hold_us`
    APPLY_FOREIGN,    // the peer's database is another one than we know (restored, cloned): resync needed
    APPLY_VERDICT_COUNT
};

struct apply_request_key {
    const struct table *table;
    struct key key;
};

struct apply_result {
    enum apply_verdict verdict;
    uint64_t applied; // after this call
    int64_t hold_us;
    uint64_t rows, inserted, updated, deleted, unchanged, repaired, parked, base_rows;
    uint64_t conflict[CONFLICT_KIND_COUNT];
    uint64_t digests, digests_differ, digests_busy; // verify
    struct apply_request_key *request;              // rows to be asked for whole (in the arena given)
    unsigned request_count;
};

// `bytes` is a whole batch (batch.h). -EBADMSG, -ESTALE, -EAGAIN, -EIO: roll back. `arena` holds what the result points
// to.
int apply_batch(struct store *store, uint16_t peer, const void *bytes, size_t len, struct arena *arena,
                struct apply_result *result, struct problem *problem);

// Tries rows again that are parked on this site alone: the one of this number in the list, or all (0). As above, in the
// caller's transaction; result->inserted tells how many went in. -ENOENT: there is no such row.
int apply_parked_again(struct store *store, int64_t id, struct arena *arena, struct apply_result *result,
                       struct problem *problem);

const char *apply_verdict_name(enum apply_verdict verdict);

#ifdef __cplusplus
}
#endif
