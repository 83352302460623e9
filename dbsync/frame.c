// SPDX-License-Identifier: Apache-2.0
#include "dbsync/frame.h"

#include <errno.h>

const char *frame_type_name(enum frame_type type)
{
    static const char *const name[FRAME_TYPE_END] = {"?",    "HELLO", "BATCH", "DATA",    "END",    "ACK",
                                                     "HOLD", "PING",  "PONG",  "REQUEST", "SCHEMA", "ERROR"};
    return type < FRAME_TYPE_END ? name[type] : name[0];
}

// ---- writing ----

static void put_i64(struct buffer *out, int64_t n)
{
    buffer_u64(out, (uint64_t)n);
}

// A text of at most FRAME_TEXT_MAX octets; longer ones are cut, they are for people.
static void put_text(struct buffer *out, const struct value *text)
{
    size_t len = text->type == VALUE_TEXT ? text->len : 0;
    buffer_block(out, text->bytes, len < FRAME_TEXT_MAX ? len : FRAME_TEXT_MAX);
}

static void put_hello(struct buffer *out, const struct frame_hello *h, const struct schema *schema, size_t body_at)
{
    buffer_u16(out, h->protocol);
    buffer_u16(out, h->site);
    buffer_put(out, h->uuid, sizeof h->uuid);
    buffer_u64(out, h->incarnation);
    put_i64(out, h->clock);
    put_i64(out, h->wall_us);
    buffer_u64(out, h->applied);
    buffer_u64(out, h->spool_number);
    buffer_u64(out, h->spool_offset);
    buffer_put(out, h->spool_digest, FRAME_DIGEST_LEN);
    buffer_u64(out, h->credit);
    // Tables that would not fit are left out: the batch that holds their rows compares the fingerprint again.
    enum { ROOM = FRAME_BODY_MAX - 16 };
    unsigned count = 0;
    size_t need = 0, used = out->len - body_at;
    for (; schema && count < schema->table_count; count++) {
        need += strlen(schema->table[count].name) + SCHEMA_FINGERPRINT_LEN + 5;
        if (used + need > ROOM)
            break;
    }
    buffer_varint(out, count);
    for (unsigned i = 0; i < count; i++) {
        buffer_block(out, schema->table[i].name, strlen(schema->table[i].name));
        buffer_put(out, schema->table[i].fingerprint, SCHEMA_FINGERPRINT_LEN);
    }
}

static void put_request(struct buffer *out, const struct frame_request *r)
{
    buffer_u8(out, r->kind);
    put_text(out, &r->table);
    buffer_varint(out, r->key_count);
    for (uint32_t i = 0; i < r->key_count; i++)
        buffer_block(out, r->key[i].bytes, r->key[i].len);
}

static void put_body(struct buffer *out, const struct frame *frame, const struct schema *schema, size_t body_at)
{
    switch (frame->type) {
    case FRAME_HELLO:
        put_hello(out, &frame->hello, schema, body_at);
        break;
    case FRAME_BATCH:
        buffer_u64(out, frame->batch.number);
        buffer_u64(out, frame->batch.previous);
        buffer_u64(out, frame->batch.rows);
        buffer_u64(out, frame->batch.bytes);
        buffer_u64(out, frame->batch.offset);
        break;
    case FRAME_DATA:
        buffer_u64(out, frame->data.offset);
        buffer_u32(out, frame->data.plain_len);
        buffer_block(out, frame->data.bytes, frame->data.len);
        break;
    case FRAME_END:
        buffer_u64(out, frame->end.number);
        buffer_put(out, frame->end.digest, FRAME_DIGEST_LEN);
        break;
    case FRAME_ACK:
        buffer_u64(out, frame->ack.applied);
        buffer_u64(out, frame->ack.credit);
        break;
    case FRAME_HOLD:
        buffer_u64(out, frame->hold.number);
        buffer_u8(out, frame->hold.verdict);
        put_i64(out, frame->hold.hold_us);
        break;
    case FRAME_PING:
    case FRAME_PONG:
        put_i64(out, frame->ping.sent_us);
        put_i64(out, frame->ping.answered_us);
        put_i64(out, frame->ping.behind_us);
        break;
    case FRAME_REQUEST:
        put_request(out, &frame->request);
        break;
    case FRAME_SCHEMA:
        put_text(out, &frame->schema.table);
        // A definition may be long; what does not fit is cut, it is for people.
        buffer_block(out, frame->schema.definition.bytes,
                     frame->schema.definition.len < FRAME_DEFINITION_MAX ? frame->schema.definition.len
                                                                         : FRAME_DEFINITION_MAX);
        break;
    case FRAME_VERIFIED:
        buffer_u64(out, frame->verified.ranges);
        buffer_u64(out, frame->verified.differ);
        buffer_u64(out, frame->verified.busy);
        break;
    case FRAME_ERROR:
        buffer_u16(out, frame->error.code);
        buffer_u8(out, (uint8_t)(frame->error.is_fatal | frame->error.may_retry << 1));
        put_text(out, &frame->error.table);
        put_text(out, &frame->error.text);
        break;
    case FRAME_TYPE_END:
        break;
    }
}

void frame_encode(struct buffer *out, const struct frame *frame, const struct schema *schema)
{
    size_t head_at = out->len;
    buffer_u32(out, 0);
    buffer_u8(out, (uint8_t)frame->type);
    size_t body_at = out->len;
    put_body(out, frame, schema, body_at);
    uint32_t len = (uint32_t)(out->len - body_at);
    for (unsigned i = 0; i < 4; i++)
        out->data[head_at + i] = (uint8_t)(len >> (8 * i));
}

// ---- reading ----

static int64_t get_i64(struct bytes_reader *in)
{
    return (int64_t)bytes_u64(in);
}

static void get_bytes(struct bytes_reader *in, void *to, size_t len)
{
    const uint8_t *from = bytes_take(in, len);
    if (from)
        memcpy(to, from, len);
}

static struct value get_text(struct bytes_reader *in, uint64_t limit)
{
    size_t len = bytes_bounded(in, limit);
    const uint8_t *bytes = bytes_take(in, len);
    return value_bytes(VALUE_TEXT, bytes ? bytes : (const uint8_t *)"", bytes ? len : 0);
}

static void get_hello(struct bytes_reader *in, struct frame_hello *h)
{
    h->protocol = bytes_u16(in);
    h->site = bytes_u16(in);
    get_bytes(in, h->uuid, sizeof h->uuid);
    h->incarnation = bytes_u64(in);
    h->clock = get_i64(in);
    h->wall_us = get_i64(in);
    h->applied = bytes_u64(in);
    h->spool_number = bytes_u64(in);
    h->spool_offset = bytes_u64(in);
    get_bytes(in, h->spool_digest, FRAME_DIGEST_LEN);
    h->credit = bytes_u64(in);
    h->table_count = (uint32_t)bytes_bounded(in, SCHEMA_TABLE_MAX);
    h->tables = *in;
    for (uint32_t i = 0; i < h->table_count && !in->failed; i++) {
        bytes_take(in, bytes_bounded(in, SCHEMA_NAME_MAX));
        bytes_take(in, SCHEMA_FINGERPRINT_LEN);
    }
    h->tables.len = in->at;
    in->failed |= h->site == 0;
}

static void get_data(struct bytes_reader *in, struct frame_data *d)
{
    d->offset = bytes_u64(in);
    d->plain_len = bytes_u32(in);
    d->len = (uint32_t)bytes_bounded(in, FRAME_BODY_MAX);
    d->bytes = bytes_take(in, d->len);
    in->failed |= d->plain_len == 0 || d->plain_len > FRAME_DATA_MAX || d->len > d->plain_len;
}

static void get_request(struct bytes_reader *in, struct frame_request *r)
{
    r->kind = bytes_u8(in);
    r->table = get_text(in, SCHEMA_NAME_MAX);
    r->key_count = (uint32_t)bytes_bounded(in, FRAME_REQUEST_MAX);
    for (uint32_t i = 0; i < r->key_count && !in->failed; i++) {
        r->key[i].len = (uint32_t)bytes_bounded(in, KEY_BYTES_MAX);
        r->key[i].bytes = bytes_take(in, r->key[i].len);
    }
    in->failed |= r->kind > FRAME_REQUEST_VERIFY || (r->kind != FRAME_REQUEST_ROWS && r->key_count);
}

static void get_error(struct bytes_reader *in, struct frame_error *e)
{
    e->code = bytes_u16(in);
    uint8_t flags = bytes_u8(in);
    e->is_fatal = flags & 1;
    e->may_retry = flags & 2;
    in->failed |= flags > 3;
    e->table = get_text(in, FRAME_TEXT_MAX);
    e->text = get_text(in, FRAME_TEXT_MAX);
}

static void get_batch(struct bytes_reader *in, struct frame_batch *b)
{
    b->number = bytes_u64(in);
    b->previous = bytes_u64(in);
    b->rows = bytes_u64(in);
    b->bytes = bytes_u64(in);
    b->offset = bytes_u64(in);
    in->failed |= b->number == 0 || b->previous >= b->number || b->offset > b->bytes;
}

static void get_body(struct bytes_reader *in, struct frame *frame)
{
    switch (frame->type) {
    case FRAME_HELLO:
        get_hello(in, &frame->hello);
        break;
    case FRAME_BATCH:
        get_batch(in, &frame->batch);
        break;
    case FRAME_DATA:
        get_data(in, &frame->data);
        break;
    case FRAME_END:
        frame->end.number = bytes_u64(in);
        get_bytes(in, frame->end.digest, FRAME_DIGEST_LEN);
        break;
    case FRAME_ACK:
        frame->ack.applied = bytes_u64(in);
        frame->ack.credit = bytes_u64(in);
        break;
    case FRAME_HOLD:
        frame->hold.number = bytes_u64(in);
        frame->hold.verdict = bytes_u8(in);
        frame->hold.hold_us = get_i64(in);
        break;
    case FRAME_PING:
    case FRAME_PONG:
        frame->ping.sent_us = get_i64(in);
        frame->ping.answered_us = get_i64(in);
        frame->ping.behind_us = get_i64(in);
        in->failed |= frame->ping.behind_us < 0;
        break;
    case FRAME_REQUEST:
        get_request(in, &frame->request);
        break;
    case FRAME_SCHEMA:
        frame->schema.table = get_text(in, SCHEMA_NAME_MAX);
        frame->schema.definition = get_text(in, FRAME_DEFINITION_MAX);
        break;
    case FRAME_VERIFIED:
        frame->verified.ranges = bytes_u64(in);
        frame->verified.differ = bytes_u64(in);
        frame->verified.busy = bytes_u64(in);
        break;
    case FRAME_ERROR:
        get_error(in, &frame->error);
        break;
    case FRAME_TYPE_END:
        in->failed = true;
        break;
    }
}

long frame_decode(struct frame *frame, const uint8_t *data, size_t len)
{
    if (len < FRAME_HEAD_LEN)
        return 0;
    uint32_t body = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
    if (body > FRAME_BODY_MAX || data[4] == 0 || data[4] >= FRAME_TYPE_END)
        return -EBADMSG;
    if (len - FRAME_HEAD_LEN < body)
        return 0;
    struct bytes_reader in = bytes_reader_init(data + FRAME_HEAD_LEN, body);
    frame->type = (enum frame_type)data[4];
    get_body(&in, frame);
    if (in.failed || bytes_left(&in))
        return -EBADMSG;
    return FRAME_HEAD_LEN + (long)body;
}

int frame_next_table(struct frame_hello *hello, struct frame_table *table)
{
    if (!bytes_left(&hello->tables))
        return hello->tables.failed ? -EBADMSG : 0;
    table->name = get_text(&hello->tables, SCHEMA_NAME_MAX);
    table->fingerprint = bytes_take(&hello->tables, SCHEMA_FINGERPRINT_LEN);
    return hello->tables.failed ? -EBADMSG : 1;
}
