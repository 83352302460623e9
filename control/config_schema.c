// SPDX-License-Identifier: Apache-2.0
#include "control/config_schema.h"

#include <assert.h>

#include "control/config.h"

// ---- rows ----
// OF: field and name are the same; the macros fill only what every row of a kind has.

#define MS                             1000000ull
#define SECOND                         1000000000ull
#define DAY                            (86400 * SECOND)
#define COUNT(array)                   (sizeof(array) / sizeof((array)[0]))
#define OF(type_name, field)           .name = #field, .at = offsetof(struct type_name, field)
#define AT(type_name, key_name, field) .name = key_name, .at = offsetof(struct type_name, field)
#define LIST(type_name, key_name, field, count)                                                                        \
    .name = key_name, .is_list = true, .at = offsetof(struct type_name, field),                                        \
    .count_at = offsetof(struct type_name, count)
#define WHEN(key_name, mask) .when = key_name, .when_mask = (mask)
#define BIT(value)           (1u << (value))
#define SECTION(type_name, section_name, table, ...)                                                                   \
    {                                                                                                                  \
        .name = section_name, .size = sizeof(struct type_name), .keys = table, .key_count = COUNT(table), __VA_ARGS__  \
    }

// Enumerations are stored through int.
static_assert(sizeof(enum config_idle) == sizeof(int) && sizeof(enum config_record) == sizeof(int),
              "see CONFIG_KEY_CHOICE");

static const struct config_choice idle_choices[] = {
    {"auto", "busy on NICs, sleep on software ports"},
    {"busy", "poll without a pause; least delay, one whole core"},
    {"pause", "poll at intervals of up to 8 us after some empty polls; the core stays taken, but rests"},
    {"sleep", "sleep for a moment after some empty polls"},
    {NULL, NULL}};
static const struct config_choice tristate_choices[] = {
    {"auto", "when there are any"}, {"on", "required"}, {"off", "not used"}, {NULL, NULL}};
static const struct config_choice log_level_choices[] = {{"error", ""}, {"warning", ""}, {"notice", ""},
                                                         {"info", ""},  {"debug", ""},   {NULL, NULL}};
static const struct config_choice log_format_choices[] = {
    {"text", "key=value"}, {"json", "one object a line"}, {NULL, NULL}};
static const struct config_choice probe_choices[] = {
    {"tcp", "connect; with `send` and `expect` a short dialogue"},
    {"http", "a request and its response"},
    {"https", "the same over TLS"},
    {"icmp", "echo request"},
    {"dns", "a query and its response"},
    {"script", "a program of your own: exit status 0 is good"},
    {"file", "a file that something else writes, `server up|down` a line"},
    {NULL, NULL}};
static const struct config_choice match_choices[] = {
    {"text", "as it stands"}, {"regex", "POSIX extended regular expression"}, {NULL, NULL}};
static const struct config_choice balancer_choices[] = {
    {"haproxy-csv", "HAProxy's statistics page in its CSV form"},
    {"haproxy-socket", "HAProxy's runtime socket, `show stat`"},
    {"http", "the status code alone, such as HAProxy's `monitor-uri`"},
    {"agent", "the HAProxy agent-check protocol, as its client"},
    {"envoy", "Envoy's `/clusters?format=json`"},
    {"json", "any JSON document, by paths"},
    {NULL, NULL}};
static const struct config_choice role_choices[] = {{"required", "must agree, beside the site's own groups"},
                                                    {"alternative", "either it or the groups suffice"},
                                                    {"load-only", "gives load figures, decides nothing"},
                                                    {NULL, NULL}};
static const struct config_choice peer_rule_choices[] = {
    {"required", "without heartbeats the site is not available"},
    {"advisory", "shown, and used for load, response times and lag"},
    {"ignored", "not looked at"},
    {NULL, NULL}};
static const struct config_choice fail_back_choices[] = {{"auto", "a recovered site comes back by itself"},
                                                         {"manual", "it waits for `signpostctl site NAME auto`"},
                                                         {NULL, NULL}};
static const struct config_choice stage_choices[] = {{"locality", "sites near the client first"},
                                                     {"load", "loaded sites later, or only for a part of the clients"},
                                                     {"response_time", "faster sites first"},
                                                     {"replication_lag", "sites whose data is too old last"},
                                                     {"spread", "first places in proportion to the weights"},
                                                     {NULL, NULL}};
static const struct config_choice locality_choices[] = {
    {"region", "by the region's list of sites"},
    {"distance", "by the distance between the coordinates of region and site"},
    {NULL, NULL}};
static const struct config_choice all_down_choices[] = {
    {"fail-open", "all addresses, in order, with an alarm"},
    {"nodata", "an empty answer"},
    {"servfail", "an error, so that the client tries another name server"},
    {"last-resort", "the addresses of `last_resort`"},
    {NULL, NULL}};
static const struct config_choice record_choices[] = {{"address", "A and AAAA"},
                                                      {"srv", "SRV, the order as priority"},
                                                      {"svcb", "SVCB, the order as priority"},
                                                      {"https", "HTTPS, the order as priority"},
                                                      {NULL, NULL}};

// ---- node, data plane, control ----

static const struct config_key node_keys[] = {
    {OF(config_node, name), .type = CONFIG_KEY_NAME, .is_required = true,
     .help = "Name of this node, as in the `nodes` of its site."},
    {OF(config_node, site), .type = CONFIG_KEY_NAME,
     .help = "The site that this node stands in. A node listed in `heartbeat.witnesses` has none."},
};
static const struct config_section node_section = SECTION(
    config_node, "node", node_keys, .help = "Who this node is. The rest of the file can be the same on all nodes.");

#define DP config_dataplane
static const struct config_key dataplane_keys[] = {
    {LIST(DP, "ports", ports, port_count), .type = CONFIG_KEY_TEXT, .min = 1, .max = 255, .list_max = 32,
     .help = "Network ports: `af_packet:IFACE`, `af_xdp:IFACE`, `memif:server:SOCKET`, `memif:client:SOCKET`, "
             "`pci:ADDRESS` or `vdev:DPDK-DEVICE`."},
    {OF(DP, cores), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "",
     .help = "Cores of the workers, such as `\"1\"` or `\"2-5\"`. Empty: one, chosen by the program."},
    {LIST(DP, "addresses", addresses, address_count), .type = CONFIG_KEY_ADDRESS, .list_max = 64,
     .help = "Addresses that this node answers on."},
    {OF(DP, kernel_interface), .type = CONFIG_KEY_TEXT, .max = 21, .default_text = "",
     .help =
         "Name of an interface of the kernel for ports that the kernel does not share (`pci`, `memif`, `vdev`): all "
         "but "
         "the queries goes there, so that DNS over TCP, ARP and echo work on the same addresses. Give the addresses "
         "to that interface. At most 15 characters; further ports have `NAME-1`, `NAME-2`. It is made by vhost-net "
         "where "
         "that works, else it is a TAP device; `tap:NAME` and `vhost:NAME` insist. Empty: none, the data plane answers "
         "ARP, neighbour discovery and echo itself."},
    {OF(DP, offloads), .type = CONFIG_KEY_BOOL, .default_text = "true",
     .help = "Let cards check the checksums of what they receive. Switch it off for a card that does it wrong."},
    {OF(DP, idle), .type = CONFIG_KEY_CHOICE, .choices = idle_choices, .default_text = "auto",
     .help = "What a worker does while no packet comes."},
    {OF(DP, huge_pages), .type = CONFIG_KEY_CHOICE, .choices = tristate_choices, .default_text = "auto",
     .help = "Huge pages for packet memory."},
    {OF(DP, socket), .type = CONFIG_KEY_PATH, .max = 107, .default_text = "/run/signpost/dataplane.sock",
     .help = "Unix socket on which the data plane takes images."},
    {OF(DP, state_dir), .type = CONFIG_KEY_PATH, .default_text = "/var/lib/signpost/dataplane",
     .help = "Keeps the last good images over a restart."},
    {OF(DP, standby_socket), .type = CONFIG_KEY_PATH, .max = 107, .default_text = "",
     .help =
         "Unix socket on which `signpost-standby` takes the same images, such as `/run/signpost/standby.sock`. Empty: "
         "no standby. With one, a restart of the data plane on `af_xdp` ports loses no query, and DNS over TCP is the "
         "standby's; `signpostctl standby-args FILE` prints its command line."},
    {OF(DP, standby_state_dir), .type = CONFIG_KEY_PATH, .default_text = "/var/lib/signpost/standby",
     .help = "Keeps the standby's last good images over a restart."},
    {OF(DP, tcp), .type = CONFIG_KEY_BOOL, .default_text = "true", .help = "Answer DNS over TCP."},
    {LIST(DP, "eal_options", eal_options, eal_option_count), .type = CONFIG_KEY_TEXT, .min = 1, .max = 255,
     .list_max = 64, .help = "Further options for DPDK's environment layer, one argument an entry."},
};
static const struct config_section dataplane_section =
    SECTION(config_dataplane, "dataplane", dataplane_keys,
            .help = "What `signpost-dataplane` is started with. `signpostctl dataplane-args FILE` prints it as a "
                    "command line; a change needs a restart of the data plane.");

#define CT config_control
static const struct config_key control_keys[] = {
    {OF(CT, socket), .type = CONFIG_KEY_PATH, .max = 107, .default_text = "/run/signpost/control.sock",
     .help = "Admin socket, used by `signpostctl`."},
    {OF(CT, socket_group), .type = CONFIG_KEY_TEXT, .max = 32, .default_text = "",
     .help = "Unix group that may use the admin socket. Empty: only root and the program's own user."},
    {OF(CT, state_dir), .type = CONFIG_KEY_PATH, .default_text = "/var/lib/signpost/control",
     .help = "Operator states, journal and saved verdicts."},
    {OF(CT, metrics), .type = CONFIG_KEY_ENDPOINT, .default_text = "127.0.0.1:9153",
     .help = "Address of the metrics and the status page (HTTP, read only). `\"\"`: none."},
    {OF(CT, agent), .type = CONFIG_KEY_ENDPOINT,
     .help =
         "Address on which the state of this node's site is told by the HAProxy agent-check protocol. Not set: none."},
    {AT(CT, "start_wait", start_wait_ns), .type = CONFIG_KEY_DURATION, .max = 60 * SECOND, .default_text = "3s",
     .help = "Longest wait at start for the first round of probes or a peer's word."},
    {AT(CT, "journal_max", journal_max_bytes), .type = CONFIG_KEY_SIZE, .min = 64 << 10, .max = 16ull << 30,
     .default_text = "64M",
     .help = "Room for the journal of events, from which `history` and `replay` read. The oldest go first."},
    {OF(CT, probes_max), .type = CONFIG_KEY_UINT, .min = 1, .max = 100000, .default_text = "20000",
     .help = "Probe targets at most; equal probes count once."},
    {OF(CT, probes_per_target_max), .type = CONFIG_KEY_UINT, .min = 1, .max = 1000, .default_text = "16",
     .help = "Probes under way at once against one address."},
    {OF(CT, log_level), .type = CONFIG_KEY_CHOICE, .choices = log_level_choices, .default_text = "info",
     .help = "Least weight of a message that is logged."},
    {OF(CT, log_format), .type = CONFIG_KEY_CHOICE, .choices = log_format_choices, .default_text = "text",
     .help = "Form of log lines."},
};
static const struct config_section control_section =
    SECTION(config_control, "control", control_keys, .help = "The control process: sockets, files, logging.");

// ---- dns ----

static const struct config_key cookies_keys[] = {
    {OF(config_cookies, enable), .type = CONFIG_KEY_BOOL, .default_text = "true",
     .help = "Answer DNS cookies (RFC 7873, RFC 9018)."},
    {OF(config_cookies, secret_file), .type = CONFIG_KEY_PATH, .default_text = "",
     .help = "File with the secret: 32 hexadecimal digits; a second line is the previous secret, still accepted. Equal "
             "on the nodes of a site. Not set: made anew at each start."},
};
static const struct config_section cookies_section =
    SECTION(config_cookies, "cookies", cookies_keys, .help = "DNS cookies.");

#define RL config_rate_limit
static const struct config_key rate_limit_keys[] = {
    {OF(RL, enable), .type = CONFIG_KEY_BOOL, .default_text = "false",
     .help = "Limit equal responses to one network. Valid cookies and TCP are exempt."},
    {OF(RL, dry_run), .type = CONFIG_KEY_BOOL, .default_text = "false",
     .help = "Count what would be limited, and answer all the same."},
    {OF(RL, per_second), .type = CONFIG_KEY_UINT, .min = 1, .max = 10000000, .default_text = "200",
     .help = "Responses a second of one kind to one network."},
    {OF(RL, burst), .type = CONFIG_KEY_UINT, .min = 1, .max = 10000000, .default_text = "1000",
     .help = "Responses at once before the limit acts."},
    {OF(RL, slip), .type = CONFIG_KEY_UINT, .max = 100, .default_text = "2",
     .help = "Every how manieth limited response is sent truncated, so that a real client can turn to TCP; `1`: all, "
             "`0`: none."},
};
static const struct config_section rate_limit_section =
    SECTION(config_rate_limit, "rate_limit", rate_limit_keys,
            .help = "Response-rate limiting, against the misuse of this node in reflection attacks.");

#define DN config_dns
static const struct config_key dns_keys[] = {
    {OF(DN, udp_max), .type = CONFIG_KEY_UINT, .min = 512, .max = 4096, .default_text = "1232",
     .help = "Longest answer over UDP in bytes; longer ones are truncated and the client turns to TCP (RFC 9715)."},
    {OF(DN, nsid), .type = CONFIG_KEY_TEXT, .max = 127, .default_text = "",
     .help = "Text for clients that ask for the name server's identity (RFC 5001). Empty: not answered."},
    {OF(DN, chaos_version), .type = CONFIG_KEY_TEXT, .max = 127, .default_text = "",
     .help = "Answer to `version.bind` in class CHAOS. Empty: refused."},
    {OF(DN, chaos_id), .type = CONFIG_KEY_TEXT, .max = 127, .default_text = "",
     .help = "Answer to `id.server` and `hostname.bind` in class CHAOS. Empty: refused."},
    {OF(DN, client_subnet), .type = CONFIG_KEY_BOOL, .default_text = "true",
     .help = "Use the network that a resolver tells about its client (RFC 7871) for locality."},
    {AT(DN, "any_ttl", any_ttl_s), .type = CONFIG_KEY_TTL, .max = 604800, .default_text = "1h",
     .help = "TTL of the short answer to queries for ANY (RFC 8482)."},
    {AT(DN, "stale_after", stale_after_ns), .type = CONFIG_KEY_DURATION, .max = 65535 * SECOND, .default_text = "30s",
     .help = "Age of the order table from which answers say that they are stale (RFC 8914); the table gets that old "
             "only while the control process is gone. `0`: never."},
    {OF(DN, cookies), .type = CONFIG_KEY_GROUP, .section = &cookies_section, .help = "DNS cookies."},
    {OF(DN, rate_limit), .type = CONFIG_KEY_GROUP, .section = &rate_limit_section, .help = "Response-rate limiting."},
};
static const struct config_section dns_section = SECTION(config_dns, "dns", dns_keys, .help = "How answers look.");

// ---- heartbeats ----

#define HB config_heartbeat
static const struct config_key peer_keys[] = {
    {OF(config_peer, name), .type = CONFIG_KEY_NAME, .is_required = true,
     .help = "Name of the node; no two nodes have the same."},
    {OF(config_peer, address), .type = CONFIG_KEY_ENDPOINT, .is_required = true,
     .help = "Where heartbeats for it go. Without a port: 7053."},
};
static const struct config_section peer_section =
    SECTION(config_peer, "nodes", peer_keys, .origin_name = "name", .help = "A node.");

static const struct config_key heartbeat_keys[] = {
    {OF(HB, key_file), .type = CONFIG_KEY_PATH, .default_text = "",
     .help = "File with the key of the cluster: 64 hexadecimal digits, as `openssl rand -hex 32` writes them. Required "
             "as soon as there is another node."},
    {OF(HB, previous_key_file), .type = CONFIG_KEY_PATH, .default_text = "",
     .help = "The key before, accepted but not used for sending, while keys are changed."},
    {OF(HB, listen), .type = CONFIG_KEY_ENDPOINT, .default_text = "[::]:7053",
     .help = "Address and UDP port for heartbeats."},
    {AT(HB, "interval", interval_ns), .type = CONFIG_KEY_DURATION, .min = 5 * MS, .max = 60 * SECOND,
     .default_text = "50ms", .help = "A heartbeat is sent this often."},
    {AT(HB, "period", period_ns), .type = CONFIG_KEY_DURATION, .min = 10 * MS, .max = 300 * SECOND,
     .default_text = "100ms",
     .help = "A peer is heard while at least one heartbeat comes in each of the last `periods` periods. At least "
             "twice the `interval`, so that a late heartbeat leaves no period empty; not given: 100ms, or twice a "
             "longer `interval`."},
    {OF(HB, periods), .type = CONFIG_KEY_UINT, .min = 1, .max = 100, .default_text = "3",
     .help = "How many periods are looked at."},
    {AT(HB, "clock_tolerance", clock_tolerance_ns), .type = CONFIG_KEY_DURATION, .min = 100 * MS, .max = DAY,
     .default_text = "30s", .help = "Heartbeats whose time differs more from this node's clock are refused."},
    {OF(HB, share_verdicts), .type = CONFIG_KEY_BOOL, .default_text = "true",
     .help = "Tell peers what this node thinks of all sites, and use what they tell."},
    {LIST(HB, "witnesses", witnesses, witness_count), .type = CONFIG_KEY_GROUP, .section = &peer_section,
     .list_max = 16,
     .help = "Nodes of no site, whose view counts as a third party's when two sites do not hear each other."},
};
static const struct config_section heartbeat_section =
    SECTION(config_heartbeat, "heartbeat", heartbeat_keys,
            .help = "Messages between the nodes, over UDP, encrypted and authenticated.");

// ---- evidence ----

#define TL config_tls
static const struct config_key tls_keys[] = {
    {OF(TL, name), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "",
     .help = "Server name to ask for (SNI) and to find in the certificate. Empty: `host`."},
    {OF(TL, verify), .type = CONFIG_KEY_BOOL, .default_text = "true",
     .help = "A certificate that does not hold makes the probe fail."},
    {OF(TL, ca_file), .type = CONFIG_KEY_PATH, .default_text = "",
     .help = "Certificates of the authorities, PEM. Not set: the system's."},
    {OF(TL, pin_sha256), .type = CONFIG_KEY_TEXT, .max = 44, .default_text = "",
     .help = "SHA-256 of the server's public key in base64; any other key makes the probe fail."},
    {OF(TL, cert_file), .type = CONFIG_KEY_PATH, .default_text = "", .help = "Client certificate, PEM."},
    {OF(TL, key_file), .type = CONFIG_KEY_PATH, .default_text = "", .help = "Its private key, PEM."},
};
static const struct config_section tls_section =
    SECTION(config_tls, "tls", tls_keys, .help = "TLS of a probe or a balancer reader.");

static const struct config_key dns_probe_keys[] = {
    {OF(config_dns_probe, name), .type = CONFIG_KEY_DNS_NAME, .default_text = ".", .help = "Name to ask for."},
    {OF(config_dns_probe, type), .type = CONFIG_KEY_NAME, .default_text = "SOA", .help = "Type to ask for."},
    {OF(config_dns_probe, expect), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "",
     .help = "Data of one record of the answer, or an rcode such as `NOERROR`. Empty: any response."},
};
static const struct config_section dns_probe_section =
    SECTION(config_dns_probe, "dns", dns_probe_keys, .help = "Query of a DNS probe.");

#define GR      config_group
#define TCP     BIT(CONFIG_PROBE_TCP)
#define HTTP    (BIT(CONFIG_PROBE_HTTP) | BIT(CONFIG_PROBE_HTTPS))
#define NETWORK (TCP | HTTP | BIT(CONFIG_PROBE_DNS))
static const struct config_key group_keys[] = {
    {OF(GR, name), .type = CONFIG_KEY_NAME, .default_text = "",
     .help = "Name of the group. Only for entries of `checks`; `web` and `database` have theirs."},
    {OF(GR, probe), .type = CONFIG_KEY_CHOICE, .choices = probe_choices, .default_text = "http",
     .help = "How a server is asked."},
    {OF(GR, required), .type = CONFIG_KEY_BOOL, .default_text = "true",
     .help = "`false`: the group is shown, but decides nothing."},
    {LIST(GR, "servers", servers, server_count), .type = CONFIG_KEY_ENDPOINT, .list_max = 1000,
     .help = "Addresses to probe. Not given: the site's addresses. Host names are not resolved: a probe must not wait "
             "for the DNS."},
    {OF(GR, port), .type = CONFIG_KEY_UINT, .min = 1, .max = 65535, WHEN("probe", NETWORK),
     .help = "Port of servers written without one. Not given: 80 for http, 443 for https, 53 for dns."},
    {OF(GR, need), .type = CONFIG_KEY_UINT, .min = 1, .max = 1000, .default_text = "1",
     .help = "So many servers must be good for the group to be good."},
    {OF(GR, method), .type = CONFIG_KEY_NAME, .default_text = "GET", WHEN("probe", HTTP), .help = "Request method."},
    {OF(GR, path), .type = CONFIG_KEY_TEXT, .min = 1, .max = 2000, .default_text = "/", WHEN("probe", HTTP),
     .help = "Path and query of the request."},
    {OF(GR, host), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "", WHEN("probe", HTTP),
     .help = "Host header. Empty: the server's address."},
    {LIST(GR, "headers", headers, header_count), .type = CONFIG_KEY_TEXT, .min = 3, .max = 1000, .list_max = 32,
     WHEN("probe", HTTP), .help = "Further headers, `\"Name: value\"`."},
    {OF(GR, status), .type = CONFIG_KEY_TEXT, .min = 3, .max = 200, .default_text = "200-399", WHEN("probe", HTTP),
     .help = "Good status codes, such as `\"200,204,300-399\"`. Redirections are not followed."},
    {OF(GR, keyword), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "", WHEN("probe", HTTP),
     .help = "Must be in the body; for a page that asks the database, the database server's name."},
    {OF(GR, keyword_absent), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "", WHEN("probe", HTTP),
     .help = "Must not be in the body."},
    {OF(GR, keyword_match), .type = CONFIG_KEY_CHOICE, .choices = match_choices, .default_text = "text",
     WHEN("probe", HTTP), .help = "How both keywords are meant."},
    {AT(GR, "body_max", body_max_bytes), .type = CONFIG_KEY_SIZE, .min = 1 << 10, .max = 16 << 20,
     .default_text = "64K", WHEN("probe", HTTP), .help = "So much of the body is looked at."},
    {OF(GR, keep_alive), .type = CONFIG_KEY_BOOL, .default_text = "false", WHEN("probe", HTTP),
     .help = "Keep the connection. Cheaper, but a server that takes no new connections then looks good."},
    {OF(GR, tls), .type = CONFIG_KEY_GROUP, .section = &tls_section, WHEN("probe", BIT(CONFIG_PROBE_HTTPS)),
     .help = "TLS settings."},
    {OF(GR, send), .type = CONFIG_KEY_TEXT, .max = 1000, .default_text = "", WHEN("probe", TCP),
     .help = "Sent after the connection is there."},
    {OF(GR, expect), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "", WHEN("probe", TCP),
     .help = "Must be in what the server sends."},
    {OF(GR, dns), .type = CONFIG_KEY_GROUP, .section = &dns_probe_section, WHEN("probe", BIT(CONFIG_PROBE_DNS)),
     .help = "The query."},
    {LIST(GR, "command", command, command_count), .type = CONFIG_KEY_TEXT, .max = 1000, .list_max = 64,
     WHEN("probe", BIT(CONFIG_PROBE_SCRIPT)),
     .help =
         "Program, by its full path, and arguments; the server's address follows as the last. No shell is involved."},
    {OF(GR, file), .type = CONFIG_KEY_PATH, .default_text = "", WHEN("probe", BIT(CONFIG_PROBE_FILE)),
     .help = "The file to read, on a local file system: a line for each server, such as `192.0.2.81:8080 up`, "
             "`192.0.2.82 down maintenance` or `* up 85%` (`*`: all servers; the percentage is the load). What it says "
             "is as old as the file."},
    {OF(GR, source), .type = CONFIG_KEY_ADDRESS, WHEN("probe", NETWORK | BIT(CONFIG_PROBE_ICMP)),
     .help = "Address to probe from. Not given: the kernel's choice."},
    {AT(GR, "interval", interval_ns), .type = CONFIG_KEY_DURATION, .min = 20 * MS, .max = 3600 * SECOND,
     .default_text = "500ms", .help = "Time from one probe of a server to the next."},
    {AT(GR, "timeout", timeout_ns), .type = CONFIG_KEY_DURATION, .min = 10 * MS, .max = 3600 * SECOND,
     .default_text = "400ms",
     .help = "A probe without a result by then has failed. At most `interval`; not given: 400ms, or four fifths of a "
             "shorter `interval`."},
    {AT(GR, "jitter", jitter_percent), .type = CONFIG_KEY_PERCENT, .default_text = "10%",
     .help = "Each interval is shortened by a random part of up to this much, so that probes do not gather."},
    {OF(GR, rise), .type = CONFIG_KEY_UINT, .min = 1, .max = 100, .default_text = "2",
     .help = "Good results in a row that make a bad server good."},
    {OF(GR, fall), .type = CONFIG_KEY_UINT, .min = 1, .max = 100, .default_text = "2",
     .help = "Bad results in a row that make a good server bad."},
    {AT(GR, "max_age", max_age_ns), .type = CONFIG_KEY_DURATION, .max = DAY,
     .help = "An older result counts as unknown. Not given: three intervals and a timeout, at least 5s; for a "
             "`file` there is no limit. `0`: no limit."},
};
static const struct config_section group_section =
    SECTION(config_group, "checks", group_keys, .origin_name = "name", .has_origin = true,
            .help = "A group of equal servers, of which a number must be good.");

#define BA config_balancer
#define BAL_HTTP                                                                                                       \
    (BIT(CONFIG_BALANCER_HAPROXY_CSV) | BIT(CONFIG_BALANCER_HTTP) | BIT(CONFIG_BALANCER_ENVOY) |                       \
     BIT(CONFIG_BALANCER_JSON))
#define BAL_JSON  BIT(CONFIG_BALANCER_JSON)
#define BAL_NAMED (BIT(CONFIG_BALANCER_HAPROXY_CSV) | BIT(CONFIG_BALANCER_HAPROXY_SOCKET) | BIT(CONFIG_BALANCER_ENVOY))
static const struct config_key balancer_keys[] = {
    {OF(BA, type), .type = CONFIG_KEY_CHOICE, .choices = balancer_choices, .is_required = true,
     .help = "What is read."},
    {OF(BA, role), .type = CONFIG_KEY_CHOICE, .choices = role_choices, .default_text = "required",
     .help = "What its word is worth."},
    {OF(BA, url), .type = CONFIG_KEY_TEXT, .max = 2000, .default_text = "", WHEN("type", BAL_HTTP),
     .help = "Where to read, with a literal address: `\"http://10.0.0.5:8404/stats;csv\"`."},
    {OF(BA, host), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "", WHEN("type", BAL_HTTP),
     .help = "Host header. Empty: from the URL."},
    {OF(BA, credentials_file), .type = CONFIG_KEY_PATH, .default_text = "", WHEN("type", BAL_HTTP),
     .help = "File with one line `user:password`, for HTTP basic authentication."},
    {OF(BA, tls), .type = CONFIG_KEY_GROUP, .section = &tls_section, WHEN("type", BAL_HTTP),
     .help = "TLS settings of an https URL."},
    {OF(BA, socket), .type = CONFIG_KEY_PATH, .max = 107, .default_text = "",
     WHEN("type", BIT(CONFIG_BALANCER_HAPROXY_SOCKET)), .help = "Unix socket of the balancer."},
    {OF(BA, address), .type = CONFIG_KEY_ENDPOINT,
     WHEN("type", BIT(CONFIG_BALANCER_HAPROXY_SOCKET) | BIT(CONFIG_BALANCER_AGENT)),
     .help = "TCP address of the runtime socket or the agent."},
    {LIST(BA, "backends", backends, backend_count), .type = CONFIG_KEY_TEXT, .min = 1, .max = 255, .list_max = 100,
     WHEN("type", BAL_NAMED),
     .help = "HAProxy backends or Envoy clusters that count, each of which must be good. Not given: all."},
    {OF(BA, need), .type = CONFIG_KEY_UINT, .min = 1, .max = 10000, .default_text = "1",
     .help = "Servers that must be up in each of them."},
    {OF(BA, status_path), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "", WHEN("type", BAL_JSON),
     .help = "Where the state stands in the document, such as `\"pools.web.status\"` or `\"servers[0].up\"`."},
    {OF(BA, up_value), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "up", WHEN("type", BAL_JSON),
     .help = "The text at `status_path` that means up; `true` and non-zero numbers do as well."},
    {OF(BA, servers_up_path), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "", WHEN("type", BAL_JSON),
     .help = "Where the number of servers up stands."},
    {OF(BA, load_path), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "", WHEN("type", BAL_JSON),
     .help = "Where the load stands: 0 to 1, or a percentage above 1."},
    {OF(BA, weight_path), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "", WHEN("type", BAL_JSON),
     .help = "Where the weight stands, 0 to 100: 75 is a load of at least 25 %, 0 is down."},
    {OF(BA, sessions_max), .type = CONFIG_KEY_UINT, .max = 100000000, .default_text = "0", WHEN("type", BAL_NAMED),
     .help = "Sessions that are a load of 100 %. `0`: the balancer's own limit."},
    {AT(BA, "interval", interval_ns), .type = CONFIG_KEY_DURATION, .min = 50 * MS, .max = 3600 * SECOND,
     .default_text = "500ms", .help = "Time from one reading to the next."},
    {AT(BA, "timeout", timeout_ns), .type = CONFIG_KEY_DURATION, .min = 10 * MS, .max = 3600 * SECOND,
     .default_text = "400ms",
     .help = "A reading not complete by then has failed. At most `interval`; not given: 400ms, or four fifths of a "
             "shorter `interval`."},
    {OF(BA, rise), .type = CONFIG_KEY_UINT, .min = 1, .max = 100, .default_text = "2",
     .help = "Good readings in a row that make it good."},
    {OF(BA, fall), .type = CONFIG_KEY_UINT, .min = 1, .max = 100, .default_text = "2",
     .help = "Bad readings in a row that make it bad."},
    {AT(BA, "max_age", max_age_ns), .type = CONFIG_KEY_DURATION, .max = DAY,
     .help =
         "An older reading counts as unknown. Not given: three intervals and a timeout, at least 5s. `0`: no limit."},
};
static const struct config_section balancer_section =
    SECTION(config_balancer, "balancer", balancer_keys, .has_origin = true,
            .help = "What a site's load balancer says about the servers behind it. An old or unreadable indication is "
                    "unknown, not down.");

// ---- sites ----

#define SI config_site
#define ONE(type_name, key_name, field, count)                                                                         \
    .name = key_name, .is_optional_group = true, .at = offsetof(struct type_name, field),                              \
    .count_at = offsetof(struct type_name, count)
static const struct config_key site_keys[] = {
    {OF(SI, name), .type = CONFIG_KEY_NAME, .is_required = true,
     .help = "Short name, used in services, commands and metrics."},
    {OF(SI, description), .type = CONFIG_KEY_TEXT, .max = 255, .default_text = "",
     .help = "Free text for the status page."},
    {LIST(SI, "addresses", addresses, address_count), .type = CONFIG_KEY_ADDRESS, .list_max = 32,
     .help = "What clients are given, IPv4 and IPv6, usually the load balancer's. A service can have its own."},
    {LIST(SI, "nodes", nodes, node_count), .type = CONFIG_KEY_GROUP, .section = &peer_section, .list_max = 16,
     .help = "The Signpost nodes of the site."},
    {OF(SI, nodes_need), .type = CONFIG_KEY_UINT, .min = 1, .max = 16, .default_text = "1",
     .help = "So many of its nodes must be heard for the site to be heard."},
    {AT(SI, "heartbeat", peer_rule), .type = CONFIG_KEY_CHOICE, .choices = peer_rule_choices,
     .default_text = "required",
     .help = "What the heartbeats of its nodes decide. A site without nodes is not judged by heartbeats."},
    {ONE(SI, "web", web, web_count), .type = CONFIG_KEY_GROUP, .section = &group_section, .help = "The web servers."},
    {ONE(SI, "database", database, database_count), .type = CONFIG_KEY_GROUP, .section = &group_section,
     .help = "The database, through pages that ask it and must show a keyword."},
    {LIST(SI, "checks", checks, check_count), .type = CONFIG_KEY_GROUP, .section = &group_section, .list_max = 32,
     .help = "Further groups. The site is available only while all required groups are good."},
    {LIST(SI, "balancer", balancers, balancer_count), .type = CONFIG_KEY_GROUP, .section = &balancer_section,
     .list_max = 8, .help = "What the site's balancers say; one group, or a list."},
    {AT(SI, "dwell", dwell_ns), .type = CONFIG_KEY_DURATION, .max = 3600 * SECOND, .default_text = "1s",
     .help = "Least time between two changes of the site's verdict; keeps a flapping site from changing answers all "
             "the time."},
    {AT(SI, "fail_back_delay", fail_back_delay_ns), .type = CONFIG_KEY_DURATION, .max = DAY, .default_text = "0",
     .help = "A recovered site must stay good for this long before it is used."},
    {OF(SI, fail_back), .type = CONFIG_KEY_CHOICE, .choices = fail_back_choices, .default_text = "auto",
     .help = "How a recovered site comes back."},
    {AT(SI, "ramp", ramp_ns), .type = CONFIG_KEY_DURATION, .max = DAY, .default_text = "0",
     .help = "A recovered site gets its clients back little by little over this time. `0`: at once."},
    {OF(SI, coordinates), .type = CONFIG_KEY_COORDINATES,
     .help = "Latitude and longitude in degrees, `( 52.37, 4.90 )`, for `locality` by distance."},
};
static const struct config_section site_section =
    SECTION(config_site, "sites", site_keys, .origin_name = "name", .has_origin = true,
            .help = "A place where the services run: its addresses, and the evidence of its health.");

// ---- services ----

#define SG config_stage
static const struct config_key stage_keys[] = {
    {AT(SG, "stage", type), .type = CONFIG_KEY_CHOICE, .choices = stage_choices, .is_required = true,
     .help = "What this stage orders by."},
    {OF(SG, by), .type = CONFIG_KEY_CHOICE, .choices = locality_choices, .default_text = "region",
     WHEN("stage", BIT(CONFIG_STAGE_LOCALITY)), .help = "How near a site is."},
    {AT(SG, "high", high_percent), .type = CONFIG_KEY_PERCENT, .default_text = "80%",
     WHEN("stage", BIT(CONFIG_STAGE_LOAD)), .help = "A site at or above this load is put behind the others."},
    {AT(SG, "low", low_percent), .type = CONFIG_KEY_PERCENT, .default_text = "60%",
     WHEN("stage", BIT(CONFIG_STAGE_LOAD)), .help = "It comes back below this load."},
    {OF(SG, spill), .type = CONFIG_KEY_BOOL, .default_text = "true", WHEN("stage", BIT(CONFIG_STAGE_LOAD)),
     .help = "Between both marks a growing part of the clients, chosen by their network, is sent elsewhere first."},
    {AT(SG, "tolerance_percent", tolerance_percent), .type = CONFIG_KEY_PERCENT, .default_text = "25%",
     WHEN("stage", BIT(CONFIG_STAGE_RESPONSE_TIME)), .help = "Sites this close to the fastest count as equally fast."},
    {AT(SG, "tolerance", tolerance_ns), .type = CONFIG_KEY_DURATION, .max = 60 * SECOND, .default_text = "5ms",
     WHEN("stage", BIT(CONFIG_STAGE_RESPONSE_TIME)), .help = "As do sites that are slower by no more than this."},
    {AT(SG, "half_life", half_life_ns), .type = CONFIG_KEY_DURATION, .min = 10 * MS, .max = 3600 * SECOND,
     .default_text = "10s", WHEN("stage", BIT(CONFIG_STAGE_RESPONSE_TIME)),
     .help = "A measurement counts half after this time."},
    {AT(SG, "limit", limit_ns), .type = CONFIG_KEY_DURATION, .min = 1 * MS, .max = 30 * DAY, .default_text = "10s",
     WHEN("stage", BIT(CONFIG_STAGE_REPLICATION_LAG)),
     .help = "A site whose database lags more goes behind the others."},
    {OF(SG, sticky), .type = CONFIG_KEY_BOOL, .default_text = "true", WHEN("stage", BIT(CONFIG_STAGE_SPREAD)),
     .help = "A client network keeps its first site while the weights stay. `false`: it may get another with every new "
             "order table."},
};
static const struct config_section stage_section =
    SECTION(config_stage, "policy", stage_keys, .shorthand = "stage", .origin_name = "stage", .has_origin = true,
            .help = "One stage of the order policy: its name alone, or a group with options.");

#define ME config_member
static const struct config_key member_keys[] = {
    {OF(ME, site), .type = CONFIG_KEY_NAME, .is_required = true, .help = "Name of the site."},
    {LIST(ME, "addresses", addresses, address_count), .type = CONFIG_KEY_ADDRESS, .list_max = 32,
     .help = "Addresses of this service at the site. Not given: the site's."},
    {OF(ME, weight), .type = CONFIG_KEY_UINT, .max = 65535, .default_text = "1",
     .help = "Share in the stage `spread`, and the weight in SRV records."},
    {OF(ME, target), .type = CONFIG_KEY_DNS_NAME, .default_text = "",
     .help = "Host name of this service at the site, for SRV, SVCB and HTTPS records."},
};
static const struct config_section member_section =
    SECTION(config_member, "service sites", member_keys, .shorthand = "site", .origin_name = "site", .has_origin = true,
            .help = "A site of a service: its name alone, or a group with options.");

#define SV config_service
static const struct config_key service_keys[] = {
    {OF(SV, name), .type = CONFIG_KEY_DNS_NAME, .is_required = true,
     .help = "The DNS name that is answered, in one of the zones; may start with `*.`."},
    {LIST(SV, "sites", sites, site_count), .type = CONFIG_KEY_GROUP, .section = &member_section, .is_required = true,
     .list_max = 64, .help = "Its sites, the preferred first."},
    {LIST(SV, "records", records, record_count), .type = CONFIG_KEY_CHOICE, .choices = record_choices, .list_max = 4,
     .help = "What is answered. Not given: `( \"address\" )`."},
    {AT(SV, "ttl", ttl_s), .type = CONFIG_KEY_TTL, .max = 86400, .default_text = "30", .help = "TTL of the answers."},
    {AT(SV, "ttl_min", ttl_min_s), .type = CONFIG_KEY_TTL, .max = 86400, .default_text = "5",
     .help = "TTL while something is in doubt. At most `ttl`; not given: 5, or `ttl` when that is less."},
    {OF(SV, answer_max), .type = CONFIG_KEY_UINT, .max = 255, .default_text = "0",
     .help = "Addresses of each family in an answer at most. `0`: all."},
    {LIST(SV, "policy", policy, policy_count), .type = CONFIG_KEY_GROUP, .section = &stage_section, .list_max = 16,
     .help = "Stages that change the order, one after the other: what a later one says weighs more. Not given: the "
             "order of `sites`."},
    {OF(SV, all_down), .type = CONFIG_KEY_CHOICE, .choices = all_down_choices, .default_text = "fail-open",
     .help = "What is answered while no site is available."},
    {LIST(SV, "last_resort", last_resort, last_resort_count), .type = CONFIG_KEY_ADDRESS, .list_max = 32,
     WHEN("all_down", BIT(CONFIG_LAST_RESORT)), .help = "Addresses for then."},
    {LIST(SV, "groups", groups, group_count), .type = CONFIG_KEY_NAME, .list_max = 32,
     .help = "Only these groups of its sites count for this service. Not given: all."},
    {OF(SV, port), .type = CONFIG_KEY_UINT, .min = 1, .max = 65535, .help = "Port in SRV, SVCB and HTTPS records."},
    {LIST(SV, "alpn", alpn, alpn_count), .type = CONFIG_KEY_TEXT, .min = 1, .max = 255, .list_max = 16,
     .help = "Protocols in SVCB and HTTPS records, such as `( \"h2\", \"h3\" )`."},
    {OF(SV, debug_names), .type = CONFIG_KEY_BOOL, .default_text = "false",
     .help = "Also answer `<site>.<name>` with that site's addresses, whatever its state."},
};
static const struct config_section service_section =
    SECTION(config_service, "services", service_keys, .origin_name = "name", .has_origin = true,
            .help = "A name whose answers follow the state of the sites.");

// ---- zones, regions ----

static const struct config_key zone_keys[] = {
    {OF(config_zone, name), .type = CONFIG_KEY_DNS_NAME, .is_required = true,
     .help = "The name at the top of the zone."},
    {OF(config_zone, file), .type = CONFIG_KEY_TEXT, .max = 1000, .default_text = "",
     .help = "Its master file, in `zone_dir`. Not given: the zone's name and `.zone`."},
};
static const struct config_section zone_section =
    SECTION(config_zone, "zones", zone_keys, .origin_name = "name", .has_origin = true,
            .help = "A zone that this node is authoritative for, from a standard master file.");

#define RE config_region
static const struct config_key region_keys[] = {
    {OF(RE, name), .type = CONFIG_KEY_NAME, .is_required = true, .help = "Name of the region."},
    {LIST(RE, "prefixes", prefixes, prefix_count), .type = CONFIG_KEY_PREFIX, .list_max = 100000,
     .help = "Networks of the region. Of several that hold an address the longest wins."},
    {OF(RE, file), .type = CONFIG_KEY_PATH, .default_text = "",
     .help = "More networks, one a line; `#` starts a comment."},
    {LIST(RE, "countries", countries, country_count), .type = CONFIG_KEY_TEXT, .min = 2, .max = 2, .list_max = 300,
     .help = "ISO 3166-1 codes, by `geoip.file`."},
    {LIST(RE, "subdivisions", subdivisions, subdivision_count), .type = CONFIG_KEY_TEXT, .min = 4, .max = 6,
     .list_max = 5000, .help = "ISO 3166-2 codes such as `US-CA`, by `geoip.file`; they win over countries."},
    {LIST(RE, "continents", continents, continent_count), .type = CONFIG_KEY_TEXT, .min = 2, .max = 2, .list_max = 8,
     .help = "`AF`, `AN`, `AS`, `EU`, `NA`, `OC`, `SA`, by `geoip.file`; countries win over them."},
    {LIST(RE, "asns", asns, asn_count), .type = CONFIG_KEY_UINT, .min = 1, .max = 4294967295u, .list_max = 10000,
     .help = "Autonomous systems, by `geoip.asn_file`; they win over subdivisions."},
    {LIST(RE, "sites", sites, site_count), .type = CONFIG_KEY_NAME, .list_max = 64,
     .help = "Sites for its clients, the nearest first; sites not named follow in the service's order."},
    {OF(RE, coordinates), .type = CONFIG_KEY_COORDINATES,
     .help = "Latitude and longitude of its middle, for the order by distance."},
};
static const struct config_section region_section =
    SECTION(config_region, "regions", region_keys, .origin_name = "name", .has_origin = true,
            .help = "A part of the world's networks, for the stage `locality`.");

#define GE config_geoip
static const struct config_key geoip_keys[] = {
    {OF(GE, file), .type = CONFIG_KEY_PATH, .default_text = "",
     .help = "MaxMind database with countries or cities (`.mmdb`)."},
    {OF(GE, asn_file), .type = CONFIG_KEY_PATH, .default_text = "",
     .help = "MaxMind database with autonomous systems (`.mmdb`)."},
    {OF(GE, nearest), .type = CONFIG_KEY_BOOL, .default_text = "true",
     .help =
         "Regions without a list of sites go by the distance of their coordinates; and with a City database in `file` "
         "and two sites with coordinates, clients in no region of the configuration go to the site nearest to where "
         "the database says they are. Regions named `nearest:` and the sites in their order stand for that."},
};
static const struct config_section geoip_section =
    SECTION(config_geoip, "geoip", geoip_keys, .help = "MaxMind databases for regions.");

static const struct config_key top_keys[] = {
    {AT(config, "node", node), .type = CONFIG_KEY_GROUP, .section = &node_section, .is_required = true,
     .help = "This node."},
    {AT(config, "dataplane", dataplane), .type = CONFIG_KEY_GROUP, .section = &dataplane_section,
     .help = "The data plane."},
    {AT(config, "control", control), .type = CONFIG_KEY_GROUP, .section = &control_section,
     .help = "The control process."},
    {AT(config, "dns", dns), .type = CONFIG_KEY_GROUP, .section = &dns_section, .help = "Answers."},
    {AT(config, "heartbeat", heartbeat), .type = CONFIG_KEY_GROUP, .section = &heartbeat_section,
     .help = "Heartbeats."},
    {LIST(config, "sites", sites, site_count), .type = CONFIG_KEY_GROUP, .section = &site_section, .list_max = 64,
     .help = "The sites."},
    {LIST(config, "services", services, service_count), .type = CONFIG_KEY_GROUP, .section = &service_section,
     .list_max = 65000, .help = "The services."},
    {AT(config, "zone_dir", zone_dir), .type = CONFIG_KEY_PATH, .default_text = ".",
     .help = "Directory of the master files. They and what they include must lie in it."},
    {LIST(config, "zones", zones, zone_count), .type = CONFIG_KEY_GROUP, .section = &zone_section, .list_max = 10000,
     .help = "The zones."},
    {LIST(config, "regions", regions, region_count), .type = CONFIG_KEY_GROUP, .section = &region_section,
     .list_max = 4095, .help = "The regions."},
    {AT(config, "geoip", geoip), .type = CONFIG_KEY_GROUP, .section = &geoip_section, .help = "MaxMind databases."},
    {LIST(config, "include", includes, include_count), .type = CONFIG_KEY_PATH, .list_max = 100,
     .help = "Further files, or directories whose `*.conf` are read in the order of their names. Their lists (`sites`, "
             "`services`, `zones`, `regions`) are added to those here; a group may be in one file only. Included files "
             "include no others."},
};
static const struct config_section top_section = SECTION(config, "", top_keys, .help = "");

const struct config_section *config_schema(void)
{
    return &top_section;
}
