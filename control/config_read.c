// SPDX-License-Identifier: Apache-2.0
#include "control/config_read.h"

#include <stdio.h>
#include <string.h>

#include "control/config_scalar.h"

static void set_origin(struct config_reader *r, const struct config_place *place)
{
    struct config_origin *origin = place->at;
    const struct config_value *v = place->value;
    if (v->file != r->origin_of) {
        const char *name = config_file_name(v->file);
        r->origin_name = config_reader_copy(r, name, strlen(name));
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
    config_place_report(r, CONFIG_ERROR, number, key->name, -1, value, text);
}

static void push_group(struct config_reader *r, uint32_t parent, const struct config_key *key,
                       const struct config_value *value, void *at, int number)
{
    bool fits =
        !value || value->type == CONFIG_VALUE_GROUP || (value->type == CONFIG_VALUE_STRING && key->section->shorthand);
    if (!fits) {
        const char *text = key->section->shorthand ? "a name in double quotes, or a group { ... }, belongs here"
                                                   : "a group { ... } belongs here";
        config_place_report(r, CONFIG_ERROR, parent, key->name, number, value, text);
    }
    // What could not be read becomes a place all the same, so that the checks can name it.
    struct config_place place = {.section = key->section,
                                 .value = fits ? value : NULL,
                                 .at = at,
                                 .parent = parent,
                                 .key = key->name,
                                 .number = number,
                                 .has_bad_choice = !fits};
    config_place_add(r, &place);
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
    config_place_report(r, CONFIG_ERROR, number, key->name, entry, value, why);
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
        config_place_report(r, CONFIG_ERROR, number, key->name, -1, value, text);
        return;
    }
    if (count == 0) {
        if (key->is_required)
            config_place_report(r, CONFIG_ERROR, number, key->name, -1, value,
                                "the list is empty; at least one entry is needed");
        return;
    }
    size_t size = config_scalar_size(key);
    char *array = config_reader_take(r, size * count);
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
    char *group = config_reader_take(r, key->section->size);
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
    const struct config_value *value = config_place_child(place, key->name);
    char *field = (char *)place->at + key->at;
    if (value && !applies(place, key)) {
        refuse_condition(r, number, key, value);
        value = NULL;
    }
    if (!value && key->is_required && place->value)
        config_place_report(r, CONFIG_ERROR, number, key->name, -1, NULL, "is missing");
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
        config_place_report(r, CONFIG_ERROR, number, c->name, -1, c, text);
    }
}

void config_read_tree(struct config_reader *r, const struct config_value *root, struct config *config)
{
    struct config_place top = {.section = config_schema(), .value = root, .at = config, .key = "", .number = -1};
    config_place_add(r, &top);
    // Groups found on the way are added behind and read in their turn.
    for (uint32_t i = 0; i < r->place_count && !r->out_of_memory; i++) {
        const struct config_section *section = r->place[i].section;
        if (section->has_origin && r->place[i].value)
            set_origin(r, &r->place[i]);
        for (unsigned k = 0; k < section->key_count && !r->out_of_memory; k++)
            read_key(r, i, &section->keys[k]);
        refuse_unknown(r, i);
    }
    config_places_sort(r);
}
