// SPDX-License-Identifier: Apache-2.0
#include "control/worker_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct progress {
    uint64_t loops, moved_ns;
};

struct worker_watch {
    pthread_mutex_t lock; // all fields
    const struct counters_page *page;
    size_t bytes;
    int pid; // whose threads can be asked; 0: nobody's
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

int worker_watch_attach(struct worker_watch *w, int fd, int pid)
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
    // Another count of processes inside a container: thread numbers mean nothing here.
    w->pid = pid > 0 && w->page->pid == (uint32_t)pid ? pid : 0;
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

// The thread's state by the kernel's letter; '?' when it cannot be seen.
static char thread_state(int pid, uint64_t thread)
{
    char path[64], text[128] = "";
    snprintf(path, sizeof path, "/proc/%d/task/%llu/stat", pid, (unsigned long long)thread);
    const int fd = thread ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return '?';
    const ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    const char *name_end = len > 0 ? strrchr(text, ')') : NULL; // the name may hold anything, brackets too
    return name_end && name_end[1] == ' ' && name_end[2] ? name_end[2] : '?';
}

// How long a thread in this state may stand still: the table in the header.
static uint64_t patience_ns(char state)
{
    switch (state) {
    case 'T': // stopped
    case 't': // by a debugger
    case 'Z':
    case 'X':
        return 0;
    case 'S':
    case 'D':
        return WORKER_WATCH_BLOCKED_NS;
    default:
        return WORKER_WATCH_PATIENCE_NS;
    }
}

// A worker whose counter has not moved since it was last looked at.
static bool is_stuck(const struct worker_watch *w, const struct counters_block *block, const struct progress *p,
                     uint64_t now_ns)
{
    const uint64_t still_ns = now_ns > p->moved_ns ? now_ns - p->moved_ns : 0;
    const uint64_t patience =
        w->pid ? patience_ns(thread_state(w->pid, counters_read(&block->thread_id))) : WORKER_WATCH_PATIENCE_NS;
    // It may have run, and gone to sleep, between the two looks.
    return still_ns > patience && counters_read(&block->value[COUNTER_loops]) == p->loops;
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
        } else if (is_stuck(w, &w->page->block[i], p, now_ns)) {
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
