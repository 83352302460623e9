// SPDX-License-Identifier: Apache-2.0
// Very many timers of a millisecond's resolution: to start and stop one is a few stores, where a heap of ten thousand
// walks fourteen levels (with 10,000 probes a second half of the prober's own time). Pure: the caller passes the time
// and asks when to come again. One thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TIMER_WHEEL_SLOTS = 4096 }; // one a millisecond; a timer further away is passed over once each 4.1 s

struct wheel_timer {
    struct wheel_timer *next, **previous; // previous null: not started
    uint64_t due_ms;
    void (*fire)(struct wheel_timer *timer);
};

struct timer_wheel {
    struct wheel_timer *slot[TIMER_WHEEL_SLOTS];
    uint64_t has_timer[TIMER_WHEEL_SLOTS / 64]; // bit per slot
    uint64_t done_ms;                           // up to here all that was due has fired
};

// Clears the wheel; timers start zeroed.
void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

// Starts it anew if it runs. It fires once, in the first advance to `due_ms` or later, but never in the one under way.
void timer_wheel_start(struct timer_wheel *wheel, struct wheel_timer *timer, uint64_t due_ms,
                       void (*fire)(struct wheel_timer *timer));
void timer_wheel_stop(struct timer_wheel *wheel, struct wheel_timer *timer);

static inline bool wheel_timer_is_started(const struct wheel_timer *timer)
{
    return timer->previous != 0;
}

// Fires what is due, in the order of milliseconds if the caller comes in time. What is fired may start and stop any.
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms);

// When to advance again: not later than the next timer is due. UINT64_MAX: never.
uint64_t timer_wheel_next_ms(const struct timer_wheel *wheel);

#ifdef __cplusplus
}
#endif
