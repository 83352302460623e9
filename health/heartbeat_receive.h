// SPDX-License-Identifier: Apache-2.0
// From a datagram to evidence, or to the reason why not. Pure: the clocks are passed in. One thread at a time.
#pragma once

#include "health/heartbeat_codec.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HEARTBEAT_PEER_MAX = 64, HEARTBEAT_NO_SITE = UINT16_MAX };

// Another node, and which site's evidence its messages are: HEARTBEAT_NO_SITE for a witness.
struct heartbeat_sender {
    char name[HEARTBEAT_NAME_CAP];
    uint16_t site, node;
};

struct heartbeat_receiver {
    uint8_t key[2][HEARTBEAT_KEY_LEN];
    unsigned key_count;
    uint64_t clock_tolerance_ns; // 0: any time is accepted
    struct heartbeat_sender sender[HEARTBEAT_PEER_MAX];
    struct heartbeat_window window[HEARTBEAT_PEER_MAX];
    unsigned sender_count;
};

struct heartbeat_received {
    struct evidence_event event; // HEARTBEAT; its site is HEARTBEAT_NO_SITE for a witness
    struct heartbeat_message message;
    unsigned sender; // number in the receiver's list
};

// Decrypts, knows the sender, checks time and replay. *received is filled only when GOOD. `at_ns` is the monotonic time
// of the arrival, `wall_us` the wall clock.
enum heartbeat_verdict heartbeat_receive(struct heartbeat_receiver *receiver, const uint8_t *data, size_t len,
                                         uint64_t at_ns, uint64_t wall_us, struct heartbeat_received *received);

// What a node may say about a site to others: what it knows by itself. What it only heard from them it keeps to itself,
// or two nodes would go on believing each other. Of its own site it also says what its operator said (down by hand is
// said as drain: it is a wish, not evidence).
enum verdict_state heartbeat_word(const struct verdict_site *verdict, bool is_own_site);

// What a message says about one site, as evidence. `voice`: who speaks, in the engine's numbers.
struct evidence_event heartbeat_word_event(uint64_t at_ns, unsigned site, unsigned voice, enum verdict_state said);

#ifdef __cplusplus
}
#endif
