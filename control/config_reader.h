// SPDX-License-Identifier: Apache-2.0
// Private to control/config*.c: what reading and checking a configuration share: its memory, and messages about places.
//
// Every structure that was read is a `place`: where in the tree it stood and under which key of which other place. The
// checks that come later name a structure and a key of it; the place gives file, line, source and the whole path.
// One thread. Running out of memory is remembered (out_of_memory) and checked once at the end.
#pragma once

#include "control/config.h"
#include "control/config_arena.h"
#include "control/config_file.h"
#include "control/config_schema.h"

#ifdef __cplusplus
extern "C" {
#endif

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
    uint32_t *place_by_at; // numbers in the order of `at`; made by config_places_sort
    const struct config_file *origin_of;
    const char *origin_name; // of origin_of, in the arena
    bool out_of_memory;
};

void config_reader_fini(struct config_reader *r);

// ---- memory of the arena ----

void *config_reader_take(struct config_reader *r, size_t size);
const char *config_reader_copy(struct config_reader *r, const char *text, size_t len);

// An absolute path; "" stays "".
const char *config_reader_path(struct config_reader *r, const char *directory, const char *path);

// ---- places by number, while the tree is read ----

// False: no memory.
bool config_place_add(struct config_reader *r, const struct config_place *place);

// The child of a place's value; a bare text is the value of the section's shorthand key. Null: there is none.
const struct config_value *config_place_child(const struct config_place *place, const char *name);

// Reports a problem of `key` of place `number`, of its entry number `entry` if that is not negative. It stands where
// `value` does; with null where the place does.
void config_place_report(struct config_reader *r, enum config_error_level level, uint32_t number, const char *key,
                         int entry, const struct config_value *value, const char *text);

// After the last place: from now on structures are found.
void config_places_sort(struct config_reader *r);

// ---- places by structure, afterwards ----

// The value of `key` of the structure `at` as it stands in the file; null when it was not given.
const struct config_value *config_reader_given(const struct config_reader *r, const void *at, const char *key);

// Reports a problem of `key` of the structure `at`; key null: the structure as a whole.
void config_report(struct config_reader *r, enum config_error_level level, const void *at, const char *key,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));

// The same of entry `number` of the list `key`.
void config_report_entry(struct config_reader *r, enum config_error_level level, const void *at, const char *key,
                         unsigned number, const char *format, ...) __attribute__((format(printf, 6, 7)));

#ifdef __cplusplus
}
#endif
