// SPDX-License-Identifier: Apache-2.0
// HTTP responses. The first octet says in how large pieces they come: the result must not depend on that.
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "health/http_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
    uint64_t hash;
    size_t len;
};

static bool take(void *user, const char *data, size_t len)
{
    struct sum *s = user;
    assert(len > 0);
    for (size_t i = 0; i < len; i++)
        s->hash = (s->hash ^ (uint8_t)data[i]) * 0x100000001b3ull;
    s->len += len;
    return s->len < 100000;
}

static enum http_reply_state read_in_pieces(const uint8_t *data, size_t size, size_t piece, bool is_head,
                                            struct sum *sum, unsigned *status)
{
    struct http_reply r;
    enum http_reply_state state = HTTP_REPLY_MORE;
    http_reply_begin(&r, is_head);
    for (size_t at = 0; at < size && state == HTTP_REPLY_MORE; at += piece) {
        const size_t len = piece < size - at ? piece : size - at;
        char *exact = malloc(len);
        assert(exact);
        memcpy(exact, data + at, len);
        state = http_reply_feed(&r, exact, len, take, sum);
        free(exact);
    }
    *status = r.status;
    return http_reply_end(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sum a = {0}, b = {0};
    unsigned status_a, status_b;
    if (size < 2 || size > 200000)
        return 0;
    const size_t piece = 1 + (data[0] & 0x7f);
    const bool is_head = data[0] & 0x80;
    const enum http_reply_state whole = read_in_pieces(data + 1, size - 1, size, is_head, &a, &status_a);
    const enum http_reply_state parts = read_in_pieces(data + 1, size - 1, piece, is_head, &b, &status_b);
    assert(whole == parts && whole != HTTP_REPLY_MORE);
    if (whole == HTTP_REPLY_DONE && a.len < 100000)
        assert(status_a == status_b && a.hash == b.hash && a.len == b.len && status_a >= 100 && status_a <= 999);
    return 0;
}
