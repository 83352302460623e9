// SPDX-License-Identifier: Apache-2.0
// Script probe: a program of the operator's, run without a shell in a process group of its own. Exit status 0 is good.
//
// Its arguments are those configured and the server's address; its standard input is empty, its environment has PATH
// only, the first line of its output is shown. When its time is over the whole group is killed.
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "health/probe_kind.h"

enum { OUTPUT_CAP = 256, ADDRESS_CAP = 64 };

struct script_run;

struct script_probe {
    uv_loop_t *loop;
    struct probe_callbacks callbacks;
    char **argument; // null-terminated
    char address[ADDRESS_CAP];
    struct script_run *run; // null: idle
    uv_idle_t closing;
    unsigned open; // handles that are not closed yet
};

struct script_run {
    uv_process_t process;
    uv_pipe_t output;
    struct script_probe *probe;
    unsigned open; // handles of this run
    bool is_over, has_exited, has_output_ended;
    int64_t status;
    int signal_number;
    uint64_t started_ns;
    size_t len;
    char text[OUTPUT_CAP];
    char rest[1024]; // what is read and thrown away, so that the script never blocks on its output
};

static void release(struct script_probe *p)
{
    if (--p->open)
        return;
    const struct probe_callbacks callbacks = p->callbacks;
    for (char **a = p->argument; a && *a; a++)
        free(*a);
    free(p->argument);
    free(p);
    callbacks.closed(callbacks.user);
}

static void run_closed(uv_handle_t *handle)
{
    struct script_run *run = handle->data;
    struct script_probe *p = run->probe;
    if (--run->open == 0)
        free(run);
    release(p);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, run_closed);
}

// The process stays a child until it has exited: only then may its handle be closed.
static void end_run(struct script_run *run)
{
    run->is_over = true;
    if (run->probe->run == run)
        run->probe->run = NULL;
    close_handle((uv_handle_t *)&run->output);
    if (run->has_exited)
        close_handle((uv_handle_t *)&run->process);
    else
        kill(-run->process.pid, SIGKILL);
}

static void finish_if_complete(struct script_run *run)
{
    struct script_probe *p = run->probe;
    if (run->is_over || !run->has_exited || !run->has_output_ended)
        return;
    struct probe_result result = probe_result_up(uv_hrtime() - run->started_ns);
    run->text[run->len] = 0;
    run->text[strcspn(run->text, "\r\n")] = 0;
    if (run->status != 0 || run->signal_number != 0)
        result = probe_result_down(EVIDENCE_REASON_EXIT_STATUS);
    if (run->signal_number)
        probe_result_detail(&result, "signal %d%s%s", run->signal_number, run->text[0] ? ": " : "", run->text);
    else if (run->status)
        probe_result_detail(&result, "exit status %d%s%s", (int)run->status, run->text[0] ? ": " : "", run->text);
    else
        probe_result_detail(&result, "%s", run->text);
    end_run(run);
    p->callbacks.done(p->callbacks.user, &result);
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal_number)
{
    struct script_run *run = process->data;
    run->has_exited = true;
    run->status = status;
    run->signal_number = signal_number;
    if (run->is_over)
        close_handle((uv_handle_t *)process);
    else
        kill(-process->pid, SIGKILL); // what it left running in its group; this also ends the output
    finish_if_complete(run);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    struct script_run *run = handle->data;
    (void)wanted;
    if (run->len + 1 < OUTPUT_CAP)
        *buffer = uv_buf_init(run->text + run->len, (unsigned)(OUTPUT_CAP - 1 - run->len));
    else
        *buffer = uv_buf_init(run->rest, sizeof run->rest);
}

static void on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct script_run *run = stream->data;
    if (n > 0 && buffer->base != run->rest)
        run->len += (size_t)n;
    if (n >= 0)
        return;
    run->has_output_ended = true;
    finish_if_complete(run);
}

static int spawn(struct script_run *run)
{
    struct script_probe *p = run->probe;
    char *environment[] = {(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&run->output},
        {.flags = UV_IGNORE}};
    const uv_process_options_t options = {.exit_cb = on_exit_status,
                                          .file = p->argument[0],
                                          .args = p->argument,
                                          .env = environment,
                                          .cwd = "/",
                                          .flags = UV_PROCESS_DETACHED, // a session, and so a group, of its own
                                          .stdio_count = 3,
                                          .stdio = stdio};
    // libcurl's sockets would go on in the script, and connections with them. Nothing else is ever executed here.
    close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    return uv_spawn(p->loop, &run->process, &options);
}

static int script_run(void *instance)
{
    struct script_probe *p = instance;
    struct script_run *run = calloc(1, sizeof *run);
    if (!run)
        return -ENOMEM;
    int rc = uv_pipe_init(p->loop, &run->output, 0);
    if (rc < 0) {
        free(run);
        return rc;
    }
    run->probe = p;
    run->output.data = run->process.data = run;
    run->started_ns = uv_hrtime();
    run->open = 2;
    p->open += 2;
    p->run = run;
    rc = spawn(run);
    if (rc < 0)
        run->has_exited = true; // its handle still wants closing
    else
        rc = uv_read_start((uv_stream_t *)&run->output, on_alloc, on_output);
    if (rc < 0)
        end_run(run);
    return rc;
}

static void script_abort(void *instance)
{
    struct script_probe *p = instance;
    if (p->run)
        end_run(p->run);
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void script_close(void *instance)
{
    struct script_probe *p = instance;
    script_abort(p);
    uv_close((uv_handle_t *)&p->closing, on_closed);
}

static void set_address(struct script_probe *p, const struct probe_address *server)
{
    if (server->len && server->address.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&server->address)->sin6_addr, p->address, ADDRESS_CAP);
    else if (server->len)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)&server->address)->sin_addr, p->address, ADDRESS_CAP);
}

static bool set_arguments(struct script_probe *p, const struct probe_spec *spec)
{
    p->argument = calloc(spec->command_count + 2, sizeof *p->argument);
    for (unsigned i = 0; p->argument && i < spec->command_count; i++) {
        p->argument[i] = strdup(spec->command[i]);
        if (!p->argument[i])
            return false;
    }
    if (!p->argument)
        return false;
    p->argument[spec->command_count] = p->address[0] ? strdup(p->address) : NULL;
    return true;
}

static void *script_open(struct probe_host *host, const struct probe_spec *spec, const struct balancer_spec *balancer,
                         const struct probe_callbacks *callbacks)
{
    (void)balancer;
    if (spec->command_count == 0 || spec->command[0][0] != '/') {
        errno = EINVAL;
        return NULL;
    }
    struct script_probe *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    set_address(p, &spec->server);
    if (!set_arguments(p, spec)) {
        for (char **a = p->argument; a && *a; a++)
            free(*a);
        free(p->argument);
        free(p);
        errno = ENOMEM;
        return NULL;
    }
    p->loop = host->loop;
    p->callbacks = *callbacks;
    p->open = 1;
    uv_idle_init(host->loop, &p->closing);
    p->closing.data = p;
    return p;
}

const struct probe_kind probe_script_kind = {script_open, script_run, script_abort, script_close};
