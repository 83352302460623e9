// SPDX-License-Identifier: Apache-2.0
// The part of an answer that health dictates: a service's ordered addresses for this client. Any thread.
#pragma once

#include "dataplane/response.h"

#ifdef __cplusplus
extern "C" {
#endif

// The answer of a service for this client, of the type asked. Returns false when the service does not own the type.
bool steer(struct response *r, const struct zone_node *node, unsigned owner_at, unsigned apex_at);

#ifdef __cplusplus
}
#endif
