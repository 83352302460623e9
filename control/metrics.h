// SPDX-License-Identifier: Apache-2.0
// All metrics as text in the Prometheus exposition format, version 0.0.4. Loop thread only.
#pragma once

#include "control/daemon_parts.h"

#ifdef __cplusplus
extern "C" {
#endif

// The whole page, malloc'ed, the caller frees it; null: out of memory.
char *metrics_text(struct daemon *daemon);

#ifdef __cplusplus
}
#endif
