// SPDX-License-Identifier: Apache-2.0
#include "dataplane/eal_dpdk.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>

enum {
    ARGUMENTS_MAX = 64,
    CPU_TEXT_CAP = 16384, // OPTIONS_CPU_MAX numbers of up to five characters, several lists
    BASE_MEMORY_MB = 24   // rings, device data, and EAL's own
};

static int fail(int rc, char *why, unsigned why_cap, const char *text)
{
    snprintf(why, why_cap, "%s", text);
    return rc;
}

int eal_choose_cores(struct options *options, bool *is_floating, char *why, unsigned why_cap)
{
    cpu_set_t allowed;
    *is_floating = false;
    if (sched_getaffinity(0, sizeof allowed, &allowed) < 0)
        return fail(-errno, why, why_cap, "sched_getaffinity failed");
    for (unsigned i = 0; i < options->core_count; i++)
        if (!CPU_ISSET(options->core[i], &allowed)) {
            snprintf(why, why_cap,
                     "--cores: CPU %u is not there or not allowed to this process (`nproc`, `taskset -p $$`)",
                     options->core[i]);
            return -EINVAL;
        }
    if (options->core_count)
        return 0;
    unsigned last = CPU_SETSIZE - 1;
    while (last > 0 && !CPU_ISSET(last, &allowed))
        last--;
    options->core[0] = (uint16_t)last;
    options->core_count = 1;
    // A worker that sleeps shares its CPU with others: the scheduler places it better than we do.
    *is_floating = options_idle(options) == IDLE_SLEEP;
    return 0;
}

static void append_cpus(char *text, const cpu_set_t *set)
{
    size_t at = strlen(text);
    const char *separator = "(";
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, set))
            continue;
        at += (size_t)snprintf(text + at, CPU_TEXT_CAP - at, "%s%u", separator, cpu);
        separator = ",";
    }
    snprintf(text + at, CPU_TEXT_CAP - at, ")");
}

// "--lcores=0@(CPUs of the main thread),1@CPU,2@CPU": lcore n+1 is worker n.
static void lcores_argument(char *text, const struct options *options, bool is_floating)
{
    cpu_set_t allowed, rest;
    sched_getaffinity(0, sizeof allowed, &allowed);
    rest = allowed;
    for (unsigned i = 0; i < options->core_count && options_idle(options) == IDLE_BUSY; i++)
        CPU_CLR(options->core[i], &rest);
    snprintf(text, CPU_TEXT_CAP, "--lcores=0@");
    append_cpus(text, CPU_COUNT(&rest) ? &rest : &allowed);
    for (unsigned i = 0; i < options->core_count; i++) {
        const size_t at = strlen(text);
        if (is_floating) {
            snprintf(text + at, CPU_TEXT_CAP - at, ",%u@", i + 1);
            append_cpus(text, &allowed);
        } else {
            snprintf(text + at, CPU_TEXT_CAP - at, ",%u@%u", i + 1, options->core[i]);
        }
    }
}

static unsigned long read_number(const char *path)
{
    unsigned long value = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lu", &value) != 1)
        value = 0;
    fclose(f);
    return value;
}

static bool has_huge_pages(unsigned memory_mb)
{
    const unsigned long two_mb = read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    const unsigned long one_gb = read_number("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages");
    return two_mb * 2 + one_gb * 1024 >= memory_mb;
}

static bool has_pci(const struct options *options)
{
    for (unsigned i = 0; i < options->port_count; i++)
        if (options->port[i].kind == PORT_PCI)
            return true;
    return false;
}

int eal_start(const struct options *options, bool is_floating, unsigned memory_mb, char *why, unsigned why_cap)
{
    static char lcores[CPU_TEXT_CAP], memory[32], allow[OPTIONS_PORT_MAX][OPTIONS_TEXT_CAP];
    static char *argv[ARGUMENTS_MAX]; // EAL keeps pointers into it
    int argc = 0;
    const bool is_huge =
        options->huge == HUGE_ON || (options->huge == HUGE_AUTO && has_huge_pages(memory_mb + BASE_MEMORY_MB));
    lcores_argument(lcores, options, is_floating);
    snprintf(memory, sizeof memory, "%u", memory_mb + BASE_MEMORY_MB);
    static const char *const fixed[] = {"signpost-dataplane", "--main-lcore=0", "--file-prefix=signpost",
                                        "--no-telemetry",     "--iova-mode=va", "-m"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        argv[argc++] = (char *)(uintptr_t)fixed[i];
    argv[argc++] = memory;
    argv[argc++] = lcores;
    argv[argc++] = (char *)(uintptr_t)(options->is_verbose ? "--log-level=*:info" : "--log-level=*:error");
    // No file of ours is left behind in either way; --in-memory would be refused together with --no-huge.
    argv[argc++] = (char *)(uintptr_t)(is_huge ? "--in-memory" : "--no-huge");
    if (!is_huge)
        argv[argc++] = (char *)(uintptr_t) "--no-shconf";
    if (!has_pci(options))
        argv[argc++] = (char *)(uintptr_t) "--no-pci";
    for (unsigned i = 0; i < options->port_count; i++)
        if (options->port[i].kind == PORT_PCI) {
            snprintf(allow[i], sizeof allow[i], "--allow=%.*s", OPTIONS_TEXT_CAP - 10, options->port[i].name);
            argv[argc++] = allow[i];
        }
    for (unsigned i = 0; i < options->eal_count && argc < ARGUMENTS_MAX - 1; i++)
        argv[argc++] = options->eal[i];
    if (rte_eal_init(argc, argv) >= 0)
        return 0;
    snprintf(why, why_cap, "DPDK does not start: %s%s", strerror(rte_errno),
             options->huge == HUGE_ON ? "; are there free huge pages (/proc/meminfo)? --huge off does without"
                                      : "; --verbose shows its messages");
    return rte_errno ? -rte_errno : -EIO;
}

int eal_launch(unsigned number, int (*run)(void *), void *argument)
{
    return rte_eal_remote_launch(run, argument, number + 1);
}

void eal_wait(void)
{
    rte_eal_mp_wait_lcore();
}

uint64_t eal_ticks_per_s(void)
{
    return rte_get_tsc_hz();
}

bool eal_uses_huge_pages(void)
{
    return rte_eal_has_hugepages();
}

void eal_stop(void)
{
    rte_eal_cleanup();
}
