// SPDX-License-Identifier: Apache-2.0
// One observation about a site: what a probe, a balancer, a peer node or an operator said, and when.
//
// Events are plain values. Probes and readers make them, the verdict engine (verdict.h) is driven by them and by
// nothing else, the journal keeps them, and a replay feeds them again. Times are CLOCK_MONOTONIC nanoseconds of the
// node that saw the event.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum evidence_kind {
    EVIDENCE_PROBE,     // a server of a group answered, or did not
    EVIDENCE_BALANCER,  // what a site's balancer says
    EVIDENCE_HEARTBEAT, // an authentic message of a site's node
    EVIDENCE_OPERATOR,  // up, down, drain or auto
    EVIDENCE_WORD,      // what another node says about a site
    EVIDENCE_STALL,     // this process was late by `duration_ns`: nobody is to blame for silence meanwhile
    EVIDENCE_FIGURES    // what a program beside us says of our own site: its replication lag
};

enum evidence_result { EVIDENCE_UNKNOWN, EVIDENCE_UP, EVIDENCE_DOWN };

enum evidence_operator { OPERATOR_AUTO, OPERATOR_UP, OPERATOR_DOWN, OPERATOR_DRAIN };

// name, text for people.
#define EVIDENCE_REASONS(X)                                                                                            \
    X(NONE, "nothing known yet")                                                                                       \
    X(OK, "as expected")                                                                                               \
    X(REFUSED, "connection refused")                                                                                   \
    X(TIMEOUT, "no answer in time")                                                                                    \
    X(UNREACHABLE, "no route to the server")                                                                           \
    X(RESET, "connection closed by the server")                                                                        \
    X(TLS, "TLS handshake or certificate refused")                                                                     \
    X(PROTOCOL, "the answer is not what the protocol allows")                                                          \
    X(STATUS, "HTTP status outside the accepted set")                                                                  \
    X(KEYWORD_MISSING, "the page does not contain the keyword")                                                        \
    X(KEYWORD_FORBIDDEN, "the page contains what it must not")                                                         \
    X(TOO_LARGE, "the answer is larger than allowed")                                                                  \
    X(MISMATCH, "the answer is not the expected one")                                                                  \
    X(EXIT_STATUS, "the script ended with a failure")                                                                  \
    X(BALANCER_DOWN, "the balancer counts too few servers")                                                            \
    X(UNREADABLE, "the indication could not be read")                                                                  \
    X(LOCAL, "a local error kept the probe from running")

enum evidence_reason {
#define EVIDENCE_ENUM(name, text) EVIDENCE_REASON_##name,
    EVIDENCE_REASONS(EVIDENCE_ENUM)
#undef EVIDENCE_ENUM
        EVIDENCE_REASON_COUNT
};

enum { EVIDENCE_DETAIL_CAP = 96, EVIDENCE_LINE_CAP = 320 };

struct evidence_event {
    uint64_t at_ns;
    enum evidence_kind kind;
    uint16_t site;   // index in the verdict configuration
    uint16_t group;  // PROBE: group of the site; BALANCER: balancer of the site; HEARTBEAT: node of the site; WORD: who
    uint16_t member; // PROBE: server of the group
    enum evidence_result result;           // PROBE, BALANCER, WORD
    enum evidence_reason reason;           // PROBE, BALANCER
    enum evidence_operator operator_state; // OPERATOR; WORD: DRAIN when its operator drains the site
    uint64_t response_ns;                  // PROBE: time the answer took; HEARTBEAT: the site's own figure; 0: none
    uint64_t duration_ns;                  // STALL: how late; OPERATOR: how long the state holds, 0: until changed
    int32_t load_permille; // BALANCER, HEARTBEAT: 0..1000 of what the site can take, more when over; -1: not said
    int64_t lag_ms;        // HEARTBEAT, FIGURES: replication lag of the site's database; -1: not said
    char detail[EVIDENCE_DETAIL_CAP]; // for people: "status 503", an operator's reason
};

// "KEYWORD_MISSING" in lower case with '-': "keyword-missing", and the sentence for people.
const char *evidence_reason_name(enum evidence_reason reason);
const char *evidence_reason_text(enum evidence_reason reason);

// One line of text without a newline, fields separated by one space; and back. Length, or negative -ENOSPC / -EINVAL.
int evidence_format(char out[EVIDENCE_LINE_CAP], const struct evidence_event *event);
int evidence_parse(struct evidence_event *event, const char *line);

#ifdef __cplusplus
}
#endif
