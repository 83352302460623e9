// SPDX-License-Identifier: Apache-2.0
// Packets on their way from the workers to a person: one ring per worker in memory that both sides map.
//
// The data plane makes the page at its start and hands it to who asks over the image socket (IMAGE_MESSAGE_CAPTURE;
// root or the data plane's own user). The asker writes the filter, then sets `is_on`; the manager clears `is_on` when
// its connection ends, however it ends. Each ring has one writer, its worker, and one reader, the asker. Neither trusts
// the other: indices are cut to the ring, lengths to the slot, so that a reader who writes nonsense loses packets,
// nothing else.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CAPTURE_PAGE_MAGIC = 0x53504331, // "SPC1"
    CAPTURE_PAGE_VERSION = 1,
    CAPTURE_SLOTS = 512, // per worker, a power of two: a burst of 32 with replies, eight times over
    CAPTURE_SNAP = 1552, // octets kept of a frame: the longest reply by default, with its headers and two VLAN tags
    CAPTURE_NAME_CAP = 256,
    CAPTURE_NO_COUNTER = 0xffff
};

// What happened to a packet; the bits of capture_filter.kinds.
enum capture_kind {
    CAPTURE_ANSWERED, // the query that was answered
    CAPTURE_REPLY,    // the answer
    CAPTURE_KERNEL,   // handed to the kernel
    CAPTURE_DROPPED,
    CAPTURE_KIND_COUNT
};

struct capture_filter {
    uint8_t address[16]; // source or destination, network order; IPv4 in the first 4 bytes
    uint8_t has_address, is_ipv6;
    uint8_t kinds;                  // bit per enum capture_kind
    uint8_t name_len;               // 0: any name
    uint16_t counter;               // only what moved this counter, and its reply; CAPTURE_NO_COUNTER: all
    uint8_t name[CAPTURE_NAME_CAP]; // wire form, lower case: this name and all below it
};

struct capture_slot {
    uint64_t at_us;   // wall clock, of the burst
    uint16_t len;     // of the frame
    uint16_t kept;    // octets in `frame`
    uint16_t counter; // enum counter that it moved, or CAPTURE_NO_COUNTER
    uint8_t kind;     // enum capture_kind
    uint8_t zero;
    uint8_t frame[CAPTURE_SNAP];
};

struct capture_ring {
    uint64_t head __attribute__((aligned(128))); // next to write; the worker's
    uint64_t lost;                               // matched, but the ring was full; the worker's
    uint64_t seen;                               // packets looked at; the worker's
    uint64_t tail __attribute__((aligned(128))); // next to read; the asker's
    struct capture_slot slot[CAPTURE_SLOTS];
};

struct capture_page {
    uint32_t magic, version, ring_count;
    uint32_t is_on; // the asker's and the manager's
    struct capture_filter filter;
    struct capture_ring ring[];
};

static inline uint64_t capture_page_bytes(unsigned rings)
{
    return sizeof(struct capture_page) + (uint64_t)rings * sizeof(struct capture_ring);
}

#ifdef __cplusplus
}
#endif
