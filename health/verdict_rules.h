// SPDX-License-Identifier: Apache-2.0
// The truth table of verdicts: which combination of evidence makes a site available. Data, and the search in it. Pure.
//
// The table in verdict_rules.c is the only place where this is written. verdict_judge.c asks it, the tests walk over
// all combinations of its columns, and docs/verdicts.md is printed from it. The first row that matches decides; the
// last row matches everything.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

enum verdict_state { VERDICT_UNKNOWN, VERDICT_UP, VERDICT_DOWN, VERDICT_DRAIN };

// name, text for people.
#define VERDICT_REASONS(X)                                                                                             \
    X(STARTING, "waiting for the first round of evidence")                                                             \
    X(GOOD, "all evidence is good")                                                                                    \
    X(NO_EVIDENCE_ASKED, "nothing is configured that could speak against it")                                          \
    X(OPERATOR, "set by an operator")                                                                                  \
    X(PEER_DRAIN, "drained by an operator at the site's own node")                                                     \
    X(GROUP_DOWN, "too few servers of a group are good")                                                               \
    X(PAGE_DOWN, "the page does not show the database server's name")                                                  \
    X(BALANCER_DOWN, "the balancer says that it cannot serve")                                                         \
    X(HEARTBEAT_LOST, "no messages from the site's node")                                                              \
    X(PEER_WORD, "another node says that it serves; own evidence has yet to come")                                     \
    X(WITNESSED, "its messages are lost on the way here, but another node says that it serves")                        \
    X(BALANCER_SILENT, "the servers are good, the balancer gives no indication")                                       \
    X(EVIDENCE_OLD, "the evidence is too old; the verdict stays as it was")                                            \
    X(EVIDENCE_MISSING, "no evidence came within the start-up wait")                                                   \
    X(FAIL_BACK_DELAY, "good again, waiting for the fail-back delay")                                                  \
    X(FAIL_BACK_MANUAL, "good again, waiting for an operator")

enum verdict_reason {
#define VERDICT_ENUM(name, text) VERDICT_REASON_##name,
    VERDICT_REASONS(VERDICT_ENUM)
#undef VERDICT_ENUM
        VERDICT_REASON_COUNT
};

// The columns. A cell of the table is a set of these bits, an input is one of them.
enum verdict_column {
    VERDICT_OPERATOR, // this node's operator
    VERDICT_SERVERS,  // required groups that look at the servers
    VERDICT_PAGE,     // required groups that look for the database server's name in a page
    VERDICT_BALANCER, // balancers with a vote
    VERDICT_HEARTBEAT,
    VERDICT_OWN_NODE,    // what the site's own nodes say about the site
    VERDICT_THIRD_PARTY, // what nodes of no or other sites say about it
    VERDICT_COLUMN_COUNT
};

enum verdict_cell {
    // operator
    CELL_AUTO = 1,
    CELL_SAYS_UP = 2,
    CELL_SAYS_DOWN = 4,
    CELL_SAYS_DRAIN = 8,
    // servers, page, balancer
    CELL_NONE = 1, // not asked for
    CELL_GOOD = 2,
    CELL_BAD = 4,
    CELL_NEVER = 8,    // asked for, no result yet
    CELL_OLD = 16,     // older than its age limit
    CELL_VOUCHES = 32, // balancer: an alternative to the groups says that it serves
    // heartbeat: NONE, GOOD (heard), BAD (lost), NEVER (not yet, within the start-up wait) and
    CELL_EXCUSED = 16, // lost here, while a third party says that the site serves
    // own node, third party: NONE, and
    CELL_WORD_UP = 2,
    CELL_WORD_DOWN = 4,
    CELL_WORD_DRAIN = 8,
    CELL_ANY = 255
};

enum verdict_outcome { OUTCOME_UP, OUTCOME_DOWN, OUTCOME_DRAIN, OUTCOME_UNKNOWN, OUTCOME_KEEP };

struct verdict_inputs {
    uint8_t column[VERDICT_COLUMN_COUNT]; // one bit each
};

struct verdict_rule {
    uint8_t cell[VERDICT_COLUMN_COUNT];
    enum verdict_outcome outcome; // KEEP: the verdict stays what it was
    enum verdict_reason reason;
    const char *why;
};

// The rules in order. `count` rules; the last matches everything.
const struct verdict_rule *verdict_rules(size_t *count);

// The first rule that matches.
const struct verdict_rule *verdict_rule_match(const struct verdict_inputs *inputs);

const char *verdict_state_text(enum verdict_state state);
const char *verdict_reason_text(enum verdict_reason reason);

// The table as Markdown. 0 or negative -EIO.
int verdict_rules_write(FILE *out);

#ifdef __cplusplus
}
#endif
