// SPDX-License-Identifier: Apache-2.0
// A bounded list of problems found in one run, each with file, line and key. Used by the configuration, zone and region
// loaders, and printed by `check`.
//
// One thread. Zero-initialise, add, print, fini. Beyond CONFIG_ERRORS_MAX entries problems are only counted.
#pragma once

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CONFIG_ERRORS_MAX = 500, // more on one screen help nobody; the count goes on
    CONFIG_ERROR_TEXT_CAP = 512
};

enum config_error_level { CONFIG_ERROR, CONFIG_WARNING };

struct config_error {
    enum config_error_level level;
    char *file;    // as the operator named it; null: none
    unsigned line; // from 1; 0: the file as a whole
    char *key;     // "sites[ams].web.interval", or a zone's record owner; null: none
    char *text;
    char *source; // the line of the file, without leading blanks; null: not known
};

struct config_errors {
    struct config_error *entry; // in the order found
    unsigned count;             // entries kept
    unsigned error_count, warning_count;
};

// Adds one problem; `file`, `key` and `source` may be null. Out of memory only counts.
void config_errors_add(struct config_errors *errors, enum config_error_level level, const char *file, unsigned line,
                       const char *key, const char *source, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

// Sorts the entries from number `first` on by line within each file; equal lines keep their order.
void config_errors_sort(struct config_errors *errors, unsigned first);

// "file:line: error: key: text", then the source line indented.
void config_errors_print(const struct config_errors *errors, FILE *out);

// One entry as one line without the source, into `out`. Returns `out`.
char *config_error_format(const struct config_error *error, char *out, size_t cap);

void config_errors_fini(struct config_errors *errors);

#ifdef __cplusplus
}
#endif
