// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "control/config_schema.h"
#include "control/config_units.h"

enum {
    WORD_MAX = 63,     // longer texts are not compared: names have at most 63 letters
    LEVELS_MAX = 8,    // sections inside each other; a static table, far fewer
    MISTAKES_MAX = 3,  // more differences than this are another word
    BEGINNING_MIN = 4, // letters of a word that was cut short
    PATH_CAP = 256
};

const struct config_key *config_schema_find(const struct config_section *section, const char *name)
{
    for (unsigned i = 0; i < section->key_count; i++)
        if (strcmp(section->keys[i].name, name) == 0)
            return &section->keys[i];
    return NULL;
}

static char fold(char c)
{
    return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

// Insertions, deletions, replacements and swaps of neighbours that make `b` from `a`, both at most WORD_MAX long.
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned row[3][WORD_MAX + 1];
    for (unsigned j = 0; j <= b_len; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned *now = row[i % 3], *before = row[(i + 2) % 3], *before_that = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            unsigned differs = fold(a[i - 1]) != fold(b[j - 1]);
            now[j] = least(least(before[j] + 1, now[j - 1] + 1), before[j - 1] + differs);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) && fold(a[i - 2]) == fold(b[j - 1]))
                now[j] = least(now[j], before_that[j - 2] + 1);
        }
    }
    return row[a_len % 3][b_len];
}

// "addr", "addres": cut short rather than mistaken.
static bool is_beginning(const char *name, size_t name_len, const char *candidate, size_t len)
{
    size_t same = 0;
    while (same < name_len && same < len && fold(name[same]) == fold(candidate[same]))
        same++;
    return same == name_len && same >= BEGINNING_MIN;
}

bool config_schema_is_nearer(const char *name, const char *candidate, unsigned *best)
{
    size_t name_len = strlen(name), len = strlen(candidate);
    if (name_len == 0 || name_len > WORD_MAX || len == 0 || len > WORD_MAX)
        return false;
    size_t shorter = name_len < len ? name_len : len;
    unsigned allowed = least(MISTAKES_MAX, shorter <= 3 ? 1 : (unsigned)(shorter + 1) / 3);
    unsigned d = distance(name, name_len, candidate, len);
    if ((d > allowed && !is_beginning(name, name_len, candidate, len)) || d >= *best)
        return false;
    *best = d;
    return true;
}

const char *config_schema_nearest_key(const struct config_section *section, const char *name)
{
    unsigned best = UINT_MAX;
    const char *nearest = NULL;
    for (unsigned i = 0; i < section->key_count; i++)
        if (config_schema_is_nearer(name, section->keys[i].name, &best))
            nearest = section->keys[i].name;
    return nearest;
}

const char *config_schema_nearest_choice(const struct config_choice *choices, const char *name)
{
    unsigned best = UINT_MAX;
    const char *nearest = NULL;
    for (; choices->name; choices++)
        if (config_schema_is_nearer(name, choices->name, &best))
            nearest = choices->name;
    return nearest;
}

static void accepts_choice(const struct config_key *key, char *out, size_t cap)
{
    size_t used = 0;
    out[0] = 0;
    for (const struct config_choice *c = key->choices; c->name && used < cap; c++) {
        const char *before = c == key->choices ? "" : c[1].name ? ", " : " or ";
        used += (size_t)snprintf(out + used, cap - used, "%s\"%s\"", before, c->name);
    }
}

// "a number, 1 to 100" and the like; the ends through `text`, which prints one of them.
static void accepts_range(const struct config_key *key, const char *what, char *(*text)(uint64_t, char *, size_t),
                          char *out, size_t cap)
{
    char low[32], high[32];
    if (key->max)
        snprintf(out, cap, "%s, %s to %s", what, text(key->min, low, sizeof(low)), text(key->max, high, sizeof(high)));
    else
        snprintf(out, cap, "%s", what);
}

static char *number_text(uint64_t number, char *out, size_t cap)
{
    snprintf(out, cap, "%llu", (unsigned long long)number);
    return out;
}

static char *size_text(uint64_t bytes, char *out, size_t cap)
{
    unsigned shift = 0;
    while (shift < 4 && bytes && bytes % 1024 == 0) {
        bytes /= 1024;
        shift++;
    }
    snprintf(out, cap, "%llu%.1s", (unsigned long long)bytes, &"\0KMGT"[shift]);
    return out;
}

static void accepts_text(const struct config_key *key, char *out, size_t cap)
{
    if (key->max == 0)
        snprintf(out, cap, "a text");
    else if (key->min == key->max)
        snprintf(out, cap, "a text of %llu characters", (unsigned long long)key->max);
    else if (key->min > 0)
        snprintf(out, cap, "a text of %llu to %llu characters", (unsigned long long)key->min,
                 (unsigned long long)key->max);
    else
        snprintf(out, cap, "a text of at most %llu characters", (unsigned long long)key->max);
}

char *config_schema_accepts(const struct config_key *key, char *out, size_t cap)
{
    switch (key->type) {
    case CONFIG_KEY_BOOL:
        snprintf(out, cap, "true or false");
        break;
    case CONFIG_KEY_UINT:
        accepts_range(key, "a whole number", number_text, out, cap);
        break;
    case CONFIG_KEY_DURATION:
        accepts_range(key, "a duration", config_duration_text, out, cap);
        break;
    case CONFIG_KEY_TTL:
        accepts_range(key, "seconds or a duration", number_text, out, cap);
        break;
    case CONFIG_KEY_SIZE:
        accepts_range(key, "a size", size_text, out, cap);
        break;
    case CONFIG_KEY_PERCENT:
        snprintf(out, cap, "a percentage, 0 to 100");
        break;
    case CONFIG_KEY_TEXT:
        accepts_text(key, out, cap);
        break;
    case CONFIG_KEY_NAME:
        snprintf(out, cap, "a name: letters, digits, \"-\", \"_\", \".\"; at most 63");
        break;
    case CONFIG_KEY_DNS_NAME:
        snprintf(out, cap, "a DNS name");
        break;
    case CONFIG_KEY_PATH:
        snprintf(out, cap, key->max ? "a path of at most %llu characters" : "a path", (unsigned long long)key->max);
        break;
    case CONFIG_KEY_ADDRESS:
        snprintf(out, cap, "an IPv4 or IPv6 address");
        break;
    case CONFIG_KEY_ENDPOINT:
        snprintf(out, cap, "an address with or without a port: \"192.0.2.1:80\", \"[2001:db8::1]:80\"");
        break;
    case CONFIG_KEY_PREFIX:
        snprintf(out, cap, "a network: \"192.0.2.0/24\", \"2001:db8::/32\"");
        break;
    case CONFIG_KEY_COORDINATES:
        snprintf(out, cap, "latitude and longitude in degrees: ( 52.37, 4.90 )");
        break;
    case CONFIG_KEY_CHOICE:
        accepts_choice(key, out, cap);
        break;
    case CONFIG_KEY_GROUP:
        snprintf(out, cap, "a group { ... }");
        break;
    }
    return out;
}

struct level {
    const struct config_section *section;
    unsigned at;
    size_t path_len;
};

int config_schema_visit(int (*visit)(void *user, const char *path, const struct config_key *key), void *user)
{
    struct level level[LEVELS_MAX] = {{.section = config_schema()}};
    unsigned depth = 0;
    char path[PATH_CAP] = "";
    for (;;) {
        struct level *l = &level[depth];
        if (l->at == l->section->key_count) {
            if (depth-- == 0)
                return 0;
            continue;
        }
        const struct config_key *key = &l->section->keys[l->at++];
        int len = snprintf(path + l->path_len, PATH_CAP - l->path_len, "%s%s", l->path_len ? "." : "", key->name);
        int rc = visit(user, path, key);
        if (rc)
            return rc;
        if (key->type == CONFIG_KEY_GROUP && depth + 1 < LEVELS_MAX)
            level[++depth] = (struct level){.section = key->section, .path_len = l->path_len + (size_t)len};
    }
}

struct choice_search {
    const char *path;
    int value;
    const char *name;
};

static int find_choice(void *user, const char *path, const struct config_key *key)
{
    struct choice_search *s = user;
    if (key->type != CONFIG_KEY_CHOICE || strcmp(path, s->path) != 0)
        return 0;
    for (int i = 0; key->choices[i].name; i++)
        if (i == s->value)
            s->name = key->choices[i].name;
    return 1;
}

const char *config_schema_choice_name(const char *path, int value)
{
    struct choice_search s = {.path = path, .value = value, .name = "?"};
    config_schema_visit(find_choice, &s);
    return s.name;
}
