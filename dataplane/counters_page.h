// SPDX-License-Identifier: Apache-2.0
// The memfd that holds the counters page (table/counters.h): the data plane writes, everybody else may only read.
//
// Made once at start by the main thread. The seals forbid resizing and any further writable mapping, so that a process
// that receives the descriptor cannot change a counter.
#pragma once

#include <stddef.h>

#include "table/counters.h"

#ifdef __cplusplus
extern "C" {
#endif

struct counters_memory {
    struct counters_page *page;
    size_t bytes;
    int fd; // to be sent to readers
};

// `block_count` blocks, 1..COUNTERS_BLOCK_MAX. 0 or a negative errno; after an error nothing is to be finished.
int counters_page_init(struct counters_memory *memory, unsigned block_count, uint64_t ticks_per_s);
void counters_page_fini(struct counters_memory *memory);

// For fields of the page outside the blocks; each has one writing thread.
static inline void counters_page_set(uint64_t *field, uint64_t value)
{
    __atomic_store_n(field, value, __ATOMIC_RELAXED);
}

#ifdef __cplusplus
}
#endif
