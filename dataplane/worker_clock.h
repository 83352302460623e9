// SPDX-License-Identifier: Apache-2.0
// A worker's clock: time from the time stamp counter, set right against the kernel's clocks ten times a second.
//
// Owned by one worker. No system call: clock_gettime is served by the vDSO, and only when the reading is old.
#pragma once

#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { WORKER_CLOCK_PER_S = 10 }; // settings per second; fewer: the seconds for cookies lag behind more

struct worker_clock {
    uint64_t anchor_tsc, anchor_ns; // a reading of both
    uint64_t due_tsc;               // set again from here on
    uint64_t now_ns;                // CLOCK_MONOTONIC, never goes back
    uint64_t wall_us;               // CLOCK_REALTIME at the last setting
    double ns_per_tick;
    uint64_t ticks_per_s;
};

static inline void worker_clock_init(struct worker_clock *clock, uint64_t ticks_per_s)
{
    clock->anchor_tsc = clock->anchor_ns = clock->due_tsc = clock->now_ns = clock->wall_us = 0;
    clock->ticks_per_s = ticks_per_s;
    clock->ns_per_tick = 1e9 / (double)ticks_per_s;
}

// Takes a reading. True when the clock was set, that is about ten times a second.
static inline int worker_clock_read(struct worker_clock *clock, uint64_t tsc)
{
    const int is_due = tsc >= clock->due_tsc;
    if (is_due) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        clock->anchor_tsc = tsc;
        clock->anchor_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
        clock->due_tsc = tsc + clock->ticks_per_s / WORKER_CLOCK_PER_S;
        clock_gettime(CLOCK_REALTIME, &t);
        clock->wall_us = (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
    }
    const uint64_t ns = clock->anchor_ns + (uint64_t)((double)(tsc - clock->anchor_tsc) * clock->ns_per_tick);
    clock->now_ns = ns > clock->now_ns ? ns : clock->now_ns;
    return is_due;
}

#ifdef __cplusplus
}
#endif
