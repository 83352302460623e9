// SPDX-License-Identifier: Apache-2.0
#include "dataplane/eal_dpdk.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "shared/log.h"
#include "dataplane/pci_device.h"

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
    for (unsigned i = 0; i < options->core_count && !is_floating; i++) // DNS over TCP, say, never delays a worker
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

static unsigned long free_huge_mb(void)
{
    return read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") * 2 +
           read_number("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages") * 1024;
}

// What the cards of the command line ask of EAL.
struct cards {
    unsigned count, physical_count;
    bool is_vfio; // at least one
};

static int look_at_cards(struct cards *c, const struct options *options, char *why, unsigned why_cap)
{
    memset(c, 0, sizeof *c);
    for (unsigned i = 0; i < options->port_count; i++) {
        char text[PCI_DEVICE_WHY_CAP];
        struct pci_device device;
        if (options->port[i].kind != PORT_PCI)
            continue;
        const int rc = pci_device_check(&device, "", options->port[i].name, text);
        if (rc < 0) {
            snprintf(why, why_cap, "port pci:%.16s: %s", options->port[i].name, text);
            return rc;
        }
        c->count++;
        c->physical_count += device.has_physical_addresses;
        c->is_vfio |= strncmp(device.driver, "vfio-", 5) == 0;
    }
    if (c->physical_count == 0 || c->physical_count == c->count)
        return 0;
    return fail(-EINVAL, why, why_cap,
                "some cards are bound to vfio-pci and some to uio_pci_generic: DPDK gives either virtual or physical "
                "addresses to all; bind them alike (`scripts/nic status` shows them)");
}

static bool may_lock_any_memory(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {0};
    return syscall(SYS_capget, &header, data) == 0 && (data[0].effective >> CAP_IPC_LOCK & 1);
}

// vfio locks all memory that a card may reach.
static int check_locked_memory(unsigned memory_mb, char *why, unsigned why_cap)
{
    struct rlimit limit;
    if (may_lock_any_memory() || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_MEMLOCK, &limit);
    }
    if (limit.rlim_cur >> 20 >= memory_mb)
        return 0;
    snprintf(why, why_cap,
             "vfio-pci locks %u MB for the card, and this process may lock %lu MB; raise the limit "
             "(LimitMEMLOCK=infinity in the unit file, `ulimit -l unlimited` in a shell) or give it CAP_IPC_LOCK",
             memory_mb, (unsigned long)(limit.rlim_cur >> 20));
    return -ENOMEM;
}

// Whether to use huge pages; -ENOMEM with a sentence when they are a must and short.
static int choose_pages(const struct options *options, const struct cards *cards, unsigned memory_mb, char *why,
                        unsigned why_cap)
{
    const unsigned long free_mb = free_huge_mb();
    const bool is_must = options->huge == HUGE_ON || cards->physical_count;
    if (options->huge == HUGE_OFF && cards->physical_count)
        return fail(-EINVAL, why, why_cap,
                    "--huge off: a card on uio_pci_generic needs huge pages, whose physical addresses stay; bind it to "
                    "vfio-pci, or leave --huge off out");
    if (options->huge == HUGE_OFF)
        return 0;
    if (free_mb >= memory_mb)
        return 1;
    if (is_must) {
        snprintf(why, why_cap,
                 "%u MB of huge pages are needed and %lu MB are free; `scripts/hugepages reserve %u` reserves them",
                 memory_mb, free_mb, memory_mb);
        return -ENOMEM;
    }
    if (cards->count)
        log_warning("%lu MB of huge pages are free, %u MB are needed: going on without, which costs speed; "
                    "`scripts/hugepages reserve %u` reserves them",
                    free_mb, memory_mb, memory_mb);
    return 0;
}

// Without huge pages a packet buffer of 2.4 kB does not cross the border of an ordinary page, and so takes all of one.
static unsigned in_ordinary_pages(unsigned buffers_mb)
{
    return buffers_mb * 7 / 4;
}

int eal_start(const struct options *options, bool is_floating, unsigned memory_mb, char *why, unsigned why_cap)
{
    static char lcores[CPU_TEXT_CAP], memory[32], allow[OPTIONS_PORT_MAX][OPTIONS_TEXT_CAP];
    static char *argv[ARGUMENTS_MAX]; // EAL keeps pointers into it
    int argc = 0;
    struct cards cards;
    const unsigned buffers_mb = memory_mb;
    memory_mb += BASE_MEMORY_MB;
    int rc = look_at_cards(&cards, options, why, why_cap);
    const int is_huge = rc < 0 ? rc : choose_pages(options, &cards, memory_mb, why, why_cap);
    if (is_huge == 0)
        memory_mb = in_ordinary_pages(buffers_mb) + BASE_MEMORY_MB;
    if (is_huge >= 0 && cards.is_vfio)
        rc = check_locked_memory(memory_mb, why, why_cap);
    if (rc < 0 || is_huge < 0)
        return rc < 0 ? rc : is_huge;
    lcores_argument(lcores, options, is_floating);
    snprintf(memory, sizeof memory, "%u", memory_mb);
    static const char *const fixed[] = {"signpost-dataplane", "--main-lcore=0", "--file-prefix=signpost",
                                        "--no-telemetry", "-m"};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        argv[argc++] = (char *)(uintptr_t)fixed[i];
    argv[argc++] = memory;
    argv[argc++] = lcores;
    argv[argc++] = (char *)(uintptr_t)(cards.physical_count ? "--iova-mode=pa" : "--iova-mode=va");
    argv[argc++] = (char *)(uintptr_t)(options->is_verbose ? "--log-level=*:info" : "--log-level=*:error");
    // No file of ours is left behind in either way; --in-memory would be refused together with --no-huge.
    argv[argc++] = (char *)(uintptr_t)(is_huge ? "--in-memory" : "--no-huge");
    if (!is_huge)
        argv[argc++] = (char *)(uintptr_t) "--no-shconf";
    if (cards.count == 0)
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
