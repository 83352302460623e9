// SPDX-License-Identifier: Apache-2.0
#include "dataplane/manager.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/image_checker.h"
#include "dataplane/image_socket.h"
#include "dataplane/image_store.h"
#include "shared/log.h"
#include "dataplane/pairing.h"
#include "dataplane/publish.h"

enum {
    MESSAGES_PER_TURN = 16, // of one connection before the others have their turn
    TURN_MS = 1000,         // longest wait: statistics are written once a second
    GRACE_WARN_S = 1        // a worker that holds a snapshot longer than this is worth a word
};

struct connection {
    int fd;          // -1: free
    uint64_t serial; // never used twice, so that a late result does not go to a stranger
};

struct zone_job {
    struct image_map *map; // one reference; null: none
    uint64_t serial, generation;
};

struct manager {
    struct manager_config config;
    int listener, event_fd;
    struct connection connection[IMAGE_CONNECTION_MAX];
    uint64_t last_serial;
    struct pairing pairing;
    struct zone_job checking, queued; // zone images: with the checker, and the one next for it
    bool needs_publish;
    bool has_told;                            // that it answers
    uint64_t zone_announced, order_announced; // generations of the last PUBLISHED
    struct image_checker *checker;
    struct image_store *store;
    uint64_t capturing; // serial of the connection that captures; 0: none
    struct capture_watch capture_watch;
    struct log_limit refuse_limit, grace_limit;
    bool has_thread, has_reclaimer;
    pthread_t thread;
    bool stop; // set by manager_free
    // what the reclaimer thread left for us
    pthread_mutex_t done_lock;
    bool is_done;
    uint64_t done_zone, done_order, done_grace_ns, done_grace_max_ns, done_at_ns;
};

// ---- sending ----

static void close_connection(struct manager *m, struct connection *c)
{
    if (c->serial == m->capturing) {
        __atomic_store_n(&m->config.capture->page->is_on, 0, __ATOMIC_RELEASE);
        m->capturing = 0;
        log_notice("the capture of packets is over");
    }
    close(c->fd);
    c->fd = -1;
}

static void send_message(struct manager *manager, struct connection *c, struct image_message *m, int fd)
{
    m->monotonic_ns = m->monotonic_ns ? m->monotonic_ns : log_now_ns();
    const int rc = image_socket_send(c->fd, m, fd);
    if (rc < 0) {
        if (rc != -EPIPE && rc != -ECONNRESET)
            log_warning("image socket: connection closed: %s",
                        rc == -EAGAIN ? "the peer does not read" : strerror(-rc));
        close_connection(manager, c);
    }
}

static void fill_generations(const struct manager *m, struct image_message *message)
{
    message->zone_generation = m->pairing.zone ? m->pairing.zone->generation : 0;
    message->order_generation = m->pairing.order ? m->pairing.order->generation : 0;
}

static void send_hello(struct manager *m, struct connection *c)
{
    struct image_message hello = {.type = IMAGE_MESSAGE_HELLO, .pid = (uint32_t)getpid()};
    hello.worker_count = m->config.worker_count;
    fill_generations(m, &hello);
    snprintf(hello.text, sizeof hello.text, "%s", SIGNPOST_VERSION);
    send_message(m, c, &hello, m->config.counters->fd);
}

static const char *kind_name(uint32_t kind)
{
    return kind == IMAGE_ZONE ? "zone" : kind == IMAGE_ORDER ? "order" : "unknown";
}

static void count(uint64_t *field)
{
    counters_page_set(field, *field + 1);
}

// Tells the sender, if it is still there, and people.
static void send_result(struct manager *m, uint64_t serial, uint32_t kind, uint64_t generation, int status,
                        const char *text)
{
    struct counters_page *page = m->config.counters->page;
    uint64_t dropped;
    if (status == 0)
        count(&page->images_accepted);
    else if (status != -EALREADY) {
        count(&page->images_refused);
        if (log_limit_pass(&m->refuse_limit, log_now_ns(), &dropped))
            log_warning("%s image %llu refused: %s (%llu earlier refusals not shown)", kind_name(kind),
                        (unsigned long long)generation, text, (unsigned long long)dropped);
    }
    struct image_message result = {.type = IMAGE_MESSAGE_RESULT, .kind = kind, .status = status};
    result.generation = generation;
    fill_generations(m, &result);
    snprintf(result.text, sizeof result.text, "%s", text);
    for (unsigned i = 0; i < IMAGE_CONNECTION_MAX; i++)
        if (m->connection[i].fd >= 0 && m->connection[i].serial == serial)
            send_message(m, &m->connection[i], &result, -1);
}

static void send_published(struct manager *m, enum image_kind kind, uint64_t zone, uint64_t order, uint64_t at_ns)
{
    struct image_message message = {.type = IMAGE_MESSAGE_PUBLISHED, .kind = kind, .monotonic_ns = at_ns};
    message.generation = kind == IMAGE_ZONE ? zone : order;
    message.zone_generation = zone;
    message.order_generation = order;
    for (unsigned i = 0; i < IMAGE_CONNECTION_MAX; i++)
        if (m->connection[i].fd >= 0)
            send_message(m, &m->connection[i], &message, -1);
}

// ---- publication ----

static void publish_done(void *user, uint64_t zone, uint64_t order, uint64_t grace_ns) // on the reclaimer thread
{
    struct manager *m = user;
    pthread_mutex_lock(&m->done_lock);
    m->is_done = true;
    m->done_zone = zone;
    m->done_order = order;
    m->done_grace_ns = grace_ns;
    m->done_grace_max_ns = grace_ns > m->done_grace_max_ns ? grace_ns : m->done_grace_max_ns;
    m->done_at_ns = log_now_ns();
    pthread_mutex_unlock(&m->done_lock);
    eventfd_write(m->event_fd, 1);
}

static void try_publish(struct manager *m)
{
    if (!m->needs_publish)
        return;
    struct snapshot *s = snapshot_new(m->pairing.zone, m->pairing.order);
    if (!s || publish_swap(s) < 0) { // full of snapshots that a worker still holds: again when one is freed
        snapshot_free(s);
        return;
    }
    m->needs_publish = false;
    if (!m->has_told)
        log_notice("answering: zone %llu, order %llu", (unsigned long long)m->pairing.zone->generation,
                   (unsigned long long)m->pairing.order->generation);
    m->has_told = true;
    struct counters_page *page = m->config.counters->page;
    count(&page->publications);
    counters_page_set(&page->published_at_ns, log_now_ns());
    if (m->store)
        image_store_put(m->store, m->pairing.zone, m->pairing.order);
}

static void announce(struct manager *m)
{
    pthread_mutex_lock(&m->done_lock);
    const bool is_done = m->is_done;
    const uint64_t zone = m->done_zone, order = m->done_order, at_ns = m->done_at_ns;
    const uint64_t last = m->done_grace_ns, longest = m->done_grace_max_ns;
    m->is_done = false;
    pthread_mutex_unlock(&m->done_lock);
    if (!is_done)
        return;
    counters_page_set(&m->config.counters->page->grace_period_last_ns, last);
    counters_page_set(&m->config.counters->page->grace_period_max_ns, longest);
    if (zone != m->zone_announced)
        send_published(m, IMAGE_ZONE, zone, order, at_ns);
    if (order != m->order_announced)
        send_published(m, IMAGE_ORDER, zone, order, at_ns);
    m->zone_announced = zone;
    m->order_announced = order;
}

// ---- images ----

// A validated image. The caller keeps its reference.
static void accept_image(struct manager *m, struct image_map *map, uint64_t serial)
{
    char why[IMAGE_TEXT_CAP] = "not newer than what is held";
    const int rc = pairing_accept(&m->pairing, map, why);
    if (rc == 1) {
        m->needs_publish = true;
        try_publish(m);
        log_debug("%s image %llu in use", kind_name(map->kind), (unsigned long long)map->generation);
    }
    const char *text = rc == 1 ? "in use" : rc == 0 ? "waits for the image of the other kind that belongs to it" : why;
    send_result(m, serial, map->kind, map->generation, rc > 0 ? 0 : rc, text);
}

static void submit_zone(struct manager *m)
{
    if (m->checking.map || !m->queued.map || !image_checker_submit(m->checker, m->queued.map))
        return;
    m->checking = m->queued; // its reference is the checker's now
    m->queued = (struct zone_job){0};
}

static void collect_zone(struct manager *m)
{
    int rc = 0;
    char why[IMAGE_TEXT_CAP] = "";
    struct image_map *map = m->checking.map ? image_checker_result(m->checker, &rc, why) : NULL;
    if (!map)
        return;
    const struct zone_job job = m->checking;
    m->checking = (struct zone_job){0};
    if (rc == 0 && map->generation != job.generation) {
        rc = -EBADMSG;
        snprintf(why, sizeof why, "the image has another generation than the message");
    }
    if (rc == 0)
        accept_image(m, map, job.serial);
    else
        send_result(m, job.serial, IMAGE_ZONE, job.generation, rc, why);
    image_map_drop(map);
    submit_zone(m);
}

static void queue_zone(struct manager *m, struct image_map *map, uint64_t serial, uint64_t generation)
{
    const struct zone_job replaced = m->queued;
    m->queued = (struct zone_job){map, serial, generation};
    if (replaced.map) {
        send_result(m, replaced.serial, IMAGE_ZONE, replaced.generation, -EALREADY,
                    "a newer zone image came before its turn");
        image_map_drop(replaced.map);
    }
    submit_zone(m);
}

static int is_news(const struct manager *m, enum image_kind kind, uint64_t generation)
{
    if (kind == IMAGE_ZONE && (generation <= m->checking.generation || generation <= m->queued.generation))
        return -EALREADY;
    return pairing_is_news(&m->pairing, kind, generation);
}

static void receive_image(struct manager *m, const struct image_message *message, int fd, uint64_t serial)
{
    const enum image_kind kind = (enum image_kind)message->kind;
    char why[IMAGE_TEXT_CAP] = "not newer than what is held";
    struct image_map *map = NULL;
    int rc = fd < 0 ? -EBADMSG : 0;
    if (rc < 0)
        snprintf(why, sizeof why, "no descriptor came with the message");
    if (rc == 0)
        rc = is_news(m, kind, message->generation);
    if (rc == 0)
        rc = image_map_from_memfd(fd, message->image_bytes, kind, &map, why);
    if (rc == 0 && kind == IMAGE_ZONE) {
        queue_zone(m, map, serial, message->generation);
        return;
    }
    if (rc == 0)
        rc = image_map_check(map, why);
    if (rc == 0 && map->generation != message->generation) {
        rc = -EBADMSG;
        snprintf(why, sizeof why, "the image has another generation than the message");
    }
    if (rc == 0)
        accept_image(m, map, serial);
    else
        send_result(m, serial, message->kind, message->generation, rc, why);
    image_map_drop(map);
}

// ---- connections ----

// One at a time: what stands in the rings belongs to one reader.
static void start_capture(struct manager *m, struct connection *c)
{
    struct image_message reply = {.type = IMAGE_MESSAGE_CAPTURE};
    const struct capture_memory *capture = m->config.capture;
    const bool is_there = capture && capture->page;
    reply.status = !is_there ? -ENOTSUP : m->capturing ? -EBUSY : 0;
    if (reply.status == 0) {
        m->capturing = c->serial;
        m->capture_watch = (struct capture_watch){0};
        log_notice("packets are being captured");
    }
    send_message(m, c, &reply, reply.status == 0 ? capture->fd : -1);
}

static void serve_connection(struct manager *m, struct connection *c)
{
    for (unsigned i = 0; i < MESSAGES_PER_TURN && c->fd >= 0; i++) {
        struct image_message message;
        int fd = -1;
        const int rc = image_socket_receive(c->fd, &message, &fd);
        if (rc == -EAGAIN)
            return;
        if (rc == 1 && message.type == IMAGE_MESSAGE_IMAGE) {
            receive_image(m, &message, fd, c->serial);
        } else if (rc == 1 && message.type == IMAGE_MESSAGE_CAPTURE) {
            start_capture(m, c);
        } else {
            if (rc != 0)
                log_warning("image socket: connection closed: the peer does not speak this protocol");
            close_connection(m, c);
        }
        if (fd >= 0)
            close(fd);
    }
}

static void accept_connections(struct manager *m)
{
    for (unsigned i = 0; i < IMAGE_CONNECTION_MAX; i++) {
        char why[IMAGE_TEXT_CAP];
        uint64_t dropped;
        const int fd = image_socket_accept(m->listener, m->config.owner, why);
        if (fd == -EPERM && log_limit_pass(&m->refuse_limit, log_now_ns(), &dropped))
            log_warning("image socket: %s refused: neither root nor our user", why);
        if (fd < 0)
            return;
        struct connection *free_one = NULL;
        for (unsigned at = 0; at < IMAGE_CONNECTION_MAX && !free_one; at++)
            free_one = m->connection[at].fd < 0 ? &m->connection[at] : NULL;
        if (!free_one) {
            log_warning("image socket: connection refused: %d are open", IMAGE_CONNECTION_MAX);
            close(fd);
            return;
        }
        *free_one = (struct connection){fd, ++m->last_serial};
        send_hello(m, free_one);
    }
}

static void watch_grace(struct manager *m)
{
    const uint64_t now_ns = log_now_ns(), age_ns = publish_grace_age_ns(now_ns);
    uint64_t dropped;
    if (age_ns > GRACE_WARN_S * 1000000000ull && log_limit_pass(&m->grace_limit, now_ns, &dropped))
        log_warning("a worker has held an old table for %.1f s", (double)age_ns / 1e9);
}

// A stopped or blocked reader: its connection is what it captures by.
static void watch_capture(struct manager *m)
{
    if (!m->capturing || !capture_is_stalled(&m->capture_watch, m->config.capture->page, log_now_ns()))
        return;
    log_warning("whoever captures packets has not read any for %llu s",
                (unsigned long long)(CAPTURE_STALL_NS / 1000000000u));
    for (unsigned i = 0; i < IMAGE_CONNECTION_MAX; i++)
        if (m->connection[i].fd >= 0 && m->connection[i].serial == m->capturing)
            close_connection(m, &m->connection[i]);
}

static void turn(struct manager *m)
{
    struct pollfd set[IMAGE_CONNECTION_MAX + 2] = {{m->event_fd, POLLIN, 0}, {m->listener, POLLIN, 0}};
    for (unsigned i = 0; i < IMAGE_CONNECTION_MAX; i++)
        set[i + 2] = (struct pollfd){m->connection[i].fd, POLLIN, 0};
    poll(set, IMAGE_CONNECTION_MAX + 2, TURN_MS);
    eventfd_t ignored;
    if (set[0].revents)
        eventfd_read(m->event_fd, &ignored);
    count(&m->config.counters->page->manager_loops);
    collect_zone(m);
    try_publish(m);
    announce(m);
    for (unsigned i = 0; i < IMAGE_CONNECTION_MAX; i++)
        if (set[i + 2].revents && m->connection[i].fd == set[i + 2].fd)
            serve_connection(m, &m->connection[i]);
    if (set[1].revents)
        accept_connections(m);
    watch_grace(m);
    watch_capture(m);
}

static void *manager_thread(void *argument)
{
    struct manager *m = argument;
    pthread_setname_np(pthread_self(), "manager");
    while (!__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE))
        turn(m);
    return NULL;
}

// ---- life ----

static void load_images(struct manager *m)
{
    char why[IMAGE_TEXT_CAP];
    struct image_map *zone = NULL, *order = NULL;
    const int rc = image_store_load(m->config.state_dir, &zone, &order, why);
    if (rc == -ENOENT)
        log_info("no images in %s yet", m->config.state_dir);
    else if (rc < 0)
        log_warning("the images in %s are not used: %s", m->config.state_dir, why);
    if (rc < 0)
        return;
    if (pairing_accept(&m->pairing, zone, why) >= 0 && pairing_accept(&m->pairing, order, why) == 1) {
        m->needs_publish = m->has_told = true;
        try_publish(m);
        log_notice("answering from the last good images: zone %llu, order %llu", (unsigned long long)zone->generation,
                   (unsigned long long)order->generation);
    }
    image_map_drop(zone);
    image_map_drop(order);
}

static int open_store(struct manager *m, char why[256])
{
    const char *directory = m->config.state_dir;
    if (!directory)
        return 0;
    if (mkdir(directory, 0700) < 0 && errno != EEXIST) {
        snprintf(why, 256, "state directory %.120s: %s; make it or name another with --state-dir", directory,
                 strerror(errno));
        return -1;
    }
    m->store = image_store_new(directory);
    if (!m->store)
        snprintf(why, 256, "state directory %.120s: %s", directory, strerror(errno));
    return m->store ? 0 : -1;
}

struct manager *manager_new(const struct manager_config *config, char why[256])
{
    struct manager *m = calloc(1, sizeof *m);
    if (!m) {
        snprintf(why, 256, "out of memory");
        return NULL;
    }
    m->config = *config;
    m->listener = m->event_fd = -1;
    for (unsigned i = 0; i < IMAGE_CONNECTION_MAX; i++)
        m->connection[i].fd = -1;
    pthread_mutex_init(&m->done_lock, NULL);
    m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->listener = m->event_fd < 0 ? -1 : image_socket_listen(config->socket_path, why);
    if (m->listener < 0)
        goto failed;
    m->checker = image_checker_new(m->event_fd);
    m->has_reclaimer = m->checker && publish_init(publish_done, m) == 0;
    if (!m->has_reclaimer) {
        snprintf(why, 256, "threads cannot be started");
        goto failed;
    }
    if (config->state_dir)
        load_images(m); // before there is a store: what came from the disk is not written again
    if (open_store(m, why) < 0)
        goto failed;
    return m;
failed:
    manager_free(m);
    return NULL;
}

int manager_has_images(const struct manager *m)
{
    return m->pairing.zone != NULL;
}

int manager_start(struct manager *m)
{
    const int rc = pthread_create(&m->thread, NULL, manager_thread, m);
    m->has_thread = rc == 0;
    return -rc;
}

void manager_free(struct manager *m)
{
    if (!m)
        return;
    if (m->has_thread) {
        __atomic_store_n(&m->stop, true, __ATOMIC_RELEASE);
        eventfd_write(m->event_fd, 1);
        pthread_join(m->thread, NULL);
    }
    for (unsigned i = 0; i < IMAGE_CONNECTION_MAX; i++)
        if (m->connection[i].fd >= 0)
            close_connection(m, &m->connection[i]);
    if (m->listener >= 0) {
        unlink(m->config.socket_path);
        close(m->listener);
    }
    if (m->has_reclaimer)
        publish_fini();
    image_checker_free(m->checker);
    image_store_free(m->store, 0);
    image_map_drop(m->queued.map);
    pairing_fini(&m->pairing);
    if (m->event_fd >= 0)
        close(m->event_fd);
    pthread_mutex_destroy(&m->done_lock);
    free(m);
}
