// SPDX-License-Identifier: Apache-2.0
// One link to a peer as a state machine without sockets, clock, database or files: frames in, frames and wishes out.
// The daemon drives it over TLS, the tests over memory with cuts at any octet.
//
// The driver tells the link what happened (connected, octets arrived, a batch was read, spooled, applied, time passed)
// and then does what `link_next` asks for, until it asks for nothing. At most one batch is in flight each way.
//
//   sending                                          receiving
//     IDLE --(driver: batch ready)--> ANNOUNCED        IDLE --BATCH--> FILLING --END, digest right--> WHOLE
//     ANNOUNCED --> DATA* --> END --> WAITING          WHOLE --(driver: applied)--> ACK, IDLE
//     WAITING --ACK >= number--> IDLE                  WHOLE --(driver: held)--> HOLD; tried again by the driver
//   a cut link: both sides go back to the start; what the receiver has spooled of a batch is offered in its HELLO, and
//   the sender goes on at that offset when its own octets up to there have the same digest, else from 0.
//
// One thread. Memory: two frames and the tables of the HELLO.
#pragma once

#include "dbsync/door.h"
#include "dbsync/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    LINK_PING_US = 1000 * 1000,      // liveness and skew
    LINK_DEAD_US = 10 * 1000 * 1000, // nothing heard: the connection is closed
    LINK_CREDIT_BYTES = 64 << 20     // default of octets in flight
};

enum link_wish {
    LINK_NOTHING,
    LINK_SEND,        // octets are in `out`
    LINK_READ_BATCH,  // read_batch(after = acked_number), then link_batch_ready
    LINK_READ_SPOOL,  // octets of the outbound batch from `offset`: link_batch_octets
    LINK_SPOOL,       // append `data` to the inbound spool at `offset`, then link_spooled
    LINK_RESET_SPOOL, // throw away the inbound spool of batch `number`
    LINK_APPLY,       // the inbound spool holds batch `number`, digest checked: apply, then link_applied
    LINK_ACKED,       // tell the door: acked(number)
    LINK_MEET,        // HELLO came: peer_meet, compare schemas, then link_met
    LINK_REQUESTED,   // the peer asks for rows, a table, digests: `frame.request`
    LINK_SHOW,        // SCHEMA or ERROR of the peer: log and status
    LINK_CLOSE        // the connection must be closed: `problem`
};

struct link_counters { // monotonic
    uint64_t batches_sent, batches_received, rows_sent, rows_received, bytes_plain_sent, bytes_wire_sent;
    uint64_t bytes_plain_received, bytes_wire_received, resumed_bytes, malformed, reconnects, holds;
};

struct link;

struct link_config {
    uint16_t site, peer;
    uint8_t uuid[16];
    uint64_t incarnation;
    uint64_t credit_bytes;
    int compression_level; // of zstd; 0: none
};

struct link *link_new(const struct link_config *config);
void link_free(struct link *link);

// ---- what happened ----
void link_connected(struct link *link, int64_t now_us, uint64_t applied, uint64_t spool_number, uint64_t spool_offset,
                    const uint8_t spool_digest[FRAME_DIGEST_LEN], const struct schema *schema, int64_t clock);
void link_disconnected(struct link *link);
int link_received(struct link *link, const void *bytes, size_t len, int64_t now_us);
void link_sent(struct link *link, size_t len); // octets of `out` that the transport took
void link_tick(struct link *link, int64_t now_us);
void link_met(struct link *link, int result);
void link_batch_ready(struct link *link, const struct door_batch *batch, const uint8_t digest[FRAME_DIGEST_LEN]);
void link_batch_octets(struct link *link, const void *bytes, size_t len);
void link_spooled(struct link *link);
void link_applied(struct link *link, const struct apply_result *result);
void link_request(struct link *link, const struct frame_request *request);
void link_news(struct link *link); // the door may have something to send: ask for LINK_READ_BATCH when idle

// ---- what to do ----
struct link_order {
    enum link_wish wish;
    const uint8_t *bytes; // SEND, SPOOL
    size_t len;
    uint64_t number, offset;
    const struct frame *frame;
    const char *text; // CLOSE, SHOW
};

// The next thing to do; the same one until it was answered. SEND may be mixed with others.
void link_next(struct link *link, struct link_order *order);

int64_t link_skew_us(const struct link *link); // peer's clock minus ours, estimated at half the round trip
const struct link_counters *link_counted(const struct link *link);

#ifdef __cplusplus
}
#endif
