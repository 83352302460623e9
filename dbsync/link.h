// SPDX-License-Identifier: Apache-2.0
// One link to a peer as a state machine without sockets, clock, database or files: octets in, octets and orders out.
// The daemon drives it over TLS, the tests over memory with cuts at any octet.
//
// The driver tells the link what happened (connected, octets arrived, a batch was read, spooled, applied, time passed)
// and then takes orders from `link_next` until there are none. Each order is given once; those marked "answer" are
// answered later by the function named, when the work is done, and at most one of each kind is open. An order's
// pointers hold until the next call on the link. What is answered after link_disconnected must not be told to the link:
// the driver connects again only when no order is open.
//
//   sending                                           receiving
//     IDLE --(news)--> READING --(batch ready)-->       IDLE --BATCH--> FILLING --DATA*, END--> FINISHING
//     SENDING --BATCH, DATA*, END--> WAITING            FINISHING --(digest right)--> WHOLE --(applied)--> ACK, IDLE
//     WAITING --ACK >= number--> IDLE                   WHOLE --(held, busy, drift)--> WHOLE, tried again
//   While the peer applies a batch behind which more waits, the next one is read already (`ahead`).
//   A cut link: both sides go back to the start; what the receiver has spooled of a batch is offered in its HELLO, and
//   the sender goes on at that offset when its own octets up to there have the same digest, else from 0.
//
// Frames out of their place (a gap in DATA, an END without BATCH, a second HELLO) close the link like malformed ones:
// the transport keeps order, so such a peer is broken, and a new connection starts from what is durable.
//
// One thread. Memory: two megabytes of undecoded and unspooled octets at most, then `link_is_full`.
#pragma once

#include "dbsync/door.h"
#include "dbsync/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    LINK_PING_US = 1000 * 1000,      // liveness and skew
    LINK_DEAD_US = 10 * 1000 * 1000, // nothing heard: the connection is closed
    LINK_RETRY_US = 500 * 1000,      // a batch that could not be applied is tried again
    LINK_CREDIT_BYTES = 64 << 20,    // default of octets in flight
    LINK_PENDING_MAX = 1 << 20       // octets received but not spooled, beyond which no frame is decoded
};

struct link_time {
    int64_t mono_us; // for liveness; never steps
    int64_t wall_us; // for skew
};

enum link_wish {
    LINK_NOTHING,
    LINK_SEND,       // octets for the transport; the same ones until link_sent
    LINK_READ_BATCH, // read_batch(after = number); digest of its first `offset` octets if it is batch `resume`. Answer:
                     // link_batch_ready
    LINK_SPOOL,      // append to inbound batch `number` at `offset`. Answer: link_spooled
    LINK_RESET_SPOOL, // throw away the inbound spool of batch `number`
    LINK_FINISH,      // inbound batch `number` is complete: sync it. Answer: link_finished
    LINK_APPLY,       // apply inbound batch `number`. Answer: link_applied
    LINK_ACKED,       // the peer has applied cut `number` durably: tell the door
    LINK_MEET,        // HELLO came (`frame`): peer_meet, compare schemas. Answer: link_met
    LINK_REQUESTED,   // the peer asks for rows, a table, digests: `frame.request`
    LINK_SHOW,        // SCHEMA, HOLD, VERIFIED or ERROR of the peer (`frame`): for log and status
    LINK_CLOSE        // close the connection; `text` says why. Everything is sent already
};

struct link_counters { // monotonic
    uint64_t batches_sent, batches_received, rows_sent, rows_received, bytes_plain_sent, bytes_wire_sent;
    uint64_t bytes_plain_received, bytes_wire_received, resumed_bytes, malformed, connects, holds, stalls;
};

struct link;

struct link_config {
    uint16_t site, peer;
    uint8_t uuid[16];
    uint64_t incarnation;
    uint64_t credit_bytes;
    int compression_level; // of zstd; 0: none
};

struct link_start { // what our HELLO says
    uint64_t applied;
    uint64_t spool_number, spool_offset; // partly received batch; 0: none
    uint8_t spool_digest[FRAME_DIGEST_LEN];
    const struct schema *schema;
    int64_t clock;
    uint64_t room_bytes; // of the inbound spool
};

enum link_sending { LINK_OUT_IDLE, LINK_OUT_READING, LINK_OUT_SENDING, LINK_OUT_WAITING };
enum link_receiving { LINK_IN_IDLE, LINK_IN_FILLING, LINK_IN_SKIPPING, LINK_IN_FINISHING, LINK_IN_WHOLE };

struct link_status {
    bool is_connected, is_met, may_send, may_apply;
    enum link_sending sending;
    enum link_receiving receiving;
    uint64_t out_number, out_at, out_bytes, out_rows; // the batch under way
    uint64_t in_number, in_at, in_bytes, in_rows;
    uint64_t acked;   // cut of ours the peer has applied
    uint64_t applied; // cut of theirs that we applied
    bool waits_for_credit;
    int64_t skew_us, round_trip_us; // peer's clock minus ours, at half the round trip; 0 until known
    int64_t peer_behind_us;         // what the peer said it still has for us, when it was last heard
    int64_t heard_us;               // mono time of that; 0: never
    int64_t peer_clock, peer_wall_us;
    uint64_t peer_incarnation;
};

struct link *link_new(const struct link_config *config);
void link_free(struct link *link);

// ---- what happened ----
void link_connected(struct link *link, struct link_time now, const struct link_start *start);
// Before link_disconnected: octets that have arrived and are not in the spool yet, as a LINK_SPOOL order that needs no
// answer. False: there are none.
struct link_order;
bool link_drain(struct link *link, struct link_order *order);
void link_disconnected(struct link *link);
void link_received(struct link *link, const void *bytes, size_t len, struct link_time now);
bool link_is_full(const struct link *link); // stop reading from the transport until this is false again
void link_sent(struct link *link, size_t len);
void link_tick(struct link *link, struct link_time now); // every 100 ms or so
// 0: go on. Else the link is closed with this error.
void link_met(struct link *link, int result, const char *text);
// What the peer's state allows (paused, drift): neither stops the connection.
void link_allow(struct link *link, bool may_send, bool may_apply);
// batch.number 0: nothing to send. `bytes` stay until LINK_ACKED of this number, or until a later order to read
// `after` a smaller number. A negative result: reading failed; it is asked for again later. After the acknowledgement
// of a batch that was new and not `more`, the next one is read when link_news says so.
void link_batch_ready(struct link *link, int result, const struct door_batch *batch, const uint8_t *bytes,
                      const uint8_t digest[FRAME_DIGEST_LEN], const uint8_t resume_digest[FRAME_DIGEST_LEN]);
void link_spooled(struct link *link, int result, uint64_t room_bytes);
void link_finished(struct link *link, int result, const uint8_t digest[FRAME_DIGEST_LEN]);
// status 0: the verdict counts. Negative: why it was not applied; -EBADMSG ends the connection, others are retried.
void link_applied(struct link *link, int status, const struct apply_result *result, const char *text,
                  uint64_t room_bytes);
void link_request(struct link *link, const struct frame_request *request);
// Tells the peer what comparing its digests has found, all in all.
void link_verified(struct link *link, uint64_t ranges, uint64_t differ, uint64_t busy);
// Sends a table's definition to be shown beside the peer's.
void link_show_schema(struct link *link, const struct table *table);
void link_news(struct link *link); // the door may have something to send
// Age of our oldest change that the peer has not applied; travels with PING and PONG.
void link_behind(struct link *link, int64_t behind_us);

// ---- what to do ----
struct link_order {
    enum link_wish wish;
    const uint8_t *bytes; // SEND, SPOOL
    size_t len;
    uint64_t number, offset, resume;
    uint64_t room; // READ_BATCH: octets that the peer had room for when it connected
    const struct frame *frame;
    const char *text; // CLOSE
};

void link_next(struct link *link, struct link_order *order);

void link_get_status(const struct link *link, struct link_status *status);
const struct link_counters *link_counted(const struct link *link);

#ifdef __cplusplus
}
#endif
