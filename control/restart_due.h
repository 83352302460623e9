// SPDX-License-Identifier: Apache-2.0
// What of a new configuration a reload cannot put into force: it is read when a program starts. Pure.
#pragma once

#include "control/config.h"

#ifdef __cplusplus
extern "C" {
#endif

// Adds a warning for each key that differs and needs a start, which names the program. `path`: of the file.
void restart_due_report(const struct config *now, const struct config *next, const char *path,
                        struct config_errors *errors);

#ifdef __cplusplus
}
#endif
