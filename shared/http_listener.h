// SPDX-License-Identifier: Apache-2.0
// A read-only HTTP endpoint on a libuv loop, for metrics and pages. The only door to libmicrohttpd.
//
// Loop thread only: libmicrohttpd runs without threads of its own, on the loop's epoll. What a client can cost:
// HTTP_CONNECTION_MAX connections in all and HTTP_CONNECTION_PER_CLIENT_MAX of one address, ten seconds and 32 KiB
// each; requests with a body and other methods than GET and HEAD are refused.
#pragma once

#include <stdbool.h>
#include <sys/socket.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HTTP_CONNECTION_MAX = 64, HTTP_CONNECTION_PER_CLIENT_MAX = 16 };

struct http_reply {
    unsigned status;
    const char *type; // Content-Type, static
    char *text;       // null: the connection is closed
    bool is_owned;    // from malloc, freed when it is sent; else it is static
};

// Answers a GET of a path.
typedef struct http_reply http_answer(void *user, const char *path);

struct http_listener;

// Null, with errno, when the address cannot be bound.
struct http_listener *http_listener_start(uv_loop_t *loop, const struct sockaddr_storage *address, http_answer *answer,
                                          void *user);
void http_listener_close(struct http_listener *listener); // null is legal

// What a Prometheus scraper expects.
extern const char http_metrics_type[];

#ifdef __cplusplus
}
#endif
