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
//     spool = "/var/lib/signpost/dbsync"; spool_quota = "4G";
//     socket = "/run/signpost/dbsync.sock"; metrics = "127.0.0.1:9154"; control = "/run/signpost/admin.sock";
//     poll = "50ms"; backlog_max = "8G"; absence_max = "7d"; on_error = "park"; conflict_keep = "30d";
//   };
//
// config_load reports every error of one run with file, line, key and what is allowed, as signpostctl check does, and
// gives out a configuration only when there was none. Immutable afterwards; any thread may read it. Relative paths are
// joined to the file's directory.
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
    char *name, *database, *listen;
    char *certificate, *key, *authority; // PEM files
    struct config_peer *peer;
    unsigned peer_count;
    struct config_table *table;
    unsigned table_count;
    char *spool;
    uint64_t spool_quota_bytes;
    char *socket;  // commands to the running daemon
    char *metrics; // null: none
    char *control; // signpost-control's admin socket, told the replication lag; null: none
    uint64_t poll_us, backlog_max_bytes, absence_max_us, conflict_keep_us;
    uint64_t credit_bytes;
    int compression_level;
    bool stop_on_error; // on_error = "stop": a row that cannot be written stops the stream instead of being parked
};

// 0 and *config (config_free), or the number of errors, each printed to `errors` as "file:line: error: key: text".
int config_load(const char *path, struct config **config, FILE *errors);
void config_free(struct config *config);

#ifdef __cplusplus
}
#endif
