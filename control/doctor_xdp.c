// SPDX-License-Identifier: Apache-2.0
// Another XDP program on an interface: whether ours can come beside it.
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/doctor.h"

enum { ANSWER_CAP = 16384, ANSWER_S = 2 };

// The attribute of this kind among `len` bytes, or null.
static const struct rtattr *find_attribute(const struct rtattr *first, size_t len, unsigned kind)
{
    for (const struct rtattr *a = first; RTA_OK(a, len); a = RTA_NEXT(a, len))
        if ((a->rta_type & NLA_TYPE_MASK) == kind)
            return a;
    return NULL;
}

static uint32_t program_in(const struct nlmsghdr *answer, size_t len)
{
    if (!NLMSG_OK(answer, len) || answer->nlmsg_type != RTM_NEWLINK ||
        answer->nlmsg_len < NLMSG_LENGTH(sizeof(struct ifinfomsg)))
        return 0;
    const struct ifinfomsg *link = NLMSG_DATA(answer);
    const struct rtattr *xdp = find_attribute(IFLA_RTA(link), IFLA_PAYLOAD(answer), IFLA_XDP);
    const struct rtattr *id = xdp ? find_attribute(RTA_DATA(xdp), RTA_PAYLOAD(xdp), IFLA_XDP_PROG_ID) : NULL;
    uint32_t value = 0;
    if (id && RTA_PAYLOAD(id) >= sizeof value)
        memcpy(&value, RTA_DATA(id), sizeof value);
    return value;
}

// Number of the XDP program on the interface, as the kernel tells everybody; 0: there is none.
static uint32_t ask_program(const char *interface)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } question = {.header = {.nlmsg_len = sizeof question, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
                  .link = {.ifi_family = AF_UNSPEC, .ifi_index = (int)if_nametoindex(interface)}};
    static union {
        struct nlmsghdr header;
        uint8_t bytes[ANSWER_CAP];
    } answer;
    const struct timeval limit = {ANSWER_S, 0};
    const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ssize_t n = send(fd, &question, sizeof question, 0);
    if (n == (ssize_t)sizeof question)
        n = recv(fd, &answer, sizeof answer, 0);
    close(fd);
    return n > 0 ? program_in(&answer.header, (size_t)n) : 0;
}

// Its name, which only a privileged process may know; empty otherwise.
static void ask_name(uint32_t id, char name[BPF_OBJ_NAME_LEN])
{
    union bpf_attr which = {.prog_id = id}, what;
    struct bpf_prog_info info = {0};
    name[0] = 0;
    const int fd = (int)syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &which, sizeof which);
    if (fd < 0)
        return;
    memset(&what, 0, sizeof what);
    what.info.bpf_fd = (__u32)fd;
    what.info.info_len = sizeof info;
    what.info.info = (__u64)(uintptr_t)&info;
    if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &what, sizeof what) == 0) {
        memcpy(name, info.name, BPF_OBJ_NAME_LEN);
        name[BPF_OBJ_NAME_LEN - 1] = 0;
    }
    close(fd);
}

void doctor_check_xdp_program(struct doctor *d, const char *topic, const char *interface, bool has_bpffs)
{
    char name[BPF_OBJ_NAME_LEN];
    const uint32_t id = *d->root ? 0 : ask_program(interface);
    if (id == 0) {
        if (!*d->root)
            doctor_find(d, DOCTOR_OK, topic, "", "no XDP program is on %s", interface);
        return;
    }
    ask_name(id, name);
    if (strcmp(name, "xdp_dispatcher") == 0 && has_bpffs)
        doctor_find(d, DOCTOR_OK, topic, "", "%s has XDP programs by libxdp's dispatcher: ours comes beside them",
                    interface);
    else if (strcmp(name, "xdp_dispatcher") == 0)
        doctor_find(d, DOCTOR_BAD, topic, "mount -t bpf bpf /sys/fs/bpf",
                    "%s has XDP programs by libxdp's dispatcher, and no bpf file system is mounted here to join it",
                    interface);
    else if (strcmp(name, "xsk_def_prog") == 0)
        doctor_find(
            d, DOCTOR_NOTE, topic, "if it is not the data plane's: xdp-loader unload IFACE --all",
            "%s has an XDP program for AF_XDP sockets, alone: ours while the data plane runs, or of one that was "
            "killed; that of another program would have to go",
            interface);
    else if (!name[0])
        doctor_find(
            d, DOCTOR_WARNING, topic, "run this as root to know; `ip link show IFACE` shows it",
            "%s has XDP program number %u, whose name may not be read: unless it is libxdp's dispatcher or ours "
            "the data plane will not start",
            interface, id);
    else
        doctor_find(d, DOCTOR_BAD, topic,
                    "load it by xdp-loader, which shares the card; or take it off: ip link set dev IFACE xdp off",
                    "%s has the XDP program %s (number %u), alone: ours cannot come beside it", interface, name, id);
}
