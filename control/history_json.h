// SPDX-License-Identifier: Apache-2.0
// Changes as the admin socket tells them. Any thread.
#pragma once

#include <jansson.h>

#include "control/history.h"

#ifdef __cplusplus
extern "C" {
#endif

// One change as an object, the caller's; null: no memory.
json_t *history_json(const struct history_entry *entry);

#ifdef __cplusplus
}
#endif
