// SPDX-License-Identifier: Apache-2.0
#include "health/probe_icmp.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/icmp.h>

#include "health/probe_kind.h"

enum { HEAD_LEN = 8, PAYLOAD_LEN = 24, ECHO_LEN = HEAD_LEN + PAYLOAD_LEN, REPLY_CAP = 512, READ_MAX = 256 };

struct icmp_probe;

struct door { // one family's socket
    struct icmp_engine *engine;
    uv_poll_t poll;
    int fd; // -1: not open
    int domain;
    bool is_raw;
};

struct icmp_engine {
    uv_loop_t *loop;
    uv_idle_t closing;   // so that `closed` comes from the loop even when no socket was opened
    struct door door[2]; // IPv4, IPv6
    uint64_t mark;       // in every payload: echoes of others are not ours
    struct icmp_probe **probe;
    unsigned count, cap;
    unsigned open;
    void (*closed)(void *user);
    void *user;
};

struct icmp_probe {
    struct probe_host *host;
    struct probe_callbacks callbacks;
    struct probe_address server, source;
    unsigned number; // in the engine's table
    uint64_t run;    // grows; a late reply to an earlier run is known by it
    bool is_running;
    uint64_t started_ns;
    uv_idle_t closing;
};

static uint16_t checksum(const uint8_t *bytes, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < len; i += 2)
        sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t) ~(sum + (sum >> 16));
}

// ---- receiving ----

static void take_reply(struct icmp_engine *e, const uint8_t *payload)
{
    uint64_t mark, number, run;
    memcpy(&mark, payload, 8);
    memcpy(&number, payload + 8, 8);
    memcpy(&run, payload + 16, 8);
    if (mark != e->mark || number >= e->count || !e->probe[number])
        return;
    struct icmp_probe *p = e->probe[number];
    if (!p->is_running || p->run != run)
        return;
    p->is_running = false;
    const struct probe_result result = probe_result_up(uv_hrtime() - p->started_ns);
    p->callbacks.done(p->callbacks.user, &result);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct door *d = poll->data;
    uint8_t packet[REPLY_CAP];
    (void)events;
    for (unsigned i = 0; status == 0 && i < READ_MAX && d->fd >= 0; i++) {
        const ssize_t n = recv(d->fd, packet, sizeof packet, MSG_DONTWAIT);
        if (n < 0)
            return;
        // A raw IPv4 socket gives the IP header as well.
        const size_t at = d->is_raw && d->domain == AF_INET && n > 0 ? (size_t)(packet[0] & 15) * 4 : 0;
        const uint8_t wanted = d->domain == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
        if ((size_t)n >= at + ECHO_LEN && packet[at] == wanted)
            take_reply(d->engine, packet + at + HEAD_LEN);
    }
}

// ---- sockets ----

static void set_filter(const struct door *d)
{
    if (!d->is_raw)
        return;
    if (d->domain == AF_INET) {
        const struct icmp_filter filter = {~(1u << ICMP_ECHOREPLY)};
        setsockopt(d->fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
    } else {
        struct icmp6_filter filter;
        ICMP6_FILTER_SETBLOCKALL(&filter);
        ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
        setsockopt(d->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
    }
}

static int open_door(struct icmp_engine *e, struct door *d, int domain)
{
    const int protocol = domain == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    if (d->fd >= 0)
        return 0;
    d->domain = domain;
    d->is_raw = true;
    d->fd = socket(domain, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (d->fd < 0) {
        d->is_raw = false;
        d->fd = socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    }
    if (d->fd < 0)
        return -errno;
    set_filter(d);
    const int rc = uv_poll_init(e->loop, &d->poll, d->fd);
    if (rc < 0) {
        close(d->fd);
        d->fd = -1;
        return rc;
    }
    d->poll.data = d;
    e->open++;
    return uv_poll_start(&d->poll, UV_READABLE, on_readable);
}

// ---- the kind ----

static int number_of(struct icmp_engine *e, struct icmp_probe *p)
{
    if (e->count == e->cap) {
        const unsigned cap = e->cap ? 2 * e->cap : 64;
        struct icmp_probe **grown = realloc(e->probe, cap * sizeof(struct icmp_probe *));
        if (!grown)
            return -ENOMEM;
        e->probe = grown;
        e->cap = cap;
    }
    p->number = e->count;
    e->probe[e->count++] = p;
    return 0;
}

static void *icmp_open(struct probe_host *host, const struct probe_spec *spec, const struct balancer_spec *balancer,
                       const struct probe_callbacks *callbacks)
{
    (void)balancer;
    struct icmp_probe *p = spec->server.len ? calloc(1, sizeof *p) : NULL;
    errno = spec->server.len ? ENOMEM : EINVAL;
    if (!p)
        return NULL;
    p->host = host;
    p->callbacks = *callbacks;
    p->server = spec->server;
    p->source = spec->source;
    if (number_of(host->icmp, p) < 0) {
        free(p);
        errno = ENOMEM;
        return NULL;
    }
    uv_idle_init(host->loop, &p->closing);
    p->closing.data = p;
    return p;
}

// The address to send from, as control data: one socket serves probes of all sources.
static void set_source(struct msghdr *message, const struct probe_address *source, void *control)
{
    struct cmsghdr *c = control;
    message->msg_control = control;
    if (source->address.ss_family == AF_INET) {
        const struct in_pktinfo info = {.ipi_spec_dst = ((const struct sockaddr_in *)&source->address)->sin_addr};
        message->msg_controllen = CMSG_SPACE(sizeof info);
        *c = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IP, IP_PKTINFO};
        memcpy(CMSG_DATA(c), &info, sizeof info);
    } else {
        const struct in6_pktinfo info = {.ipi6_addr = ((const struct sockaddr_in6 *)&source->address)->sin6_addr};
        message->msg_controllen = CMSG_SPACE(sizeof info);
        *c = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IPV6, IPV6_PKTINFO};
        memcpy(CMSG_DATA(c), &info, sizeof info);
    }
}

static int send_echo(struct icmp_probe *p, const struct door *d)
{
    uint8_t echo[ECHO_LEN] = {d->domain == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST};
    const uint64_t number = p->number;
    echo[4] = (uint8_t)(p->number >> 8);
    echo[5] = (uint8_t)p->number;
    echo[6] = (uint8_t)(p->run >> 8);
    echo[7] = (uint8_t)p->run;
    memcpy(echo + HEAD_LEN, &p->host->icmp->mark, 8);
    memcpy(echo + HEAD_LEN + 8, &number, 8);
    memcpy(echo + HEAD_LEN + 16, &p->run, 8);
    if (d->domain == AF_INET) { // the kernel fills in ICMPv6's
        const uint16_t sum = checksum(echo, sizeof echo);
        echo[2] = (uint8_t)(sum >> 8);
        echo[3] = (uint8_t)sum;
    }
    struct sockaddr_storage to = p->server.address;
    if (d->domain == AF_INET)
        ((struct sockaddr_in *)&to)->sin_port = 0;
    else
        ((struct sockaddr_in6 *)&to)->sin6_port = 0; // raw sockets take it for a protocol
    struct iovec data = {echo, sizeof echo};
    struct msghdr message = {.msg_name = &to, .msg_namelen = p->server.len, .msg_iov = &data, .msg_iovlen = 1};
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control;
    if (p->source.len)
        set_source(&message, &p->source, &control);
    return sendmsg(d->fd, &message, MSG_DONTWAIT) == (ssize_t)sizeof echo ? 0 : -errno;
}

static int icmp_run(void *instance)
{
    struct icmp_probe *p = instance;
    struct icmp_engine *e = p->host->icmp;
    const int domain = p->server.address.ss_family;
    struct door *d = &e->door[domain == AF_INET6];
    int rc = open_door(e, d, domain);
    if (rc < 0)
        return rc;
    p->run++;
    p->started_ns = uv_hrtime();
    rc = send_echo(p, d);
    p->is_running = rc == 0;
    return rc;
}

static void icmp_abort(void *instance)
{
    ((struct icmp_probe *)instance)->is_running = false;
}

static void on_closed(uv_handle_t *handle)
{
    struct icmp_probe *p = handle->data;
    const struct probe_callbacks callbacks = p->callbacks;
    free(p);
    callbacks.closed(callbacks.user);
}

static void icmp_close(void *instance)
{
    struct icmp_probe *p = instance;
    p->host->icmp->probe[p->number] = NULL;
    uv_close((uv_handle_t *)&p->closing, on_closed);
}

const struct probe_kind probe_icmp_kind = {icmp_open, icmp_run, icmp_abort, icmp_close};

// ---- life ----

struct icmp_engine *icmp_engine_new(uv_loop_t *loop)
{
    struct icmp_engine *e = calloc(1, sizeof *e);
    if (!e || getrandom(&e->mark, sizeof e->mark, 0) != sizeof e->mark) {
        free(e);
        return NULL;
    }
    e->loop = loop;
    e->open = 1;
    for (unsigned i = 0; i < 2; i++) {
        e->door[i].engine = e;
        e->door[i].fd = -1;
    }
    uv_idle_init(loop, &e->closing);
    e->closing.data = e;
    return e;
}

static void release(struct icmp_engine *e)
{
    if (--e->open)
        return;
    void (*closed)(void *) = e->closed;
    void *user = e->user;
    free(e->probe);
    free(e);
    if (closed)
        closed(user);
}

static void door_closed(uv_handle_t *handle)
{
    struct door *d = handle->data;
    close(d->fd);
    release(d->engine);
}

static void engine_closed(uv_handle_t *handle)
{
    release(handle->data);
}

void icmp_engine_close(struct icmp_engine *e, void (*closed)(void *user), void *user)
{
    if (!e)
        return;
    e->closed = closed;
    e->user = user;
    for (unsigned i = 0; i < 2; i++)
        if (e->door[i].fd >= 0)
            uv_close((uv_handle_t *)&e->door[i].poll, door_closed);
    uv_close((uv_handle_t *)&e->closing, engine_closed);
}
