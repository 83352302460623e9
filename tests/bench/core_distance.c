// SPDX-License-Identifier: Apache-2.0
// How far two CPUs are from each other: a word goes to and fro between them.
//
// usage: core_distance CPU CPU
// Prints nanoseconds for one way there and back: the median of short series, so that what is put on these CPUs
// meanwhile does not count; some milliseconds in all, and never longer than SECONDS_MAX. Never at a real-time priority:
// both sides spin. Two hyper-threads of a core, or cores with a cache in common, take some 50 to 80; cores whose caches
// meet only in memory's controller some 300. In a virtual machine the answer may change from one minute to the next,
// and with it what a link between two processes can carry.
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SERIES = 51, TURNS = 100, SECONDS_MAX = 5 };

static uint64_t word __attribute__((aligned(128)));

static void stay_on(unsigned cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0) {
        perror("core_distance: sched_setaffinity");
        exit(1);
    }
}

static void wait_for(uint64_t value)
{
    while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) != value)
        __builtin_ia32_pause();
}

static void *send_back(void *cpu)
{
    stay_on(*(const unsigned *)cpu);
    for (uint64_t i = 1; i <= (uint64_t)SERIES * TURNS; i++) {
        wait_for(2 * i - 1);
        __atomic_store_n(&word, 2 * i, __ATOMIC_RELEASE);
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return fprintf(stderr, "usage: core_distance CPU CPU\n"), 2;
    unsigned cpu[2] = {(unsigned)atoi(argv[1]), (unsigned)atoi(argv[2])};
    double took[SERIES];
    pthread_t other;
    alarm(SECONDS_MAX); // ends the program
    stay_on(cpu[0]);
    if (cpu[0] == cpu[1] || pthread_create(&other, NULL, send_back, &cpu[1]) != 0)
        return fprintf(stderr, "core_distance: needs two CPUs and a thread\n"), 1;
    uint64_t turn = 0;
    for (unsigned i = 0; i < SERIES; i++) {
        const double begun = now_ns();
        for (unsigned k = 0; k < TURNS; k++) {
            turn++;
            __atomic_store_n(&word, 2 * turn - 1, __ATOMIC_RELEASE);
            wait_for(2 * turn);
        }
        took[i] = (now_ns() - begun) / TURNS;
    }
    pthread_join(other, NULL);
    qsort(took, SERIES, sizeof *took, compare);
    printf("%.0f\n", took[SERIES / 2]);
    return 0;
}
