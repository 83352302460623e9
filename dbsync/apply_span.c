// SPDX-License-Identifier: Apache-2.0
// What a batch says of ranges of rows: complete runs of BASE rows, and digests.
#include <errno.h>
#include <stdlib.h>

#include "dbsync/apply_private.h"

int apply_span_add(struct apply *a, const struct batch_record *record)
{
    a->span = memory_resize(a->span, (a->span_count + 1) * sizeof *a->span);
    struct apply_span *span = &a->span[a->span_count];
    span->record = *record;
    span->first_row = a->span_count ? a->span[a->span_count - 1].last_row : 0;
    span->last_row = a->base.count;
    a->span_count++;
    return 0;
}

struct extra {
    struct apply *a;
    struct key *key;
    unsigned count;
};

static void found_key(void *context, unsigned at, const struct table *table, struct key key)
{
    struct extra *x = context;
    (void)at;
    const struct work *w = work_find(&x->a->set, table, key);
    if (w && (w->is_base || w->incoming))
        return;
    x->key = memory_resize(x->key, (x->count + 1) * sizeof *x->key);
    x->key[x->count++] = (struct key){arena_copy(x->a->arena, key.bytes, key.len), key.len};
}

// The sender overrules: rows of the range that it does not have, and that nobody wrote here since, go.
static int remove_extra(struct apply *a, const struct table *t, const struct batch_record *record)
{
    struct extra extra = {.a = a};
    int result = a->store->ops->keys(a->store, t, record->after, record->upto, found_key, &extra, a->arena, a->problem);
    for (unsigned i = 0; result == 0 && i < extra.count; i++) {
        struct work *w = apply_draw(a, t, extra.key[i]);
        if (!w)
            result = a->failure;
        else if (!w->local || !row_has_registers(w->local))
            result = apply_remove(a, w);
    }
    free(extra.key);
    return result;
}

static int compare_digest(struct apply *a, const struct table *t, const struct batch_record *record)
{
    uint64_t rows = 0, sum = 0;
    bool is_busy = false;
    int result = a->store->ops->digest(a->store, t, record->after, record->upto, &rows, &sum, &is_busy, a->problem);
    if (result < 0)
        return result;
    a->result->digests++;
    if (rows == record->rows && sum == record->sum)
        return 0;
    if (is_busy)
        a->result->digests_busy++;
    else
        a->result->digests_differ++;
    return 0;
}

int apply_spans(struct apply *a)
{
    int result = 0;
    for (unsigned i = 0; result == 0 && i < a->span_count; i++) {
        const struct batch_record *record = &a->span[i].record;
        const struct table *t = &a->store->schema->table[record->table_at];
        if (record->type == BATCH_DIGEST)
            result = compare_digest(a, t, record);
        else if (a->cursor.base_mode == BASE_OVERWRITE)
            result = remove_extra(a, t, record);
    }
    return result;
}
