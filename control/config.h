// SPDX-License-Identifier: Apache-2.0
// The configuration as the program uses it: read, defaulted, checked and cross-referenced.
//
// config_load reads the file, reports every error of one run with file, line and key, and gives out a `struct config`
// only when there was none. It is immutable afterwards: any thread may read it until config_free. All strings and
// arrays belong to it. Names of other things (a service's sites) are already resolved to indices. Relative paths have
// been joined to the directory of the configuration file. What each key means, its range and its default stand once, in
// config_schema.c, which also prints docs/configuration.md; the comments here say only units and what is derived.
//
// Durations are nanoseconds (_ns), TTLs seconds (_s). Arrays are a pointer and a count; an absent list has count 0.
#pragma once

#include "control/config_errors.h"
#include "control/config_units.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CONFIG_NONE = -1, // an index that names nothing
    CONFIG_HEARTBEAT_KEY_LEN = 32,
    CONFIG_COOKIE_SECRET_LEN = 16
};

// Where a list entry stands, for messages at run time.
struct config_origin {
    const char *file;
    unsigned line;
};

// ---- this node ----

struct config_node {
    const char *name;
    const char *site; // name; null for a witness, which belongs to no site
    int site_at;      // index into sites, or CONFIG_NONE
    int node_at;      // index into that site's nodes; CONFIG_NONE for a witness, and when no nodes are listed at all
};

enum config_idle { CONFIG_IDLE_AUTO, CONFIG_IDLE_BUSY, CONFIG_IDLE_PAUSE, CONFIG_IDLE_SLEEP };
enum config_tristate { CONFIG_AUTO, CONFIG_ON, CONFIG_OFF };

// Becomes the command line of signpost-dataplane.
struct config_dataplane {
    const char **ports; // "af_packet:eth0"
    unsigned port_count;
    const char *cores; // "1" or "2-5"; empty: chosen by the program
    struct config_address *addresses;
    unsigned address_count;
    enum config_idle idle;
    enum config_tristate huge_pages;
    bool offloads;
    const char *kernel_interface; // empty: none
    const char *socket;
    const char *standby_socket; // empty: no standby
    const char *standby_state_dir;
    const char *state_dir;
    bool tcp;
    const char **eal_options;
    unsigned eal_option_count;
};

enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARNING, CONFIG_LOG_NOTICE, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };
enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

struct config_control {
    const char *socket;
    const char *socket_group; // group that may use the admin socket; empty: only the owner
    const char *state_dir;
    struct config_endpoint metrics; // not set: no HTTP endpoint
    struct config_endpoint agent;   // HAProxy agent-check server; not set: none
    uint64_t start_wait_ns;         // longest wait for the first round of probes
    uint64_t journal_max_bytes;
    uint32_t probes_max;            // probe targets after removing duplicates
    uint32_t probes_per_target_max; // probes under way at once against one address
    enum config_log_level log_level;
    enum config_log_format log_format;
};

// ---- how answers look ----

struct config_rate_limit {
    bool enable, dry_run;
    uint32_t per_second, burst, slip;
};

struct config_cookies {
    bool enable;
    const char *secret_file; // empty: a random secret, made at each start
    uint8_t secret[2][CONFIG_COOKIE_SECRET_LEN];
    unsigned secret_count; // current, previous; 0 when there is no file
};

struct config_dns {
    uint32_t udp_max; // bytes
    const char *nsid, *chaos_version, *chaos_id;
    bool client_subnet;
    uint32_t any_ttl_s;
    uint64_t stale_after_ns; // 0: never
    struct config_cookies cookies;
    struct config_rate_limit rate_limit;
};

// ---- messages between nodes ----

struct config_peer {
    const char *name;
    struct config_endpoint address;
};

struct config_heartbeat {
    const char *key_file, *previous_key_file;
    // [0] is for sending and receiving, [1] for receiving only.
    uint8_t key[2][CONFIG_HEARTBEAT_KEY_LEN];
    unsigned key_count; // 0 when this node has no peers and no key file
    struct config_endpoint listen;
    uint64_t interval_ns;
    uint64_t period_ns;
    uint32_t periods;
    uint64_t clock_tolerance_ns; // a message whose time differs more is refused
    bool share_verdicts;
    struct config_peer *witnesses; // nodes of no site whose view counts as a third party's
    unsigned witness_count;
};

// ---- sites and their evidence ----

enum config_probe_type {
    CONFIG_PROBE_TCP,
    CONFIG_PROBE_HTTP,
    CONFIG_PROBE_HTTPS,
    CONFIG_PROBE_ICMP,
    CONFIG_PROBE_DNS,
    CONFIG_PROBE_SCRIPT,
    CONFIG_PROBE_FILE
};
enum config_match { CONFIG_MATCH_TEXT, CONFIG_MATCH_REGEX };

struct config_tls {
    const char *name; // SNI and the name in the certificate; empty: the Host without its port
    bool verify;
    const char *ca_file;    // empty: the system's
    const char *pin_sha256; // base64 of the public key's SHA-256; empty: none
    const char *cert_file, *key_file;
};

struct config_dns_probe {
    const char *name;   // query name
    const char *type;   // "A", "SOA", ...
    const char *expect; // text of one record's data, an rcode such as "NOERROR", or empty: any response
};

struct config_status_range {
    uint16_t first, last;
};

// A group of equal servers of which `need` must be good. All groups of a site that are required must hold.
struct config_group {
    struct config_origin origin;
    const char *name;                // "web", "database", or the name of an entry of `checks`
    bool required;                   // false: shown, but decides nothing
    uint32_t need;                   // servers that must be good, 1..server_count
    struct config_endpoint *servers; // ports filled in; the site's addresses when no list was given
    unsigned server_count;
    uint32_t port;
    enum config_probe_type probe;
    // TCP
    const char *send, *expect;
    // HTTP and HTTPS
    const char *method, *path, *host;
    const char **headers; // "Name: value"
    unsigned header_count;
    const char *status; // "200-299,301"
    struct config_status_range *statuses;
    unsigned status_count;
    const char *keyword, *keyword_absent; // empty: not looked for
    enum config_match keyword_match;
    uint64_t body_max_bytes;
    bool keep_alive;
    struct config_tls tls;
    // others
    struct config_dns_probe dns;
    const char **command; // script: program and arguments, never a shell; the server's address is appended
    unsigned command_count;
    const char *file; // file feed
    // all
    struct config_address source;
    uint64_t interval_ns, timeout_ns;
    uint32_t jitter_percent;
    uint32_t rise, fall;
    uint64_t max_age_ns; // older results are "unknown"
};

enum config_balancer_type {
    CONFIG_BALANCER_HAPROXY_CSV,    // statistics page over HTTP
    CONFIG_BALANCER_HAPROXY_SOCKET, // runtime socket, `show stat`
    CONFIG_BALANCER_HTTP,           // monitor-uri: status code alone
    CONFIG_BALANCER_AGENT,          // HAProxy agent-check, as its client
    CONFIG_BALANCER_ENVOY,          // /clusters?format=json
    CONFIG_BALANCER_JSON            // any JSON document
};
enum config_balancer_role {
    CONFIG_BALANCER_REQUIRED,    // must agree, beside the site's own groups
    CONFIG_BALANCER_ALTERNATIVE, // either it or the groups suffice
    CONFIG_BALANCER_LOAD_ONLY    // load figures only
};

struct config_balancer {
    struct config_origin origin;
    enum config_balancer_type type;
    enum config_balancer_role role;
    const char *url;                // http:// or https:// with a literal address, for the HTTP types
    const char *host;               // Host header; empty: from the url
    const char *socket;             // path of a Unix socket, for haproxy-socket
    struct config_endpoint address; // TCP form of haproxy-socket; agent
    const char *credentials_file;   // one line "user:password" for HTTP basic authentication
    const char **backends;          // proxies or clusters that count; empty: all
    unsigned backend_count;
    uint32_t need; // servers up in each backend
    struct config_tls tls;
    // JSON: paths such as "pools.web.status" or "servers[0].up"
    const char *status_path, *up_value, *servers_up_path, *load_path, *weight_path;
    uint32_t sessions_max; // sessions that are a load of 100 %; 0: the balancer's own limit
    uint64_t interval_ns, timeout_ns;
    uint32_t rise, fall;
    uint64_t max_age_ns;
};

enum config_peer_rule { CONFIG_PEER_REQUIRED, CONFIG_PEER_ADVISORY, CONFIG_PEER_IGNORED };
enum config_fail_back { CONFIG_FAIL_BACK_AUTO, CONFIG_FAIL_BACK_MANUAL };

struct config_coordinates {
    double latitude, longitude; // degrees
    bool is_set;
};

struct config_site {
    struct config_origin origin;
    const char *name, *description;
    struct config_address *addresses;
    unsigned address_count;
    struct config_peer *nodes;
    unsigned node_count;
    uint32_t nodes_need; // nodes that must be heard
    enum config_peer_rule peer_rule;
    // As written; `groups` below is what counts: web, database, then checks.
    struct config_group *web, *database, *checks;
    unsigned web_count, database_count, check_count;
    struct config_group *groups;
    unsigned group_count;
    struct config_balancer *balancers;
    unsigned balancer_count;
    uint64_t dwell_ns;           // least time between two changes of the verdict
    uint64_t fail_back_delay_ns; // good evidence must last this long
    enum config_fail_back fail_back;
    uint64_t ramp_ns; // gradual fail-back; 0: at once
    struct config_coordinates coordinates;
    unsigned verdict_at; // index into verdicts, of the verdict with all groups
};

// A verdict that is asked for: about a site, by some of its groups. The first of each site is by all of them.
struct config_verdict {
    unsigned site_at;
    uint64_t mask; // bit n: group n of the site counts
};

// ---- services ----

enum config_stage_type {
    CONFIG_STAGE_LOCALITY,
    CONFIG_STAGE_LOAD,
    CONFIG_STAGE_RESPONSE_TIME,
    CONFIG_STAGE_REPLICATION_LAG,
    CONFIG_STAGE_SPREAD
};
enum config_locality_by { CONFIG_LOCALITY_REGION, CONFIG_LOCALITY_DISTANCE };

// One stage of a service's order policy; only the options of its own type were accepted in the file.
struct config_stage {
    struct config_origin origin;
    enum config_stage_type type;
    enum config_locality_by by;          // locality
    uint32_t high_percent, low_percent;  // load
    bool spill;                          // load
    uint32_t tolerance_percent;          // response_time
    uint64_t tolerance_ns, half_life_ns; // response_time
    uint64_t limit_ns;                   // replication_lag
    bool sticky;                         // spread
};

struct config_member {
    struct config_origin origin;
    const char *site;
    unsigned site_at;                 // index into sites
    unsigned verdict_at;              // index into verdicts
    struct config_address *addresses; // its own, or the site's
    unsigned address_count;
    uint32_t weight;    // for spread, and in SRV records
    const char *target; // host name of the site, for SRV, SVCB and HTTPS; empty: none
};

enum config_all_down { CONFIG_FAIL_OPEN, CONFIG_NODATA, CONFIG_SERVFAIL, CONFIG_LAST_RESORT };
enum config_record { CONFIG_RECORD_ADDRESS, CONFIG_RECORD_SRV, CONFIG_RECORD_SVCB, CONFIG_RECORD_HTTPS };

struct config_service {
    struct config_origin origin;
    const char *name;            // without a final dot; may start with "*."
    int zone_at;                 // index into zones: the longest match
    struct config_member *sites; // in order of preference
    unsigned site_count;
    enum config_record *records;
    unsigned record_count;
    uint32_t ttl_s, ttl_min_s; // ttl_min_s while anything is in doubt
    uint32_t answer_max;       // addresses of an answer at most, of each family; 0: all
    struct config_stage *policy;
    unsigned policy_count;
    enum config_all_down all_down;
    struct config_address *last_resort;
    unsigned last_resort_count;
    const char **groups; // groups of its sites that count for it; empty: all
    unsigned group_count;
    uint32_t port;     // SRV, SVCB, HTTPS; 0: the default port
    const char **alpn; // SVCB, HTTPS
    unsigned alpn_count;
    bool debug_names; // also answer <site>.<name>
};

// ---- zones and regions ----

struct config_zone {
    struct config_origin origin;
    const char *name; // without a final dot; "." for the root
    const char *file;
};

struct config_region {
    struct config_origin origin;
    const char *name;
    struct config_prefix *prefixes;
    unsigned prefix_count;
    const char *file;                                     // more prefixes, one a line; empty: none
    const char **countries, **subdivisions, **continents; // ISO codes, for the MaxMind database
    unsigned country_count, subdivision_count, continent_count;
    uint32_t *asns;
    unsigned asn_count;
    const char **sites; // names, nearest first
    int *site_at;       // indices of `sites`
    unsigned site_count;
    struct config_coordinates coordinates;
};

struct config_geoip {
    const char *file, *asn_file; // empty: none
    bool nearest;                // regions without a list of sites, and places in none, go to the nearest site
    // Derived: the regions that stand for the orders of nearest sites (control/nearest.h) come after the written ones.
    unsigned nearest_at, nearest_count;
};

struct config {
    const char *path; // of the main file
    const char *directory;
    const char *zone_dir; // zone files and what they include must lie in it
    struct config_node node;
    struct config_dataplane dataplane;
    struct config_control control;
    struct config_dns dns;
    struct config_heartbeat heartbeat;
    struct config_site *sites;
    unsigned site_count;
    struct config_service *services;
    unsigned service_count;
    struct config_zone *zones;
    unsigned zone_count;
    struct config_region *regions;
    unsigned region_count;
    struct config_geoip geoip;
    const char **includes;
    unsigned include_count;
    struct config_verdict *verdicts; // those of site 0, then of site 1, and so on
    unsigned verdict_count;
};

// Reads and checks the file. 0: *config is the result (warnings may be in `errors`). -EINVAL: nothing was made and
// `errors` says why, also for a file that cannot be read. -ENOMEM. Blocks on the file system.
int config_load(const char *path, struct config **config, struct config_errors *errors);

enum config_load_flags {
    CONFIG_LOAD_DEFAULT = 0,
    CONFIG_LOAD_NO_FILES = 1 // read no other file: no includes, no keys
};

// The same from memory, `path` being the name for messages and relative paths.
int config_load_text(const char *path, const char *text, size_t len, unsigned flags, struct config **config,
                     struct config_errors *errors);

// Wipes the keys and frees everything.
// The same with changes on top of the file, such as "sites.ams.web.fall=5" (config_change.h).
int config_load_changed(const char *path, const char *const *change, unsigned change_count, struct config **config,
                        struct config_errors *errors);

void config_free(struct config *config);

#ifdef __cplusplus
}
#endif
