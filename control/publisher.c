// SPDX-License-Identifier: Apache-2.0
#include "control/publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/image_receive.h"
#include "shared/clock.h"

struct publisher {
    uv_loop_t *loop;
    struct sockaddr_un address;
    struct worker_watch *watch;
    struct publisher_callbacks callbacks;
    uv_timer_t retry;
    uv_poll_t *poll; // one per connection; null while there is none
    int connection;  // -1: none
    bool is_closing, has_hello;
    int image[2];     // newest memfd of each kind, or -1
    uint64_t sent[2]; // generation sent on this connection
    uint64_t made[2]; // highest generation made or heard of
    struct publisher_status status;
    struct publisher *mirror; // gets the same images; null: none
};

static unsigned index_of(enum image_kind kind)
{
    return kind == IMAGE_ZONE ? 0 : 1;
}

static void poll_closed(uv_handle_t *handle)
{
    free(handle);
}

static void disconnect(struct publisher *p, const char *why)
{
    if (p->connection < 0)
        return;
    uv_poll_stop(p->poll);
    uv_close((uv_handle_t *)p->poll, poll_closed);
    p->poll = NULL;
    close(p->connection);
    p->connection = -1;
    worker_watch_detach(p->watch);
    const bool was_connected = p->has_hello;
    p->has_hello = p->status.is_connected = false;
    p->status.since_ns = uv_hrtime();
    p->sent[0] = p->sent[1] = 0;
    if (was_connected && !p->is_closing && p->callbacks.disconnected)
        p->callbacks.disconnected(p->callbacks.user, why);
}

// ---- sending ----

static int send_image(struct publisher *p, unsigned at)
{
    struct publisher_kind_status *status = &p->status.kind[at];
    struct image_message message = {.magic = IMAGE_MESSAGE_MAGIC,
                                    .version = IMAGE_PROTOCOL_VERSION,
                                    .type = IMAGE_MESSAGE_IMAGE,
                                    .kind = at == 0 ? IMAGE_ZONE : IMAGE_ORDER,
                                    .generation = status->generation,
                                    .image_bytes = status->bytes,
                                    .monotonic_ns = uv_hrtime()};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&message, sizeof message};
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &p->image[at], sizeof(int));
    if (sendmsg(p->connection, &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return -errno;
    p->sent[at] = status->generation;
    status->sent_ns = message.monotonic_ns;
    return 0;
}

static void on_event(uv_poll_t *poll, int status, int events);

// Sends what is not sent yet. A full socket buffer makes us wait until it can be written to: only the newest image of
// each kind is ever waiting.
static void flush(struct publisher *p)
{
    if (!p->has_hello)
        return;
    int rc = 0;
    for (unsigned at = 0; at < 2 && rc == 0; at++)
        if (p->image[at] >= 0 && p->sent[at] != p->status.kind[at].generation)
            rc = send_image(p, at);
    if (rc < 0 && rc != -EAGAIN) {
        disconnect(p, strerror(-rc));
        return;
    }
    uv_poll_start(p->poll, rc == -EAGAIN ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_event);
}

// ---- receiving ----

// The process that listens, as this process counts them; 0: it is in a container that is not ours.
static int peer_pid(const struct publisher *p)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(p->connection, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? (int)peer.pid : 0;
}

static void on_hello(struct publisher *p, const struct image_message *m, int fd)
{
    const uint64_t held[2] = {m->zone_generation, m->order_generation};
    bool needs_newer = false;
    const int rc = fd >= 0 ? worker_watch_attach(p->watch, fd, peer_pid(p)) : -EPROTO;
    if (rc < 0) {
        disconnect(p, "the data plane's counters have another layout: are both programs of the same version?");
        return;
    }
    p->has_hello = p->status.is_connected = true;
    p->status.pid = m->pid;
    p->status.worker_count = m->worker_count;
    memcpy(p->status.version, m->text, sizeof p->status.version);
    p->status.version[sizeof p->status.version - 1] = 0;
    p->status.connections++;
    p->status.since_ns = uv_hrtime();
    for (unsigned at = 0; at < 2; at++) {
        struct publisher_kind_status *k = &p->status.kind[at];
        k->accepted = k->published = held[at];
        k->accepted_ns = k->published_ns = 0;
        p->made[at] = held[at] > p->made[at] ? held[at] : p->made[at];
        needs_newer |= p->image[at] >= 0 && held[at] > k->generation;
        if (held[at] == k->generation)
            p->sent[at] = held[at];
    }
    if (p->callbacks.connected)
        p->callbacks.connected(p->callbacks.user, needs_newer);
    flush(p);
}

static void on_result(struct publisher *p, const struct image_message *m)
{
    struct publisher_kind_status *k = &p->status.kind[index_of((enum image_kind)m->kind)];
    k->status = m->status;
    memcpy(k->text, m->text, sizeof k->text);
    k->text[sizeof k->text - 1] = 0;
    if (m->status == 0 || m->status == -EALREADY) {
        k->accepted = m->generation;
        if (m->generation == k->generation)
            k->accepted_ns = m->monotonic_ns;
    } else {
        p->status.results_bad++;
    }
    if (p->callbacks.result)
        p->callbacks.result(p->callbacks.user, (enum image_kind)m->kind, m->generation, m->status, k->text);
}

static void on_published(struct publisher *p, const struct image_message *m)
{
    struct publisher_kind_status *k = &p->status.kind[index_of((enum image_kind)m->kind)];
    k->published = m->generation;
    if (m->generation == k->generation)
        k->published_ns = m->monotonic_ns;
    if (p->callbacks.published)
        p->callbacks.published(p->callbacks.user, (enum image_kind)m->kind, m->generation, m->monotonic_ns);
}

static void dispatch(struct publisher *p, const struct image_message *m, int fd)
{
    const bool has_kind = m->kind == IMAGE_ZONE || m->kind == IMAGE_ORDER;
    if (m->type == IMAGE_MESSAGE_HELLO && !p->has_hello)
        on_hello(p, m, fd);
    else if (m->type == IMAGE_MESSAGE_RESULT && has_kind && p->has_hello)
        on_result(p, m);
    else if (m->type == IMAGE_MESSAGE_PUBLISHED && has_kind && p->has_hello)
        on_published(p, m);
    else
        disconnect(p, "it sent a message that it must not send now");
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct publisher *p = poll->data;
    if (status < 0) {
        disconnect(p, uv_strerror(status));
        return;
    }
    for (unsigned i = 0; i < 64 && (events & UV_READABLE) && p->connection >= 0; i++) {
        struct image_message m;
        int fd;
        const int rc = image_receive(p->connection, MSG_DONTWAIT, &m, &fd);
        if (rc == 0)
            break;
        if (rc < 0) {
            disconnect(p, rc == -ECONNRESET ? "it closed the connection" : strerror(-rc));
            return;
        }
        dispatch(p, &m, fd);
        if (fd >= 0)
            close(fd);
    }
    if (p->connection >= 0 && (events & UV_WRITABLE))
        flush(p);
}

// ---- connecting ----

static void try_connect(struct publisher *p)
{
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    uv_poll_t *poll = NULL;
    if (connect(fd, (const struct sockaddr *)&p->address, sizeof p->address) == 0)
        poll = malloc(sizeof *poll);
    if (!poll || uv_poll_init(p->loop, poll, fd) < 0) {
        free(poll);
        close(fd);
        return;
    }
    p->poll = poll;
    p->connection = fd;
    poll->data = p;
    uv_poll_start(poll, UV_READABLE, on_event);
}

static void on_retry(uv_timer_t *timer)
{
    struct publisher *p = timer->data;
    if (p->connection < 0)
        try_connect(p);
}

struct publisher *publisher_new(uv_loop_t *loop, const char *socket_path, struct worker_watch *watch,
                                const struct publisher_callbacks *callbacks)
{
    struct publisher *p = calloc(1, sizeof *p);
    if (!p || strlen(socket_path) >= sizeof p->address.sun_path) {
        free(p);
        return NULL;
    }
    p->loop = loop;
    p->address.sun_family = AF_UNIX;
    memcpy(p->address.sun_path, socket_path, strlen(socket_path) + 1);
    p->watch = watch;
    p->callbacks = *callbacks;
    p->connection = p->image[0] = p->image[1] = -1;
    uv_timer_init(loop, &p->retry);
    p->retry.data = p;
    uv_timer_start(&p->retry, on_retry, 0, PUBLISHER_RETRY_MS);
    return p;
}

static void retry_closed(uv_handle_t *handle)
{
    struct publisher *p = handle->data;
    for (unsigned at = 0; at < 2; at++)
        if (p->image[at] >= 0)
            close(p->image[at]);
    free(p);
}

void publisher_close(struct publisher *p)
{
    if (!p)
        return;
    p->is_closing = true;
    disconnect(p, "");
    uv_close((uv_handle_t *)&p->retry, retry_closed);
}

uint64_t publisher_next_generation(struct publisher *p, enum image_kind kind)
{
    const uint64_t wall_us = clock_wall_us();
    uint64_t *made = &p->made[index_of(kind)];
    if (p->mirror && p->mirror->made[index_of(kind)] > *made)
        *made = p->mirror->made[index_of(kind)];
    *made = wall_us > *made ? wall_us : *made + 1;
    return *made;
}

void publisher_set(struct publisher *p, enum image_kind kind, int fd, uint64_t bytes, uint64_t generation)
{
    const unsigned at = index_of(kind);
    struct publisher_kind_status *k = &p->status.kind[at];
    if (p->image[at] >= 0)
        close(p->image[at]);
    p->image[at] = fd;
    k->generation = generation;
    k->bytes = bytes;
    k->sent_ns = k->accepted_ns = k->published_ns = 0;
    p->made[at] = generation > p->made[at] ? generation : p->made[at];
    flush(p);
    const int copy = p->mirror ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy >= 0) // without a descriptor it keeps the last good image, and the next one comes
        publisher_set(p->mirror, kind, copy, bytes, generation);
}

void publisher_set_mirror(struct publisher *p, struct publisher *mirror)
{
    p->mirror = mirror;
}

int publisher_image(const struct publisher *p, enum image_kind kind)
{
    return p->image[index_of(kind)];
}

const struct publisher_status *publisher_status(const struct publisher *p)
{
    return &p->status;
}
