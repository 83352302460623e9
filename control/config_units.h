// SPDX-License-Identifier: Apache-2.0
// Values as operators write them: durations, sizes, percentages, addresses. Strict: what is not wholly understood is
// refused with a sentence that shows a right form.
//
// Pure functions on zero-terminated text; any thread. Each returns 0 or -EINVAL (-ERANGE when the number does not fit)
// and leaves the result untouched on failure.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    CONFIG_ADDRESS_TEXT_CAP = 46, // INET6_ADDRSTRLEN
    CONFIG_ENDPOINT_TEXT_CAP = 56 // [address]:port
};

struct config_address {
    uint8_t address[16]; // network order; IPv4 in the first 4 bytes, the rest zero
    bool is_ipv6;
    bool is_set; // false: the key was not given
};

struct config_endpoint {
    struct config_address address;
    uint16_t port; // host order; 0: not given
};

struct config_prefix {
    struct config_address address;
    uint8_t prefix_len; // bits
};

// "500ms", "2h", "1.5s", "1h30m"; units ns, us, ms, s, m, h, d, w. A number without a unit only when it is 0.
int config_parse_duration(const char *text, uint64_t *ns);

// "64K", "16M", "2G" (powers of 1024; an optional B or iB follows), or plain bytes.
int config_parse_size(const char *text, uint64_t *bytes);

// "80%" or "80": 0..100, whole numbers.
int config_parse_percent(const char *text, uint32_t *percent);

// "192.0.2.1" or "2001:db8::1"; no zone index, no brackets, no IPv4-mapped IPv6 (which would be the wrong family).
int config_parse_address(const char *text, struct config_address *address);

// "192.0.2.1:80", "[2001:db8::1]:80"; without a port, `address` alone in either form gives port 0.
int config_parse_endpoint(const char *text, struct config_endpoint *endpoint);

// "192.0.2.0/24"; an address alone is a prefix of full length. Bits past the length must be zero.
int config_parse_prefix(const char *text, struct config_prefix *prefix);

// Text forms into the caller's room; return `out`. A duration is printed in the largest unit that keeps it exact.
char *config_address_text(const struct config_address *address, char out[CONFIG_ADDRESS_TEXT_CAP]);
char *config_endpoint_text(const struct config_endpoint *endpoint, char out[CONFIG_ENDPOINT_TEXT_CAP]);
char *config_duration_text(uint64_t ns, char *out, size_t cap);

// As a socket call takes it; returns the length that counts. `address` is set.
socklen_t config_socket_address(const struct config_address *address, uint16_t port, struct sockaddr_storage *out);

bool config_address_equal(const struct config_address *a, const struct config_address *b);

#ifdef __cplusplus
}
#endif
