// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/admin_commands.h"
#include "control/metrics.h"
#include "health/prober.h"

// How busy a worker is and what a burst costs, since the data plane started: the room that is left is seen before it is
// used up.
static void set_load(json_t *counters, const struct counters_page *page, const struct counters_block *block,
                     uint64_t received)
{
    const double busy = (double)block->value[COUNTER_busy_cycles], bursts = (double)block->value[COUNTER_loops_busy];
    const double packets = (double)block->value[COUNTER_rx_packets];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const double age_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)page->started_at_us / 1e6;
    if (bursts > 0) {
        json_object_set_new(counters, "mean_burst", json_real(packets / bursts));
        json_object_set_new(counters, "cycles_per_burst", json_real(busy / bursts));
    }
    if (packets > 0) {
        json_object_set_new(counters, "cycles_per_packet", json_real(busy / packets));
        json_object_set_new(counters, "share_of_packets", json_real(packets / (double)received));
    }
    if (age_s > 0 && page->ticks_per_s) {
        const double idle = 1 - busy / (age_s * (double)page->ticks_per_s);
        json_object_set_new(counters, "idle_share", json_real(idle < 0 ? 0 : idle));
    }
}

static json_t *workers_json(struct daemon *d, json_t *total)
{
    struct counters_page page;
    struct counters_block *block = calloc(COUNTERS_BLOCK_MAX, sizeof *block);
    const unsigned count = block ? worker_watch_read(d->watch, &page, block, COUNTERS_BLOCK_MAX) : 0;
    json_t *workers = json_array(), *filter = json_object();
    uint64_t sum[COUNTER_COUNT] = {0}, received = 0;
    for (unsigned w = 0; w < count; w++)
        received += block[w].value[COUNTER_rx_packets];
    for (unsigned w = 0; w < count; w++) {
        json_t *counters = json_object();
        for (unsigned c = 0; c < COUNTER_COUNT; c++) {
            sum[c] += block[w].value[c];
            json_object_set_new(counters, counter_name((enum counter)c), json_integer((json_int_t)block[w].value[c]));
        }
        json_object_set_new(counters, "zone_generation", json_integer((json_int_t)block[w].zone_generation));
        json_object_set_new(counters, "order_generation", json_integer((json_int_t)block[w].order_generation));
        if (w + 1 < count) // the last block is the stream thread's, which waits in poll
            set_load(counters, &page, &block[w], received);
        json_array_append_new(workers, counters);
    }
    for (unsigned c = 0; count && c < COUNTER_COUNT; c++)
        json_object_set_new(total, counter_name((enum counter)c), json_integer((json_int_t)sum[c]));
    if (count) {
        json_object_set_new(total, "port_missed", json_integer((json_int_t)page.port_missed));
        json_object_set_new(total, "port_errors", json_integer((json_int_t)page.port_errors));
        json_object_set_new(total, "port_no_buffer", json_integer((json_int_t)page.port_no_buffer));
        json_object_set_new(total, "port_link_changes", json_integer((json_int_t)page.port_link_changes));
        json_object_set_new(total, "ports_down", json_integer((json_int_t)page.ports_down));
        json_object_set_new(total, "port_resets", json_integer((json_int_t)page.port_resets));
        json_object_set_new(total, "kernel_taken", json_integer((json_int_t)page.kernel_taken));
        json_object_set_new(total, "kernel_refused", json_integer((json_int_t)page.kernel_refused));
        json_object_set_new(total, "kernel_given", json_integer((json_int_t)page.kernel_given));
        json_object_set_new(total, "kernel_lost", json_integer((json_int_t)page.kernel_lost));
        for (unsigned f = 0; f < COUNTERS_FILTER_COUNT; f++)
            json_object_set_new(filter, counters_filter_name((enum counters_filter)f),
                                json_integer((json_int_t)page.filter[f]));
        json_object_set_new(total, "publications", json_integer((json_int_t)page.publications));
        json_object_set_new(total, "images_refused", json_integer((json_int_t)page.images_refused));
    }
    json_object_set_new(total, "filter", filter);
    free(block);
    return workers;
}

static json_t *heartbeats_json(struct daemon *d)
{
    struct heartbeat_link_stats s = {0};
    if (d->heartbeats)
        heartbeats_stats(d->heartbeats, &s);
    json_t *received = json_object();
    for (unsigned v = 0; v < HEARTBEAT_VERDICT_COUNT; v++)
        json_object_set_new(received, heartbeat_verdict_name((enum heartbeat_verdict)v),
                            json_integer((json_int_t)s.received[v]));
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o}", "sent", (json_int_t)s.sent, "send_errors",
                     (json_int_t)s.send_errors, "withheld", (json_int_t)s.withheld, "queue_full",
                     (json_int_t)s.queue_full, "latest", admin_seconds(s.latest_ns), "received", received);
}

static json_t *control_json(struct daemon *d)
{
    const struct steering_stats *s = steering_stats(d->steering);
    struct journal_stats j;
    journal_count(d->journal, &j);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:o, s:I, s:I, s:I}", "events", (json_int_t)s->events,
                     "verdict_changes", (json_int_t)s->verdict_changes, "order_changes", (json_int_t)s->order_changes,
                     "images_built", (json_int_t)s->images_built, "images_equal", (json_int_t)s->images_equal,
                     "build_errors", (json_int_t)s->build_errors, "build_last", admin_seconds(s->build_last_ns),
                     "stalls", (json_int_t)s->stalls, "stalled", admin_seconds(s->stalled_ns), "journal_lines",
                     (json_int_t)j.lines, "journal_bytes", (json_int_t)j.bytes, "journal_errors", (json_int_t)j.errors);
}

static json_t *probes_json(struct daemon *d)
{
    struct prober_stats s = {0};
    if (d->prober)
        prober_measure(d->prober, &s);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "configured", (json_int_t)s.probes, "started",
                     (json_int_t)s.started, "finished", (json_int_t)s.finished, "good", (json_int_t)s.good, "bad",
                     (json_int_t)s.bad, "deferred", (json_int_t)s.deferred, "running", (json_int_t)s.running);
}

enum admin_status admin_stats_command(struct admin_call *call)
{
    json_t *total = json_object();
    json_t *workers = workers_json(call->daemon, total);
    json_object_set_new(call->result, "control", control_json(call->daemon));
    json_object_set_new(call->result, "probes", probes_json(call->daemon));
    json_object_set_new(call->result, "heartbeats", heartbeats_json(call->daemon));
    json_object_set_new(call->result, "dataplane", total);
    json_object_set_new(call->result, "workers", workers);
    return ADMIN_OK;
}

enum admin_status admin_metrics_command(struct admin_call *call)
{
    char *text = metrics_text(call->daemon);
    if (!text)
        return admin_refuse(call, "no memory");
    json_object_set_new(call->result, "text", json_string(text));
    free(text);
    return ADMIN_OK;
}
