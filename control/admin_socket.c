// SPDX-License-Identifier: Apache-2.0
#include "control/admin_socket.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { GROUPS_MAX = 256, BACKLOG = 16 };

static int fail(int rc, char why[256], const char *what, const char *name)
{
    snprintf(why, 256, "%s %.150s: %s", what, name, strerror(-rc));
    return rc;
}

static bool is_answered(const struct sockaddr_un *address)
{
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    const bool is = connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 || errno == EAGAIN;
    close(fd);
    return is;
}

static int bind_path(int fd, const struct sockaddr_un *address)
{
    struct stat st;
    const mode_t before = umask(0177); // private from the first moment
    int rc = bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? -errno : 0;
    if (rc == -EADDRINUSE && !is_answered(address) && stat(address->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        unlink(address->sun_path) == 0)
        rc = bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? -errno : 0;
    umask(before);
    return rc;
}

static int give_to_group(const char *path, const char *group, char why[256])
{
    if (!group || !group[0])
        return 0;
    const struct group *g = getgrnam(group);
    if (!g)
        return fail(-ENOENT, why, "control.socket_group", group);
    if (chown(path, (uid_t)-1, g->gr_gid) < 0 || chmod(path, 0660) < 0)
        return fail(-errno, why, "admin socket", path);
    return 0;
}

int admin_socket_listen(const char *path, const char *group, char why[256])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char copy[sizeof address.sun_path];
    if (strlen(path) >= sizeof address.sun_path)
        return fail(-ENAMETOOLONG, why, "admin socket", path);
    strcpy(address.sun_path, path);
    strcpy(copy, path);
    const char *directory = dirname(copy);
    if (mkdir(directory, 0755) < 0 && errno != EEXIST)
        return fail(-errno, why, "directory", directory);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return fail(-errno, why, "admin socket", path);
    int rc = bind_path(fd, &address);
    if (rc < 0)
        fail(rc, why, rc == -EADDRINUSE ? "another process answers on admin socket" : "admin socket", path);
    else
        rc = give_to_group(path, group, why);
    if (rc == 0 && listen(fd, BACKLOG) < 0)
        rc = fail(-errno, why, "admin socket", path);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

static bool is_member(const struct ucred *peer, const struct group *g)
{
    const struct passwd *user = getpwuid(peer->uid);
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;
    if (peer->gid == g->gr_gid)
        return true;
    if (!user || getgrouplist(user->pw_name, peer->gid, groups, &count) < 0)
        return false;
    for (int i = 0; i < count; i++)
        if (groups[i] == g->gr_gid)
            return true;
    return false;
}

bool admin_socket_may_use(int connection, const char *group)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    if (peer.uid == 0 || peer.uid == geteuid())
        return true;
    const struct group *g = group && group[0] ? getgrnam(group) : NULL;
    return g && is_member(&peer, g);
}
