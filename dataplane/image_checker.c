// SPDX-License-Identifier: Apache-2.0
#include "dataplane/image_checker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

struct image_checker {
    pthread_mutex_t lock; // guards everything down to `thread`
    pthread_cond_t changed;
    struct image_map *map; // null: idle
    bool is_done, stop;
    int rc;
    char why[IMAGE_TEXT_CAP];
    pthread_t thread;
    int event_fd;
};

static void *check_loop(void *argument)
{
    struct image_checker *c = argument;
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        if (!c->map || c->is_done) {
            pthread_cond_wait(&c->changed, &c->lock);
            continue;
        }
        struct image_map *map = c->map; // ours until is_done
        pthread_mutex_unlock(&c->lock);
        char why[IMAGE_TEXT_CAP] = "";
        const int rc = image_map_check(map, why);
        pthread_mutex_lock(&c->lock);
        c->rc = rc;
        memcpy(c->why, why, sizeof why);
        c->is_done = true;
        eventfd_write(c->event_fd, 1);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct image_checker *image_checker_new(int event_fd)
{
    struct image_checker *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->event_fd = event_fd;
    const int rc = pthread_create(&c->thread, NULL, check_loop, c);
    if (rc != 0) {
        free(c);
        errno = rc;
        return NULL;
    }
    return c;
}

void image_checker_free(struct image_checker *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stop = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    image_map_drop(c->map);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

bool image_checker_submit(struct image_checker *c, struct image_map *map)
{
    pthread_mutex_lock(&c->lock);
    const bool is_idle = !c->map;
    if (is_idle) {
        c->map = map;
        c->is_done = false;
        pthread_cond_signal(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return is_idle;
}

struct image_map *image_checker_result(struct image_checker *c, int *rc, char why[IMAGE_TEXT_CAP])
{
    struct image_map *map = NULL;
    pthread_mutex_lock(&c->lock);
    if (c->is_done) {
        map = c->map;
        *rc = c->rc;
        memcpy(why, c->why, IMAGE_TEXT_CAP);
        c->map = NULL;
        c->is_done = false;
    }
    pthread_mutex_unlock(&c->lock);
    return map;
}
