// SPDX-License-Identifier: Apache-2.0
// What went wrong, for people: one bounded text that names the file, table or key, and the remedy.
//
// Functions of dbsync that can fail for more than one reason take a `struct problem *` last, and return 0 or a negative
// errno. The text is filled exactly when the result is negative. One thread; plain memory of the caller.
#pragma once

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PROBLEM_TEXT_CAP = 1024 };

struct problem {
    char text[PROBLEM_TEXT_CAP];
};

// Fills the text (cut at its room) and returns -error_number, so that a caller writes `return problem_set(p, EIO,
// ...)`.
int problem_set(struct problem *problem, int error_number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
