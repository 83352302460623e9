// SPDX-License-Identifier: Apache-2.0
// ARP, neighbour discovery and echo for the node's own addresses, on ports that have no kernel behind them. Pure, in
// place.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/packet_port.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { NEIGHBOUR_ARP_LEN = 28, NEIGHBOUR_PROTOCOL_ICMPV6 = 58 };

enum neighbour_reply { NEIGHBOUR_NONE, NEIGHBOUR_ADVERTISED, NEIGHBOUR_ECHOED };

// ARP request for one of our addresses: turns it into the reply (RFC 826). `arp` is inside `frame`.
bool neighbour_arp(const struct answer_context *context, const struct packet_port *port, uint8_t *frame, uint8_t *arp,
                   unsigned len);

// ICMP echo request in an IPv4 packet of `total` octets to one of our addresses: turns it into the reply (RFC 792).
bool neighbour_echo_ipv4(const struct packet_port *port, uint8_t *frame, uint8_t *ip, unsigned total);

// Neighbour solicitation (RFC 4861 section 7.1.1) for, or echo request (RFC 4443) to, one of our addresses. *reply_len
// is the frame's new length.
enum neighbour_reply neighbour_icmpv6(const struct answer_context *context, const struct packet_port *port,
                                      uint8_t *frame, uint8_t *ip, unsigned payload, unsigned cap, unsigned *reply_len);

#ifdef __cplusplus
}
#endif
