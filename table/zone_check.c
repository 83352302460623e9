// SPDX-License-Identifier: Apache-2.0
// Validation of a zone image that came from elsewhere: after it nothing that a look-up follows leaves the image.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table/zone_image.h"

enum { TYPE_SOA = 6 };

struct check {
    const void *image;
    size_t len;
    const struct zone_index *index;
    uint8_t *starts; // bit per 8-byte unit: a node or a record set starts here
    char *why;
};

static int refuse(const struct check *c, const char *text)
{
    snprintf(c->why, IMAGE_TEXT_CAP, "%s", text);
    return -EBADMSG;
}

static bool is_inside(const struct check *c, uint32_t at, uint64_t bytes)
{
    return (uint64_t)at * 8 >= sizeof(struct image_header) + sizeof(struct zone_index) && (uint64_t)at * 8 <= c->len &&
           bytes <= c->len - (uint64_t)at * 8;
}

static void mark(const struct check *c, uint32_t at)
{
    c->starts[at / 8] = (uint8_t)(c->starts[at / 8] | 1u << at % 8);
}

static bool is_marked(const struct check *c, uint32_t at)
{
    return (uint64_t)at * 8 < c->len && (c->starts[at / 8] >> at % 8 & 1);
}

static bool is_node(const struct check *c, uint32_t at)
{
    return at >= c->index->node_at && at < c->index->node_end && is_marked(c, at);
}

static bool is_rrset(const struct check *c, uint32_t at)
{
    return at >= c->index->rrset_at && at < c->index->rrset_end && is_marked(c, at);
}

static int check_index(const struct check *c)
{
    const struct zone_index *x = c->index;
    if (((uint64_t)x->slot_mask & ((uint64_t)x->slot_mask + 1)) != 0 ||
        !is_inside(c, x->slot_at, ((uint64_t)x->slot_mask + 1) * sizeof(struct zone_slot)))
        return refuse(c, "the hash table lies outside the image or has a bad size");
    if (x->probe_limit > x->slot_mask)
        return refuse(c, "the probe limit is larger than the hash table");
    if (x->label_limit > NAME_MAX_LABELS)
        return refuse(c, "the label limit is larger than a name can have");
    if (x->node_at > x->node_end || !is_inside(c, x->node_at, (uint64_t)(x->node_end - x->node_at) * 8))
        return refuse(c, "the nodes lie outside the image");
    if (x->rrset_at < x->node_end || x->rrset_at > x->rrset_end || (uint64_t)x->rrset_end * 8 > c->len)
        return refuse(c, "the record sets lie outside the image");
    if (!is_inside(c, x->zone_at, (uint64_t)x->zone_count * sizeof(struct zone_entry)))
        return refuse(c, "the zone entries lie outside the image");
    if (!is_inside(c, x->settings_at, sizeof(struct zone_settings)))
        return refuse(c, "the settings lie outside the image");
    if (!x->region_at != !x->scope_at ||
        (x->scope_at && (!is_inside(c, x->scope_at, (uint64_t)x->scope_units * 8) ||
                         region_scope_check(image_at(c->image, x->scope_at), (size_t)x->scope_units * 8) < 0)))
        return refuse(c, "the scopes of regions are damaged");
    if (x->region_at && (!is_inside(c, x->region_at, (uint64_t)x->region_units * 8) ||
                         region_map_check(image_at(c->image, x->region_at), (size_t)x->region_units * 8,
                                          region_scope_largest_region(image_at(c->image, x->scope_at))) < 0))
        return refuse(c, "the region map is damaged");
    return 0;
}

static int check_settings(const struct check *c)
{
    const struct zone_settings *s = (const struct zone_settings *)image_at(c->image, c->index->settings_at);
    if (s->udp_max < 512 || s->udp_max > 4096)
        return refuse(c, "settings: the UDP size lies outside 512..4096");
    if (s->cookie_secret_count > 2 || s->nsid_len > SETTING_TEXT_CAP || s->chaos_version_len > SETTING_TEXT_CAP ||
        s->chaos_id_len > SETTING_TEXT_CAP || s->address_count > SETTING_ADDRESS_CAP)
        return refuse(c, "settings: a length is larger than its field");
    return 0;
}

// Bytes of the node at `at`, checked on its own; 0 when it is bad.
static uint64_t node_bytes(const struct check *c, uint32_t at)
{
    const uint64_t room = (uint64_t)(c->index->node_end - at) * 8;
    if (room < sizeof(struct zone_node))
        return 0;
    const struct zone_node *node = (const struct zone_node *)image_at(c->image, at);
    const uint64_t bytes = zone_node_bytes(node->rrset_count, node->name_len);
    if (bytes > room)
        return 0;
    const uint8_t *name = zone_node_name(node);
    const uint64_t padded = bytes - (uint64_t)(name - (const uint8_t *)node);
    unsigned labels = 0;
    if (name_check(name, node->name_len, &labels) != node->name_len || labels != node->label_count ||
        labels > c->index->label_limit)
        return 0;
    for (unsigned i = 0; i < node->name_len; i++)
        if (name[i] >= 'A' && name[i] <= 'Z')
            return 0;
    for (uint64_t i = node->name_len; i < padded; i++)
        if (name[i] != 0)
            return 0;
    return bytes;
}

// Bytes from the node at `at`, which is good, to the next one.
static uint64_t node_stride(const struct check *c, uint32_t at)
{
    const struct zone_node *node = (const struct zone_node *)image_at(c->image, at);
    const struct rrset_ref *ref = zone_node_refs(node);
    uint64_t bytes = zone_node_bytes(node->rrset_count, node->name_len);
    for (unsigned i = 0; i < node->rrset_count; i++)
        bytes += ref[i].lines * (uint64_t)ZONE_LINE_BYTES;
    return bytes;
}

// First pass: where nodes start.
static int mark_starts(const struct check *c)
{
    uint32_t nodes = 0;
    for (uint32_t at = c->index->node_at; at < c->index->node_end; nodes++) {
        if (node_bytes(c, at) == 0)
            return refuse(c, "a node is damaged");
        const uint64_t stride = node_stride(c, at);
        if (stride > (uint64_t)(c->index->node_end - at) * 8)
            return refuse(c, "a node's addresses lie outside the nodes");
        mark(c, at);
        at += (uint32_t)(stride / 8);
    }
    return nodes == c->index->node_count ? 0 : refuse(c, "the number of nodes is wrong");
}

static int check_set(const struct check *c, uint32_t at)
{
    int rc = image_check_rrset(c->image, c->len, at, c->why);
    if (rc < 0)
        return rc;
    const struct rrset *set = (const struct rrset *)image_at(c->image, at);
    const struct rrset_extra *extra = (const struct rrset_extra *)image_at(c->image, set->extra_at);
    for (unsigned i = 0; i < set->extra_count; i++)
        if (!is_node(c, extra[i].node_at))
            return refuse(c, "an extra does not name a node");
    return 0;
}

// A set that is not behind a node.
static int check_rrset(const struct check *c, uint32_t at)
{
    if (at < c->index->rrset_at || at >= c->index->rrset_end)
        return refuse(c, "a record set lies outside its section");
    int rc = check_set(c, at);
    if (rc == 0)
        mark(c, at);
    return rc;
}

// A set behind its node, at `at`, if the node says the same. No mark: there only nodes have them.
static int check_set_beside(const struct check *c, const struct rrset_ref *ref, uint32_t at)
{
    if (ref->rrset_at != at)
        return refuse(c, "a node's addresses do not stand behind it");
    const int rc = check_set(c, at);
    if (rc < 0)
        return rc;
    const struct rrset *set = (const struct rrset *)image_at(c->image, at);
    return zone_set_lines(set->wire_len) == ref->lines ? 0 : refuse(c, "a node's addresses have another length");
}

// A name must end in its zone's apex: answers point into the question to where the apex starts.
static bool is_in_zone(const struct check *c, const struct zone_node *node)
{
    const struct zone_entry *entry = (const struct zone_entry *)image_at(c->image, c->index->zone_at) + node->zone;
    if (!is_node(c, entry->apex_at))
        return false;
    const struct zone_node *apex = (const struct zone_node *)image_at(c->image, entry->apex_at);
    return name_is_at_or_below(zone_node_name(node), node->name_len, zone_node_name(apex), apex->name_len);
}

static int check_sets(const struct check *c, const struct zone_node *node)
{
    const struct rrset_ref *ref = zone_node_refs(node);
    const uint64_t node_len = zone_node_bytes(node->rrset_count, node->name_len);
    uint64_t beside = ((uint64_t)((const uint8_t *)node - (const uint8_t *)c->image) + node_len) / 8;
    for (unsigned i = 0; i < node->rrset_count; i++) {
        const int rc = ref[i].lines ? check_set_beside(c, &ref[i], (uint32_t)beside) : check_rrset(c, ref[i].rrset_at);
        if (rc < 0)
            return rc;
        const struct rrset *set = (const struct rrset *)image_at(c->image, ref[i].rrset_at);
        if (set->type != ref[i].type)
            return refuse(c, "a record set is of another type than its node says");
        beside += ref[i].lines * (ZONE_LINE_BYTES / 8u);
    }
    return 0;
}

static int check_node(const struct check *c, const struct zone_node *node)
{
    if (node->zone >= c->index->zone_count || !is_in_zone(c, node))
        return refuse(c, "a node names a zone that does not hold it");
    if ((node->cut_at && !is_node(c, node->cut_at)) || (node->wildcard_at && !is_node(c, node->wildcard_at)))
        return refuse(c, "a node refers to something that is not a node");
    if ((node->flags & NODE_SERVICE) && node->service >= c->index->service_count)
        return refuse(c, "a node names a service that does not exist");
    if (node->cut_at) {
        const struct zone_node *cut = (const struct zone_node *)image_at(c->image, node->cut_at);
        if (!(cut->flags & NODE_CUT) || cut->zone != node->zone ||
            !name_is_at_or_below(zone_node_name(node), node->name_len, zone_node_name(cut), cut->name_len))
            return refuse(c, "a node lies below a delegation that is none");
    }
    if ((node->flags & (NODE_CUT | NODE_BELOW_CUT)) && !node->cut_at)
        return refuse(c, "a delegation does not name itself");
    return check_sets(c, node);
}

static int check_zones(const struct check *c)
{
    const struct zone_entry *entry = (const struct zone_entry *)image_at(c->image, c->index->zone_at);
    for (uint32_t i = 0; i < c->index->zone_count; i++) {
        if (!is_node(c, entry[i].apex_at) || (entry[i].parent_cut_at && !is_node(c, entry[i].parent_cut_at)))
            return refuse(c, "a zone's apex is not a node");
        int rc = check_rrset(c, entry[i].negative_soa_at);
        if (rc < 0)
            return rc;
        const struct rrset *negative = (const struct rrset *)image_at(c->image, entry[i].negative_soa_at);
        if (!is_rrset(c, entry[i].soa_at) || negative->type != TYPE_SOA)
            return refuse(c, "a zone has no SOA");
    }
    return 0;
}

static int check_slots(const struct check *c)
{
    const struct zone_slot *slot = (const struct zone_slot *)image_at(c->image, c->index->slot_at);
    uint64_t used = 0;
    for (uint64_t i = 0; i <= c->index->slot_mask; i++) {
        if (slot[i].node_at && !is_node(c, slot[i].node_at))
            return refuse(c, "the hash table refers to something that is not a node");
        used += slot[i].node_at != 0;
    }
    return used <= c->index->node_count ? 0 : refuse(c, "the hash table has more entries than there are nodes");
}

static int check_all(struct check *c)
{
    int rc = check_index(c);
    if (rc == 0)
        rc = check_settings(c);
    if (rc == 0)
        rc = mark_starts(c);
    for (uint32_t at = c->index->node_at; rc == 0 && at < c->index->node_end;) {
        rc = check_node(c, (const struct zone_node *)image_at(c->image, at));
        at += (uint32_t)(node_stride(c, at) / 8);
    }
    if (rc == 0)
        rc = check_zones(c);
    return rc < 0 ? rc : check_slots(c);
}

int zone_image_check(const void *image, size_t len, char why[IMAGE_TEXT_CAP])
{
    int rc = image_check_header(image, len, IMAGE_ZONE, why);
    if (rc < 0)
        return rc;
    struct check c = {image, len, zone_image_index(image), NULL, why};
    if (len < sizeof(struct image_header) + sizeof(struct zone_index))
        return refuse(&c, "shorter than a zone index");
    c.starts = calloc(len / 64 + 1, 1);
    if (!c.starts) {
        snprintf(why, IMAGE_TEXT_CAP, "out of memory while checking");
        return -ENOMEM;
    }
    rc = check_all(&c);
    free(c.starts);
    return rc;
}
