// SPDX-License-Identifier: Apache-2.0
// SipHash-2-4 (Aumasson, Bernstein 2012) of many short inputs side by side, under one key. Pure.
//
// libsodium hashes one input after the other, each step waiting for the one before; side by side eight take the
// instructions of two and the time of one. Tests hold it equal to libsodium.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SIPHASH_LANES = 32, SIPHASH_WORDS_MAX = 5 };

// `word[i][lane]` is the i-th little-endian word of a lane's input, the last one with the input's length in its top
// octet; `word_count` at most SIPHASH_WORDS_MAX. The first `lane_count` lanes are hashed; what stands in the words and
// in `out` of further ones is overwritten.
void siphash_lanes(uint64_t out[SIPHASH_LANES], uint64_t (*word)[SIPHASH_LANES], unsigned word_count,
                   unsigned lane_count, const uint8_t key[16]);

// The same by one of the ways between which siphash_lanes chooses; false where the processor has not got it. For tests.
enum siphash_way { SIPHASH_ANY, SIPHASH_AVX2, SIPHASH_AVX512, SIPHASH_WAY_COUNT };
bool siphash_lanes_by(enum siphash_way way, uint64_t out[SIPHASH_LANES], uint64_t (*word)[SIPHASH_LANES],
                      unsigned word_count, unsigned lane_count, const uint8_t key[16]);

#ifdef __cplusplus
}
#endif
