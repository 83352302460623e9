// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "dbsync/command.h"

enum { ANSWER_S = 10 };

static int connect_to(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = ANSWER_S};
    if (strlen(path) >= sizeof to.sun_path)
        return -ENAMETOOLONG;
    strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    int result = -errno;
    close(fd);
    return result;
}

static json_t *exchange(int fd, const json_t *request)
{
    json_error_t where;
    json_t *reply = NULL;
    FILE *stream = fdopen(fd, "r+");
    if (!stream) {
        close(fd);
        return NULL;
    }
    if (json_dumpf(request, stream, JSON_COMPACT) == 0 && fputc('\n', stream) != EOF && fflush(stream) == 0)
        reply = json_loadf(stream, JSON_DISABLE_EOF_CHECK, &where);
    fclose(stream);
    return reply;
}

json_t *command_ask(const struct command_call *c, const char *command, const char *peer, const char *table,
                    bool is_quiet, enum command_exit *status)
{
    *status = COMMAND_UNREACHABLE;
    int fd = connect_to(c->config->socket);
    if (fd < 0) {
        if (!is_quiet)
            fprintf(stderr, "signpost-dbsync: no daemon answers at %s: %s; start it with: signpost-dbsync run\n",
                    c->config->socket, strerror(-fd));
        return NULL;
    }
    json_t *request = json_pack("{s:s}", "command", command);
    if (peer)
        json_object_set_new(request, "peer", json_string(peer));
    if (table)
        json_object_set_new(request, "table", json_string(table));
    json_t *reply = exchange(fd, request), *result = NULL;
    json_decref(request);
    if (!reply) {
        if (!is_quiet)
            fputs("signpost-dbsync: the daemon closed the connection without an answer\n", stderr);
    } else if (json_is_true(json_object_get(reply, "ok"))) {
        *status = COMMAND_OK;
        result = json_incref(json_object_get(reply, "result"));
    } else {
        *status = COMMAND_FAILED;
        if (!is_quiet)
            fprintf(stderr, "signpost-dbsync: %s\n", json_string_value(json_object_get(reply, "error")));
    }
    json_decref(reply);
    return result;
}

void command_nudge(const struct command_call *c)
{
    enum command_exit ignored;
    json_decref(command_ask(c, "poll", NULL, NULL, true, &ignored));
}
