// SPDX-License-Identifier: Apache-2.0
// The admin socket: one JSON object a line in, one a line out, over a Unix stream socket.
//
//   {"command": "explain", "name": "www.example.com", "client": "192.0.2.1"}
//   {"ok": true, "result": {...}}  or  {"ok": false, "error": "text for people", "code": "refused" | "usage"}
//
// Bounded: connections, request length, time without a request, replies not yet read. The socket belongs to the
// program's user, and to a group if the configuration names one; the peer's credentials are checked as well. libuv loop
// thread only.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    ADMIN_CONNECTION_MAX = 32,
    ADMIN_REQUEST_CAP = 64 << 10,
    ADMIN_UNREAD_CAP = 64 << 20, // a reader that leaves more than this unread is dropped
    ADMIN_IDLE_MS = 60000
};

struct daemon;
struct admin;
struct admin_connection;

enum admin_status { ADMIN_OK, ADMIN_REFUSED, ADMIN_USAGE, ADMIN_LATER };

// One request. A command fills `result` (an object) or `error`; with ADMIN_LATER it keeps `connection` by admin_hold
// and answers by admin_reply.
struct admin_call {
    struct daemon *daemon;
    struct admin_connection *connection;
    const json_t *request;
    json_t *result;
    char error[512];
};

// Listens at the configured path. Null with the reason in `why`.
struct admin *admin_start(struct daemon *daemon, char why[256]);
void admin_close(struct admin *admin); // null is legal

// For late answers: keeps the connection's memory; it may have been closed meanwhile. admin_reply lets go again and
// takes over `result`, which may be null for an error.
void admin_hold(struct admin_connection *connection);
void admin_reply(struct admin_connection *connection, enum admin_status status, json_t *result, const char *error);

// From then on the connection receives every history entry as a line of its own.
void admin_watch(struct admin_connection *connection);

// New history entries are there: tells the watchers.
void admin_notify(struct admin *admin);

#ifdef __cplusplus
}
#endif
