// SPDX-License-Identifier: Apache-2.0
// A network interface of the kernel whose other end is ours: a TAP device, or one that vhost-net made. Frames are
// whole, with their VLAN tags in place and every checksum finished.
//
// Called by the main thread; kernel_tap_read and kernel_tap_write by the door's thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { KERNEL_TAP_WHY_CAP = 256, KERNEL_TAP_NAME_CAP = 16 };

// Makes a TAP interface, or takes one of that name that is there (`ip tuntap add NAME mode tap`). The descriptor, or a
// negative errno with a sentence.
int kernel_tap_open(const char *name, char why[KERNEL_TAP_WHY_CAP]);

// Gives the interface the port's hardware address (null: it has it) and MTU, and brings it up. 0 or a negative errno
// with a sentence.
int kernel_tap_set_up(const char *name, const uint8_t mac[6], unsigned mtu, char why[KERNEL_TAP_WHY_CAP]);

// Tells the kernel, and with it routing daemons, whether the port has a link. `fd` of kernel_tap_open, or -1 for an
// interface of another making. 0 or a negative errno.
int kernel_tap_set_carrier(const char *name, int fd, bool is_up);

// True when the kernel took the frame; it drops what it has no room for, as a wire would.
bool kernel_tap_write(int fd, const void *frame, size_t len);

// Length of a frame that the kernel sends, at most cap; 0: none is there.
size_t kernel_tap_read(int fd, void *frame, size_t cap);

#ifdef __cplusplus
}
#endif
