// SPDX-License-Identifier: Apache-2.0
// File feed: reads a file again and again. What it says is as old as the file.
//
// The file is read where the loop runs: it must be on a local file system.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "health/file_feed.h"
#include "health/probe_kind.h"

struct file_probe {
    struct probe_callbacks callbacks;
    struct probe_address server;
    char *path;
    uv_timer_t answer; // gives the result from the loop
    struct probe_result result;
};

static uint64_t age_of(const struct timespec *changed)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t age = (now.tv_sec - changed->tv_sec) * 1000000000 + now.tv_nsec - changed->tv_nsec;
    return age > 0 ? (uint64_t)age : 0;
}

static struct probe_result unreadable(int error)
{
    struct probe_result r = probe_result_unknown(EVIDENCE_REASON_UNREADABLE);
    probe_result_detail(&r, "%s", strerror(error));
    return r;
}

static struct probe_result read_file(const struct file_probe *p)
{
    struct stat info;
    const int fd = open(p->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return unreadable(errno);
    char *text = malloc(FILE_FEED_MAX);
    size_t len = 0;
    ssize_t n = -1;
    if (text && fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        while (len < FILE_FEED_MAX && (n = read(fd, text + len, FILE_FEED_MAX - len)) > 0)
            len += (size_t)n;
    close(fd);
    struct probe_result r;
    if (n != 0)
        r = unreadable(len == FILE_FEED_MAX ? EFBIG : EIO);
    else {
        r = file_feed_read(text, len, &p->server);
        r.age_ns = age_of(&info.st_mtim);
    }
    free(text);
    return r;
}

static void on_answer(uv_timer_t *timer)
{
    struct file_probe *p = timer->data;
    p->callbacks.done(p->callbacks.user, &p->result);
}

static int file_run(void *instance)
{
    struct file_probe *p = instance;
    p->result = read_file(p);
    return uv_timer_start(&p->answer, on_answer, 0, 0);
}

static void file_abort(void *instance)
{
    uv_timer_stop(&((struct file_probe *)instance)->answer);
}

static void on_closed(uv_handle_t *handle)
{
    struct file_probe *p = handle->data;
    const struct probe_callbacks callbacks = p->callbacks;
    free(p->path);
    free(p);
    callbacks.closed(callbacks.user);
}

static void file_close(void *instance)
{
    uv_close((uv_handle_t *)&((struct file_probe *)instance)->answer, on_closed);
}

static void *file_open(struct probe_host *host, const struct probe_spec *spec, const struct balancer_spec *balancer,
                       const struct probe_callbacks *callbacks)
{
    (void)balancer;
    if (!spec->file || !spec->file[0]) {
        errno = EINVAL;
        return NULL;
    }
    struct file_probe *p = calloc(1, sizeof *p);
    char *path = strdup(spec->file);
    if (!p || !path) {
        free(p);
        free(path);
        errno = ENOMEM;
        return NULL;
    }
    p->callbacks = *callbacks;
    p->server = spec->server;
    p->path = path;
    uv_timer_init(host->loop, &p->answer);
    p->answer.data = p;
    return p;
}

const struct probe_kind probe_file_kind = {file_open, file_run, file_abort, file_close};
