// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_watch.h"

#include <string.h>

static void look_at_troubles(struct port_watch *w, uint64_t now_ns, const struct port_sample *s,
                             struct port_findings *findings)
{
    for (unsigned t = 0; t < PORT_TROUBLE_COUNT; t++) {
        if (s->trouble[t] == w->told[t] || now_ns < w->next_ns[t])
            continue;
        findings->trouble[t] = s->trouble[t] - w->told[t];
        w->told[t] = s->trouble[t];
        w->next_ns[t] = now_ns + PORT_WATCH_REPEAT_NS;
    }
}

static void look_at_link(struct port_watch *w, uint64_t now_ns, const struct port_sample *s,
                         struct port_findings *findings)
{
    w->link_changes += s->is_up != w->last.is_up;
    if (w->link_changes == w->told_changes || now_ns < w->link_next_ns)
        return;
    findings->link_changes = w->link_changes - w->told_changes;
    w->told_changes = w->link_changes;
    w->link_next_ns = now_ns + PORT_WATCH_LINK_NS;
}

// Stuck: it refuses what it is given, or finds no buffers, and nothing moves in that direction, although there is a
// link. Without a link a full ring is as it should be.
static bool is_stuck(const struct port_watch *w, const struct port_sample *s)
{
    const bool is_sending_stuck =
        s->trouble[PORT_TROUBLE_TX_FULL] != w->last.trouble[PORT_TROUBLE_TX_FULL] && s->sent == w->last.sent;
    const bool is_receiving_stuck = s->trouble[PORT_TROUBLE_NO_BUFFER] != w->last.trouble[PORT_TROUBLE_NO_BUFFER] &&
                                    s->received == w->last.received;
    return s->is_up && w->last.is_up && (is_sending_stuck || is_receiving_stuck);
}

void port_watch_init(struct port_watch *w, uint64_t now_ns, bool is_up)
{
    *w = (struct port_watch){.last = {.is_up = is_up}, .moved_ns = now_ns};
}

void port_watch_look(struct port_watch *w, uint64_t now_ns, const struct port_sample *s, struct port_findings *findings)
{
    memset(findings, 0, sizeof *findings);
    look_at_troubles(w, now_ns, s, findings);
    look_at_link(w, now_ns, s, findings);
    if (!is_stuck(w, s)) {
        w->moved_ns = now_ns;
    } else if (now_ns - w->moved_ns >= PORT_WATCH_STUCK_NS && now_ns >= w->reset_ns) {
        findings->needs_reset = true;
        w->moved_ns = now_ns;
        w->reset_ns = now_ns + PORT_WATCH_RESET_NS;
    }
    w->last = *s;
}

uint64_t port_watch_tell_reset(struct port_watch *w, uint64_t now_ns)
{
    w->resets++;
    if (now_ns < w->resets_next_ns)
        return 0;
    const uint64_t untold = w->resets - w->told_resets;
    w->told_resets = w->resets;
    w->resets_next_ns = now_ns + PORT_WATCH_REPEAT_NS;
    return untold;
}

const char *port_trouble_text(enum port_trouble trouble)
{
    switch (trouble) {
    case PORT_TROUBLE_TX_FULL:
        return "answers dropped: the card's transmit ring was full; is the link slower than the load, or paused by the "
               "switch?";
    case PORT_TROUBLE_NO_BUFFER:
        return "packets dropped: no buffer was free for them; if it goes on, please report it with the card's driver";
    case PORT_TROUBLE_MISSED:
        return "packets dropped by the card: its receive ring was full; give it more workers (--cores)";
    case PORT_TROUBLE_ERRORS:
        return "packets received with errors: cable, transceiver or switch port";
    case PORT_TROUBLE_KERNEL:
        return "packets dropped between the port and the kernel's interface: more than the other side takes";
    case PORT_TROUBLE_COUNT:
        break;
    }
    return "";
}
