// SPDX-License-Identifier: Apache-2.0
// Memory that is given out piece by piece and taken back all at once: the rows of one batch live exactly as long as it.
//
// Pieces are aligned to 16 octets and not zeroed unless asked for. One thread. Out of memory ends the program (the
// daemon is restarted and goes on at its cursor; nothing is lost), so callers need no branch for it; what an enemy can
// make us allocate is bounded before we allocate (batch and frame limits).
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct arena_block;

// Zeroed: empty.
struct arena {
    struct arena_block *block; // newest first
    size_t left;               // octets free at the end of the newest
    size_t total_bytes;        // taken from the heap
};

void *arena_take(struct arena *arena, size_t len);
void *arena_take_zeroed(struct arena *arena, size_t len);
void *arena_copy(struct arena *arena, const void *bytes, size_t len);

// Forgets every piece but keeps one block for the next use.
void arena_reset(struct arena *arena);
void arena_fini(struct arena *arena);

// malloc, realloc, strdup that end the program instead of returning null. For what outlives an arena.
void *memory_take(size_t len);
void *memory_resize(void *old, size_t len);
char *memory_text(const char *text);

#ifdef __cplusplus
}
#endif
