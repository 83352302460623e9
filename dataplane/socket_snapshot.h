// SPDX-License-Identifier: Apache-2.0
// The current snapshot put into an answer context by the threads that serve kernel sockets (stream.h, datagram.h).
//
// The worker's own way (worker_dpdk.c) reads its clock without a system call; here one is cheap beside the socket's.
#pragma once

#include "dataplane/answer.h"

#ifdef __cplusplus
extern "C" {
#endif

// Between publish_online and publish_offline: images, wall clock, staleness, and the generations that `context`'s
// counters show. Images are null until the first pair is published.
void socket_snapshot_take(struct answer_context *context);

#ifdef __cplusplus
}
#endif
