// SPDX-License-Identifier: Apache-2.0
// Second stage of the short way: from the hash to the set to append, in three passes over the burst. Each pass asks for
// the memory that the next one reads.
#ifdef __SSE4_1__
#include "dataplane/fast_stages.h"

#include "dataplane/bytes.h"
#include "dataplane/query.h"

// What a query has when nothing was found: a node that has no query's name, a set that fits nowhere.
static const struct zone_node no_node = {.name_len = FAST_NAME_CAP + 1};
static const struct rrset no_set = {.wire_len = FAST_NO_SET};

// From the second slot on. Not inlined: most names stand in the first.
static __attribute__((noinline)) const struct zone_node *find_further(const struct fast_burst *b,
                                                                      const struct fast_query *q)
{
    for (uint32_t i = 1; i <= b->probe_limit; i++) {
        const struct zone_slot *slot = &b->slot[((uint32_t)q->hash + i) & b->slot_mask];
        if (slot->node_at == 0)
            break;
        if (slot->tag == q->hash >> 32)
            return (const struct zone_node *)image_at(b->zone_image, slot->node_at);
    }
    return &no_node;
}

// The first node with this tag, or no_node.
static inline const struct zone_node *find_node(const struct fast_burst *b, const struct fast_query *q)
{
    const struct zone_slot *slot = (const struct zone_slot *)q->at;
    if (slot->node_at == 0)
        return &no_node;
    if (slot->tag != load32((const uint8_t *)&q->hash + 4))
        return find_further(b, q);
    return (const struct zone_node *)image_at(b->zone_image, slot->node_at);
}

// By blocks of 16: the last one ends where the name ends, or both names are shorter and zero-filled. Another name with
// the same tag is left to the plain way.
static inline bool has_name(const struct zone_node *node, const struct fast_query *q)
{
    if (node->name_len != q->name_len)
        return false;
    const uint8_t *name = zone_node_name(node);
    __m128i difference = _mm_xor_si128(load_block(name), load_aligned(q->name));
    const unsigned last = q->name_len > 16 ? q->name_len - 16 : 0;
    for (unsigned at = 16; at < last; at += 16)
        difference = _mm_or_si128(difference, _mm_xor_si128(load_block(name + at), load_aligned(q->name + at)));
    difference = _mm_or_si128(difference, _mm_xor_si128(load_block(name + last), load_block(q->name + last)));
    return _mm_testz_si128(difference, difference);
}

// A service without an answer for everybody: for fast_steer.
static inline const void *leave_to_steer(struct fast_burst *b, struct fast_query *q, unsigned number)
{
    q->service = (uint16_t)number;
    b->tailored[b->tailored_count++] = q;
    return &no_set;
}

// A name or type that is not there, as far as this stage looked: for fast_miss.
static __attribute__((noinline)) const void *leave_to_miss(struct fast_burst *b, const struct fast_query *q)
{
    if (q->name_len != 0)
        b->missed[b->missed_count++] = (uint16_t)(q - b->query);
    return &no_set;
}

// The set that is the whole answer, or no_set: nothing there, aliases, delegations, tailored or failing services.
static inline const struct rrset *find_set(struct fast_burst *b, struct fast_query *q)
{
    const struct zone_node *node = (const struct zone_node *)q->at;
    if (!has_name(node, q))
        return leave_to_miss(b, q);
    if (node->flags & ~(NODE_APEX | NODE_SERVICE))
        return &no_set;
    if (__builtin_expect(node->flags & NODE_SERVICE, 1)) {
        q->marks |= FAST_SERVICE;
        const uint32_t at = b->service[node->service].plain_at[q->type != DNS_A];
        return at ? (const struct rrset *)image_at(b->order_image, at) : leave_to_steer(b, q, node->service);
    }
    const struct rrset_ref *ref = zone_node_refs(node);
    for (unsigned i = node->rrset_count; i > 0; i--, ref++)
        if (ref->type >= q->type) // sorted: at most 28 rounds
            return ref->type == q->type ? (const struct rrset *)image_at(b->zone_image, ref->rrset_at)
                                        : leave_to_miss(b, q);
    return leave_to_miss(b, q);
}

// A line asked for in vain takes the place of another query's miss, and most nodes and sets stand in one line
// (zone_node_bytes, zone_builder_layout.c). Of a node with two record sets: where it starts, and where the name ends.
static inline void prefetch_node(const struct zone_node *node, const struct fast_query *q)
{
    enum { NAME_AT = sizeof(struct zone_node) + 2 * sizeof(struct rrset_ref) };
    __builtin_prefetch(node);
    __builtin_prefetch((const uint8_t *)node + NAME_AT - 1 + q->name_len);
}

void fast_find(struct fast_burst *b, unsigned count)
{
    struct fast_query *const end = b->query + count;
    for (struct fast_query *q = b->query; q < end; q++) {
        const struct zone_node *node = find_node(b, q);
        q->at = node;
        prefetch_node(node, q);
    }
    for (struct fast_query *q = b->query; q < end; q++) {
        const struct rrset *set = find_set(b, q);
        q->at = set;
        __builtin_prefetch(set);
    }
}

#endif
