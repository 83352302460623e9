// SPDX-License-Identifier: Apache-2.0
// The one table of all keys: section, key, type, range, default, unit, help, and where the value goes in struct config.
//
// It drives reading (config.c), the messages of `check`, docs/configuration.md (config_manual.c) and completion. A new
// key is one row here and one field in config.h. Read-only data; any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The type of a key's value, and the C type of its field.
enum config_key_type {
    CONFIG_KEY_BOOL,        // bool
    CONFIG_KEY_UINT,        // uint32_t
    CONFIG_KEY_DURATION,    // uint64_t, ns
    CONFIG_KEY_TTL,         // uint32_t, s; a number of seconds, or a duration
    CONFIG_KEY_SIZE,        // uint64_t, bytes
    CONFIG_KEY_PERCENT,     // uint32_t
    CONFIG_KEY_TEXT,        // const char *; min, max: length
    CONFIG_KEY_NAME,        // const char *; letters, digits, - _ . at most 63
    CONFIG_KEY_DNS_NAME,    // const char *; presentation form, the final dot removed
    CONFIG_KEY_PATH,        // const char *; made absolute
    CONFIG_KEY_ADDRESS,     // struct config_address
    CONFIG_KEY_ENDPOINT,    // struct config_endpoint
    CONFIG_KEY_PREFIX,      // struct config_prefix
    CONFIG_KEY_COORDINATES, // struct config_coordinates; a list of two numbers
    CONFIG_KEY_CHOICE,      // an enum, stored as int
    CONFIG_KEY_GROUP        // a structure of its own section
};

struct config_choice {
    const char *name; // the value is the place in the table
    const char *help;
};

struct config_section;

struct config_key {
    const char *name;
    enum config_key_type type;
    bool is_list;           // a list of values; the field is a pointer and, at count_at, an unsigned
    bool is_optional_group; // a group that may be absent: stored like a list of at most one
    bool is_required;
    uint64_t min, max;                   // range of numbers, length of texts; max 0: no limit of its own
    unsigned list_max;                   // entries
    const char *default_text;            // as it would be written; null: zero, empty, not set
    const struct config_choice *choices; // ends with a null name
    const struct config_section *section;
    // Only where the key `when` of the same section, which stands above, has one of the values in when_mask.
    const char *when;
    uint32_t when_mask;
    size_t at, count_at; // offsets of the field and of its count
    const char *help;    // sentences for the manual, Markdown
};

struct config_section {
    const char *name; // "sites", for headings and messages
    const char *help;
    size_t size; // of the structure
    const struct config_key *keys;
    unsigned key_count;
    const char *shorthand;   // an entry that is a bare text stands for a group with this key; null: not allowed
    const char *origin_name; // key whose text names the entry in messages ("name"); null: by number
    bool has_origin;         // the structure starts with struct config_origin
};

// The whole file.
const struct config_section *config_schema(void);

const struct config_key *config_schema_find(const struct config_section *section, const char *name);

// The most similar text of a section's keys, or of the choices; null when nothing is near.
const char *config_schema_nearest_key(const struct config_section *section, const char *name);
const char *config_schema_nearest_choice(const struct config_choice *choices, const char *name);

// True when `candidate` is near enough to `name` to be what was meant, and nearer than *best, which is then lowered.
// Start with *best = UINT_MAX.
bool config_schema_is_nearer(const char *name, const char *candidate, unsigned *best);

// "text", "duration, 10ms to 1h", "one of "a", "b"": what the key accepts, for messages and the manual.
char *config_schema_accepts(const struct config_key *key, char *out, size_t cap);

// Visits every key in the order of the manual; `path` is "sites.web.interval". Stops when `visit` returns non-zero and
// returns that.
int config_schema_visit(int (*visit)(void *user, const char *path, const struct config_key *key), void *user);

// How a value of the choice at `path` ("control.log_level", "services.all_down") is written; "?" for anything else.
const char *config_schema_choice_name(const char *path, int value);

#ifdef __cplusplus
}
#endif
