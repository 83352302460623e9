// SPDX-License-Identifier: Apache-2.0
// One message of the image socket (table/image_protocol.h) at the control side's end, with the descriptor that came
// with it. Used by the publisher and by signpostctl capture.
#pragma once

#include "table/image_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

// `flags` are recvmsg's. 1: a message, *fd its descriptor for the caller to close, or -1; 0: nothing now; a negative
// errno: the connection is over (-ECONNRESET: its end, -EPROTO: no message of ours).
int image_receive(int connection, int flags, struct image_message *message, int *fd);

#ifdef __cplusplus
}
#endif
