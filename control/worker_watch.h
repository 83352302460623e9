// SPDX-License-Identifier: Apache-2.0
// Do this node's workers make progress? Read from the data plane's counters page, which is mapped read-only.
//
// The loop thread sets and clears the page; the heartbeat thread asks before each message, so that "alive" means
// "answering"; both may read sums. A short mutex guards the mapping, nothing blocks while holding it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "table/counters.h"

#ifdef __cplusplus
extern "C" {
#endif

// How long a worker may stand still before it counts as stuck: an idle worker loops at least every 100 ms.
#define WORKER_WATCH_PATIENCE_NS 1000000000ull

struct worker_watch;

struct worker_watch *worker_watch_new(void); // null: out of memory
void worker_watch_free(struct worker_watch *watch);

// Maps the page behind `fd` (which stays the caller's), replacing the one before. 0, -EPROTO for a page of another
// layout, or a negative errno.
int worker_watch_attach(struct worker_watch *watch, int fd);
void worker_watch_detach(struct worker_watch *watch);

// While nothing is attached to `watch`, `other` (borrowed; null: none) speaks for it: the standby answers then. Call
// before any other thread reads.
void worker_watch_set_standby(struct worker_watch *watch, struct worker_watch *other);

bool worker_watch_is_attached(struct worker_watch *watch);

// True while a page is attached, a worker has looped, and every loop counter that ever moved did so within the
// patience. `now_ns`: CLOCK_MONOTONIC.
bool worker_watch_is_alive(struct worker_watch *watch, uint64_t now_ns);

// A consistent copy of the page's head (without blocks) and each block, for display. Number of blocks copied; 0 when
// nothing is attached.
unsigned worker_watch_read(struct worker_watch *watch, struct counters_page *head, struct counters_block *block,
                           unsigned cap);

#ifdef __cplusplus
}
#endif
