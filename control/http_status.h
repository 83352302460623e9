// SPDX-License-Identifier: Apache-2.0
// What the read-only HTTP endpoint shows: /metrics for Prometheus, /healthz for supervisors, / for people. libuv loop
// thread only.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

struct daemon;
struct http_listener; // shared/http_listener.h; ends with http_listener_close

// Null when none is configured or the address cannot be bound (logged): the program runs without.
struct http_listener *http_status_start(struct daemon *daemon);

#ifdef __cplusplus
}
#endif
