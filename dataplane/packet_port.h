// SPDX-License-Identifier: Apache-2.0
// What the handling of a frame needs to know of the port that it came by, and of the node behind it.
#pragma once

#include <string.h>

#include "dataplane/answer.h"
#include "table/zone_image.h"

#ifdef __cplusplus
extern "C" {
#endif

struct packet_port {
    uint8_t mac[8]; // 6 octets and two zeros, so that it can be compared as one word
    bool
        has_kernel; // ARP, ND, echo, TCP belong to the kernel behind this port (af_packet, AF_XDP): never answered here
    bool is_checksum_trusted; // software-made links whose senders leave UDP checksums unfinished (see docs): do not
                              // verify
};

// Is this address, of 4 or 16 octets, one of the node's?
static inline bool packet_is_own_address(const struct zone_settings *settings, const uint8_t *address, bool is_ipv6)
{
    for (unsigned i = 0; i < settings->address_count; i++)
        if (settings->address[i].is_ipv6 == is_ipv6 &&
            memcmp(settings->address[i].address, address, is_ipv6 ? 16 : 4) == 0)
            return true;
    return false;
}

// The same of a node that may have no zones yet, and then none.
static inline bool packet_is_ours(const struct answer_context *context, const uint8_t *address, bool is_ipv6)
{
    return context->zone_image && packet_is_own_address(zone_image_settings(context->zone_image), address, is_ipv6);
}

#ifdef __cplusplus
}
#endif
