// SPDX-License-Identifier: Apache-2.0
// The last good images on disk, so that a node answers after a restart before any control process is there.
//
// Files zone.image and order.image in the state directory; each is written to a temporary name, synced, then renamed.
// A thread of its own writes: a slow or full disk delays nothing else, and only the newest pair is ever waiting.
// Both files of a pair are synced before either is renamed, so that whenever the process dies either the old pair, the
// new pair, or one new file and the other's complete temporary file is there; the loader tries these combinations.
#pragma once

#include <stdint.h>

#include "dataplane/image_map.h"

#ifdef __cplusplus
extern "C" {
#endif

struct image_store;

enum {
    // Between two writes at least this long: verdicts may change the order image a thousand times a second, and the
    // disk
    // needs only a recent one. Smaller: more writing; larger: an older order image after a crash of the whole node.
    IMAGE_STORE_INTERVAL_MS = 1000
};

// Reads and validates the newest pair that fits together. 0 with one reference each; -ENOENT when there is none;
// -EBADMSG when there are files and none is usable (the reason is in `why`).
int image_store_load(const char *directory, struct image_map **zone, struct image_map **order,
                     char why[IMAGE_TEXT_CAP]);

// Writes the pair now, on the calling thread. A file whose generation is `*_on_disk` already is left alone; both are
// updated. 0 or a negative errno.
int image_store_write(const char *directory, const struct image_map *zone, const struct image_map *order,
                      uint64_t *zone_on_disk, uint64_t *order_on_disk);

// Starts the writing thread; null with errno. The directory is copied.
struct image_store *image_store_new(const char *directory);

// Writes what is still waiting unless `is_hurried`, and ends the thread. Null is legal.
void image_store_free(struct image_store *store, int is_hurried);

// Hands over a pair (takes references of its own); replaces one that is still waiting. Never blocks on the disk.
void image_store_put(struct image_store *store, struct image_map *zone, struct image_map *order);

// Writes that failed since the start.
uint64_t image_store_failures(const struct image_store *store);

#ifdef __cplusplus
}
#endif
