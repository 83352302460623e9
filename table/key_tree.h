// SPDX-License-Identifier: Apache-2.0
// Sorted keys in a tree of cache lines: which is the last key at or below a value. Position-independent and immutable;
// reading is safe from any thread.
//
// The keys stand in order in the lowest level; each node of the level above holds the first keys of its children but
// the first. A node is one cache line, 16 keys of 32 bits or 8 of 64, and a step counts how many of them are not above
// the value, without a branch. Half a million keys take five or six steps, the first ones in lines that are always
// cached; a binary search takes nineteen, each waiting for the one before. Rejected: a table over the first 24 bits,
// which takes 32 MB for IPv4 alone and does not help IPv6.
//
// Levels are stored from the root down, padded to whole nodes with keys of all ones. A search is bounded whatever the
// octets are: the number of levels follows from the count, and a step never leads outside its level.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { KEY_TREE_NODE_BYTES = 64, KEY_TREE_LEVEL_MAX = 11, KEY_TREE_KEYS_32 = 16, KEY_TREE_KEYS_64 = 8 };

struct key_tree_shape {
    uint32_t level_count;                    // no padding: shapes are compared octet by octet
    uint32_t node_count[KEY_TREE_LEVEL_MAX]; // from the root down
    uint64_t bytes;
};

// Of `count` > 0 keys, `keys` to a node.
static inline struct key_tree_shape key_tree_shape_of(uint32_t count, unsigned keys)
{
    uint32_t up[KEY_TREE_LEVEL_MAX]; // from the lowest level
    struct key_tree_shape shape = {0, {0}, 0};
    uint32_t nodes = (count + keys - 1) / keys;
    for (; shape.level_count < KEY_TREE_LEVEL_MAX; nodes = (nodes + keys) / (keys + 1)) {
        up[shape.level_count++] = nodes;
        shape.bytes += (uint64_t)nodes * KEY_TREE_NODE_BYTES;
        if (nodes == 1)
            break;
    }
    for (unsigned i = 0; i < shape.level_count; i++)
        shape.node_count[i] = up[shape.level_count - 1 - i];
    return shape;
}

#define KEY_TREE_DEFINE(suffix, type, keys)                                                                            \
    /* The sorted keys themselves: the lowest level. */                                                                \
    static inline const type *key_tree_keys_##suffix(const void *tree, const struct key_tree_shape *shape)             \
    {                                                                                                                  \
        const uint32_t last = shape->node_count[shape->level_count - 1];                                               \
        return (const type *)(const void *)((const uint8_t *)tree + shape->bytes -                                     \
                                            (uint64_t)last * KEY_TREE_NODE_BYTES);                                     \
    }                                                                                                                  \
    /* Fills the levels above the lowest one, whose `count` keys stand there already; pads all. */                     \
    static inline void key_tree_finish_##suffix(void *tree, const struct key_tree_shape *shape, uint32_t count)        \
    {                                                                                                                  \
        type *child = (type *)(uintptr_t)key_tree_keys_##suffix(tree, shape);                                          \
        const uint32_t last = shape->node_count[shape->level_count - 1];                                               \
        for (uint64_t i = count; i < (uint64_t)last * (keys); i++)                                                     \
            child[i] = (type) ~(type)0;                                                                                \
        uint64_t below = (keys); /* keys from one child's first key to the next child's */                             \
        const type *lowest = child;                                                                                    \
        for (unsigned level = shape->level_count - 1; level > 0; level--, below *= (keys) + 1) {                       \
            type *node = child - (uint64_t)shape->node_count[level - 1] * (keys);                                      \
            for (uint64_t n = 0; n < shape->node_count[level - 1]; n++)                                                \
                for (uint64_t k = 0; k < (keys); k++) {                                                                \
                    const uint64_t first = (n * ((keys) + 1) + k + 1) * below;                                         \
                    node[n * (keys) + k] = first < count ? lowest[first] : (type) ~(type)0;                            \
                }                                                                                                      \
            child = node;                                                                                              \
        }                                                                                                              \
    }                                                                                                                  \
    /* Is it what key_tree_finish makes of its lowest level? */                                                        \
    static inline bool key_tree_is_good_##suffix(const void *tree, const struct key_tree_shape *shape, uint32_t count) \
    {                                                                                                                  \
        const type *lowest = key_tree_keys_##suffix(tree, shape), *child = lowest;                                     \
        const uint32_t last = shape->node_count[shape->level_count - 1];                                               \
        bool is_good = true;                                                                                           \
        for (uint64_t i = count; i < (uint64_t)last * (keys); i++)                                                     \
            is_good &= lowest[i] == (type) ~(type)0;                                                                   \
        uint64_t below = (keys);                                                                                       \
        for (unsigned level = shape->level_count - 1; level > 0; level--, below *= (keys) + 1) {                       \
            const type *node = child - (uint64_t)shape->node_count[level - 1] * (keys);                                \
            for (uint64_t n = 0; n < shape->node_count[level - 1]; n++)                                                \
                for (uint64_t k = 0; k < (keys); k++) {                                                                \
                    const uint64_t first = (n * ((keys) + 1) + k + 1) * below;                                         \
                    is_good &= node[n * (keys) + k] == (first < count ? lowest[first] : (type) ~(type)0);              \
                }                                                                                                      \
            child = node;                                                                                              \
        }                                                                                                              \
        return is_good;                                                                                                \
    }                                                                                                                  \
    /* The number of the last key at or below `value`; the first key is at or below every value. */                    \
    static inline uint32_t key_tree_find_##suffix(const void *tree, const struct key_tree_shape *shape,                \
                                                  uint32_t count, type value)                                          \
    {                                                                                                                  \
        const type *level = (const type *)tree;                                                                        \
        uint64_t node = 0, at = 0;                                                                                     \
        for (unsigned i = 0; i < shape->level_count; i++) {                                                            \
            const type *key = level + node * (keys);                                                                   \
            unsigned below = 0;                                                                                        \
            for (unsigned k = 0; k < (keys); k++)                                                                      \
                below += key[k] <= value;                                                                              \
            at = node * (keys) + below;                                                                                \
            level += (uint64_t)shape->node_count[i] * (keys);                                                          \
            const uint64_t child = node * ((keys) + 1) + below;                                                        \
            node = i + 1 < shape->level_count && child >= shape->node_count[i + 1] ? shape->node_count[i + 1] - 1      \
                                                                                   : child;                            \
        }                                                                                                              \
        at = at ? at - 1 : 0;                                                                                          \
        return at < count ? (uint32_t)at : count - 1;                                                                  \
    }

KEY_TREE_DEFINE(32, uint32_t, KEY_TREE_KEYS_32)
KEY_TREE_DEFINE(64, uint64_t, KEY_TREE_KEYS_64)

#ifdef __cplusplus
}
#endif
