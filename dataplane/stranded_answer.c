// SPDX-License-Identifier: Apache-2.0
#include "dataplane/stranded_answer.h"

#include <string.h>

#include "dataplane/bytes.h"
#include "dataplane/checksum.h"

enum {
    MAC_LEN = 6,
    TYPE_AT = 12,
    VLAN_LEN = 4,
    VLAN_MAX = 2,
    IPV4_LEN = 20,
    IPV6_LEN = 40,
    UDP_LEN = 8,
    PROTOCOL_UDP = 17,
    PORT_DNS = 53,
    DNS_HEADER = 12,
    ALL_RIGHT = 0xffff // a sum with its checksum in it
};

// Length of the IP header when it is such as we write and, over IPv4, whole; else 0.
static unsigned ip_header_len(const uint8_t *ip, unsigned type)
{
    if (type == 0x86dd && ip[0] == 0x60 && ip[6] == PROTOCOL_UDP)
        return IPV6_LEN;
    if (type == 0x0800 && ip[0] == 0x45 && ip[9] == PROTOCOL_UDP &&
        checksum_fold(checksum_add(0, ip, IPV4_LEN)) == ALL_RIGHT)
        return IPV4_LEN;
    return 0;
}

unsigned stranded_answer_len(const uint8_t *frame, const uint8_t mac[6])
{
    unsigned type_at = TYPE_AT;
    for (unsigned tags = 0; tags < VLAN_MAX; tags++) {
        const unsigned type = load_be16(frame + type_at);
        if (type == 0x8100 || type == 0x88a8)
            type_at += VLAN_LEN;
    }
    const uint8_t *ip = frame + type_at + 2;
    const unsigned head = ip_header_len(ip, load_be16(frame + type_at));
    if (head == 0 || memcmp(frame + MAC_LEN, mac, MAC_LEN) != 0 || memcmp(frame, mac, MAC_LEN) == 0)
        return 0;
    const bool is_ipv6 = head == IPV6_LEN;
    const uint8_t *udp = ip + head, *addresses = is_ipv6 ? ip + 8 : ip + 12;
    const unsigned udp_len = load_be16(udp + 4), len = (unsigned)(udp - frame) + udp_len;
    const unsigned ip_len = is_ipv6 ? load_be16(ip + 4) + IPV6_LEN : load_be16(ip + 2);
    if (udp_len < UDP_LEN + DNS_HEADER || len > STRANDED_ANSWER_MAX || ip_len != head + udp_len ||
        load_be16(udp) != PORT_DNS || !(udp[UDP_LEN + 2] & 0x80)) // a response
        return 0;
    const uint64_t pseudo = checksum_pseudo(addresses, is_ipv6, udp_len, PROTOCOL_UDP);
    return checksum_fold(checksum_add(pseudo, udp, udp_len)) == ALL_RIGHT ? len : 0;
}
