// SPDX-License-Identifier: Apache-2.0
// Do this node's workers make progress? Read from the data plane's counters page, which is mapped read-only.
//
// The loop thread sets and clears the page; the heartbeat thread asks before each message, so that "alive" means
// "answering"; both may read sums. A short mutex guards the mapping, nothing waits while holding it.
//
// A worker that stands still is asked for its reason, which the kernel tells (proc(5), /proc/PID/task/TID/stat):
//
//   the thread is            | because                                    | it counts as stuck
//   -------------------------+--------------------------------------------+--------------------------------------
//   stopped, or gone         | SIGSTOP, a debugger, its end               | at once
//   asleep, or waits for I/O | a lock, a page, a frozen group: it has     | after WORKER_WATCH_BLOCKED_NS
//                            | nothing of that length to wait for         |
//   ready to run, or running | others have the processor, or an endless   | after WORKER_WATCH_PATIENCE_NS
//                            | loop: the two look alike                   |
//   not to be seen           | another PID namespace, hidden processes    | after WORKER_WATCH_PATIENCE_NS
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "table/counters.h"

#ifdef __cplusplus
extern "C" {
#endif

// An idle worker loops every 10 ms, the standby's thread every 50 ms. Shorter would take a late timer for a death;
// longer would add to the time in which peers notice, which is this and three heartbeat periods.
#define WORKER_WATCH_BLOCKED_NS 100000000ull
// So long a busy host may leave a worker without a processor.
#define WORKER_WATCH_PATIENCE_NS 1000000000ull

struct worker_watch;

struct worker_watch *worker_watch_new(void); // null: out of memory
void worker_watch_free(struct worker_watch *watch);

// Maps the page behind `fd` (which stays the caller's), replacing the one before. `pid`: of the process that writes it,
// as this process counts them; 0: not known. 0, -EPROTO for a page of another layout, or a negative errno.
int worker_watch_attach(struct worker_watch *watch, int fd, int pid);
void worker_watch_detach(struct worker_watch *watch);

// While nothing is attached to `watch`, `other` (borrowed; null: none) speaks for it: the standby answers then. Call
// before any other thread reads.
void worker_watch_set_standby(struct worker_watch *watch, struct worker_watch *other);

bool worker_watch_is_attached(struct worker_watch *watch);

// True while a page is attached, a worker has looped, and none that ever did is stuck. `now_ns`: CLOCK_MONOTONIC.
bool worker_watch_is_alive(struct worker_watch *watch, uint64_t now_ns);

// A consistent copy of the page's head (without blocks) and each block, for display. Number of blocks copied; 0 when
// nothing is attached.
unsigned worker_watch_read(struct worker_watch *watch, struct counters_page *head, struct counters_block *block,
                           unsigned cap);

#ifdef __cplusplus
}
#endif
