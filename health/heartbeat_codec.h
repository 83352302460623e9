// SPDX-License-Identifier: Apache-2.0
// Heartbeat messages between nodes: encrypted, authenticated, protected against replay. Pure but for the random nonce.
//
// On the wire: "SPHB", version, three zero octets, a 24-octet nonce, then XChaCha20-Poly1305 over the payload with the
// eight leading octets as additional data. One key per cluster; a second key is accepted while keys are changed.
// XChaCha's nonces are long enough to be drawn at random for the life of a key.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HEARTBEAT_VERSION = 1,
    HEARTBEAT_KEY_LEN = 32,
    HEARTBEAT_MAX_LEN = 1400, // inside every MTU that carries IPv6, with headers
    HEARTBEAT_NAME_CAP = 64,
    HEARTBEAT_SITE_MAX = 16 // verdicts carried
};

struct heartbeat_site {
    char name[HEARTBEAT_NAME_CAP];
    uint8_t state; // enum verdict_state
};

struct heartbeat_message {
    char node[HEARTBEAT_NAME_CAP]; // the sender
    uint64_t incarnation;          // wall clock of its start, microseconds: grows with each restart
    uint64_t sequence;             // grows with each message of an incarnation
    uint64_t wall_us;              // the sender's wall clock
    int32_t load_permille;         // of the sender's site; -1: not known
    uint32_t response_us;          // 0: not known
    int64_t lag_ms;                // replication lag; -1: not known
    uint32_t table_age_ms;         // age of the table its workers answer from
    uint8_t site_count;
    struct heartbeat_site site[HEARTBEAT_SITE_MAX]; // what it thinks of the sites
};

enum heartbeat_verdict {
    HEARTBEAT_GOOD,
    HEARTBEAT_MALFORMED,
    HEARTBEAT_WRONG_KEY,
    HEARTBEAT_UNKNOWN_NODE,
    HEARTBEAT_REPLAYED,   // sequence seen before, or an older incarnation
    HEARTBEAT_WRONG_TIME, // its clock differs more than tolerated
    HEARTBEAT_VERDICT_COUNT
};

// Length of the datagram, or negative -EMSGSIZE. sodium_init() must have been called.
int heartbeat_encode(uint8_t out[HEARTBEAT_MAX_LEN], const struct heartbeat_message *message,
                     const uint8_t key[HEARTBEAT_KEY_LEN]);

// Opens a datagram with one of `key_count` keys. Never reads past `len`; the message is filled only when GOOD.
enum heartbeat_verdict heartbeat_decode(struct heartbeat_message *message, const uint8_t *data, size_t len,
                                        const uint8_t (*key)[HEARTBEAT_KEY_LEN], unsigned key_count);

// What was received from one node. Zeroed: nothing yet.
struct heartbeat_window {
    uint64_t incarnation, highest;
    uint64_t seen; // bit n: highest - n was received
};

// Accepts each sequence number of an incarnation once, in any order within 64, and no older incarnation.
bool heartbeat_window_accept(struct heartbeat_window *w, uint64_t incarnation, uint64_t sequence);

const char *heartbeat_verdict_name(enum heartbeat_verdict verdict);

#ifdef __cplusplus
}
#endif
