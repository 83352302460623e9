// SPDX-License-Identifier: Apache-2.0
// Kernel sockets on the node's addresses: which ones, and bound how. Used by kernel_quiet and stream at start.
#pragma once

#include "dataplane/options.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LISTEN_MAX = OPTIONS_ADDRESS_MAX };

// A socket of `type` (SOCK_STREAM or SOCK_DGRAM), non-blocking, close-on-exec, bound to the address (which need not be
// there yet) and port. The descriptor or a negative errno.
int listen_bind(int type, const struct node_address *address, uint16_t port);

// The wildcard addresses of IPv4 and IPv6; always 2.
unsigned listen_wildcards(struct node_address address[LISTEN_MAX]);

// Addresses that the interface has now; link-local ones are left out.
unsigned listen_interface(const char *interface, struct node_address address[LISTEN_MAX]);

// For messages: "192.0.2.1", at least 46 bytes.
const char *listen_text(const struct node_address *address, char text[46]);

#ifdef __cplusplus
}
#endif
