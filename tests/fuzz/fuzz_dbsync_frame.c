// SPDX-License-Identifier: Apache-2.0
// Octets from a peer that has a certificate: into the frame decoder, and into a link that has said HELLO.
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "dbsync/link.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_all(const uint8_t *data, size_t size)
{
    static struct frame frame;
    struct frame_table table;
    while (size) {
        long took = frame_decode(&frame, data, size);
        if (took <= 0)
            return;
        if ((size_t)took > size)
            abort();
        while (frame.type == FRAME_HELLO && frame_next_table(&frame.hello, &table) == 1) {
        }
        struct buffer again = {0};
        if (frame.type != FRAME_HELLO) { // what was read is written the same
            frame_encode(&again, &frame, NULL);
            if (again.len != (size_t)took || memcmp(again.data, data, again.len) != 0)
                abort();
        }
        buffer_fini(&again);
        data += took;
        size -= (size_t)took;
    }
}

// Answers every order as a daemon with an empty database would.
static void obey(struct link *link, const struct link_order *o, size_t *spooled)
{
    struct door_batch none = {0};
    struct apply_result result = {.verdict = APPLY_DONE, .applied = o->number};
    uint8_t digest[FRAME_DIGEST_LEN] = {0};
    switch (o->wish) {
    case LINK_SEND:
        link_sent(link, o->len);
        break;
    case LINK_READ_BATCH:
        link_batch_ready(link, 0, &none, NULL, digest, digest);
        break;
    case LINK_SPOOL:
        *spooled += o->len;
        if (*spooled > 1 << 20)
            abort(); // beyond the credit
        link_spooled(link, 0, (1 << 20) - *spooled);
        break;
    case LINK_FINISH:
        link_finished(link, 0, digest);
        break;
    case LINK_APPLY:
        link_applied(link, 0, &result, "", 0);
        break;
    case LINK_MEET:
        link_met(link, 0, "");
        break;
    case LINK_NOTHING:
    case LINK_RESET_SPOOL:
    case LINK_ACKED:
    case LINK_REQUESTED:
    case LINK_SHOW:
    case LINK_CLOSE:
        break;
    }
}

static void drive(const uint8_t *data, size_t size, bool greets)
{
    struct link_config config = {.site = 1, .peer = 2, .uuid = {1}, .incarnation = 1, .credit_bytes = 1 << 20};
    struct link *link = link_new(&config);
    struct link_time now = {1, 1};
    struct link_start start = {.room_bytes = 1 << 20};
    struct link_order order;
    struct buffer hello = {0};
    struct frame greeting = {.type = FRAME_HELLO,
                             .hello = {.protocol = FRAME_PROTOCOL, .site = 2, .uuid = {2}, .credit = 1 << 20}};
    size_t spooled = 0;
    link_connected(link, now, &start);
    link_news(link);
    if (greets) {
        frame_encode(&hello, &greeting, NULL);
        link_received(link, hello.data, hello.len, now);
    }
    for (size_t at = 0; at < size;) {
        size_t n = size - at < 700 ? size - at : 700;
        link_received(link, data + at, n, now);
        at += n;
        for (unsigned i = 0; i < 10000; i++) { // ends long before: each frame asks for a few things
            link_next(link, &order);
            if (order.wish == LINK_NOTHING)
                break;
            obey(link, &order, &spooled);
        }
    }
    buffer_fini(&hello);
    link_free(link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode_all(data, size);
    drive(data, size, true);
    drive(data, size, false);
    return 0;
}
