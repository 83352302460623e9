// SPDX-License-Identifier: Apache-2.0
// Nodes stand in preorder: a node's lower child, if it has one, comes next.
#include "table/region_scope.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "table/region_ranges.h"

enum {
    SCOPE_MAGIC = 0x53505243, // "SPRC"
    HAS_LOWER = 1u << 31,     // in `children`: the next node is the lower half's
    UPPER_MASK = HAS_LOWER - 1,
    STACK_CAP = 129 // a block waits for each bit of the address, at most
};

// `middle` is the first address of the block's upper half: its lowest bit that is set says how long the prefix is.
struct node4 {
    uint64_t regions; // that occur in the block
    uint32_t middle;
    uint32_t children; // number of the upper half's node, 0: none; and HAS_LOWER
};

struct node6 {
    uint64_t regions;
    uint64_t middle_high, middle_low;
    uint32_t children;
    uint32_t zero;
};

struct region_scope {
    uint32_t magic;
    uint32_t largest_region;
    uint64_t total_bytes;
    uint32_t node_count[2]; // IPv4, behind this head; IPv6, behind those
    uint32_t zero[10];
} __attribute__((aligned(64)));
static_assert(sizeof(struct region_scope) == 64 && sizeof(struct node4) == 16 && sizeof(struct node6) == 32,
              "both kinds of nodes are aligned behind the head");

static const struct node4 *nodes4(const struct region_scope *s)
{
    return (const struct node4 *)(s + 1);
}

static const struct node6 *nodes6(const struct region_scope *s)
{
    return (const struct node6 *)(const void *)(nodes4(s) + (s->node_count[0] + 1) / 2 * 2);
}

static uint64_t total_bytes(uint64_t count4, uint64_t count6)
{
    const uint64_t bytes =
        sizeof(struct region_scope) + (count4 + 1) / 2 * 2 * sizeof(struct node4) + count6 * sizeof(struct node6);
    return (bytes + 63) & ~63ull;
}

static unsigned leading_zeros(region_address a)
{
    const uint64_t high = (uint64_t)(a >> 64), low = (uint64_t)a;
    return high ? (unsigned)__builtin_clzll(high) : low ? 64 + (unsigned)__builtin_clzll(low) : 128;
}

static unsigned trailing_zeros(region_address a)
{
    const uint64_t high = (uint64_t)(a >> 64), low = (uint64_t)a;
    return low ? (unsigned)__builtin_ctzll(low) : high ? 64 + (unsigned)__builtin_ctzll(high) : 128;
}

// ---- building ----

struct block { // waits for its node: the ranges first..last start inside of it
    size_t first, last;
    uint32_t parent; // whose upper half it is, or NO_PARENT
};
enum { NO_PARENT = UINT32_MAX };

struct node {
    uint64_t regions;
    region_address middle;
    uint32_t children;
};

// First range at or above `address` among first..last + 1.
static size_t first_from(const struct region_range *range, size_t first, size_t last, region_address address)
{
    while (first <= last) {
        const size_t middle = first + (last - first) / 2;
        if (range[middle].start < address)
            first = middle + 1;
        else if (middle == first)
            return first;
        else
            last = middle - 1;
    }
    return first;
}

// Makes the nodes, or only counts them when `node` is null. The halves without a node give their one region.
static uint32_t make_nodes(const struct region_range_list *list, struct node *node)
{
    const struct region_range *range = list->range;
    struct block stack[STACK_CAP];
    unsigned depth = 0;
    uint32_t count = 0;
    if (list->count > 1)
        stack[depth++] = (struct block){1, list->count - 1, NO_PARENT};
    while (depth) {
        const struct block b = stack[--depth];
        const uint32_t at = count++;
        // The smallest block that has the address before the first start and the last start in it.
        const unsigned prefix_len = leading_zeros((range[b.first].start - 1) ^ range[b.last].start);
        const region_address half = (region_address)1 << (127 - prefix_len);
        const region_address middle = (range[b.last].start & ~(half - 1)) | half;
        const size_t upper = first_from(range, b.first, b.last, middle);
        const bool has_middle = upper <= b.last && range[upper].start == middle;
        const bool has_lower = upper > b.first, has_upper = upper + has_middle <= b.last;
        if (node) {
            node[at] = (struct node){0, middle, has_lower ? HAS_LOWER : 0};
            node[at].regions |= has_lower ? 0 : region_bit(range[b.first - 1].region);
            node[at].regions |= has_upper ? 0 : region_bit(range[b.last].region);
            if (b.parent != NO_PARENT)
                node[b.parent].children |= at;
        }
        if (has_upper)
            stack[depth++] = (struct block){upper + has_middle, b.last, at};
        if (has_lower)
            stack[depth++] = (struct block){b.first, upper - 1, NO_PARENT};
    }
    return count;
}

// A node's regions are those of its children and of the halves without one; children stand behind their parents.
static struct node *finished_nodes(const struct region_range_list *list, uint32_t count)
{
    struct node *node = aligned_alloc(16, ((size_t)count + 1) * sizeof *node);
    if (!node)
        return NULL;
    make_nodes(list, node);
    for (uint32_t i = count; i-- > 0;) {
        node[i].regions |= node[i].children & HAS_LOWER ? node[i + 1].regions : 0;
        node[i].regions |= node[i].children & UPPER_MASK ? node[node[i].children & UPPER_MASK].regions : 0;
    }
    return node;
}

static uint32_t largest_region(const struct region_prefix *prefix, size_t count)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = prefix[i].region > largest ? prefix[i].region : largest;
    return largest;
}

static int put_scope(const struct region_range_list list[2], struct region_scope **out, size_t *len)
{
    const uint32_t count[2] = {make_nodes(&list[0], NULL), make_nodes(&list[1], NULL)};
    struct node *node[2] = {finished_nodes(&list[0], count[0]), finished_nodes(&list[1], count[1])};
    *len = total_bytes(count[0], count[1]);
    struct region_scope *s = node[0] && node[1] ? aligned_alloc(64, *len) : NULL;
    if (s) {
        memset(s, 0, *len);
        *s = (struct region_scope){.magic = SCOPE_MAGIC, .total_bytes = *len, .node_count = {count[0], count[1]}};
        struct node4 *to4 = (struct node4 *)(uintptr_t)nodes4(s);
        struct node6 *to6 = (struct node6 *)(uintptr_t)nodes6(s);
        for (uint32_t i = 0; i < count[0]; i++)
            to4[i] = (struct node4){node[0][i].regions, (uint32_t)(node[0][i].middle >> 96), node[0][i].children};
        for (uint32_t i = 0; i < count[1]; i++)
            to6[i] = (struct node6){node[1][i].regions, (uint64_t)(node[1][i].middle >> 64),
                                    (uint64_t)node[1][i].middle, node[1][i].children, 0};
    }
    free(node[0]);
    free(node[1]);
    *out = s;
    return s ? 0 : -ENOMEM;
}

int region_scope_build(const struct region_prefix *prefixes, size_t count, void **scope, size_t *len)
{
    struct region_range_list list[2] = {{0}, {0}};
    struct region_scope *s = NULL;
    if (count > REGION_PREFIX_MAX)
        return -E2BIG;
    int rc = region_ranges_collect(prefixes, count, false, &list[0]);
    if (rc == 0)
        rc = region_ranges_collect(prefixes, count, true, &list[1]);
    if (rc == 0)
        rc = put_scope(list, &s, len);
    if (rc == 0) {
        s->largest_region = largest_region(prefixes, count);
        *scope = s;
    }
    free(list[0].range);
    free(list[1].range);
    return rc;
}

// ---- checking ----

// Children stand behind their parent and nearer to one address: a walk ends.
static bool are_children_good(uint32_t at, uint32_t children, uint32_t count)
{
    const uint32_t upper = children & UPPER_MASK;
    return (!(children & HAS_LOWER) || at + 1 < count) && (upper == 0 || (upper > at && upper < count));
}

int region_scope_check(const void *scope, size_t len)
{
    const struct region_scope *s = scope;
    static const uint32_t zero[10];
    if (len < sizeof *s || s->magic != SCOPE_MAGIC || s->total_bytes != len ||
        total_bytes(s->node_count[0], s->node_count[1]) != len || s->largest_region > REGION_MAX ||
        memcmp(s->zero, zero, sizeof zero) != 0)
        return -EBADMSG;
    const struct node4 *four = nodes4(s);
    for (uint32_t i = 0; i < s->node_count[0]; i++)
        if (four[i].middle == 0 || !are_children_good(i, four[i].children, s->node_count[0]))
            return -EBADMSG;
    const struct node6 *six = nodes6(s);
    for (uint32_t i = 0; i < s->node_count[1]; i++)
        if ((six[i].middle_high | six[i].middle_low) == 0 || six[i].zero ||
            !are_children_good(i, six[i].children, s->node_count[1]))
            return -EBADMSG;
    return 0;
}

unsigned region_scope_largest_region(const void *scope)
{
    return ((const struct region_scope *)scope)->largest_region;
}

// ---- looking up ----

enum step { STEP_DONE, STEP_LOWER, STEP_UPPER };

// One step of the walk: *scope is the answer so far. `middle` and `address` in the top bits.
static enum step walk(uint64_t regions, uint64_t same, region_address middle, region_address address, unsigned *scope)
{
    if ((regions & ~same) == 0)
        return STEP_DONE; // the whole block, and what lies around it up to its parent's half
    const unsigned prefix_len = 127 - trailing_zeros(middle), equal = leading_zeros(address ^ middle);
    if (equal < prefix_len) {
        *scope = equal + 1; // beside the block, where no range starts
        return STEP_DONE;
    }
    *scope = prefix_len + 1;
    return address >= middle ? STEP_UPPER : STEP_LOWER;
}

// The number of the next node, or 0 at the end of the walk.
static uint32_t next_node(enum step step, uint32_t at, uint32_t children)
{
    if (step == STEP_DONE)
        return 0;
    return step == STEP_UPPER ? children & UPPER_MASK : children & HAS_LOWER ? at + 1 : 0;
}

uint8_t region_scope_ipv4(const void *scope, const uint8_t address[4], uint64_t same)
{
    const struct region_scope *s = scope;
    const struct node4 *node = nodes4(s);
    uint32_t a, at = 0;
    unsigned found = 0;
    if (s->node_count[0] == 0)
        return 0;
    memcpy(&a, address, sizeof a);
    const region_address wanted = (region_address)__builtin_bswap32(a) << 96;
    do { // ends: each node stands behind the one before
        const region_address middle = (region_address)node[at].middle << 96;
        at = next_node(walk(node[at].regions, same, middle, wanted, &found), at, node[at].children);
    } while (at);
    return (uint8_t)found;
}

uint8_t region_scope_ipv6(const void *scope, const uint8_t address[16], uint64_t same)
{
    const struct region_scope *s = scope;
    const struct node6 *node = nodes6(s);
    uint64_t high, low;
    uint32_t at = 0;
    unsigned found = 0;
    if (s->node_count[1] == 0)
        return 0;
    memcpy(&high, address, sizeof high);
    memcpy(&low, address + 8, sizeof low);
    const region_address wanted = (region_address)__builtin_bswap64(high) << 64 | __builtin_bswap64(low);
    do {
        const region_address middle = (region_address)node[at].middle_high << 64 | node[at].middle_low;
        at = next_node(walk(node[at].regions, same, middle, wanted, &found), at, node[at].children);
    } while (at);
    return (uint8_t)found;
}
