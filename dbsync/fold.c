// SPDX-License-Identifier: Apache-2.0
#include "dbsync/fold.h"

#include <stdlib.h>

enum { SLOTS_FIRST = 1024 };

static uint64_t hash_of(const struct table *table, struct key key)
{
    return key_hash(&key) ^ (uint64_t)(uintptr_t)table * 0x9e3779b97f4a7c15u;
}

// The slot of a key: its entry's, or the free one where it belongs. At least one slot in two is free.
static uint32_t *find_slot(const struct fold *fold, uint64_t hash, const struct table *table, struct key key)
{
    uint32_t mask = fold->slot_count - 1;
    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &fold->slot[at];
        if (*slot == 0)
            return slot;
        const struct fold_entry *e = &fold->entry[*slot - 1];
        if (e->hash == hash && e->row->table == table && key_compare(&e->row->key, &key) == 0)
            return slot;
    }
}

static void grow(struct fold *fold)
{
    if (fold->count == fold->cap) {
        fold->cap = fold->cap ? fold->cap * 2 : SLOTS_FIRST / 2;
        fold->entry = memory_resize(fold->entry, fold->cap * sizeof *fold->entry);
    }
    if ((fold->count + 1) * 2 <= fold->slot_count)
        return;
    free(fold->slot);
    fold->slot_count = fold->slot_count ? fold->slot_count * 2 : SLOTS_FIRST;
    fold->slot = memory_take(fold->slot_count * sizeof *fold->slot);
    for (uint32_t i = 0; i < fold->count; i++) {
        const struct fold_entry *e = &fold->entry[i];
        *find_slot(fold, e->hash, e->row->table, e->row->key) = i + 1;
    }
}

// The version of a later write of the same site, over the register it replaces.
static struct version raised(struct version later, struct version earlier)
{
    if (later.kind == VERSION_USER && later.site == earlier.site && !version_is_stable(later) &&
        version_compare(later, earlier) <= 0)
        later.hlc = earlier.hlc + 1;
    return later;
}

static void raise_all(struct row *later, const struct row *earlier)
{
    later->life_version = raised(later->life_version, earlier->life_version);
    for (unsigned c = 0; c < later->table->column_count; c++)
        later->version[c] = raised(later->version[c], earlier->version[c]);
}

void fold_add(struct fold *fold, const struct row *change)
{
    fold->change_count++;
    grow(fold);
    struct row *row = row_clone(&fold->arena, change);
    row_own(&fold->arena, row);
    row_close_groups(row);
    uint64_t hash = hash_of(row->table, row->key);
    uint32_t *slot = find_slot(fold, hash, row->table, row->key);
    if (*slot) {
        struct row *earlier = fold->entry[*slot - 1].row;
        raise_all(row, earlier);
        row_join(earlier, row);
        return;
    }
    fold->entry[fold->count] = (struct fold_entry){row, hash};
    *slot = ++fold->count;
}

struct row *fold_find(const struct fold *fold, const struct table *table, struct key key)
{
    if (fold->count == 0)
        return NULL;
    uint32_t *slot = find_slot(fold, hash_of(table, key), table, key);
    return *slot ? fold->entry[*slot - 1].row : NULL;
}

void fold_reset(struct fold *fold)
{
    arena_reset(&fold->arena);
    fold->count = 0;
    fold->change_count = 0;
    if (fold->slot)
        memset(fold->slot, 0, fold->slot_count * sizeof *fold->slot);
}

void fold_fini(struct fold *fold)
{
    arena_fini(&fold->arena);
    free(fold->entry);
    free(fold->slot);
    memset(fold, 0, sizeof *fold);
}
