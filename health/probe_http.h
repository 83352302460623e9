// SPDX-License-Identifier: Apache-2.0
// HTTP and HTTPS requests through libcurl's multi interface on libuv's loop. probe_http.c is the only door to libcurl.
//
// libuv loop thread only. Names are never resolved: the server is a literal address, the Host header and the TLS name
// are given apart. No proxies, no redirects, no signals, HTTP/1.1.
#pragma once

#include <uv.h>

#include "health/evidence.h"
#include "health/probe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct http_engine;
struct http_fetch;

// Null: out of memory, or libcurl cannot be initialised.
struct http_engine *http_engine_new(uv_loop_t *loop);

// All fetches must have been freed. `closed` is called when the last handle is gone.
void http_engine_close(struct http_engine *engine, void (*closed)(void *user), void *user);

struct http_response {
    enum evidence_reason reason; // OK: a whole response (or a cut one) came, see status; else why there is none
    bool is_local;               // our own fault: says nothing about the server
    unsigned status;
    char *body; // ends with a zero octet that is not counted; valid during the callback, may be written to
    size_t len;
    bool is_cut; // the body is longer than the cap
    uint64_t response_ns;
    char detail[EVIDENCE_DETAIL_CAP]; // libcurl's words, or ""
};

struct http_fetch_spec {
    bool is_https;
    const char *unix_socket; // instead of an address; empty: none
    struct probe_address server, source;
    const struct probe_http *http; // method, path, host, headers, credentials, tls, keep_alive, body_max_bytes
    // Gets the body as it comes, and says false to end the response there. Null: the body is kept up to body_max_bytes
    // and given to `done`.
    bool (*take)(void *user, const char *data, size_t len);
    uint64_t timeout_ns;
};

// A request that can be made again and again. `done` is called once per run, from the loop. Null: out of memory.
struct http_fetch *http_fetch_new(struct http_engine *engine, const struct http_fetch_spec *spec,
                                  void (*done)(void *user, struct http_response *response), void *user);
void http_fetch_free(struct http_fetch *fetch); // aborts

int http_fetch_run(struct http_fetch *fetch); // 0 or -ENOMEM
void http_fetch_abort(struct http_fetch *fetch);

#ifdef __cplusplus
}
#endif
