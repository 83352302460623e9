// SPDX-License-Identifier: Apache-2.0
// A line that a local program writes to the daemon's Unix socket.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dbsync/admin_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct admin_request request;
    char error[ADMIN_ERROR_CAP] = "";
    int result = admin_request_parse((const char *)data, size, &request, error);
    if (result == 0 && request.command >= ADMIN_COMMAND_COUNT)
        abort();
    if (result < 0 && (error[0] == 0 || !memchr(error, 0, sizeof error)))
        abort(); // a refusal without a sentence
    return 0;
}
