// SPDX-License-Identifier: Apache-2.0
#include "dbsync/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 << 10, ALIGNMENT = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size; // octets behind this header
};

static_assert(sizeof(struct arena_block) % ALIGNMENT == 0, "pieces stay aligned behind the header");

static void *or_end(void *memory)
{
    if (!memory) {
        fputs("signpost-dbsync: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *memory_take(size_t len)
{
    return or_end(calloc(1, len ? len : 1));
}

void *memory_resize(void *old, size_t len)
{
    return or_end(realloc(old, len ? len : 1));
}

char *memory_text(const char *text)
{
    return or_end(strdup(text));
}

void *arena_take(struct arena *arena, size_t len)
{
    len = len ? (len + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    if (len > arena->left) {
        size_t size = len > BLOCK_BYTES ? len : BLOCK_BYTES;
        struct arena_block *block = or_end(malloc(sizeof *block + size));
        block->next = arena->block;
        block->size = size;
        arena->block = block;
        arena->left = size;
        arena->total_bytes += size;
    }
    uint8_t *end = (uint8_t *)(arena->block + 1) + arena->block->size;
    void *piece = end - arena->left;
    arena->left -= len;
    return piece;
}

void *arena_take_zeroed(struct arena *arena, size_t len)
{
    return memset(arena_take(arena, len), 0, len);
}

void *arena_copy(struct arena *arena, const void *bytes, size_t len)
{
    void *piece = arena_take(arena, len);
    return len ? memcpy(piece, bytes, len) : piece;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = NULL;
    while (arena->block) {
        struct arena_block *next = arena->block->next;
        if (!keep && arena->block->size == BLOCK_BYTES)
            keep = arena->block;
        else
            free(arena->block);
        arena->block = next;
    }
    arena->block = keep;
    if (keep)
        keep->next = NULL;
    arena->left = arena->total_bytes = keep ? keep->size : 0;
}

void arena_fini(struct arena *arena)
{
    while (arena->block) {
        struct arena_block *next = arena->block->next;
        free(arena->block);
        arena->block = next;
    }
    arena->left = arena->total_bytes = 0;
}
