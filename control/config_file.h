// SPDX-License-Identifier: Apache-2.0
// One configuration file as a neutral tree of values with their lines. The only door to libconfig.
//
// libconfig says "syntax error" and a line, takes `@include` of anything, joins adjacent strings, and walks trees by
// recursion; so a scan of our own goes first. It bounds nesting and refuses what libconfig would take wrongly or report
// badly, with a hint. One thread; the tree is immutable.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/config_errors.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CONFIG_FILE_BYTES_MAX = 64 << 20, // far above 65,000 services
    CONFIG_FILE_DEPTH_MAX = 32        // groups and lists inside each other; libconfig recurses once for each
};

enum config_value_type {
    CONFIG_VALUE_GROUP,
    CONFIG_VALUE_LIST, // libconfig's lists ( ) and arrays [ ]
    CONFIG_VALUE_STRING,
    CONFIG_VALUE_INT,
    CONFIG_VALUE_FLOAT,
    CONFIG_VALUE_BOOL
};

struct config_file;

struct config_value {
    enum config_value_type type;
    const char *name; // null for list elements and the root
    const struct config_file *file;
    unsigned line;
    bool is_hex;        // INT written as 0x..., which libconfig cuts to 32 bits
    const char *string; // STRING
    int64_t number;     // INT, BOOL
    double real;        // FLOAT
    struct config_value *child, *next;
    unsigned child_count;
};

// Parses `text`. 0 and *file, or -EINVAL with errors added, -ENOMEM.
int config_file_parse(const char *name, const char *text, size_t len, struct config_file **file,
                      struct config_errors *errors);

// Reads and parses the file at `path`. As above; a file that cannot be read is an error in the list.
int config_file_read(const char *path, struct config_file **file, struct config_errors *errors);

struct config_value *config_file_root(struct config_file *file);
const char *config_file_name(const struct config_file *file);

// Start of a line of the file (it ends at a line end or zero); null when there is no such line.
const char *config_file_line(const struct config_file *file, unsigned line);

void config_file_free(struct config_file *file);

#ifdef __cplusplus
}
#endif
