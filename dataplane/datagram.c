// SPDX-License-Identifier: Apache-2.0
#include "dataplane/datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/answer.h"
#include "shared/log.h"
#include "dataplane/loop_port.h"
#include "dataplane/publish.h"
#include "dataplane/socket_snapshot.h"

enum {
    BATCH = 32,
    QUERY_MAX = 4096, // longer ones are dropped: no query is
    BUFFER_CAP = QUERY_MAX + ANSWER_SLACK,
    BATCHES_PER_TURN = 8,       // of one socket, before the others have their turn
    TURN_MS = 50,               // an idle thread still shows that it lives: WORKER_WATCH_BLOCKED_NS
    RECEIVE_BUFFER = 4 << 20,   // a burst that the data plane would have taken from its rings
    EVENTS_MAX = LISTEN_MAX + 1 // and the descriptor that ends the thread
};

struct datagram {
    struct datagram_config config;
    int epoll_fd, stop_fd;
    int socket[LISTEN_MAX];
    unsigned socket_count;
    struct answer_context context;
    struct mmsghdr message[BATCH], reply[BATCH];
    struct iovec part[BATCH], reply_part[BATCH];
    struct sockaddr_storage from[BATCH];
    uint8_t (*buffer)[BUFFER_CAP]; // BATCH of them
    bool has_thread, stop;
    pthread_t thread;
};

static void prepare_batch(struct datagram *d)
{
    for (unsigned i = 0; i < BATCH; i++) {
        d->part[i] = (struct iovec){d->buffer[i], QUERY_MAX};
        d->message[i].msg_hdr = (struct msghdr){
            .msg_name = &d->from[i], .msg_namelen = sizeof d->from[i], .msg_iov = &d->part[i], .msg_iovlen = 1};
    }
}

// False for a source that must not be answered.
static bool take_client(struct answer_client *client, const struct sockaddr_storage *from)
{
    memset(client, 0, sizeof *client);
    client->is_ipv6 = from->ss_family == AF_INET6;
    if (client->is_ipv6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
        memcpy(client->address, &in6->sin6_addr, 16);
        return !loop_port_is(ntohs(in6->sin6_port));
    }
    const struct sockaddr_in *in = (const struct sockaddr_in *)from;
    memcpy(client->address, &in->sin_addr, 4);
    return !loop_port_is(ntohs(in->sin_port));
}

// The length of the reply to message i, 0 for none.
static unsigned answer_one(struct datagram *d, unsigned i)
{
    struct answer_client client;
    if (!take_client(&client, &d->from[i])) {
        counters_add(d->config.counters, COUNTER_drop_bad_source, 1);
        return 0;
    }
    if (d->message[i].msg_hdr.msg_flags & MSG_TRUNC) {
        counters_add(d->config.counters, COUNTER_drop_udp, 1);
        return 0;
    }
    return answer_message(&d->context, &client, d->buffer[i], d->message[i].msg_len, BUFFER_CAP);
}

static void send_replies(struct datagram *d, int fd, unsigned count)
{
    uint64_t bytes = 0;
    unsigned sent = 0;
    while (sent < count) { // each turn sends at least one, or ends
        const int n = sendmmsg(fd, d->reply + sent, count - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n <= 0)
            break;
        for (unsigned i = 0; i < (unsigned)n; i++)
            bytes += d->reply_part[sent + i].iov_len;
        sent += (unsigned)n;
    }
    counters_add(d->config.counters, COUNTER_tx_packets, sent);
    counters_add(d->config.counters, COUNTER_tx_bytes, bytes);
    counters_add(d->config.counters, COUNTER_tx_full, count - sent);
}

// One batch. False when the socket has no more.
static bool serve_batch(struct datagram *d, int fd)
{
    prepare_batch(d);
    const int n = recvmmsg(fd, d->message, BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0)
        return false;
    unsigned replies = 0;
    uint64_t bytes = 0;
    publish_online();
    socket_snapshot_take(&d->context);
    for (unsigned i = 0; i < (unsigned)n; i++) {
        bytes += d->message[i].msg_len;
        const unsigned len = answer_one(d, i);
        if (len == 0)
            continue;
        d->reply_part[replies] = (struct iovec){d->buffer[i], len};
        d->reply[replies].msg_hdr = (struct msghdr){.msg_name = &d->from[i],
                                                    .msg_namelen = d->message[i].msg_hdr.msg_namelen,
                                                    .msg_iov = &d->reply_part[replies],
                                                    .msg_iovlen = 1};
        replies++;
    }
    publish_offline();
    counters_add(d->config.counters, COUNTER_rx_packets, (uint64_t)n);
    counters_add(d->config.counters, COUNTER_rx_bytes, bytes);
    send_replies(d, fd, replies);
    return n == BATCH;
}

static void turn(struct datagram *d)
{
    struct epoll_event event[EVENTS_MAX];
    const int n = epoll_wait(d->epoll_fd, event, EVENTS_MAX, TURN_MS);
    d->context.now_ns = log_now_ns();
    for (int i = 0; i < n; i++) {
        const int fd = event[i].data.fd;
        for (unsigned batch = 0; fd != d->stop_fd && batch < BATCHES_PER_TURN; batch++)
            if (!serve_batch(d, fd))
                break;
    }
    counters_add(d->config.counters, COUNTER_loops, 1);
    if (n > 0)
        counters_add(d->config.counters, COUNTER_loops_busy, 1);
}

static void *datagram_thread(void *argument)
{
    struct datagram *d = argument;
    pthread_setname_np(pthread_self(), "datagram");
    __atomic_store_n(&d->config.counters->thread_id, (uint64_t)gettid(), __ATOMIC_RELAXED);
    publish_register();
    publish_offline();
    while (!__atomic_load_n(&d->stop, __ATOMIC_ACQUIRE))
        turn(d);
    turn(d); // what arrived before the end
    publish_unregister();
    return NULL;
}

// ---- life ----

// Replies are never fragmented (RFC 9715 section 3.1): the path's MTU is not asked, "do not fragment" is set.
static void set_options(int fd, bool is_ipv6)
{
    const int probe4 = IP_PMTUDISC_PROBE, probe6 = IPV6_PMTUDISC_PROBE, one = 1, bytes = RECEIVE_BUFFER;
    if (is_ipv6) {
        setsockopt(fd, SOL_IPV6, IPV6_MTU_DISCOVER, &probe6, sizeof probe6);
        setsockopt(fd, SOL_IPV6, IPV6_DONTFRAG, &one, sizeof one);
    } else {
        setsockopt(fd, SOL_IP, IP_MTU_DISCOVER, &probe4, sizeof probe4);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

static int bind_one(struct datagram *d, const struct node_address *address)
{
    const int fd = listen_bind(SOCK_DGRAM, address, d->config.port);
    if (fd < 0)
        return fd;
    set_options(fd, address->is_ipv6);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) {
        const int rc = -errno;
        close(fd);
        return rc;
    }
    d->socket[d->socket_count++] = fd;
    return 0;
}

static int init(struct datagram *d)
{
    d->buffer = malloc(BATCH * sizeof *d->buffer);
    if (!d->buffer)
        return -ENOMEM;
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    d->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = d->stop_fd};
    if (d->epoll_fd < 0 || d->stop_fd < 0 || epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->stop_fd, &e) < 0)
        return -errno;
    d->context.counters = d->config.counters;
    d->context.rate_limit = d->config.rate_limit;
    return 0;
}

struct datagram *datagram_new(const struct datagram_config *config, char why[256])
{
    struct datagram *d = calloc(1, sizeof *d);
    char text[46];
    if (!d) {
        snprintf(why, 256, "out of memory");
        return NULL;
    }
    d->config = *config;
    d->epoll_fd = d->stop_fd = -1;
    int rc = init(d);
    for (unsigned i = 0; rc == 0 && i < config->address_count && d->socket_count < LISTEN_MAX; i++) {
        const int failed = bind_one(d, &config->address[i]);
        if (failed < 0)
            log_warning("no DNS over UDP on %s: %s%s", listen_text(&config->address[i], text), strerror(-failed),
                        failed == -EADDRINUSE ? "; another name server has port 53 there (`ss -lunp`)" : "");
    }
    if (d->socket_count)
        return d;
    snprintf(why, 256, "no DNS over UDP: %s", rc < 0 ? strerror(-rc) : "no address could be had");
    datagram_free(d);
    return NULL;
}

uint16_t datagram_port(const struct datagram *d)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    if (getsockname(d->socket[0], (struct sockaddr *)&at, &len) < 0)
        return 0;
    return ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                          : ((struct sockaddr_in *)&at)->sin_port);
}

int datagram_start(struct datagram *d)
{
    const int rc = pthread_create(&d->thread, NULL, datagram_thread, d);
    d->has_thread = rc == 0;
    return -rc;
}

void datagram_free(struct datagram *d)
{
    if (!d)
        return;
    if (d->has_thread) {
        __atomic_store_n(&d->stop, true, __ATOMIC_RELEASE);
        eventfd_write(d->stop_fd, 1);
        pthread_join(d->thread, NULL);
    }
    for (unsigned i = 0; i < d->socket_count; i++)
        close(d->socket[i]);
    if (d->epoll_fd >= 0)
        close(d->epoll_fd);
    if (d->stop_fd >= 0)
        close(d->stop_fd);
    free(d->buffer);
    free(d);
}
