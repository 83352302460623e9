// SPDX-License-Identifier: Apache-2.0
// The reference manual of the configuration file, printed from the schema: docs/configuration.md.
#pragma once

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

// Writes Markdown to `out`. 0, or -EIO when it could not be written. Any thread.
int config_manual_write(FILE *out);

#ifdef __cplusplus
}
#endif
