// SPDX-License-Identifier: Apache-2.0
// Replaces a file as a whole or not at all: temporary name, sync, rename. Any thread, one per path at a time.
#pragma once

#include <limits.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

struct file_replace {
    FILE *file; // write here
    char path[PATH_MAX], temporary[PATH_MAX];
};

// Opens the temporary file (mode 0600) beside `path`; makes the directory when only its last part is missing. 0 or a
// negative errno.
int file_replace_open(struct file_replace *replace, const char *path);

// Writes out, syncs, renames; on failure the old file stays. 0 or a negative errno. Ends the use of `replace`.
int file_replace_commit(struct file_replace *replace);

#ifdef __cplusplus
}
#endif
