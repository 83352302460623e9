// SPDX-License-Identifier: Apache-2.0
// The manager thread: images in over the image socket, validation, pairing, publication, statistics out.
//
// Listens on an AF_UNIX SOCK_SEQPACKET socket (table/image_protocol.h). Only processes of root or of this process's own
// user may connect. A bad image is refused with a reason and the last good one stays. Order images are validated here,
// zone images on a thread beside (image_checker.h), the disk is written on another (image_store.h), grace periods are
// waited for on a third (publish.h): nothing delays the next order image.
#pragma once

#include <sys/types.h>

#include "dataplane/capture.h"
#include "dataplane/counters_page.h"

#ifdef __cplusplus
extern "C" {
#endif

struct manager;

struct manager_config {
    const char *socket_path;
    const char *state_dir; // last good images; null: none are kept
    struct counters_memory *counters;
    struct capture_memory *capture; // null, or without a page: no captures
    unsigned worker_count;
    uid_t owner; // besides root, may connect
};

// Binds the socket, starts the reclaimer, checker and store threads, loads and publishes the last good images; does not
// answer connections yet. Null with a sentence in `why`.
struct manager *manager_new(const struct manager_config *config, char why[256]);

// True when a pair of images is published.
int manager_has_images(const struct manager *manager);

// Starts the thread. 0 or a negative errno.
int manager_start(struct manager *manager);

// Stops the thread, closes and removes the socket. After all readers of publish.h have unregistered. Null is legal.
void manager_free(struct manager *manager);

#ifdef __cplusplus
}
#endif
