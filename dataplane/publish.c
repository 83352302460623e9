// SPDX-License-Identifier: Apache-2.0
#include "dataplane/publish.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "shared/log.h"

struct snapshot *publish_current;
char publish_grace;

// `head`, `count`, `stop` under `lock`, which is never held across a grace period or a free.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct snapshot *head; // retired, newest first
    unsigned count;        // retired or being reclaimed
    bool stop;
    uint64_t grace_started_ns; // reclaimer writes, anybody reads; 0: none under way
    publish_done_fn done;
    void *user;
    pthread_t thread;
} reclaim = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static unsigned free_list(struct snapshot *s)
{
    unsigned freed = 0;
    while (s) { // at most PUBLISH_RETIRED_MAX
        struct snapshot *next = s->next;
        snapshot_free(s);
        s = next;
        freed++;
    }
    return freed;
}

// One grace period for all that is retired by now. The generations are those of a publication that it covers.
static void reclaim_batch(struct snapshot *list, uint64_t zone_generation, uint64_t order_generation)
{
    const uint64_t started = log_now_ns();
    __atomic_store_n(&reclaim.grace_started_ns, started, __ATOMIC_RELAXED);
    urcu_qsbr_synchronize_rcu();
    PUBLISH_ACQUIRE(&publish_grace);
    __atomic_store_n(&reclaim.grace_started_ns, 0, __ATOMIC_RELAXED);
    const uint64_t grace_ns = log_now_ns() - started;
    const unsigned freed = free_list(list);
    pthread_mutex_lock(&reclaim.lock);
    reclaim.count -= freed;
    pthread_mutex_unlock(&reclaim.lock);
    reclaim.done(reclaim.user, zone_generation, order_generation, grace_ns);
}

static void *reclaimer(void *unused)
{
    (void)unused;
    pthread_mutex_lock(&reclaim.lock);
    while (!reclaim.stop || reclaim.head) {
        if (!reclaim.head) {
            pthread_cond_wait(&reclaim.changed, &reclaim.lock);
            continue;
        }
        struct snapshot *list = reclaim.head;
        reclaim.head = NULL;
        const uint64_t zone = publish_current->zone_generation, order = publish_current->order_generation;
        pthread_mutex_unlock(&reclaim.lock);
        reclaim_batch(list, zone, order);
        pthread_mutex_lock(&reclaim.lock);
    }
    pthread_mutex_unlock(&reclaim.lock);
    return NULL;
}

int publish_init(publish_done_fn done, void *user)
{
    reclaim.done = done;
    reclaim.user = user;
    reclaim.stop = false;
    return -pthread_create(&reclaim.thread, NULL, reclaimer, NULL);
}

void publish_fini(void)
{
    pthread_mutex_lock(&reclaim.lock);
    reclaim.stop = true;
    pthread_cond_signal(&reclaim.changed);
    pthread_mutex_unlock(&reclaim.lock);
    pthread_join(reclaim.thread, NULL);
    snapshot_free(publish_current);
    publish_current = NULL;
}

int publish_swap(struct snapshot *snapshot)
{
    pthread_mutex_lock(&reclaim.lock);
    if (reclaim.count >= PUBLISH_RETIRED_MAX) {
        pthread_mutex_unlock(&reclaim.lock);
        return -EAGAIN;
    }
    PUBLISH_RELEASE(snapshot);
    struct snapshot *old = rcu_xchg_pointer(&publish_current, snapshot);
    if (!old) // the first: nobody holds anything older, but the caller still learns when all workers have it
        old = calloc(1, sizeof *old);
    if (old) {
        old->next = reclaim.head;
        reclaim.head = old;
        reclaim.count++;
        pthread_cond_signal(&reclaim.changed);
    }
    pthread_mutex_unlock(&reclaim.lock);
    return 0;
}

uint64_t publish_grace_age_ns(uint64_t now_ns)
{
    const uint64_t started = __atomic_load_n(&reclaim.grace_started_ns, __ATOMIC_RELAXED);
    return started && now_ns > started ? now_ns - started : 0;
}
