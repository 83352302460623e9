// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet.h"

#include <string.h>

#include "dataplane/bytes.h"
#include "dataplane/checksum.h"
#include "dataplane/loop_port.h"
#include "dataplane/neighbour.h"
#include "table/zone_image.h"

enum {
    ETHERNET_LEN = 14,
    VLAN_LEN = 4,
    VLAN_MAX = 2, // 802.1Q inside 802.1ad
    ETHERTYPE_IPV4 = 0x0800,
    ETHERTYPE_ARP = 0x0806,
    ETHERTYPE_VLAN = 0x8100,
    ETHERTYPE_QINQ = 0x88a8,
    ETHERTYPE_IPV6 = 0x86dd,
    IPV4_LEN = 20,
    IPV6_LEN = 40,
    UDP_LEN = 8,
    PROTOCOL_UDP = 17,
    PORT_DNS = 53,
    HOP_LIMIT = 64
};

struct udp_place {
    uint8_t *ip, *udp, *source, *destination;
    unsigned udp_len;
    bool is_ipv6;
};

static inline void put_u16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static enum packet_verdict drop(struct answer_context *context, enum counter why)
{
    counters_add(context->counters, why, 1);
    return PACKET_DROP;
}

// What is not ours belongs to the kernel where there is one behind the port.
static enum packet_verdict pass(struct answer_context *context, const struct packet_port *port, enum counter why)
{
    if (!port->has_kernel)
        return drop(context, why);
    counters_add(context->counters, COUNTER_kernel_packets, 1);
    return PACKET_KERNEL;
}

// A source that must not be answered: it cannot be a client, or answering it could start a loop (echo, qotd, chargen).
static bool is_bad_source(const struct udp_place *u)
{
    if (loop_port_is(load_be16(u->udp)))
        return true;
    const uint8_t *a = u->source;
    if (memcmp(a, u->destination, u->is_ipv6 ? 16 : 4) == 0)
        return true;
    if (!u->is_ipv6)
        return a[0] == 0 || a[0] == 127 || a[0] >= 224; // this network, loopback, multicast, reserved, broadcast
    static const uint8_t zero[15] = {0};
    return a[0] == 0xff || (memcmp(a, zero, 15) == 0 && a[15] <= 1); // multicast, unspecified, loopback
}

static enum packet_verdict answer_udp(struct answer_context *context, const struct packet_port *port,
                                      struct udp_place *u, uint8_t *frame, unsigned cap, enum packet_checksum checksum,
                                      unsigned *reply_len)
{
    const uint16_t sent = (uint16_t)(u->udp[6] << 8 | u->udp[7]);
    if (is_bad_source(u))
        return drop(context, COUNTER_drop_bad_source);
    if (checksum == PACKET_CHECKSUM_BAD || (u->is_ipv6 && sent == 0)) // RFC 8200 section 8.1
        return drop(context, COUNTER_drop_udp_checksum);
    if (checksum == PACKET_CHECKSUM_UNKNOWN && sent != 0 && !port->is_checksum_trusted) {
        const uint64_t pseudo = checksum_pseudo(u->source, u->is_ipv6, u->udp_len, PROTOCOL_UDP);
        if (checksum_fold(checksum_add(pseudo, u->udp, u->udp_len)) != 0xffff)
            return drop(context, COUNTER_drop_udp_checksum);
    }
    struct answer_client client = {.is_ipv6 = u->is_ipv6};
    const unsigned address_len = u->is_ipv6 ? 16 : 4;
    memcpy(client.address, u->source, address_len);
    uint8_t *msg = u->udp + UDP_LEN;
    const unsigned len = answer_message(context, &client, msg, u->udp_len - UDP_LEN, cap - (unsigned)(msg - frame));
    if (len == 0)
        return PACKET_DROP; // counted there
    uint8_t swap[16];
    memcpy(swap, u->source, address_len);
    memcpy(u->source, u->destination, address_len);
    memcpy(u->destination, swap, address_len);
    memcpy(swap, u->udp, 2);
    memcpy(u->udp, u->udp + 2, 2);
    memcpy(u->udp + 2, swap, 2);
    const unsigned udp_len = len + UDP_LEN;
    put_u16(u->udp + 4, udp_len);
    memset(u->udp + 6, 0, 2);
    uint16_t sum = (uint16_t)~checksum_fold(
        checksum_add(checksum_pseudo(u->source, u->is_ipv6, udp_len, PROTOCOL_UDP), u->udp, udp_len));
    sum = sum ? sum : 0xffff; // RFC 768: zero means none
    memcpy(u->udp + 6, &sum, 2);
    uint8_t *ip = u->ip;
    if (u->is_ipv6) {
        memset(ip + 1, 0, 3);
        ip[0] = 0x60;
        put_u16(ip + 4, udp_len);
        ip[7] = HOP_LIMIT;
    } else {
        ip[1] = 0;
        put_u16(ip + 2, udp_len + IPV4_LEN);
        memset(ip + 4, 0, 2);
        put_u16(ip + 6, 0x4000); // do not fragment (RFC 9715 section 3.1)
        ip[8] = HOP_LIMIT;
        memset(ip + 10, 0, 2);
        const uint16_t header = (uint16_t)~checksum_fold(checksum_add(0, ip, IPV4_LEN));
        memcpy(ip + 10, &header, 2);
    }
    memcpy(frame, frame + 6, 6);
    memcpy(frame + 6, port->mac, 6);
    *reply_len = (unsigned)(msg - frame) + len;
    return PACKET_SEND;
}

// UDP of `len` octets at u->udp, to an address of ours.
static enum packet_verdict handle_udp(struct answer_context *context, const struct packet_port *port,
                                      struct udp_place *u, uint8_t *frame, unsigned len, unsigned cap,
                                      enum packet_checksum checksum, unsigned *reply_len)
{
    if (len < UDP_LEN)
        return drop(context, COUNTER_drop_udp);
    if (load_be16(u->udp + 2) != PORT_DNS)
        return pass(context, port, COUNTER_drop_not_ours);
    u->udp_len = load_be16(u->udp + 4);
    if (u->udp_len < UDP_LEN || u->udp_len > len)
        return drop(context, COUNTER_drop_udp);
    return answer_udp(context, port, u, frame, cap, checksum, reply_len);
}

static enum packet_verdict handle_ipv4(struct answer_context *context, const struct packet_port *port, uint8_t *frame,
                                       uint8_t *ip, unsigned len, unsigned cap, enum packet_checksum checksum,
                                       unsigned *reply_len)
{
    if (len < IPV4_LEN || ip[0] >> 4 != 4 || (ip[0] & 0xf) < 5)
        return drop(context, COUNTER_drop_ip);
    const unsigned total = load_be16(ip + 2), header_len = (ip[0] & 0xfu) * 4;
    if (total > len || total < header_len) // the frame may be padded, never shorter
        return drop(context, COUNTER_drop_ip);
    if (checksum_fold(checksum_add(0, ip, header_len)) != 0xffff)
        return drop(context, COUNTER_drop_ip_checksum);
    if (!packet_is_ours(context, ip + 16, false))
        return context->zone_image ? pass(context, port, COUNTER_drop_not_ours)
                                   : pass(context, port, COUNTER_drop_not_ready);
    if (load_be16(ip + 6) & 0x3fff)
        return pass(context, port, COUNTER_drop_fragment);
    if (header_len != IPV4_LEN) // IP options: rare enough for the kernel
        return pass(context, port, COUNTER_drop_ip);
    if (ip[9] != PROTOCOL_UDP) {
        if (port->has_kernel || !neighbour_echo_ipv4(port, frame, ip, total))
            return pass(context, port, COUNTER_drop_not_ours);
        counters_add(context->counters, COUNTER_echo_replies, 1);
        *reply_len = (unsigned)(ip - frame) + total;
        return PACKET_SEND;
    }
    struct udp_place u = {.ip = ip, .udp = ip + IPV4_LEN, .source = ip + 12, .destination = ip + 16};
    return handle_udp(context, port, &u, frame, total - IPV4_LEN, cap, checksum, reply_len);
}

static enum packet_verdict handle_ipv6(struct answer_context *context, const struct packet_port *port, uint8_t *frame,
                                       uint8_t *ip, unsigned len, unsigned cap, enum packet_checksum checksum,
                                       unsigned *reply_len)
{
    if (len < IPV6_LEN || ip[0] >> 4 != 6)
        return drop(context, COUNTER_drop_ip);
    const unsigned payload = load_be16(ip + 4);
    if (payload > len - IPV6_LEN)
        return drop(context, COUNTER_drop_ip);
    if (!port->has_kernel && ip[6] == NEIGHBOUR_PROTOCOL_ICMPV6) {
        const enum neighbour_reply reply = neighbour_icmpv6(context, port, frame, ip, payload, cap, reply_len);
        if (reply == NEIGHBOUR_NONE)
            return drop(context, COUNTER_drop_not_ours);
        counters_add(context->counters, reply == NEIGHBOUR_ADVERTISED ? COUNTER_nd_replies : COUNTER_echo_replies, 1);
        return PACKET_SEND;
    }
    if (!packet_is_ours(context, ip + 24, true))
        return context->zone_image ? pass(context, port, COUNTER_drop_not_ours)
                                   : pass(context, port, COUNTER_drop_not_ready);
    if (ip[6] == 44) // fragment header
        return pass(context, port, COUNTER_drop_fragment);
    if (ip[6] != PROTOCOL_UDP) // other extension headers and protocols
        return pass(context, port, COUNTER_drop_not_ours);
    struct udp_place u = {.ip = ip, .udp = ip + IPV6_LEN, .source = ip + 8, .destination = ip + 24, .is_ipv6 = true};
    return handle_udp(context, port, &u, frame, payload, cap, checksum, reply_len);
}

enum packet_verdict packet_handle_plain(struct answer_context *context, const struct packet_port *port, uint8_t *frame,
                                        unsigned len, unsigned cap, enum packet_checksum checksum, unsigned *reply_len)
{
    if (len < ETHERNET_LEN)
        return drop(context, COUNTER_drop_ethernet);
    unsigned at = ETHERNET_LEN, type = load_be16(frame + 12);
    for (unsigned tags = 0; tags < VLAN_MAX && (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ); tags++) {
        if (len - at < VLAN_LEN)
            return drop(context, COUNTER_drop_ethernet);
        type = load_be16(frame + at + 2);
        at += VLAN_LEN;
    }
    // To our own hardware address, or for neighbour discovery to a group; a switch floods other stations' frames to us.
    if (memcmp(frame, port->mac, 6) != 0 && !(frame[0] & 1))
        return drop(context, COUNTER_drop_not_ours);
    switch (type) {
    case ETHERTYPE_IPV4:
        return handle_ipv4(context, port, frame, frame + at, len - at, cap, checksum, reply_len);
    case ETHERTYPE_IPV6:
        return handle_ipv6(context, port, frame, frame + at, len - at, cap, checksum, reply_len);
    case ETHERTYPE_ARP:
        if (port->has_kernel || !neighbour_arp(context, port, frame, frame + at, len - at))
            return pass(context, port, COUNTER_drop_not_ours);
        counters_add(context->counters, COUNTER_arp_replies, 1);
        *reply_len = at + NEIGHBOUR_ARP_LEN;
        return PACKET_SEND;
    default:
        return pass(context, port, COUNTER_drop_ethernet);
    }
}
