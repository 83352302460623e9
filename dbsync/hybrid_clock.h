// SPDX-License-Identifier: Apache-2.0
// The hybrid clock: the wall clock, never standing still, never going back, and never behind what was seen.
//
// Both doors draw versions inside the user's transaction (a trigger cannot call us), by the same rule as these
// functions, which are its reference and serve the simulator and the checks on incoming batches. Pure; microseconds
// since 1970.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CLOCK_WARN_US = 500 * 1000,       // skew that is shown
    CLOCK_HOLD_US = 60 * 1000 * 1000, // a batch further ahead is held, or one bad clock drags every site's with it
};

// The next version: later than every version drawn or seen before, and not earlier than the wall clock.
static inline int64_t clock_next(int64_t last, int64_t wall_us)
{
    return wall_us > last ? wall_us : last + 1;
}

// The floor after versions up to `seen` were applied. To be raised before the apply transaction commits: a local write
// can see the applied value only afterwards, and then beats it.
static inline int64_t clock_raise(int64_t last, int64_t seen)
{
    return seen > last ? seen : last;
}

// How long a batch with `max_hlc` must be held, in microseconds; 0: apply it.
static inline int64_t clock_hold_us(int64_t max_hlc, int64_t wall_us)
{
    int64_t ahead = max_hlc - wall_us;
    return ahead > CLOCK_HOLD_US ? ahead - CLOCK_HOLD_US : 0;
}

#ifdef __cplusplus
}
#endif
