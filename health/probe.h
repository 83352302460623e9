// SPDX-License-Identifier: Apache-2.0
// What is probed and how: the specification of one probe against one server. Plain data.
//
// Addresses are literal: a probe never resolves a name. Strings and arrays are borrowed for the call that takes a
// specification, and copied by it. Empty or null texts mean "not asked for".
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

enum probe_type { PROBE_TCP, PROBE_HTTP, PROBE_HTTPS, PROBE_ICMP, PROBE_DNS, PROBE_SCRIPT, PROBE_FILE };
enum probe_match { PROBE_MATCH_TEXT, PROBE_MATCH_REGEX };

struct probe_address {
    struct sockaddr_storage address;
    socklen_t len; // 0: not set
};

struct probe_tls {
    const char *name; // SNI and the certificate's name; empty: the Host without its port
    bool verify;
    const char *ca_file;    // empty: the system's
    const char *pin_sha256; // base64 of the public key's SHA-256
    const char *cert_file, *key_file;
};

struct probe_status_range {
    uint16_t first, last;
};

struct probe_http {
    const char *method, *path, *host; // host empty: the address
    const char *const *headers;       // "Name: value"
    unsigned header_count;
    const struct probe_status_range *statuses;
    unsigned status_count;
    const char *keyword, *keyword_absent;
    enum probe_match match;
    uint64_t body_max_bytes;
    bool keep_alive;
    const char *credentials; // "user:password" for basic authentication
    struct probe_tls tls;
};

struct probe_spec {
    enum probe_type type;
    struct probe_address server; // with its port
    struct probe_address source;
    uint64_t interval_ns, timeout_ns;
    uint32_t jitter_percent;   // each interval is shortened by a random part of up to this much of it
    const char *send, *expect; // TCP
    struct probe_http http;
    const char *dns_name, *dns_type, *dns_expect;
    const char *const *command; // script: program and arguments; the server's address is appended
    unsigned command_count;
    const char *file; // file feed
};

#ifdef __cplusplus
}
#endif
