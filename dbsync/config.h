// SPDX-License-Identifier: Apache-2.0
// The configuration of signpost-dbsync: the section `dbsync` of a libconfig file (its own, or the node's common one;
// other sections are ignored).
//
//   dbsync = {
//     site = 1; name = "ams";                    # number unique in the cluster
//     database = "sqlite:/var/lib/app/app.db";   # or "host=/run/postgresql dbname=app"
//     listen = "192.0.2.53:7054";
//     certificate = "ams.pem"; key = "ams.key"; authority = "cluster-ca.pem";
//     peers = ( { site = 2; name = "fra"; address = "198.51.100.53:7054"; identity = "fra"; } );
//     tables = ( { name = "orders"; granularity = "column"; unique = "park"; } );
//   };
//
// Every key with its range and default is a row of the table in config.c, which config_manual prints. config_load
// reports every error of one run with file, line, key and what is allowed, as signpostctl check does, and gives out a
// configuration only when there was none. Immutable afterwards; any thread may read it. Relative paths are joined to
// the file's directory.
#pragma once

#include <stdio.h>

#include "dbsync/door.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CONFIG_PEER_MAX = WINDOW_SITE_MAX - 1 };

struct config_peer {
    uint16_t site;
    char *name;
    char *address;  // "host:port"; null: it connects to us
    char *identity; // name in its certificate (subject alternative name, DNS); its name when not given
};

struct config_table {
    char *name;
    struct door_table_options options;
};

struct config {
    uint16_t site;
    char *name, *database, *listen;      // listen null: we only connect
    char *identity;                      // our own, as the peers have it
    char *certificate, *key, *authority; // PEM files
    struct config_peer *peer;
    unsigned peer_count;
    struct config_table *table;
    unsigned table_count;
    char *spool; // directory
    uint64_t spool_quota_bytes;
    char *socket;  // commands to the running daemon
    char *metrics; // "address:port"; null: none
    char *control; // signpost-control's admin socket, told the replication lag; null: none
    uint64_t poll_us, backlog_max_bytes, absence_max_us, conflict_keep_us;
    uint64_t credit_bytes, batch_rows;
    uint64_t compression_level; // of zstd; 0: none
    bool stop_on_error; // on_error = "stop": a row that cannot be written stops the stream instead of being parked
};

// 0 and *config (config_free), or the number of errors, each printed to `errors` as "file:line: error: key: text".
int config_load(const char *path, struct config **config, FILE *errors);
void config_free(struct config *config);

// The manual of the section, Markdown.
void config_manual(FILE *out);

// Values as operators write them, for the commands too. 0, or -EINVAL.
int config_duration(const char *text, uint64_t *us);                  // "50ms", "1h30m", "7d"
int config_size(const char *text, uint64_t *bytes);                   // "64M", "4G", "65536"
int config_endpoint(const char *text, char host[64], uint16_t *port); // "192.0.2.1:7054", "[2001:db8::1]:7054"

#ifdef __cplusplus
}
#endif
