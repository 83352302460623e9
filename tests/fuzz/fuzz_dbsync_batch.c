// SPDX-License-Identifier: Apache-2.0
// Batches from a peer or a spool file. The checksum is put right here, so that the fuzzer reaches the records behind
// it. What is read must be well formed: known groups whole, versions in range, and it must survive being written again.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dbsync/batch.h"
#include "dbsync/fold.h"
#include "dbsync/row_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct schema *schema;

static struct table *add_table(const char *name, unsigned columns, unsigned keys)
{
    struct table *t = &schema->table[schema->table_count++];
    memset(t, 0, sizeof *t);
    t->name = memory_text(name);
    t->column_count = (uint16_t)columns;
    t->column = memory_take(columns * sizeof *t->column);
    for (unsigned c = 0; c < columns; c++) {
        t->column[c].name = memory_text("c");
        t->column[c].type = memory_text("");
    }
    t->key_count = (uint16_t)keys;
    t->key = memory_take(keys * sizeof *t->key);
    for (unsigned k = 0; k < keys; k++)
        t->key[k] = (uint16_t)k;
    return t;
}

// The table records name fingerprints; an input cannot guess them, so they are made all zero on both sides.
static void make_schema(void)
{
    schema = memory_take(sizeof *schema);
    schema->table = memory_take(3 * sizeof *schema->table);
    add_table("t", 3, 1);
    schema_tie(add_table("u", 5, 2), 3, 4);
    add_table("wide", 70, 1);
    schema_finish(schema);
    for (unsigned i = 0; i < schema->table_count; i++)
        memset(schema->table[i].fingerprint, 0, SCHEMA_FINGERPRINT_LEN);
}

static void check_row(const struct row *row, int64_t max_hlc)
{
    const struct table *t = row->table;
    for (unsigned g = 0; g < t->group_count; g++) {
        struct version v = row->version[t->group_first[g]];
        assert(v.hlc >= 0 && v.hlc <= max_hlc);
        for (unsigned c = t->group_first[g]; c != SCHEMA_NONE; c = t->column[c].group_next) {
            assert(version_compare(row->version[c], v) == 0);
            assert(row->known[c] || version_is_stable(v) || t->column[c].in_key);
        }
    }
    struct buffer json = {0};
    row_json(&json, row);
    buffer_fini(&json);
}

static void read_all(const uint8_t *bytes, size_t len)
{
    struct batch_reader reader;
    struct batch_record record;
    struct problem why;
    struct arena arena = {0};
    struct fold fold = {0};
    uint64_t rows = 0;
    int result = batch_open(&reader, bytes, len, schema, &why);
    while (result >= 0 && (result = batch_next(&reader, &arena, &record, &why)) == 1) {
        if (!record.row)
            continue;
        rows++;
        check_row(record.row, reader.header.max_hlc);
        fold_add(&fold, record.row);
    }
    assert(result <= 0 && fold.count <= rows);
    // What was accepted is written and read again without loss. Two changes of one row may have been raised beyond the
    // clock.
    struct batch_writer writer = {0};
    for (uint32_t i = 0; i < fold.count; i++) {
        struct version latest = row_latest(fold.entry[i].row);
        if (latest.hlc > reader.header.max_hlc)
            reader.header.max_hlc = latest.hlc;
    }
    batch_begin(&writer, &reader.header);
    for (uint32_t i = 0; i < fold.count; i++)
        batch_base(&writer, fold.entry[i].row);
    batch_end(&writer);
    batch_close(&reader);
    if (fold.count && reader.header.max_hlc <= INT64_C(1) << 61) {
        struct batch_reader again;
        assert(batch_open(&again, writer.out.data, writer.out.len, schema, &why) == 0);
        for (uint32_t i = 0; i < fold.count; i++) {
            assert(batch_next(&again, &arena, &record, &why) == 1);
            assert(record.row->table == fold.entry[i].row->table);
            assert(key_compare(&record.row->key, &fold.entry[i].row->key) == 0);
        }
        batch_close(&again);
    }
    batch_writer_fini(&writer);
    fold_fini(&fold);
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t bytes[8192 + 8];
    if (!schema)
        make_schema();
    if (size > 8192)
        return 0;
    read_all(data, size);
    if (size) {
        memcpy(bytes, data, size);
        uint64_t sum = XXH3_64bits(bytes, size);
        for (int i = 0; i < 8; i++)
            bytes[size + (size_t)i] = (uint8_t)(sum >> 8 * i);
        read_all(bytes, size + 8);
    }
    return 0;
}
