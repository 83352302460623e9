// SPDX-License-Identifier: Apache-2.0
#include "control/config_change.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PART_CAP = 256, LINE_CAP = 2048 };

static int refuse(struct config_errors *errors, const char *change, const char *why)
{
    config_errors_add(errors, CONFIG_ERROR, "--set", 1, change, NULL, "%s", why);
    return -EINVAL;
}

static const char *name_of(const struct config_value *group)
{
    for (const struct config_value *v = group->child; v; v = v->next)
        if (v->name && strcmp(v->name, "name") == 0 && v->type == CONFIG_VALUE_STRING)
            return v->string;
    return "";
}

static struct config_value *find(struct config_value *in, const char *part)
{
    char *end;
    const unsigned long number = strtoul(part, &end, 10);
    unsigned long at = 0;
    for (struct config_value *v = in->child; v; v = v->next, at++) {
        const bool is_found = in->type == CONFIG_VALUE_LIST
                                  ? (*end == 0 && end != part && at == number) || strcmp(name_of(v), part) == 0
                                  : v->name && strcmp(v->name, part) == 0;
        if (is_found)
            return v;
    }
    return NULL;
}

// The longest element first: names of sites and services have dots in them.
static struct config_value *find_longest(struct config_value *in, const char **path, const char *end)
{
    char part[PART_CAP];
    for (const char *stop = end; stop > *path; stop--) {
        if ((stop != end && *stop != '.') || (size_t)(stop - *path) >= sizeof part)
            continue;
        memcpy(part, *path, (size_t)(stop - *path));
        part[stop - *path] = 0;
        struct config_value *found = find(in, part);
        if (found) {
            *path = stop == end ? stop : stop + 1;
            return found;
        }
    }
    return NULL;
}

// Numbers, truth values, quoted texts, lists and groups are taken as they are; anything else is a text.
static bool is_literal(const char *value)
{
    char *end;
    if (strchr("\"([{", value[0]) || strcmp(value, "true") == 0 || strcmp(value, "false") == 0)
        return value[0] != 0;
    (void)strtod(value, &end);
    return end != value && *end == 0;
}

static void put_into(struct config_value *group, struct config_value *value)
{
    for (struct config_value *v = group->child; v; v = v->next)
        if (v->name && strcmp(v->name, value->name) == 0) {
            struct config_value *next = v->next;
            *v = *value;
            v->next = next;
            return;
        }
    value->next = group->child;
    group->child = value;
    group->child_count++;
}

int config_change_apply(struct config_value *root, const char *change, struct config_file **file,
                        struct config_errors *errors)
{
    char line[LINE_CAP];
    const char *equals = strchr(change, '='), *path = change;
    if (!equals || equals == change)
        return refuse(errors, change, "wanted: PATH=VALUE, such as sites.ams.web.fall=5");
    const char *key = equals;
    while (key > change && key[-1] != '.')
        key--;
    struct config_value *group = root;
    while (path < key) {
        group = find_longest(group, &path, key - 1);
        if (!group)
            return refuse(errors, change, "the path names nothing in the file");
        if (path == key - 1)
            path = key;
    }
    if (group->type != CONFIG_VALUE_GROUP)
        return refuse(errors, change, "the path does not lead to a section");
    const char *quote = is_literal(equals + 1) ? "" : "\"";
    const int len = snprintf(line, sizeof line, "%.*s = %s%s%s;", (int)(equals - key), key, quote, equals + 1, quote);
    if (len >= (int)sizeof line)
        return refuse(errors, change, "the value is too long");
    const int rc = config_file_parse("--set", line, (size_t)len, file, errors);
    if (rc)
        return rc;
    struct config_value *value = config_file_root(*file)->child;
    if (!value)
        return refuse(errors, change, "there is no value");
    put_into(group, value);
    return 0;
}
