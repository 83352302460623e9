// SPDX-License-Identifier: Apache-2.0
#include "dataplane/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static socklen_t fill(struct sockaddr_storage *to, const struct node_address *from, uint16_t port)
{
    memset(to, 0, sizeof *to);
    if (from->is_ipv6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(port);
        memcpy(&in6->sin6_addr, from->address, 16);
        return sizeof *in6;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)to;
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    memcpy(&in->sin_addr, from->address, 4);
    return sizeof *in;
}

int listen_bind(int type, const struct node_address *address, uint16_t port)
{
    struct sockaddr_storage to;
    const socklen_t len = fill(&to, address, port);
    const int one = 1;
    const int fd = socket(to.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    // A node's address may come later than the node (a floating address, a slow network).
    setsockopt(fd, SOL_IP, IP_FREEBIND, &one, sizeof one);
    if (address->is_ipv6)
        setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (type == SOCK_STREAM) // connections of a former process in TIME_WAIT must not keep us out
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&to, len) < 0) {
        const int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

unsigned listen_wildcards(struct node_address address[LISTEN_MAX])
{
    memset(address, 0, 2 * sizeof *address);
    address[1].is_ipv6 = true;
    return 2;
}

static bool take(struct node_address *to, const struct sockaddr *from)
{
    memset(to, 0, sizeof *to);
    if (from && from->sa_family == AF_INET) {
        memcpy(to->address, &((const struct sockaddr_in *)from)->sin_addr, 4);
        return true;
    }
    if (!from || from->sa_family != AF_INET6)
        return false;
    memcpy(to->address, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
    to->is_ipv6 = true;
    return !(to->address[0] == 0xfe && (to->address[1] & 0xc0) == 0x80);
}

unsigned listen_interface(const char *interface, struct node_address address[LISTEN_MAX])
{
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) < 0)
        return 0;
    unsigned count = 0;
    for (const struct ifaddrs *i = list; i && count < LISTEN_MAX; i = i->ifa_next)
        if (strcmp(i->ifa_name, interface) == 0 && take(&address[count], i->ifa_addr))
            count++;
    freeifaddrs(list);
    return count;
}

const char *listen_text(const struct node_address *address, char text[46])
{
    const char *done = inet_ntop(address->is_ipv6 ? AF_INET6 : AF_INET, address->address, text, 46);
    return done ? done : "?";
}
