// SPDX-License-Identifier: Apache-2.0
#include "dataplane/neighbour.h"

#include <string.h>

#include "dataplane/checksum.h"

enum {
    IPV4_LEN = 20,
    IPV6_LEN = 40,
    ICMP_ECHO_REQUEST = 8,
    ICMP_ECHO_REPLY = 0,
    ICMPV6_ECHO_REQUEST = 128,
    ICMPV6_ECHO_REPLY = 129,
    ICMPV6_SOLICITATION = 135,
    ICMPV6_ADVERTISEMENT = 136,
    SOLICITATION_LEN = 24,  // without options
    ADVERTISEMENT_LEN = 32, // with the target link-layer address option
    HOP_LIMIT_ND = 255      // RFC 4861 section 7.1.1: proves that the sender is on the link
};

static void answer_sender(const struct packet_port *port, uint8_t *frame)
{
    memcpy(frame, frame + 6, 6);
    memcpy(frame + 6, port->mac, 6);
}

bool neighbour_arp(const struct answer_context *context, const struct packet_port *port, uint8_t *frame, uint8_t *arp,
                   unsigned len)
{
    static const uint8_t request[8] = {0, 1, 0x08, 0, 6, 4, 0, 1}; // Ethernet, IPv4, request
    if (len < NEIGHBOUR_ARP_LEN || memcmp(arp, request, sizeof request) != 0)
        return false;
    uint8_t target[4];
    memcpy(target, arp + 24, 4);
    if (!packet_is_ours(context, target, false) || (arp[8] & 1))
        return false;
    arp[7] = 2; // reply
    memcpy(arp + 18, arp + 8, 10);
    memcpy(arp + 8, port->mac, 6);
    memcpy(arp + 14, target, 4);
    answer_sender(port, frame);
    return true;
}

bool neighbour_echo_ipv4(const struct packet_port *port, uint8_t *frame, uint8_t *ip, unsigned total)
{
    uint8_t *icmp = ip + IPV4_LEN;
    const unsigned len = total - IPV4_LEN;
    if (ip[9] != 1 || len < 8 || icmp[0] != ICMP_ECHO_REQUEST || icmp[1] != 0 || ip[12] == 0 || ip[12] >= 224)
        return false;
    if (checksum_fold(checksum_add(0, icmp, len)) != 0xffff)
        return false;
    uint8_t swap[4];
    memcpy(swap, ip + 12, 4);
    memcpy(ip + 12, ip + 16, 4);
    memcpy(ip + 16, swap, 4);
    ip[8] = 64;
    memset(ip + 10, 0, 2);
    const uint16_t header = (uint16_t)~checksum_fold(checksum_add(0, ip, IPV4_LEN));
    memcpy(ip + 10, &header, 2);
    icmp[0] = ICMP_ECHO_REPLY;
    memset(icmp + 2, 0, 2);
    const uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, icmp, len));
    memcpy(icmp + 2, &sum, 2);
    answer_sender(port, frame);
    return true;
}

static void finish_icmpv6(const struct packet_port *port, uint8_t *frame, uint8_t *ip, unsigned payload,
                          unsigned *reply_len)
{
    uint8_t *icmp = ip + IPV6_LEN;
    ip[4] = (uint8_t)(payload >> 8);
    ip[5] = (uint8_t)payload;
    memset(icmp + 2, 0, 2);
    const uint64_t pseudo = checksum_pseudo(ip + 8, true, payload, NEIGHBOUR_PROTOCOL_ICMPV6);
    const uint16_t sum = (uint16_t)~checksum_fold(checksum_add(pseudo, icmp, payload));
    memcpy(icmp + 2, &sum, 2);
    answer_sender(port, frame);
    *reply_len = (unsigned)(icmp - frame) + payload;
}

static bool advertise(const struct answer_context *context, const struct packet_port *port, uint8_t *ip,
                      unsigned payload)
{
    static const uint8_t zero[16] = {0};
    uint8_t *icmp = ip + IPV6_LEN;
    if (payload < SOLICITATION_LEN || ip[7] != HOP_LIMIT_ND || icmp[1] != 0 || !packet_is_ours(context, icmp + 8, true))
        return false;
    const bool is_probe = memcmp(ip + 8, zero, 16) == 0; // duplicate address detection: answer to all nodes
    static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};
    memcpy(ip + 24, is_probe ? all_nodes : ip + 8, 16);
    memcpy(ip + 8, icmp + 8, 16);
    icmp[0] = ICMPV6_ADVERTISEMENT;
    icmp[4] = is_probe ? 0x20 : 0x60; // solicited, override
    memset(icmp + 5, 0, 3);
    icmp[24] = 2; // target link-layer address
    icmp[25] = 1;
    memcpy(icmp + 26, port->mac, 6);
    return true;
}

enum neighbour_reply neighbour_icmpv6(const struct answer_context *context, const struct packet_port *port,
                                      uint8_t *frame, uint8_t *ip, unsigned payload, unsigned cap, unsigned *reply_len)
{
    uint8_t *icmp = ip + IPV6_LEN;
    if (payload < 8 || cap - (unsigned)(icmp - frame) < ADVERTISEMENT_LEN)
        return NEIGHBOUR_NONE;
    const uint64_t pseudo = checksum_pseudo(ip + 8, true, payload, NEIGHBOUR_PROTOCOL_ICMPV6);
    if (checksum_fold(checksum_add(pseudo, icmp, payload)) != 0xffff)
        return NEIGHBOUR_NONE;
    if (icmp[0] == ICMPV6_SOLICITATION) {
        if (!advertise(context, port, ip, payload))
            return NEIGHBOUR_NONE;
        finish_icmpv6(port, frame, ip, ADVERTISEMENT_LEN, reply_len);
        return NEIGHBOUR_ADVERTISED;
    }
    if (icmp[0] != ICMPV6_ECHO_REQUEST || icmp[1] != 0 || ip[8] == 0xff || !packet_is_ours(context, ip + 24, true))
        return NEIGHBOUR_NONE;
    uint8_t swap[16];
    memcpy(swap, ip + 8, 16);
    memcpy(ip + 8, ip + 24, 16);
    memcpy(ip + 24, swap, 16);
    ip[7] = 64;
    icmp[0] = ICMPV6_ECHO_REPLY;
    finish_icmpv6(port, frame, ip, payload, reply_len);
    return NEIGHBOUR_ECHOED;
}
