// SPDX-License-Identifier: Apache-2.0
// `signpostctl doctor`: what of this machine stands in the way of a node, before anything runs.
//
// Each check reads the kernel's files and the configuration, and adds findings with the remedy. One thread, no daemon
// needed; nothing is changed.
#pragma once

#include "control/doctor_facts.h"

#ifdef __cplusplus
extern "C" {
#endif

// All checks. `findings` is a new reference for the caller.
void doctor_run(struct doctor *doctor);

// The groups of checks that it does.
void doctor_check_host(struct doctor *doctor);  // CPU, cores, memory, clock
void doctor_check_ports(struct doctor *doctor); // each of dataplane.ports
void doctor_check_files(struct doctor *doctor); // keys, directories, addresses, port 53, the programs

// Whether an XDP program sits on the interface already. Part of doctor_check_ports.
void doctor_check_xdp_program(struct doctor *doctor, const char *topic, const char *interface, bool has_bpffs);

#ifdef __cplusplus
}
#endif
