// SPDX-License-Identifier: Apache-2.0
#include "control/config_arena.h"

#include <stdlib.h>

enum { CHUNK_SIZE = 64 << 10 };

struct config_chunk {
    struct config_chunk *next;
    size_t used, cap;
    char bytes[] __attribute__((aligned(16)));
};

void *config_arena_take(struct config_arena *arena, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct config_chunk *c = arena->chunk;
    if (!c || c->cap - c->used < size) {
        size_t cap = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        c = calloc(1, sizeof(*c) + cap);
        if (!c)
            return NULL;
        c->cap = cap;
        c->next = arena->chunk;
        arena->chunk = c;
    }
    void *p = c->bytes + c->used;
    c->used += size;
    return p;
}

void config_arena_free(struct config_arena *arena)
{
    while (arena->chunk) {
        struct config_chunk *c = arena->chunk;
        arena->chunk = c->next;
        free(c);
    }
}
