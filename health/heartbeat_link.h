// SPDX-License-Identifier: Apache-2.0
// Sends this node's heartbeats and receives the others', on a thread and a clock of its own: nothing that the control
// process does may delay a heartbeat.
//
// heartbeat_link_start makes the thread; all other functions are for the one thread that started it. Received messages
// wait in a bounded queue; heartbeat_link_fd becomes readable when there are any. A full queue drops and counts.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "health/heartbeat_receive.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HEARTBEAT_QUEUE_CAP = 1024 };

struct heartbeat_peer {
    char name[HEARTBEAT_NAME_CAP];
    struct sockaddr_storage address; // where our messages go
    socklen_t address_len;
    uint16_t site, node; // indices for the events; HEARTBEAT_NO_SITE for a witness
};

struct heartbeat_link_config {
    char node[HEARTBEAT_NAME_CAP]; // our name
    struct sockaddr_storage listen;
    socklen_t listen_len;
    uint8_t key[2][HEARTBEAT_KEY_LEN]; // [0] sends and receives, [1] only receives
    unsigned key_count;
    uint64_t incarnation; // greater than any that this node had before
    uint64_t interval_ns;
    uint64_t clock_tolerance_ns;
    struct heartbeat_peer peer[HEARTBEAT_PEER_MAX];
    unsigned peer_count;
    // Called on the link's thread before each sending: false withholds the message, because this node's workers make no
    // progress. Must not block. Null: always send.
    bool (*may_send)(void *user);
    void *user;
};

struct heartbeat_link_stats {
    uint64_t sent, send_errors, withheld, received[HEARTBEAT_VERDICT_COUNT], queue_full,
        latest_ns; // latest_ns: worst lateness of a sending
};

struct heartbeat_link;

// Opens the socket and starts the thread. Null with errno set when the address cannot be bound or memory is short.
struct heartbeat_link *heartbeat_link_start(const struct heartbeat_link_config *config);

// Ends the thread and frees everything; null is legal.
void heartbeat_link_stop(struct heartbeat_link *link);

int heartbeat_link_fd(const struct heartbeat_link *link);

// Next received message; false when there is none.
bool heartbeat_link_next(struct heartbeat_link *link, struct heartbeat_received *received);

// What the next messages say; node, incarnation, sequence and time are filled in by the link.
void heartbeat_link_set_message(struct heartbeat_link *link, const struct heartbeat_message *message);

void heartbeat_link_stats(struct heartbeat_link *link, struct heartbeat_link_stats *stats);

#ifdef __cplusplus
}
#endif
