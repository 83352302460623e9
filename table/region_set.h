// SPDX-License-Identifier: Apache-2.0
// A set of regions: a bit for each, in as many 64-bit words as the largest region needs; the caller says how many.
// Pure; the caller's memory.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Words of a set of the regions 0..region_count - 1, at least 1.
static inline unsigned region_set_words(unsigned region_count)
{
    return region_count ? (region_count + 63) / 64 : 1;
}

static inline void region_set_add(uint64_t *set, unsigned region)
{
    set[region / 64] |= 1ull << (region % 64);
}

static inline bool region_set_has(const uint64_t *set, unsigned region)
{
    return set[region / 64] >> (region % 64) & 1;
}

static inline void region_set_unite(uint64_t *set, const uint64_t *other, unsigned words)
{
    for (unsigned i = 0; i < words; i++)
        set[i] |= other[i];
}

// Whether every region of `set` is in `other`.
static inline bool region_set_is_within(const uint64_t *set, const uint64_t *other, unsigned words)
{
    for (unsigned i = 0; i < words; i++)
        if (set[i] & ~other[i])
            return false;
    return true;
}

static inline unsigned region_set_count(const uint64_t *set, unsigned words)
{
    unsigned count = 0;
    for (unsigned i = 0; i < words; i++)
        count += (unsigned)__builtin_popcountll(set[i]);
    return count;
}

#ifdef __cplusplus
}
#endif
