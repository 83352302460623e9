// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_filter.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

#include "shared/log.h"
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

static const char program_name[] = "xsk_def_prog"; // as in port_filter.bpf.c
static const char own_map[] = "signpost_gate";     // by which we know a program as ours

enum { MAPS_MAX = 16, PROGRAMS_MAX = 16 };

// ---- what the libraries say ----

static char last_warning[PORT_FILTER_WHY_CAP]; // of libxdp, but for what it does about it

static int note_message(enum libxdp_print_level level, const char *format, va_list arguments)
{
    char text[PORT_FILTER_WHY_CAP];
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = 0;
    log_debug("%s", text);
    const char *said = strstr(text, "libxdp: ");
    if (level == LIBXDP_WARN && said && !strstr(text, "Falling back") && !strstr(text, "automatic program removal"))
        snprintf(last_warning, sizeof last_warning, "%s", said + strlen("libxdp: "));
    return 0;
}

static int note_bpf_message(enum libbpf_print_level level, const char *format, va_list arguments)
{
    char text[PORT_FILTER_WHY_CAP];
    (void)level;
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = 0;
    log_debug("%s", text);
    return 0;
}

static void listen_to_libraries(void)
{
    last_warning[0] = 0;
    libxdp_set_print(note_message);
    libbpf_set_print(note_bpf_message);
}

// ---- programs on an interface ----

static bool has_own_map(const struct xdp_program *program)
{
    __u32 ids[MAPS_MAX], len = sizeof(struct bpf_prog_info);
    struct bpf_prog_info info = {.nr_map_ids = MAPS_MAX, .map_ids = (__u64)(uintptr_t)ids};
    if (bpf_obj_get_info_by_fd(xdp_program__fd(program), &info, &len) < 0)
        return false;
    bool is_found = false;
    for (__u32 i = 0; i < info.nr_map_ids && i < MAPS_MAX && !is_found; i++) {
        struct bpf_map_info map = {0};
        len = sizeof map;
        const int fd = bpf_map_get_fd_by_id(ids[i]);
        is_found = fd >= 0 && bpf_obj_get_info_by_fd(fd, &map, &len) == 0 && strcmp(map.name, own_map) == 0;
        if (fd >= 0)
            close(fd);
    }
    return is_found;
}

// The program after `last` (null: the first) of those on the interface, or null.
static struct xdp_program *next_program(struct xdp_multiprog *all, struct xdp_program *last)
{
    if (!xdp_multiprog__is_legacy(all))
        return xdp_multiprog__next_prog(last, all);
    return last ? NULL : xdp_multiprog__main_prog(all);
}

// 1: taken off, 0: none of ours is there, or a negative errno.
static int remove_one(int interface)
{
    struct xdp_multiprog *all = xdp_multiprog__get_from_ifindex(interface);
    const long rc = libxdp_get_error(all);
    if (rc)
        return rc == -ENOENT ? 0 : (int)rc;
    struct xdp_program *p = next_program(all, NULL);
    for (unsigned i = 0; p && i < PROGRAMS_MAX && !has_own_map(p); i++)
        p = next_program(all, p);
    int removed = 0;
    if (p && has_own_map(p)) {
        removed = xdp_program__detach(p, interface, xdp_multiprog__attach_mode(all), 0);
        removed = removed < 0 ? removed : 1;
    }
    xdp_multiprog__close(all);
    return removed;
}

int port_filter_remove_left(const char *interface)
{
    const int at = (int)if_nametoindex(interface);
    int rc, removed = 0;
    listen_to_libraries();
    if (at == 0)
        return -ENODEV;
    while ((rc = remove_one(at)) == 1 && removed < PROGRAMS_MAX)
        removed++;
    return rc < 0 ? rc : removed > 0;
}

// Programs on the interface that hand frames to AF_XDP sockets and are not number `own`; is_shared: they, or ours, came
// by the dispatcher.
static unsigned count_others(int interface, __u32 own, bool *is_shared)
{
    unsigned others = 0;
    struct xdp_multiprog *all = xdp_multiprog__get_from_ifindex(interface);
    *is_shared = false;
    if (libxdp_get_error(all))
        return 0;
    *is_shared = !xdp_multiprog__is_legacy(all);
    struct xdp_program *p = next_program(all, NULL);
    for (unsigned i = 0; p && i < PROGRAMS_MAX; i++, p = next_program(all, p))
        others += strcmp(xdp_program__name(p), program_name) == 0 && xdp_program__id(p) != own;
    xdp_multiprog__close(all);
    return others;
}

bool port_filter_is_only(const struct port_filter *filter)
{
    bool is_shared;
    return filter->is_attached && count_others(filter->interface, xdp_program__id(filter->program), &is_shared) == 0;
}

// ---- ours ----

static int load(struct port_filter *f)
{
    LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "signpost_port");
    f->object =
        bpf_object__open_mem(port_filter_object, (size_t)(port_filter_object_end - port_filter_object), &options);
    if (!f->object)
        return -errno;
    struct xdp_program *program = xdp_program__from_bpf_obj(f->object, "xdp");
    const long rc = libxdp_get_error(program);
    if (rc == 0)
        f->program = program;
    return (int)rc;
}

static void unload(struct port_filter *f)
{
    xdp_program__close(f->program);
    bpf_object__close(f->object); // with the maps' descriptors
    f->program = NULL;
    f->object = NULL;
}

static int load_and_attach(struct port_filter *f)
{
    const int rc = load(f);
    return rc < 0 ? rc : xdp_program__attach(f->program, f->interface, XDP_MODE_UNSPEC, 0);
}

// libxdp goes without its dispatcher by itself where kernel or file system know nothing of it, but not where they only
// refuse it (no right to write to the bpf file system).
static int attach_alone(struct port_filter *f)
{
    static const char without[] = "LIBXDP_SKIP_DISPATCHER";
    const bool is_set = getenv(without) != NULL;
    unload(f);
    setenv(without, "1", 1);
    const int rc = load_and_attach(f);
    if (!is_set)
        unsetenv(without);
    return rc;
}

int port_filter_attach(struct port_filter *f, const char *interface, char why[PORT_FILTER_WHY_CAP])
{
    *f = (struct port_filter){.interface = (int)if_nametoindex(interface), .gate_fd = -1, .count_fd = -1};
    listen_to_libraries();
    why[0] = 0;
    if (f->interface == 0)
        return -ENODEV;
    if (count_others(f->interface, 0, &f->is_shared)) {
        snprintf(why, PORT_FILTER_WHY_CAP, "another program's AF_XDP sockets have the interface already");
        return -EBUSY;
    }
    int rc = load_and_attach(f);
    snprintf(why, PORT_FILTER_WHY_CAP, "%s", last_warning);
    if (rc < 0 && rc != -EBUSY && rc != -EEXIST)
        rc = attach_alone(f);
    if (rc < 0)
        return rc;
    f->is_attached = true;
    count_others(f->interface, xdp_program__id(f->program), &f->is_shared);
    f->gate_fd = bpf_object__find_map_fd_by_name(f->object, own_map);
    f->count_fd = bpf_object__find_map_fd_by_name(f->object, "signpost_count");
    return f->gate_fd < 0 || f->count_fd < 0 ? -ENOENT : 0;
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

int port_filter_set_addresses(struct port_filter *filter, const uint8_t mac[6], const struct node_address *address,
                              unsigned address_count)
{
    const int fd = filter->object ? bpf_object__find_map_fd_by_name(filter->object, "signpost_addr") : -ENOENT;
    if (fd < 0)
        return fd;
    filter->gate.has_addresses = address_count > 0;
    memcpy(filter->gate.mac, mac, sizeof filter->gate.mac);
    return put_addresses(fd, address, address_count);
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

void port_filter_fini(struct port_filter *f)
{
    if (f->is_attached) {
        const int rc = xdp_program__detach(f->program, f->interface, XDP_MODE_UNSPEC, 0);
        if (rc < 0)
            log_warning("our XDP program cannot be taken off: %s: %s", strerror(-rc), last_warning);
    }
    unload(f);
    *f = (struct port_filter){.gate_fd = -1, .count_fd = -1};
}
