// SPDX-License-Identifier: Apache-2.0
// What the short way knows of EDNS options that it has seen before; see fast_stages.h.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    FAST_SHAPE_WAYS = 8,  // a power of two
    FAST_SHAPE_MAX = 64,  // kept at once
    FAST_SHAPE_BLOCKS = 7 // of 16 octets: longer OPT records are left to the plain way
};

// OPT records of one shape, the same options with the same lengths in the same order: a record with holes, and the
// answer's with the same holes. Resolvers send few shapes, so that a query's options are compared with those that a
// query before had, in place of being taken apart.
struct fast_shape {
    uint8_t mask[16 * FAST_SHAPE_BLOCKS]; // of the query's record; open: size, DO, the subnet's address, cookies, data
                                          // of options that mean nothing
    uint8_t expected[16 * FAST_SHAPE_BLOCKS]; // of what is not open
    uint8_t subnet_keep[16];                  // of 16 octets from the subnet's address on, those that belong to it
    uint64_t marks;                           // of the queries
    // The answer's record as edns_response_write writes it, in memory order: what follows its first 8 octets up to the
    // options, with a zero behind, and the head of the subnet's option with a scope of zero.
    uint32_t reply_data_len;
    uint64_t reply_subnet;
    // What the answer's record adds to a sum less what the query's did, of what is the same in all; the query's four
    // octets with the size are not counted yet. Positive by multiples of 65,535.
    uint32_t growth_sum;
    uint32_t growth;                          // octets that the answer's record has more than the query's, modulo 2^32
    uint32_t len_sum;                         // what they add to a sum as part of the lengths
    uint32_t scope_weight;                    // of the scope in a sum: 256 at an odd offset, else 1
    uint64_t cookie_weight;                   // likewise of the server cookie
    bool has_other;                           // octets are open that are not answered
    bool is_subnet_ipv6;                      //
    uint8_t query_len, reply_len;             // of the records
    uint8_t subnet_at;                        // of the address in the query's record, 0: no subnet to answer
    uint8_t subnet_bits;                      // its source length
    uint8_t cookie_at, cookie_len;            // of the cookie's data in the query's record; 0: no cookie to answer
    uint8_t reply_subnet_at, reply_cookie_at; // likewise
} __attribute__((aligned(64)));

// Those of one thread, from burst to burst. Within a burst shapes are added only, since queries point to them; between
// two all are forgotten when there might be too many, or when the settings answer options in another way.
struct fast_shapes {
    uint64_t opt; // what they hold for: the answer's record without options, and which options are answered
    bool answers_subnets, answers_cookies;
    unsigned count;
    const struct fast_shape *last_of[FAST_SHAPE_WAYS]; // by fast_shape_way; where there is none, one of no record
    struct fast_shape shape[FAST_SHAPE_MAX];
};

// Of a record: the length of its options modulo the ways.
static inline unsigned fast_shape_way(const uint8_t *opt)
{
    return opt[10] % FAST_SHAPE_WAYS;
}

// Before the first burst.
static inline void fast_shapes_init(struct fast_shapes *shapes)
{
    shapes->count = FAST_SHAPE_MAX; // as if there were too many
}

#ifdef __cplusplus
}
#endif
