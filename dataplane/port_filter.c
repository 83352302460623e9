// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_filter.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "table/counters.h"

// The object file that clang made of port_filter.bpf.c.
__asm__(".section .rodata\n"
        ".global port_filter_object, port_filter_object_end\n"
        ".balign 8\n"
        "port_filter_object:\n"
        ".incbin \"" PORT_FILTER_OBJECT "\"\n"
        "port_filter_object_end:\n"
        ".previous\n");
extern const char port_filter_object[], port_filter_object_end[];

static const char program_name[] = "signpost_port"; // as in port_filter.bpf.c

int port_filter_open(char path[PORT_FILTER_PATH_CAP])
{
    const size_t len = (size_t)(port_filter_object_end - port_filter_object);
    const int fd = memfd_create("signpost-port-filter", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (size_t at = 0; at < len;) {
        const ssize_t n = write(fd, port_filter_object + at, len - at);
        if (n <= 0) {
            close(fd);
            return -EIO;
        }
        at += (size_t)n;
    }
    snprintf(path, PORT_FILTER_PATH_CAP, "/proc/self/fd/%d", fd);
    return fd;
}

// Our program on the interface; its descriptor and `info`, 0 when there is none of ours, or a negative errno.
static int find_program(int interface, struct bpf_prog_info *info)
{
    __u32 id = 0, len = sizeof *info;
    const int rc = bpf_xdp_query_id(interface, 0, &id);
    if (rc < 0 || id == 0)
        return rc;
    const int fd = bpf_prog_get_fd_by_id(id);
    if (fd < 0)
        return -errno;
    if (bpf_obj_get_info_by_fd(fd, info, &len) < 0 || strncmp(info->name, program_name, sizeof info->name - 1) != 0) {
        close(fd);
        return 0;
    }
    return fd;
}

int port_filter_remove_left(const char *interface)
{
    const int at = (int)if_nametoindex(interface);
    struct bpf_prog_info info = {0};
    if (at == 0)
        return -ENODEV;
    const int fd = find_program(at, &info);
    if (fd <= 0)
        return fd;
    close(fd);
    const int rc = bpf_xdp_detach(at, 0, NULL);
    return rc < 0 ? rc : 1;
}

// The program's map of this name: a descriptor, or -1.
static int find_map(const struct bpf_prog_info *info, const char *name)
{
    const __u32 *id = (const __u32 *)(uintptr_t)info->map_ids;
    for (__u32 i = 0; i < info->nr_map_ids; i++) {
        struct bpf_map_info map = {0};
        __u32 len = sizeof map;
        const int fd = bpf_map_get_fd_by_id(id[i]);
        if (fd < 0)
            continue;
        if (bpf_obj_get_info_by_fd(fd, &map, &len) == 0 && strcmp(map.name, name) == 0)
            return fd;
        close(fd);
    }
    return -1;
}

static int put_addresses(int fd, const struct node_address *address, unsigned count)
{
    static_assert((int)PORT_FILTER_ADDRESS_MAX == (int)OPTIONS_ADDRESS_MAX, "every address finds its place");
    for (unsigned i = 0; i < count; i++) {
        struct port_filter_address key = {.is_ipv6 = address[i].is_ipv6};
        const __u8 is_there = 1;
        memcpy(key.address, address[i].address, address[i].is_ipv6 ? 16 : 4);
        if (bpf_map_update_elem(fd, &key, &is_there, BPF_ANY) < 0)
            return -errno;
    }
    return 0;
}

int port_filter_attach(struct port_filter *filter, const char *interface, const uint8_t mac[6],
                       const struct node_address *address, unsigned address_count)
{
    enum { MAPS_MAX = 16 };
    __u32 ids[MAPS_MAX];
    struct bpf_prog_info info = {.nr_map_ids = MAPS_MAX, .map_ids = (__u64)(uintptr_t)ids};
    *filter = (struct port_filter){.gate_fd = -1, .count_fd = -1};
    const int fd = find_program((int)if_nametoindex(interface), &info);
    if (fd <= 0)
        return fd < 0 ? fd : -ENOENT;
    close(fd);
    filter->gate_fd = find_map(&info, "signpost_gate");
    filter->count_fd = find_map(&info, "signpost_count");
    const int address_fd = find_map(&info, "signpost_addr");
    int rc = filter->gate_fd < 0 || filter->count_fd < 0 || address_fd < 0 ? -ENOENT : 0;
    if (rc == 0)
        rc = put_addresses(address_fd, address, address_count);
    if (address_fd >= 0)
        close(address_fd);
    filter->gate.has_addresses = address_count > 0;
    memcpy(filter->gate.mac, mac, sizeof filter->gate.mac);
    return rc;
}

int port_filter_set_open(struct port_filter *filter, bool is_open)
{
    const __u32 zero = 0;
    filter->gate.is_open = is_open;
    return bpf_map_update_elem(filter->gate_fd, &zero, &filter->gate, BPF_ANY) < 0 ? -errno : 0;
}

void port_filter_add_counts(const struct port_filter *filter, uint64_t sum[PORT_FILTER_COUNT_MAX])
{
    static_assert((unsigned)PORT_FILTER_COUNT_MAX == (unsigned)COUNTERS_FILTER_COUNT &&
                      (unsigned)PORT_FILTER_NO_QUEUE == (unsigned)COUNTERS_FILTER_no_queue,
                  "the same list for the kernel's program and for readers");
    const int cpus = libbpf_num_possible_cpus();
    __u64 *count = cpus > 0 ? calloc((size_t)cpus, sizeof *count) : NULL;
    for (__u32 what = 0; count && what < PORT_FILTER_COUNT_MAX; what++) {
        if (bpf_map_lookup_elem(filter->count_fd, &what, count) < 0)
            continue;
        for (int i = 0; i < cpus; i++)
            sum[what] += count[i];
    }
    free(count);
}

void port_filter_fini(struct port_filter *filter)
{
    if (filter->gate_fd >= 0)
        close(filter->gate_fd);
    if (filter->count_fd >= 0)
        close(filter->count_fd);
    filter->gate_fd = filter->count_fd = -1;
}
