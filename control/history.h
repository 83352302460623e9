// SPDX-License-Identifier: Apache-2.0
// The latest changes of verdicts and orders, with their causes and how long each took to reach the wire.
//
// A ring in memory; the journal has the rest. Loop thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HISTORY_CAP = 1024, HISTORY_NAME_CAP = 256, HISTORY_TEXT_CAP = 256, HISTORY_LATENCY_CAP = 4096 };

enum history_kind { HISTORY_VERDICT, HISTORY_ORDER, HISTORY_CONFIG, HISTORY_OPERATOR };

struct history_entry {
    uint64_t number;  // from 1, never reused
    uint64_t at_ns;   // CLOCK_MONOTONIC
    uint64_t wall_us; // of the same moment
    enum history_kind kind;
    char name[HISTORY_NAME_CAP]; // site or service
    char from[HISTORY_TEXT_CAP], to[HISTORY_TEXT_CAP], why[HISTORY_TEXT_CAP];
    uint64_t generation;  // ORDER: of the image that carried it
    uint64_t evidence_ns; // ORDER: when the deciding evidence was seen
    uint64_t wire_ns;     // ORDER: when every worker answered with it; 0: not yet
};

struct history {
    struct history_entry entry[HISTORY_CAP];
    uint64_t count;                           // ever added
    uint64_t latency_ns[HISTORY_LATENCY_CAP]; // verdict to wire of the latest order images
    uint64_t latency_count;
};

struct history_latency {
    uint64_t count, median_ns, p99_ns, max_ns, last_ns; // of the latest HISTORY_LATENCY_CAP
};

// The new entry, zeroed but for number, for the caller to fill.
struct history_entry *history_add(struct history *history);

// An order image is on the wire; `decided_ns` is when the verdict changed.
void history_published(struct history *history, uint64_t generation, uint64_t decided_ns, uint64_t wire_ns);

// The n-th latest entry, 0 the newest; null when there is none.
const struct history_entry *history_latest(const struct history *history, unsigned n);

void history_measure(const struct history *history, struct history_latency *latency);

const char *history_kind_name(enum history_kind kind);

#ifdef __cplusplus
}
#endif
