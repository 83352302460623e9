// SPDX-License-Identifier: Apache-2.0
#include "dataplane/guardian.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dataplane/port_filter_map.h"

// Shared by the two processes.
struct page {
    pthread_mutex_t alive;            // held by the main thread of the data plane for as long as it lives
    uint32_t gate[GUARDIAN_GATE_MAX]; // written by it before gate_count
    uint32_t gate_count;
};

struct guardian {
    struct page *page;
    pid_t pid;
};

static void shut(uint32_t map_id)
{
    const __u32 zero = 0;
    struct port_filter_gate gate;
    const int fd = bpf_map_get_fd_by_id(map_id);
    if (fd < 0 || bpf_map_lookup_elem(fd, &zero, &gate) < 0)
        return; // the program is gone, which is as good
    gate.is_open = 0;
    bpf_map_update_elem(fd, &zero, &gate, BPF_ANY);
}

static void watch(struct page *page)
{
    const struct sched_param first = {.sched_priority = 1};
    prctl(PR_SET_NAME, "signpost-guard", 0, 0, 0);
    sched_setscheduler(0, SCHED_FIFO, &first); // it runs once, for microseconds, when each of them counts
    syscall(SYS_close_range, 0, ~0u, 0);       // a log's reader must not wait for us
    if (pthread_mutex_lock(&page->alive) == EOWNERDEAD)
        for (uint32_t i = 0; i < __atomic_load_n(&page->gate_count, __ATOMIC_ACQUIRE) && i < GUARDIAN_GATE_MAX; i++)
            shut(page->gate[i]);
    _exit(0);
}

static int init_page(struct page *page)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    const int rc = pthread_mutex_init(&page->alive, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return rc ? rc : pthread_mutex_lock(&page->alive);
}

struct guardian *guardian_start(void)
{
    struct guardian *g = calloc(1, sizeof *g);
    struct page *page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!g || page == MAP_FAILED || init_page(page) != 0 || (g->pid = fork()) < 0) {
        if (page != MAP_FAILED)
            munmap(page, sizeof *page);
        free(g);
        return NULL;
    }
    if (g->pid == 0)
        watch(page);
    g->page = page;
    return g;
}

void guardian_watch(struct guardian *g, uint32_t map_id)
{
    if (!g || g->page->gate_count == GUARDIAN_GATE_MAX)
        return;
    g->page->gate[g->page->gate_count] = map_id;
    __atomic_store_n(&g->page->gate_count, g->page->gate_count + 1, __ATOMIC_RELEASE);
}

void guardian_arm(struct guardian *g)
{
    const struct sched_param first = {.sched_priority = 1};
    if (g)
        sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
}

void guardian_stop(struct guardian *g)
{
    if (!g)
        return;
    pthread_mutex_unlock(&g->page->alive);
    waitpid(g->pid, NULL, 0);
    munmap(g->page, sizeof *g->page);
    free(g);
}
