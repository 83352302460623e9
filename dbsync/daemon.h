// SPDX-License-Identifier: Apache-2.0
// The running synchroniser: one libuv loop for sockets, TLS, links and commands; for each peer two workers, one that
// reads our database and one that writes it, so that neither delays the link, and a long apply does not delay sending.
//
//   daemon.c          start, stop, signals, timers
//   daemon_net.c      TCP and TLS: who is connected
//   daemon_peer.c     drives one peer's link: its orders become jobs and octets
//   daemon_jobs.c     the jobs, everything that touches a database or a spool: start, poll, housekeeping
//   daemon_outbound.c   of sending
//   daemon_inbound.c    of receiving
//   daemon_admin.c    the Unix socket of the commands
//   daemon_status.c   what `status` and the metrics show
//
// Memory shared between threads: a job's own fields, handed over with the job; everything in `struct side` belongs to
// its worker's thread while the daemon runs; the rest to the loop's thread.
#pragma once

#include <jansson.h>
#include <uv.h>

#include "dbsync/config.h"
#include "dbsync/link.h"
#include "dbsync/spool.h"
#include "dbsync/tls.h"
#include "dbsync/worker.h"

#ifdef __cplusplus
extern "C" {
#endif

struct daemon;
struct connection;
struct http_listener;

enum { DAEMON_TEXT_CAP = 256, DAEMON_FLIGHT_MAX = 4, DAEMON_LAG_BUCKETS = 12 };

// One direction of a peer: its thread, its own connection to the database, its own spool.
struct side {
    struct peer *peer;
    struct worker worker;
    struct door *door; // null: not open, or lost
    struct spool *spool;
    char *spool_directory;
    struct arena arena;
    // Outbound: batches read and not acknowledged, oldest first; mapped.
    struct outgoing {
        struct door_batch batch;
        const uint8_t *bytes;
        size_t len;
        uint8_t digest[FRAME_DIGEST_LEN];
    } kept[2];
    unsigned kept_count;
    uint64_t incarnation; // of the peer; inbound
};

struct peer_totals { // monotonic since the daemon's start
    uint64_t changes_read, rows_applied, inserted, updated, deleted, unchanged, repaired, parked, base_rows;
    uint64_t conflict[CONFLICT_KIND_COUNT];
    uint64_t digests, digests_differ, digests_busy;
    uint64_t apply_us, read_us, retries, apply_errors, read_errors, refused;
    uint64_t lag_count[DAEMON_LAG_BUCKETS]; // histogram of commit-to-acknowledged times
    uint64_t lag_sum_us, lag_total;
};

struct drift { // the last one met; texts for people
    char table[SCHEMA_NAME_MAX + 1];
    char *ours, *theirs;
};

struct peer {
    struct daemon *daemon;
    const struct config_peer *config;
    struct link *link;
    struct connection *connection; // adopted; null: down
    struct side reader, applier;
    unsigned epoch; // of the connection; answers of jobs of an earlier one are dropped
    bool is_polling, is_starting, is_dialing;
    uint64_t dial_at_ms, dial_wait_ms; // loop time
    uint64_t poll_full_at_ms, collect_at_ms;
    uint64_t told_at_ms; // the last batch was ordered
    uv_timer_t poller;
    uint64_t read_at_ms; // when the batch that is not acknowledged yet was ordered; 0: none is on its way
    uint64_t rest_ms;    // loop time before which no new batch is cut
    bool is_collecting;
    struct door_peer known; // as the last full poll read it
    struct door_counts counts;
    uint64_t schema_hash;
    struct { // batches that are read and not acknowledged: since when their oldest change waits
        uint64_t number;
        int64_t since_us; // wall
    } flight[DAEMON_FLIGHT_MAX];
    unsigned flight_count;
    int64_t backlog_since_us;            // wall; 0: no backlog
    uint64_t up_since_ms, down_since_ms; // loop time
    char problem[DAEMON_TEXT_CAP];       // the last one, for people
    char peer_error[DAEMON_TEXT_CAP];    // what the peer said last
    char hold[DAEMON_TEXT_CAP];          // why an inbound batch waits; empty: it does not
    char down_reason[DAEMON_TEXT_CAP];
    struct drift drift;
    struct frame_verified verified_there; // what the peer found when it compared our digests
    uint64_t last_apply_ms;
    struct peer_totals totals;
};

struct daemon {
    const struct config *config;
    uv_loop_t *loop;
    struct door_identity own;
    struct peer *peer;
    unsigned peer_count;
    uv_tcp_t listener;
    uv_timer_t ticker;
    uv_signal_t on_term, on_int, on_hup;
    struct tls_context *tls;
    int64_t tls_mtime_ns;
    struct connection *connection; // all, also those not adopted yet
    unsigned guest_count;          // connections whose certificate was not seen yet
    struct admin *admin;
    struct http_listener *metrics;
    struct control_report *report;
    bool is_stopping, is_listening;
    uint64_t started_ms, refused_connections, refused_certificates;
    char tls_problem[DAEMON_TEXT_CAP];
};

// Runs until SIGTERM or SIGINT. 0, or a negative errno with the reason.
int daemon_run(const struct config *config, struct problem *problem);

// ---- daemon_net.c ----
int net_listen(struct daemon *d, struct problem *problem);
void net_tick(struct daemon *d);          // dials who should be connected, drops guests that do not show a certificate
void net_pump(struct peer *peer);         // carries out the link's orders and sends what it has
void net_wait_to_dial(struct peer *peer); // sets when to dial next
void net_close(struct connection *connection, const char *reason);
void net_close_all(struct daemon *d);
void net_connected(struct peer *peer, const struct link_start *start); // the start job is done: HELLO goes out
const char *net_describe(const struct peer *peer);                     // TLS session, for status; "" when down
struct link_time net_now(void);

// ---- daemon_peer.c ----
int peer_open(struct daemon *d, struct peer *peer, const struct config_peer *config, struct problem *problem);
void peer_stop(struct peer *peer);
void peer_fini(struct peer *peer);
void peer_start_polling(struct peer *peer);
void peer_poll(struct peer *peer);
bool peer_rests(const struct peer *peer); // no batch is cut now
void peer_batch_over(struct peer *peer);  // the one on its way was acknowledged, or did not come about
void peer_tick(struct peer *peer);
void peer_order(struct peer *peer, const struct link_order *order); // all but SEND and CLOSE
void peer_down(struct peer *peer, const char *reason);
int64_t peer_behind_us(const struct peer *peer);        // our changes that the peer has not applied
int64_t peer_lag_us(const struct peer *peer);           // the peer's changes that we have not applied; -1: never heard
void peer_problem(struct peer *peer, const char *text); // logs it unless it was the last one, too
struct peer *peer_find(struct daemon *d, const char *name); // by name or number

// ---- daemon_jobs.c, daemon_outbound.c, daemon_inbound.c ----
int side_open(struct side *side, struct problem *problem); // opens what is not open; worker's thread
void side_close(struct side *side);
void job_start(struct peer *peer);
void job_meet(struct peer *peer, const struct frame_hello *hello);
void job_poll(struct peer *peer, bool is_full);
void job_read(struct peer *peer, const struct link_order *order);
void job_acked(struct peer *peer, uint64_t number);
void job_spool(struct peer *peer, const struct link_order *order);
void job_reset_spool(struct peer *peer, uint64_t number);
void job_finish(struct peer *peer, uint64_t number);
void job_apply(struct peer *peer, uint64_t number);
void job_collect(struct peer *peer);
void job_requested(struct peer *peer, const struct frame_request *request);

// ---- daemon_admin.c, daemon_status.c ----
struct admin *admin_start(struct daemon *d, struct problem *problem);
void admin_stop(struct admin *admin);
json_t *status_json(const struct daemon *d);
char *metrics_text(const struct daemon *d); // Prometheus text format; from malloc

// ---- metrics_http.c ----
struct http_listener *metrics_http_start(struct daemon *d); // ends with http_listener_close

// ---- control_report.c ----
struct control_report *control_report_start(struct daemon *d); // null when not configured
void control_report_tick(struct control_report *report);
void control_report_stop(struct control_report *report);

#ifdef __cplusplus
}
#endif
