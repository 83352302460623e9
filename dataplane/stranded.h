// SPDX-License-Identifier: Apache-2.0
// What a process that has died left in the rings of an AF_XDP socket: queries are given back to the kernel, which hands
// them to the standby as if they had just arrived on the card; answers are sent.
//
// For a process that was forked when the socket and its memory were there and so has both, and that keeps the socket
// open: the guardian. The frames go into the kernel by a test run of an XDP program on live frames (Linux 5.18), whose
// verdict is "pass".
//
// Where a frame is when the worker dies, and what becomes of it:
//   in the receive ring                       given back
//   taken out by the worker, still a query    given back
//   taken out, its answer half written        lost: one frame of each worker at most
//   answered, not in the transmit ring yet    put there and sent
//   in the transmit ring                      sent
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct xdp_desc;

// One socket's rings, as the kernel lays them out (linux/if_xdp.h); both have the same size.
struct stranded_ring {
    int fd; // of the socket; borrowed
    int interface;
    uint32_t queue;
    const uint8_t *buffers; // where the driver's frame memory begins; shared between the two processes
    uint8_t mac[6];         // of the card
    // Since the socket was made: frames that the worker is done with, and those of them that it put into the transmit
    // ring. Shared as well.
    const uint64_t *finished, *sent;
    const uint32_t *producer, *consumer;
    const struct xdp_desc *frame;
    uint32_t *tx_producer;
    const uint32_t *tx_consumer;
    struct xdp_desc *tx_frame;
    uint32_t frame_count; // a power of two
    uint32_t next;        // what was given back ends here
    uint32_t taken;       // up to here the worker had the frames out of the ring
    bool has_unsent;      // it had not sent the answers among them
};

// Fills in all from `producer` to `tx_frame`, for the socket `fd` of this process. 0 or a negative errno.
int stranded_ring_find(struct stranded_ring *ring, int fd);

// A descriptor of a program that passes every frame, or a negative errno.
int stranded_open_pass(void);

// The owner is dead and has no thread left: begins with the first frame that it had not finished.
void stranded_ring_begin(struct stranded_ring *ring);

// Sends the answers, and gives back the queries that came since the last time; their number together, but for what
// stood in the transmit ring.
unsigned stranded_give_back(struct stranded_ring *ring, int pass_fd);

#ifdef __cplusplus
}
#endif
