// SPDX-License-Identifier: Apache-2.0
// HAProxy's statistics as CSV, from its page or its runtime socket: what do they say about the servers? Pure.
//
// Columns are found by their names in the first line; others are passed over. A text that is not whole (a row that ends
// early, an end inside quotes, no header, a column twice) is UNREADABLE and never DOWN; so is a backend that is asked
// for and is not there, unless another one is plainly down.
//
// A backend is good when its status is UP and at least `need` of its servers are usable (`act` and `bck` of its row,
// else its server rows counted). With no backends named, all that have servers count.
//
// Load, the largest of these:
// - sessions of the counted backends against `sessions_max`, when that is set; else, for each counted backend whose
//   usable servers all have a limit, its sessions against the sum of these, and each frontend's sessions against its
//   limit. A backend's own `slim` is `fullconn`, by default a tenth of the frontends' limits: it says nothing.
// - 1000 at least while requests wait in a queue.
// response_ns is the slowest counted backend's own average (`rtime`), 0 when it is not said.
#pragma once

#include <stddef.h>

#include "health/balancer.h"
#include "health/probe_result.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    BALANCER_BACKEND_MAX = 128,       // backends that can be named
    BALANCER_CSV_MAX_BYTES = 4u << 20 // ten thousand servers; a longer text is refused before it comes here
};

// Any octets; `text` need not end with zero. Uses backends, backend_count (at most BALANCER_BACKEND_MAX), need and
// sessions_max of `spec`.
struct probe_result balancer_csv_judge(const struct balancer_spec *spec, const char *text, size_t len);

#ifdef __cplusplus
}
#endif
