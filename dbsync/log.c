// SPDX-License-Identifier: Apache-2.0
#include "dbsync/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int most_level = LOG_LEVEL_INFO; // set before there are threads

void log_setup(enum log_level most)
{
    most_level = most;
}

void log_write(enum log_level level, const char *format, ...)
{
    static const char *const name[] = {"", "", "", "error", "warning", "notice", "info", "debug"};
    char message[LOG_LINE_CAP], line[LOG_LINE_CAP + 64];
    if ((int)level > most_level)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    for (char *p = message; *p; p++) // one message is one line, whatever a peer or a database put into it
        *p = *p == '\n' || *p == '\r' ? ' ' : *p;
    int len = getenv("JOURNAL_STREAM") ? snprintf(line, sizeof line, "<%d>%s\n", level, message)
                                       : snprintf(line, sizeof line, "signpost-dbsync: %s: %s\n", name[level], message);
    if (write(STDERR_FILENO, line, (size_t)len) < 0)
        return; // nobody is left to be told
}
