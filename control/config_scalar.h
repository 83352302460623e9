// SPDX-License-Identifier: Apache-2.0
// Private to control/config*.c: one value of the file into its field. One thread.
#pragma once

#include "control/config_reader.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CONFIG_WHY_CAP = 384 };

// False and a sentence in `why` when it cannot be.
bool config_scalar_read(struct config_reader *r, const struct config_key *key, const struct config_value *value,
                        void *field, char why[CONFIG_WHY_CAP]);

// The default of a key that has one.
void config_scalar_default(struct config_reader *r, const struct config_key *key, void *field);

// Bytes of one value in its field.
size_t config_scalar_size(const struct config_key *key);

#ifdef __cplusplus
}
#endif
