// SPDX-License-Identifier: Apache-2.0
#include "control/config_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEVELS_MAX = 8, // places inside each other: as deep as the schema
    PATH_CAP = 512
};

void config_reader_fini(struct config_reader *r)
{
    free(r->place);
    free(r->place_by_at);
    r->place = NULL;
    r->place_by_at = NULL;
}

void *config_reader_take(struct config_reader *r, size_t size)
{
    void *p = config_arena_take(r->arena, size);
    r->out_of_memory = r->out_of_memory || !p;
    return p;
}

const char *config_reader_copy(struct config_reader *r, const char *text, size_t len)
{
    if (len == 0)
        return "";
    char *copy = config_reader_take(r, len + 1);
    if (copy)
        memcpy(copy, text, len);
    return copy;
}

const char *config_reader_path(struct config_reader *r, const char *directory, const char *path)
{
    if (*path == 0 || *path == '/')
        return config_reader_copy(r, path, strlen(path));
    if (strcmp(path, ".") == 0)
        return config_reader_copy(r, directory, strlen(directory));
    size_t cap = strlen(directory) + strlen(path) + 2;
    char *joined = config_reader_take(r, cap);
    if (joined)
        snprintf(joined, cap, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, path);
    return joined;
}

// ---- places and messages ----

bool config_place_add(struct config_reader *r, const struct config_place *place)
{
    if (r->place_count == r->place_cap) {
        uint32_t cap = r->place_cap ? r->place_cap * 2 : 64;
        struct config_place *grown = realloc(r->place, cap * sizeof(*grown));
        if (!grown) {
            r->out_of_memory = true;
            return false;
        }
        r->place = grown;
        r->place_cap = cap;
    }
    r->place[r->place_count++] = *place;
    return true;
}

const struct config_value *config_place_child(const struct config_place *place, const char *name)
{
    const struct config_value *v = place->value;
    if (!v)
        return NULL;
    if (v->type == CONFIG_VALUE_STRING)
        return place->section->shorthand && strcmp(place->section->shorthand, name) == 0 ? v : NULL;
    for (const struct config_value *c = v->child; c; c = c->next)
        if (c->name && strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

static void append(char out[PATH_CAP], const char *text)
{
    size_t len = strlen(out);
    snprintf(out + len, PATH_CAP - len, "%s", text);
}

// ".sites[ams]": an entry of a list by its name where it has one.
static void append_place(char out[PATH_CAP], const struct config_place *place)
{
    char part[160];
    snprintf(part, sizeof(part), "%s%s", *out ? "." : "", place->key);
    append(out, part);
    if (place->number < 0)
        return;
    const struct config_value *name =
        place->section->origin_name ? config_place_child(place, place->section->origin_name) : NULL;
    if (name && name->type == CONFIG_VALUE_STRING && *name->string && strlen(name->string) < 100)
        snprintf(part, sizeof(part), "[%s]", name->string);
    else
        snprintf(part, sizeof(part), "[%d]", place->number);
    append(out, part);
}

static void place_path(const struct config_reader *r, uint32_t number, char out[PATH_CAP])
{
    uint32_t chain[LEVELS_MAX];
    unsigned count = 0;
    while (number != 0 && count < LEVELS_MAX) {
        chain[count++] = number;
        number = r->place[number].parent;
    }
    out[0] = 0;
    while (count > 0)
        append_place(out, &r->place[chain[--count]]);
}

// Place of a problem: the value itself, else the nearest place around it that stands in a file.
static const struct config_value *nearest_value(const struct config_reader *r, uint32_t number,
                                                const struct config_value *value)
{
    while (!value && number != 0) {
        value = r->place[number].value;
        number = r->place[number].parent;
    }
    return value ? value : r->place[0].value;
}

void config_place_report(struct config_reader *r, enum config_error_level level, uint32_t number, const char *key,
                         int entry, const struct config_value *value, const char *text)
{
    char path[PATH_CAP];
    place_path(r, number, path);
    if (key) {
        append(path, *path ? "." : "");
        append(path, key);
    }
    if (key && entry >= 0) {
        char part[32];
        snprintf(part, sizeof(part), "[%d]", entry);
        append(path, part);
    }
    value = nearest_value(r, number, value);
    // The root as a whole has no line of its own.
    unsigned line = value == r->place[0].value ? 0 : value->line;
    config_errors_add(r->errors, level, config_file_name(value->file), line, *path ? path : NULL,
                      line ? config_file_line(value->file, line) : NULL, "%s", text);
}

static int compare_at(const void *a, const void *b, void *user)
{
    const struct config_reader *r = user;
    uintptr_t x = (uintptr_t)r->place[*(const uint32_t *)a].at, y = (uintptr_t)r->place[*(const uint32_t *)b].at;
    return x < y ? -1 : x > y;
}

void config_places_sort(struct config_reader *r)
{
    r->place_by_at = malloc(r->place_count * sizeof(*r->place_by_at));
    if (!r->place_by_at) {
        r->out_of_memory = true;
        return;
    }
    for (uint32_t i = 0; i < r->place_count; i++)
        r->place_by_at[i] = i;
    qsort_r(r->place_by_at, r->place_count, sizeof(*r->place_by_at), compare_at, r);
}

// Number of the place of the structure `at`. No two places have the same address: no section starts with a group.
static uint32_t place_of(const struct config_reader *r, const void *at)
{
    uint32_t low = 0, high = r->place_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if ((uintptr_t)r->place[r->place_by_at[middle]].at < (uintptr_t)at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == r->place_count || r->place[r->place_by_at[low]].at != at)
        abort(); // a check named something that was never read
    return r->place_by_at[low];
}

const struct config_value *config_reader_given(const struct config_reader *r, const void *at, const char *key)
{
    return config_place_child(&r->place[place_of(r, at)], key);
}

void config_report(struct config_reader *r, enum config_error_level level, const void *at, const char *key,
                   const char *format, ...)
{
    char text[CONFIG_ERROR_TEXT_CAP];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    uint32_t number = place_of(r, at);
    config_place_report(r, level, number, key, -1, key ? config_place_child(&r->place[number], key) : NULL, text);
}

void config_report_entry(struct config_reader *r, enum config_error_level level, const void *at, const char *key,
                         unsigned number, const char *format, ...)
{
    char text[CONFIG_ERROR_TEXT_CAP];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    uint32_t place = place_of(r, at);
    const struct config_value *value = config_place_child(&r->place[place], key);
    if (value && value->type == CONFIG_VALUE_LIST) {
        const struct config_value *entry = value->child;
        for (unsigned i = 0; i < number && entry; i++)
            entry = entry->next;
        value = entry ? entry : value;
    }
    config_place_report(r, level, place, key, (int)number, value, text);
}
