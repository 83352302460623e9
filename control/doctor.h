// SPDX-License-Identifier: Apache-2.0
// `signpostctl doctor`: what of this machine stands in the way of a node, before anything runs.
//
// Each check reads the kernel's files and the configuration, and adds findings with the remedy. One thread, no daemon
// needed; nothing is changed. The kernel's files are read below `root`, so that tests can show any machine.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "control/config.h"

#ifdef __cplusplus
extern "C" {
#endif

enum doctor_level {
    DOCTOR_OK,
    DOCTOR_NOTE,    // worth knowing; nothing to do
    DOCTOR_WARNING, // works, but slower or less safely than it could
    DOCTOR_BAD      // does not work
};

struct doctor {
    const char *root;            // "" for this machine; tests: a directory that has proc/ and sys/
    const struct config *config; // null: the machine alone is looked at
    json_t *findings;            // array of {topic, level, text, remedy}
    unsigned count[DOCTOR_BAD + 1];
};

// Adds a finding. An empty remedy: there is nothing to do.
void doctor_find(struct doctor *doctor, enum doctor_level level, const char *topic, const char *remedy,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

// The first line of root/path, without its end; empty when it cannot be read.
const char *doctor_read(const struct doctor *doctor, const char *path, char *text, size_t cap);

// The number in root/path, `otherwise` when there is none.
long doctor_number(const struct doctor *doctor, const char *path, long otherwise);

// True when root/path is there.
bool doctor_has(const struct doctor *doctor, const char *path);

// The last part of where the link root/path points to; empty when it is none.
const char *doctor_link(const struct doctor *doctor, const char *path, char *text, size_t cap);

// True when number `n` is in a kernel's list such as "0-3,8".
bool doctor_is_listed(const char *list, unsigned n);

// The groups of checks.
void doctor_check_host(struct doctor *doctor);  // CPU, cores, memory, clock
void doctor_check_ports(struct doctor *doctor); // each of dataplane.ports
void doctor_check_files(struct doctor *doctor); // keys, directories, addresses, port 53, the programs

// Whether an XDP program sits on the interface already. Part of doctor_check_ports.
void doctor_check_xdp_program(struct doctor *doctor, const char *topic, const char *interface, bool has_bpffs);

// All of them. `findings` is a new reference for the caller.
void doctor_run(struct doctor *doctor);

const char *doctor_level_name(enum doctor_level level);

#ifdef __cplusplus
}
#endif
