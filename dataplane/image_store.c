// SPDX-License-Identifier: Apache-2.0
#include "dataplane/image_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/log.h"
#include "table/image_pair.h"

enum { STOP_PATIENCE_S = 3 }; // a disk that hangs must not keep the process from ending

struct image_store {
    char directory[PATH_MAX];
    pthread_mutex_t lock; // guards the fields down to `stop`
    pthread_cond_t changed;
    struct image_map *zone, *order; // waiting to be written
    bool stop, is_hurried;
    uint64_t failures;
    pthread_t thread;
    uint64_t zone_on_disk, order_on_disk; // the thread's own
};

static const char *const store_name[2] = {"zone.image", "order.image"};

static int rename_temporary(int directory, const char *name)
{
    char temporary[64];
    snprintf(temporary, sizeof temporary, "%s.new", name);
    return renameat(directory, temporary, directory, name) < 0 ? -errno : 0;
}

static void finish_rename(const char *directory, const char *name)
{
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    rename_temporary(fd, name);
    close(fd);
}

// ---- loading ----

static int load_one(const char *directory, unsigned at, bool is_temporary, struct image_map **map,
                    char why[IMAGE_TEXT_CAP])
{
    char path[PATH_MAX], reason[IMAGE_TEXT_CAP];
    snprintf(path, sizeof path, "%s/%s%s", directory, store_name[at], is_temporary ? ".new" : "");
    int rc = image_map_from_file(path, at == 0 ? IMAGE_ZONE : IMAGE_ORDER, map, reason);
    if (rc < 0 && rc != -ENOENT && !is_temporary)
        snprintf(why, IMAGE_TEXT_CAP, "%s: %.100s", store_name[at], reason);
    return rc;
}

static bool is_pair(const struct image_map *zone, const struct image_map *order, char why[IMAGE_TEXT_CAP])
{
    return zone && order && image_pair_check(zone->base, order->base, why) == 0;
}

int image_store_load(const char *directory, struct image_map **zone, struct image_map **order, char why[IMAGE_TEXT_CAP])
{
    struct image_map *map[2][2] = {{0}}; // [zone, order][final, temporary]
    why[0] = 0;
    int rc[2];
    for (unsigned at = 0; at < 2; at++)
        rc[at] = load_one(directory, at, false, &map[at][0], why);
    int found = rc[0] == -ENOENT && rc[1] == -ENOENT ? -ENOENT : -EBADMSG;
    // The usual case first; then a death between the two renames, either way round.
    static const unsigned char combination[3][2] = {{0, 0}, {0, 1}, {1, 0}};
    for (unsigned i = 0; i < 3 && found != 0; i++) {
        const unsigned z = combination[i][0], o = combination[i][1];
        if (z && !map[0][1])
            load_one(directory, 0, true, &map[0][1], why);
        if (o && !map[1][1])
            load_one(directory, 1, true, &map[1][1], why);
        if (is_pair(map[0][z], map[1][o], why)) {
            *zone = image_map_take(map[0][z]);
            *order = image_map_take(map[1][o]);
            found = 0;
            if (z || o) // finish what was interrupted, before the next write truncates the temporary file
                finish_rename(directory, store_name[z ? 0 : 1]);
        }
    }
    if (found == -EBADMSG && why[0] == 0)
        snprintf(why, IMAGE_TEXT_CAP, "%s is missing", rc[0] == -ENOENT ? store_name[0] : store_name[1]);
    for (unsigned at = 0; at < 2; at++)
        for (unsigned t = 0; t < 2; t++)
            image_map_drop(map[at][t]);
    return found;
}

// ---- writing ----

static int write_all(int fd, const uint8_t *from, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = write(fd, from + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += (size_t)n;
    }
    return 0;
}

static int write_temporary(int directory, const char *name, const struct image_map *map)
{
    char temporary[64];
    snprintf(temporary, sizeof temporary, "%s.new", name);
    int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int rc = write_all(fd, map->base, map->bytes);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    if (rc < 0)
        unlinkat(directory, temporary, 0); // give a full disk its room back
    return rc;
}

int image_store_write(const char *directory, const struct image_map *zone, const struct image_map *order,
                      uint64_t *zone_on_disk, uint64_t *order_on_disk)
{
    const struct image_map *map[2] = {zone, order};
    uint64_t *on_disk[2] = {zone_on_disk, order_on_disk};
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = 0;
    for (unsigned i = 0; i < 2 && rc == 0; i++)
        if (map[i]->generation != *on_disk[i])
            rc = write_temporary(fd, store_name[i], map[i]);
    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        if (map[i]->generation == *on_disk[i])
            continue;
        rc = rename_temporary(fd, store_name[i]);
        if (rc == 0)
            *on_disk[i] = map[i]->generation;
    }
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static int write_pair(struct image_store *store, struct image_map *zone, struct image_map *order)
{
    const int rc = image_store_write(store->directory, zone, order, &store->zone_on_disk, &store->order_on_disk);
    static struct log_limit limit; // one writing thread per process
    uint64_t dropped;
    if (rc < 0) {
        __atomic_add_fetch(&store->failures, 1, __ATOMIC_RELAXED);
        if (log_limit_pass(&limit, log_now_ns(), &dropped))
            log_warning(
                "the last good images cannot be stored in %s: %s. Answers go on; after a restart an older table "
                "would be used",
                store->directory, strerror(-rc));
    }
    return rc;
}

// Sleeps up to the interval, with the lock, unless asked to stop.
static void wait_interval(struct image_store *store)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IMAGE_STORE_INTERVAL_MS / 1000;
    until.tv_nsec += IMAGE_STORE_INTERVAL_MS % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!store->stop && pthread_cond_timedwait(&store->changed, &store->lock, &until) != ETIMEDOUT)
        ;
}

static void *writer(void *argument)
{
    struct image_store *store = argument;
    pthread_mutex_lock(&store->lock);
    while (!(store->stop && (store->is_hurried || !store->zone))) {
        if (!store->zone) {
            pthread_cond_wait(&store->changed, &store->lock);
            continue;
        }
        struct image_map *zone = store->zone, *order = store->order;
        store->zone = store->order = NULL;
        pthread_mutex_unlock(&store->lock);
        const int rc = write_pair(store, zone, order);
        pthread_mutex_lock(&store->lock);
        if (rc < 0 && !store->zone && !store->stop) { // nothing newer: once more after the interval
            store->zone = zone;
            store->order = order;
            zone = order = NULL;
        }
        wait_interval(store);
        pthread_mutex_unlock(&store->lock);
        image_map_drop(zone);
        image_map_drop(order);
        pthread_mutex_lock(&store->lock);
    }
    pthread_mutex_unlock(&store->lock);
    return NULL;
}

struct image_store *image_store_new(const char *directory)
{
    struct image_store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    if (snprintf(store->directory, sizeof store->directory, "%s", directory) >= (int)sizeof store->directory) {
        free(store);
        errno = ENAMETOOLONG;
        return NULL;
    }
    pthread_condattr_t attribute;
    pthread_condattr_init(&attribute);
    pthread_condattr_setclock(&attribute, CLOCK_MONOTONIC);
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->changed, &attribute);
    pthread_condattr_destroy(&attribute);
    int rc = pthread_create(&store->thread, NULL, writer, store);
    if (rc != 0) {
        free(store);
        errno = rc;
        return NULL;
    }
    return store;
}

void image_store_free(struct image_store *store, int is_hurried)
{
    if (!store)
        return;
    pthread_mutex_lock(&store->lock);
    store->stop = true;
    store->is_hurried = is_hurried;
    pthread_cond_signal(&store->changed);
    pthread_mutex_unlock(&store->lock);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_PATIENCE_S;
    if (pthread_timedjoin_np(store->thread, NULL, &until) != 0) {
        log_warning("the disk under %s does not answer; leaving the last images unwritten", store->directory);
        return; // the thread still uses the store; the process is ending
    }
    image_map_drop(store->zone);
    image_map_drop(store->order);
    pthread_cond_destroy(&store->changed);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

void image_store_put(struct image_store *store, struct image_map *zone, struct image_map *order)
{
    image_map_take(zone);
    image_map_take(order);
    pthread_mutex_lock(&store->lock);
    struct image_map *old_zone = store->zone, *old_order = store->order;
    store->zone = zone;
    store->order = order;
    pthread_cond_signal(&store->changed);
    pthread_mutex_unlock(&store->lock);
    image_map_drop(old_zone);
    image_map_drop(old_order);
}

uint64_t image_store_failures(const struct image_store *store)
{
    return __atomic_load_n(&store->failures, __ATOMIC_RELAXED);
}
