// SPDX-License-Identifier: Apache-2.0
#include "dbsync/row_codec.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

enum { BORN = 0x80 }; // beside enum life

static void put_version(struct buffer *out, struct version v)
{
    buffer_u64(out, (uint64_t)v.hlc);
    buffer_u8(out, v.kind);
    buffer_u16(out, v.site);
}

static struct version get_version(struct bytes_reader *in)
{
    struct version v = {0, 0, 0};
    v.hlc = (int64_t)bytes_u64(in);
    v.kind = bytes_u8(in);
    v.site = bytes_u16(in);
    return v;
}

void row_encode_versions(struct buffer *out, const struct row *row)
{
    buffer_u8(out, (uint8_t)(row->life | (row->is_born ? BORN : 0)));
    put_version(out, row->life_version);
    buffer_varint(out, row->table->column_count);
    for (unsigned c = 0; c < row->table->column_count; c++) {
        bool has_register = row->known[c] && !version_is_stable(row->version[c]);
        buffer_u8(out, (uint8_t)(row->known[c] + has_register));
        if (has_register)
            put_version(out, row->version[c]);
    }
}

static void get_versions(struct row *row, struct bytes_reader *in)
{
    uint8_t life = bytes_u8(in);
    row->is_born = (life & BORN) != 0;
    row->life = life & (uint8_t)~BORN;
    row->life_version = get_version(in);
    unsigned count = (unsigned)bytes_bounded(in, row->table->column_count);
    for (unsigned c = 0; c < row->table->column_count; c++) {
        uint8_t mark = c < count ? bytes_u8(in) : 0;
        if (mark > 2)
            in->failed = true;
        row->known[c] = mark > 0;
        row->version[c] = mark > 1 ? get_version(in) : version_make(0, VERSION_USER, 0);
    }
    if (row->life > LIFE_LIVE)
        in->failed = true;
}

int row_decode_versions(struct row *row, const void *bytes, size_t len)
{
    struct bytes_reader in = bytes_reader_init(bytes, len);
    get_versions(row, &in);
    return in.failed || in.at != in.len ? -EBADMSG : 0;
}

void row_encode(struct buffer *out, const struct row *row)
{
    row_encode_versions(out, row);
    for (unsigned c = 0; c < row->table->column_count; c++) {
        if (row->known[c])
            value_encode(out, &row->value[c]);
    }
}

struct row *row_decode(struct arena *arena, const struct table *table, struct key key, const void *bytes, size_t len)
{
    struct row *row = row_new(arena, table, key);
    if (!row)
        return NULL;
    struct bytes_reader in = bytes_reader_init(bytes, len);
    get_versions(row, &in);
    for (unsigned c = 0; c < table->column_count; c++) {
        if (row->known[c])
            row->value[c] = value_decode(&in);
    }
    return in.failed || in.at != in.len ? NULL : row;
}

// ---- JSON ----

// Length of a well-formed UTF-8 sequence, or 0 (RFC 3629 section 4).
static size_t utf8_len(const uint8_t *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xc2 && s[0] < 0xe0   ? 2
                 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                               : 0;
    if (len == 0 || len > left)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    bool is_overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool is_outside = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return is_overlong || is_outside ? 0 : len;
}

static bool is_utf8(const uint8_t *s, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n = utf8_len(s + at, len - at);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}

static void put_text(struct buffer *out, const char *text)
{
    buffer_put(out, text, strlen(text));
}

void row_json_string(struct buffer *out, const void *text, size_t len)
{
    const uint8_t *s = text;
    char escape[8];
    buffer_u8(out, '"');
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '"' || s[i] == '\\') {
            buffer_u8(out, '\\');
            buffer_u8(out, s[i]);
        } else if (s[i] < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", s[i]);
            put_text(out, escape);
        } else {
            buffer_u8(out, s[i]);
        }
    }
    buffer_u8(out, '"');
}

static void put_value(struct buffer *out, const struct value *v)
{
    char number[32];
    switch ((enum value_type)v->type) {
    case VALUE_NULL:
    case VALUE_TYPE_COUNT:
        put_text(out, "null");
        return;
    case VALUE_INTEGER:
        snprintf(number, sizeof number, "%" PRId64, v->integer);
        put_text(out, number);
        return;
    case VALUE_REAL:
        snprintf(number, sizeof number, isfinite(v->real) ? "%.17g" : "\"%g\"", v->real);
        put_text(out, number);
        return;
    case VALUE_TEXT:
    case VALUE_BLOB:
    case VALUE_NATIVE:
        break;
    }
    if (v->type != VALUE_BLOB && is_utf8(v->bytes, v->len)) {
        row_json_string(out, v->bytes, v->len);
        return;
    }
    put_text(out, "\"\\\\x");
    for (uint32_t i = 0; i < v->len; i++) {
        snprintf(number, sizeof number, "%02x", v->bytes[i]);
        put_text(out, number);
    }
    buffer_u8(out, '"');
}

static void put_member(struct buffer *out, bool *is_first, const struct row *row, unsigned c)
{
    if (!*is_first)
        put_text(out, ", ");
    *is_first = false;
    row_json_string(out, row->table->column[c].name, strlen(row->table->column[c].name));
    put_text(out, ": ");
    put_value(out, &row->value[c]);
}

void row_json(struct buffer *out, const struct row *row)
{
    bool is_first = true;
    buffer_u8(out, '{');
    for (unsigned c = 0; c < row->table->column_count; c++) {
        if (row->known[c])
            put_member(out, &is_first, row, c);
    }
    buffer_u8(out, '}');
}

void row_key_json(struct buffer *out, const struct row *row)
{
    bool is_first = true;
    buffer_u8(out, '{');
    for (unsigned i = 0; i < row->table->key_count; i++)
        put_member(out, &is_first, row, row->table->key[i]);
    buffer_u8(out, '}');
}
