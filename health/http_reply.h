// SPDX-License-Identifier: Apache-2.0
// Reads an HTTP/1 response as it comes: status, and the body without its transfer coding. Pure; nothing is kept.
//
// For plain HTTP probes only, of which there may be ten thousand a second: libcurl takes twice the time of everything
// else in such a probe. Source: RFC 9112 sections 4, 6 and 7. Provisional responses are passed over; a body ends by
// chunks, else by length, else by the end of the connection; two lengths that differ are not believed. Any octets; time
// is linear in them, and header lines, chunk extensions and trailers are bounded together.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HTTP_REPLY_HEAD_MAX = 65536, HTTP_REPLY_LINE_CAP = 128 };

enum http_reply_state {
    HTTP_REPLY_MORE, // go on feeding
    HTTP_REPLY_DONE, // the response is complete, or `take` wants no more
    HTTP_REPLY_BAD   // not HTTP/1, or beyond the bounds
};

struct http_reply {
    unsigned status; // 0: not there yet
    // The reader's own.
    enum http_reply_state state;
    uint8_t part;
    bool is_head, is_chunked, has_length, is_folded;
    uint64_t left; // octets of the body or the chunk still to come
    size_t head_octets, line_len;
    char line[HTTP_REPLY_LINE_CAP]; // the start of the present line
};

// `is_head`: the request was HEAD, whose response has no body.
void http_reply_begin(struct http_reply *reply, bool is_head);

// The next octets from the connection. Body octets go to `take`, which says false to end the response there.
enum http_reply_state http_reply_feed(struct http_reply *reply, const char *data, size_t len,
                                      bool (*take)(void *user, const char *data, size_t len), void *user);

// The server closed the connection. DONE when the response is complete by that, else BAD.
enum http_reply_state http_reply_end(struct http_reply *reply);

#ifdef __cplusplus
}
#endif
