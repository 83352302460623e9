// SPDX-License-Identifier: Apache-2.0
#include "control/image_receive.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int image_receive(int connection, int flags, struct image_message *m, int *fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec part = {m, sizeof *m};
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    *fd = -1;
    const ssize_t n = recvmsg(connection, &header, flags | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    if (n == sizeof *m && m->magic == IMAGE_MESSAGE_MAGIC && m->version == IMAGE_PROTOCOL_VERSION)
        return 1;
    if (*fd >= 0)
        close(*fd);
    return n == 0 ? -ECONNRESET : -EPROTO;
}
