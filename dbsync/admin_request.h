// SPDX-License-Identifier: Apache-2.0
// What a command asks of the running daemon: one line of JSON, {"command": "status"}. Pure; any thread.
//
// The answer is one line, too: {"ok": true, "result": ...} or {"ok": false, "error": "..."}.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { ADMIN_LINE_MAX = 4096, ADMIN_NAME_CAP = 64, ADMIN_TABLE_CAP = 512, ADMIN_ERROR_CAP = 256 };

enum admin_command {
    ADMIN_STATUS,  // all that `status` shows
    ADMIN_METRICS, // the Prometheus text
    ADMIN_POLL,    // look at the database now (after pause, resume, add ...)
    ADMIN_PULL,    // ask `peer` to send all its rows, or those of `table`
    ADMIN_COMMAND_COUNT
};

struct admin_request {
    enum admin_command command;
    char peer[ADMIN_NAME_CAP];   // name or number; empty: not given
    char table[ADMIN_TABLE_CAP]; // empty: not given
};

// 0, or -EINVAL with a sentence. `line` need not end with a zero.
int admin_request_parse(const char *line, size_t len, struct admin_request *request, char error[ADMIN_ERROR_CAP]);

const char *admin_command_name(enum admin_command command);

#ifdef __cplusplus
}
#endif
