// SPDX-License-Identifier: Apache-2.0
#include "health/heartbeat_codec.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "table/wire.h"

enum {
    HEAD_LEN = 8,
    NONCE_LEN = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    TAG_LEN = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    PAYLOAD_CAP = HEARTBEAT_MAX_LEN - HEAD_LEN - NONCE_LEN - TAG_LEN
};
static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == HEARTBEAT_KEY_LEN, "the cluster key is the cipher's");

static const uint8_t head[HEAD_LEN] = {'S', 'P', 'H', 'B', HEARTBEAT_VERSION, 0, 0, 0};

static void put_text(struct wire_writer *w, const char *text)
{
    const size_t len = strnlen(text, HEARTBEAT_NAME_CAP - 1);
    wire_put_u8(w, (uint8_t)len);
    wire_put(w, text, len);
}

static void take_text(struct wire_reader *r, char out[HEARTBEAT_NAME_CAP])
{
    const unsigned len = wire_u8(r);
    const uint8_t *p = wire_take(r, len);
    if (!p || len >= HEARTBEAT_NAME_CAP || memchr(p, 0, len)) {
        r->failed = true;
        return;
    }
    memcpy(out, p, len);
    out[len] = '\0';
}

int heartbeat_encode(uint8_t out[HEARTBEAT_MAX_LEN], const struct heartbeat_message *m,
                     const uint8_t key[HEARTBEAT_KEY_LEN])
{
    uint8_t payload[PAYLOAD_CAP];
    struct wire_writer w = wire_writer_init(payload, sizeof payload);
    put_text(&w, m->node);
    wire_put_u64(&w, m->incarnation);
    wire_put_u64(&w, m->sequence);
    wire_put_u64(&w, m->wall_us);
    wire_put_u32(&w, (uint32_t)m->load_permille);
    wire_put_u32(&w, m->response_us);
    wire_put_u64(&w, (uint64_t)m->lag_ms);
    wire_put_u32(&w, m->table_age_ms);
    wire_put_u8(&w, m->site_count);
    for (unsigned i = 0; i < m->site_count && i < HEARTBEAT_SITE_MAX; i++) {
        put_text(&w, m->site[i].name);
        wire_put_u8(&w, m->site[i].state);
    }
    if (w.failed || m->site_count > HEARTBEAT_SITE_MAX)
        return -EMSGSIZE;
    memcpy(out, head, HEAD_LEN);
    randombytes_buf(out + HEAD_LEN, NONCE_LEN);
    unsigned long long len = 0;
    crypto_aead_xchacha20poly1305_ietf_encrypt(out + HEAD_LEN + NONCE_LEN, &len, payload, w.at, head, HEAD_LEN, NULL,
                                               out + HEAD_LEN, key);
    return HEAD_LEN + NONCE_LEN + (int)len;
}

static bool read_payload(struct heartbeat_message *m, const uint8_t *payload, size_t len)
{
    struct wire_reader r = wire_reader_init(payload, len);
    memset(m, 0, sizeof *m);
    take_text(&r, m->node);
    m->incarnation = wire_u64(&r);
    m->sequence = wire_u64(&r);
    m->wall_us = wire_u64(&r);
    m->load_permille = (int32_t)wire_u32(&r);
    m->response_us = wire_u32(&r);
    m->lag_ms = (int64_t)wire_u64(&r);
    m->table_age_ms = wire_u32(&r);
    m->site_count = wire_u8(&r);
    if (m->site_count > HEARTBEAT_SITE_MAX)
        return false;
    for (unsigned i = 0; i < m->site_count; i++) {
        take_text(&r, m->site[i].name);
        m->site[i].state = wire_u8(&r);
        if (m->site[i].state > VERDICT_DRAIN)
            return false;
    }
    return !r.failed && r.at == len;
}

enum heartbeat_verdict heartbeat_decode(struct heartbeat_message *message, const uint8_t *data, size_t len,
                                        const uint8_t (*key)[HEARTBEAT_KEY_LEN], unsigned key_count)
{
    uint8_t payload[PAYLOAD_CAP];
    if (len < HEAD_LEN + NONCE_LEN + TAG_LEN || len > HEARTBEAT_MAX_LEN || memcmp(data, head, HEAD_LEN) != 0)
        return HEARTBEAT_MALFORMED;
    for (unsigned i = 0; i < key_count; i++) {
        unsigned long long payload_len = 0;
        if (crypto_aead_xchacha20poly1305_ietf_decrypt(payload, &payload_len, NULL, data + HEAD_LEN + NONCE_LEN,
                                                       len - HEAD_LEN - NONCE_LEN, data, HEAD_LEN, data + HEAD_LEN,
                                                       key[i]) != 0)
            continue;
        return read_payload(message, payload, (size_t)payload_len) ? HEARTBEAT_GOOD : HEARTBEAT_MALFORMED;
    }
    return HEARTBEAT_WRONG_KEY;
}

bool heartbeat_window_accept(struct heartbeat_window *w, uint64_t incarnation, uint64_t sequence)
{
    if (incarnation < w->incarnation)
        return false;
    if (incarnation > w->incarnation) {
        *w = (struct heartbeat_window){incarnation, sequence, 1};
        return true;
    }
    if (sequence > w->highest) {
        const uint64_t ahead = sequence - w->highest;
        w->seen = (ahead < 64 ? w->seen << ahead : 0) | 1;
        w->highest = sequence;
        return true;
    }
    const uint64_t behind = w->highest - sequence;
    if (behind >= 64 || (w->seen >> behind & 1))
        return false;
    w->seen |= 1ull << behind;
    return true;
}

const char *heartbeat_verdict_name(enum heartbeat_verdict verdict)
{
    static const char *const name[HEARTBEAT_VERDICT_COUNT] = {"good",         "malformed", "wrong_key",
                                                              "unknown_node", "replayed",  "wrong_time"};
    return (unsigned)verdict < HEARTBEAT_VERDICT_COUNT ? name[verdict] : "unknown";
}
