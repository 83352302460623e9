// SPDX-License-Identifier: Apache-2.0
#include "dbsync/value.h"

#include <errno.h>
#include <math.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

struct value value_integer(int64_t integer)
{
    struct value v = {VALUE_INTEGER, 0, {.integer = integer}};
    return v;
}

struct value value_real(double real)
{
    struct value v = {VALUE_REAL, 0, {.real = real}};
    return v;
}

struct value value_bytes(enum value_type type, const void *bytes, size_t len)
{
    struct value v = {(uint8_t)type, (uint32_t)len, {.bytes = bytes}};
    return v;
}

static bool has_bytes(const struct value *v)
{
    return v->type >= VALUE_TEXT;
}

bool value_equal(const struct value *a, const struct value *b)
{
    if (a->type != b->type)
        return false;
    if (a->type == VALUE_NULL)
        return true;
    if (!has_bytes(a))
        return a->integer == b->integer; // of a double: its bits
    return a->len == b->len && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0);
}

static int compare_bytes(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    size_t common = a_len < b_len ? a_len : b_len;
    int order = common ? memcmp(a, b, common) : 0;
    return order ? order : (a_len > b_len) - (a_len < b_len);
}

int value_compare(const struct value *a, const struct value *b)
{
    if (a->type != b->type)
        return a->type < b->type ? -1 : 1;
    if (a->type == VALUE_NULL)
        return 0;
    if (!has_bytes(a))
        return (a->integer > b->integer) - (a->integer < b->integer);
    return compare_bytes(a->bytes, a->len, b->bytes, b->len);
}

struct value value_copy(struct arena *arena, const struct value *v)
{
    struct value copy = *v;
    if (has_bytes(v))
        copy.bytes = arena_copy(arena, v->bytes, v->len);
    return copy;
}

void value_encode(struct buffer *out, const struct value *v)
{
    buffer_u8(out, v->type);
    if (has_bytes(v))
        buffer_block(out, v->bytes, v->len);
    else if (v->type != VALUE_NULL)
        buffer_u64(out, (uint64_t)v->integer);
}

struct value value_decode(struct bytes_reader *in)
{
    struct value v = value_null();
    uint8_t type = bytes_u8(in);
    if (type >= VALUE_TYPE_COUNT)
        in->failed = true;
    if (in->failed || type == VALUE_NULL)
        return v;
    if (type < VALUE_TEXT) {
        v.integer = (int64_t)bytes_u64(in);
    } else {
        v.len = (uint32_t)bytes_bounded(in, VALUE_BYTES_MAX);
        v.bytes = bytes_take(in, v.len);
    }
    v.type = type;
    return in->failed ? value_null() : v;
}

void key_encode(struct buffer *out, const struct value *values, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct value v = values[i];
        if (v.type == VALUE_REAL && v.real >= -0x1p63 && v.real < 0x1p63 && v.real == floor(v.real))
            v = value_integer((int64_t)v.real);
        value_encode(out, &v);
    }
}

int key_decode(const struct key *key, struct value *values, unsigned count)
{
    struct bytes_reader in = bytes_reader_init(key->bytes, key->len);
    for (unsigned i = 0; i < count; i++)
        values[i] = value_decode(&in);
    return in.failed || in.at != in.len ? -EBADMSG : 0;
}

int key_compare(const struct key *a, const struct key *b)
{
    return compare_bytes(a->bytes, a->len, b->bytes, b->len);
}

uint64_t key_hash(const struct key *key)
{
    return XXH3_64bits(key->bytes, key->len);
}
