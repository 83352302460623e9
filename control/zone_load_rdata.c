// SPDX-License-Identifier: Apache-2.0
#include "control/zone_load_rdata.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ldns/ldns.h>

enum { FIELDS_MAX = 16 }; // of the types that ldns knows at most 9 have a fixed place

enum { TYPE_SVCB = 64, TYPE_HTTPS = 65, SVC_KEY_MANDATORY = 0, SVC_KEY_ALPN = 1, SVC_KEY_NO_DEFAULT_ALPN = 2 };

struct zone_rdata {
    size_t text_len;
    char text[ZONE_RECORD_TEXT_MAX + 64]; // "x. 0 IN MX 10 mail.example.com."
    uint8_t wire[ZONE_RDATA_MAX];
    ldns_rdf *origin; // copy of the last origin
    // Names of the record by field, read here: ldns is given "." for each and its root replaced, because it keeps
    // quotes in names and takes every name whose first label is "@" for the origin.
    uint8_t name[FIELDS_MAX][NAME_MAX_LEN];
    unsigned name_len[FIELDS_MAX]; // 0: not a name
};

struct zone_rdata *zone_rdata_new(void)
{
    return calloc(1, sizeof(struct zone_rdata));
}

void zone_rdata_free(struct zone_rdata *z)
{
    if (!z)
        return;
    ldns_rdf_deep_free(z->origin);
    free(z);
}

static int refuse(char why[ZONE_WHY_CAP], const char *format, ...) __attribute__((format(printf, 2, 3)));
static int refuse(char why[ZONE_WHY_CAP], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, ZONE_WHY_CAP, format, args);
    va_end(args);
    return -EINVAL;
}

// A token as messages show it.
#define SHOWN(token) (int)((token)->len < 80 ? (token)->len : 80), (token)->text

// ---- names, numbers, types ----

static bool is_absolute(const struct zone_token *t)
{
    unsigned backslashes = 0;
    if (t->len == 0 || t->text[t->len - 1] != '.')
        return false;
    for (unsigned i = t->len - 1; i > 0 && t->text[i - 1] == '\\'; i--)
        backslashes++;
    return backslashes % 2 == 0;
}

int zone_name_parse(const struct zone_token *token, const uint8_t *origin, uint8_t out[NAME_MAX_LEN],
                    char why[ZONE_WHY_CAP])
{
    char text[NAME_TEXT_CAP + 4];
    if (token->is_quoted || token->len == 0)
        return refuse(why, "%.*s is not a name", SHOWN(token));
    if (token->len == 1 && *token->text == '@') {
        if (!origin)
            return refuse(why, "\"@\" without an origin; give $ORIGIN first");
        int len = name_check(origin, NAME_MAX_LEN, NULL);
        memcpy(out, origin, (size_t)len);
        return len;
    }
    if (token->len >= sizeof(text))
        return refuse(why, "%.*s... is longer than a name can be", SHOWN(token));
    memcpy(text, token->text, token->len);
    text[token->len] = 0;
    int len = name_from_text(out, text);
    if (len < 0)
        return refuse(why, "%.*s is not a name (labels of 1 to 63 octets, 255 octets in all)", SHOWN(token));
    if (is_absolute(token))
        return len;
    if (!origin)
        return refuse(why, "%.*s is relative, and there is no origin", SHOWN(token));
    int origin_len = name_check(origin, NAME_MAX_LEN, NULL);
    if (len - 1 + origin_len > NAME_MAX_LEN)
        return refuse(why, "%.*s becomes longer than 255 octets with the origin behind it", SHOWN(token));
    memcpy(out + len - 1, origin, (size_t)origin_len);
    return len - 1 + origin_len;
}

static uint32_t ttl_unit(char c)
{
    switch (tolower((unsigned char)c)) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return 604800;
    default:
        return 0;
    }
}

int zone_ttl_parse(const struct zone_token *token, uint32_t *ttl)
{
    uint64_t total = 0;
    unsigned i = 0;
    if (token->is_quoted || token->len == 0 || token->len > 30)
        return -EINVAL;
    while (i < token->len) {
        uint64_t part = 0;
        unsigned digits = 0;
        for (; i < token->len && isdigit((unsigned char)token->text[i]); i++, digits++) {
            part = part * 10 + (uint64_t)(token->text[i] - '0');
            if (part > UINT32_MAX)
                return -ERANGE;
        }
        if (digits == 0)
            return -EINVAL;
        uint32_t unit = i < token->len ? ttl_unit(token->text[i++]) : 1;
        if (unit == 0)
            return -EINVAL;
        total += part * unit; // both below 2^32, and at most 15 parts
    }
    if (total > INT32_MAX)
        return -ERANGE;
    *ttl = (uint32_t)total;
    return 0;
}

// Digits alone, at most `max`.
static bool parse_number(const char *text, unsigned len, uint64_t max, uint64_t *number)
{
    uint64_t n = 0;
    if (len == 0 || len > 10)
        return false;
    for (unsigned i = 0; i < len; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        n = n * 10 + (uint64_t)(text[i] - '0');
    }
    *number = n;
    return n <= max;
}

int zone_type_parse(const struct zone_token *token)
{
    char name[32];
    uint64_t number;
    if (token->is_quoted || token->len == 0 || token->len >= sizeof(name))
        return -EINVAL;
    memcpy(name, token->text, token->len);
    name[token->len] = 0;
    if (strncasecmp(name, "TYPE", 4) == 0 && isdigit((unsigned char)name[4]))
        return parse_number(name + 4, token->len - 4, 65535, &number) ? (int)number : -EINVAL;
    const ldns_rr_type type = ldns_get_rr_type_by_name(name);
    return type == 0 ? -EINVAL : (int)type;
}

bool zone_type_is_meta(uint16_t type)
{
    return type == 0 || type == LDNS_RR_TYPE_OPT || (type >= 128 && type <= 255) || type == 65535;
}

// ---- RFC 3597: \# length hex ... ----

static int hex_value(char c)
{
    if (isdigit((unsigned char)c))
        return c - '0';
    const int lower = tolower((unsigned char)c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static int parse_opaque(struct zone_rdata *z, const struct zone_token *token, unsigned count, size_t *len,
                        char why[ZONE_WHY_CAP])
{
    uint64_t want;
    size_t digits = 0;
    if (count < 1 || !parse_number(token[0].text, token[0].len, ZONE_RDATA_MAX, &want))
        return refuse(why, "behind \\# a length of 0 to 65535 must follow");
    for (unsigned i = 1; i < count; i++)
        for (unsigned k = 0; k < token[i].len; k++, digits++) {
            const int value = hex_value(token[i].text[k]);
            if (value < 0)
                return refuse(why, "%.*s is not hexadecimal", SHOWN(&token[i]));
            if (digits / 2 >= want)
                return refuse(why, "more data than the %u octets announced", (unsigned)want);
            uint8_t *to = &z->wire[digits / 2];
            *to = (uint8_t)(digits % 2 ? *to | value : value << 4);
        }
    if (digits != 2 * want)
        return refuse(why, "%zu hexadecimal digits for the %u octets announced", digits, (unsigned)want);
    *len = want;
    return 0;
}

// Opaque data of a type that ldns knows must be what ldns would write.
static int check_opaque(struct zone_rdata *z, uint16_t type, size_t len, char why[ZONE_WHY_CAP])
{
    const ldns_rr_descriptor *d = ldns_rr_descript(type);
    if (!d || ldns_rr_descriptor_field_type(d, 0) == LDNS_RDF_TYPE_UNKNOWN)
        return 0;
    ldns_rr *rr = ldns_rr_new();
    ldns_buffer *packet = ldns_buffer_new(len + 2), *again = ldns_buffer_new(len + 512);
    int rc = rr && packet && again ? 0 : -ENOMEM;
    size_t at = 0;
    if (!rc) {
        ldns_rr_set_type(rr, type);
        ldns_buffer_write_u16(packet, (uint16_t)len);
        ldns_buffer_write(packet, z->wire, len);
        bool is_same = ldns_wire2rdf(rr, ldns_buffer_begin(packet), len + 2, &at) == LDNS_STATUS_OK && at == len + 2;
        for (size_t i = 0; is_same && i < ldns_rr_rd_count(rr); i++)
            is_same = ldns_rdf2buffer_wire(again, ldns_rr_rdf(rr, i)) == LDNS_STATUS_OK;
        is_same = is_same && ldns_buffer_position(again) == len && memcmp(ldns_buffer_begin(again), z->wire, len) == 0;
        if (!is_same)
            rc = refuse(why, "these octets are no data of this type");
    }
    ldns_rr_free(rr);
    ldns_buffer_free(packet);
    ldns_buffer_free(again);
    return rc;
}

// ---- text for ldns ----

static bool add_text(struct zone_rdata *z, const char *text, size_t len)
{
    if (z->text_len + len + 2 > sizeof(z->text))
        return false;
    z->text[z->text_len++] = ' ';
    memcpy(z->text + z->text_len, text, len);
    z->text_len += len;
    z->text[z->text_len] = 0;
    return true;
}

static int check_integer(const struct zone_token *t, uint64_t max, char why[ZONE_WHY_CAP])
{
    uint64_t number;
    if (!t->is_quoted && parse_number(t->text, t->len, max, &number))
        return 0;
    return refuse(why, "%.*s is not a number from 0 to %llu", SHOWN(t), (unsigned long long)max);
}

static int check_hex(const struct zone_token *t, unsigned count, char why[ZONE_WHY_CAP])
{
    size_t digits = 0;
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < t[i].len; k++, digits++)
            if (hex_value(t[i].text[k]) < 0)
                return refuse(why, "%.*s is not hexadecimal", SHOWN(&t[i]));
    return digits % 2 ? refuse(why, "an odd number of hexadecimal digits") : 0;
}

enum field_step { FIELD_TAKEN, FIELD_LAST, FIELD_BAD }; // LAST: it and what follows go to ldns as they are

// Writes field number `at` when its type takes exactly one token.
static enum field_step add_field(struct zone_rdata *z, unsigned at, ldns_rdf_type field, const struct zone_token *t,
                                 unsigned count, const uint8_t *origin, bool *fits, char why[ZONE_WHY_CAP])
{
    char text[16];
    uint32_t seconds;
    int rc = 0;
    switch ((int)field) { // ldns has more types than matter here
    case LDNS_RDF_TYPE_DNAME:
        rc = zone_name_parse(t, origin, z->name[at], why);
        z->name_len[at] = rc < 0 ? 0 : (unsigned)rc;
        *fits = add_text(z, ".", 1);
        return rc < 0 ? FIELD_BAD : FIELD_TAKEN;
    case LDNS_RDF_TYPE_PERIOD:
        if (zone_ttl_parse(t, &seconds) < 0) {
            refuse(why, "%.*s is not a time from 0 to 2147483647 seconds", SHOWN(t));
            return FIELD_BAD;
        }
        snprintf(text, sizeof(text), "%u", seconds);
        *fits = add_text(z, text, strlen(text));
        return FIELD_TAKEN;
    case LDNS_RDF_TYPE_INT8:
        rc = check_integer(t, UINT8_MAX, why);
        break;
    case LDNS_RDF_TYPE_INT16:
        rc = check_integer(t, UINT16_MAX, why);
        break;
    case LDNS_RDF_TYPE_INT32:
        rc = check_integer(t, UINT32_MAX, why);
        break;
    case LDNS_RDF_TYPE_HEX:
        return check_hex(t, count, why) < 0 ? FIELD_BAD : FIELD_LAST;
    case LDNS_RDF_TYPE_A:
    case LDNS_RDF_TYPE_AAAA:
    case LDNS_RDF_TYPE_STR:
    case LDNS_RDF_TYPE_TAG:
    case LDNS_RDF_TYPE_TYPE:
    case LDNS_RDF_TYPE_ALG:
    case LDNS_RDF_TYPE_CERT_ALG:
    case LDNS_RDF_TYPE_TIME:
    case LDNS_RDF_TYPE_CERTIFICATE_USAGE:
    case LDNS_RDF_TYPE_SELECTOR:
    case LDNS_RDF_TYPE_MATCHING_TYPE:
        break;
    default:
        return FIELD_LAST;
    }
    if (rc < 0)
        return FIELD_BAD;
    *fits = add_text(z, t->text, t->len);
    return FIELD_TAKEN;
}

static int write_text(struct zone_rdata *z, uint16_t type, const struct zone_token *name,
                      const struct zone_token *token, unsigned count, const uint8_t *origin, char why[ZONE_WHY_CAP])
{
    const ldns_rr_descriptor *d = ldns_rr_descript(type);
    const size_t fields = ldns_rr_descriptor_minimum(d);
    bool fits = true;
    unsigned i = 0;
    memset(z->name_len, 0, sizeof(z->name_len));
    z->text_len = (size_t)snprintf(z->text, sizeof(z->text), "x. 0 IN %.*s", (int)name->len, name->text);
    for (; fits && i < count && i < fields && i < FIELDS_MAX; i++) {
        const enum field_step step =
            add_field(z, i, ldns_rr_descriptor_field_type(d, i), &token[i], count - i, origin, &fits, why);
        if (step == FIELD_BAD)
            return -EINVAL;
        if (step == FIELD_LAST)
            break;
    }
    for (; fits && i < count; i++)
        fits = add_text(z, token[i].text, token[i].len);
    if (!fits || z->text_len > ZONE_RECORD_TEXT_MAX)
        return refuse(why, "the record is longer than %d characters; write it as \\# and hexadecimal",
                      ZONE_RECORD_TEXT_MAX);
    return 0;
}

static int set_origin(struct zone_rdata *z, const uint8_t *origin)
{
    static const uint8_t root[1] = {0};
    origin = origin ? origin : root;
    const size_t len = (size_t)name_check(origin, NAME_MAX_LEN, NULL);
    if (z->origin && ldns_rdf_size(z->origin) == len && memcmp(ldns_rdf_data(z->origin), origin, len) == 0)
        return 0;
    ldns_rdf_deep_free(z->origin);
    z->origin = ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, len, origin);
    return z->origin ? 0 : -ENOMEM;
}

static int parse_known(struct zone_rdata *z, uint16_t type, const struct zone_token *name,
                       const struct zone_token *token, unsigned count, size_t *len, char why[ZONE_WHY_CAP])
{
    ldns_rr *rr = NULL;
    const ldns_status status = ldns_rr_new_frm_str(&rr, z->text, 0, z->origin, NULL);
    if (status == LDNS_STATUS_MEM_ERR)
        return -ENOMEM;
    if (status != LDNS_STATUS_OK || !rr) {
        ldns_rr_free(rr);
        if (count == 1 && ldns_rr_descriptor_minimum(ldns_rr_descript(type)) == 1)
            return refuse(why, "%.*s is no data of a record of type %.*s", SHOWN(token), SHOWN(name));
        const char *text = ldns_get_errorstr_by_id(status);
        return refuse(why, "the data are not those of a record of type %.*s (%s)", SHOWN(name), text ? text : "?");
    }
    int rc = 0;
    *len = 0;
    for (size_t i = 0; i < ldns_rr_rd_count(rr) && !rc; i++) {
        const ldns_rdf *f = ldns_rr_rdf(rr, i);
        const bool is_own = i < FIELDS_MAX && z->name_len[i] > 0;
        const size_t size = is_own ? z->name_len[i] : ldns_rdf_size(f);
        if (*len + size > ZONE_RDATA_MAX)
            rc = refuse(why, "the data are longer than 65535 octets");
        else if (size)
            memcpy(z->wire + *len, is_own ? z->name[i] : ldns_rdf_data(f), size);
        *len += rc ? 0 : size;
    }
    ldns_rr_free(rr);
    return rc;
}

// ---- SVCB and HTTPS (RFC 9460) ----

static uint16_t read_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

// A value of one of the registered keys.
static bool is_svc_value_good(uint16_t key, const uint8_t *value, size_t len)
{
    size_t at = 0;
    switch (key) {
    case SVC_KEY_MANDATORY: // section 8: sorted, each once, not itself
        for (; at + 2 <= len; at += 2)
            if (read_u16(value + at) == 0 || (at > 0 && read_u16(value + at) <= read_u16(value + at - 2)))
                return false;
        return len > 0 && at == len;
    case SVC_KEY_ALPN: // section 7.1: strings with a length before each, none empty
        while (at < len && value[at] > 0)
            at += value[at] + 1u;
        return len > 0 && at == len;
    case SVC_KEY_NO_DEFAULT_ALPN:
        return len == 0;
    case 3: // port
        return len == 2;
    case 4: // ipv4hint
        return len > 0 && len % 4 == 0;
    case 6: // ipv6hint
        return len > 0 && len % 16 == 0;
    default:
        return true;
    }
}

// Keys rise, values have their form, mandatory ones are there.
static int check_svc(const uint8_t *wire, size_t len, char why[ZONE_WHY_CAP])
{
    const int name_len = len > 2 ? name_check(wire + 2, len - 2, NULL) : -1;
    if (name_len < 0)
        return refuse(why, "the target is not a name");
    const uint8_t *mandatory = NULL;
    size_t mandatory_len = 0, mandatory_at = 0;
    long last = -1;
    bool has_alpn = false;
    for (size_t at = 2 + (size_t)name_len; at < len;) {
        if (len - at < 4 || len - at - 4 < read_u16(wire + at + 2))
            return refuse(why, "a parameter is cut short");
        const uint16_t key = read_u16(wire + at);
        const size_t size = read_u16(wire + at + 2);
        const uint8_t *value = wire + at + 4;
        if (key <= last)
            return refuse(why, "the parameter key%u stands there twice, or out of order", key);
        if (!is_svc_value_good(key, value, size))
            return refuse(why, "the value of the parameter key%u is malformed", key);
        if (key == SVC_KEY_NO_DEFAULT_ALPN && !has_alpn)
            return refuse(why, "no-default-alpn needs alpn");
        has_alpn = has_alpn || key == SVC_KEY_ALPN;
        if (key == SVC_KEY_MANDATORY) {
            mandatory = value;
            mandatory_len = size;
        }
        // Both lists rise, so one walk finds each mandatory key or shows that it is missing.
        if (mandatory && mandatory_at < mandatory_len && read_u16(mandatory + mandatory_at) == key)
            mandatory_at += 2;
        last = key;
        at += 4 + size;
    }
    if (mandatory_at < mandatory_len)
        return refuse(why, "key%u is mandatory but missing", read_u16(mandatory + mandatory_at));
    return 0;
}

// ---- all of it ----

int zone_rdata_parse(struct zone_rdata *z, uint16_t type, const struct zone_token *name, const struct zone_token *token,
                     unsigned count, const uint8_t *origin, const uint8_t **wire, uint16_t *len, char why[ZONE_WHY_CAP])
{
    size_t n = 0;
    int rc;
    if (count > 0 && token[0].len == 2 && memcmp(token[0].text, "\\#", 2) == 0) {
        rc = parse_opaque(z, token + 1, count - 1, &n, why);
        rc = rc ? rc : check_opaque(z, type, n, why);
    } else {
        const ldns_rr_descriptor *d = ldns_rr_descript(type);
        if (!d || ldns_rr_descriptor_field_type(d, 0) == LDNS_RDF_TYPE_UNKNOWN)
            return refuse(why, "data of type %.*s must be written as \\# LENGTH HEX (RFC 3597)", SHOWN(name));
        if (count == 0)
            return refuse(why, "the data are missing");
        rc = write_text(z, type, name, token, count, origin, why);
        rc = rc ? rc : set_origin(z, origin);
        rc = rc ? rc : parse_known(z, type, name, token, count, &n, why);
    }
    if (!rc && (type == TYPE_SVCB || type == TYPE_HTTPS))
        rc = check_svc(z->wire, n, why);
    *wire = z->wire;
    *len = (uint16_t)n;
    return rc;
}
