// SPDX-License-Identifier: Apache-2.0
#include "dbsync/batch.h"

#include <errno.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static const uint8_t MAGIC[4] = {'S', 'P', 'D', 'B'};
#define HLC_MAX (INT64_C(1) << 61) // in microseconds far beyond any clock; leaves bits for the coding of distances
enum { END_LEN = 8 };              // the checksum at the very end
enum { ROW_EXPLICIT_KEY = 4, ROW_OTHER_VERSIONS = 8, ROW_BORN = 16, ROW_LIFE_MASK = 3, ROW_FLAGS = 31 };

static uint64_t zigzag(int64_t n)
{
    return (uint64_t)n << 1 ^ (uint64_t)(n >> 63);
}

static int64_t unzigzag(uint64_t n)
{
    return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

// ---- writing ----

static void sum_up(struct batch_writer *w)
{
    XXH3_64bits_update(w->sum, w->out.data + w->summed, w->out.len - w->summed);
    w->summed = w->out.len;
}

void batch_begin(struct batch_writer *w, const struct batch_header *h)
{
    if (!w->sum)
        w->sum = XXH3_createState();
    XXH3_64bits_reset(w->sum);
    buffer_reset(&w->out);
    w->summed = 0;
    w->table_count = 0;
    w->row_count = w->change_count = w->base_count = w->bytes = 0;
    w->from = h->from;
    w->base_hlc = h->max_hlc;
    buffer_put(&w->out, MAGIC, sizeof MAGIC);
    buffer_u8(&w->out, BATCH_FORMAT);
    buffer_u16(&w->out, h->from);
    buffer_u64(&w->out, h->incarnation);
    buffer_varint(&w->out, h->number);
    buffer_varint(&w->out, h->previous);
    window_encode(&w->out, &h->seen);
    window_encode(&w->out, &h->needs);
    buffer_u64(&w->out, (uint64_t)h->max_hlc);
    buffer_u8(&w->out, h->moves_log);
}

static unsigned table_index(struct batch_writer *w, const struct table *table)
{
    for (unsigned i = w->table_count; i-- > 0;) { // mostly the last one
        if (w->table[i] == table)
            return i;
    }
    w->table = memory_resize(w->table, (w->table_count + 1) * sizeof *w->table);
    w->table[w->table_count] = table;
    buffer_u8(&w->out, BATCH_TABLE);
    buffer_block(&w->out, table->name, strlen(table->name));
    buffer_put(&w->out, table->fingerprint, SCHEMA_FINGERPRINT_LEN);
    return w->table_count++;
}

// A version as what differs from the batch's: most are the sender's own user writes, not long before the cut.
static void put_version(struct batch_writer *w, struct version v)
{
    bool is_usual = v.kind == VERSION_USER && v.site == w->from;
    buffer_varint(&w->out, zigzag(w->base_hlc - v.hlc) << 1 | !is_usual);
    if (!is_usual) {
        buffer_u8(&w->out, v.kind);
        buffer_u16(&w->out, v.site);
    }
}

static bool needs_explicit_key(const struct row *row)
{
    const struct table *t = row->table;
    struct bytes_reader in = bytes_reader_init(row->key.bytes, row->key.len);
    for (unsigned i = 0; i < t->key_count; i++) {
        struct value v = value_decode(&in);
        if (row->known[t->key[i]] && !value_equal(&v, &row->value[t->key[i]]))
            return true;
    }
    return false;
}

static void put_group(struct batch_writer *w, const struct row *row, unsigned group)
{
    const struct table *t = row->table;
    for (unsigned c = t->group_first[group]; c != SCHEMA_NONE; c = t->column[c].group_next) {
        if (!t->column[c].in_key && !t->column[c].is_generated)
            value_encode(&w->out, &row->value[c]);
    }
}

// Whether a group travels: it has a register, or it is known in a BASE row; and it is not only key or generated
// columns.
static bool has_content(const struct row *row, unsigned group, bool with_context)
{
    const struct table *t = row->table;
    if (!with_context && !row_has_group(row, group))
        return false;
    bool content = false;
    for (unsigned c = t->group_first[group]; c != SCHEMA_NONE; c = t->column[c].group_next) {
        if (t->column[c].in_key || t->column[c].is_generated)
            continue;
        if (!row->known[c])
            return false;
        content = true;
    }
    return content;
}

static void put_row(struct batch_writer *w, enum batch_record_type type, const struct row *row)
{
    const struct table *t = row->table;
    bool with_context = type == BATCH_BASE;
    unsigned table_at = table_index(w, t);
    uint8_t flags = row->life;
    if (needs_explicit_key(row))
        flags |= ROW_EXPLICIT_KEY;
    if (row->is_born)
        flags |= ROW_BORN;
    for (unsigned g = 0; g < t->group_count; g++) {
        if (has_content(row, g, with_context) &&
            version_compare(row->version[t->group_first[g]], row->life_version) != 0)
            flags |= ROW_OTHER_VERSIONS;
    }
    buffer_u8(&w->out, (uint8_t)type);
    buffer_varint(&w->out, table_at);
    buffer_block(&w->out, row->key.bytes, row->key.len);
    buffer_u8(&w->out, flags);
    put_version(w, row->life_version);
    for (unsigned i = 0; (flags & ROW_EXPLICIT_KEY) && i < t->key_count; i++)
        value_encode(&w->out, &row->value[t->key[i]]);
    size_t mask_len = (t->group_count + 7u) / 8, mask_at = w->out.len;
    memset(buffer_extend(&w->out, mask_len), 0, mask_len);
    for (unsigned g = 0; g < t->group_count; g++) {
        if (!has_content(row, g, with_context))
            continue;
        w->out.data[mask_at + g / 8] |= (uint8_t)(1 << g % 8);
        if (flags & ROW_OTHER_VERSIONS)
            put_version(w, row->version[t->group_first[g]]);
        put_group(w, row, g);
    }
    w->row_count++;
}

void batch_change(struct batch_writer *w, const struct row *row)
{
    // The receiver may have deleted the row and forgotten it, while we brought it back for a child that it had, too.
    if (row->life == LIFE_LIVE && row->life_version.kind == VERSION_REPAIR) {
        batch_base(w, row);
        return;
    }
    put_row(w, BATCH_CHANGE, row);
    w->change_count++;
}

void batch_base(struct batch_writer *w, const struct row *row)
{
    put_row(w, BATCH_BASE, row);
    w->base_count++;
}

static void put_span(struct batch_writer *w, enum batch_record_type type, const struct table *t, struct key after,
                     struct key upto)
{
    unsigned table_at = table_index(w, t);
    buffer_u8(&w->out, (uint8_t)type);
    buffer_varint(&w->out, table_at);
    buffer_block(&w->out, after.bytes, after.len);
    buffer_block(&w->out, upto.bytes, upto.len);
}

void batch_range(struct batch_writer *w, const struct table *table, struct key after, struct key upto, bool is_last)
{
    put_span(w, BATCH_RANGE, table, after, upto);
    buffer_u8(&w->out, is_last);
}

void batch_digest(struct batch_writer *w, const struct table *table, struct key after, struct key upto, uint64_t rows,
                  uint64_t sum)
{
    put_span(w, BATCH_DIGEST, table, after, upto);
    buffer_varint(&w->out, rows);
    buffer_u64(&w->out, sum);
}

void batch_end(struct batch_writer *w)
{
    buffer_u8(&w->out, BATCH_END);
    buffer_u64(&w->out, w->row_count);
    buffer_u64(&w->out, w->change_count);
    buffer_u64(&w->out, w->base_count);
    sum_up(w);
    buffer_u64(&w->out, XXH3_64bits_digest(w->sum));
    w->summed = w->out.len;
}

int batch_drain(struct batch_writer *w, int (*sink)(void *context, const void *bytes, size_t len), void *context)
{
    if (w->summed < w->out.len)
        sum_up(w);
    int result = w->out.len ? sink(context, w->out.data, w->out.len) : 0;
    w->bytes += w->out.len;
    buffer_reset(&w->out);
    w->summed = 0;
    return result;
}

void batch_writer_fini(struct batch_writer *w)
{
    XXH3_freeState(w->sum);
    buffer_fini(&w->out);
    free(w->table);
    memset(w, 0, sizeof *w);
}

// ---- reading ----

static int malformed(const struct batch_reader *r, struct problem *problem, const char *what)
{
    return problem_set(problem, EBADMSG, "batch %llu of site %u is malformed at octet %zu: %s",
                       (unsigned long long)r->header.number, r->header.from, r->in.at, what);
}

enum { COUNTS_LEN = 3 * 8, TAIL_LEN = 1 + COUNTS_LEN + END_LEN };

int batch_open(struct batch_reader *r, const void *bytes, size_t len, const struct schema *schema,
               struct problem *problem)
{
    memset(r, 0, sizeof *r);
    r->schema = schema;
    r->in = bytes_reader_init(bytes, len);
    const uint8_t *magic = bytes_take(&r->in, sizeof MAGIC);
    if (!magic || memcmp(magic, MAGIC, sizeof MAGIC) || len < TAIL_LEN)
        return malformed(r, problem, "no batch");
    uint8_t format = bytes_u8(&r->in);
    if (format != BATCH_FORMAT)
        return problem_set(problem, EPROTONOSUPPORT, "batch format %u is not known here (%d is); update this site",
                           format, BATCH_FORMAT);
    struct bytes_reader tail = bytes_reader_init((const uint8_t *)bytes + len - TAIL_LEN, TAIL_LEN);
    uint8_t end = bytes_u8(&tail);
    r->row_count = bytes_u64(&tail);
    r->change_count = bytes_u64(&tail);
    r->base_count = bytes_u64(&tail);
    if (end != BATCH_END || bytes_u64(&tail) != XXH3_64bits(bytes, len - END_LEN))
        return malformed(r, problem, "wrong checksum");
    r->in.len = len - TAIL_LEN;
    r->header.from = bytes_u16(&r->in);
    r->header.incarnation = bytes_u64(&r->in);
    r->header.number = bytes_varint(&r->in);
    r->header.previous = bytes_varint(&r->in);
    r->header.seen = window_decode(&r->in);
    r->header.needs = window_decode(&r->in);
    r->header.max_hlc = r->base_hlc = (int64_t)bytes_u64(&r->in);
    uint8_t moves_log = bytes_u8(&r->in);
    r->header.moves_log = moves_log != 0;
    if (r->in.failed || moves_log > 1 || r->header.from == 0 || r->header.number <= r->header.previous ||
        r->header.max_hlc < 0 || r->header.max_hlc > HLC_MAX || r->row_count != r->change_count + r->base_count)
        return malformed(r, problem, "header");
    return 0;
}

static int read_table(struct batch_reader *r, struct problem *problem)
{
    char name[SCHEMA_NAME_MAX + 1];
    size_t len = (size_t)bytes_bounded(&r->in, SCHEMA_NAME_MAX);
    const uint8_t *bytes = bytes_take(&r->in, len);
    const uint8_t *fingerprint = bytes_take(&r->in, SCHEMA_FINGERPRINT_LEN);
    if (!fingerprint || r->table_count == BATCH_TABLE_MAX)
        return malformed(r, problem, "table");
    memcpy(name, bytes, len);
    name[len] = 0;
    int at = schema_find(r->schema, name);
    if (at < 0)
        return problem_set(problem, ESTALE, "table %s of site %u is not synchronised here; add it on both sites", name,
                           r->header.from);
    if (memcmp(r->schema->table[at].fingerprint, fingerprint, SCHEMA_FINGERPRINT_LEN))
        return problem_set(problem, ESTALE,
                           "table %s differs from site %u's; make both definitions equal and run add again", name,
                           r->header.from);
    r->table_at = memory_resize(r->table_at, (r->table_count + 1) * sizeof *r->table_at);
    r->table_at[r->table_count++] = at;
    return 0;
}

static struct version get_version(struct batch_reader *r)
{
    struct version v = {0, r->header.from, VERSION_USER};
    uint64_t n = bytes_varint(&r->in);
    int64_t distance = unzigzag(n >> 1);
    if (n & 1) {
        v.kind = bytes_u8(&r->in);
        v.site = bytes_u16(&r->in);
    }
    if (v.kind > VERSION_REPAIR || distance > r->base_hlc || distance < 0)
        r->in.failed = true;
    v.hlc = r->base_hlc - distance;
    if (v.hlc == 0)
        v.site = v.kind = 0;
    return v;
}

static struct key get_key(struct batch_reader *r)
{
    struct key key;
    key.len = (uint32_t)bytes_bounded(&r->in, KEY_BYTES_MAX);
    key.bytes = bytes_take(&r->in, key.len);
    return key;
}

static int read_row(struct batch_reader *r, struct arena *arena, const struct table *t, struct batch_record *record,
                    struct problem *problem)
{
    struct key key = get_key(r);
    struct row *row = r->in.failed ? NULL : row_new(arena, t, key);
    if (!row)
        return malformed(r, problem, "row identifier");
    uint8_t flags = bytes_u8(&r->in);
    row->life = flags & ROW_LIFE_MASK;
    row->is_born = (flags & ROW_BORN) != 0;
    row->life_version = get_version(r);
    for (unsigned i = 0; (flags & ROW_EXPLICIT_KEY) && i < t->key_count; i++)
        row->value[t->key[i]] = value_decode(&r->in);
    const uint8_t *mask = bytes_take(&r->in, (t->group_count + 7u) / 8);
    if (!mask || row->life > LIFE_LIVE || flags > ROW_FLAGS)
        return malformed(r, problem, "row");
    for (unsigned g = 0; g < t->group_count && !r->in.failed; g++) {
        if (!(mask[g / 8] >> g % 8 & 1))
            continue;
        struct version v = flags & ROW_OTHER_VERSIONS ? get_version(r) : row->life_version;
        for (unsigned c = t->group_first[g]; c != SCHEMA_NONE; c = t->column[c].group_next) {
            row->version[c] = v;
            if (t->column[c].in_key || t->column[c].is_generated)
                continue;
            row->value[c] = value_decode(&r->in);
            row->known[c] = true;
        }
    }
    if (r->in.failed)
        return malformed(r, problem, "row");
    record->row = row;
    return 1;
}

static int read_span(struct batch_reader *r, struct batch_record *record, struct problem *problem)
{
    record->after = get_key(r);
    record->upto = get_key(r);
    if (record->type == BATCH_RANGE) {
        record->is_last = bytes_u8(&r->in) != 0;
    } else {
        record->rows = bytes_varint(&r->in);
        record->sum = bytes_u64(&r->in);
    }
    return r->in.failed ? malformed(r, problem, "range") : 1;
}

int batch_next(struct batch_reader *r, struct arena *arena, struct batch_record *record, struct problem *problem)
{
    memset(record, 0, sizeof *record);
    while (bytes_left(&r->in) > 0) {
        uint8_t type = bytes_u8(&r->in);
        if (type == BATCH_TABLE) {
            int result = read_table(r, problem);
            if (result < 0)
                return result;
            continue;
        }
        uint64_t wire_at = bytes_varint(&r->in);
        if (r->in.failed || type > BATCH_DIGEST || type < BATCH_CHANGE || wire_at >= r->table_count)
            return malformed(r, problem, "record");
        record->type = type;
        record->table_at = (unsigned)r->table_at[wire_at];
        const struct table *t = &r->schema->table[record->table_at];
        if (type == BATCH_CHANGE || type == BATCH_BASE)
            return read_row(r, arena, t, record, problem);
        return read_span(r, record, problem);
    }
    return r->in.failed ? malformed(r, problem, "record") : 0;
}

void batch_close(struct batch_reader *r)
{
    free(r->table_at);
    r->table_at = NULL;
}
