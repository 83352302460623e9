// SPDX-License-Identifier: Apache-2.0
// signpost-dataplane: the start, the once-a-second duties of the main thread, and the end.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/capture.h"
#include "dataplane/counters_page.h"
#include "dataplane/eal_dpdk.h"
#include "dataplane/guardian.h"
#include "dataplane/kernel_quiet.h"
#include "shared/log.h"
#include "dataplane/manager.h"
#include "dataplane/notify.h"
#include "dataplane/options.h"
#include "dataplane/port_care_dpdk.h"
#include "dataplane/port_queues_dpdk.h"
#include "dataplane/rate_limit.h"
#include "dataplane/service.h"
#include "dataplane/stream.h"
#include "dataplane/worker_dpdk.h"

enum {
    EXIT_USAGE = 2,
    RATE_LIMIT_BITS = 16, // cells per worker: 2^16 of 16 bytes; fewer: strangers share cells under attack
    LINK_WAIT_MS = 3000,  // cards take up to a second after their start
    DRAIN_MS = 20,        // for what waits in rings: thousands of times what a burst takes
    STOP_LIMIT_S = 10     // a driver that hangs at the end must not keep the process
};

struct program {
    struct options options;
    bool is_floating, has_eal;
    struct port port[OPTIONS_PORT_MAX];
    unsigned port_count;
    struct counters_memory counters;
    struct capture_memory capture; // page is null: there is none
    struct worker *worker;         // options.core_count of them
    struct manager *manager;
    struct kernel_quiet quiet;
    struct port_care care;
    struct guardian *guardian; // null: no shared card
    struct stream *stream;     // null: without DNS over TCP
    uint64_t watched_loops[OPTIONS_CORE_MAX];
    bool has_opened; // shared cards let their queries in
    bool stop;       // read by the workers
};

static bool has_shared_card(const struct options *options)
{
    for (unsigned i = 0; i < options->port_count; i++)
        if (options->port[i].kind == PORT_AF_XDP)
            return true;
    return false;
}

static void start_guardian(struct program *p)
{
    static struct guardian_watch watch;
    for (unsigned i = 0; i < p->port_count; i++) {
        const struct port *port = &p->port[i];
        if (port->kind != PORT_AF_XDP)
            continue;
        watch.gate_fd[watch.gate_count++] = port->filter.gate_fd;
        for (unsigned q = 0; q < port->queue_count; q++) {
            struct stranded_ring *ring = &watch.ring[watch.ring_count];
            if (port_find_ring(port, q, ring) == 0)
                watch.ring_count++;
            else
                log_info("port %s: the ring of queue %u is not guarded", port->label, q);
            ring->finished = &p->worker[q].at[i].received;
            ring->sent = &p->worker[q].at[i].sent;
        }
    }
    p->guardian = guardian_start(&watch);
    if (!p->guardian)
        log_warning("no guardian process: a sudden death will cost more queries");
}

static int start_ports(struct program *p)
{
    char why[PORT_WHY_CAP];
    for (unsigned i = 0; i < p->options.port_count; i++) {
        struct port *port = &p->port[i];
        const struct port_plan plan = {.number = i,
                                       .worker_count = p->options.core_count,
                                       .idle = options_idle(&p->options),
                                       .has_offloads = p->options.has_offloads,
                                       .has_door = p->options.kernel_interface != NULL};
        if (port_open(port, &p->options.port[i], &plan, why) < 0) {
            log_error("%s", why);
            return -1;
        }
        p->port_count = i + 1;
        if (port_start(port, why) < 0) {
            log_error("%s", why);
            return -1;
        }
        if (port_set_addresses(port, p->options.address, p->options.address_count, why) < 0) {
            log_error("%s", why);
            return -1;
        }
        if (port->kind == PORT_AF_PACKET)
            kernel_quiet_open(&p->quiet, p->options.address, p->options.address_count, p->options.port[i].name);
    }
    if (has_shared_card(&p->options))
        start_guardian(p);
    p->care = (struct port_care){.port = p->port,
                                 .port_count = p->port_count,
                                 .worker = p->worker,
                                 .worker_count = p->options.core_count,
                                 .page = p->counters.page};
    return port_care_open_doors(&p->care, p->options.kernel_way, p->options.kernel_interface);
}

// Frames before a card's link is up are lost: wait, but never refuse to serve for it.
static void wait_for_links(struct program *p)
{
    for (unsigned waited = 0; waited < LINK_WAIT_MS; waited += 50) {
        if (port_care_poll_links(&p->care) == 0)
            return;
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    log_warning("not all links are up yet; serving all the same");
}

static int start_manager(struct program *p)
{
    char why[256];
    const struct manager_config config = {.socket_path = p->options.socket_path,
                                          .state_dir = p->options.state_dir,
                                          .counters = &p->counters,
                                          .capture = &p->capture,
                                          .worker_count = p->options.core_count,
                                          .owner = geteuid()};
    p->manager = manager_new(&config, why);
    if (!p->manager) {
        log_error("%s", why);
        return -1;
    }
    return 0;
}

// Not being able to serve TCP is worth a warning, not an end: UDP is served.
static void start_stream(struct program *p)
{
    char why[256];
    if (!p->options.has_tcp)
        return;
    struct stream_config config = {.address = p->options.address,
                                   .address_count = p->options.address_count,
                                   .port = 53,
                                   .counters = &p->counters.page->block[p->options.core_count]};
    for (unsigned i = 0; i < p->options.port_count; i++)
        if (p->options.port[i].kind == PORT_AF_PACKET || p->options.port[i].kind == PORT_AF_XDP)
            config.interface = p->options.port[i].name;
    p->stream = stream_new(&config, why);
    if (!p->stream || stream_start(p->stream) < 0)
        log_warning("%s", p->stream ? "no DNS over TCP: its thread cannot be started" : why);
}

static int start_workers(struct program *p)
{
    for (unsigned i = 0; i < p->options.core_count; i++) {
        uint64_t seed;
        if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
            return -1;
        struct rate_limit *limit = rate_limit_new(RATE_LIMIT_BITS, seed, p->options.core_count);
        if (!limit)
            return -1;
        worker_init(&p->worker[i], i, p->port, p->port_count, options_idle(&p->options), &p->counters.page->block[i],
                    limit, &p->stop);
        p->worker[i].capture = p->capture.page;
        if (eal_launch(i, worker_run, &p->worker[i]) < 0)
            return -1;
    }
    return 0;
}

// True when every worker went round its loop since the last call.
static bool have_workers_moved(struct program *p)
{
    bool has_moved = true;
    for (unsigned i = 0; i < p->options.core_count; i++) {
        const uint64_t loops = counters_read(&p->counters.page->block[i].value[COUNTER_loops]);
        has_moved = has_moved && loops != p->watched_loops[i];
        p->watched_loops[i] = loops;
    }
    return has_moved;
}

// Shared cards keep their queries in the kernel until there is something to answer from.
static void let_in(struct program *p)
{
    if (p->has_opened || counters_read(&p->counters.page->publications) == 0)
        return;
    p->has_opened = true;
    for (unsigned i = 0; i < p->port_count; i++)
        port_let_in(&p->port[i], true);
}

// What is on its way to the workers is still answered; what comes from now on is the kernel's.
static void keep_out(struct program *p)
{
    if (!p->has_opened)
        return;
    for (unsigned i = 0; i < p->port_count; i++)
        port_let_in(&p->port[i], false);
    nanosleep(&(struct timespec){0, DRAIN_MS * 1000000}, NULL);
}

static bool each_second(void *user)
{
    struct program *p = user;
    let_in(p);
    port_care_look(&p->care, log_now_ns());
    const bool has_moved = have_workers_moved(p);
    if (!has_moved)
        log_warning("a worker does not move");
    return has_moved;
}

static void stop_all(struct program *p)
{
    if (!p->has_eal)
        return;
    alarm(STOP_LIMIT_S);
    notify_send("STOPPING=1");
    keep_out(p);
    __atomic_store_n(&p->stop, true, __ATOMIC_RELEASE);
    eal_wait();
    guardian_stop(p->guardian); // it holds the cards' sockets as well
    stream_free(p->stream);
    manager_free(p->manager);
    for (unsigned i = 0; i < p->options.core_count && p->worker; i++)
        rate_limit_free(p->worker[i].context.rate_limit);
    port_care_close_doors(&p->care);
    for (unsigned i = 0; i < p->port_count; i++)
        port_close(&p->port[i]);
    kernel_quiet_close(&p->quiet);
    counters_page_fini(&p->counters);
    capture_fini(&p->capture);
    if (p->worker)
        munmap(p->worker, sizeof *p->worker * p->options.core_count);
    for (unsigned i = 0; i < p->options.port_count; i++)
        if (p->options.port[i].kind == PORT_MEMIF || p->options.port[i].kind == PORT_AF_XDP)
            return; // such ports are still open, see port_close; the end of the process suffices
    eal_stop();
}

static int start_all(struct program *p)
{
    char why[512];
    unsigned memory_mb = 0;
    for (unsigned i = 0; i < p->options.port_count; i++)
        memory_mb += port_memory_mb(&p->options.port[i], p->options.core_count, p->options.kernel_interface);
    if (eal_start(&p->options, p->is_floating, memory_mb, why, sizeof why) < 0) {
        log_error("%s", why);
        return -1;
    }
    p->has_eal = true;
    p->worker = mmap(NULL, sizeof *p->worker * p->options.core_count, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS, -1, 0); // shared with the guardian
    if (p->worker == MAP_FAILED)
        p->worker = NULL;
    const int rc = p->worker ? counters_page_init(&p->counters, p->options.core_count + 1, eal_ticks_per_s()) : -ENOMEM;
    if (rc < 0) {
        log_error("counters: %s", strerror(-rc));
        return -1;
    }
    if (capture_init(&p->capture, p->options.core_count) < 0)
        log_warning("no memory for captures: signpostctl capture will not work");
    if (start_ports(p) < 0 || start_manager(p) < 0)
        return -1;
    start_stream(p);
    if (start_workers(p) < 0 || manager_start(p->manager) < 0) {
        log_error("the workers cannot be started");
        return -1;
    }
    return 0;
}

static void say_ready(struct program *p)
{
    wait_for_links(p);
    for (unsigned i = 0; i < p->port_count; i++) {
        const uint8_t *mac = p->port[i].packet.mac;
        log_notice("port %s: %s, %u queues, %02x:%02x:%02x:%02x:%02x:%02x, link %s", p->port[i].label,
                   p->port[i].driver, p->port[i].queue_count, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5],
                   p->port[i].is_up ? "up" : "down");
    }
    port_care_begin(&p->care, log_now_ns());
    static const char *const idle[] = {
        [IDLE_BUSY] = "polling without pause", [IDLE_PAUSE] = "pausing when idle", [IDLE_SLEEP] = "sleeping when idle"};
    log_notice("ready: %u workers, %s, %s huge pages, %s", p->options.core_count, idle[options_idle(&p->options)],
               eal_uses_huge_pages() ? "with" : "without",
               manager_has_images(p->manager) ? "answering" : "waiting for the first tables");
    notify_send("READY=1");
}

int main(int argc, char **argv)
{
    static struct program program;
    struct program *p = &program;
    char why[512];
    sigset_t signals;
    if (options_parse(&p->options, argc, argv, why, sizeof why) < 0) {
        fprintf(stderr, "signpost-dataplane: %s\n", why);
        return EXIT_USAGE;
    }
    if (p->options.wants_help || p->options.wants_version) {
        fputs(p->options.wants_help ? options_usage() : "signpost-dataplane " SIGNPOST_VERSION "\n", stdout);
        return 0;
    }
    log_setup(p->options.is_verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_NOTICE, false);
    if (eal_choose_cores(&p->options, &p->is_floating, why, sizeof why) < 0) {
        fprintf(stderr, "signpost-dataplane: %s\n", why);
        return EXIT_USAGE;
    }
    service_block_signals(&signals);
    const int rc = start_all(p);
    if (rc == 0) {
        let_in(p);
        say_ready(p);
        guardian_arm(p->guardian);
        service_run(&signals, each_second, p);
    }
    stop_all(p);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
