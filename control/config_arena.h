// SPDX-License-Identifier: Apache-2.0
// Memory that is freed all at once. One thread.
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct config_chunk;

// Zero-initialise.
struct config_arena {
    struct config_chunk *chunk;
};

// `size` octets, zeroed, aligned for any type; null: no memory.
void *config_arena_take(struct config_arena *arena, size_t size);

void config_arena_free(struct config_arena *arena);

#ifdef __cplusplus
}
#endif
