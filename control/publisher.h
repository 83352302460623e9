// SPDX-License-Identifier: Apache-2.0
// The control process's end of the image socket: keeps a connection to the data plane, sends it the newest images.
//
// libuv loop thread only. A lost connection is tried again every 100 ms; at each new one the newest zone and order
// image are sent, unless the data plane already holds them. Images go in this order, so that an order image never waits
// for a zone image that comes after it.
#pragma once

#include <uv.h>

#include "control/worker_watch.h"
#include "table/image_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { PUBLISHER_RETRY_MS = 100 };

struct publisher_callbacks {
    // A data plane said hello. When it holds a newer generation than our newest (our clock went back), images must be
    // built again with publisher_next_generation.
    void (*connected)(void *user, bool needs_newer);
    void (*disconnected)(void *user, const char *why);
    // The data plane's word on an image; status 0 or a negative errno.
    void (*result)(void *user, enum image_kind kind, uint64_t generation, int status, const char *text);
    // Every worker answers from this generation. `at_ns`: when, CLOCK_MONOTONIC.
    void (*published)(void *user, enum image_kind kind, uint64_t generation, uint64_t at_ns);
    void *user;
};

struct publisher_kind_status {
    uint64_t generation, bytes; // newest given to us; 0: none yet
    uint64_t accepted, published;
    uint64_t sent_ns, accepted_ns, published_ns; // CLOCK_MONOTONIC, of the newest generation; 0: not yet
    int32_t status;                              // of the last result
    char text[IMAGE_TEXT_CAP];
};

struct publisher_status {
    bool is_connected;
    uint32_t pid, worker_count;
    char version[IMAGE_TEXT_CAP];
    uint64_t connections, since_ns;
    uint64_t results_bad;                 // images refused
    struct publisher_kind_status kind[2]; // [0] zone, [1] order
};

struct publisher;

// `watch` (borrowed) is given the data plane's counters. Null: out of memory, or the path is too long.
struct publisher *publisher_new(uv_loop_t *loop, const char *socket_path, struct worker_watch *watch,
                                const struct publisher_callbacks *callbacks);

// `mirror` (borrowed; null: none) gets every image that `publisher` is given, for a second data plane with a socket of
// its own: the standby. Call before the first image.
void publisher_set_mirror(struct publisher *publisher, struct publisher *mirror);

// Begins to close; memory is freed by the loop later. No callback is called any more.
void publisher_close(struct publisher *publisher);

// Newer than all generations made, given or heard of: wall clock in microseconds, or one more than the last.
uint64_t publisher_next_generation(struct publisher *publisher, enum image_kind kind);

// Takes over `fd`, a sealed memfd with an image of this kind, and sends it now or when a data plane comes.
void publisher_set(struct publisher *publisher, enum image_kind kind, int fd, uint64_t bytes, uint64_t generation);

// The newest image of a kind as a memfd, which stays the publisher's; -1: none yet.
int publisher_image(const struct publisher *publisher, enum image_kind kind);

const struct publisher_status *publisher_status(const struct publisher *publisher);

#ifdef __cplusplus
}
#endif
