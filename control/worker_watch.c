// SPDX-License-Identifier: Apache-2.0
#include "control/worker_watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct progress {
    uint64_t loops, moved_ns;
};

struct worker_watch {
    pthread_mutex_t lock; // all fields
    const struct counters_page *page;
    size_t bytes;
    struct progress progress[COUNTERS_BLOCK_MAX];
    struct worker_watch *standby; // asked while there is no page; null: none
};

struct worker_watch *worker_watch_new(void)
{
    struct worker_watch *w = calloc(1, sizeof *w);
    if (w)
        pthread_mutex_init(&w->lock, NULL);
    return w;
}

static void unmap(struct worker_watch *w)
{
    if (w->page)
        munmap((void *)w->page, w->bytes);
    w->page = NULL;
    memset(w->progress, 0, sizeof w->progress);
}

void worker_watch_free(struct worker_watch *w)
{
    if (!w)
        return;
    unmap(w);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void worker_watch_detach(struct worker_watch *w)
{
    pthread_mutex_lock(&w->lock);
    unmap(w);
    pthread_mutex_unlock(&w->lock);
}

static bool is_page_good(const struct counters_page *page, size_t bytes)
{
    return page->magic == COUNTERS_MAGIC && page->version == COUNTERS_VERSION &&
           page->block_bytes == sizeof(struct counters_block) && page->counter_count == COUNTER_COUNT &&
           page->block_count <= COUNTERS_BLOCK_MAX &&
           bytes >= sizeof *page + (size_t)page->block_count * sizeof(struct counters_block);
}

int worker_watch_attach(struct worker_watch *w, int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    const size_t bytes = (size_t)st.st_size;
    if (bytes < sizeof(struct counters_page))
        return -EPROTO;
    void *page = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return -errno;
    if (!is_page_good(page, bytes)) {
        munmap(page, bytes);
        return -EPROTO;
    }
    pthread_mutex_lock(&w->lock);
    unmap(w);
    w->page = page;
    w->bytes = bytes;
    pthread_mutex_unlock(&w->lock);
    return 0;
}

void worker_watch_set_standby(struct worker_watch *w, struct worker_watch *other)
{
    w->standby = other;
}

bool worker_watch_is_attached(struct worker_watch *w)
{
    pthread_mutex_lock(&w->lock);
    const bool is_attached = w->page != NULL;
    pthread_mutex_unlock(&w->lock);
    return is_attached;
}

bool worker_watch_is_alive(struct worker_watch *w, uint64_t now_ns)
{
    if (w->standby && !worker_watch_is_attached(w))
        return worker_watch_is_alive(w->standby, now_ns); // which has none itself
    pthread_mutex_lock(&w->lock);
    bool is_alive = w->page != NULL, has_looped = false;
    for (unsigned i = 0; w->page && i < w->page->block_count; i++) {
        struct progress *p = &w->progress[i];
        const uint64_t loops = counters_read(&w->page->block[i].value[COUNTER_loops]);
        has_looped |= loops > 0;
        if (loops == 0) // the stream thread's block, or a worker that has not begun
            continue;
        if (p->moved_ns == 0 || loops != p->loops) {
            p->loops = loops;
            p->moved_ns = now_ns;
        } else if (now_ns > p->moved_ns + WORKER_WATCH_PATIENCE_NS) {
            is_alive = false;
        }
    }
    pthread_mutex_unlock(&w->lock);
    return is_alive && has_looped;
}

unsigned worker_watch_read(struct worker_watch *w, struct counters_page *head, struct counters_block *block,
                           unsigned cap)
{
    unsigned count = 0;
    pthread_mutex_lock(&w->lock);
    if (w->page) {
        memcpy(head, w->page, sizeof *head);
        for (; count < w->page->block_count && count < cap; count++) {
            const uint64_t *from = (const uint64_t *)&w->page->block[count];
            uint64_t *to = (uint64_t *)&block[count];
            for (size_t i = 0; i < sizeof *block / sizeof *from; i++)
                to[i] = counters_read(&from[i]);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return count;
}
