// SPDX-License-Identifier: Apache-2.0
#include "dataplane/guardian.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dataplane/port_filter_map.h"

enum {
    // Looks at the rings after a death, a millisecond apart: the first when the dead process' threads have left their
    // processors, the last when no program that found the gate open can still be running.
    LOOKS = 5,
    LOOK_NS = 1000000,
    DESCRIPTORS_CLOSED = 4096 // one by one; those above all at once
};

struct guardian {
    pthread_mutex_t *alive; // shared; held by the main thread of the data plane for as long as it lives
    pid_t pid;
};

static void shut(int fd)
{
    const __u32 zero = 0;
    struct port_filter_gate gate;
    if (bpf_map_lookup_elem(fd, &zero, &gate) < 0)
        return;
    gate.is_open = 0;
    bpf_map_update_elem(fd, &zero, &gate, BPF_ANY);
}

static void stand_by(struct guardian_watch *w, int pass_fd)
{
    for (unsigned i = 0; i < w->gate_count; i++)
        shut(w->gate_fd[i]);
    for (unsigned look = 0; look < LOOKS; look++) {
        nanosleep(&(struct timespec){0, LOOK_NS}, NULL);
        for (unsigned i = 0; i < w->ring_count; i++) {
            if (look == 0)
                stranded_ring_begin(&w->ring[i]);
            stranded_give_back(&w->ring[i], pass_fd);
        }
    }
}

static bool is_needed(const struct guardian_watch *w, int pass_fd, int fd)
{
    bool is = fd == pass_fd;
    for (unsigned i = 0; i < w->gate_count; i++)
        is |= fd == w->gate_fd[i];
    for (unsigned i = 0; i < w->ring_count; i++)
        is |= fd == w->ring[i].fd;
    return is;
}

// In the child. The signals that end the data plane are blocked: what ends it is the end of the data plane.
static void watch(struct guardian_watch *w, int pass_fd, pthread_mutex_t *alive)
{
    const struct sched_param first = {.sched_priority = 1};
    prctl(PR_SET_NAME, "signpost-guard", 0, 0, 0);
    sched_setscheduler(0, SCHED_FIFO, &first);      // it runs once, for milliseconds, when each of them counts
    for (int fd = 0; fd < DESCRIPTORS_CLOSED; fd++) // a log's reader must not wait for us
        if (!is_needed(w, pass_fd, fd))
            close(fd);
    syscall(SYS_close_range, DESCRIPTORS_CLOSED, ~0u, 0);
    if (pthread_mutex_lock(alive) == EOWNERDEAD)
        stand_by(w, pass_fd);
    _exit(0);
}

static pthread_mutex_t *new_mutex(void)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t *mutex = mmap(NULL, sizeof *mutex, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mutex == MAP_FAILED)
        return NULL;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    const bool is_held = pthread_mutex_init(mutex, &attributes) == 0 && pthread_mutex_lock(mutex) == 0;
    pthread_mutexattr_destroy(&attributes);
    if (is_held)
        return mutex;
    munmap(mutex, sizeof *mutex);
    return NULL;
}

struct guardian *guardian_start(const struct guardian_watch *watched)
{
    struct guardian *g = calloc(1, sizeof *g);
    struct guardian_watch *copy = malloc(sizeof *copy);
    const int pass_fd = stranded_open_pass(); // without: the gates alone
    if (g && copy)
        g->alive = new_mutex();
    if (!g || !copy || !g->alive || (*copy = *watched, g->pid = fork()) < 0) {
        if (g && g->alive)
            munmap(g->alive, sizeof *g->alive);
        free(g);
        g = NULL;
    } else if (g->pid == 0) {
        watch(copy, pass_fd, g->alive);
    }
    free(copy);
    if (pass_fd >= 0)
        close(pass_fd);
    return g;
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
    pthread_mutex_unlock(g->alive);
    waitpid(g->pid, NULL, 0);
    munmap(g->alive, sizeof *g->alive);
    free(g);
}
