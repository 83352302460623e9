// SPDX-License-Identifier: Apache-2.0
// The one pointer that workers read, and its reclamation: liburcu, flavour QSBR. No other file knows liburcu.
//
// Readers: every worker and the stream thread. Each registers itself, reports a quiescent state once per loop iteration
// (also when idle), holds a snapshot no longer than until that report, and goes offline before anything that can block.
// One writer: the manager thread, which never waits: a reclaimer thread waits for grace periods, holding no lock, and
// frees everything that was retired before the grace period began.
//
//                   publish_swap           reclaimer                reader
// publish_swap      one thread only        queue mutex, O(1)        exchange (release) pairs with publish_read
// reclaimer                                one thread               synchronize_rcu pairs with publish_quiescent
// reader                                                            share nothing
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <urcu/urcu-qsbr.h>

#include "dataplane/snapshot.h"

#ifdef __cplusplus
extern "C" {
#endif

// ThreadSanitizer cannot see liburcu's barriers (inline assembly); these say what they guarantee.
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *at);
void __tsan_release(void *at);
#define PUBLISH_ACQUIRE(at) __tsan_acquire(at)
#define PUBLISH_RELEASE(at) __tsan_release(at)
#else
#define PUBLISH_ACQUIRE(at) ((void)0)
#define PUBLISH_RELEASE(at) ((void)0)
#endif

enum {
    // Snapshots waiting for their grace period. Smaller: a burst of publications waits for the slowest worker sooner.
    // Larger: more memory may stay behind a worker that hangs.
    PUBLISH_RETIRED_MAX = 64
};

extern struct snapshot *publish_current; // publish_read and publish_swap only
extern char publish_grace;               // ThreadSanitizer's tag for grace periods

// Called on the reclaimer thread when every reader left everything older than these generations. `grace_ns`: how long
// the readers took.
typedef void (*publish_done_fn)(void *user, uint64_t zone_generation, uint64_t order_generation, uint64_t grace_ns);

// Starts the reclaimer thread. 0 or a negative errno.
int publish_init(publish_done_fn done, void *user);
// After all readers have unregistered: frees everything and ends the reclaimer thread.
void publish_fini(void);

// Publishes; the previous snapshot is freed after a grace period. Takes ownership. -EAGAIN, and nothing changed, while
// PUBLISH_RETIRED_MAX older ones wait for a worker. Never blocks.
int publish_swap(struct snapshot *snapshot);

// How long the oldest grace period under way has lasted, 0 when there is none: a worker that hangs shows here.
uint64_t publish_grace_age_ns(uint64_t now_ns);

// ---- readers; every call concerns the calling thread ----

static inline void publish_register(void)
{
    urcu_qsbr_register_thread();
}

static inline void publish_unregister(void)
{
    PUBLISH_RELEASE(&publish_grace);
    urcu_qsbr_unregister_thread();
}

// The current snapshot or null. Valid until the next publish_quiescent, publish_offline or publish_unregister.
static inline const struct snapshot *publish_read(void)
{
    struct snapshot *s = rcu_dereference(publish_current);
    if (s)
        PUBLISH_ACQUIRE(s);
    return s;
}

static inline void publish_quiescent(void)
{
    PUBLISH_RELEASE(&publish_grace);
    urcu_qsbr_quiescent_state();
}

// Between the two the thread holds no snapshot and nobody waits for it.
static inline void publish_offline(void)
{
    PUBLISH_RELEASE(&publish_grace);
    urcu_qsbr_thread_offline();
}

static inline void publish_online(void)
{
    urcu_qsbr_thread_online();
}

#ifdef __cplusplus
}
#endif
