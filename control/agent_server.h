// SPDX-License-Identifier: Apache-2.0
// The HAProxy agent-check protocol as a server: an operator's word about this node's site drains the balancer as well.
//
// Each connection is told one line and closed: "drain" while the site is drained by an operator, "maint" while it is
// down by one, else "ready up". Verdicts from evidence are not told: they come from the balancer's own servers, and a
// balancer that believed them would never come back. libuv loop thread only; connections are bounded in number and
// time.
#pragma once

#include "control/daemon_parts.h"

#ifdef __cplusplus
extern "C" {
#endif

struct agent_server;

enum { AGENT_SERVER_CONNECTION_MAX = 64, AGENT_SERVER_LINGER_MS = 1000 };

// Null without control.agent, without an own site, or when the address cannot be had (which is logged).
struct agent_server *agent_server_start(struct daemon *daemon);

// Memory is freed by the loop later. Null is legal.
void agent_server_close(struct agent_server *server);

#ifdef __cplusplus
}
#endif
