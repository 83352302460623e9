// SPDX-License-Identifier: Apache-2.0
// The line of HAProxy's agent-check protocol: what does an agent say, and what do we say as one? Pure.
//
// Words are separated by spaces, tabs or commas, up to the first carriage return or newline; `#` begins words for
// people. Source: HAProxy 2.6 configuration manual, `agent-check`.
//
// - up: operating.  down, stopped, fail, failed: not operating.
// - ready: in service.  drain, maint: taken out of service.
// - "75%": wants three quarters of what it usually gets: a load of 250; "0%" is taken out of service.
// - maxconn:N says nothing about the state. Words that are not known are passed over.
// Of words of one sort the last one counts. A line without a word about the state is UNREADABLE, not down.
#pragma once

#include <stddef.h>

#include "health/probe_result.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { BALANCER_AGENT_MAX_BYTES = 1024, BALANCER_AGENT_LINE_CAP = 160 };

// Any octets; `is_ended` when the agent closed the connection: a line may then lack its end.
struct probe_result balancer_agent_judge(const char *text, size_t len, bool is_ended);

// True when the line is complete.
bool balancer_agent_is_line(const char *text, size_t len);

// The line with its newline for a state: `auto` and `up` say "up ready", `drain` "up drain", `down` "down ready", each
// with `comment` (may be empty) behind a '#', octets that are not printable ASCII replaced. Its length.
size_t balancer_agent_line(char out[BALANCER_AGENT_LINE_CAP], enum evidence_operator state, const char *comment);

#ifdef __cplusplus
}
#endif
