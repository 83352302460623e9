// SPDX-License-Identifier: Apache-2.0
#include "table/zone_image.h"

#include <string.h>

void zone_key_init(struct zone_key *key, const uint8_t *wire, unsigned len)
{
    unsigned at = 0, labels = 0;
    for (; wire[at] != 0; at += wire[at] + 1u)
        labels++;
    name_fold(key->name, wire, len);
    memset(key->name + len, 0, 16);
    key->len = len;
    key->label_count = labels;
}

// Both are zero-filled to whole words; `name` need not be aligned.
static inline bool is_same_name(const uint8_t *node_name, const uint8_t *name, unsigned len)
{
    for (unsigned at = 0; at < len; at += 8) {
        uint64_t a, b;
        memcpy(&a, node_name + at, 8);
        memcpy(&b, name + at, 8);
        if (a != b)
            return false;
    }
    return true;
}

// The node whose name is the `len` octets at `name`, zero-filled behind.
static const struct zone_node *find(const void *image, const uint8_t *name, unsigned len)
{
    const struct zone_index *index = zone_image_index(image);
    const struct zone_slot *slots = (const struct zone_slot *)image_at(image, index->slot_at);
    const uint64_t hash = name_hash(name, len, index->hash_seed);
    const uint32_t tag = (uint32_t)(hash >> 32);
    for (uint32_t i = 0; i <= index->probe_limit; i++) {
        const struct zone_slot *slot = &slots[((uint32_t)hash + i) & index->slot_mask];
        if (slot->node_at == 0)
            return NULL;
        if (slot->tag != tag)
            continue;
        const struct zone_node *node = (const struct zone_node *)image_at(image, slot->node_at);
        if (node->name_len == len && is_same_name(zone_node_name(node), name, len))
            return node;
    }
    return NULL;
}

const struct zone_node *zone_image_find(const void *image, const struct zone_key *key)
{
    return find(image, key->name, key->len);
}

const struct zone_node *zone_image_find_closest(const void *image, const struct zone_key *key, unsigned *suffix_at)
{
    const unsigned limit = zone_image_index(image)->label_limit;
    unsigned at = 0, labels = key->label_count;
    for (; labels > limit; labels--) // no name is that long
        at += key->name[at] + 1u;
    for (;;) {
        const struct zone_node *node = find(image, key->name + at, key->len - at);
        if (node) {
            *suffix_at = at;
            return node;
        }
        if (key->name[at] == 0)
            return NULL;
        at += key->name[at] + 1u;
    }
}

enum { REFS_LINEAR = 16 }; // up to here a walk is as fast as halving

const struct rrset *zone_node_rrset(const void *image, const struct zone_node *node, uint16_t type)
{
    const struct rrset_ref *ref = zone_node_refs(node);
    unsigned first = 0, end = node->rrset_count;
    while (end - first > REFS_LINEAR) { // sorted by type; a name may have thousands
        const unsigned middle = first + (end - first) / 2;
        if (ref[middle].type <= type)
            first = middle;
        else
            end = middle;
    }
    for (; first < end; first++)
        if (ref[first].type == type)
            return (const struct rrset *)image_at(image, ref[first].rrset_at);
    return NULL;
}
