// SPDX-License-Identifier: Apache-2.0
#include "dataplane/edns.h"

#include <string.h>

enum { ADDRESS_FAMILY_IPV4 = 1, ADDRESS_FAMILY_IPV6 = 2, OPTION_HEAD_LEN = 4, SUBNET_HEAD_LEN = 4 };

// RFC 7871 section 6: malformed means FORMERR. So does an address of a family that we do not know: neither its length
// nor its bits can be checked, and a reply without the option would be taken for one that holds for everybody (section
// 7.3). Without an address the family means nothing (section 7.1.2): it comes back as it came.
static bool parse_subnet(struct edns *e, const uint8_t *data, unsigned len)
{
    if (len < SUBNET_HEAD_LEN)
        return false;
    const unsigned family = (unsigned)(data[0] << 8 | data[1]), source_len = data[2], scope_len = data[3];
    const unsigned bytes = len - SUBNET_HEAD_LEN;
    const unsigned width = family == ADDRESS_FAMILY_IPV4 ? 32 : family == ADDRESS_FAMILY_IPV6 ? 128 : 0;
    if (scope_len != 0 || source_len > width || bytes != (source_len + 7) / 8)
        return false;
    if (source_len % 8 && (data[SUBNET_HEAD_LEN + bytes - 1] & (0xff >> source_len % 8)))
        return false; // bits past the prefix
    if (e->has_subnet)
        return true; // the first one counts
    e->has_subnet = true;
    e->is_subnet_last = e->has_cookie;
    e->subnet_family = (uint16_t)family;
    e->is_subnet_ipv6 = family == ADDRESS_FAMILY_IPV6;
    e->subnet_source_len = (uint8_t)source_len;
    memset(e->subnet, 0, sizeof e->subnet);
    memcpy(e->subnet, data + SUBNET_HEAD_LEN, bytes);
    return true;
}

// RFC 7873 section 5.2.2: other lengths mean FORMERR.
static bool parse_cookie(struct edns *e, const uint8_t *data, unsigned len)
{
    if (len != EDNS_COOKIE_CLIENT_LEN &&
        (len < EDNS_COOKIE_CLIENT_LEN + 8 || len > EDNS_COOKIE_CLIENT_LEN + EDNS_COOKIE_SERVER_MAX))
        return false;
    if (e->has_cookie)
        return true; // the first one counts
    e->has_cookie = true;
    memcpy(e->cookie_client, data, EDNS_COOKIE_CLIENT_LEN);
    e->cookie_server_len = (uint8_t)(len - EDNS_COOKIE_CLIENT_LEN);
    memcpy(e->cookie_server, data + EDNS_COOKIE_CLIENT_LEN, e->cookie_server_len);
    return true;
}

bool edns_parse(struct edns *e, uint16_t udp_size, uint32_t ttl, const uint8_t *options, unsigned len)
{
    e->is_present = true;
    e->udp_size = udp_size;
    e->version = (uint8_t)(ttl >> 16);
    e->wants_dnssec = ttl >> 15 & 1;
    unsigned at = 0;
    while (at < len) { // each round takes at least 4 octets
        if (len - at < OPTION_HEAD_LEN)
            return false;
        const unsigned code = (unsigned)(options[at] << 8 | options[at + 1]);
        const unsigned option_len = (unsigned)(options[at + 2] << 8 | options[at + 3]);
        const uint8_t *data = options + at + OPTION_HEAD_LEN;
        if (option_len > len - at - OPTION_HEAD_LEN)
            return false;
        bool is_good = true;
        if (code == EDNS_NSID)
            e->wants_nsid = true;
        else if (code == EDNS_CLIENT_SUBNET)
            is_good = parse_subnet(e, data, option_len);
        else if (code == EDNS_COOKIE)
            is_good = parse_cookie(e, data, option_len);
        else if (code == EDNS_KEEPALIVE)
            e->has_keepalive = true;
        if (!is_good)
            return false; // unknown options are ignored (RFC 6891 section 6.1.2)
        at += OPTION_HEAD_LEN + option_len;
    }
    return true;
}

static unsigned subnet_len(const struct edns *query)
{
    return SUBNET_HEAD_LEN + (query->subnet_source_len + 7u) / 8;
}

unsigned edns_response_len(const struct edns_response *r, const struct edns *query)
{
    unsigned len = EDNS_OPT_LEN;
    len += r->nsid_len ? (unsigned)OPTION_HEAD_LEN + r->nsid_len : 0u;
    len += r->has_subnet ? OPTION_HEAD_LEN + subnet_len(query) : 0u;
    len += r->has_cookie ? OPTION_HEAD_LEN + (unsigned)sizeof r->cookie : 0u;
    len += r->has_extended_error ? OPTION_HEAD_LEN + 2u : 0u;
    len += r->has_keepalive ? OPTION_HEAD_LEN + 2u : 0u;
    return len;
}

void edns_response_fit(struct edns_response *r, const struct edns *query, unsigned room)
{
    struct edns_response fitting = *r;
    fitting.has_extended_error = false;
    fitting.nsid_len = 0;
    if (edns_response_len(&fitting, query) > room)
        fitting.has_cookie = false;
    fitting.nsid_len = r->nsid_len;
    if (edns_response_len(&fitting, query) > room)
        fitting.nsid_len = 0;
    fitting.has_extended_error = r->has_extended_error;
    if (edns_response_len(&fitting, query) > room)
        fitting.has_extended_error = false;
    *r = fitting;
}

static void put_option(struct wire_writer *w, uint16_t code, unsigned len)
{
    wire_put_u16(w, code);
    wire_put_u16(w, (uint16_t)len);
}

static void put_subnet(struct wire_writer *w, const struct edns_response *r, const struct edns *query)
{
    if (!r->has_subnet)
        return;
    put_option(w, EDNS_CLIENT_SUBNET, subnet_len(query));
    wire_put_u16(w, query->subnet_family);
    wire_put_u8(w, query->subnet_source_len);
    wire_put_u8(w, r->subnet_scope_len);
    wire_put(w, query->subnet, subnet_len(query) - SUBNET_HEAD_LEN);
}

static void put_options(struct wire_writer *w, const struct edns_response *r, const struct edns *query)
{
    if (r->nsid_len) {
        put_option(w, EDNS_NSID, r->nsid_len);
        wire_put(w, r->nsid, r->nsid_len);
    }
    if (!query->is_subnet_last)
        put_subnet(w, r, query);
    if (r->has_cookie) {
        put_option(w, EDNS_COOKIE, sizeof r->cookie);
        wire_put(w, r->cookie, sizeof r->cookie);
    }
    if (query->is_subnet_last)
        put_subnet(w, r, query);
    if (r->has_extended_error) {
        put_option(w, EDNS_EXTENDED_ERROR, 2);
        wire_put_u16(w, r->extended_error);
    }
    if (r->has_keepalive) {
        put_option(w, EDNS_KEEPALIVE, 2);
        wire_put_u16(w, r->keepalive_ds);
    }
}

void edns_response_write(struct wire_writer *w, const struct edns_response *r, const struct edns *query)
{
    const unsigned len = edns_response_len(r, query) - EDNS_OPT_LEN;
    uint8_t *p = wire_reserve(w, EDNS_OPT_LEN);
    if (!p)
        return;
    p[0] = 0; // owner: the root
    p[1] = 0;
    p[2] = 41;
    p[3] = (uint8_t)(r->udp_size >> 8);
    p[4] = (uint8_t)r->udp_size;
    p[5] = (uint8_t)(r->rcode >> 4);
    p[6] = 0; // version
    p[7] = r->wants_dnssec ? 0x80 : 0;
    p[8] = 0;
    p[9] = (uint8_t)(len >> 8);
    p[10] = (uint8_t)len;
    if (len)
        put_options(w, r, query);
}
