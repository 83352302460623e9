// SPDX-License-Identifier: Apache-2.0
#include "dbsync/bytes.h"

#include <stdlib.h>

#include "dbsync/arena.h"

uint64_t bytes_varint(struct bytes_reader *r)
{
    uint64_t n = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t octet = bytes_u8(r);
        if (r->failed)
            return 0;
        if (shift == 63 && octet > 1)
            break; // past 64 bits
        n |= (uint64_t)(octet & 0x7f) << shift;
        if (!(octet & 0x80)) {
            if (octet == 0 && shift > 0)
                break; // not the shortest form
            return n;
        }
    }
    r->failed = true;
    return 0;
}

uint8_t *buffer_extend(struct buffer *b, size_t len)
{
    if (b->cap - b->len < len) {
        size_t cap = b->cap ? b->cap * 2 : 256;
        while (cap - b->len < len)
            cap *= 2;
        b->data = memory_resize(b->data, cap);
        b->cap = cap;
    }
    uint8_t *p = b->data + b->len;
    b->len += len;
    return p;
}

void buffer_varint(struct buffer *b, uint64_t n)
{
    while (n >= 0x80) {
        buffer_u8(b, (uint8_t)(n | 0x80));
        n >>= 7;
    }
    buffer_u8(b, (uint8_t)n);
}

void buffer_fini(struct buffer *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}
