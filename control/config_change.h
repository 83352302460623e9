// SPDX-License-Identifier: Apache-2.0
// Changes to a parsed configuration before it is read: "sites.ams.web.fall=5", for trying out.
//
// A path goes down by names; an element of a list is named by its `name` or its number. The last name is a key, which
// is set or added. Values are written as in the file; texts and durations need no quotes. One thread.
#pragma once

#include "control/config_file.h"

#ifdef __cplusplus
extern "C" {
#endif

// Changes the tree. *file holds the new value and must live as long as the tree. 0, -ENOMEM, or -EINVAL with an error
// added that shows the change.
int config_change_apply(struct config_value *root, const char *change, struct config_file **file,
                        struct config_errors *errors);

#ifdef __cplusplus
}
#endif
