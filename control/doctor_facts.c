// SPDX-License-Identifier: Apache-2.0
#include "control/doctor_facts.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_CAP = 512 };

const char *doctor_level_name(enum doctor_level level)
{
    switch (level) {
    case DOCTOR_OK:
        return "ok";
    case DOCTOR_NOTE:
        return "note";
    case DOCTOR_WARNING:
        return "warning";
    case DOCTOR_BAD:
        return "bad";
    }
    return "?";
}

void doctor_find(struct doctor *d, enum doctor_level level, const char *topic, const char *remedy, const char *format,
                 ...)
{
    char text[TEXT_CAP];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    d->count[level]++;
    json_array_append_new(d->findings, json_pack("{s:s, s:s, s:s, s:s}", "topic", topic, "level",
                                                 doctor_level_name(level), "text", text, "remedy", remedy));
}

static void join(const struct doctor *d, const char *path, char whole[PATH_MAX])
{
    snprintf(whole, PATH_MAX, "%s%s", d->root, path);
}

const char *doctor_read(const struct doctor *d, const char *path, char *text, size_t cap)
{
    char whole[PATH_MAX];
    join(d, path, whole);
    text[0] = 0;
    FILE *f = fopen(whole, "re");
    if (!f)
        return text;
    if (!fgets(text, (int)cap, f))
        text[0] = 0;
    text[strcspn(text, "\n")] = 0;
    fclose(f);
    return text;
}

long doctor_number(const struct doctor *d, const char *path, long otherwise)
{
    char text[64], *end;
    doctor_read(d, path, text, sizeof text);
    const long value = strtol(text, &end, 10);
    return end == text ? otherwise : value;
}

bool doctor_has(const struct doctor *d, const char *path)
{
    char whole[PATH_MAX];
    join(d, path, whole);
    return access(whole, F_OK) == 0;
}

const char *doctor_link(const struct doctor *d, const char *path, char *text, size_t cap)
{
    char whole[PATH_MAX], target[PATH_MAX];
    join(d, path, whole);
    text[0] = 0;
    const ssize_t n = readlink(whole, target, sizeof target - 1);
    if (n <= 0)
        return text;
    target[n] = 0;
    const char *slash = strrchr(target, '/');
    snprintf(text, cap, "%s", slash ? slash + 1 : target);
    return text;
}

bool doctor_is_listed(const char *list, unsigned n)
{
    while (*list) { // each turn consumes a character at least
        char *end;
        const unsigned long first = strtoul(list, &end, 10);
        if (end == list)
            return false;
        unsigned long last = first;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        if (n >= first && n <= last)
            return true;
        list = *end == ',' ? end + 1 : end;
        if (*end && *end != ',')
            return false;
    }
    return false;
}
