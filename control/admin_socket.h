// SPDX-License-Identifier: Apache-2.0
// The admin socket's file and who may use it. Loop thread only.
#pragma once

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// A bound, listening, non-blocking stream socket at `path`, mode 0600, or 0660 for `group` unless that is empty. A file
// left by a dead process is replaced; a live one's is not. Negative errno with the reason in `why`.
int admin_socket_listen(const char *path, const char *group, char why[256]);

// The peer is root, this process's user, or a member of `group`.
bool admin_socket_may_use(int connection, const char *group);

#ifdef __cplusplus
}
#endif
