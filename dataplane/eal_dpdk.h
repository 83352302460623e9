// SPDX-License-Identifier: Apache-2.0
// DPDK's environment: started with arguments of our making, one lcore per worker. Main thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/options.h"

#ifdef __cplusplus
extern "C" {
#endif

// The CPUs to use: fills options->core when none were named (and leaves workers unbound: *is_floating). 0, or -EINVAL
// with a sentence when a named CPU is not ours to use.
int eal_choose_cores(struct options *options, bool *is_floating, char *why, unsigned why_cap);

// Starts EAL, `memory_mb` for packet buffers. The main thread, and what it starts, stay off the CPUs of busy workers
// where there are others. 0, or a negative errno with a sentence and the remedy.
int eal_start(const struct options *options, bool is_floating, unsigned memory_mb, char *why, unsigned why_cap);

// Runs `run(argument)` on the lcore of worker `number`. 0 or a negative errno.
int eal_launch(unsigned number, int (*run)(void *), void *argument);

// Waits for all workers to return.
void eal_wait(void);

uint64_t eal_ticks_per_s(void);
bool eal_uses_huge_pages(void);
void eal_stop(void);

#ifdef __cplusplus
}
#endif
