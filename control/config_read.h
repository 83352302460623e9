// SPDX-License-Identifier: Apache-2.0
// Private to control/config*.c: from the tree of values to struct config, by the schema. One thread.
#pragma once

#include "control/config_reader.h"

#ifdef __cplusplus
extern "C" {
#endif

// Reads `root` into `config`, all keys, defaults applied. What is wrong is reported; all is read.
void config_read_tree(struct config_reader *r, const struct config_value *root, struct config *config);

#ifdef __cplusplus
}
#endif
