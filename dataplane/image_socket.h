// SPDX-License-Identifier: Apache-2.0
// The image socket's system calls: listening, accepting, one message with at most one descriptor.
//
// Nothing here blocks. Used by the manager thread.
#pragma once

#include <sys/types.h>

#include "table/image_protocol.h"

#ifdef __cplusplus
extern "C" {
#endif

// Binds and listens; the file gets mode 0600. A socket file that nobody listens on is replaced; one in use is
// -EADDRINUSE. A missing last directory of the path is made. The descriptor, or a negative errno with a sentence.
int image_socket_listen(const char *path, char why[256]);

// Accepts one connection. The descriptor; -EAGAIN when there is none; -EPERM for a peer that is neither root nor
// `owner` (closed already, its identity in `why`); another negative errno.
int image_socket_accept(int listener, uid_t owner, char why[IMAGE_TEXT_CAP]);

// Receives one message. 1 and *fd (-1: none came with it) for the caller to close; 0 at the end of the connection;
// -EAGAIN when there is none; -EPROTO for a message that is not one of ours.
int image_socket_receive(int connection, struct image_message *message, int *fd);

// Sends one message, with descriptor `fd` unless -1. Fills magic and version. 0, or a negative errno (-EAGAIN: the peer
// does not read).
int image_socket_send(int connection, struct image_message *message, int fd);

#ifdef __cplusplus
}
#endif
