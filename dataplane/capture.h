// SPDX-License-Identifier: Apache-2.0
// `signpostctl capture` at the worker's end: which packets, and into the ring with them. Pure but for the page's
// making.
//
// While nobody captures, a worker spends one read of a shared word a burst. While somebody does, it handles its frames
// one by one and copies those that match; it never waits for the reader.
#pragma once

#include "dataplane/packet.h"
#include "table/capture_page.h"

#ifdef __cplusplus
extern "C" {
#endif

struct capture_memory {
    struct capture_page *page;
    int fd; // to be sent to who asks
};

// One ring per worker; pages are touched only when somebody captures. 0 or a negative errno.
int capture_init(struct capture_memory *memory, unsigned workers);
void capture_fini(struct capture_memory *memory);

static inline bool capture_is_on(const struct capture_page *page)
{
    return page && __atomic_load_n(&page->is_on, __ATOMIC_ACQUIRE);
}

// Whether the one who captures has stopped reading: a ring is full, and none was read for CAPTURE_STALL_NS. The
// workers' path stays the slow one for as long as a capture goes on, so that such a one is ended.
struct capture_watch {
    uint64_t read;     // packets, of all rings, at the last look
    uint64_t since_ns; // of the first look that found them; 0: none yet
};
#define CAPTURE_STALL_NS UINT64_C(10000000000)
// By the manager, at each of its turns while somebody captures; `now_ns` never goes back and is not 0. A capture begins
// with a zeroed watch.
bool capture_is_stalled(struct capture_watch *watch, const struct capture_page *page, uint64_t now_ns);

// Does the frame match address and name of the filter, as a query that arrived?
bool capture_matches(const struct capture_filter *filter, const uint8_t *frame, unsigned len);

// As packet_handle_burst, with copies of what matches into ring `number` of the page.
void capture_handle_burst(struct capture_page *page, unsigned number, struct answer_context *context,
                          const struct packet_port *port, struct packet_slot *slot, unsigned count, uint64_t wall_us);

#ifdef __cplusplus
}
#endif
