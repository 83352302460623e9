// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <random>
#include <set>
#include <vector>

extern "C" {
#include "table/key_tree.h"
}

namespace
{

struct Free {
    void operator()(void *p) const
    {
        free(p);
    }
};

template <typename Key> struct Functions;
template <> struct Functions<uint32_t> {
    static constexpr unsigned keys = KEY_TREE_KEYS_32;
    static constexpr auto lowest = key_tree_keys_32;
    static constexpr auto finish = key_tree_finish_32;
    static constexpr auto find = key_tree_find_32;
    static constexpr auto is_good = key_tree_is_good_32;
};
template <> struct Functions<uint64_t> {
    static constexpr unsigned keys = KEY_TREE_KEYS_64;
    static constexpr auto lowest = key_tree_keys_64;
    static constexpr auto finish = key_tree_finish_64;
    static constexpr auto find = key_tree_find_64;
    static constexpr auto is_good = key_tree_is_good_64;
};

template <typename Key> struct Tree {
    using F = Functions<Key>;
    key_tree_shape shape;
    std::unique_ptr<void, Free> bytes;
    uint32_t count;
    explicit Tree(const std::vector<Key> &keys)
        : shape(key_tree_shape_of(static_cast<uint32_t>(keys.size()), F::keys)),
          bytes(aligned_alloc(KEY_TREE_NODE_BYTES, shape.bytes)), count(static_cast<uint32_t>(keys.size()))
    {
        std::copy(keys.begin(), keys.end(), const_cast<Key *>(F::lowest(bytes.get(), &shape)));
        F::finish(bytes.get(), &shape, count);
    }
    uint32_t find(Key value) const
    {
        return F::find(bytes.get(), &shape, count, value);
    }
};

template <typename Key> void compare_with_a_sorted_list(uint64_t seed)
{
    std::mt19937_64 random(seed);
    for (size_t count : {1, 2, 7, 8, 9, 16, 17, 71, 72, 73, 80, 271, 272, 273, 1000, 4623, 4624, 4625, 70000}) {
        std::set<Key> distinct{0};
        const uint64_t limit = random() % 2 ? UINT64_MAX : 2 * count; // far apart, or near each other
        while (distinct.size() < count)
            distinct.insert(random() % 50 == 0 ? static_cast<Key>(~Key{0}) : static_cast<Key>(random() % limit));
        const std::vector<Key> keys(distinct.begin(), distinct.end());
        const Tree<Key> tree(keys);
        EXPECT_TRUE(Tree<Key>::F::is_good(tree.bytes.get(), &tree.shape, tree.count)) << count;
        std::vector<Key> values{0, 1, static_cast<Key>(~Key{0}), static_cast<Key>(~Key{0} - 1)};
        for (int i = 0; i < 3000; i++) {
            const Key near = keys[random() % keys.size()];
            values.push_back(static_cast<Key>(near + random() % 3 - 1));
            values.push_back(static_cast<Key>(random()));
        }
        for (Key value : values) {
            const auto wanted = std::upper_bound(keys.begin(), keys.end(), value) - keys.begin() - 1;
            ASSERT_EQ(tree.find(value), static_cast<uint32_t>(wanted)) << count << " keys, value " << value;
        }
    }
}

TEST(KeyTree, finds_what_a_search_in_a_sorted_list_finds)
{
    compare_with_a_sorted_list<uint32_t>(1);
    compare_with_a_sorted_list<uint64_t>(2);
}

TEST(KeyTree, a_search_in_damaged_octets_stays_inside_and_the_damage_is_seen)
{
    std::mt19937_64 random(3);
    std::vector<uint64_t> keys(5000);
    for (size_t i = 0; i < keys.size(); i++)
        keys[i] = i * 1000;
    for (int round = 0; round < 300; round++) {
        Tree<uint64_t> tree(keys);
        auto *words = static_cast<uint64_t *>(tree.bytes.get());
        const uint64_t last = tree.shape.node_count[tree.shape.level_count - 1];
        const size_t above = tree.shape.bytes / 8 - last * KEY_TREE_KEYS_64;
        words[random() % above] ^= uint64_t{1} << random() % 64;
        EXPECT_FALSE(key_tree_is_good_64(words, &tree.shape, tree.count));
        for (int i = 0; i < 1000; i++)
            ASSERT_LT(tree.find(random()), tree.count);
    }
}

TEST(KeyTree, the_largest_count_has_a_shape)
{
    for (unsigned keys : {16u, 8u}) {
        const key_tree_shape shape = key_tree_shape_of(UINT32_MAX - 16, keys);
        EXPECT_EQ(shape.node_count[0], 1u);
        EXPECT_LE(shape.level_count, static_cast<unsigned>(KEY_TREE_LEVEL_MAX));
    }
}

} // namespace
