// SPDX-License-Identifier: Apache-2.0
// From what a balancer said to an indication. Pure: text in, value out; any thread.
//
// What cannot be read is UNKNOWN with the reason UNREADABLE and a sentence, never DOWN: only a balancer that says so
// makes a site bad. Texts come from outside: bounded in time and memory, every octet is allowed in them.
#pragma once

#include "health/balancer.h"
#include "health/probe_result.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BALANCER_TEXT_MAX = 1024 * 1024 }; // longer documents are unreadable

// HAProxy's statistics, `;csv` or `show stat`: columns are found by their names. Good while each backend that counts
// (spec->backends, none: all) is not DOWN and has `need` servers up. Load: sessions of the servers that are up against
// their limits, else against the backend's, or all sessions against spec->sessions_max; a queue is a load of 100 %.
struct probe_result balancer_read_haproxy(const char *text, size_t len, const struct balancer_spec *spec);

// HAProxy's agent-check: one line of words such as "up", "drain", "75%", "down #reason". A weight of 75 % is a load of
// 25 %, a weight of 0 is down.
struct probe_result balancer_read_agent(const char *text, size_t len);

// Envoy's /clusters?format=json: hosts of each cluster that are healthy by every check; load by active requests.
struct probe_result balancer_read_envoy(const char *text, size_t len, const struct balancer_spec *spec);

// Any JSON document, by the paths of the specification ("pools.web.status", "servers[0].up").
struct probe_result balancer_read_json(const char *text, size_t len, const struct balancer_spec *spec);

// Monitor page: good means a status of 200 to 299.
struct probe_result balancer_read_status(unsigned status);

// The start of an indication: unreadable with a sentence.
struct probe_result balancer_unreadable(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Whether a proxy or cluster counts.
bool balancer_counts(const struct balancer_spec *spec, const char *name);

#ifdef __cplusplus
}
#endif
