// SPDX-License-Identifier: Apache-2.0
// What each kind of probe offers to the prober: open once, run many times, close. libuv loop thread only.
//
// A run ends by calling `done` exactly once, from the loop, never from inside `run`; `abort` ends it without. The
// prober keeps the time limit. After `close` no callback comes any more; `closed` is called when the last handle is
// gone.
#pragma once

#include <string.h>
#include <strings.h>
#include <uv.h>

#include "health/balancer.h"
#include "health/evidence.h"
#include "health/probe.h"
#include "health/probe_result.h"

#ifdef __cplusplus
extern "C" {
#endif

// libcurl keeps the connections of a multi handle in 97 lists, which it searches for every transfer: thousands of
// targets are spread over many handles.
enum { PROBE_HTTP_ENGINES = 64 };

// What a kind needs to work with; outlives all that was opened with it.
struct probe_host {
    uv_loop_t *loop;
    struct http_engine *http[PROBE_HTTP_ENGINES];
    unsigned http_next;
    struct icmp_engine *icmp;
};

// The engine for the next fetch.
static inline struct http_engine *probe_host_http(struct probe_host *host)
{
    return host->http[host->http_next++ % PROBE_HTTP_ENGINES];
}

struct probe_callbacks {
    void (*done)(void *user, const struct probe_result *result);
    void (*closed)(void *user);
    void *user;
};

struct probe_kind {
    // The new instance, which copies the specification; null with errno EINVAL or ENOMEM. Exactly one of `probe` and
    // `balancer` is given.
    void *(*open)(struct probe_host *host, const struct probe_spec *probe, const struct balancer_spec *balancer,
                  const struct probe_callbacks *callbacks);
    // Starts a run. 0, or a negative errno when it cannot even start (a local error); `done` is then not called.
    int (*run)(void *instance);
    void (*abort)(void *instance);
    void (*close)(void *instance);
};

// Did the operator set this request header himself?
static inline bool probe_http_sets(const struct probe_http *http, const char *name)
{
    const size_t len = strlen(name);
    for (unsigned i = 0; i < http->header_count; i++)
        if (strncasecmp(http->headers[i], name, len) == 0 && http->headers[i][len] == ':')
            return true;
    return false;
}

// Can probe_plain_kind make this request? Else probe_http_kind does.
bool probe_plain_suits(const struct probe_spec *spec);

extern const struct probe_kind probe_tcp_kind, probe_http_kind, probe_plain_kind, probe_icmp_kind, probe_dns_kind,
    probe_script_kind, probe_file_kind;
extern const struct probe_kind balancer_http_kind, balancer_stream_kind;

#ifdef __cplusplus
}
#endif
