// SPDX-License-Identifier: Apache-2.0
// Bounded reading and growing writing of octets. Every codec of dbsync (values, rows, batches, frames, spool files)
// goes through these two cursors and nothing else touches foreign bytes.
//
// The reader's error is sticky: after the first read past the end, or of a malformed number, every later call returns
// zero, so a parser checks `failed` once at the end of a group of reads. Fixed numbers are little-endian; lengths and
// counts are `varint` (LEB128, at most 10 octets, the shortest form only, so that equal content has equal bytes). One
// thread each.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bytes_reader {
    const uint8_t *data;
    size_t len, at;
    bool failed;
};

static inline struct bytes_reader bytes_reader_init(const void *data, size_t len)
{
    struct bytes_reader r = {(const uint8_t *)data, len, 0, false};
    return r;
}

static inline size_t bytes_left(const struct bytes_reader *r)
{
    return r->failed ? 0 : r->len - r->at;
}

// The next `len` octets, which stay in the reader's data; null when there are fewer.
static inline const uint8_t *bytes_take(struct bytes_reader *r, size_t len)
{
    if (r->failed || r->len - r->at < len) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->data + r->at;
    r->at += len;
    return p;
}

static inline uint8_t bytes_u8(struct bytes_reader *r)
{
    const uint8_t *p = bytes_take(r, 1);
    return p ? *p : 0;
}

static inline uint16_t bytes_u16(struct bytes_reader *r)
{
    const uint8_t *p = bytes_take(r, 2);
    return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

static inline uint32_t bytes_u32(struct bytes_reader *r)
{
    const uint8_t *p = bytes_take(r, 4);
    return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

static inline uint64_t bytes_u64(struct bytes_reader *r)
{
    uint64_t low = bytes_u32(r);
    return low | (uint64_t)bytes_u32(r) << 32;
}

uint64_t bytes_varint(struct bytes_reader *r);

// A varint that must not exceed `limit`; more fails the reader.
static inline uint64_t bytes_bounded(struct bytes_reader *r, uint64_t limit)
{
    uint64_t n = bytes_varint(r);
    if (n > limit)
        r->failed = true;
    return r->failed ? 0 : n;
}

// A growing buffer; zeroed: empty. Memory from arena.h's heap functions: out of memory ends the program.
struct buffer {
    uint8_t *data;
    size_t len, cap;
};

// Room for `len` more octets, counted as written.
uint8_t *buffer_extend(struct buffer *b, size_t len);
void buffer_varint(struct buffer *b, uint64_t n);
void buffer_fini(struct buffer *b);

static inline void buffer_reset(struct buffer *b)
{
    b->len = 0;
}

static inline void buffer_put(struct buffer *b, const void *bytes, size_t len)
{
    if (len)
        memcpy(buffer_extend(b, len), bytes, len);
}

static inline void buffer_u8(struct buffer *b, uint8_t n)
{
    *buffer_extend(b, 1) = n;
}

static inline void buffer_u16(struct buffer *b, uint16_t n)
{
    uint8_t *p = buffer_extend(b, 2);
    p[0] = (uint8_t)n;
    p[1] = (uint8_t)(n >> 8);
}

static inline void buffer_u32(struct buffer *b, uint32_t n)
{
    buffer_u16(b, (uint16_t)n);
    buffer_u16(b, (uint16_t)(n >> 16));
}

static inline void buffer_u64(struct buffer *b, uint64_t n)
{
    buffer_u32(b, (uint32_t)n);
    buffer_u32(b, (uint32_t)(n >> 32));
}

// Length and octets.
static inline void buffer_block(struct buffer *b, const void *bytes, size_t len)
{
    buffer_varint(b, len);
    buffer_put(b, bytes, len);
}

#ifdef __cplusplus
}
#endif
