// SPDX-License-Identifier: Apache-2.0
// Queries that stand in the ring of an AF_XDP socket whose process has died: given back to the kernel, which hands them
// to the standby as if they had just arrived on the card.
//
// For a process that was forked when the socket and its memory were there and so has both, and that keeps the socket
// open: the guardian. The frames go into the kernel by a test run of an XDP program on live frames (Linux 5.18), whose
// verdict is "pass".
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xdp_desc;

// One socket's receive ring, as the kernel lays it out (linux/if_xdp.h).
struct stranded_ring {
    int fd; // of the socket; borrowed
    int interface;
    uint32_t queue;
    const uint8_t *buffers;   // where the driver's frame memory begins; shared between the two processes
    const uint64_t *finished; // frames that the worker is done with since the socket was made; shared as well
    const uint32_t *producer, *consumer;
    const struct xdp_desc *frame;
    uint32_t frame_count; // a power of two
    uint32_t next;        // what was given back ends here
};

// Fills in all from `producer` on, for the socket `fd` of this process. 0 or a negative errno.
int stranded_ring_find(struct stranded_ring *ring, int fd);

// A descriptor of a program that passes every frame, or a negative errno.
int stranded_open_pass(void);

// The owner is dead and has no thread left: begins with the first frame that it had not finished.
void stranded_ring_begin(struct stranded_ring *ring);

// Sends the answers that wait in the socket's transmit ring, and gives back the frames that came since; their number.
unsigned stranded_give_back(struct stranded_ring *ring, int pass_fd);

#ifdef __cplusplus
}
#endif
