// SPDX-License-Identifier: Apache-2.0
#include "dataplane/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LINE_CAP = 1024 };

static enum log_level log_most = LOG_LEVEL_NOTICE;
static bool log_is_journal;

void log_init(enum log_level most)
{
    log_most = most;
    log_is_journal = getenv("JOURNAL_STREAM") != NULL;
}

static const char *level_word(enum log_level level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "error: ";
    case LOG_LEVEL_WARNING:
        return "warning: ";
    case LOG_LEVEL_NOTICE:
    case LOG_LEVEL_INFO:
        return "";
    case LOG_LEVEL_DEBUG:
        return "debug: ";
    }
    return "";
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level > log_most)
        return;
    char line[LINE_CAP];
    int at = log_is_journal ? snprintf(line, sizeof line, "<%d>", (int)level)
                            : snprintf(line, sizeof line, "%s: %s", program_invocation_short_name, level_word(level));
    va_list list;
    va_start(list, format);
    int len = vsnprintf(line + at, sizeof line - (size_t)at - 1, format, list);
    va_end(list);
    if (len < 0)
        return;
    size_t end = (size_t)at + (size_t)len;
    if (end > sizeof line - 2) // cut, not lost
        end = sizeof line - 2;
    line[end++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, end);
    (void)written; // nowhere left to complain
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ns, uint64_t *dropped)
{
    if (now_ns < limit->next_ns) {
        limit->dropped++;
        return false;
    }
    *dropped = limit->dropped;
    limit->dropped = 0;
    limit->next_ns = now_ns + 1000000000u;
    return true;
}

uint64_t log_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
