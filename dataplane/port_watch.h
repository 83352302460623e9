// SPDX-License-Identifier: Apache-2.0
// What happens to a port, from what is counted once a second: which troubles to tell the operator now, and whether the
// card is stuck and must be reset. Pure: no DPDK, no clock, no log.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The same trouble is told at once and then at most this often, with the sum since.
#define PORT_WATCH_REPEAT_NS UINT64_C(60000000000)
// The link's state is told at most this often: a loose cable must not fill the log.
#define PORT_WATCH_LINK_NS UINT64_C(10000000000)
// A card that takes nothing for so long with its link up is stuck. Shorter: a peer's pause frames look like it.
#define PORT_WATCH_STUCK_NS UINT64_C(10000000000)
// Time between two resets of a card that stays stuck.
#define PORT_WATCH_RESET_NS UINT64_C(60000000000)

enum port_trouble {
    PORT_TROUBLE_TX_FULL,   // the transmit ring was full
    PORT_TROUBLE_NO_BUFFER, // the card found no buffer for a received packet
    PORT_TROUBLE_MISSED,    // the receive ring was full
    PORT_TROUBLE_ERRORS,    // received with errors
    PORT_TROUBLE_KERNEL,    // frames to or from the kernel were dropped
    PORT_TROUBLE_COUNT
};

// Counts since the start; none ever falls.
struct port_sample {
    uint64_t received, sent;              // by the workers
    uint64_t trouble[PORT_TROUBLE_COUNT]; // packets
    bool is_up;
};

struct port_watch {
    struct port_sample last;
    uint64_t told[PORT_TROUBLE_COUNT], next_ns[PORT_TROUBLE_COUNT];
    uint64_t link_changes, told_changes, link_next_ns;
    uint64_t moved_ns; // when the port last took something, or had nothing to take
    uint64_t reset_ns; // not before
    uint64_t resets, told_resets, resets_next_ns;
};

struct port_findings {
    uint64_t trouble[PORT_TROUBLE_COUNT]; // packets to tell of now; 0: nothing
    uint64_t link_changes;                // changes to tell of now; 0: nothing
    bool needs_reset;
};

// Begins with the link's state that the operator was told last: every state from here on that differs is news. What was
// counted before is told by the first look. `now_ns` never goes back.
void port_watch_init(struct port_watch *watch, uint64_t now_ns, bool is_up);

void port_watch_look(struct port_watch *watch, uint64_t now_ns, const struct port_sample *sample,
                     struct port_findings *findings);

// A reset is about to be tried, with a reason that is not the watch's own: drivers may ask for one at every look, and
// each may fail. 0: say nothing of it and of how it ends; else the number of resets since the last that were told of,
// with this one.
uint64_t port_watch_tell_reset(struct port_watch *watch, uint64_t now_ns);

// What to tell: "answers dropped, because ..."; with the remedy.
const char *port_trouble_text(enum port_trouble trouble);

#ifdef __cplusplus
}
#endif
