// SPDX-License-Identifier: Apache-2.0
// What a file says about a server: the feed of some other monitoring. Pure; any thread.
//
//     # one line per server; the last line that fits counts
//     192.0.2.81:8080  up
//     192.0.2.82       down  maintenance until noon
//     *                up    85%
//
// An address without a port is for all its ports, `*` for all servers; a percentage is the load. A server that no line
// names is not known.
#pragma once

#include <stddef.h>

#include "health/probe.h"
#include "health/probe_result.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { FILE_FEED_MAX = 65536 };

struct probe_result file_feed_read(const char *text, size_t len, const struct probe_address *server);

#ifdef __cplusplus
}
#endif
