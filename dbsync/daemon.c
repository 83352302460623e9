// SPDX-License-Identifier: Apache-2.0
#include "dbsync/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "shared/log.h"
#include "shared/http_listener.h"

enum {
    TICK_MS = 100,
    DATABASE_WAIT_S = 1, // between two tries to reach the database at the start; each may take five seconds itself
    DATABASE_TOLD = 30,  // every so many tries it is said again
};

// sd_notify(3) by hand: one datagram.
static void notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || !*path || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@') // the abstract name space
        to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
    close(fd);
}

static void close_handle(void *handle)
{
    if (((uv_handle_t *)handle)->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void stop(struct daemon *d)
{
    if (d->is_stopping)
        return;
    d->is_stopping = true;
    notify("STOPPING=1");
    net_close_all(d);
    admin_stop(d->admin);
    http_listener_close(d->metrics);
    control_report_stop(d->report);
    close_handle(&d->ticker);
    close_handle(&d->on_term);
    close_handle(&d->on_int);
    close_handle(&d->on_hup);
    if (d->is_listening)
        close_handle(&d->listener);
    for (unsigned i = 0; i < d->peer_count; i++)
        peer_stop(&d->peer[i]); // a batch being applied is applied to its end
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;
    if (number == SIGHUP) { // certificates: the next connection reads them; make that now
        log_notice("connections are made anew, with the certificates as they are now");
        for (unsigned i = 0; i < d->peer_count; i++)
            net_close(d->peer[i].connection, "certificates are read again");
        return;
    }
    log_notice("stopping");
    stop(d);
}

static void on_tick(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    net_tick(d);
    for (unsigned i = 0; i < d->peer_count; i++)
        peer_tick(&d->peer[i]);
    control_report_tick(d->report);
}

static void start_signal(struct daemon *d, uv_signal_t *handle, int number)
{
    uv_signal_init(d->loop, handle);
    handle->data = d;
    uv_signal_start(handle, on_signal, number);
}

static void start_timers(struct daemon *d)
{
    uv_timer_init(d->loop, &d->ticker);
    d->ticker.data = d;
    uv_timer_start(&d->ticker, on_tick, TICK_MS, TICK_MS);
    for (unsigned i = 0; i < d->peer_count; i++)
        peer_start_polling(&d->peer[i]);
    start_signal(d, &d->on_term, SIGTERM);
    start_signal(d, &d->on_int, SIGINT);
    start_signal(d, &d->on_hup, SIGHUP);
}

// A server may come up after us, or be down just now: it is waited for, as it is when it goes away later. (A supervisor
// that starts us again and again gives up after some times.) A file that cannot be opened is an error at once. TERM
// ends the process here, where it has begun nothing yet.
static int open_when_there(struct daemon *d, struct door **door, struct problem *problem)
{
    bool is_file = strncmp(d->config->database, "sqlite:", strlen("sqlite:")) == 0;
    for (unsigned tries = 0;; tries++) {
        int result = door_open(d->config->database, door, problem);
        if (result != -ENOTCONN || is_file)
            return result;
        if (tries % DATABASE_TOLD == 0)
            log_warning("%s; it is tried again every second", problem->text);
        notify("EXTEND_TIMEOUT_USEC=60000000");
        sleep(DATABASE_WAIT_S);
    }
}

// Who we are, from the database; it must be the site of the configuration.
static int read_identity(struct daemon *d, struct problem *problem)
{
    struct door *door;
    int result = open_when_there(d, &door, problem);
    if (result < 0)
        return result;
    result = door->ops->identity(door, &d->own, problem);
    if (result == -ENOENT)
        problem_set(problem, ENOENT, "%s is not prepared yet; run: signpost-dbsync init", d->config->database);
    else if (result == 0 && d->own.site != d->config->site)
        result = problem_set(problem, EINVAL, "the database says it is site %u (%s), the configuration site %u",
                             d->own.site, d->own.name, d->config->site);
    door->ops->close(door);
    return result;
}

static int start(struct daemon *d, struct problem *problem)
{
    int result = read_identity(d, problem);
    if (result == 0 && mkdir(d->config->spool, 0700) != 0 && errno != EEXIST)
        result = problem_set(problem, errno, "%s: %s; make the directory above it, or set `spool`", d->config->spool,
                             strerror(errno));
    for (unsigned i = 0; result == 0 && i < d->config->peer_count; i++) {
        d->peer_count = i + 1;
        result = peer_open(d, &d->peer[i], &d->config->peer[i], problem);
    }
    if (result == 0)
        result = net_listen(d, problem);
    if (result == 0) {
        d->admin = admin_start(d, problem);
        result = d->admin ? 0 : -EADDRINUSE;
    }
    return result;
}

int daemon_run(const struct config *config, struct problem *problem)
{
    struct daemon *d = memory_take(sizeof *d);
    uv_loop_t loop;
    uv_loop_init(&loop);
    d->config = config;
    d->loop = &loop;
    d->started_ms = uv_now(&loop);
    d->peer = memory_take((config->peer_count ? config->peer_count : 1) * sizeof *d->peer);
    signal(SIGPIPE, SIG_IGN);
    srand((unsigned)time(NULL) ^ (unsigned)getpid());
    int result = start(d, problem);
    if (result == 0) {
        start_timers(d);
        d->metrics = metrics_http_start(d);
        d->report = control_report_start(d);
        log_notice("site %u (%s) runs with %u peer%s", d->own.site, d->own.name, d->peer_count,
                   d->peer_count == 1 ? "" : "s");
        notify("READY=1");
    } else {
        stop(d);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (unsigned i = 0; i < d->peer_count; i++)
        peer_fini(&d->peer[i]);
    tls_context_free(d->tls);
    uv_loop_close(&loop);
    free(d->peer);
    free(d);
    return result;
}
