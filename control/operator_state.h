// SPDX-License-Identifier: Apache-2.0
// What operators said (up, down, drain) about sites, about sites within one service, and about single addresses; kept
// in a small text file over restarts.
//
// A line is: what is spoken of, state, wall-clock second when it ends (0: until changed), second when it was said,
// reason. What has no line is on auto:
//
//   ams                             a site
//   service:www.example.com/ams     that site in that service only; stands over what is said of the site
//   address:192.0.2.80              that address in all services
//
// Loop thread only. Saving writes a temporary file, syncs and renames it.
#pragma once

#include "health/verdict.h"

#ifdef __cplusplus
extern "C" {
#endif

enum operator_kind { OPERATOR_OF_SITE, OPERATOR_OF_SERVICE, OPERATOR_OF_ADDRESS };
enum { OPERATOR_KIND_COUNT = 3 };

enum {
    OPERATOR_NAME_CAP = 336,   // a service, '/', a site
    OPERATOR_STATES_MAX = 1024 // more is a mistake of a glob; a change copies and writes them all
};

struct operator_entry {
    enum operator_kind kind;
    char name[OPERATOR_NAME_CAP];
    enum evidence_operator state;
    uint64_t until_s, said_s; // wall clock; until 0: until changed
    char reason[EVIDENCE_DETAIL_CAP];
};

// Zeroed it is empty.
struct operator_states {
    struct operator_entry *entry; // by kind, then by name
    unsigned count, cap;
};

void operator_states_fini(struct operator_states *states);
int operator_states_copy(struct operator_states *to, const struct operator_states *from); // 0 or -ENOMEM

// 0, also when there is no file yet; -EBADMSG when lines could not be read (the good ones are kept), or a negative
// errno. `states` is empty before.
int operator_states_load(struct operator_states *states, const char *path);
int operator_states_save(const struct operator_states *states, const char *path);

// Sets or, for OPERATOR_AUTO, removes an entry. -ENOSPC when full, -ENOMEM.
int operator_states_set(struct operator_states *states, const struct operator_entry *entry);

// Null: auto. Names are compared without regard to case.
const struct operator_entry *operator_states_find(const struct operator_states *states, enum operator_kind kind,
                                                  const char *name);

// What an entry about a site (null: auto) says, for the verdict engine. `now_ns`: CLOCK_MONOTONIC, `now_s`: wall clock.
struct evidence_event operator_state_event(const struct operator_entry *entry, unsigned site, uint64_t now_ns,
                                           uint64_t now_s);

// Removes entries whose time is over; `gone` (may be null) is told of each before. Number of them.
unsigned operator_states_expire(struct operator_states *states, uint64_t now_s,
                                void (*gone)(void *user, const struct operator_entry *entry), void *user);

// "auto", "up", "down", "drain", and back; -EINVAL.
const char *operator_state_name(enum evidence_operator state);
int operator_state_parse(const char *text, enum evidence_operator *state);

// "site", "service", "address", and back; -EINVAL.
const char *operator_kind_name(enum operator_kind kind);
int operator_kind_parse(const char *text, enum operator_kind *kind);

#ifdef __cplusplus
}
#endif
