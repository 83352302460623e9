// SPDX-License-Identifier: Apache-2.0
// Bounded cursors over wire bytes, network byte order. All parsing and writing of protocol bytes goes through them.
//
// The error is sticky: after the first read or write past the end every later call does nothing and returns zero, so a
// parser checks `wire_failed` once, at the end of a group of reads. Plain structures in the caller's memory; no thread
// owns them; nothing is allocated.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct wire_reader {
    const uint8_t *data;
    size_t len;
    size_t at;
    bool failed;
};

struct wire_writer {
    uint8_t *data;
    size_t cap;
    size_t at;
    bool failed;
};

static inline struct wire_reader wire_reader_init(const uint8_t *data, size_t len)
{
    struct wire_reader r = {data, len, 0, false};
    return r;
}

static inline struct wire_writer wire_writer_init(uint8_t *data, size_t cap)
{
    struct wire_writer w = {data, cap, 0, false};
    return w;
}

static inline size_t wire_left(const struct wire_reader *r)
{
    return r->failed ? 0 : r->len - r->at;
}

// The next `len` bytes, which stay in the reader's data; a null pointer when there are fewer.
static inline const uint8_t *wire_take(struct wire_reader *r, size_t len)
{
    if (r->failed || r->len - r->at < len) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->data + r->at;
    r->at += len;
    return p;
}

static inline uint8_t wire_u8(struct wire_reader *r)
{
    const uint8_t *p = wire_take(r, 1);
    return p ? p[0] : 0;
}

static inline uint16_t wire_u16(struct wire_reader *r)
{
    const uint8_t *p = wire_take(r, 2);
    return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t wire_u32(struct wire_reader *r)
{
    const uint8_t *p = wire_take(r, 4);
    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t wire_u64(struct wire_reader *r)
{
    uint64_t high = wire_u32(r);
    return high << 32 | wire_u32(r);
}

// Room for `len` bytes at the cursor, which moves past them; a null pointer when there is less.
static inline uint8_t *wire_reserve(struct wire_writer *w, size_t len)
{
    if (w->failed || w->cap - w->at < len) {
        w->failed = true;
        return NULL;
    }
    uint8_t *p = w->data + w->at;
    w->at += len;
    return p;
}

static inline void wire_put(struct wire_writer *w, const void *bytes, size_t len)
{
    uint8_t *p = wire_reserve(w, len);
    if (p && len)
        memcpy(p, bytes, len);
}

static inline void wire_put_u8(struct wire_writer *w, uint8_t v)
{
    wire_put(w, &v, 1);
}

static inline void wire_put_u16(struct wire_writer *w, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    wire_put(w, b, 2);
}

static inline void wire_put_u32(struct wire_writer *w, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    wire_put(w, b, 4);
}

static inline void wire_put_u64(struct wire_writer *w, uint64_t v)
{
    wire_put_u32(w, (uint32_t)(v >> 32));
    wire_put_u32(w, (uint32_t)v);
}

#ifdef __cplusplus
}
#endif
