// SPDX-License-Identifier: Apache-2.0
// The XDP program of a shared card (port_filter.bpf.c), as the driver wants it: a file.
//
// Main thread, at the start.
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

enum { PORT_FILTER_PATH_CAP = 32 };

// Makes the program a file in memory. Its descriptor, to be closed when the port is open, or a negative errno.
int port_filter_open(char path[PORT_FILTER_PATH_CAP]);

// Takes our program off an interface where a data plane that was killed left it; programs of others stay. 1: taken off,
// 0: there was none of ours, or a negative errno.
int port_filter_remove_left(const char *interface);

#ifdef __cplusplus
}
#endif
