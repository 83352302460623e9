// SPDX-License-Identifier: Apache-2.0
// Messages of the daemon on standard error, one line each; with the prefix that systemd reads (sd-daemon(3)) when that
// is its journal. Any thread may call; a line is one write(2).
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum { LOG_LINE_CAP = 2048 }; // longer messages are cut

void log_setup(enum log_level most); // before it is called: INFO
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
