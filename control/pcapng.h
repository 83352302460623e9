// SPDX-License-Identifier: Apache-2.0
// Writes packets in the pcapng format (draft-ietf-opsawg-pcapng): Wireshark, tshark and tcpdump read it, comments
// included.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pcapng_packet {
    uint64_t at_us;      // wall clock
    const uint8_t *data; // from the Ethernet header on
    uint32_t kept, len;  // octets in `data`, and of the packet
    bool is_outbound;
    const char *comment; // empty: none
};

// Header and one Ethernet interface. All functions: errors are the stream's (ferror).
void pcapng_begin(FILE *file, const char *program, const char *interface, uint32_t snap);
void pcapng_put(FILE *file, const struct pcapng_packet *packet);
// How many packets were received, and lost on their way here, by the time `at_us`.
void pcapng_statistics(FILE *file, uint64_t at_us, uint64_t received, uint64_t lost);

#ifdef __cplusplus
}
#endif
