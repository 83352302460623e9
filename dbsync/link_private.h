// SPDX-License-Identifier: Apache-2.0
// The state of a link: for link.c, which changes it, and link_status.c, which reads it.
#pragma once

#include "dbsync/link.h"

#include <zstd.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    OUT_LOW_BYTES = 128 << 10, // below so many octets waiting for the transport another DATA is made
    ORDER_CAP = 8,
    WHY_CAP = 512
};

struct outbound {
    enum link_sending state;
    struct door_batch batch;
    const uint8_t *bytes;
    uint8_t digest[FRAME_DIGEST_LEN];
    uint64_t at;                // next octet to send
    uint64_t acked;             // cut
    uint64_t credit, used;      // octets since HELLO: allowed, sent
    uint64_t room;              // credit at HELLO
    uint64_t resume, resume_at; // the peer's offer
    uint8_t resume_digest[FRAME_DIGEST_LEN];
    bool is_reading; // READ_BATCH is open
    bool has_ahead;  // `ahead` was read while the peer applies `batch`
    struct door_batch ahead;
    const uint8_t *ahead_bytes;
    uint8_t ahead_digest[FRAME_DIGEST_LEN];
    bool news, is_stalled;
    int64_t retry_us;
};

struct inbound {
    enum link_receiving state;
    uint64_t number, at, bytes, rows; // `at`: octets received
    uint64_t applied;
    uint64_t spool_number, spool_offset; // what HELLO offered
    struct buffer data, spooling;        // received; handed out with LINK_SPOOL
    bool is_spooling, is_finishing, is_applying, has_end;
    uint64_t spooled, granted, room; // octets since HELLO; room of the spool
    uint8_t digest[FRAME_DIGEST_LEN];
    int64_t retry_us;   // mono time of the next attempt to apply; 0: at once
    char told[WHY_CAP]; // the last reason the peer was told
};

struct link {
    struct link_config config;
    struct link_counters count;
    bool is_connected, is_greeted, is_meeting, is_met, is_closing, close_given, may_send, may_apply;
    struct link_time now;
    int64_t heard_us, pinged_us, behind_us;
    struct buffer raw; // undecoded
    size_t raw_at;
    struct buffer out;
    size_t out_at;
    struct frame frame;
    char why[WHY_CAP];
    struct link_order order[ORDER_CAP];
    unsigned order_at, order_count;
    struct outbound send;
    struct inbound recv;
    int64_t skew_us, round_trip_us, peer_behind_us, peer_clock, peer_wall_us;
    uint64_t peer_incarnation;
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
    uint8_t piece[FRAME_DATA_MAX + (FRAME_DATA_MAX >> 8) + 64];
};

#ifdef __cplusplus
}
#endif
