// SPDX-License-Identifier: Apache-2.0
#include "dbsync/work_set.h"

#include <stdlib.h>

static uint32_t *find_slot(const struct work_set *set, const struct table *table, struct key key)
{
    uint32_t mask = set->slot_count - 1;
    uint32_t at = (uint32_t)(key_hash(&key) ^ (uint64_t)(uintptr_t)table * 0x9e3779b97f4a7c15u) & mask;
    for (;; at = (at + 1) & mask) { // at least half of the slots are free
        uint32_t *slot = &set->slot[at];
        if (*slot == 0)
            return slot;
        const struct work *w = set->row[*slot - 1];
        if (w->table == table && key_compare(&w->key, &key) == 0)
            return slot;
    }
}

struct work *work_find(const struct work_set *set, const struct table *table, struct key key)
{
    if (set->slot_count == 0)
        return NULL;
    uint32_t *slot = find_slot(set, table, key);
    return *slot ? set->row[*slot - 1] : NULL;
}

static void grow(struct work_set *set)
{
    if (set->count == set->cap) {
        set->cap = set->cap ? set->cap * 2 : 256;
        set->row = memory_resize(set->row, set->cap * sizeof(struct work *));
    }
    if ((set->count + 1) * 2 <= set->slot_count)
        return;
    free(set->slot);
    set->slot_count = set->slot_count ? set->slot_count * 2 : 512;
    set->slot = memory_take(set->slot_count * sizeof *set->slot);
    for (uint32_t i = 0; i < set->count; i++)
        *find_slot(set, set->row[i]->table, set->row[i]->key) = i + 1;
}

struct work *work_add(struct work_set *set, struct arena *arena, const struct table *table, struct key key)
{
    grow(set);
    struct work *w = arena_take_zeroed(arena, sizeof *w);
    w->table = table;
    w->key = key;
    set->row[set->count] = w;
    *find_slot(set, table, key) = ++set->count;
    return w;
}

void work_reset(struct work_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        free(set->row[i]->refused);
    set->count = 0;
    if (set->slot)
        memset(set->slot, 0, set->slot_count * sizeof *set->slot);
}

void work_fini(struct work_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        free(set->row[i]->refused);
    free(set->row);
    free(set->slot);
    memset(set, 0, sizeof *set);
}
