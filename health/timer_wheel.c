// SPDX-License-Identifier: Apache-2.0
#include "health/timer_wheel.h"

#include <stddef.h>
#include <string.h>

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ms)
{
    memset(w, 0, sizeof *w);
    w->done_ms = now_ms;
}

static void link_in(struct wheel_timer **list, struct wheel_timer *t)
{
    t->next = *list;
    t->previous = list;
    if (t->next)
        t->next->previous = &t->next;
    *list = t;
}

void timer_wheel_stop(struct timer_wheel *w, struct wheel_timer *t)
{
    if (!t->previous)
        return;
    *t->previous = t->next;
    if (t->next)
        t->next->previous = t->previous;
    t->next = NULL;
    t->previous = NULL;
    const unsigned at = t->due_ms % TIMER_WHEEL_SLOTS;
    if (!w->slot[at])
        w->has_timer[at / 64] &= ~(UINT64_C(1) << at % 64);
}

void timer_wheel_start(struct timer_wheel *w, struct wheel_timer *t, uint64_t due_ms,
                       void (*fire)(struct wheel_timer *timer))
{
    timer_wheel_stop(w, t);
    t->due_ms = due_ms > w->done_ms ? due_ms : w->done_ms + 1;
    t->fire = fire;
    const unsigned at = t->due_ms % TIMER_WHEEL_SLOTS;
    link_in(&w->slot[at], t);
    w->has_timer[at / 64] |= UINT64_C(1) << at % 64;
}

// Milliseconds from `from_ms` to the next slot with a timer, that of `from_ms` included; TIMER_WHEEL_SLOTS: none.
static unsigned distance(const struct timer_wheel *w, uint64_t from_ms)
{
    for (unsigned passed = 0; passed < TIMER_WHEEL_SLOTS;) {
        const unsigned at = (from_ms + passed) % TIMER_WHEEL_SLOTS;
        const uint64_t bits = w->has_timer[at / 64] >> at % 64;
        if (bits) {
            passed += (unsigned)__builtin_ctzll(bits);
            return passed < TIMER_WHEEL_SLOTS ? passed : TIMER_WHEEL_SLOTS;
        }
        passed += 64 - at % 64;
    }
    return TIMER_WHEEL_SLOTS;
}

uint64_t timer_wheel_next_ms(const struct timer_wheel *w)
{
    const unsigned wait = distance(w, w->done_ms + 1);
    return wait == TIMER_WHEEL_SLOTS ? UINT64_MAX : w->done_ms + 1 + wait;
}

// The timers of a slot that are due move to `due`; others wait for another round.
static void take_due(struct timer_wheel *w, unsigned at, uint64_t now_ms, struct wheel_timer **due)
{
    for (struct wheel_timer *t = w->slot[at], *next; t; t = next) {
        next = t->next;
        if (t->due_ms > now_ms)
            continue;
        timer_wheel_stop(w, t);
        link_in(due, t);
    }
}

void timer_wheel_advance(struct timer_wheel *w, uint64_t now_ms)
{
    if (now_ms <= w->done_ms)
        return;
    uint64_t at_ms = w->done_ms + 1;
    const uint64_t end_ms = now_ms - w->done_ms > TIMER_WHEEL_SLOTS ? at_ms + TIMER_WHEEL_SLOTS : now_ms + 1;
    w->done_ms = now_ms; // what is started from now on is due later
    for (;;) {
        at_ms += distance(w, at_ms);
        if (at_ms >= end_ms)
            return;
        struct wheel_timer *due = NULL;
        take_due(w, at_ms % TIMER_WHEEL_SLOTS, now_ms, &due);
        while (due) { // one that is fired may stop others of them
            struct wheel_timer *t = due;
            timer_wheel_stop(w, t);
            t->fire(t);
        }
        at_ms++;
    }
}
