// SPDX-License-Identifier: Apache-2.0
#include "control/metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/metric_label.h"
#include "health/prober.h"

#define U64 (unsigned long long)

enum { SERVICES_MAX = 1000 }; // series of single services; more would drown a scraper

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP signpost_%s %s\n# TYPE signpost_%s %s\n", name, help, name, type);
}

static void single(FILE *out, const char *name, const char *type, const char *help, double value)
{
    head(out, name, type, help);
    fprintf(out, "signpost_%s %.17g\n", name, value);
}

static void put_workers(FILE *out, struct daemon *d)
{
    struct counters_page page;
    struct counters_block *block = calloc(COUNTERS_BLOCK_MAX, sizeof *block);
    const unsigned count = block ? worker_watch_read(d->watch, &page, block, COUNTERS_BLOCK_MAX) : 0;
    for (unsigned c = 0; count && c < COUNTER_COUNT; c++) {
        char name[64];
        snprintf(name, sizeof name, "dataplane_%s_total", counter_name((enum counter)c));
        head(out, name, "counter", counter_help((enum counter)c));
        for (unsigned w = 0; w < count; w++)
            fprintf(out, "signpost_%s{worker=\"%u\"} %llu\n", name, w, U64 block[w].value[c]);
    }
    if (count) {
        single(out, "dataplane_port_missed_total", "counter", "packets dropped by the NIC because a ring was full",
               (double)page.port_missed);
        single(out, "dataplane_port_errors_total", "counter", "packets that the NIC received with errors",
               (double)page.port_errors);
        single(out, "dataplane_port_no_buffer_total", "counter", "packets dropped for want of a buffer",
               (double)page.port_no_buffer);
        single(out, "dataplane_port_link_changes_total", "counter", "times that a port's link went up or down",
               (double)page.port_link_changes);
        single(out, "dataplane_ports_down", "gauge", "ports without a link", (double)page.ports_down);
        single(out, "dataplane_port_resets_total", "counter", "resets of ports that were stuck or whose driver asked",
               (double)page.port_resets);
        single(out, "dataplane_kernel_taken_total", "counter", "packets that the kernel's interface took",
               (double)page.kernel_taken);
        single(out, "dataplane_kernel_refused_total", "counter", "packets that the kernel's interface did not take",
               (double)page.kernel_refused);
        single(out, "dataplane_kernel_given_total", "counter", "packets that the kernel's interface gave",
               (double)page.kernel_given);
        single(out, "dataplane_kernel_lost_total", "counter",
               "packets that the kernel's interface gave, dropped for want of a buffer or room",
               (double)page.kernel_lost);
        head(out, "dataplane_filter_packets_total", "counter", "packets of shared cards by what the XDP program did");
        for (unsigned f = 0; f < COUNTERS_FILTER_COUNT; f++)
            fprintf(out, "signpost_dataplane_filter_packets_total{action=\"%s\"} %llu\n",
                    counters_filter_name((enum counters_filter)f), (unsigned long long)page.filter[f]);
        single(out, "dataplane_publications_total", "counter", "tables published to the workers",
               (double)page.publications);
        single(out, "dataplane_images_refused_total", "counter", "images refused", (double)page.images_refused);
        single(out, "dataplane_grace_period_seconds", "gauge", "length of the last grace period",
               (double)page.grace_period_last_ns / 1e9);
    }
    free(block);
}

static void put_dataplane(FILE *out, struct daemon *d)
{
    const struct publisher_status *p = publisher_status(d->publisher);
    single(out, "dataplane_connected", "gauge", "1 while the data plane is connected", p->is_connected);
    single(out, "dataplane_alive", "gauge", "1 while the workers make progress",
           worker_watch_is_alive(d->watch, uv_hrtime()));
    single(out, "dataplane_connections_total", "counter", "connections to the data plane since the start",
           (double)p->connections);
    put_workers(out, d);
    if (!d->standby)
        return;
    single(out, "standby_connected", "gauge", "1 while the standby is connected",
           publisher_status(d->standby)->is_connected);
    single(out, "standby_alive", "gauge", "1 while the standby makes progress",
           worker_watch_is_alive(d->standby_watch, uv_hrtime()));
}

static void put_sites(FILE *out, struct daemon *d)
{
    const struct config *config = daemon_config(d);
    char label[METRIC_LABEL_CAP];
    static const char *const states[] = {"unknown", "up", "down", "drain"};
    head(out, "site_state", "gauge", "1 for the present state of the site");
    for (unsigned i = 0; i < config->site_count; i++)
        for (unsigned s = 0; s < 4; s++)
            fprintf(out, "signpost_site_state{site=\"%s\",state=\"%s\"} %d\n", config->sites[i].name, states[s],
                    (unsigned)steering_site(d->steering, i)->state == s);
    head(out, "site_in_doubt", "gauge", "1 while some evidence speaks against the site");
    for (unsigned i = 0; i < config->site_count; i++)
        fprintf(out, "signpost_site_in_doubt{site=\"%s\"} %d\n", config->sites[i].name,
                steering_site(d->steering, i)->is_in_doubt);
    head(out, "site_load_ratio", "gauge", "load of the site, 1 is all it can take");
    for (unsigned i = 0; i < config->site_count; i++)
        if (steering_site(d->steering, i)->load_permille >= 0)
            fprintf(out, "signpost_site_load_ratio{site=\"%s\"} %.3f\n", config->sites[i].name,
                    steering_site(d->steering, i)->load_permille / 1000.0);
    head(out, "site_response_seconds", "gauge", "moving average of the site's response time");
    for (unsigned i = 0; i < config->site_count; i++)
        if (steering_site(d->steering, i)->response_ns)
            fprintf(out, "signpost_site_response_seconds{site=\"%s\"} %.6f\n", config->sites[i].name,
                    (double)steering_site(d->steering, i)->response_ns / 1e9);
    head(out, "service_sites_available", "gauge", "sites in the answer of the service for clients of no region");
    for (unsigned i = 0; i < config->service_count && i < SERVICES_MAX; i++) {
        const struct steering_order *order = steering_order(d->steering, i);
        if (order)
            fprintf(out, "signpost_service_sites_available{service=\"%s\"} %d\n",
                    metric_label(config->services[i].name, label), order->is_fail_open ? 0 : order->count);
    }
}

static void put_operators(FILE *out, const struct daemon *d)
{
    unsigned count[OPERATOR_KIND_COUNT] = {0};
    char label[METRIC_LABEL_CAP];
    for (unsigned i = 0; i < d->operators.count; i++)
        count[d->operators.entry[i].kind]++;
    head(out, "operator_states", "gauge",
         "sites, sites within services, and addresses that an operator has a say about");
    for (unsigned k = 0; k < OPERATOR_KIND_COUNT; k++)
        fprintf(out, "signpost_operator_states{kind=\"%s\"} %u\n", operator_kind_name((enum operator_kind)k), count[k]);
    head(out, "operator_state", "gauge", "1 for what an operator said");
    for (unsigned i = 0; i < d->operators.count; i++)
        fprintf(out, "signpost_operator_state{kind=\"%s\",name=\"%s\",state=\"%s\"} 1\n",
                operator_kind_name(d->operators.entry[i].kind), metric_label(d->operators.entry[i].name, label),
                operator_state_name(d->operators.entry[i].state));
}

static void put_peers(FILE *out, struct daemon *d)
{
    struct heartbeat_link_stats s = {0};
    if (!d->heartbeats)
        return;
    heartbeats_stats(d->heartbeats, &s);
    single(out, "heartbeats_sent_total", "counter", "heartbeats sent", (double)s.sent);
    single(out, "heartbeats_send_errors_total", "counter", "heartbeats that could not be sent", (double)s.send_errors);
    single(out, "heartbeats_withheld_total", "counter", "heartbeats withheld because the workers make no progress",
           (double)s.withheld);
    head(out, "heartbeats_received_total", "counter", "datagrams on the heartbeat port by verdict");
    for (unsigned v = 0; v < HEARTBEAT_VERDICT_COUNT; v++)
        fprintf(out, "signpost_heartbeats_received_total{verdict=\"%s\"} %llu\n",
                heartbeat_verdict_name((enum heartbeat_verdict)v), U64 s.received[v]);
    head(out, "peer_heard_age_seconds", "gauge", "age of the node's last heartbeat");
    for (unsigned i = 0; i < heartbeats_peer_count(d->heartbeats); i++) {
        const struct heartbeats_peer *p = heartbeats_peer(d->heartbeats, i);
        if (p->heard_ns)
            fprintf(out, "signpost_peer_heard_age_seconds{node=\"%s\"} %.3f\n", p->name,
                    (double)(uv_hrtime() - p->heard_ns) / 1e9);
    }
}

static double resident_bytes(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void put_control(FILE *out, struct daemon *d)
{
    const struct steering_stats *s = steering_stats(d->steering);
    struct history_latency l;
    struct journal_stats j;
    struct rusage usage;
    history_measure(steering_history(d->steering), &l);
    journal_count(d->journal, &j);
    getrusage(RUSAGE_SELF, &usage);
    head(out, "build_info", "gauge", "version of the program");
    fprintf(out, "signpost_build_info{version=\"%s\"} 1\n", SIGNPOST_VERSION);
    struct prober_stats probes = {0};
    if (d->prober)
        prober_measure(d->prober, &probes);
    single(out, "probes", "gauge", "distinct probes and readers configured", (double)probes.probes);
    single(out, "probes_finished_total", "counter", "probes with a result", (double)probes.finished);
    single(out, "probes_bad_total", "counter", "probes with a bad result", (double)probes.bad);
    single(out, "probes_deferred_total", "counter", "probes that waited for a place at their target",
           (double)probes.deferred);
    single(out, "ready", "gauge", "1 once verdicts are ready", steering_is_ready(d->steering));
    single(out, "events_total", "counter", "observations of probes, balancers, peers and operators", (double)s->events);
    single(out, "verdict_changes_total", "counter", "changes of a site's state", (double)s->verdict_changes);
    single(out, "order_changes_total", "counter", "changes of a service's default order", (double)s->order_changes);
    single(out, "images_built_total", "counter", "site-order images built", (double)s->images_built);
    single(out, "image_build_errors_total", "counter", "site-order images that could not be built",
           (double)s->build_errors);
    single(out, "stalls_total", "counter", "times this process was late and verdicts stood still", (double)s->stalls);
    single(out, "reloads_applied_total", "counter", "reloads applied", (double)d->load.applied);
    single(out, "reloads_refused_total", "counter", "reloads refused", (double)d->load.refused);
    single(out, "zones_loaded", "gauge", "zones served", d->load.zones_loaded);
    single(out, "zones_failed", "gauge", "zones with errors", d->load.zones_failed);
    single(out, "verdict_to_wire_median_seconds", "gauge", "median time from a verdict to the workers",
           (double)l.median_ns / 1e9);
    single(out, "verdict_to_wire_p99_seconds", "gauge", "99th percentile of the same", (double)l.p99_ns / 1e9);
    single(out, "journal_errors_total", "counter", "writes of the journal that failed", (double)j.errors);
    single(out, "process_cpu_seconds_total", "counter", "processor time of the control process",
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    single(out, "process_resident_memory_bytes", "gauge", "memory of the control process", resident_bytes());
    single(out, "process_resident_memory_max_bytes", "gauge", "the most it had so far", (double)usage.ru_maxrss * 1024);
}

char *metrics_text(struct daemon *d)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    put_control(out, d);
    put_sites(out, d);
    put_operators(out, d);
    put_peers(out, d);
    put_dataplane(out, d);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
