// SPDX-License-Identifier: Apache-2.0
// What `status` shows, and the metrics: both from what the loop's thread knows already, so that asking costs no
// database.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dbsync/daemon.h"

// ---- status ----

static json_t *seconds(int64_t us)
{
    return us < 0 ? json_null() : json_real((double)us / 1e6);
}

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static const char *sending_name(enum link_sending s)
{
    static const char *const name[] = {"idle", "reading", "sending", "waiting for acknowledgement"};
    return name[s];
}

static const char *receiving_name(enum link_receiving s)
{
    static const char *const name[] = {"idle", "receiving", "skipping", "syncing", "applying"};
    return name[s];
}

static json_t *conflicts_json(const struct peer *p)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < CONFLICT_KIND_COUNT; i++)
        json_object_set_new(o, conflict_kind_name((enum conflict_kind)i), number(p->counts.conflict[i]));
    json_object_set_new(o, "last_hour", number(p->counts.conflict_hour));
    json_object_set_new(o, "last_day", number(p->counts.conflict_day));
    return o;
}

static void put_link(json_t *o, const struct peer *p)
{
    struct link_status s;
    link_get_status(p->link, &s);
    uint64_t now = uv_now(p->daemon->loop), since = s.is_met ? p->up_since_ms : p->down_since_ms;
    json_object_set_new(o, "link", json_string(s.is_met ? "up" : p->connection ? "meeting" : "down"));
    json_object_set_new(o, "link_since", json_real((double)(now - since) / 1e3));
    json_object_set_new(o, "tls", json_string(net_describe(p)));
    json_object_set_new(o, "round_trip", seconds(s.round_trip_us));
    json_object_set_new(o, "skew", seconds(s.skew_us));
    if (s.skew_us < 0)
        json_object_set_new(o, "skew", json_real((double)s.skew_us / 1e6));
    json_object_set_new(o, "sending", json_string(sending_name(s.sending)));
    json_object_set_new(o, "receiving", json_string(receiving_name(s.receiving)));
    json_object_set_new(o, "waits_for_credit", json_boolean(s.waits_for_credit));
    if (s.out_number)
        json_object_set_new(o, "out",
                            json_pack("{s:I, s:I, s:I, s:I}", "batch", (json_int_t)s.out_number, "rows",
                                      (json_int_t)s.out_rows, "sent", (json_int_t)s.out_at, "bytes",
                                      (json_int_t)s.out_bytes));
    if (s.in_number)
        json_object_set_new(o, "in",
                            json_pack("{s:I, s:I, s:I, s:I}", "batch", (json_int_t)s.in_number, "rows",
                                      (json_int_t)s.in_rows, "received", (json_int_t)s.in_at, "bytes",
                                      (json_int_t)s.in_bytes));
    json_object_set_new(o, "applied", number(s.applied > p->known.applied ? s.applied : p->known.applied));
    json_object_set_new(o, "acked", number(s.acked > p->known.acked ? s.acked : p->known.acked));
}

static json_t *verified_json(const struct frame_verified *v)
{
    return json_pack("{s:I, s:I, s:I}", "ranges", (json_int_t)v->ranges, "differ", (json_int_t)v->differ, "busy",
                     (json_int_t)v->busy);
}

static void put_totals(json_t *o, const struct peer *p)
{
    const struct peer_totals *t = &p->totals;
    const struct link_counters *c = link_counted(p->link);
    double ratio = c->rows_sent ? (double)t->changes_read / (double)c->rows_sent : 1;
    json_object_set_new(o, "changes_per_row_sent", json_real(ratio));
    const struct frame_verified here = {t->digests, t->digests_differ, t->digests_busy};
    json_object_set_new(o, "verified", verified_json(&here));
    json_object_set_new(o, "verified_there", verified_json(&p->verified_there));
    json_object_set_new(o, "rows_sent", number(c->rows_sent));
    json_object_set_new(o, "rows_received", number(c->rows_received));
    json_object_set_new(o, "rows_applied", number(t->rows_applied));
    json_object_set_new(o, "bytes_sent", number(c->bytes_wire_sent));
    json_object_set_new(o, "bytes_before_compression", number(c->bytes_plain_sent));
    json_object_set_new(o, "connects", number(c->connects));
}

static const char *state_of(const struct peer *p)
{
    return p->hold[0] && p->known.state == PEER_RUNNING ? peer_state_name(PEER_HELD) : peer_state_name(p->known.state);
}

static json_t *peer_json(const struct peer *p)
{
    const struct door_peer *k = &p->known;
    json_t *o = json_object();
    json_object_set_new(o, "site", number(p->config->site));
    json_object_set_new(o, "name", json_string(p->config->name));
    json_object_set_new(o, "address", p->config->address ? json_string(p->config->address) : json_null());
    json_object_set_new(o, "state", json_string(state_of(p)));
    json_object_set_new(o, "reason", json_string(p->hold[0] ? p->hold : k->reason));
    put_link(o, p);
    json_object_set_new(o, "lag", seconds(peer_lag_us(p)));
    json_object_set_new(o, "behind", seconds(peer_behind_us(p)));
    json_object_set_new(o, "cut", number(k->cut));
    json_object_set_new(o, "stable", number(k->stable));
    json_object_set_new(o, "backlog_rows", number(k->backlog_rows));
    json_object_set_new(o, "backlog_bytes", number(k->backlog_bytes));
    json_object_set_new(o, "bootstrap",
                        k->is_bootstrapping
                            ? json_pack("{s:s, s:I}", "table", k->boot_table, "rows", (json_int_t)k->boot_rows)
                            : json_null());
    json_object_set_new(o, "conflicts", conflicts_json(p));
    json_object_set_new(o, "problem", json_string(p->problem));
    json_object_set_new(o, "peer_says", json_string(p->peer_error));
    json_object_set_new(o, "down_reason", json_string(p->connection ? "" : p->down_reason));
    if (p->drift.table[0])
        json_object_set_new(
            o, "drift",
            json_pack("{s:s, s:s?, s:s?}", "table", p->drift.table, "here", p->drift.ours, "there", p->drift.theirs));
    put_totals(o, p);
    return o;
}

json_t *status_json(const struct daemon *d)
{
    json_t *o = json_object(), *peers = json_array();
    const struct door_counts *c = d->peer_count ? &d->peer[0].counts : NULL;
    json_object_set_new(o, "version", json_string(SIGNPOST_VERSION));
    json_object_set_new(o, "site", number(d->own.site));
    json_object_set_new(o, "name", json_string(d->own.name));
    json_object_set_new(o, "uptime", json_real((double)(uv_now(d->loop) - d->started_ms) / 1e3));
    json_object_set_new(o, "certificate_days",
                        d->tls ? json_integer(tls_context_expires_s(d->tls) / 86400) : json_null());
    json_object_set_new(o, "tls_problem", json_string(d->tls_problem));
    json_object_set_new(o, "refused_certificates", number(d->refused_certificates));
    json_object_set_new(o, "refused_connections", number(d->refused_connections));
    json_object_set_new(o, "change_rows", number(c ? c->change_rows : 0));
    json_object_set_new(o, "remembered_rows", number(c ? c->remote_rows : 0));
    json_object_set_new(o, "parked", number(c ? c->parked : 0));
    for (unsigned i = 0; i < d->peer_count; i++)
        json_array_append_new(peers, peer_json(&d->peer[i]));
    json_object_set_new(o, "peers", peers);
    return o;
}

// ---- metrics ----

static void put(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct buffer *b, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    buffer_put(b, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
}

struct figure {
    const char *name, *type, *help;
    double (*value)(const struct peer *p);
};

#define FROM_TOTALS(field, scale)                                                                                      \
    static double total_##field(const struct peer *p)                                                                  \
    {                                                                                                                  \
        return (double)p->totals.field * (scale);                                                                      \
    }
#define FROM_LINK(field)                                                                                               \
    static double link_##field(const struct peer *p)                                                                   \
    {                                                                                                                  \
        return (double)link_counted(p->link)->field;                                                                   \
    }
#define FROM_PEER(field)                                                                                               \
    static double peer_##field(const struct peer *p)                                                                   \
    {                                                                                                                  \
        return (double)p->known.field;                                                                                 \
    }
FROM_TOTALS(changes_read, 1)
FROM_TOTALS(rows_applied, 1)
FROM_TOTALS(inserted, 1)
FROM_TOTALS(updated, 1)
FROM_TOTALS(deleted, 1)
FROM_TOTALS(repaired, 1)
FROM_TOTALS(retries, 1)
FROM_TOTALS(apply_errors, 1)
FROM_TOTALS(read_errors, 1)
FROM_TOTALS(digests, 1)
FROM_TOTALS(digests_differ, 1)
FROM_TOTALS(apply_us, 1e-6)
FROM_TOTALS(read_us, 1e-6)
FROM_LINK(batches_sent)
FROM_LINK(batches_received)
FROM_LINK(rows_sent)
FROM_LINK(bytes_plain_sent)
FROM_LINK(bytes_wire_sent)
FROM_LINK(bytes_plain_received)
FROM_LINK(bytes_wire_received)
FROM_LINK(resumed_bytes)
FROM_LINK(malformed)
FROM_LINK(connects)
FROM_LINK(holds)
FROM_LINK(stalls)
FROM_PEER(backlog_rows)
FROM_PEER(backlog_bytes)
FROM_PEER(state)

static double is_up(const struct peer *p)
{
    struct link_status s;
    link_get_status(p->link, &s);
    return s.is_met;
}

static double lag(const struct peer *p)
{
    int64_t us = peer_lag_us(p);
    return us < 0 ? -1 : (double)us / 1e6;
}

static double behind(const struct peer *p)
{
    return (double)peer_behind_us(p) / 1e6;
}

static double skew(const struct peer *p)
{
    struct link_status s;
    link_get_status(p->link, &s);
    return (double)s.skew_us / 1e6;
}

static double stable_distance(const struct peer *p)
{
    return p->known.cut > p->known.stable ? (double)(p->known.cut - p->known.stable) : 0;
}

static const struct figure figures[] = {
    {"link_up", "gauge", "1 while the peer is connected and known", is_up},
    {"lag_seconds", "gauge", "age of the oldest change of the peer that is not applied here; -1 unknown", lag},
    {"behind_seconds", "gauge", "age of our oldest change that the peer has not applied", behind},
    {"clock_skew_seconds", "gauge", "peer's clock minus ours", skew},
    {"peer_state", "gauge", "0 running, 1 paused, 2 drift, 3 held, 4 needs-bootstrap, 5 foreign", peer_state},
    {"backlog_rows", "gauge", "change rows that no batch has taken", peer_backlog_rows},
    {"backlog_bytes", "gauge", "their estimated octets", peer_backlog_bytes},
    {"stable_distance_cuts", "gauge", "cuts that are made but not stable: what holds the change tables",
     stable_distance},
    {"changes_captured_total", "counter", "captured changes put into batches", total_changes_read},
    {"rows_sent_total", "counter", "rows sent after consolidation", link_rows_sent},
    {"rows_applied_total", "counter", "rows applied", total_rows_applied},
    {"rows_inserted_total", "counter", "of these inserted", total_inserted},
    {"rows_updated_total", "counter", "of these updated", total_updated},
    {"rows_deleted_total", "counter", "of these deleted", total_deleted},
    {"repairs_total", "counter", "rows changed to keep a constraint", total_repaired},
    {"batches_sent_total", "counter", "batches sent", link_batches_sent},
    {"batches_received_total", "counter", "batches received", link_batches_received},
    {"bytes_plain_sent_total", "counter", "octets of batches before compression", link_bytes_plain_sent},
    {"bytes_wire_sent_total", "counter", "octets of frames given to TLS", link_bytes_wire_sent},
    {"bytes_plain_received_total", "counter", "octets of batches after decompression", link_bytes_plain_received},
    {"bytes_wire_received_total", "counter", "octets of frames from TLS", link_bytes_wire_received},
    {"bytes_resumed_total", "counter", "octets that a cut link did not cost", link_resumed_bytes},
    {"frames_malformed_total", "counter", "connections closed for a malformed frame", link_malformed},
    {"connects_total", "counter", "connections", link_connects},
    {"holds_total", "counter", "times a batch had to wait", link_holds},
    {"credit_stalls_total", "counter", "times sending waited for credit", link_stalls},
    {"apply_seconds_total", "counter", "time spent applying", total_apply_us},
    {"read_seconds_total", "counter", "time spent reading batches", total_read_us},
    {"apply_retries_total", "counter", "applies repeated after busy or deadlock", total_retries},
    {"apply_errors_total", "counter", "applies that failed", total_apply_errors},
    {"read_errors_total", "counter", "batches that could not be read", total_read_errors},
    {"verify_ranges_total", "counter", "ranges compared by verify", total_digests},
    {"verify_mismatches_total", "counter", "ranges that differed", total_digests_differ},
};

static void put_lag_histogram(struct buffer *b, const struct daemon *d)
{
    static const char *const edge[DAEMON_LAG_BUCKETS] = {"0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
                                                         "0.5",   "1",    "2.5",   "10",   "60",  "+Inf"};
    put(b, "# HELP signpost_dbsync_commit_to_applied_seconds from our oldest change of a batch to the peer's "
           "acknowledgement\n"
           "# TYPE signpost_dbsync_commit_to_applied_seconds histogram\n");
    for (unsigned i = 0; i < d->peer_count; i++) {
        const struct peer *p = &d->peer[i];
        uint64_t sum = 0;
        for (unsigned k = 0; k < DAEMON_LAG_BUCKETS; k++) {
            sum += p->totals.lag_count[k];
            put(b, "signpost_dbsync_commit_to_applied_seconds_bucket{peer=\"%s\",le=\"%s\"} %llu\n", p->config->name,
                edge[k], (unsigned long long)sum);
        }
        put(b, "signpost_dbsync_commit_to_applied_seconds_sum{peer=\"%s\"} %g\n", p->config->name,
            (double)p->totals.lag_sum_us / 1e6);
        put(b, "signpost_dbsync_commit_to_applied_seconds_count{peer=\"%s\"} %llu\n", p->config->name,
            (unsigned long long)p->totals.lag_total);
    }
}

static void put_gauge(struct buffer *b, const char *name, const char *type, const char *help, double value)
{
    put(b, "# HELP signpost_dbsync_%s %s\n# TYPE signpost_dbsync_%s %s\nsignpost_dbsync_%s %.17g\n", name, help, name,
        type, name, value);
}

char *metrics_text(const struct daemon *d)
{
    struct buffer b = {0};
    const struct door_counts none = {0}, *c = d->peer_count ? &d->peer[0].counts : &none;
    for (unsigned f = 0; f < sizeof figures / sizeof figures[0]; f++) {
        const struct figure *figure = &figures[f];
        put(&b, "# HELP signpost_dbsync_%s %s\n# TYPE signpost_dbsync_%s %s\n", figure->name, figure->help,
            figure->name, figure->type);
        for (unsigned i = 0; i < d->peer_count; i++)
            put(&b, "signpost_dbsync_%s{peer=\"%s\"} %.17g\n", figure->name, d->peer[i].config->name,
                figure->value(&d->peer[i]));
    }
    put_lag_histogram(&b, d);
    put(&b,
        "# HELP signpost_dbsync_conflicts_total conflicts by kind\n# TYPE signpost_dbsync_conflicts_total counter\n");
    for (unsigned i = 0; i < CONFLICT_KIND_COUNT; i++)
        put(&b, "signpost_dbsync_conflicts_total{kind=\"%s\"} %llu\n", conflict_kind_name((enum conflict_kind)i),
            (unsigned long long)c->conflict[i]);
    put_gauge(&b, "parked_rows", "gauge", "rows kept aside", (double)c->parked);
    put_gauge(&b, "change_rows", "gauge", "rows in the change tables", (double)c->change_rows);
    put_gauge(&b, "remembered_rows", "gauge", "remote registers remembered", (double)c->remote_rows);
    put_gauge(&b, "certificate_expires_seconds", "gauge", "until our certificate ends",
              d->tls ? (double)tls_context_expires_s(d->tls) : 0);
    put_gauge(&b, "refused_certificates_total", "counter", "connections without a good certificate",
              (double)d->refused_certificates);
    put_gauge(&b, "uptime_seconds", "gauge", "since the daemon started",
              (double)(uv_now(d->loop) - d->started_ms) / 1e3);
    buffer_u8(&b, 0);
    return (char *)b.data;
}
