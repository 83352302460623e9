// SPDX-License-Identifier: Apache-2.0
// A filter in the kernel for packet sockets: only what may be a DNS query over UDP is copied into our ring. The rest is
// the kernel's business anyway, and a flood of it must not fill the ring.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

// Attaches it to an AF_PACKET socket: UDP to port 53 over IPv4 (no later fragments) and IPv6, with up to one tag beside
// the one that the kernel takes out of the frame. 0 or a negative errno.
int packet_sieve_attach(int fd);

#ifdef __cplusplus
}
#endif
