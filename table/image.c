// SPDX-License-Identifier: Apache-2.0
#include "table/image.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { RECORD_FRAME_LEN = 12 }; // owner pointer 2, type 2, class 2, TTL 4, rdata length 2

uint64_t image_checksum(const void *image, size_t len)
{
    struct image_header header;
    memcpy(&header, image, sizeof header);
    header.checksum = 0;
    uint64_t seed = XXH3_64bits(&header, sizeof header);
    return XXH3_64bits_withSeed((const uint8_t *)image + sizeof header, len - sizeof header, seed);
}

static int refuse(char why[IMAGE_TEXT_CAP], const char *text)
{
    snprintf(why, IMAGE_TEXT_CAP, "%s", text);
    return -EBADMSG;
}

int image_check_header(const void *image, size_t len, enum image_kind kind, char why[IMAGE_TEXT_CAP])
{
    struct image_header h;
    if (len < sizeof h)
        return refuse(why, "shorter than an image header");
    memcpy(&h, image, sizeof h);
    if (h.magic != IMAGE_MAGIC)
        return refuse(why, "not an image: wrong magic number");
    if (h.version != IMAGE_VERSION) {
        snprintf(why, IMAGE_TEXT_CAP, "image format %u, this program reads %d", h.version, IMAGE_VERSION);
        return -EBADMSG;
    }
    if (h.kind != (uint32_t)kind)
        return refuse(why, "image of another kind");
    if (h.total_bytes != len || len % 8 != 0 || len > IMAGE_MAX_BYTES)
        return refuse(why, "the size in the header is not the size of the image");
    if (h.checksum != image_checksum(image, len))
        return refuse(why, "wrong checksum: the image was damaged");
    return 0;
}

// True when `bytes` bytes from 8-byte unit `at` lie inside an image of `len` bytes, behind its header.
static bool is_inside(uint64_t len, uint64_t at, uint64_t bytes)
{
    return at * 8 >= sizeof(struct image_header) && at * 8 <= len && bytes <= len - at * 8;
}

static bool are_records_framed(const struct rrset *set, const uint8_t *wire)
{
    uint32_t at = 0;
    for (unsigned i = 0; i < set->record_count; i++) {
        if (set->wire_len - at < RECORD_FRAME_LEN)
            return false;
        const uint8_t *r = wire + at;
        uint32_t rdata_len = (uint32_t)(r[10] << 8 | r[11]);
        if (r[0] != 0xc0 || r[1] != 0x0c || (uint16_t)(r[2] << 8 | r[3]) != set->type || r[4] != 0 || r[5] != 1)
            return false;
        if (set->wire_len - at - RECORD_FRAME_LEN < rdata_len)
            return false;
        at += RECORD_FRAME_LEN + rdata_len;
    }
    return at == set->wire_len;
}

int image_check_rrset(const void *image, size_t len, uint32_t rrset_at, char why[IMAGE_TEXT_CAP])
{
    const struct rrset *set = image_at(image, rrset_at);
    if (!is_inside(len, rrset_at, sizeof *set))
        return refuse(why, "a record set lies outside the image");
    if (set->wire_len > UINT16_MAX ||
        !is_inside(len, (uint64_t)rrset_at + sizeof *set / 8, (uint64_t)set->wire_len + IMAGE_TAIL))
        return refuse(why, "a record set reaches past the image");
    const uint8_t *wire = rrset_wire(set);
    if (set->record_count == 0 || !are_records_framed(set, wire))
        return refuse(why, "a record set's records do not fill it");
    if (set->partial_sum != image_partial_sum(wire, set->wire_len) ||
        set->growth_sum != rrset_growth_sum(set->wire_len, set->record_count))
        return refuse(why, "a record set's partial checksum is wrong");
    if (set->patch_count && !is_inside(len, set->patch_at, (uint64_t)set->patch_count * 2))
        return refuse(why, "a record set's patches lie outside the image");
    const uint16_t *patch = image_at(image, set->patch_at);
    for (unsigned i = 0; i < set->patch_count; i++)
        if (patch[i] < RECORD_FRAME_LEN || patch[i] + 2u > set->wire_len)
            return refuse(why, "a patch lies outside its record set");
    if (set->extra_count && !is_inside(len, set->extra_at, (uint64_t)set->extra_count * sizeof(struct rrset_extra)))
        return refuse(why, "a record set's extras lie outside the image");
    const struct rrset_extra *extra = image_at(image, set->extra_at);
    for (unsigned i = 0; i < set->extra_count; i++)
        if (extra[i].target_at < RECORD_FRAME_LEN || extra[i].target_at >= set->wire_len)
            return refuse(why, "an extra's name lies outside its record set");
    return 0;
}

uint16_t image_partial_sum(const uint8_t *bytes, size_t len)
{
    uint64_t sum = 0;
    size_t at = 0;
    for (; at + 2 <= len; at += 2) {
        uint16_t word;
        memcpy(&word, bytes + at, 2);
        sum += word;
    }
    if (at < len)
        sum += bytes[at]; // little-endian: the last octet is the low half of a word filled with zero
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}
