// SPDX-License-Identifier: Apache-2.0
// The manual of verdicts, with the truth table as the code has it: docs/verdicts.md.
#pragma once

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

// Writes Markdown to `out`. 0, or -EIO when it could not be written. Any thread.
int verdict_manual_write(FILE *out);

#ifdef __cplusplus
}
#endif
