// SPDX-License-Identifier: Apache-2.0
#include "dataplane/response.h"

#include <string.h>

// Names whose addresses are added to a set's answer; glue that a referral needs is not counted. UDP never gets so far.
enum { EXTRAS_MAX = 64 };

static void put_pointer(uint8_t *p, unsigned at)
{
    p[0] = (uint8_t)(0xc0 | at >> 8);
    p[1] = (uint8_t)at;
}

bool response_add(struct response *r, enum response_section section, const struct rrset *set, unsigned owner_at,
                  unsigned apex_at)
{
    if (r->is_truncated || owner_at > POINTER_MAX)
        return false;
    if (r->writer.cap - r->writer.at < set->wire_len)
        return false;
    uint8_t *out = r->writer.data + r->writer.at;
    r->writer.at += set->wire_len;
    memcpy(out, rrset_wire(set), set->wire_len);
    r->count[section] = (uint16_t)(r->count[section] + set->record_count);
    if (owner_at != DNS_HEADER_LEN) {
        unsigned at = 0;
        for (unsigned i = 0; i < set->record_count; i++) {
            put_pointer(out + at, owner_at);
            at += RECORD_FRAME_LEN + (unsigned)(out[at + 10] << 8 | out[at + 11]);
        }
    }
    const uint16_t *patch = (const uint16_t *)image_at(r->context->zone_image, set->patch_at);
    for (unsigned i = 0; i < set->patch_count; i++)
        put_pointer(out + patch[i], apex_at);
    return true;
}

void response_add_soa(struct response *r, uint32_t zone, unsigned apex_at)
{
    const struct rrset *soa =
        (const struct rrset *)image_at(r->context->zone_image, response_zone(r, zone)->negative_soa_at);
    if (!response_add(r, SECTION_AUTHORITY, soa, apex_at, apex_at))
        r->is_truncated = true;
}

void response_add_extras(struct response *r, const struct rrset *set, unsigned set_at, unsigned apex_at)
{
    const void *image = r->context->zone_image;
    const struct rrset_extra *extra = (const struct rrset_extra *)image_at(image, set->extra_at);
    unsigned optional = 0;
    for (unsigned pass = 0; pass < 2; pass++) { // required glue first (RFC 9471 section 3.1)
        for (unsigned i = 0; i < set->extra_count; i++) {
            const bool is_required = extra[i].flags & RRSET_EXTRA_IN_DOMAIN;
            if (is_required != (pass == 0))
                continue;
            if (!is_required && ++optional > EXTRAS_MAX)
                return;
            const struct zone_node *node = (const struct zone_node *)image_at(image, extra[i].node_at);
            const struct rrset *a = zone_node_rrset(image, node, DNS_A), *aaaa = zone_node_rrset(image, node, DNS_AAAA);
            const unsigned owner_at = set_at + extra[i].target_at;
            bool is_added = !a || response_add(r, SECTION_ADDITIONAL, a, owner_at, apex_at);
            is_added &= !aaaa || response_add(r, SECTION_ADDITIONAL, aaaa, owner_at, apex_at);
            if (!is_added && is_required)
                r->is_truncated = true;
            if (!is_added)
                return; // the rest will hardly fit either, and the work stays bounded
        }
    }
}
