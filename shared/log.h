// SPDX-License-Identifier: Apache-2.0
// Messages of the daemons for people and for log collectors, on standard error, one line each.
//
// Text lines carry the severity prefix that systemd reads (sd-daemon(3)) when standard error is its journal; JSON lines
// are one object each. Any thread may call, but no worker's loop; a line is one write(2), so lines never mix.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum log_level {
    LOG_LEVEL_ERROR = 3, // syslog's numbers
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7
};

enum { LOG_LINE_CAP = 2048 }; // longer messages are cut

// Messages above this level are dropped. Before it is called: INFO, text.
void log_setup(enum log_level most, bool is_json);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

// At most one message per second and place; how many were left out is said with the next. One thread per place.
struct log_limit {
    uint64_t next_ns, dropped;
};

// True when the caller may write now; *dropped is the number of calls refused since the last true.
bool log_limit_pass(struct log_limit *limit, uint64_t now_ns, uint64_t *dropped);

// CLOCK_MONOTONIC in nanoseconds.
uint64_t log_now_ns(void);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
