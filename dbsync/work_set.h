// SPDX-License-Identifier: Apache-2.0
// The rows that one apply works on, found by table and row identifier. One thread; rows live in the caller's arena.
#pragma once

#include "dbsync/store.h"

#ifdef __cplusplus
extern "C" {
#endif

// Zeroed: empty.
struct work_set {
    struct work **row; // in the order added
    uint32_t count, cap;
    uint32_t *slot; // index + 1
    uint32_t slot_count;
};

struct work *work_find(const struct work_set *set, const struct table *table, struct key key);
// Adds a row that is not there yet; all else is zero. The key is borrowed.
struct work *work_add(struct work_set *set, struct arena *arena, const struct table *table, struct key key);
// Empties it; the memory is kept.
void work_reset(struct work_set *set);
void work_fini(struct work_set *set);

#ifdef __cplusplus
}
#endif
