// SPDX-License-Identifier: Apache-2.0
// Runs a journal's events through the verdict engine and the order policy again, under another configuration if wanted,
// and says when answers would have changed. The code that decides is the daemon's own. One thread; reads `journal`
// only.
#pragma once

#include <stdio.h>

#include "control/config.h"

#ifdef __cplusplus
extern "C" {
#endif

enum replay_source { REPLAY_NOW, REPLAY_RECORDED };

struct replay_change {
    enum replay_source source; // as decided now, or as it was recorded
    uint64_t wall_us;
    bool is_order;               // else a verdict
    const char *name;            // service or site
    const char *from, *to, *why; // from, why: "" where not known; valid during the call
};

struct replay_summary {
    uint64_t lines, events, unknown; // unknown: lines or sites, groups, nodes that the configuration does not have
    uint64_t verdict_changes, order_changes;
    uint64_t recorded_verdict_changes, recorded_order_changes;
};

// 0; -EINVAL: not a journal; -ENOMEM. Changes come in the order of time.
int replay_run(FILE *journal, const struct config *config,
               void (*change)(void *user, const struct replay_change *change), void *user,
               struct replay_summary *summary);

#ifdef __cplusplus
}
#endif
