// SPDX-License-Identifier: Apache-2.0
// The bounded journal of evidence and decisions, from which `signpostctl replay` reads.
//
// Two text files, PATH and PATH.1, each at most half of the limit; when PATH is full it becomes PATH.1. Each file, and
// each new configuration, starts with the names that the numbers in events stand for. Loop thread only. Lines are
// buffered: journal_flush writes them out. Trouble with the disk is counted and said once, it never stops the program.
//
//   signpost-journal 1 MONOTONIC_NS WALL_US
//   site NUMBER NAME / group SITE NUMBER NAME / balancer SITE NUMBER / node SITE NUMBER NAME
//   event ...                                as evidence_format writes it
//   verdict MONOTONIC_NS SITE STATE REASON   a change of verdict
//   order MONOTONIC_NS SERVICE SITES...      a change of the default order of a service
//   operator MONOTONIC_NS KIND NAME STATE REASON   said of a service's site or an address (of sites: an event)
//   note MONOTONIC_NS TEXT                   reloads, start, stop
#pragma once

#include "control/config.h"
#include "health/evidence.h"

#ifdef __cplusplus
extern "C" {
#endif

struct journal;

struct journal_stats {
    uint64_t lines, bytes, rotations, errors;
};

// Null with the reason in `why`; the program then runs without a journal.
struct journal *journal_open(const char *path, uint64_t max_bytes, char why[256]);
void journal_close(struct journal *journal); // null is legal; so it is for the functions below

// The names of a configuration's sites; kept (borrowed) for the heads of later files until the next call.
void journal_config(struct journal *journal, const struct config *config, uint64_t now_ns);

void journal_event(struct journal *journal, const struct evidence_event *event);

// One line of another kind.
void journal_line(struct journal *journal, const char *format, ...) __attribute__((format(printf, 2, 3)));

void journal_flush(struct journal *journal);
void journal_count(const struct journal *journal, struct journal_stats *stats);

#ifdef __cplusplus
}
#endif
