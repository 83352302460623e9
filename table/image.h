// SPDX-License-Identifier: Apache-2.0
// What both image formats share: header, checksum, addressing.
//
// An image is one immutable, position-independent block: little-endian, 8-byte aligned, offsets instead of pointers. An
// offset named `_at` counts 8-byte units from the start of the image, so 32 bits reach 32 GiB; 0 means "none" (the
// header stands there). Images are built by one thread, frozen, validated by the receiver before any other use, and
// never change. No function here allocates or blocks.
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum image_kind { IMAGE_ZONE = 1, IMAGE_ORDER = 2 };

#define IMAGE_MAGIC 0x31676d4974706753ull // "SgptImg1"
enum {
    IMAGE_VERSION = 8, // one number for both formats; a receiver refuses any other
    IMAGE_TAIL = 32,   // octets behind the last record set: answers are copied in blocks, past their end
    IMAGE_TEXT_CAP = 160
};
#define IMAGE_MAX_BYTES (8ull << 30) // refuse anything larger: far above ten million names, far below the address limit

struct image_header {
    uint64_t magic;
    uint32_t version;
    uint32_t kind;        // enum image_kind
    uint64_t total_bytes; // size of the image, a multiple of 8
    uint64_t generation;  // grows with each image of a kind; never repeats, also across restarts
    uint64_t pairing_id; // hash of the service list and regions: an order image fits the zone image with the same value
    uint64_t built_at_us; // wall clock of the builder, microseconds since 1970
    uint64_t checksum;    // image_checksum of the whole image with this field zero
    uint64_t reserved;
};
static_assert(sizeof(struct image_header) == 64, "one cache line");

// Wire bytes of the records of one type at one name, ready to be appended to a message.
//
// Each record is: owner pointer C0 0C (to the question), type, class IN, TTL, length, rdata. Names in rdata of NS,
// CNAME, SOA, MX, PTR that end in the zone's apex are stored as their leading labels and a pointer still to be written:
// the patches list where, counted from the start of `wire`. It takes the offset of the apex inside the question.
struct rrset {
    uint32_t wire_len;     // bytes of all records
    uint32_t ttl;          // seconds, at most 2^31-1 (RFC 2181 section 8), one for the set (section 5.2)
    uint16_t type;         // host byte order
    uint16_t record_count; // at least 1
    uint16_t
        partial_sum; // ones' complement sum of `wire` as 16-bit words from an even offset, patches zero, native order
    uint16_t patch_count;
    uint16_t extra_count; // names in the rdata whose addresses belong in the additional section
    uint16_t flags;       // enum rrset_flags
    uint32_t extra_at;    // struct rrset_extra[extra_count], 0 when none
    uint32_t patch_at;    // uint16_t[patch_count], 0 when none
    uint32_t growth_sum;  // rrset_growth_sum: what a datagram's sum grows by besides the records themselves
    // followed by wire_len bytes of wire and zero filling to 8 bytes
};
static_assert(sizeof(struct rrset) == 32, "answers start on an 8-byte boundary behind it");

// The length twice (UDP and pseudo header) and the answer count, as 16-bit words in memory order modulo 65,535, where a
// swap of octets is a factor of 256.
static inline uint32_t rrset_growth_sum(uint32_t wire_len, uint16_t record_count)
{
    return (wire_len << 9) + __builtin_bswap16(record_count);
}

enum rrset_flags {
    RRSET_NONE = 0,
    RRSET_GLUE_REQUIRED = 1 // delegation with in-domain glue: all of it or TC (RFC 9471 section 3)
};

struct rrset_extra {
    uint32_t node_at;   // the node that has the target's A and AAAA
    uint16_t target_at; // where the target's name starts in `wire`
    uint16_t flags;     // enum rrset_extra_flags
};
enum rrset_extra_flags { RRSET_EXTRA_IN_DOMAIN = 1 }; // the target lies at or below the delegation: required glue

struct rrset_ref {
    uint16_t type;
    uint16_t lines; // that the set takes behind its node (zone_image.h); 0: it stands elsewhere
    uint32_t rrset_at;
};

static inline const void *image_at(const void *image, uint32_t at)
{
    return (const uint8_t *)image + (uint64_t)at * 8;
}

static inline const uint8_t *rrset_wire(const struct rrset *set)
{
    return (const uint8_t *)(set + 1);
}

// Over `len` bytes at `image`, the header's checksum field taken as zero; len >= sizeof(struct image_header).
uint64_t image_checksum(const void *image, size_t len);

// Checks magic, version, kind, size and checksum. 0, or -EBADMSG with a sentence in `why`.
int image_check_header(const void *image, size_t len, enum image_kind kind, char why[IMAGE_TEXT_CAP]);

// Checks one record set inside the image: bounds, lengths, each record's frame, patches, extras (whose node offsets the
// caller checks, since only zone images have nodes). 0, or -EBADMSG.
int image_check_rrset(const void *image, size_t len, uint32_t rrset_at, char why[IMAGE_TEXT_CAP]);

// Ones' complement sum (not inverted) of `len` bytes as 16-bit words in memory order, folded to 16 bits.
uint16_t image_partial_sum(const uint8_t *bytes, size_t len);

#ifdef __cplusplus
}
#endif
