// SPDX-License-Identifier: Apache-2.0
// From a received Ethernet frame to the frame to send, in place, on plain bytes: no DPDK here.
//
// DNS over UDP (IPv4, IPv6, 802.1Q and QinQ kept) to the node's addresses is answered; ARP, neighbour solicitations and
// echo requests to them are answered when the port has no kernel behind it; everything else is the kernel's or dropped.
// Every frame ends in exactly one counter of drop_*, kernel_packets, arp/nd/echo_replies or an answer.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet_port.h"

#ifdef __cplusplus
extern "C" {
#endif

enum packet_verdict {
    PACKET_SEND,   // the frame now holds the reply
    PACKET_KERNEL, // unchanged; for the exception path where there is one, else free it
    PACKET_DROP    // counted; free it
};

// What the driver says of the UDP checksum.
enum packet_checksum {
    PACKET_CHECKSUM_UNKNOWN,    // verify in software
    PACKET_CHECKSUM_GOOD,       // the field was verified
    PACKET_CHECKSUM_UNFINISHED, // the field is not filled in yet, the data are known good (sender on the same machine)
    PACKET_CHECKSUM_BAD
};

// Handles the frame of `len` bytes at `frame`, which has room for `cap` bytes (at least len + 64). On PACKET_SEND
// *reply_len is the length of the reply. `checksum` speaks of the UDP checksum as the driver reports it.
enum packet_verdict packet_handle(struct answer_context *context, const struct packet_port *port, uint8_t *frame,
                                  unsigned len, unsigned cap, enum packet_checksum checksum, unsigned *reply_len);

// A frame of a burst: the arguments and the results of packet_handle.
struct packet_slot {
    uint8_t *frame;
    uint16_t len, cap;
    uint16_t reply_len;
    uint8_t checksum; // enum packet_checksum
    uint8_t verdict;  // enum packet_verdict, set by packet_handle_burst
};

enum { PACKET_BURST_MAX = 32 };

// Handles `count` frames, at most PACKET_BURST_MAX, each as packet_handle does. Together they cost less: what is the
// same for all is read once, and their cache misses overlap.
void packet_handle_burst(struct answer_context *context, const struct packet_port *port, struct packet_slot *slot,
                         unsigned count);

// The same without the short way of fast_stages.h; for tests and for measuring.
enum packet_verdict packet_handle_plain(struct answer_context *context, const struct packet_port *port, uint8_t *frame,
                                        unsigned len, unsigned cap, enum packet_checksum checksum, unsigned *reply_len);

#ifdef __cplusplus
}
#endif
