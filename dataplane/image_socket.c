// SPDX-License-Identifier: Apache-2.0
#include "dataplane/image_socket.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 4 }; // room for more than the one allowed, so that surplus ones are closed and not leaked

static int fail(int rc, char why[256], const char *what, const char *path)
{
    snprintf(why, 256, "%s %.160s: %s", what, path, strerror(-rc));
    return rc;
}

// True when somebody accepts connections at the address.
static int is_in_use(const struct sockaddr_un *address)
{
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 0;
    const int rc = connect(fd, (const struct sockaddr *)address, sizeof *address);
    const int is_answered = rc == 0 || errno == EAGAIN || errno == EPROTOTYPE;
    close(fd);
    return is_answered;
}

static int bind_path(int fd, const struct sockaddr_un *address)
{
    const mode_t before = umask(0177); // mode 0600 from the first moment; other threads do not run yet
    int rc = bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? -errno : 0;
    if (rc == -EADDRINUSE && !is_in_use(address)) {
        struct stat st;
        if (stat(address->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) && unlink(address->sun_path) == 0)
            rc = bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? -errno : 0;
    }
    umask(before);
    return rc;
}

int image_socket_listen(const char *path, char why[256])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return fail(-ENAMETOOLONG, why, "socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    char copy[sizeof address.sun_path];
    memcpy(copy, address.sun_path, sizeof copy);
    const char *directory = dirname(copy);
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return fail(-errno, why, "directory", directory);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(-errno, why, "socket", path);
    int rc = bind_path(fd, &address);
    if (rc == 0 && listen(fd, IMAGE_CONNECTION_MAX) < 0)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        return fail(rc, why, rc == -EADDRINUSE ? "another process listens on socket" : "socket", path);
    }
    return fd;
}

int image_socket_accept(int listener, uid_t owner, char why[IMAGE_TEXT_CAP])
{
    const int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return errno == EWOULDBLOCK || errno == ECONNABORTED || errno == EINTR ? -EAGAIN : -errno;
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || (peer.uid != 0 && peer.uid != owner)) {
        snprintf(why, IMAGE_TEXT_CAP, "process %d of user %u", (int)peer.pid, peer.uid);
        close(fd);
        return -EPERM;
    }
    return fd;
}

// Keeps the first descriptor, closes the others. The number that came.
static unsigned take_descriptors(struct msghdr *header, int *fd)
{
    unsigned count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++, count++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof got);
            if (count == 0)
                *fd = got;
            else
                close(got);
        }
    }
    return count;
}

int image_socket_receive(int connection, struct image_message *message, int *fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    struct iovec part = {message, sizeof *message};
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    *fd = -1;
    const ssize_t n = recvmsg(connection, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : errno == ECONNRESET ? 0 : -errno;
    const unsigned count = take_descriptors(&header, fd);
    if (n == 0 && count == 0)
        return 0;
    if (n == sizeof *message && count <= 1 && !(header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) &&
        message->magic == IMAGE_MESSAGE_MAGIC && message->version == IMAGE_PROTOCOL_VERSION)
        return 1;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    return -EPROTO;
}

int image_socket_send(int connection, struct image_message *message, int fd)
{
    message->magic = IMAGE_MESSAGE_MAGIC;
    message->version = IMAGE_PROTOCOL_VERSION;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {message, sizeof *message};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        header.msg_control = control;
        header.msg_controllen = sizeof control;
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    const ssize_t n = sendmsg(connection, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    return n == (ssize_t)sizeof *message ? 0 : n < 0 ? -errno : -EPROTO;
}
