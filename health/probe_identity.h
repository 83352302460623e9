// SPDX-License-Identifier: Apache-2.0
// A specification as one text: equal texts mean that one probe serves both. Pure but for memory.
#pragma once

#include "health/balancer.h"
#include "health/probe.h"

#ifdef __cplusplus
extern "C" {
#endif

// malloc'ed, the caller frees it; null: out of memory.
char *probe_identity_of_probe(const struct probe_spec *spec);
char *probe_identity_of_balancer(const struct balancer_spec *spec);

// FNV-1a of `len` octets.
uint64_t probe_identity_hash(const void *bytes, size_t len);

#ifdef __cplusplus
}
#endif
