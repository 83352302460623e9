// SPDX-License-Identifier: Apache-2.0
// The machine: processor, cores, memory for packets, limits, clock.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <unistd.h>

#include "control/doctor.h"

enum {
    CORE_MAX = 1024,
    HUGE_MB_WANTED = 128, // two workers of a NIC: pools, rings and tables of a small node
    FILES_PER_PROBE = 2,  // a socket, and libcurl's or a script's pipe
    FILES_OTHERWISE = 256 // sockets, tables, journals
};

static const char *flags_of_cpu(const struct doctor *d, char *line, size_t cap)
{
    char path[512];
    snprintf(path, sizeof path, "%s/proc/cpuinfo", d->root);
    FILE *f = fopen(path, "re");
    line[0] = 0;
    while (f && fgets(line, (int)cap, f))
        if (strncmp(line, "flags", 5) == 0) {
            fclose(f);
            return line;
        }
    if (f)
        fclose(f);
    line[0] = 0;
    return line;
}

static void check_cpu(struct doctor *d)
{
    char line[8192];
    static const char *const needed[] = {" ssse3", " sse4_1", " sse4_2", " popcnt"};
    flags_of_cpu(d, line, sizeof line);
    if (!line[0]) {
        doctor_find(d, DOCTOR_NOTE, "cpu", "", "no x86 processor: nothing is known of its abilities");
        return;
    }
    line[strcspn(line, "\n")] = ' ';
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        const char *at = strstr(line, needed[i]);
        if (at && at[strlen(needed[i])] == ' ')
            continue;
        doctor_find(d, DOCTOR_BAD, "cpu", "use a machine, or a CPU model of the hypervisor, of x86-64-v2 or later",
                    "the processor lacks%s", needed[i]);
        return;
    }
    doctor_find(d, DOCTOR_OK, "cpu", "", "it has what the programs are built for (x86-64-v2)%s",
                strstr(line, " constant_tsc") || strstr(line, " nonstop_tsc")
                    ? ""
                    : "; its time stamp counter may change its pace");
}

// Cores named in the configuration into core[]; their number.
static unsigned take_cores(const char *list, unsigned core[CORE_MAX])
{
    unsigned count = 0;
    for (unsigned n = 0; n < CORE_MAX && list; n++)
        if (doctor_is_listed(list, n))
            core[count++] = n;
    return count;
}

static void check_cores(struct doctor *d)
{
    char online[256], isolated[256], governor[64];
    unsigned core[CORE_MAX];
    const char *list = d->config ? d->config->dataplane.cores : NULL;
    const unsigned count = take_cores(list, core);
    doctor_read(d, "/sys/devices/system/cpu/online", online, sizeof online);
    doctor_read(d, "/sys/devices/system/cpu/isolated", isolated, sizeof isolated);
    doctor_read(d, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor, sizeof governor);
    bool are_isolated = count > 0;
    for (unsigned i = 0; i < count; i++) {
        are_isolated = are_isolated && doctor_is_listed(isolated, core[i]);
        if (online[0] && !doctor_is_listed(online, core[i]))
            doctor_find(d, DOCTOR_BAD, "cores", "name CPUs that are online in dataplane.cores",
                        "CPU %u is not online (online: %s)", core[i], online);
    }
    if (!count)
        doctor_find(d, DOCTOR_NOTE, "cores", "", "CPUs %s are online; the data plane chooses one for its worker",
                    online);
    else if (are_isolated)
        doctor_find(d, DOCTOR_OK, "cores", "", "the workers' CPUs %s are isolated", list);
    else
        doctor_find(d, DOCTOR_WARNING, "cores",
                    "add isolcpus=, nohz_full= and rcu_nocbs= with these CPUs to the kernel's command line, and keep "
                    "interrupts off them (irqaffinity=)",
                    "the workers' CPUs %s are shared with the rest of the machine: expect rare delays of milliseconds",
                    list);
    if (governor[0] && strcmp(governor, "performance") != 0)
        doctor_find(d, DOCTOR_WARNING, "cores", "cpupower frequency-set -g performance",
                    "the frequency governor is %s: the first packets after a pause are slower", governor);
}

static bool has_port(const struct doctor *d, const char *kind)
{
    for (unsigned i = 0; d->config && i < d->config->dataplane.port_count; i++)
        if (strncmp(d->config->dataplane.ports[i], kind, strlen(kind)) == 0)
            return true;
    return false;
}

static void check_huge_pages(struct doctor *d)
{
    const long small = doctor_number(d, "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", 0);
    const long large = doctor_number(d, "/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", 0);
    const long mb = small * 2 + large * 1024;
    const bool is_needed = has_port(d, "pci:") || (d->config && d->config->dataplane.huge_pages == CONFIG_ON);
    static const char remedy[] = "scripts/hugepages 256, or vm.nr_hugepages=128 in /etc/sysctl.d; for pages of 1 GB "
                                 "default_hugepagesz=1G hugepagesz=1G hugepages=1 on the kernel's command line";
    if (mb >= HUGE_MB_WANTED)
        doctor_find(d, DOCTOR_OK, "huge pages", "", "%ld MB are free (%ld of 2 MB, %ld of 1 GB)", mb, small, large);
    else
        doctor_find(d, is_needed ? DOCTOR_BAD : DOCTOR_NOTE, "huge pages", is_needed ? remedy : "", "%ld MB are free%s",
                    mb, is_needed ? "; a NIC of our own needs them" : "; software ports do without");
}

static void check_limits(struct doctor *d)
{
    struct rlimit limit;
    const bool is_needed = has_port(d, "pci:") || has_port(d, "af_xdp:");
    if (*d->root || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        return;
    if (limit.rlim_cur == RLIM_INFINITY)
        doctor_find(d, DOCTOR_OK, "memlock", "", "locked memory is not limited");
    else
        doctor_find(d, is_needed ? DOCTOR_WARNING : DOCTOR_NOTE, "memlock",
                    is_needed ? "LimitMEMLOCK=infinity in the unit (the shipped one has it), or ulimit -l unlimited"
                              : "",
                    "locked memory is limited to %llu kB here; root is not bound by it, VFIO and AF_XDP of others are",
                    (unsigned long long)limit.rlim_cur / 1024);
    if (!d->config || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    const uint64_t wanted = (uint64_t)d->config->control.probes_max * FILES_PER_PROBE + FILES_OTHERWISE;
    if (limit.rlim_max < wanted && limit.rlim_max != RLIM_INFINITY)
        doctor_find(d, DOCTOR_NOTE, "open files", "LimitNOFILE= in the unit, or a smaller control.probes_max",
                    "at most %llu descriptors; %llu would be needed if all of control.probes_max probes ran at once",
                    (unsigned long long)limit.rlim_max, (unsigned long long)wanted);
}

static void check_clock(struct doctor *d)
{
    struct timex t = {0};
    if (*d->root)
        return;
    const int state = adjtimex(&t);
    if (state == TIME_ERROR || t.status & STA_UNSYNC)
        doctor_find(
            d, DOCTOR_WARNING, "clock", "run chrony, systemd-timesyncd or another NTP client",
            "nothing keeps this clock in step: heartbeats and cookies of other nodes are refused when it is off "
            "by more than their tolerance");
    else
        doctor_find(d, DOCTOR_OK, "clock", "", "it is kept in step, error at most %ld ms", t.maxerror / 1000);
}

static void check_iommu(struct doctor *d)
{
    char line[4096];
    doctor_read(d, "/proc/cmdline", line, sizeof line);
    const bool is_on = doctor_has(d, "/sys/class/iommu/dmar0") || doctor_has(d, "/sys/class/iommu/ivhd0") ||
                       doctor_has(d, "/sys/kernel/iommu_groups/0");
    if (!has_port(d, "pci:"))
        return;
    if (is_on)
        doctor_find(d, DOCTOR_OK, "iommu", "", "it is on%s", strstr(line, "iommu=pt") ? ", in pass-through mode" : "");
    else
        doctor_find(
            d, DOCTOR_WARNING, "iommu",
            "switch VT-d or AMD-Vi on in the firmware, and intel_iommu=on iommu=pt on the kernel's command line; "
            "without one bind the NIC to uio_pci_generic, as root and at your own risk",
            "there is none: vfio-pci will not take the NIC");
    if (!doctor_has(d, "/sys/bus/pci/drivers/vfio-pci"))
        doctor_find(d, DOCTOR_NOTE, "iommu", "modprobe vfio-pci", "the driver vfio-pci is not loaded");
}

void doctor_check_host(struct doctor *d)
{
    check_cpu(d);
    check_cores(d);
    check_huge_pages(d);
    check_limits(d);
    check_iommu(d);
    check_clock(d);
}
