// SPDX-License-Identifier: Apache-2.0
// The worker: one thread, one queue pair on each port, run to completion.
//
// Each turn of its loop receives a burst from each port, loads the snapshot once per burst, answers in place, sends,
// and reports one quiescent state. It never takes a lock, allocates, logs, or makes a system call per packet. When idle
// under IDLE_SLEEP it waits, offline for the grace periods, until a port has packets or a short time has passed; under
// IDLE_PAUSE it lets a few microseconds pass, online, for so short a time delays no grace period.
#pragma once

#include "dataplane/answer.h"
#include "dataplane/options.h"
#include "dataplane/port_dpdk.h"
#include "dataplane/worker_clock.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WORKER_BURST = 32,
    // Empty turns before the first wait. Fewer: a wake-up for nearly every query of a steady stream. More: idle turns
    // cost processor time that other programs on the machine want; 256 turns are some 10 us.
    WORKER_SPIN_TURNS = 256,
    // Packets from the kernel in a turn whose burst was full: then queries are waiting. Fewer: TCP and routing starve.
    // More: it costs answers. Packets to the kernel have no budget but the burst that they came in and the ring behind
    // it: a stream's packets come one behind the other, and one that loses a quarter of them goes at a fourth.
    WORKER_KERNEL_BUDGET = 8,
    // Ports without a descriptor to wait on are polled at intervals that grow from the first to the second number.
    WORKER_SLEEP_MIN_US = 20,
    WORKER_SLEEP_MAX_US = 200,
    // IDLE_PAUSE: intervals between polls grow from the first to the second number. Longer: later answers; shorter:
    // less power saved.
    WORKER_PAUSE_MIN_NS = 500,
    WORKER_PAUSE_MAX_NS = 8000,
    // Ports with one: longest wait. Others watch the loop counter, so it must move even when nothing arrives.
    WORKER_WAIT_MAX_MS = 10
};

// Packets of one port; written by the worker, read by the main thread, and by the guardian (stranded.h).
struct worker_port {
    uint64_t received;       // and done with: answered, dropped or passed on
    uint64_t sent, refused;  // refused: the driver's queue was full
    uint64_t kernel_dropped; // to the kernel, or from it
};

// All but `stop` belongs to the worker's thread once it runs.
struct worker {
    unsigned number;
    struct port *port; // all ports, read-only
    unsigned port_count;
    enum idle_policy idle; // not IDLE_AUTO
    const bool *stop;      // set by the main thread
    struct counters_block *counters;
    struct capture_page *capture; // ring `number` is ours; null: none
    struct answer_context context;
    struct worker_clock clock;
    unsigned empty_turns, sleep_us, pause_ns;
    struct worker_port at[OPTIONS_PORT_MAX];
};

// `ports` must outlive the worker. `ticks_per_s` of the time stamp counter.
void worker_init(struct worker *worker, unsigned number, struct port *port, unsigned port_count, enum idle_policy idle,
                 struct counters_block *counters, struct rate_limit *rate_limit, const bool *stop);

// The loop, until *stop. Registers the calling thread as a reader. Returns 0 (the type is that of a DPDK lcore
// function).
int worker_run(void *worker);

// One turn without the wait; packets received. For tests; the caller is a registered reader.
unsigned worker_turn(struct worker *worker);

#ifdef __cplusplus
}
#endif
