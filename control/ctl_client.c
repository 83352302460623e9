// SPDX-License-Identifier: Apache-2.0
#include "control/ctl_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct ctl_client {
    FILE *stream; // both ways
    char *line;
    size_t cap;
};

static void explain_failure(const char *path, int error)
{
    fprintf(stderr, "signpostctl: cannot reach signpost-control at %s: %s\n", path, strerror(error));
    if (error == ENOENT || error == ECONNREFUSED)
        fputs("  It does not run, or with another control.socket. Start it, or name the socket by --socket PATH or\n"
              "  SIGNPOST_SOCKET. The data plane goes on answering from its last table meanwhile.\n",
              stderr);
    else if (error == EACCES || error == EPERM)
        fputs("  Only root, the program's user and the group control.socket_group may use it.\n", stderr);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    const int rc = -errno;
    close(fd);
    return rc;
}

struct ctl_client *ctl_client_open(const char *path)
{
    struct ctl_client *c = calloc(1, sizeof *c);
    const int fd = c ? connect_to(path) : -ENOMEM;
    if (fd < 0) {
        explain_failure(path, -fd);
        free(c);
        return NULL;
    }
    c->stream = fdopen(fd, "r+");
    if (c->stream)
        return c;
    close(fd);
    free(c);
    return NULL;
}

void ctl_client_close(struct ctl_client *c)
{
    if (!c)
        return;
    fclose(c->stream);
    free(c->line);
    free(c);
}

json_t *ctl_client_next(struct ctl_client *c)
{
    json_error_t where;
    const ssize_t len = getline(&c->line, &c->cap, c->stream);
    return len > 0 ? json_loadb(c->line, (size_t)len, 0, &where) : NULL;
}

enum ctl_exit ctl_client_call(struct ctl_client *c, const json_t *request, json_t **result)
{
    *result = NULL;
    if (json_dumpf(request, c->stream, JSON_COMPACT) < 0 || fputc('\n', c->stream) == EOF || fflush(c->stream)) {
        fprintf(stderr, "signpostctl: the daemon closed the connection: %s\n", strerror(errno));
        return CTL_UNREACHABLE;
    }
    json_t *reply = ctl_client_next(c);
    if (!reply) {
        fputs("signpostctl: the daemon closed the connection without an answer; is this user allowed to use it?\n",
              stderr);
        return CTL_UNREACHABLE;
    }
    *result = json_incref(json_object_get(reply, "result"));
    enum ctl_exit status = CTL_OK;
    if (!json_is_true(json_object_get(reply, "ok"))) {
        const char *code = json_string_value(json_object_get(reply, "code"));
        fprintf(stderr, "signpostctl: %s\n", json_string_value(json_object_get(reply, "error")));
        status = code && strcmp(code, "usage") == 0 ? CTL_USAGE : CTL_REFUSED;
    }
    json_decref(reply);
    return status;
}
