// SPDX-License-Identifier: Apache-2.0
#include "dataplane/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/log.h"
#include "dataplane/publish.h"
#include "dataplane/socket_snapshot.h"
#include "dataplane/stream_connection.h"

enum {
    EVENTS_MAX = 64,
    ACCEPTS_PER_TURN = 32,
    READS_PER_TURN = 4, // chunks of one connection before the others have their turn
    BACKLOG = 512,
    SWEEP_MS = 250, // how late a time-out may be
    NICE = 5        // workers without a CPU of their own go first
};

struct stream {
    struct stream_config config;
    int epoll_fd, stop_fd;
    int listener[LISTEN_MAX];
    unsigned listener_count;
    struct stream_connection *connection; // config.connection_max of them
    unsigned open_count;
    struct stream_connection *oldest, *newest; // by active_ns
    uint64_t sweep_ns;                         // when the next sweep is due
    struct answer_context context;
    uint8_t *out; // STREAM_OUT_CAP
    bool has_thread, stop;
    pthread_t thread;
};

// ---- list by activity: oldest first ----

static void unlink_connection(struct stream *s, struct stream_connection *c)
{
    *(c->older ? &c->older->newer : &s->oldest) = c->newer;
    *(c->newer ? &c->newer->older : &s->newest) = c->older;
    c->older = c->newer = NULL;
}

static void link_newest(struct stream *s, struct stream_connection *c)
{
    c->older = s->newest;
    c->newer = NULL;
    *(s->newest ? &s->newest->newer : &s->oldest) = c;
    s->newest = c;
}

static void close_connection(struct stream *s, struct stream_connection *c, enum counter why)
{
    if (why != COUNTER_tcp_accepted) // an end as it should be is not counted
        counters_add(s->config.counters, why, 1);
    unlink_connection(s, c);
    stream_connection_fini(c); // leaves the epoll set with its last descriptor
    s->open_count--;
}

// ---- answering ----

// Answers what is there. 0, or a negative errno when the connection is to be closed with an error.
static int answer_pending(struct stream *s, struct stream_connection *c)
{
    // Each turn consumes at least one message of a buffer that holds a chunk, or sends.
    while (c->out_len == 0 && stream_connection_has_message(c)) {
        publish_online();
        socket_snapshot_take(&s->context);
        const unsigned made = stream_connection_answer(c, &s->context, s->out);
        publish_offline();
        unlink_connection(s, c);
        link_newest(s, c);
        const int rc = made ? stream_connection_write(c, s->out, made, s->context.now_ns) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void want(struct stream *s, struct stream_connection *c)
{
    // While answers wait nothing more is read: a client that does not take answers cannot ask for more.
    struct epoll_event e = {.events = c->out_len ? EPOLLOUT : EPOLLIN, .data.ptr = c};
    epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

static void serve_connection(struct stream *s, struct stream_connection *c)
{
    const bool was_blocked = c->out_len > 0;
    int rc = was_blocked ? stream_connection_write(c, NULL, 0, s->context.now_ns) : 0;
    for (unsigned i = 0; i < READS_PER_TURN && rc == 0 && c->out_len == 0; i++) {
        rc = answer_pending(s, c); // a rest from before, then what was just read
        if (rc < 0 || c->out_len || c->has_ended || c->is_broken)
            break;
        rc = stream_connection_read(c, s->context.now_ns);
        if (rc <= 0)
            break;
        rc = answer_pending(s, c);
    }
    if (rc < 0)
        close_connection(s, c, COUNTER_tcp_errors);
    else if (c->out_len == 0 && c->is_broken)
        close_connection(s, c, COUNTER_tcp_errors);
    else if (c->out_len == 0 && c->has_ended)
        close_connection(s, c, c->in_len ? COUNTER_tcp_errors : COUNTER_tcp_accepted);
    else if (was_blocked != (c->out_len > 0))
        want(s, c);
}

// ---- accepting ----

static bool is_same_client(const struct answer_client *a, const struct answer_client *b)
{
    return a->is_ipv6 == b->is_ipv6 && memcmp(a->address, b->address, a->is_ipv6 ? 8 : 4) == 0;
}

// Closes the client's longest idle connection when it has too many, or the longest idle of all.
static void keep_limits(struct stream *s, const struct answer_client *client)
{
    struct stream_connection *first = NULL;
    unsigned count = 0;
    for (struct stream_connection *c = s->oldest; c; c = c->newer) {
        if (!is_same_client(&c->client, client))
            continue;
        first = first ? first : c;
        count++;
    }
    if (count >= s->config.client_max)
        close_connection(s, first, COUNTER_tcp_refused);
    else if (s->open_count >= s->config.connection_max)
        close_connection(s, s->oldest, COUNTER_tcp_refused);
}

static void take_client(struct answer_client *client, const struct sockaddr_storage *from)
{
    memset(client, 0, sizeof *client);
    client->is_tcp = true;
    client->is_ipv6 = from->ss_family == AF_INET6;
    if (client->is_ipv6)
        memcpy(client->address, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
    else
        memcpy(client->address, &((const struct sockaddr_in *)from)->sin_addr, 4);
}

static void add_connection(struct stream *s, int fd, const struct sockaddr_storage *from)
{
    struct answer_client client;
    const int one = 1;
    take_client(&client, from);
    keep_limits(s, &client);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct stream_connection *c = s->connection;
    while (c->fd >= 0) // keep_limits left at least one free
        c++;
    stream_connection_init(c, fd, &client, s->context.now_ns);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    link_newest(s, c);
    s->open_count++;
    counters_add(s->config.counters, COUNTER_tcp_accepted, 1);
    if (epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
        close_connection(s, c, COUNTER_tcp_errors);
}

static void accept_connections(struct stream *s, int listener)
{
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        const int fd = accept4(listener, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            add_connection(s, fd, &from);
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        if ((errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) && s->oldest)
            close_connection(s, s->oldest, COUNTER_tcp_refused); // make room, or this turn would repeat for ever
    }
}

// ---- time-outs ----

static bool is_over(uint64_t since_ns, uint32_t limit_ms, uint64_t now_ns)
{
    return since_ns && now_ns > since_ns && now_ns - since_ns > (uint64_t)limit_ms * 1000000u;
}

static bool is_timed_out(const struct stream *s, const struct stream_connection *c)
{
    const uint64_t now = s->context.now_ns;
    return is_over(c->partial_ns, s->config.partial_ms, now) || is_over(c->blocked_ns, s->config.partial_ms, now) ||
           is_over(c->active_ns, s->config.idle_ms, now) || is_over(c->accepted_ns, s->config.total_ms, now);
}

static void sweep(struct stream *s)
{
    if (s->context.now_ns < s->sweep_ns)
        return;
    s->sweep_ns = s->context.now_ns + SWEEP_MS * 1000000ull;
    for (unsigned i = 0; i < s->config.connection_max && s->open_count; i++)
        if (s->connection[i].fd >= 0 && is_timed_out(s, &s->connection[i]))
            close_connection(s, &s->connection[i], COUNTER_tcp_timeouts);
}

// ---- the thread ----

static void turn(struct stream *s)
{
    struct epoll_event event[EVENTS_MAX];
    const int n = epoll_wait(s->epoll_fd, event, EVENTS_MAX, s->open_count ? SWEEP_MS : -1);
    s->context.now_ns = log_now_ns();
    for (int i = 0; i < n; i++) { // connections first: accepting may close one that has an event here
        struct stream_connection *c = event[i].data.ptr;
        if (c >= s->connection && c < s->connection + s->config.connection_max && c->fd >= 0)
            serve_connection(s, c);
    }
    for (int i = 0; i < n; i++) {
        const int *listener = event[i].data.ptr;
        if (listener >= s->listener && listener < s->listener + s->listener_count)
            accept_connections(s, *listener);
    }
    sweep(s);
}

static void *stream_thread(void *argument)
{
    struct stream *s = argument;
    pthread_setname_np(pthread_self(), "stream");
    setpriority(PRIO_PROCESS, 0, NICE); // of this thread only
    publish_register();
    publish_offline();
    while (!__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE))
        turn(s);
    publish_unregister();
    return NULL;
}

// ---- life ----

static int listen_one(struct stream *s, const struct node_address *address)
{
    const int fd = listen_bind(SOCK_STREAM, address, s->config.port);
    if (fd < 0)
        return fd;
    int *slot = &s->listener[s->listener_count];
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = slot};
    if (listen(fd, BACKLOG) < 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) {
        const int rc = -errno;
        close(fd);
        return rc;
    }
    *slot = fd;
    s->listener_count++;
    return 0;
}

// 0 when all could be had, else the last error.
static int listen_all(struct stream *s, const struct node_address *address, unsigned count, bool is_reported)
{
    int failed = 0;
    for (unsigned i = 0; i < count && s->listener_count < LISTEN_MAX; i++) {
        const int rc = listen_one(s, &address[i]);
        char text[46];
        if (rc < 0 && is_reported)
            log_warning("no DNS over TCP on %s: %s", listen_text(&address[i], text), strerror(-rc));
        failed = rc < 0 ? rc : failed;
    }
    return failed;
}

static void close_listeners(struct stream *s)
{
    for (unsigned i = 0; i < s->listener_count; i++)
        close(s->listener[i]);
    s->listener_count = 0;
}

static int listen_configured(struct stream *s)
{
    struct node_address found[LISTEN_MAX];
    if (s->config.address_count)
        return listen_all(s, s->config.address, s->config.address_count, true);
    int rc = listen_all(s, found, listen_wildcards(found), false);
    if (rc == -EADDRINUSE && s->config.interface) { // a resolver on the loopback address, for instance
        close_listeners(s);
        rc = listen_all(s, found, listen_interface(s->config.interface, found), true);
    }
    return rc;
}

static void set_defaults(struct stream_config *c)
{
    c->connection_max = c->connection_max ? c->connection_max : STREAM_CONNECTION_MAX;
    c->client_max = c->client_max ? c->client_max : STREAM_CLIENT_MAX;
    c->idle_ms = c->idle_ms ? c->idle_ms : STREAM_IDLE_MS;
    c->partial_ms = c->partial_ms ? c->partial_ms : STREAM_PARTIAL_MS;
    c->total_ms = c->total_ms ? c->total_ms : STREAM_TOTAL_MS;
}

static int init(struct stream *s)
{
    s->connection = calloc(s->config.connection_max, sizeof *s->connection);
    s->out = malloc(STREAM_OUT_CAP);
    if (!s->connection || !s->out)
        return -ENOMEM;
    for (unsigned i = 0; i < s->config.connection_max; i++)
        s->connection[i].fd = -1;
    s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    s->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &s->stop_fd};
    if (s->epoll_fd < 0 || s->stop_fd < 0 || epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, s->stop_fd, &e) < 0)
        return -errno;
    s->context.counters = s->config.counters;
    s->context.tcp_keepalive_ds = (uint16_t)(s->config.idle_ms / 100);
    return 0;
}

struct stream *stream_new(const struct stream_config *config, char why[256])
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s) {
        snprintf(why, 256, "out of memory");
        return NULL;
    }
    s->config = *config;
    s->epoll_fd = s->stop_fd = -1;
    set_defaults(&s->config);
    int rc = init(s);
    if (rc == 0)
        rc = listen_configured(s);
    if (s->listener_count)
        return s;
    snprintf(why, 256, "no DNS over TCP: %s", strerror(-rc));
    stream_free(s);
    return NULL;
}

uint16_t stream_port(const struct stream *s)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    if (getsockname(s->listener[0], (struct sockaddr *)&at, &len) < 0)
        return 0;
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

int stream_start(struct stream *s)
{
    const int rc = pthread_create(&s->thread, NULL, stream_thread, s);
    s->has_thread = rc == 0;
    return -rc;
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    if (s->has_thread) {
        __atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
        eventfd_write(s->stop_fd, 1);
        pthread_join(s->thread, NULL);
    }
    while (s->oldest) // at most connection_max
        close_connection(s, s->oldest, COUNTER_tcp_accepted);
    close_listeners(s);
    if (s->epoll_fd >= 0)
        close(s->epoll_fd);
    if (s->stop_fd >= 0)
        close(s->stop_fd);
    free(s->connection);
    free(s->out);
    free(s);
}
