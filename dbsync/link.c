// SPDX-License-Identifier: Apache-2.0
#include "dbsync/link_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct link *link_new(const struct link_config *config)
{
    struct link *l = memory_take(sizeof *l);
    l->config = *config;
    l->may_send = l->may_apply = true;
    l->compress = ZSTD_createCCtx();
    l->decompress = ZSTD_createDCtx();
    if (!l->compress || !l->decompress)
        abort(); // out of memory at start
    return l;
}

void link_free(struct link *l)
{
    if (!l)
        return;
    buffer_fini(&l->raw);
    buffer_fini(&l->out);
    buffer_fini(&l->recv.data);
    buffer_fini(&l->recv.spooling);
    ZSTD_freeCCtx(l->compress);
    ZSTD_freeDCtx(l->decompress);
    free(l);
}

// ---- small tools ----

static void push(struct link *l, struct link_order order)
{
    if (l->order_count == ORDER_CAP)
        abort(); // fewer kinds exist, each is open at most once, and frames are decoded only when none waits
    l->order[(l->order_at + l->order_count++) % ORDER_CAP] = order;
}

static void send_frame(struct link *l, const struct frame *frame)
{
    if (l->is_connected && !l->is_closing)
        frame_encode(&l->out, frame, NULL);
}

static struct value text_value(const char *text)
{
    return value_bytes(VALUE_TEXT, text, strlen(text));
}

static void send_error(struct link *l, int code, bool is_fatal, bool may_retry, const char *text)
{
    struct frame f = {.type = FRAME_ERROR,
                      .error = {(uint16_t)code, is_fatal, may_retry, text_value(""), text_value(text)}};
    send_frame(l, &f);
}

// Ends the connection once everything is sent. The first reason stays.
static void fail(struct link *l, int code, bool may_retry, const char *text)
{
    if (l->is_closing)
        return;
    snprintf(l->why, sizeof l->why, "%s", text);
    send_error(l, code, true, may_retry, text);
    l->is_closing = true;
}

static void malformed(struct link *l, const char *text)
{
    l->count.malformed++;
    fail(l, EBADMSG, true, text);
}

static void send_ack(struct link *l)
{
    uint64_t window = l->recv.room < l->config.credit_bytes ? l->recv.room : l->config.credit_bytes;
    uint64_t credit = l->recv.spooled + window;
    if (credit > l->recv.granted)
        l->recv.granted = credit; // what was granted is never taken back
    struct frame f = {.type = FRAME_ACK, .ack = {l->recv.applied, l->recv.granted}};
    send_frame(l, &f);
}

// ---- life of a connection ----

void link_connected(struct link *l, struct link_time now, const struct link_start *start)
{
    link_disconnected(l);
    l->is_connected = true;
    l->now = now;
    l->heard_us = l->pinged_us = now.mono_us;
    l->count.connects++;
    l->recv.applied = start->applied;
    l->recv.room = start->room_bytes;
    l->recv.spool_number = start->spool_number;
    l->recv.spool_offset = start->spool_offset;
    l->recv.granted = start->room_bytes < l->config.credit_bytes ? start->room_bytes : l->config.credit_bytes;
    struct frame f = {.type = FRAME_HELLO,
                      .hello = {.protocol = FRAME_PROTOCOL,
                                .site = l->config.site,
                                .incarnation = l->config.incarnation,
                                .clock = start->clock,
                                .wall_us = now.wall_us,
                                .applied = start->applied,
                                .spool_number = start->spool_number,
                                .spool_offset = start->spool_offset,
                                .credit = l->recv.granted}};
    memcpy(f.hello.uuid, l->config.uuid, sizeof f.hello.uuid);
    memcpy(f.hello.spool_digest, start->spool_digest, FRAME_DIGEST_LEN);
    frame_encode(&l->out, &f, start->schema);
}

bool link_drain(struct link *l, struct link_order *order)
{
    struct inbound *r = &l->recv;
    if (r->state != LINK_IN_FILLING || r->data.len == 0)
        return false;
    *order = (struct link_order){.wish = LINK_SPOOL,
                                 .bytes = r->data.data,
                                 .len = r->data.len,
                                 .number = r->number,
                                 .offset = r->at - r->data.len};
    return true;
}

void link_disconnected(struct link *l)
{
    l->is_connected = l->is_greeted = l->is_meeting = l->is_met = l->is_closing = l->close_given = false;
    buffer_reset(&l->raw);
    buffer_reset(&l->out);
    l->raw_at = l->out_at = 0;
    l->order_count = 0;
    uint64_t acked = l->send.acked;
    memset(&l->send, 0, sizeof l->send);
    l->send.acked = acked;
    l->send.news = true; // something may have been cut and not sent
    struct buffer data = l->recv.data, spooling = l->recv.spooling;
    uint64_t applied = l->recv.applied;
    memset(&l->recv, 0, sizeof l->recv);
    l->recv.data = data;
    l->recv.spooling = spooling;
    l->recv.applied = applied;
    buffer_reset(&l->recv.data);
    buffer_reset(&l->recv.spooling);
    l->round_trip_us = 0;
}

void link_received(struct link *l, const void *bytes, size_t len, struct link_time now)
{
    l->now = now;
    l->heard_us = now.mono_us;
    l->count.bytes_wire_received += len;
    if (l->raw_at == l->raw.len) {
        buffer_reset(&l->raw);
        l->raw_at = 0;
    } else if (l->raw_at > FRAME_BODY_MAX) {
        memmove(l->raw.data, l->raw.data + l->raw_at, l->raw.len - l->raw_at);
        l->raw.len -= l->raw_at;
        l->raw_at = 0;
    }
    if (!l->is_closing)
        buffer_put(&l->raw, bytes, len);
}

static bool is_blocked(const struct link *l)
{
    return l->is_meeting || l->recv.data.len >= LINK_PENDING_MAX || l->recv.is_finishing;
}

bool link_is_full(const struct link *l)
{
    return is_blocked(l) && l->raw.len - l->raw_at >= FRAME_DATA_MAX;
}

void link_sent(struct link *l, size_t len)
{
    l->out_at += len;
    l->count.bytes_wire_sent += len;
    if (l->out_at >= l->out.len) {
        buffer_reset(&l->out);
        l->out_at = 0;
    }
}

void link_tick(struct link *l, struct link_time now)
{
    l->now = now;
    if (!l->is_connected)
        return;
    if (now.mono_us - l->heard_us > LINK_DEAD_US) {
        fail(l, ETIMEDOUT, true, "nothing was heard from the peer for 10 s");
        buffer_reset(&l->out); // it does not read either
        l->out_at = 0;
    }
    if (l->is_met && now.mono_us - l->pinged_us >= LINK_PING_US) {
        struct frame f = {.type = FRAME_PING, .ping = {now.wall_us, 0, l->behind_us}};
        l->pinged_us = now.mono_us;
        send_frame(l, &f);
    }
}

void link_met(struct link *l, int result, const char *text)
{
    l->is_meeting = false;
    if (result < 0) {
        fail(l, -result, false, text);
        return;
    }
    l->is_met = true;
    struct frame f = {.type = FRAME_PING, .ping = {l->now.wall_us, 0, l->behind_us}};
    send_frame(l, &f);
    push(l, (struct link_order){.wish = LINK_ACKED, .number = l->send.acked});
}

void link_allow(struct link *l, bool may_send, bool may_apply)
{
    l->may_send = may_send;
    l->may_apply = may_apply;
}

void link_news(struct link *l)
{
    l->send.news = true;
}

void link_behind(struct link *l, int64_t behind_us)
{
    if ((behind_us > 0) != (l->behind_us > 0))
        l->pinged_us = 0; // told at the next tick
    l->behind_us = behind_us < 0 ? 0 : behind_us;
}

void link_request(struct link *l, const struct frame_request *request)
{
    struct frame f = {.type = FRAME_REQUEST};
    f.request = *request;
    if (l->is_met)
        send_frame(l, &f);
}

void link_verified(struct link *l, uint64_t ranges, uint64_t differ, uint64_t busy)
{
    struct frame f = {.type = FRAME_VERIFIED, .verified = {ranges, differ, busy}};
    if (l->is_met)
        send_frame(l, &f);
}

void link_show_schema(struct link *l, const struct table *table)
{
    struct frame f = {.type = FRAME_SCHEMA, .schema = {text_value(table->name), text_value(table->definition)}};
    send_frame(l, &f);
}

// ---- sending ----

static void announce(struct link *l, uint64_t offset)
{
    struct outbound *s = &l->send;
    struct frame f = {.type = FRAME_BATCH,
                      .batch = {s->batch.number, s->batch.previous, s->batch.rows, s->batch.bytes, offset}};
    s->at = offset;
    s->state = LINK_OUT_SENDING;
    l->count.resumed_bytes += offset;
    send_frame(l, &f);
}

void link_batch_ready(struct link *l, int result, const struct door_batch *batch, const uint8_t *bytes,
                      const uint8_t digest[FRAME_DIGEST_LEN], const uint8_t resume_digest[FRAME_DIGEST_LEN])
{
    struct outbound *s = &l->send;
    s->is_reading = false;
    if (result < 0) {
        s->retry_us = l->now.mono_us + LINK_RETRY_US;
        s->news = true;
    }
    if (result < 0 || batch->number == 0) {
        if (s->state == LINK_OUT_READING)
            s->state = LINK_OUT_IDLE;
        return;
    }
    if (s->state == LINK_OUT_WAITING) {
        s->has_ahead = true;
        s->ahead = *batch;
        s->ahead_bytes = bytes;
        memcpy(s->ahead_digest, digest, FRAME_DIGEST_LEN);
        return;
    }
    s->batch = *batch;
    s->bytes = bytes;
    memcpy(s->digest, digest, FRAME_DIGEST_LEN);
    bool goes_on = s->resume == batch->number && s->resume_at <= batch->bytes &&
                   memcmp(resume_digest, s->resume_digest, FRAME_DIGEST_LEN) == 0;
    announce(l, goes_on ? s->resume_at : 0);
    s->resume = 0;
}

// One DATA, or END after the last.
static void send_piece(struct link *l)
{
    struct outbound *s = &l->send;
    uint64_t left = s->batch.bytes - s->at;
    if (left == 0) {
        struct frame f = {.type = FRAME_END, .end = {.number = s->batch.number}};
        memcpy(f.end.digest, s->digest, FRAME_DIGEST_LEN);
        send_frame(l, &f);
        s->state = LINK_OUT_WAITING;
        l->count.batches_sent++;
        l->count.rows_sent += s->batch.rows;
        return;
    }
    uint32_t plain = (uint32_t)(left < FRAME_DATA_MAX ? left : FRAME_DATA_MAX);
    struct frame f = {.type = FRAME_DATA, .data = {s->at, plain, s->bytes + s->at, plain}};
    if (l->config.compression_level) {
        size_t packed =
            ZSTD_compressCCtx(l->compress, l->piece, sizeof l->piece, f.data.bytes, plain, l->config.compression_level);
        if (!ZSTD_isError(packed) && packed < plain) {
            f.data.bytes = l->piece;
            f.data.len = (uint32_t)packed;
        }
    }
    send_frame(l, &f);
    s->at += plain;
    s->used += plain;
    l->count.bytes_plain_sent += plain;
}

static void run_sending(struct link *l)
{
    struct outbound *s = &l->send;
    if (!l->is_met || l->is_closing)
        return;
    if (!s->is_reading && l->now.mono_us >= s->retry_us && l->may_send) {
        bool reads_ahead = s->state == LINK_OUT_WAITING && s->batch.more && !s->has_ahead;
        if ((s->state == LINK_OUT_IDLE && s->news) || reads_ahead) {
            s->is_reading = true;
            s->news = false;
            if (s->state == LINK_OUT_IDLE)
                s->state = LINK_OUT_READING;
            push(l, (struct link_order){.wish = LINK_READ_BATCH,
                                        .number = reads_ahead ? s->batch.number : s->acked,
                                        .resume = s->resume,
                                        .offset = s->resume_at,
                                        .room = s->room});
        }
    }
    while (s->state == LINK_OUT_SENDING && l->out.len - l->out_at < OUT_LOW_BYTES) {
        uint64_t left = s->batch.bytes - s->at, piece = left < FRAME_DATA_MAX ? left : FRAME_DATA_MAX;
        bool stalls = s->credit < s->used + piece;
        l->count.stalls += stalls && !s->is_stalled;
        s->is_stalled = stalls;
        if (stalls)
            break;
        send_piece(l);
    }
}

static void on_ack(struct link *l, const struct frame_ack *ack)
{
    struct outbound *s = &l->send;
    if (ack->credit > s->credit)
        s->credit = ack->credit;
    if (ack->applied <= s->acked)
        return;
    if (ack->applied > s->batch.number || s->state != LINK_OUT_WAITING) {
        malformed(l, "ACK of a batch that was not sent");
        return;
    }
    s->acked = ack->applied;
    push(l, (struct link_order){.wish = LINK_ACKED, .number = s->acked});
    s->state = LINK_OUT_IDLE;
    // More is known to wait behind a limit, or behind a batch that was cut before this connection. For the rest the
    // poll looks: batches follow each other no faster than that, and commits less often.
    s->news |= s->batch.more || !s->batch.is_new;
    if (s->is_reading) // the one read ahead comes as the next
        s->state = LINK_OUT_READING;
    if (!s->has_ahead)
        return;
    s->has_ahead = false;
    s->batch = s->ahead;
    s->bytes = s->ahead_bytes;
    memcpy(s->digest, s->ahead_digest, FRAME_DIGEST_LEN);
    announce(l, 0);
}

// ---- receiving ----

static void on_batch(struct link *l, const struct frame_batch *b)
{
    struct inbound *r = &l->recv;
    if (r->state != LINK_IN_IDLE) {
        malformed(l, "BATCH before the one before it was acknowledged");
        return;
    }
    r->number = b->number;
    r->bytes = b->bytes;
    r->rows = b->rows;
    r->at = b->offset;
    r->has_end = false;
    r->state = b->number <= r->applied ? LINK_IN_SKIPPING : LINK_IN_FILLING;
    if (r->state == LINK_IN_SKIPPING)
        return;
    bool is_offered = r->spool_number == b->number && b->offset == r->spool_offset;
    if (b->offset && !is_offered) {
        malformed(l, "BATCH goes on at an offset that was not offered");
        return;
    }
    if (b->offset == 0) // what lies there, if anything, is not what will come
        push(l, (struct link_order){.wish = LINK_RESET_SPOOL, .number = r->spool_number ? r->spool_number : b->number});
    r->spool_number = 0;
    if (b->bytes - b->offset > r->room) {
        char text[160];
        snprintf(text, sizeof text,
                 "batch %llu has %llu octets, the spool's quota leaves room for %llu; raise `spool_quota` here",
                 (unsigned long long)b->number, (unsigned long long)(b->bytes - b->offset),
                 (unsigned long long)r->room);
        send_error(l, ENOSPC, false, true, text);
    }
}

static void on_data(struct link *l, const struct frame_data *d)
{
    struct inbound *r = &l->recv;
    if ((r->state != LINK_IN_FILLING && r->state != LINK_IN_SKIPPING) || r->has_end || d->offset != r->at ||
        d->plain_len > r->bytes - r->at) {
        malformed(l, "DATA that does not continue the announced batch");
        return;
    }
    uint8_t *to = buffer_extend(&r->data, d->plain_len);
    if (d->len == d->plain_len) {
        memcpy(to, d->bytes, d->len);
    } else if (ZSTD_decompressDCtx(l->decompress, to, d->plain_len, d->bytes, d->len) != d->plain_len) {
        r->data.len -= d->plain_len;
        malformed(l, "DATA that does not decompress to what it says");
        return;
    }
    r->at += d->plain_len;
    l->count.bytes_plain_received += d->plain_len;
    if (r->state == LINK_IN_SKIPPING) {
        buffer_reset(&r->data);
        r->spooled += d->plain_len;
    } else if (r->spooled + r->data.len + r->spooling.len > r->granted) {
        malformed(l, "DATA beyond the credit that was given");
    }
}

static void on_end(struct link *l, const struct frame_end *e)
{
    struct inbound *r = &l->recv;
    bool is_open = r->state == LINK_IN_FILLING || r->state == LINK_IN_SKIPPING;
    if (!is_open || r->has_end || e->number != r->number || r->at != r->bytes) {
        malformed(l, "END that does not fit the announced batch");
        return;
    }
    if (r->state == LINK_IN_SKIPPING) { // had it already
        r->state = LINK_IN_IDLE;
        send_ack(l);
        return;
    }
    memcpy(r->digest, e->digest, FRAME_DIGEST_LEN);
    r->has_end = true;
}

void link_spooled(struct link *l, int result, uint64_t room_bytes)
{
    struct inbound *r = &l->recv;
    r->is_spooling = false;
    if (result < 0) {
        fail(l, -result, true, "the inbound spool cannot be written");
        return;
    }
    r->room = room_bytes;
    r->spooled += r->spooling.len;
    buffer_reset(&r->spooling);
    uint64_t window = room_bytes < l->config.credit_bytes ? room_bytes : l->config.credit_bytes;
    if (r->spooled + window > r->granted + l->config.credit_bytes / 4)
        send_ack(l);
}

void link_finished(struct link *l, int result, const uint8_t digest[FRAME_DIGEST_LEN])
{
    struct inbound *r = &l->recv;
    r->is_finishing = false;
    if (result < 0) {
        fail(l, -result, true, "the inbound spool cannot be synced");
        return;
    }
    if (memcmp(digest, r->digest, FRAME_DIGEST_LEN) != 0) {
        push(l, (struct link_order){.wish = LINK_RESET_SPOOL, .number = r->number});
        malformed(l, "the batch's digest is wrong; it starts again");
        return;
    }
    r->state = LINK_IN_WHOLE;
    r->retry_us = 0;
    r->told[0] = 0;
    l->count.batches_received++;
    l->count.rows_received += r->rows;
}

static void tell(struct link *l, int code, const char *text)
{
    if (strcmp(l->recv.told, text) == 0)
        return;
    snprintf(l->recv.told, sizeof l->recv.told, "%s", text);
    send_error(l, code, false, true, text);
}

static void hold(struct link *l, const struct apply_result *result)
{
    struct inbound *r = &l->recv;
    int64_t wait_us = result->hold_us > 0 && result->hold_us < LINK_RETRY_US ? result->hold_us : LINK_RETRY_US;
    struct frame f = {.type = FRAME_HOLD, .hold = {r->number, (uint8_t)result->verdict, result->hold_us}};
    if (l->now.mono_us - r->retry_us > LINK_PING_US || r->retry_us == 0)
        send_frame(l, &f);
    r->retry_us = l->now.mono_us + wait_us;
    l->count.holds++;
}

void link_applied(struct link *l, int status, const struct apply_result *result, const char *text, uint64_t room_bytes)
{
    struct inbound *r = &l->recv;
    r->is_applying = false;
    r->room = room_bytes;
    if (status == -EBADMSG) {
        push(l, (struct link_order){.wish = LINK_RESET_SPOOL, .number = r->number});
        malformed(l, text);
        return;
    }
    if (status < 0) {
        r->retry_us = l->now.mono_us + LINK_RETRY_US;
        tell(l, -status, text);
        return;
    }
    switch (result->verdict) {
    case APPLY_DONE:
    case APPLY_REPEATED:
        r->applied = result->applied;
        r->state = LINK_IN_IDLE;
        send_ack(l);
        break;
    case APPLY_HELD_CLOCK:
        hold(l, result);
        break;
    case APPLY_GAP:
        fail(l, EPROTO, true, "the batch's predecessor was not applied here; the stream starts again behind what was");
        break;
    case APPLY_FOREIGN:
        fail(l, EEXIST, false, "the batch comes from another database than the one known");
        break;
    case APPLY_VERDICT_COUNT:
        break;
    }
}

static void run_receiving(struct link *l)
{
    struct inbound *r = &l->recv;
    if (r->state == LINK_IN_FILLING && !r->is_spooling && r->data.len) {
        struct buffer swap = r->spooling;
        r->spooling = r->data;
        r->data = swap;
        r->is_spooling = true;
        push(l, (struct link_order){.wish = LINK_SPOOL,
                                    .bytes = r->spooling.data,
                                    .len = r->spooling.len,
                                    .number = r->number,
                                    .offset = r->at - r->spooling.len});
        return;
    }
    if (r->state == LINK_IN_FILLING && r->has_end && !r->is_spooling) {
        r->state = LINK_IN_FINISHING;
        r->is_finishing = true;
        push(l, (struct link_order){.wish = LINK_FINISH, .number = r->number});
        return;
    }
    if (r->state == LINK_IN_WHOLE && !r->is_applying && l->may_apply && l->now.mono_us >= r->retry_us) {
        r->is_applying = true;
        push(l, (struct link_order){.wish = LINK_APPLY, .number = r->number});
    }
}

// ---- frames ----

static void on_hello(struct link *l, const struct frame_hello *h)
{
    char text[WHY_CAP];
    if (l->is_greeted) {
        malformed(l, "a second HELLO");
        return;
    }
    l->is_greeted = true;
    if (h->protocol != FRAME_PROTOCOL) {
        snprintf(text, sizeof text, "protocol %u; this program speaks %u", h->protocol, FRAME_PROTOCOL);
        fail(l, EPROTONOSUPPORT, false, text);
    } else if (h->site != l->config.peer) {
        snprintf(text, sizeof text, "the certificate is that of site %u, but the daemon says it is site %u",
                 l->config.peer, h->site);
        fail(l, EPERM, false, text);
    } else if (memcmp(h->uuid, l->config.uuid, sizeof h->uuid) == 0) {
        fail(l, EEXIST, false,
             "both databases have one identity: one is a copy of the other; run `resync` on the copy");
    } else {
        struct outbound *s = &l->send;
        s->acked = h->applied;
        s->credit = s->room = h->credit;
        s->resume = h->spool_number;
        s->resume_at = h->spool_offset;
        memcpy(s->resume_digest, h->spool_digest, FRAME_DIGEST_LEN);
        l->peer_clock = h->clock;
        l->peer_wall_us = h->wall_us;
        l->peer_incarnation = h->incarnation;
        l->is_meeting = true;
        push(l, (struct link_order){.wish = LINK_MEET, .frame = &l->frame});
    }
}

static void on_ping(struct link *l, const struct frame *f)
{
    l->peer_behind_us = f->ping.behind_us;
    if (f->type == FRAME_PING) {
        struct frame pong = {.type = FRAME_PONG, .ping = {f->ping.sent_us, l->now.wall_us, l->behind_us}};
        send_frame(l, &pong);
        return;
    }
    int64_t trip = l->now.wall_us - f->ping.sent_us;
    if (trip < 0 || trip > LINK_DEAD_US) // our clock was set meanwhile, or the time is not ours
        return;
    l->round_trip_us = trip;
    l->skew_us = f->ping.answered_us - (f->ping.sent_us + trip / 2);
}

static void handle(struct link *l)
{
    const struct frame *f = &l->frame;
    if (!l->is_greeted && f->type != FRAME_HELLO && f->type != FRAME_ERROR) {
        malformed(l, "a frame before HELLO");
        return;
    }
    switch (f->type) {
    case FRAME_HELLO:
        on_hello(l, &f->hello);
        break;
    case FRAME_BATCH:
        on_batch(l, &f->batch);
        break;
    case FRAME_DATA:
        on_data(l, &f->data);
        break;
    case FRAME_END:
        on_end(l, &f->end);
        break;
    case FRAME_ACK:
        on_ack(l, &f->ack);
        break;
    case FRAME_PING:
    case FRAME_PONG:
        on_ping(l, f);
        break;
    case FRAME_REQUEST:
        push(l, (struct link_order){.wish = LINK_REQUESTED, .frame = f});
        break;
    case FRAME_HOLD:
    case FRAME_SCHEMA:
    case FRAME_ERROR:
    case FRAME_VERIFIED:
        push(l, (struct link_order){.wish = LINK_SHOW, .frame = f});
        if (f->type == FRAME_ERROR && f->error.is_fatal) {
            snprintf(l->why, sizeof l->why, "the peer says: %.*s", (int)f->error.text.len, f->error.text.bytes);
            l->is_closing = true;
        }
        break;
    case FRAME_TYPE_END:
        break;
    }
}

static bool pop(struct link *l, struct link_order *order)
{
    if (l->order_count == 0)
        return false;
    *order = l->order[l->order_at];
    l->order_at = (l->order_at + 1) % ORDER_CAP;
    l->order_count--;
    return true;
}

// Decodes until there is an order to give. Frames borrow from `raw`, which only link_received moves.
static bool decode(struct link *l, struct link_order *order)
{
    while (!l->is_closing && !is_blocked(l)) {
        long took = frame_decode(&l->frame, l->raw.data + l->raw_at, l->raw.len - l->raw_at);
        if (took == 0)
            break;
        if (took < 0) {
            malformed(l, "a malformed frame");
            break;
        }
        l->raw_at += (size_t)took;
        handle(l);
        if (pop(l, order))
            return true;
    }
    return false;
}

void link_next(struct link *l, struct link_order *order)
{
    *order = (struct link_order){.wish = LINK_NOTHING};
    if (!l->is_connected)
        return;
    if (pop(l, order) || decode(l, order))
        return;
    if (!l->is_closing) {
        run_receiving(l);
        run_sending(l);
        if (pop(l, order))
            return;
    }
    if (l->out.len > l->out_at) {
        *order =
            (struct link_order){.wish = LINK_SEND, .bytes = l->out.data + l->out_at, .len = l->out.len - l->out_at};
    } else if (l->is_closing && !l->close_given) {
        l->close_given = true;
        *order = (struct link_order){.wish = LINK_CLOSE, .text = l->why};
    }
}
