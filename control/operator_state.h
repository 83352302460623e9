// SPDX-License-Identifier: Apache-2.0
// What operators said about sites (up, down, drain), kept in a small text file over restarts.
//
// A line is: site, state, wall-clock second when it ends (0: until changed), second when it was said, reason. A site
// without a line is on auto. Loop thread only; saving writes a temporary file, syncs and renames it.
#pragma once

#include "health/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

struct operator_entry {
    char site[VERDICT_NAME_CAP];
    enum evidence_operator state;
    uint64_t until_s, said_s; // wall clock; until 0: until changed
    char reason[EVIDENCE_DETAIL_CAP];
};

struct operator_states {
    struct operator_entry entry[VERDICT_SITE_MAX];
    unsigned count;
};

// 0, also when there is no file yet; -EBADMSG when lines could not be read (the good ones are kept), or a negative
// errno.
int operator_states_load(struct operator_states *states, const char *path);
int operator_states_save(const struct operator_states *states, const char *path);

// Sets or, for OPERATOR_AUTO, removes an entry. -ENOSPC when full.
int operator_states_set(struct operator_states *states, const struct operator_entry *entry);

// Null: auto.
const struct operator_entry *operator_states_find(const struct operator_states *states, const char *site);

// Removes entries whose time is over. True when there were any.
bool operator_states_expire(struct operator_states *states, uint64_t now_s);

// "auto", "up", "down", "drain", and back; -EINVAL.
const char *operator_state_name(enum evidence_operator state);
int operator_state_parse(const char *text, enum evidence_operator *state);

#ifdef __cplusplus
}
#endif
