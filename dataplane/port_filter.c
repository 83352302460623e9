// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_filter.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

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

int port_filter_remove_left(const char *interface)
{
    const int at = (int)if_nametoindex(interface);
    __u32 id = 0;
    if (at == 0)
        return -ENODEV;
    int rc = bpf_xdp_query_id(at, 0, &id);
    if (rc < 0 || id == 0)
        return rc < 0 ? rc : 0;
    const int fd = bpf_prog_get_fd_by_id(id);
    if (fd < 0)
        return -errno;
    struct bpf_prog_info info = {0};
    __u32 len = sizeof info;
    rc = bpf_obj_get_info_by_fd(fd, &info, &len);
    close(fd);
    if (rc < 0)
        return -errno;
    if (strncmp(info.name, program_name, sizeof info.name - 1) != 0)
        return 0;
    rc = bpf_xdp_detach(at, 0, NULL);
    return rc < 0 ? rc : 1;
}
