// SPDX-License-Identifier: Apache-2.0
// The read-only HTTP endpoint: /metrics for Prometheus, /healthz for supervisors, / for people. The only door to
// libmicrohttpd.
//
// libuv loop thread only: libmicrohttpd runs without threads of its own on the loop's epoll.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

struct daemon;
struct http_status;

// Null when none is configured or the address cannot be bound (logged): the program runs without.
struct http_status *http_status_start(struct daemon *daemon);
void http_status_close(struct http_status *http); // null is legal

#ifdef __cplusplus
}
#endif
