// SPDX-License-Identifier: Apache-2.0
#include "control/config_read.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_SIZE = 64 << 10, // of the arena
    LEVELS_MAX = 8,        // places inside each other: as deep as the schema
    PATH_CAP = 512
};

// ---- memory ----

struct config_chunk {
    struct config_chunk *next;
    size_t used, cap;
    char bytes[] __attribute__((aligned(16)));
};

void *config_arena_take(struct config_arena *arena, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    struct config_chunk *c = arena->chunk;
    if (!c || c->cap - c->used < size) {
        size_t cap = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        c = calloc(1, sizeof(*c) + cap);
        if (!c)
            return NULL;
        c->cap = cap;
        c->next = arena->chunk;
        arena->chunk = c;
    }
    void *p = c->bytes + c->used;
    c->used += size;
    return p;
}

void config_arena_free(struct config_arena *arena)
{
    while (arena->chunk) {
        struct config_chunk *c = arena->chunk;
        arena->chunk = c->next;
        free(c);
    }
}

void *config_read_take(struct config_reader *r, size_t size)
{
    void *p = config_arena_take(r->arena, size);
    r->out_of_memory = r->out_of_memory || !p;
    return p;
}

const char *config_read_copy(struct config_reader *r, const char *text, size_t len)
{
    if (len == 0)
        return "";
    char *copy = config_read_take(r, len + 1);
    if (copy)
        memcpy(copy, text, len);
    return copy;
}

const char *config_read_path(struct config_reader *r, const char *directory, const char *path)
{
    if (*path == 0 || *path == '/')
        return config_read_copy(r, path, strlen(path));
    if (strcmp(path, ".") == 0)
        return config_read_copy(r, directory, strlen(directory));
    size_t cap = strlen(directory) + strlen(path) + 2;
    char *joined = config_read_take(r, cap);
    if (joined)
        snprintf(joined, cap, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, path);
    return joined;
}

// ---- places and messages ----

static bool add_place(struct config_reader *r, const struct config_place *place)
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

// The child of a place's value; a bare text is the value of the section's shorthand key.
static const struct config_value *child_of(const struct config_place *place, const char *name)
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
    const struct config_value *name = place->section->origin_name ? child_of(place, place->section->origin_name) : NULL;
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

static void report(struct config_reader *r, enum config_error_level level, uint32_t number, const char *key, int entry,
                   const struct config_value *value, const char *text)
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

static void sort_places(struct config_reader *r)
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

const struct config_value *config_read_given(const struct config_reader *r, const void *at, const char *key)
{
    return child_of(&r->place[place_of(r, at)], key);
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
    report(r, level, number, key, -1, key ? child_of(&r->place[number], key) : NULL, text);
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
    const struct config_value *value = child_of(&r->place[place], key);
    if (value && value->type == CONFIG_VALUE_LIST) {
        const struct config_value *entry = value->child;
        for (unsigned i = 0; i < number && entry; i++)
            entry = entry->next;
        value = entry ? entry : value;
    }
    report(r, level, place, key, (int)number, value, text);
}

// ---- the walk ----

static void set_origin(struct config_reader *r, const struct config_place *place)
{
    struct config_origin *origin = place->at;
    const struct config_value *v = place->value;
    if (v->file != r->origin_of) {
        const char *name = config_file_name(v->file);
        r->origin_name = config_read_copy(r, name, strlen(name));
        r->origin_of = v->file;
    }
    *origin = (struct config_origin){.file = r->origin_name, .line = v->line};
}

// True when the key `when` has one of the wanted values.
static bool applies(const struct config_place *place, const struct config_key *key)
{
    if (!key->when)
        return true;
    const struct config_key *on = config_schema_find(place->section, key->when);
    int choice;
    memcpy(&choice, (const char *)place->at + on->at, sizeof(choice));
    return key->when_mask >> choice & 1;
}

// "only together with probe = "http" or "https""
static void refuse_condition(struct config_reader *r, uint32_t number, const struct config_key *key,
                             const struct config_value *value)
{
    if (r->place[number].has_bad_choice)
        return;
    const struct config_key *on = config_schema_find(r->place[number].section, key->when);
    char text[CONFIG_ERROR_TEXT_CAP];
    int used = snprintf(text, sizeof(text), "only together with %s =", on->name);
    bool is_first = true;
    for (unsigned i = 0; on->choices[i].name && used < (int)sizeof(text); i++) {
        if (!(key->when_mask >> i & 1))
            continue;
        used += snprintf(text + used, sizeof(text) - (size_t)used, "%s\"%s\"", is_first ? " " : " or ",
                         on->choices[i].name);
        is_first = false;
    }
    report(r, CONFIG_ERROR, number, key->name, -1, value, text);
}

static void push_group(struct config_reader *r, uint32_t parent, const struct config_key *key,
                       const struct config_value *value, void *at, int number)
{
    bool fits =
        !value || value->type == CONFIG_VALUE_GROUP || (value->type == CONFIG_VALUE_STRING && key->section->shorthand);
    if (!fits) {
        const char *text = key->section->shorthand ? "a name in double quotes, or a group { ... }, belongs here"
                                                   : "a group { ... } belongs here";
        report(r, CONFIG_ERROR, parent, key->name, number, value, text);
    }
    // What could not be read becomes a place all the same, so that the checks can name it.
    struct config_place place = {.section = key->section,
                                 .value = fits ? value : NULL,
                                 .at = at,
                                 .parent = parent,
                                 .key = key->name,
                                 .number = number,
                                 .has_bad_choice = !fits};
    add_place(r, &place);
}

static void read_one(struct config_reader *r, uint32_t number, const struct config_key *key,
                     const struct config_value *value, void *field, int entry)
{
    char why[CONFIG_WHY_CAP];
    if (key->type == CONFIG_KEY_GROUP) {
        push_group(r, number, key, value, field, entry);
        return;
    }
    if (config_scalar_read(r, key, value, field, why) || r->out_of_memory)
        return;
    report(r, CONFIG_ERROR, number, key->name, entry, value, why);
    if (key->type == CONFIG_KEY_CHOICE)
        r->place[number].has_bad_choice = true;
}

// A list, or a single value in place of a list of one.
static void read_list(struct config_reader *r, uint32_t number, const struct config_key *key,
                      const struct config_value *value)
{
    bool is_list = value->type == CONFIG_VALUE_LIST;
    unsigned count = is_list ? value->child_count : 1;
    if (count > key->list_max) {
        char text[96];
        snprintf(text, sizeof(text), "%u entries; allowed: at most %u", count, key->list_max);
        report(r, CONFIG_ERROR, number, key->name, -1, value, text);
        return;
    }
    if (count == 0) {
        if (key->is_required)
            report(r, CONFIG_ERROR, number, key->name, -1, value, "the list is empty; at least one entry is needed");
        return;
    }
    size_t size = config_scalar_size(key);
    char *array = config_read_take(r, size * count);
    if (!array)
        return;
    char *at = r->place[number].at;
    memcpy(at + key->at, &array, sizeof(array));
    memcpy(at + key->count_at, &count, sizeof(count));
    const struct config_value *entry = is_list ? value->child : value;
    for (unsigned i = 0; i < count && entry; i++, entry = entry->next)
        read_one(r, number, key, entry, array + i * size, (int)i);
}

static void read_optional_group(struct config_reader *r, uint32_t number, const struct config_key *key,
                                const struct config_value *value)
{
    char *group = config_read_take(r, key->section->size);
    if (!group)
        return;
    unsigned one = 1;
    char *at = r->place[number].at;
    memcpy(at + key->at, &group, sizeof(group));
    memcpy(at + key->count_at, &one, sizeof(one));
    push_group(r, number, key, value, group, -1);
}

static void read_key(struct config_reader *r, uint32_t number, const struct config_key *key)
{
    const struct config_place *place = &r->place[number];
    const struct config_value *value = child_of(place, key->name);
    char *field = (char *)place->at + key->at;
    if (value && !applies(place, key)) {
        refuse_condition(r, number, key, value);
        value = NULL;
    }
    if (!value && key->is_required && place->value)
        report(r, CONFIG_ERROR, number, key->name, -1, NULL, "is missing");
    if (key->type == CONFIG_KEY_GROUP && !key->is_list && !key->is_optional_group) {
        push_group(r, number, key, value, field, -1);
        return;
    }
    if (!key->is_list && !key->is_optional_group && key->default_text)
        config_scalar_default(r, key, field);
    if (!value)
        return;
    if (key->is_optional_group)
        read_optional_group(r, number, key, value);
    else if (key->is_list)
        read_list(r, number, key, value);
    else
        read_one(r, number, key, value, field, -1);
}

static void refuse_unknown(struct config_reader *r, uint32_t number)
{
    const struct config_value *v = r->place[number].value;
    const struct config_section *section = r->place[number].section;
    if (!v || v->type != CONFIG_VALUE_GROUP)
        return;
    for (const struct config_value *c = v->child; c; c = c->next) {
        if (!c->name || config_schema_find(section, c->name))
            continue;
        const char *nearest = config_schema_nearest_key(section, c->name);
        char text[192];
        if (nearest)
            snprintf(text, sizeof(text), "unknown key; did you mean \"%s\"?", nearest);
        else
            snprintf(text, sizeof(text), "unknown key");
        report(r, CONFIG_ERROR, number, c->name, -1, c, text);
    }
}

void config_read_tree(struct config_reader *r, const struct config_value *root, struct config *config)
{
    struct config_place top = {.section = config_schema(), .value = root, .at = config, .key = "", .number = -1};
    add_place(r, &top);
    // Groups found on the way are added behind and read in their turn.
    for (uint32_t i = 0; i < r->place_count && !r->out_of_memory; i++) {
        const struct config_section *section = r->place[i].section;
        if (section->has_origin && r->place[i].value)
            set_origin(r, &r->place[i]);
        for (unsigned k = 0; k < section->key_count && !r->out_of_memory; k++)
            read_key(r, i, &section->keys[k]);
        refuse_unknown(r, i);
    }
    sort_places(r);
}

void config_read_fini(struct config_reader *r)
{
    free(r->place);
    free(r->place_by_at);
    r->place = NULL;
    r->place_by_at = NULL;
}
