// SPDX-License-Identifier: Apache-2.0
#include "control/config_units.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit duration_units[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"s", 1000000000},
    {"m", 60ull * 1000000000},
    {"h", 3600ull * 1000000000},
    {"d", 86400ull * 1000000000},
    {"w", 7 * 86400ull * 1000000000},
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Digits at *text into *value; moves *text behind them. False without a digit or past 64 bits.
static bool take_number(const char **text, uint64_t *value, unsigned *digit_count)
{
    const char *p = *text;
    uint64_t v = 0;
    for (; is_digit(*p); p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v))
            return false;
    if (p == *text)
        return false;
    *digit_count = (unsigned)(p - *text);
    *text = p;
    *value = v;
    return true;
}

static const struct unit *take_unit(const char **text)
{
    size_t len = 0;
    while ((*text)[len] >= 'a' && (*text)[len] <= 'z')
        len++;
    for (size_t i = 0; i < sizeof(duration_units) / sizeof(duration_units[0]); i++) {
        const struct unit *u = &duration_units[i];
        if (strlen(u->name) == len && memcmp(*text, u->name, len) == 0) {
            *text += len;
            return u;
        }
    }
    return NULL;
}

// One "1.5s" of a duration, in ns. A fraction has at most 9 digits and must come out in whole nanoseconds.
static int take_duration_part(const char **text, uint64_t *ns, const struct unit **unit)
{
    uint64_t whole, fraction = 0;
    unsigned digits, fraction_digits = 0;
    if (!take_number(text, &whole, &digits))
        return is_digit(**text) ? -ERANGE : -EINVAL;
    if (**text == '.') {
        ++*text;
        if (!take_number(text, &fraction, &fraction_digits) || fraction_digits > 9)
            return -EINVAL;
    }
    *unit = take_unit(text);
    if (!*unit)
        return -EINVAL;
    uint64_t scale = 1;
    for (unsigned i = 0; i < fraction_digits; i++)
        scale *= 10;
    uint64_t part;
    if (__builtin_mul_overflow(whole, (*unit)->factor, ns))
        return -ERANGE;
    // fraction < 10^9 and factor < 10^15: the product may pass 64 bits only for days and weeks with 9 digits
    if (__builtin_mul_overflow(fraction, (*unit)->factor, &part) || part % scale)
        return -EINVAL;
    return __builtin_add_overflow(*ns, part / scale, ns) ? -ERANGE : 0;
}

int config_parse_duration(const char *text, uint64_t *ns)
{
    if (strcmp(text, "0") == 0) {
        *ns = 0;
        return 0;
    }
    uint64_t total = 0, last_factor = UINT64_MAX;
    do {
        uint64_t part = 0;
        const struct unit *unit = NULL;
        int rc = take_duration_part(&text, &part, &unit);
        if (rc)
            return rc;
        if (unit->factor >= last_factor) // "30m1h" and "1s1s" are slips, not durations
            return -EINVAL;
        last_factor = unit->factor;
        if (__builtin_add_overflow(total, part, &total))
            return -ERANGE;
    } while (*text);
    *ns = total;
    return 0;
}

int config_parse_size(const char *text, uint64_t *bytes)
{
    uint64_t value;
    unsigned digits;
    if (!take_number(&text, &value, &digits))
        return is_digit(*text) ? -ERANGE : -EINVAL;
    static const char units[] = "KMGT";
    const char *unit = *text ? strchr(units, *text) : NULL;
    if (unit) {
        unsigned shift = 10 * (unsigned)(unit - units + 1);
        if (value >> (64 - shift))
            return -ERANGE;
        value <<= shift;
        text++;
        if (text[0] == 'i' && text[1] == 'B')
            text++;
    }
    if (*text == 'B')
        text++;
    if (*text)
        return -EINVAL;
    *bytes = value;
    return 0;
}

int config_parse_percent(const char *text, uint32_t *percent)
{
    uint64_t value;
    unsigned digits;
    if (!take_number(&text, &value, &digits))
        return is_digit(*text) ? -ERANGE : -EINVAL;
    if (*text == '%')
        text++;
    if (*text)
        return -EINVAL;
    if (value > 100)
        return -ERANGE;
    *percent = (uint32_t)value;
    return 0;
}

static int parse_address(const char *text, size_t len, struct config_address *address)
{
    char copy[CONFIG_ADDRESS_TEXT_CAP];
    if (len == 0 || len >= sizeof(copy))
        return -EINVAL;
    memcpy(copy, text, len);
    copy[len] = 0;
    struct config_address a = {.is_set = true};
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (inet_pton(AF_INET, copy, a.address) == 1) {
        *address = a;
        return 0;
    }
    a.is_ipv6 = true;
    if (inet_pton(AF_INET6, copy, a.address) != 1 || memcmp(a.address, mapped, sizeof(mapped)) == 0)
        return -EINVAL;
    *address = a;
    return 0;
}

int config_parse_address(const char *text, struct config_address *address)
{
    return parse_address(text, strlen(text), address);
}

static int parse_port(const char *text, uint16_t *port)
{
    uint64_t value;
    unsigned digits;
    if (!take_number(&text, &value, &digits) || *text || digits > 5)
        return -EINVAL;
    if (value == 0 || value > 65535)
        return -ERANGE;
    *port = (uint16_t)value;
    return 0;
}

int config_parse_endpoint(const char *text, struct config_endpoint *endpoint)
{
    struct config_endpoint e = {0};
    const char *port = NULL;
    int rc;
    if (*text == '[') {
        const char *end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return -EINVAL;
        rc = parse_address(text + 1, (size_t)(end - text - 1), &e.address);
        if (!rc && !e.address.is_ipv6)
            return -EINVAL;
        port = end[1] ? end + 2 : NULL;
    } else {
        // One colon: address and port. More: an IPv6 address alone, since with a port it needs brackets.
        const char *colon = strchr(text, ':');
        bool has_port = colon && !strchr(colon + 1, ':');
        rc = parse_address(text, has_port ? (size_t)(colon - text) : strlen(text), &e.address);
        port = has_port ? colon + 1 : NULL;
    }
    if (!rc && port)
        rc = parse_port(port, &e.port);
    if (rc)
        return rc;
    *endpoint = e;
    return 0;
}

int config_parse_prefix(const char *text, struct config_prefix *prefix)
{
    struct config_prefix p = {0};
    const char *slash = strchr(text, '/');
    int rc = parse_address(text, slash ? (size_t)(slash - text) : strlen(text), &p.address);
    if (rc)
        return rc;
    uint64_t bits = p.address.is_ipv6 ? 128 : 32;
    if (slash) {
        const char *number = slash + 1;
        unsigned digits;
        uint64_t len;
        if (!take_number(&number, &len, &digits) || *number || digits > 3)
            return -EINVAL;
        if (len > bits)
            return -ERANGE;
        bits = len;
    }
    for (uint64_t bit = bits; bit < (p.address.is_ipv6 ? 128 : 32); bit++)
        if (p.address.address[bit / 8] >> (7 - bit % 8) & 1)
            return -EINVAL;
    p.prefix_len = (uint8_t)bits;
    *prefix = p;
    return 0;
}

char *config_address_text(const struct config_address *address, char out[CONFIG_ADDRESS_TEXT_CAP])
{
    out[0] = 0;
    if (address->is_set)
        inet_ntop(address->is_ipv6 ? AF_INET6 : AF_INET, address->address, out, CONFIG_ADDRESS_TEXT_CAP);
    return out;
}

char *config_endpoint_text(const struct config_endpoint *endpoint, char out[CONFIG_ENDPOINT_TEXT_CAP])
{
    char address[CONFIG_ADDRESS_TEXT_CAP];
    config_address_text(&endpoint->address, address);
    if (endpoint->port == 0)
        snprintf(out, CONFIG_ENDPOINT_TEXT_CAP, "%s", address);
    else
        snprintf(out, CONFIG_ENDPOINT_TEXT_CAP, endpoint->address.is_ipv6 ? "[%s]:%u" : "%s:%u", address,
                 (unsigned)endpoint->port);
    return out;
}

socklen_t config_socket_address(const struct config_address *address, uint16_t port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (address->is_ipv6) {
        struct sockaddr_in6 *to = (struct sockaddr_in6 *)out;
        to->sin6_family = AF_INET6;
        to->sin6_port = htons(port);
        memcpy(&to->sin6_addr, address->address, 16);
        return sizeof *to;
    }
    struct sockaddr_in *to = (struct sockaddr_in *)out;
    to->sin_family = AF_INET;
    to->sin_port = htons(port);
    memcpy(&to->sin_addr, address->address, 4);
    return sizeof *to;
}

char *config_duration_text(uint64_t ns, char *out, size_t cap)
{
    if (ns == 0) {
        snprintf(out, cap, "0");
        return out;
    }
    for (size_t i = sizeof(duration_units) / sizeof(duration_units[0]); i-- > 0;)
        if (ns % duration_units[i].factor == 0) {
            snprintf(out, cap, "%llu%s", (unsigned long long)(ns / duration_units[i].factor), duration_units[i].name);
            break;
        }
    return out;
}

bool config_address_equal(const struct config_address *a, const struct config_address *b)
{
    return a->is_set == b->is_set && a->is_ipv6 == b->is_ipv6 && memcmp(a->address, b->address, 16) == 0;
}
