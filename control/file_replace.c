// SPDX-License-Identifier: Apache-2.0
#include "control/file_replace.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_temporary(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

int file_replace_open(struct file_replace *r, const char *path)
{
    char directory[PATH_MAX];
    if (snprintf(r->path, sizeof r->path, "%s", path) >= (int)sizeof r->path - 5)
        return -ENAMETOOLONG;
    strcpy(r->temporary, r->path);
    strcat(r->temporary, ".new");
    int fd = open_temporary(r->temporary);
    if (fd < 0 && errno == ENOENT) {
        strcpy(directory, r->path);
        if (mkdir(dirname(directory), 0750) == 0)
            fd = open_temporary(r->temporary);
    }
    if (fd < 0)
        return -errno;
    r->file = fdopen(fd, "w");
    if (r->file)
        return 0;
    close(fd);
    return -ENOMEM;
}

int file_replace_commit(struct file_replace *r)
{
    int rc = fflush(r->file) || fsync(fileno(r->file)) ? -errno : 0;
    if (fclose(r->file) && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(r->temporary, r->path) < 0)
        rc = -errno;
    if (rc)
        unlink(r->temporary);
    return rc;
}
