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

// Longer documents are unreadable. Ten thousand servers of HAProxy take 3 MB; JSON grows in memory when it is parsed.
enum { BALANCER_TEXT_MAX = 1024 * 1024, BALANCER_STATISTICS_MAX = 4 * 1024 * 1024 };

// HAProxy's statistics, `;csv` or `show stat`: columns are found by their names. A text that is not whole (a row that
// ends early, an end inside quotes) is unreadable, so that a cut one cannot make a backend look short of servers.
// Good while each backend that counts (spec->backends, none: all) is UP and has `need` usable servers: `act` and `bck`
// of its row, else its server rows counted; a backend without servers counts by its status alone.
// Load, the largest of: a backend's sessions against the limits of its servers that are up, if each has one; a
// frontend's against its limit; instead of both, all backends' against spec->sessions_max; 100 % while requests wait.
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
