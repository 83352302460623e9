// SPDX-License-Identifier: Apache-2.0
// Private to control/config*.c: from the tree of values to struct config by the schema, and messages about places.
//
// Every structure that was read is a `place`: where in the tree it stood and under which key of which other place. The
// checks that come later name a structure and a key of it; the place gives file, line, source and the whole path.
// One thread. Running out of memory is remembered (out_of_memory) and checked once at the end.
#pragma once

#include "control/config.h"
#include "control/config_file.h"
#include "control/config_schema.h"

#ifdef __cplusplus
extern "C" {
#endif

struct config_chunk;

// Memory that is freed all at once; zeroed.
struct config_arena {
    struct config_chunk *chunk;
};

void *config_arena_take(struct config_arena *arena, size_t size);
void config_arena_free(struct config_arena *arena);

struct config_place {
    const struct config_section *section;
    const struct config_value *value; // null: not in the file, all defaults
    void *at;                         // the structure
    uint32_t parent;                  // place number; the root is its own
    const char *key;                  // in the parent
    int number;                       // in the parent's list, or -1
    bool has_bad_choice;              // a choice could not be read: what depends on it is not judged
};

struct config_reader {
    struct config_errors *errors;
    struct config_arena *arena;
    const char *directory; // that relative paths are joined to
    struct config_place *place;
    uint32_t place_count, place_cap;
    uint32_t *place_by_at; // numbers in the order of `at`; made by config_read_tree
    const struct config_file *origin_of;
    const char *origin_name; // of origin_of, in the arena
    bool out_of_memory;
};

void *config_read_take(struct config_reader *r, size_t size);
const char *config_read_copy(struct config_reader *r, const char *text, size_t len);

// An absolute path in the arena; "" stays "".
const char *config_read_path(struct config_reader *r, const char *directory, const char *path);

// Reads `root` into `config`, all keys, defaults applied.
void config_read_tree(struct config_reader *r, const struct config_value *root, struct config *config);

void config_read_fini(struct config_reader *r);

// The value of `key` of the structure `at` as it stands in the file; null when it was not given.
const struct config_value *config_read_given(const struct config_reader *r, const void *at, const char *key);

// Reports a problem of `key` of the structure `at`; key null: the structure as a whole.
void config_report(struct config_reader *r, enum config_error_level level, const void *at, const char *key,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));

// The same of entry `number` of the list `key`.
void config_report_entry(struct config_reader *r, enum config_error_level level, const void *at, const char *key,
                         unsigned number, const char *format, ...) __attribute__((format(printf, 6, 7)));

// One value into its field; false and a sentence in `why` when it cannot be. config_scalar.c.
enum { CONFIG_WHY_CAP = 384 };
bool config_scalar_read(struct config_reader *r, const struct config_key *key, const struct config_value *value,
                        void *field, char why[CONFIG_WHY_CAP]);

// The default of a key that has one.
void config_scalar_default(struct config_reader *r, const struct config_key *key, void *field);

// Bytes of one value in its field.
size_t config_scalar_size(const struct config_key *key);

#ifdef __cplusplus
}
#endif
