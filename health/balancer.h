// SPDX-License-Identifier: Apache-2.0
// What is asked of a site's balancer: the specification of one reader. Plain data, borrowed for the call that takes it.
#pragma once

#include "health/probe.h"

#ifdef __cplusplus
extern "C" {
#endif

enum balancer_type {
    BALANCER_HAPROXY_CSV,    // statistics page over HTTP
    BALANCER_HAPROXY_SOCKET, // runtime socket, `show stat`
    BALANCER_HTTP,           // status code alone
    BALANCER_AGENT,          // HAProxy agent-check, as its client
    BALANCER_ENVOY,          // /clusters?format=json
    BALANCER_JSON            // any JSON document
};

struct balancer_spec {
    enum balancer_type type;
    const char *url;              // http:// or https:// with a literal address
    const char *host;             // Host header; empty: from the url
    const char *socket;           // Unix socket, for HAPROXY_SOCKET
    struct probe_address address; // TCP form of HAPROXY_SOCKET; AGENT
    const char *credentials;      // "user:password"
    const char *const *backends;  // that count; none: all
    unsigned backend_count;
    uint32_t need; // servers up in each backend
    struct probe_tls tls;
    const char *status_path, *up_value, *servers_up_path, *load_path, *weight_path; // JSON
    uint32_t sessions_max; // a load of 100 %; 0: the balancer's own limit
    uint64_t interval_ns, timeout_ns;
};

#ifdef __cplusplus
}
#endif
