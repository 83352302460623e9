// SPDX-License-Identifier: Apache-2.0
// The clocks as numbers. Any thread.
#pragma once

#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Microseconds since 1970.
static inline uint64_t clock_wall_us(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000;
}

#ifdef __cplusplus
}
#endif
