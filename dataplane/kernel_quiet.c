// SPDX-License-Identifier: Apache-2.0
#include "dataplane/kernel_quiet.h"

#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/log.h"

enum { PORT_DNS = 53 };

static int open_one(const struct node_address *address)
{
    const int fd = listen_bind(SOCK_DGRAM, address, PORT_DNS);
    if (fd < 0)
        return fd;
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog program = {1, &drop};
    const int smallest = 1; // for what arrived before the filter; the kernel rounds up
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &smallest, sizeof smallest);
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
        log_warning("no filter on the socket that keeps UDP port 53 quiet; its queue will fill, which does no harm");
    return fd;
}

// True when all could be had.
static bool open_all(struct kernel_quiet *quiet, const struct node_address *address, unsigned count, bool is_reported)
{
    bool is_complete = true;
    for (unsigned i = 0; i < count && quiet->count < LISTEN_MAX; i++) {
        const int fd = open_one(&address[i]);
        char text[46];
        if (fd >= 0)
            quiet->fd[quiet->count++] = fd;
        else if (is_reported)
            log_warning(
                "UDP port 53 of %s: %s; clients there may get an answer or an ICMP error from the kernel beside "
                "ours",
                listen_text(&address[i], text), strerror(-fd));
        is_complete = is_complete && fd >= 0;
    }
    return is_complete;
}

unsigned kernel_quiet_open(struct kernel_quiet *quiet, const struct node_address *address, unsigned count,
                           const char *interface)
{
    quiet->count = 0;
    if (count) {
        open_all(quiet, address, count, true);
        return quiet->count;
    }
    struct node_address found[LISTEN_MAX];
    if (open_all(quiet, found, listen_wildcards(found), false))
        return quiet->count;
    kernel_quiet_close(quiet);
    open_all(quiet, found, listen_interface(interface, found), true);
    return quiet->count;
}

void kernel_quiet_close(struct kernel_quiet *quiet)
{
    for (unsigned i = 0; i < quiet->count; i++)
        close(quiet->fd[i]);
    quiet->count = 0;
}
