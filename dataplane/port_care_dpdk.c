// SPDX-License-Identifier: Apache-2.0
#include "dataplane/port_care_dpdk.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dataplane/counters_page.h"
#include "dataplane/kernel_door_dpdk.h"
#include "shared/log.h"

enum {
    PAUSE_LIMIT_MS = 1000, // until all workers have seen a pause: each goes round its loop in 10 ms at most
    DOOR_NAME_CAP = OPTIONS_INTERFACE_MAX + 1
};

// ---- the ways to the kernel ----

static int open_door(struct port *port, enum kernel_way way, const char *name, unsigned number)
{
    char why[KERNEL_DOOR_WHY_CAP], full[DOOR_NAME_CAP];
    snprintf(full, sizeof full, number ? "%.*s-%u" : "%.*s", OPTIONS_INTERFACE_MAX - (number ? 2 : 0), name, number);
    struct kernel_door_config config = {
        .way = way, .name = full, .number = number, .mtu = port->mtu, .pool = port->pool};
    memcpy(config.mac, port->packet.mac, sizeof config.mac);
    port->door = kernel_door_open(&config, why);
    if (!port->door) {
        log_error("%s", why);
        return -1;
    }
    port->packet.has_kernel = true;
    kernel_door_set_carrier(port->door, port->is_up); // from here on it follows the link's changes
    log_notice("port %s: all but the queries goes to %s (%s, MTU %u)", port->label, full, kernel_door_way(port->door),
               port->mtu);
    return 0;
}

int port_care_open_doors(struct port_care *c, enum kernel_way way, const char *name)
{
    unsigned number = 0;
    for (unsigned i = 0; i < c->port_count; i++)
        if (c->port[i].plan.has_door && open_door(&c->port[i], way, name, number++) < 0)
            return -1;
    return 0;
}

void port_care_close_doors(struct port_care *c)
{
    for (unsigned i = 0; i < c->port_count; i++) {
        kernel_door_close(c->port[i].door);
        c->port[i].door = NULL;
    }
}

// ---- links ----

static void poll_link(struct port *port)
{
    if (port_poll_link(port) && port->door)
        kernel_door_set_carrier(port->door, port->is_up);
}

unsigned port_care_poll_links(struct port_care *c)
{
    unsigned down = 0;
    for (unsigned i = 0; i < c->port_count; i++) {
        poll_link(&c->port[i]);
        down += !c->port[i].is_up && c->port[i].kind == PORT_PCI;
    }
    return down;
}

// ---- a card begins anew ----

static bool have_workers_left(struct port_care *c)
{
    uint64_t since[OPTIONS_CORE_MAX];
    for (unsigned i = 0; i < c->worker_count; i++)
        since[i] = counters_read(&c->worker[i].counters->value[COUNTER_loops]);
    for (unsigned waited = 0, i = 0; i < c->worker_count;) {
        // The second turn after the mark began behind it, and so saw it.
        if (counters_read(&c->worker[i].counters->value[COUNTER_loops]) - since[i] >= 2)
            i++;
        else if (waited++ >= PAUSE_LIMIT_MS)
            return false;
        else
            nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return true;
}

// The workers' view of the port, which must not be changed under them. What is said of it keeps to the limit of all
// that a port causes.
static void reset_port(struct port_care *c, unsigned at, uint64_t now_ns, const char *reason)
{
    struct port *port = &c->port[at];
    char why[PORT_WHY_CAP];
    const uint64_t told = port_watch_tell_reset(&c->at[at].watch, now_ns);
    if (told == 1)
        log_warning("port %s: %s: resetting it", port->label, reason);
    else if (told)
        log_warning("port %s: %s: resetting it, for the %lluth time since this was said last", port->label, reason,
                    (unsigned long long)told);
    __atomic_store_n(&port->is_paused, true, __ATOMIC_SEQ_CST);
    if (!have_workers_left(c)) {
        if (told)
            log_error("port %s: no reset: a worker does not move", port->label);
    } else if (port_reset(port, why) < 0) {
        if (told)
            log_error("%s; trying again every second", why);
        c->at[at].was_failure_told |= told > 0;
        __atomic_store_n(&port->wants_reset, true, __ATOMIC_RELAXED);
        return; // paused until it works
    } else {
        if (told || c->at[at].was_failure_told)
            log_notice("port %s: reset", port->label);
        c->at[at].was_failure_told = false;
    }
    __atomic_store_n(&port->is_paused, false, __ATOMIC_SEQ_CST);
}

static void retire_port(struct port *port)
{
    if (port->is_paused)
        return;
    log_error("port %s: the card is gone; restart the data plane when it is back", port->label);
    __atomic_store_n(&port->is_paused, true, __ATOMIC_SEQ_CST);
}

// ---- the look ----

static void grow(uint64_t *total, uint64_t *seen, uint64_t now)
{
    *total += now >= *seen ? now - *seen : now; // a reset takes the card's own counts back to zero
    *seen = now;
}

static void take_statistics(struct port_care *c, unsigned at, struct port_sample *sample)
{
    struct port_statistics now, *seen = &c->at[at].seen, *total = &c->at[at].total;
    port_get_statistics(&c->port[at], &now);
    grow(&total->missed, &seen->missed, now.missed);
    grow(&total->errors, &seen->errors, now.errors);
    grow(&total->no_buffer, &seen->no_buffer, now.no_buffer);
    memcpy(total->filter, now.filter, sizeof total->filter); // of the program's own maps, which no reset touches
    *sample = (struct port_sample){.is_up = c->port[at].is_up};
    for (unsigned i = 0; i < c->worker_count; i++) {
        const struct worker_port *w = &c->worker[i].at[at];
        sample->received += counters_read(&w->received);
        sample->sent += counters_read(&w->sent);
        sample->trouble[PORT_TROUBLE_TX_FULL] += counters_read(&w->refused);
        sample->trouble[PORT_TROUBLE_KERNEL] += counters_read(&w->kernel_dropped);
    }
    sample->trouble[PORT_TROUBLE_NO_BUFFER] = total->no_buffer;
    sample->trouble[PORT_TROUBLE_MISSED] = total->missed;
    sample->trouble[PORT_TROUBLE_ERRORS] = total->errors;
    if (c->port[at].door) {
        struct kernel_door_statistics door;
        kernel_door_get_statistics(c->port[at].door, &door);
        sample->trouble[PORT_TROUBLE_KERNEL] += door.refused + door.lost;
    }
}

static void tell(const struct port *port, const struct port_findings *f)
{
    for (unsigned t = 0; t < PORT_TROUBLE_COUNT; t++)
        if (f->trouble[t])
            log_warning("port %s: %llu %s", port->label, (unsigned long long)f->trouble[t],
                        port_trouble_text((enum port_trouble)t));
    if (f->link_changes == 1)
        log_notice("port %s: link %s", port->label, port->is_up ? "up" : "down");
    else if (f->link_changes)
        log_warning("port %s: link %s; it changed %llu times", port->label, port->is_up ? "up" : "down",
                    (unsigned long long)f->link_changes);
}

static void publish_sums(struct port_care *c)
{
    struct port_statistics sum = {0};
    struct kernel_door_statistics door, doors = {0};
    uint64_t changes = 0, resets = 0, down = 0;
    for (unsigned i = 0; i < c->port_count; i++) {
        sum.missed += c->at[i].total.missed;
        sum.errors += c->at[i].total.errors;
        sum.no_buffer += c->at[i].total.no_buffer;
        for (unsigned f = 0; f < PORT_FILTER_COUNT_MAX; f++)
            sum.filter[f] += c->at[i].total.filter[f];
        changes += c->port[i].link_changes;
        resets += c->port[i].resets;
        down += !c->port[i].is_up;
        if (!c->port[i].door)
            continue;
        kernel_door_get_statistics(c->port[i].door, &door);
        doors.taken += door.taken;
        doors.refused += door.refused;
        doors.sent += door.sent;
        doors.lost += door.lost;
    }
    counters_page_set(&c->page->port_missed, sum.missed);
    counters_page_set(&c->page->port_errors, sum.errors);
    counters_page_set(&c->page->port_no_buffer, sum.no_buffer);
    for (unsigned f = 0; f < PORT_FILTER_COUNT_MAX; f++)
        counters_page_set(&c->page->filter[f], sum.filter[f]);
    counters_page_set(&c->page->port_link_changes, changes);
    counters_page_set(&c->page->port_resets, resets);
    counters_page_set(&c->page->ports_down, down);
    counters_page_set(&c->page->kernel_taken, doors.taken);
    counters_page_set(&c->page->kernel_refused, doors.refused);
    counters_page_set(&c->page->kernel_given, doors.sent);
    counters_page_set(&c->page->kernel_lost, doors.lost);
}

void port_care_begin(struct port_care *c, uint64_t now_ns)
{
    for (unsigned i = 0; i < c->port_count; i++)
        port_watch_init(&c->at[i].watch, now_ns, c->port[i].is_up);
}

void port_care_look(struct port_care *c, uint64_t now_ns)
{
    for (unsigned i = 0; i < c->port_count; i++) {
        struct port *port = &c->port[i];
        struct port_sample sample;
        struct port_findings findings;
        if (__atomic_load_n(&port->is_removed, __ATOMIC_RELAXED)) {
            retire_port(port);
            continue;
        }
        poll_link(port);
        take_statistics(c, i, &sample);
        port_watch_look(&c->at[i].watch, now_ns, &sample, &findings);
        tell(port, &findings);
        if (__atomic_load_n(&port->wants_reset, __ATOMIC_RELAXED))
            reset_port(c, i, now_ns, "its driver asks for a reset");
        else if (findings.needs_reset)
            reset_port(c, i, now_ns, "it has taken nothing for 10 s although its link is up");
    }
    publish_sums(c);
}
