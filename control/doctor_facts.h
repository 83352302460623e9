// SPDX-License-Identifier: Apache-2.0
// What the doctor's checks share: reading the kernel's files, and noting what was found.
//
// The files are read below `root`, so that tests can show any machine. One thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "control/config.h"

#ifdef __cplusplus
extern "C" {
#endif

enum doctor_level {
    DOCTOR_OK,
    DOCTOR_NOTE,    // worth knowing; nothing to do
    DOCTOR_WARNING, // works, but slower or less safely than it could
    DOCTOR_BAD      // does not work
};

struct doctor {
    const char *root;            // "" for this machine; tests: a directory that has proc/ and sys/
    const struct config *config; // null: the machine alone is looked at
    json_t *findings;            // array of {topic, level, text, remedy}
    unsigned count[DOCTOR_BAD + 1];
};

// Adds a finding. An empty remedy: there is nothing to do.
void doctor_find(struct doctor *doctor, enum doctor_level level, const char *topic, const char *remedy,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

// The first line of root/path, without its end; empty when it cannot be read.
const char *doctor_read(const struct doctor *doctor, const char *path, char *text, size_t cap);

// The number in root/path, `otherwise` when there is none.
long doctor_number(const struct doctor *doctor, const char *path, long otherwise);

// True when root/path is there.
bool doctor_has(const struct doctor *doctor, const char *path);

// The last part of where the link root/path points to; empty when it is none.
const char *doctor_link(const struct doctor *doctor, const char *path, char *text, size_t cap);

// True when number `n` is in a kernel's list such as "0-3,8".
bool doctor_is_listed(const char *list, unsigned n);

const char *doctor_level_name(enum doctor_level level);

#ifdef __cplusplus
}
#endif
