// SPDX-License-Identifier: Apache-2.0
#include "shared/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shared/clock.h"

// Written by log_setup before there are threads, and by a reload; a torn read of one of them is harmless.
static int most_level = LOG_LEVEL_INFO;
static bool writes_json, has_journal;

static const char *const level_names[] = {"emergency", "alert",  "critical", "error",
                                          "warning",   "notice", "info",     "debug"};

void log_setup(enum log_level most, bool is_json)
{
    most_level = most;
    writes_json = is_json;
    has_journal = getenv("JOURNAL_STREAM") != NULL;
}

// Appends `text` as the inside of a JSON string (RFC 8259 section 7); cuts at `cap`.
static size_t put_json_text(char *out, size_t at, size_t cap, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p && at + 7 < cap; p++) {
        if (*p == '"' || *p == '\\') {
            out[at++] = '\\';
            out[at++] = (char)*p;
        } else if (*p < 0x20) {
            at += (size_t)snprintf(out + at, cap - at, "\\u%04x", *p);
        } else {
            out[at++] = (char)*p;
        }
    }
    return at;
}

static size_t put_json(char *out, size_t cap, enum log_level level, const char *message)
{
    struct timespec now;
    struct tm utc;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    size_t at = (size_t)snprintf(out, cap, "{\"time\":\"%s.%06ldZ\",\"level\":\"%s\",\"message\":\"", stamp,
                                 now.tv_nsec / 1000, level_names[level & 7]);
    at = put_json_text(out, at, cap - 4, message);
    memcpy(out + at, "\"}\n", 3);
    return at + 3;
}

static size_t put_text(char *out, size_t cap, enum log_level level, const char *message)
{
    const int n = has_journal ? snprintf(out, cap, "<%d>%s\n", level, message)
                              : snprintf(out, cap, "%s: %s: %s\n", program_invocation_short_name,
                                         level_names[level & 7], message);
    if (n < (int)cap)
        return (size_t)n;
    out[cap - 2] = '\n';
    return cap - 1;
}

void log_write(enum log_level level, const char *format, ...)
{
    if ((int)level > most_level)
        return;
    char message[LOG_LINE_CAP], line[2 * LOG_LINE_CAP];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    for (char *p = message; *p; p++) // one message is one line, whatever a peer or a file put into it
        *p = *p == '\n' || *p == '\r' ? ' ' : *p;
    const size_t len =
        writes_json ? put_json(line, sizeof line, level, message) : put_text(line, sizeof line, level, message);
    if (write(STDERR_FILENO, line, len) < 0)
        return; // nobody is left to be told
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
    return clock_ns(CLOCK_MONOTONIC);
}
