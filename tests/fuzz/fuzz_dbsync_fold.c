// SPDX-License-Identifier: Apache-2.0
// Logs made of octets: consolidation, merge and repair never break their laws, whatever the versions.
//   join is commutative and idempotent; folding in two parts gives what folding at once gives; a decision never writes
//   what it does not know; an encoded row comes back; decoding arbitrary octets as a row ends well.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "dbsync/fold.h"
#include "dbsync/merge.h"
#include "dbsync/repair.h"
#include "dbsync/row_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COLUMNS = 4, CHANGES = 64 };

static struct schema *schema;

static void make_schema(void)
{
    schema = memory_take(sizeof *schema);
    schema->table = memory_take(sizeof *schema->table);
    schema->table_count = 1;
    struct table *t = schema->table;
    t->name = memory_text("t");
    t->column_count = COLUMNS;
    t->column = memory_take(COLUMNS * sizeof *t->column);
    for (unsigned c = 0; c < COLUMNS; c++) {
        t->column[c].name = memory_text("c");
        t->column[c].type = memory_text("text");
    }
    t->key = memory_take(sizeof *t->key);
    t->key_count = 1;
    t->unique = memory_take(sizeof *t->unique);
    t->unique_count = 1;
    t->unique[0].name = memory_text("u");
    t->unique[0].definition = memory_text("");
    t->unique[0].column = memory_take(2 * sizeof(uint16_t));
    t->unique[0].column[0] = 2;
    t->unique[0].column[1] = 3;
    t->unique[0].column_count = 2;
    schema_finish(schema);
}

static struct row *make_change(struct arena *arena, const uint8_t *d)
{
    struct buffer key = {0};
    struct value id = value_integer(d[0] & 3);
    key_encode(&key, &id, 1);
    struct key own = {arena_copy(arena, key.data, key.len), (uint32_t)key.len};
    buffer_fini(&key);
    struct row *row = row_new(arena, schema->table, own);
    struct version v =
        version_make(1 + (d[1] & 15), d[2] & 1 ? VERSION_REPAIR : VERSION_USER, (uint16_t)(1 + (d[2] >> 1 & 3)));
    row->life = d[0] & 4 ? LIFE_DEAD : LIFE_LIVE;
    row->life_version = v;
    for (unsigned c = 1; c < COLUMNS; c++) {
        struct value value =
            d[3] >> c & 1 ? value_bytes(VALUE_TEXT, arena_copy(arena, &d[4], 1), 1) : value_integer(d[4]);
        row_set(row, c, value, row->life == LIFE_LIVE && (d[3] >> (4 + c) & 1) ? v : version_make(0, VERSION_USER, 0));
    }
    row_close_groups(row);
    return row;
}

static void check_pair(struct arena *arena, const struct row *a, const struct row *b)
{
    struct row *ab = row_clone(arena, a), *ba = row_clone(arena, b);
    row_join(ab, b);
    row_join(ba, a);
    assert(row_equal(ab, ba));
    row_join(ab, b);
    assert(row_equal(ab, ba));
    for (int presence = PRESENCE_UNKNOWN; presence <= PRESENCE_PRESENT; presence++) {
        struct merge_input in = {.incoming = a, .local = b, .unseen = b, .presence = (enum merge_presence)presence};
        struct merge_result out;
        merge_decide(arena, &in, &out);
        assert(row_equal(out.state, ab) && out.conflict_count <= 2);
        for (unsigned c = 0; c < COLUMNS; c++)
            assert(out.action != MERGE_UPDATE || !out.write[c] || out.state->known[c]);
    }
    for (int policy = UNIQUE_PARK; policy <= UNIQUE_SUFFIX; policy++) {
        struct row *loser = row_clone(arena, a), *repair = row_new(arena, a->table, a->key);
        schema->table->unique[0].policy = (enum unique_policy)policy;
        if (!repair_unique_loses(a, b, &schema->table->unique[0]))
            continue;
        repair_unique_apply(arena, loser, b, &schema->table->unique[0], repair);
        struct row *joined = row_clone(arena, a);
        row_join(joined, repair);
        assert(row_equal(joined, loser)); // a repair wins wherever it comes to
    }
}

static void check_parts(struct row **change, unsigned count)
{
    struct fold once = {0}, first = {0}, both = {0};
    for (unsigned i = 0; i < count; i++)
        fold_add(&once, change[i]);
    for (unsigned i = 0; i < count / 2; i++)
        fold_add(&first, change[i]);
    for (uint32_t i = 0; i < first.count; i++)
        fold_add(&both, first.entry[i].row);
    for (unsigned i = count / 2; i < count; i++)
        fold_add(&both, change[i]);
    assert(once.count == both.count);
    for (uint32_t i = 0; i < once.count; i++) {
        const struct row *other = fold_find(&both, schema->table, once.entry[i].row->key);
        assert(other && row_equal(other, once.entry[i].row));
    }
    fold_fini(&once);
    fold_fini(&first);
    fold_fini(&both);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct row *change[CHANGES];
    unsigned count = 0;
    if (!schema)
        make_schema();
    for (; count < CHANGES && size >= (count + 1) * 5; count++)
        change[count] = make_change(&arena, data + count * 5);
    for (unsigned i = 1; i < count; i++) {
        struct row *other = row_clone(&arena, change[i - 1]);
        other->key = change[i]->key;
        other->value[0] = change[i]->value[0];
        check_pair(&arena, change[i], other);
    }
    check_parts(change, count);
    if (count) {
        row_decode(&arena, schema->table, change[0]->key, data, size);
        struct buffer bytes = {0};
        row_encode(&bytes, change[0]);
        assert(row_equal(row_decode(&arena, schema->table, change[0]->key, bytes.data, bytes.len), change[0]));
        buffer_fini(&bytes);
    }
    arena_fini(&arena);
    return 0;
}
