// SPDX-License-Identifier: Apache-2.0
// signpostctl's end of the admin socket. Blocking, one thread.
#pragma once

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ctl_exit { CTL_OK = 0, CTL_REFUSED = 1, CTL_USAGE = 2, CTL_UNREACHABLE = 3 };

struct ctl_client;

// Connects; null after a message on standard error that says what to do.
struct ctl_client *ctl_client_open(const char *socket_path);
void ctl_client_close(struct ctl_client *client);

// Sends the request (borrowed) and waits for the reply. On CTL_OK *result is a new reference. Otherwise the error was
// printed; *result may hold details or be null.
enum ctl_exit ctl_client_call(struct ctl_client *client, const json_t *request, json_t **result);

// The next line that the daemon sends by itself; null at the end.
json_t *ctl_client_next(struct ctl_client *client);

#ifdef __cplusplus
}
#endif
