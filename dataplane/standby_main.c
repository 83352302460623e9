// SPDX-License-Identifier: Apache-2.0
// signpost-standby: DNS on kernel sockets from the same images as the data plane, without DPDK.
//
// It stands behind a card that is shared with the kernel: the data plane's XDP program takes the queries while the data
// plane lives, the kernel hands them to this process while it does not. DNS over TCP is served here at all times, so
// that a restart of the data plane touches no connection.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "dataplane/counters_page.h"
#include "dataplane/datagram.h"
#include "shared/log.h"
#include "dataplane/manager.h"
#include "dataplane/notify.h"
#include "dataplane/options.h"
#include "dataplane/rate_limit.h"
#include "dataplane/service.h"
#include "dataplane/stream.h"

enum {
    EXIT_USAGE = 2,
    RATE_LIMIT_BITS = 16, // as a worker of the data plane has
    BLOCK_DATAGRAM = 0,   // of the counters page: its only worker
    BLOCK_STREAM = 1,     // behind the workers, as in the data plane
    BLOCK_COUNT = 2,
    TICKS_PER_S = 1000000000 // of busy_cycles, which nobody here counts
};

struct program {
    struct options options;
    struct counters_memory counters;
    struct rate_limit *limit;
    struct manager *manager;
    struct datagram *datagram;
    struct stream *stream; // null: without DNS over TCP
    uint64_t watched_loops;
};

static int start_udp(struct program *p, char why[256])
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed || !(p->limit = rate_limit_new(RATE_LIMIT_BITS, seed, 1))) {
        snprintf(why, 256, "out of memory");
        return -ENOMEM;
    }
    const struct datagram_config config = {.address = p->options.address,
                                           .address_count = p->options.address_count,
                                           .port = 53,
                                           .counters = &p->counters.page->block[BLOCK_DATAGRAM],
                                           .rate_limit = p->limit};
    p->datagram = datagram_new(&config, why);
    return p->datagram ? 0 : -EADDRNOTAVAIL;
}

// Not being able to serve TCP is worth a warning, not an end: UDP is served.
static void start_tcp(struct program *p)
{
    char why[256];
    if (!p->options.has_tcp)
        return;
    const struct stream_config config = {.address = p->options.address,
                                         .address_count = p->options.address_count,
                                         .port = 53,
                                         .counters = &p->counters.page->block[BLOCK_STREAM]};
    p->stream = stream_new(&config, why);
    if (!p->stream || stream_start(p->stream) < 0)
        log_warning("%s", p->stream ? "no DNS over TCP: its thread cannot be started" : why);
}

static int start_all(struct program *p)
{
    char why[256];
    int rc = counters_page_init(&p->counters, BLOCK_COUNT, TICKS_PER_S);
    if (rc < 0) {
        log_error("counters: %s", strerror(-rc));
        return rc;
    }
    const struct manager_config config = {.socket_path = p->options.socket_path,
                                          .state_dir = p->options.state_dir,
                                          .counters = &p->counters,
                                          .worker_count = 1,
                                          .owner = geteuid()};
    p->manager = manager_new(&config, why);
    rc = p->manager ? start_udp(p, why) : -EADDRINUSE;
    if (rc < 0) {
        log_error("%s", why);
        return rc;
    }
    start_tcp(p);
    rc = datagram_start(p->datagram);
    if (rc == 0)
        rc = manager_start(p->manager);
    if (rc < 0)
        log_error("the threads cannot be started: %s", strerror(-rc));
    return rc;
}

static void stop_all(struct program *p)
{
    notify_send("STOPPING=1");
    datagram_free(p->datagram);
    stream_free(p->stream);
    manager_free(p->manager);
    rate_limit_free(p->limit);
    if (p->counters.page)
        counters_page_fini(&p->counters);
}

static bool each_second(void *user)
{
    struct program *p = user;
    const uint64_t loops = counters_read(&p->counters.page->block[BLOCK_DATAGRAM].value[COUNTER_loops]);
    const bool has_moved = loops != p->watched_loops;
    p->watched_loops = loops;
    if (!has_moved)
        log_warning("the UDP thread does not move");
    return has_moved;
}

int main(int argc, char **argv)
{
    static struct program program;
    struct program *p = &program;
    char why[512];
    sigset_t signals;
    if (options_parse_standby(&p->options, argc, argv, why, sizeof why) < 0) {
        fprintf(stderr, "signpost-standby: %s\n", why);
        return EXIT_USAGE;
    }
    if (p->options.wants_help || p->options.wants_version) {
        fputs(p->options.wants_help ? options_usage_standby() : "signpost-standby " SIGNPOST_VERSION "\n", stdout);
        return 0;
    }
    log_setup(p->options.is_verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_NOTICE, false);
    service_block_signals(&signals);
    const int rc = start_all(p);
    if (rc == 0) {
        log_notice("ready: %s", manager_has_images(p->manager) ? "answering" : "waiting for the first tables");
        notify_send("READY=1");
        service_run(&signals, each_second, p);
    }
    stop_all(p);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
