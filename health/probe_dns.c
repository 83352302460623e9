// SPDX-License-Identifier: Apache-2.0
// DNS probe: one query over UDP from a fresh port, and a reply that must be the expected one.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "health/dns_message.h"
#include "health/probe_kind.h"

enum { REPLY_CAP = 4096 };

struct dns_run;

struct dns_probe {
    uv_loop_t *loop;
    struct probe_callbacks callbacks;
    struct probe_address server, source;
    struct dns_question question;
    char expect[DNS_EXPECT_CAP];
    struct dns_run *run; // null: idle
    uv_idle_t closing;
    unsigned open; // handles that are not closed yet
};

struct dns_run {
    uv_udp_t udp;
    struct dns_probe *probe;
    uint64_t started_ns;
    uint8_t reply[REPLY_CAP];
};

static void release(struct dns_probe *p)
{
    if (--p->open)
        return;
    const struct probe_callbacks callbacks = p->callbacks;
    free(p);
    callbacks.closed(callbacks.user);
}

static void run_closed(uv_handle_t *handle)
{
    struct dns_run *run = handle->data;
    struct dns_probe *p = run->probe;
    free(run);
    release(p);
}

static void end_run(struct dns_run *run)
{
    run->probe->run = NULL;
    uv_close((uv_handle_t *)&run->udp, run_closed);
}

static void finish(struct dns_run *run, const struct probe_result *result)
{
    struct dns_probe *p = run->probe;
    end_run(run);
    p->callbacks.done(p->callbacks.user, result);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer)
{
    struct dns_run *run = handle->data;
    (void)wanted;
    *buffer = uv_buf_init((char *)run->reply, sizeof run->reply);
}

static void on_reply(uv_udp_t *udp, ssize_t n, const uv_buf_t *buffer, const struct sockaddr *from, unsigned flags)
{
    struct dns_run *run = udp->data;
    struct dns_probe *p = run->probe;
    struct probe_result result;
    (void)buffer;
    (void)flags;
    if (p->run != run || (n == 0 && !from))
        return; // ended already, or nothing more to read
    if (n < 0) {
        result = probe_result_error((int)n);
        finish(run, &result);
        return;
    }
    if (!dns_reply_judge(&p->question, p->expect, run->reply, (size_t)n, &result))
        return; // not ours: the time limit goes on
    if (result.result == EVIDENCE_UP)
        result.response_ns = uv_hrtime() - run->started_ns;
    finish(run, &result);
}

static int send_query(struct dns_run *run)
{
    struct dns_probe *p = run->probe;
    uv_buf_t buffer = uv_buf_init((char *)p->question.message, (unsigned)p->question.len);
    if (getrandom(p->question.message, 2, 0) != 2)
        return -EAGAIN;
    int rc = 0;
    if (p->source.len)
        rc = uv_udp_bind(&run->udp, (const struct sockaddr *)&p->source.address, 0);
    if (rc == 0) // errors of the way back are heard, and replies of others are not
        rc = uv_udp_connect(&run->udp, (const struct sockaddr *)&p->server.address);
    if (rc == 0)
        rc = uv_udp_recv_start(&run->udp, on_alloc, on_reply);
    if (rc == 0)
        rc = uv_udp_try_send(&run->udp, &buffer, 1, NULL);
    return rc < 0 ? rc : 0;
}

static int dns_run(void *instance)
{
    struct dns_probe *p = instance;
    struct dns_run *run = malloc(sizeof *run);
    if (!run)
        return -ENOMEM;
    int rc = uv_udp_init(p->loop, &run->udp);
    if (rc < 0) {
        free(run);
        return rc;
    }
    run->udp.data = run;
    run->probe = p;
    run->started_ns = uv_hrtime();
    p->run = run;
    p->open++;
    rc = send_query(run);
    if (rc < 0)
        end_run(run);
    return rc;
}

static void dns_abort(void *instance)
{
    struct dns_probe *p = instance;
    if (p->run)
        end_run(p->run);
}

static void on_closed(uv_handle_t *handle)
{
    release(handle->data);
}

static void dns_close(void *instance)
{
    struct dns_probe *p = instance;
    dns_abort(p);
    uv_close((uv_handle_t *)&p->closing, on_closed);
}

static void *dns_open(struct probe_host *host, const struct probe_spec *spec, const struct balancer_spec *balancer,
                      const struct probe_callbacks *callbacks)
{
    (void)balancer;
    struct dns_probe *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    const char *expect = spec->dns_expect ? spec->dns_expect : "";
    if (!spec->dns_name || !spec->dns_type || spec->server.len == 0 || strlen(expect) >= sizeof p->expect ||
        dns_question_make(&p->question, spec->dns_name, spec->dns_type) < 0) {
        free(p);
        errno = EINVAL;
        return NULL;
    }
    strcpy(p->expect, expect);
    p->loop = host->loop;
    p->callbacks = *callbacks;
    p->server = spec->server;
    p->source = spec->source;
    p->open = 1;
    uv_idle_init(host->loop, &p->closing);
    p->closing.data = p;
    return p;
}

const struct probe_kind probe_dns_kind = {dns_open, dns_run, dns_abort, dns_close};
