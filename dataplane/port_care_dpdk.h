// SPDX-License-Identifier: Apache-2.0
// What the main thread does for the ports once a second: it asks for their links and statistics, tells the operator of
// troubles (port_watch.h decides which), keeps the kernel's interfaces in step with the links, and resets a card that
// is stuck or whose driver asks for it.
#pragma once

#include "dataplane/port_dpdk.h"
#include "dataplane/port_watch.h"
#include "dataplane/worker_dpdk.h"

#ifdef __cplusplus
extern "C" {
#endif

struct port_care {
    struct port *port;
    unsigned port_count;
    struct worker *worker;
    unsigned worker_count;
    struct counters_page *page;
    struct {
        struct port_watch watch;
        struct port_statistics seen, total; // as the card counts, which begins anew at a reset; as we do
        bool was_failure_told;              // of a reset: then its success is told as well
    } at[OPTIONS_PORT_MAX];
};

// Opens the ways to the kernel of all ports that have none and whose plan wants one: `name`, then name-1, name-2. 0 or
// -1 after a message.
int port_care_open_doors(struct port_care *care, enum kernel_way way, const char *name);
void port_care_close_doors(struct port_care *care);

// The links alone, before the service begins; the number of cards without one.
unsigned port_care_poll_links(struct port_care *care);

// After the operator was told the ports' links and before the first look: changes are counted from these states on.
void port_care_begin(struct port_care *care, uint64_t now_ns);

// The once-a-second look. Takes as long as a card's reset when there is one: the other ports go on meanwhile.
void port_care_look(struct port_care *care, uint64_t now_ns);

#ifdef __cplusplus
}
#endif
