// SPDX-License-Identifier: Apache-2.0
// Frames of the link between two sites: length, type, body. Pure codec; the transport is TLS 1.3 over TCP (tls.h).
//
// A frame is: body length (4 octets, little-endian, at most FRAME_BODY_MAX), type (1), body (bytes.h coding). Each
// direction of a connection is a stream of its own: it carries the sender's batches, and the sender's answers to the
// other stream.
//
//   HELLO   first frame in each direction; nothing else is handled before it
//   BATCH   announces batch `number`: what follows in DATA until END
//   DATA    octets of the announced batch from `offset` on, zstd-compressed piece by piece; as they are (the two
//   lengths
//           are equal) where compression gains nothing
//   END     digest of the whole batch
//   ACK     highest batch that is durably applied, and room for more octets (credit, counted before compression)
//   HOLD    the batch is kept but cannot be applied yet (clock): for status, no answer needed
//   PING, PONG  liveness and skew
//   REQUEST     rows, tables, digests that the other shall send in its stream (door.h)
//   SCHEMA      a table's definition, sent when a batch met drift, so that both definitions can be shown
//   ERROR       code, table, text, whether it makes sense to try again; the sender closes after a fatal one
//
// A malformed frame closes the link (counted); it never costs more memory than FRAME_BODY_MAX.
#pragma once

#include "dbsync/problem.h"
#include "dbsync/schema.h"
#include "dbsync/window.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    FRAME_PROTOCOL = 1,
    FRAME_HEAD_LEN = 5,
    FRAME_BODY_MAX = 1 << 20,  // HELLO of 4096 tables stays below; DATA is far smaller
    FRAME_DATA_MAX = 64 << 10, // octets of the batch in one DATA, before compression
    FRAME_DIGEST_LEN = 16,     // XXH3-128 of the batch's bytes
    FRAME_TEXT_MAX = 4096,
    FRAME_DEFINITION_MAX = 256 << 10, // octets of a table's definition; longer ones are cut
    FRAME_REQUEST_MAX = 1000          // rows of one REQUEST
};

enum frame_type {
    FRAME_HELLO = 1,
    FRAME_BATCH,
    FRAME_DATA,
    FRAME_END,
    FRAME_ACK,
    FRAME_HOLD,
    FRAME_PING,
    FRAME_PONG,
    FRAME_REQUEST,
    FRAME_SCHEMA,
    FRAME_ERROR,
    FRAME_VERIFIED,
    FRAME_TYPE_END
};

struct frame_table {
    struct value name; // TEXT
    const uint8_t *fingerprint;
};

struct frame_hello {
    uint16_t protocol, site;
    uint8_t uuid[16];
    uint64_t incarnation;
    int64_t clock, wall_us;
    uint64_t applied;      // cut of the receiver that the sender applied: the stream goes on behind it
    uint64_t spool_number; // a batch of which a part is in the sender's inbound spool; 0: none
    uint64_t spool_offset;
    uint8_t spool_digest[FRAME_DIGEST_LEN]; // of those `spool_offset` octets
    uint64_t credit;                        // octets the receiver may send before the next ACK
    uint32_t table_count;
    struct bytes_reader tables; // name block and fingerprint of each; read with frame_next_table
};

struct frame_batch {
    uint64_t number, previous, rows, bytes, offset; // DATA starts at `offset` (0, or where the spool stands)
};

struct frame_data {
    uint64_t offset;
    uint32_t plain_len; // after decompression, at most FRAME_DATA_MAX
    const uint8_t *bytes;
    uint32_t len;
};

struct frame_end {
    uint64_t number;
    uint8_t digest[FRAME_DIGEST_LEN];
};

struct frame_ack {
    uint64_t applied;
    uint64_t credit; // absolute: octets since HELLO that may have been sent in all
};

struct frame_hold {
    uint64_t number;
    uint8_t verdict; // enum apply_verdict
    int64_t hold_us;
};

struct frame_ping { // and PONG, which returns the PING's time and its own
    int64_t sent_us, answered_us;
    int64_t behind_us; // age of the oldest change of the sender that the receiver has not applied; 0: it has them all
};

enum frame_request_kind { FRAME_REQUEST_ROWS, FRAME_REQUEST_TABLE, FRAME_REQUEST_ALL, FRAME_REQUEST_VERIFY };

struct frame_request {
    uint8_t kind;
    struct value table; // TEXT; empty for ALL and VERIFY
    uint32_t key_count;
    struct key key[FRAME_REQUEST_MAX];
};

struct frame_schema {
    struct value table, definition;
};

struct frame_verified { // what comparing the receiver's digests has found since the sender's daemon started
    uint64_t ranges, differ, busy;
};

struct frame_error {
    uint16_t code; // positive errno
    bool is_fatal, may_retry;
    struct value table, text;
};

struct frame {
    enum frame_type type;
    union {
        struct frame_hello hello;
        struct frame_batch batch;
        struct frame_data data;
        struct frame_end end;
        struct frame_ack ack;
        struct frame_hold hold;
        struct frame_ping ping;
        struct frame_request request;
        struct frame_schema schema;
        struct frame_error error;
        struct frame_verified verified;
    };
};

// Appends one frame. hello.tables is ignored: give the schema (null: no tables).
void frame_encode(struct buffer *out, const struct frame *frame, const struct schema *schema);

// One frame from the start of `data`. The number of octets it took; 0: not all there yet; -EBADMSG: close the link.
// Everything borrowed points into `data`.
long frame_decode(struct frame *frame, const uint8_t *data, size_t len);

// 1: *table was read; 0: the end; -EBADMSG.
int frame_next_table(struct frame_hello *hello, struct frame_table *table);

const char *frame_type_name(enum frame_type type);

#ifdef __cplusplus
}
#endif
