// SPDX-License-Identifier: Apache-2.0
// The commands of signpost-dbsync. Each is a function that prints its result and returns the exit status.
//
//   command_setup.c    what prepares a database: init, add, remove, doctor, bootstrap, resync
//   command_operate.c  what looks at it and steers it: status, wait, pause, conflicts, ...
//   command_client.c   asking the running daemon
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "dbsync/config.h"

#ifdef __cplusplus
extern "C" {
#endif

enum command_exit {
    COMMAND_OK,
    COMMAND_FAILED,      // refused or failed
    COMMAND_USAGE,       // wrong usage or configuration
    COMMAND_UNREACHABLE, // the daemon does not answer
    COMMAND_NOT_YET      // wait: time ran out; verify: differences; doctor: errors found
};

struct command_call {
    const struct config *config;
    int argc; // arguments behind the command's name
    char **argv;
    bool is_json, is_dry, is_forced, waits, pulls;
    const char *table, *mode, *granularity, *unique;
    uint64_t limit;      // of lists
    uint64_t timeout_us; // 0: none
    struct door *door;   // open, for commands that need the database
};

enum command_exit command_init(struct command_call *c);
enum command_exit command_add(struct command_call *c);
enum command_exit command_remove(struct command_call *c);
enum command_exit command_doctor(struct command_call *c);
enum command_exit command_bootstrap(struct command_call *c);
enum command_exit command_resync(struct command_call *c);

enum command_exit command_status(struct command_call *c);
enum command_exit command_metrics(struct command_call *c);
enum command_exit command_conflicts(struct command_call *c);
enum command_exit command_parked(struct command_call *c);
enum command_exit command_retry(struct command_call *c);
enum command_exit command_resolve(struct command_call *c);
enum command_exit command_pause(struct command_call *c);
enum command_exit command_resume(struct command_call *c);
enum command_exit command_verify(struct command_call *c);
enum command_exit command_compact(struct command_call *c);
enum command_exit command_gc(struct command_call *c);
enum command_exit command_wait(struct command_call *c);

// ---- helpers ----

// Says on standard error what went wrong, and returns COMMAND_FAILED.
enum command_exit command_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Prints a JSON object (taken over) in one line with --json, else `text` as a line.
enum command_exit command_done(const struct command_call *c, json_t *result, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// The configured peer of a name or number; says when there is none.
const struct config_peer *command_peer(const struct command_call *c, const char *name);
// Sleeps 20 ms and prints `text` as progress when standard error is a terminal (null: clears it). False when the call's
// time is over.
bool command_pause_for(const struct command_call *c, uint64_t started_us, const char *text);
uint64_t command_now_us(void);

// The daemon's answer to one request: the result, which the caller releases, or null with *status set (said on standard
// error unless `is_quiet`).
json_t *command_ask(const struct command_call *c, const char *command, const char *peer, const char *table,
                    bool is_quiet, enum command_exit *status);
// Tells the daemon, if there is one, to look at the database now.
void command_nudge(const struct command_call *c);

#ifdef __cplusplus
}
#endif
