// SPDX-License-Identifier: Apache-2.0
#include "health/heartbeat_link.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { RECEIVE_BURST = 64 }; // datagrams taken in one turn, so that a flood cannot starve the sending

struct heartbeat_link {
    struct heartbeat_link_config config;
    pthread_t thread;
    int socket_fd, timer_fd, event_fd, stop_fd;
    uint64_t sequence;
    struct heartbeat_receiver receiver; // link thread only
    pthread_mutex_t lock;               // guards what stands below; held for copies only
    struct heartbeat_message message;
    struct heartbeat_received queue[HEARTBEAT_QUEUE_CAP];
    unsigned queue_head, queue_count;
    struct heartbeat_link_stats stats;
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void send_all(struct heartbeat_link *link)
{
    uint8_t datagram[HEARTBEAT_MAX_LEN];
    if (link->config.may_send && !link->config.may_send(link->config.user)) {
        pthread_mutex_lock(&link->lock);
        link->stats.withheld++;
        pthread_mutex_unlock(&link->lock);
        return;
    }
    pthread_mutex_lock(&link->lock);
    struct heartbeat_message message = link->message;
    pthread_mutex_unlock(&link->lock);
    memcpy(message.node, link->config.node, sizeof message.node);
    message.incarnation = link->config.incarnation;
    message.sequence = ++link->sequence;
    message.wall_us = clock_ns(CLOCK_REALTIME) / 1000;
    const int len = heartbeat_encode(datagram, &message, link->config.key[0]);
    uint64_t sent = 0, errors = 0;
    for (unsigned i = 0; i < link->config.peer_count && len > 0; i++) {
        const struct heartbeat_peer *p = &link->config.peer[i];
        if (sendto(link->socket_fd, datagram, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL,
                   (const struct sockaddr *)&p->address, p->address_len) == len)
            sent++;
        else
            errors++;
    }
    pthread_mutex_lock(&link->lock);
    link->stats.sent += sent;
    link->stats.send_errors += errors;
    pthread_mutex_unlock(&link->lock);
}

static void receive_some(struct heartbeat_link *link)
{
    uint8_t data[HEARTBEAT_MAX_LEN + 1];
    struct heartbeat_received received;
    for (unsigned i = 0; i < RECEIVE_BURST; i++) {
        const ssize_t len = recv(link->socket_fd, data, sizeof data, MSG_DONTWAIT);
        if (len < 0)
            return;
        const enum heartbeat_verdict verdict = heartbeat_receive(
            &link->receiver, data, (size_t)len, clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME) / 1000, &received);
        bool is_queued = false;
        pthread_mutex_lock(&link->lock);
        link->stats.received[verdict]++;
        if (verdict == HEARTBEAT_GOOD && link->queue_count < HEARTBEAT_QUEUE_CAP) {
            link->queue[(link->queue_head + link->queue_count++) % HEARTBEAT_QUEUE_CAP] = received;
            is_queued = true;
        } else if (verdict == HEARTBEAT_GOOD) {
            link->stats.queue_full++;
        }
        pthread_mutex_unlock(&link->lock);
        if (is_queued)
            (void)!write(link->event_fd, &(uint64_t){1}, 8);
    }
}

static void *run(void *arg)
{
    struct heartbeat_link *link = arg;
    struct pollfd fds[3] = {{link->socket_fd, POLLIN, 0}, {link->timer_fd, POLLIN, 0}, {link->stop_fd, POLLIN, 0}};
    uint64_t due_ns = clock_ns(CLOCK_MONOTONIC);
    for (;;) { // until stopped
        if (poll(fds, 3, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[2].revents)
            return NULL;
        if (fds[1].revents) {
            uint64_t expired = 0;
            (void)!read(link->timer_fd, &expired, sizeof expired);
            due_ns += link->config.interval_ns * expired;
            const uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
            pthread_mutex_lock(&link->lock);
            if (now_ns > due_ns && now_ns - due_ns > link->stats.latest_ns)
                link->stats.latest_ns = now_ns - due_ns;
            pthread_mutex_unlock(&link->lock);
            send_all(link);
        }
        if (fds[0].revents)
            receive_some(link);
    }
}

static int open_socket(const struct heartbeat_link_config *config)
{
    const int fd = socket(config->listen.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    const int on = 1, room = 1 << 20;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(fd, (const struct sockaddr *)&config->listen, config->listen_len) < 0) {
        const int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void close_all(struct heartbeat_link *link)
{
    const int fds[] = {link->socket_fd, link->timer_fd, link->event_fd, link->stop_fd};
    for (unsigned i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    sodium_memzero(link->config.key, sizeof link->config.key);
    sodium_memzero(link->receiver.key, sizeof link->receiver.key);
    pthread_mutex_destroy(&link->lock);
    free(link);
}

static void set_receiver(struct heartbeat_link *link)
{
    const struct heartbeat_link_config *config = &link->config;
    struct heartbeat_receiver *r = &link->receiver;
    memcpy(r->key, config->key, sizeof r->key);
    r->key_count = config->key_count;
    r->clock_tolerance_ns = config->clock_tolerance_ns;
    r->sender_count = config->peer_count;
    for (unsigned i = 0; i < config->peer_count; i++) {
        memcpy(r->sender[i].name, config->peer[i].name, sizeof r->sender[i].name);
        r->sender[i].site = config->peer[i].site;
        r->sender[i].node = config->peer[i].node;
    }
}

struct heartbeat_link *heartbeat_link_start(const struct heartbeat_link_config *config)
{
    struct heartbeat_link *link = calloc(1, sizeof *link);
    if (!link || sodium_init() < 0) {
        free(link);
        return NULL;
    }
    link->config = *config;
    set_receiver(link);
    link->message.load_permille = -1;
    link->message.lag_ms = -1;
    pthread_mutex_init(&link->lock, NULL);
    link->socket_fd = open_socket(config);
    const int error = errno;
    link->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    link->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    link->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    const struct timespec interval = {(time_t)(config->interval_ns / 1000000000u),
                                      (long)(config->interval_ns % 1000000000u)};
    const struct itimerspec timer = {interval, interval};
    if (link->socket_fd < 0 || link->timer_fd < 0 || link->event_fd < 0 || link->stop_fd < 0 ||
        timerfd_settime(link->timer_fd, 0, &timer, NULL) < 0 || pthread_create(&link->thread, NULL, run, link) != 0) {
        close_all(link);
        errno = error;
        return NULL;
    }
    return link;
}

void heartbeat_link_stop(struct heartbeat_link *link)
{
    if (!link)
        return;
    (void)!write(link->stop_fd, &(uint64_t){1}, 8);
    pthread_join(link->thread, NULL);
    close_all(link);
}

int heartbeat_link_fd(const struct heartbeat_link *link)
{
    return link->event_fd;
}

bool heartbeat_link_next(struct heartbeat_link *link, struct heartbeat_received *received)
{
    bool is_there = false;
    pthread_mutex_lock(&link->lock);
    if (link->queue_count) {
        *received = link->queue[link->queue_head];
        link->queue_head = (link->queue_head + 1) % HEARTBEAT_QUEUE_CAP;
        link->queue_count--;
        is_there = true;
    } else {
        uint64_t drained;
        (void)!read(link->event_fd, &drained, sizeof drained);
    }
    pthread_mutex_unlock(&link->lock);
    return is_there;
}

void heartbeat_link_set_message(struct heartbeat_link *link, const struct heartbeat_message *message)
{
    pthread_mutex_lock(&link->lock);
    link->message = *message;
    pthread_mutex_unlock(&link->lock);
}

void heartbeat_link_stats(struct heartbeat_link *link, struct heartbeat_link_stats *stats)
{
    pthread_mutex_lock(&link->lock);
    *stats = link->stats;
    pthread_mutex_unlock(&link->lock);
}
