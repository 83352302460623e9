// SPDX-License-Identifier: Apache-2.0
#include "control/config_scalar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "table/name.h"

enum { QUOTE_CAP = 96, ACCEPTS_CAP = 256 };

static const uint64_t second_ns = 1000000000;

// A value as messages show it: bounded, without control characters.
static const char *value_text(const struct config_value *value, char out[QUOTE_CAP])
{
    switch (value->type) {
    case CONFIG_VALUE_GROUP:
        return "a group";
    case CONFIG_VALUE_LIST:
        return "a list";
    case CONFIG_VALUE_BOOL:
        return value->number ? "true" : "false";
    case CONFIG_VALUE_INT:
        snprintf(out, QUOTE_CAP, "%lld", (long long)value->number);
        return out;
    case CONFIG_VALUE_FLOAT:
        snprintf(out, QUOTE_CAP, "%g", value->real);
        return out;
    case CONFIG_VALUE_STRING:
        break;
    }
    bool is_long = strlen(value->string) > 80;
    snprintf(out, QUOTE_CAP, "\"%.80s%s\"", value->string, is_long ? "..." : "");
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    return out;
}

// Writes "VALUE FAULT; allowed: ..." and returns false.
static bool refuse(const struct config_key *key, const struct config_value *value, const char *fault,
                   char why[CONFIG_WHY_CAP])
{
    char quote[QUOTE_CAP], accepts[ACCEPTS_CAP];
    snprintf(why, CONFIG_WHY_CAP, "%s %s; allowed: %s", value_text(value, quote), fault,
             config_schema_accepts(key, accepts, sizeof(accepts)));
    return false;
}

static bool in_range(const struct config_key *key, uint64_t number)
{
    return key->max == 0 || (number >= key->min && number <= key->max);
}

// A whole number that is not negative, into *number.
static bool read_number(const struct config_key *key, const struct config_value *value, uint64_t *number, char *why)
{
    if (value->type == CONFIG_VALUE_STRING)
        return refuse(key, value, "is a text; write the number without quotes", why);
    if (value->type != CONFIG_VALUE_INT)
        return refuse(key, value, "is not a whole number", why);
    if (value->is_hex)
        return refuse(key, value, "is written in hexadecimal, of which only 32 bits would be read; write it in decimal",
                      why);
    if (value->number < 0)
        return refuse(key, value, "is negative", why);
    *number = (uint64_t)value->number;
    return true;
}

static bool read_uint(const struct config_key *key, const struct config_value *value, uint32_t *field, char *why)
{
    uint64_t number;
    if (!read_number(key, value, &number, why))
        return false;
    if (!in_range(key, number) || number > UINT32_MAX)
        return refuse(key, value, "is out of range", why);
    *field = (uint32_t)number;
    return true;
}

static bool read_duration(const struct config_key *key, const struct config_value *value, uint64_t *field, char *why)
{
    uint64_t ns = 0;
    bool is_zero = value->type == CONFIG_VALUE_INT && value->number == 0;
    if (value->type == CONFIG_VALUE_INT && !is_zero)
        return refuse(key, value, "has no unit; write a text such as \"500ms\" or \"2h\"", why);
    if (value->type != CONFIG_VALUE_STRING && !is_zero)
        return refuse(key, value, "is not a duration; write a text such as \"500ms\" or \"2h\"", why);
    int rc = is_zero ? 0 : config_parse_duration(value->string, &ns);
    if (rc == -EINVAL)
        return refuse(key, value, "is not a duration; units are ns, us, ms, s, m, h, d, w", why);
    if (rc || !in_range(key, ns))
        return refuse(key, value, "is out of range", why);
    *field = ns;
    return true;
}

static bool read_ttl(const struct config_key *key, const struct config_value *value, uint32_t *field, char *why)
{
    uint64_t seconds, ns;
    if (value->type == CONFIG_VALUE_STRING) {
        if (config_parse_duration(value->string, &ns))
            return refuse(key, value, "is not a duration", why);
        if (ns % second_ns)
            return refuse(key, value, "is not a whole number of seconds", why);
        seconds = ns / second_ns;
    } else if (!read_number(key, value, &seconds, why)) {
        return false;
    }
    if (!in_range(key, seconds))
        return refuse(key, value, "is out of range", why);
    *field = (uint32_t)seconds;
    return true;
}

static bool read_size(const struct config_key *key, const struct config_value *value, uint64_t *field, char *why)
{
    uint64_t bytes;
    int rc = 0;
    if (value->type == CONFIG_VALUE_STRING)
        rc = config_parse_size(value->string, &bytes);
    else if (!read_number(key, value, &bytes, why))
        return false;
    if (rc == -EINVAL)
        return refuse(key, value, "is not a size; write bytes, or a text such as \"64K\" or \"16M\"", why);
    if (rc || !in_range(key, bytes))
        return refuse(key, value, "is out of range", why);
    *field = bytes;
    return true;
}

static bool read_percent(const struct config_key *key, const struct config_value *value, uint32_t *field, char *why)
{
    uint64_t number;
    if (value->type == CONFIG_VALUE_STRING) {
        int rc = config_parse_percent(value->string, field);
        return rc == 0 || refuse(key, value, rc == -ERANGE ? "is out of range" : "is not a whole percentage", why);
    }
    if (!read_number(key, value, &number, why))
        return false;
    if (number > 100)
        return refuse(key, value, "is out of range", why);
    *field = (uint32_t)number;
    return true;
}

static bool is_name(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
    size_t len = strlen(text);
    return len >= 1 && len <= 63 && strspn(text, letters) == len;
}

static bool read_dns_name(struct config_reader *r, const struct config_key *key, const struct config_value *value,
                          const char **field, char *why)
{
    uint8_t wire[NAME_MAX_LEN];
    size_t len = strlen(value->string);
    if (len == 0 && !key->is_required) {
        *field = "";
        return true;
    }
    if (name_from_text(wire, value->string) < 0)
        return refuse(key, value, "is not a DNS name (labels of 1 to 63 octets, 255 octets in all)", why);
    // Through the wire, so that each name has one spelling: escapes as this program writes them, no final dot.
    char text[NAME_TEXT_CAP];
    name_to_text(text, wire);
    len = strlen(text);
    *field = config_reader_copy(r, text, len > 1 ? len - 1 : len);
    return true;
}

static bool read_text(struct config_reader *r, const struct config_key *key, const struct config_value *value,
                      const char **field, char *why)
{
    size_t len = strlen(value->string);
    if (len < key->min)
        return refuse(key, value, len == 0 ? "is empty" : "is too short", why);
    if (key->max && len > key->max)
        return refuse(key, value, "is too long", why);
    *field = config_reader_copy(r, value->string, len);
    return true;
}

static bool read_path(struct config_reader *r, const struct config_key *key, const struct config_value *value,
                      const char **field, char *why)
{
    const char *path = config_reader_path(r, r->directory, value->string);
    if (key->max && path && strlen(path) > key->max) {
        refuse(key, value, "becomes too long a path (the limit of Unix sockets)", why);
        return false;
    }
    *field = path;
    return true;
}

static bool read_choice(const struct config_key *key, const struct config_value *value, int *field, char *why)
{
    for (int i = 0; key->choices[i].name; i++)
        if (strcmp(key->choices[i].name, value->string) == 0) {
            *field = i;
            return true;
        }
    const char *nearest = config_schema_nearest_choice(key->choices, value->string);
    char fault[128];
    snprintf(fault, sizeof(fault), nearest ? "is not known, did you mean \"%s\"?" : "is not known", nearest);
    return refuse(key, value, fault, why);
}

// The types that are written as a text.
static bool read_from_string(struct config_reader *r, const struct config_key *key, const struct config_value *value,
                             void *field, char *why)
{
    const char *text = value->string;
    bool may_be_empty = !key->is_list && !key->is_required;
    switch (key->type) {
    case CONFIG_KEY_TEXT:
        return read_text(r, key, value, field, why);
    case CONFIG_KEY_NAME:
        if (!is_name(text) && !(may_be_empty && !*text))
            return refuse(key, value, "is not a name", why);
        *(const char **)field = config_reader_copy(r, text, strlen(text));
        return true;
    case CONFIG_KEY_DNS_NAME:
        return read_dns_name(r, key, value, field, why);
    case CONFIG_KEY_PATH:
        return read_path(r, key, value, field, why);
    case CONFIG_KEY_ADDRESS:
        return (may_be_empty && !*text) || config_parse_address(text, field) == 0 ||
               refuse(key, value, "is not an address", why);
    case CONFIG_KEY_ENDPOINT:
        if (may_be_empty && !*text) {
            *(struct config_endpoint *)field = (struct config_endpoint){0};
            return true;
        }
        return config_parse_endpoint(text, field) == 0 ||
               refuse(key, value, "is not an address, nor an address and a port", why);
    case CONFIG_KEY_PREFIX:
        return config_parse_prefix(text, field) == 0 ||
               refuse(key, value, "is not a network, or has bits set behind its length", why);
    case CONFIG_KEY_CHOICE:
        return read_choice(key, value, field, why);
    case CONFIG_KEY_BOOL:
    case CONFIG_KEY_UINT:
    case CONFIG_KEY_DURATION:
    case CONFIG_KEY_TTL:
    case CONFIG_KEY_SIZE:
    case CONFIG_KEY_PERCENT:
    case CONFIG_KEY_COORDINATES:
    case CONFIG_KEY_GROUP:
        break;
    }
    abort(); // the caller passes the types above only
}

static bool read_degrees(const struct config_value *value, double limit, double *degrees)
{
    if (value->type != CONFIG_VALUE_INT && value->type != CONFIG_VALUE_FLOAT)
        return false;
    *degrees = value->type == CONFIG_VALUE_INT ? (double)value->number : value->real;
    return *degrees >= -limit && *degrees <= limit;
}

static bool read_coordinates(const struct config_key *key, const struct config_value *value,
                             struct config_coordinates *field, char *why)
{
    struct config_coordinates c = {.is_set = true};
    if (value->type != CONFIG_VALUE_LIST || value->child_count != 2 || !read_degrees(value->child, 90, &c.latitude) ||
        !read_degrees(value->child->next, 180, &c.longitude))
        return refuse(key, value, "is not a pair of degrees, within 90 and within 180", why);
    *field = c;
    return true;
}

bool config_scalar_read(struct config_reader *r, const struct config_key *key, const struct config_value *value,
                        void *field, char why[CONFIG_WHY_CAP])
{
    switch (key->type) {
    case CONFIG_KEY_BOOL:
        if (value->type != CONFIG_VALUE_BOOL)
            return refuse(key, value, "is neither; write true or false, without quotes", why);
        *(bool *)field = value->number != 0;
        return true;
    case CONFIG_KEY_UINT:
        return read_uint(key, value, field, why);
    case CONFIG_KEY_DURATION:
        return read_duration(key, value, field, why);
    case CONFIG_KEY_TTL:
        return read_ttl(key, value, field, why);
    case CONFIG_KEY_SIZE:
        return read_size(key, value, field, why);
    case CONFIG_KEY_PERCENT:
        return read_percent(key, value, field, why);
    case CONFIG_KEY_COORDINATES:
        return read_coordinates(key, value, field, why);
    case CONFIG_KEY_TEXT:
    case CONFIG_KEY_NAME:
    case CONFIG_KEY_DNS_NAME:
    case CONFIG_KEY_PATH:
    case CONFIG_KEY_ADDRESS:
    case CONFIG_KEY_ENDPOINT:
    case CONFIG_KEY_PREFIX:
    case CONFIG_KEY_CHOICE:
        break;
    case CONFIG_KEY_GROUP:
        abort(); // groups are places, not scalars
    }
    if (value->type != CONFIG_VALUE_STRING)
        return refuse(key, value, "is not a text in double quotes", why);
    return read_from_string(r, key, value, field, why);
}

void config_scalar_default(struct config_reader *r, const struct config_key *key, void *field)
{
    const char *text = key->default_text;
    struct config_value value = {.type = CONFIG_VALUE_STRING, .string = text};
    if (key->type == CONFIG_KEY_BOOL)
        value = (struct config_value){.type = CONFIG_VALUE_BOOL, .number = strcmp(text, "true") == 0};
    else if (key->type == CONFIG_KEY_UINT ||
             (key->type == CONFIG_KEY_TTL && strspn(text, "0123456789") == strlen(text)))
        value = (struct config_value){.type = CONFIG_VALUE_INT, .number = strtoll(text, NULL, 10)};
    char why[CONFIG_WHY_CAP];
    if (!config_scalar_read(r, key, &value, field, why) && !r->out_of_memory) {
        fprintf(stderr, "configuration table: the default of \"%s\": %s\n", key->name, why);
        abort(); // our own mistake, which any start and every test would show
    }
}

size_t config_scalar_size(const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_KEY_BOOL:
        return sizeof(bool);
    case CONFIG_KEY_UINT:
    case CONFIG_KEY_TTL:
    case CONFIG_KEY_PERCENT:
        return sizeof(uint32_t);
    case CONFIG_KEY_DURATION:
    case CONFIG_KEY_SIZE:
        return sizeof(uint64_t);
    case CONFIG_KEY_TEXT:
    case CONFIG_KEY_NAME:
    case CONFIG_KEY_DNS_NAME:
    case CONFIG_KEY_PATH:
        return sizeof(const char *);
    case CONFIG_KEY_ADDRESS:
        return sizeof(struct config_address);
    case CONFIG_KEY_ENDPOINT:
        return sizeof(struct config_endpoint);
    case CONFIG_KEY_PREFIX:
        return sizeof(struct config_prefix);
    case CONFIG_KEY_COORDINATES:
        return sizeof(struct config_coordinates);
    case CONFIG_KEY_CHOICE:
        return sizeof(int);
    case CONFIG_KEY_GROUP:
        return key->section->size;
    }
    abort();
}
