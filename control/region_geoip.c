// SPDX-License-Identifier: Apache-2.0
#include "control/region_geoip.h"

#include <assert.h>
#include <errno.h>
#include <maxminddb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/nearest.h"

enum { KEY_CAP = 16, TREE_DEPTH_MAX = 128, RECORDS_BAD_MAX = 1000, PLACES = 4096 };

// A code ("continent EU", "country DE", "subdivision US-CA", "AS 64496") and the region that names it.
struct code {
    char key[KEY_CAP]; // one letter for the kind, then the code
    uint16_t region;
};

struct codes {
    struct code *code;
    size_t count;
};

// Networks share the records of their places: what a record's place came to is kept.
struct places {
    struct nearest nearest;
    unsigned first_region; // of class 0
    struct {
        uint32_t record; // 0: none
        uint16_t region;
    } known[PLACES];
};

struct walk {
    MMDB_s db, *asn; // `asn` null: this walk is the one over autonomous systems, or there are none
    struct codes codes;
    const void *configured; // region map of what the configuration itself says, which wins; null: nothing
    struct places *places;  // null: the distance does not count
    struct region_list *list;
    size_t first; // of this walk in the list
    unsigned bad_records;
};

static int compare_codes(const void *a, const void *b)
{
    return strcmp(((const struct code *)a)->key, ((const struct code *)b)->key);
}

static void add_code(struct codes *codes, char kind, const char *text, unsigned region)
{
    struct code *c = &codes->code[codes->count++];
    snprintf(c->key, sizeof c->key, "%c%s", kind, text);
    c->region = (uint16_t)(region + 1);
}

static int collect_codes(struct codes *codes, const struct config *config)
{
    size_t cap = 1;
    for (unsigned i = 0; i < config->region_count; i++) {
        const struct config_region *r = &config->regions[i];
        cap += r->country_count + r->subdivision_count + r->continent_count + r->asn_count;
    }
    codes->code = calloc(cap, sizeof *codes->code);
    if (!codes->code)
        return -ENOMEM;
    for (unsigned i = 0; i < config->region_count; i++) {
        const struct config_region *r = &config->regions[i];
        char asn[12];
        for (unsigned k = 0; k < r->continent_count; k++)
            add_code(codes, 'K', r->continents[k], i);
        for (unsigned k = 0; k < r->country_count; k++)
            add_code(codes, 'C', r->countries[k], i);
        for (unsigned k = 0; k < r->subdivision_count; k++)
            add_code(codes, 'S', r->subdivisions[k], i);
        for (unsigned k = 0; k < r->asn_count; k++) {
            snprintf(asn, sizeof asn, "%u", r->asns[k]);
            add_code(codes, 'A', asn, i);
        }
    }
    qsort(codes->code, codes->count, sizeof *codes->code, compare_codes);
    return 0;
}

// Region of a code, or REGION_UNKNOWN.
static uint16_t find_code(const struct codes *codes, char kind, const char *text)
{
    struct code key;
    snprintf(key.key, sizeof key.key, "%c%s", kind, text);
    const struct code *found = bsearch(&key, codes->code, codes->count, sizeof key, compare_codes);
    return found ? found->region : REGION_UNKNOWN;
}

static bool get_text(MMDB_entry_s *entry, char *out, size_t cap, const char *const *path)
{
    MMDB_entry_data_s data;
    if (MMDB_aget_value(entry, &data, path) != MMDB_SUCCESS || !data.has_data ||
        data.type != MMDB_DATA_TYPE_UTF8_STRING || data.data_size == 0 || data.data_size >= cap)
        return false;
    memcpy(out, data.utf8_string, data.data_size);
    out[data.data_size] = 0;
    return true;
}

static uint16_t region_by_place(const struct walk *w, MMDB_entry_s *entry)
{
    char country[4], part[4], both[8], continent[4];
    uint16_t region = REGION_UNKNOWN;
    const bool has_country = get_text(entry, country, sizeof country, (const char *[]){"country", "iso_code", NULL});
    if (has_country && get_text(entry, part, sizeof part, (const char *[]){"subdivisions", "0", "iso_code", NULL})) {
        snprintf(both, sizeof both, "%s-%s", country, part);
        region = find_code(&w->codes, 'S', both);
    }
    if (!region && has_country)
        region = find_code(&w->codes, 'C', country);
    if (!region && get_text(entry, continent, sizeof continent, (const char *[]){"continent", "code", NULL}))
        region = find_code(&w->codes, 'K', continent);
    return region;
}

static uint16_t region_by_asn(const struct walk *w, MMDB_entry_s *entry)
{
    MMDB_entry_data_s data;
    char text[12];
    if (MMDB_get_value(entry, &data, "autonomous_system_number", NULL) != MMDB_SUCCESS || !data.has_data ||
        data.type != MMDB_DATA_TYPE_UINT32)
        return REGION_UNKNOWN;
    snprintf(text, sizeof text, "%u", data.uint32);
    return find_code(&w->codes, 'A', text);
}

static bool get_degrees(MMDB_entry_s *entry, const char *key, double limit, double *degrees)
{
    MMDB_entry_data_s data;
    if (MMDB_get_value(entry, &data, "location", key, NULL) != MMDB_SUCCESS || !data.has_data ||
        data.type != MMDB_DATA_TYPE_DOUBLE)
        return false;
    *degrees = data.double_value;
    return *degrees >= -limit && *degrees <= limit; // no infinity, and nothing that is no number
}

static uint16_t region_by_distance(const struct walk *w, MMDB_entry_s *entry)
{
    double latitude, longitude;
    struct places *p = w->places;
    if (!p)
        return REGION_UNKNOWN;
    const unsigned at = entry->offset * 2654435761u >> 20;
    static_assert(PLACES == 1 << 12, "the upper bits of a 32-bit hash");
    if (p->known[at].record == entry->offset && entry->offset)
        return p->known[at].region;
    p->known[at].record = entry->offset;
    p->known[at].region = REGION_UNKNOWN;
    if (get_degrees(entry, "latitude", 90, &latitude) && get_degrees(entry, "longitude", 180, &longitude))
        p->known[at].region = (uint16_t)(p->first_region + nearest_find(&p->nearest, latitude, longitude));
    return p->known[at].region;
}

// An autonomous system that covers the whole network wins over its place.
static uint16_t region_by_covering_asn(const struct walk *w, const struct region_prefix *p)
{
    struct sockaddr_storage address = {0};
    if (p->is_ipv6) {
        struct sockaddr_in6 *to = (struct sockaddr_in6 *)&address;
        to->sin6_family = AF_INET6;
        memcpy(&to->sin6_addr, p->address, 16);
    } else {
        struct sockaddr_in *to = (struct sockaddr_in *)&address;
        to->sin_family = AF_INET;
        memcpy(&to->sin_addr, p->address, 4);
    }
    int error;
    MMDB_lookup_result_s found = MMDB_lookup_sockaddr(w->asn, (struct sockaddr *)&address, &error);
    if (error != MMDB_SUCCESS || !found.found_entry)
        return REGION_UNKNOWN;
    const bool is_v4_in_v6 = !p->is_ipv6 && w->asn->metadata.ip_version == 6;
    const int mask = found.netmask - (is_v4_in_v6 && found.netmask >= 96 ? 96 : 0);
    return mask <= p->prefix_len ? region_by_asn(w, &found.entry) : REGION_UNKNOWN;
}

static bool is_configured(const struct walk *w, const struct region_prefix *p)
{
    if (!w->configured)
        return false;
    const struct region_match m =
        p->is_ipv6 ? region_map_find_ipv6(w->configured, p->address) : region_map_find_ipv4(w->configured, p->address);
    return m.region != REGION_UNKNOWN && m.scope_len <= p->prefix_len;
}

static bool are_halves(const struct region_prefix *a, const struct region_prefix *b)
{
    if (a->region != b->region || a->is_ipv6 != b->is_ipv6 || a->prefix_len != b->prefix_len || a->prefix_len == 0)
        return false;
    uint8_t other[16];
    memcpy(other, a->address, sizeof other);
    other[(a->prefix_len - 1) / 8] ^= (uint8_t)(0x80 >> (a->prefix_len - 1) % 8);
    return memcmp(other, b->address, sizeof other) == 0;
}

// Two halves of one region are one network: the walk meets them one after the other. Millions of cities become the few
// thousand networks that make a difference.
static void join_halves(struct region_list *list, size_t first)
{
    while (list->count >= first + 2 && are_halves(&list->prefix[list->count - 2], &list->prefix[list->count - 1])) {
        struct region_prefix *whole = &list->prefix[--list->count - 1];
        whole->prefix_len--;
        whole->address[whole->prefix_len / 8] &= (uint8_t) ~(0x80 >> whole->prefix_len % 8);
    }
}

static int add_network(struct walk *w, const uint8_t address[16], unsigned depth, bool is_ipv4, MMDB_entry_s *entry)
{
    struct region_prefix p = {.is_ipv6 = !is_ipv4, .prefix_len = (uint8_t)(is_ipv4 ? depth - 96 : depth)};
    memcpy(p.address, is_ipv4 ? address + 12 : address, is_ipv4 ? 4 : 16);
    if (w->asn)
        p.region = region_by_covering_asn(w, &p);
    if (!p.region)
        p.region = region_by_place(w, entry);
    if (!p.region)
        p.region = region_by_asn(w, entry);
    if (!p.region)
        p.region = region_by_distance(w, entry);
    if (!p.region || is_configured(w, &p))
        return 0;
    const int rc = region_list_add(w->list, &p);
    if (rc == 0)
        join_halves(w->list, w->first);
    return rc;
}

struct position {
    uint32_t node;
    uint8_t depth; // bits of the address that led here
    uint8_t address[16];
};

// One of the two branches below a node. Pushes what is to be searched.
static int take_branch(struct walk *w, const struct position *at, unsigned bit, uint64_t value, uint8_t type,
                       MMDB_entry_s *entry, struct position *stack, unsigned *count)
{
    struct position next = *at;
    if (at->depth >= TREE_DEPTH_MAX)
        return 0;
    next.address[at->depth / 8] |= (uint8_t)(bit << (7 - at->depth % 8));
    next.depth++;
    static const uint8_t zero[12];
    const bool is_ipv4 = next.depth >= 96 && memcmp(next.address, zero, sizeof zero) == 0;
    if (type == MMDB_RECORD_TYPE_DATA)
        return add_network(w, next.address, next.depth, is_ipv4, entry);
    if (type == MMDB_RECORD_TYPE_INVALID)
        w->bad_records++;
    // The IPv4 tree also hangs below ::ffff:0:0/96, 2002::/16 and others: one time is enough.
    const bool is_alias = value == w->db.ipv4_start_node.node_value && w->db.ipv4_start_node.netmask && !is_ipv4;
    if (type == MMDB_RECORD_TYPE_SEARCH_NODE && !is_alias && *count < TREE_DEPTH_MAX + 2) {
        next.node = (uint32_t)value;
        stack[(*count)++] = next;
    }
    return 0;
}

// Depth first, without recursion; a damaged tree cannot make it longer than its own node count.
static int walk_tree(struct walk *w)
{
    struct position stack[TREE_DEPTH_MAX + 2] = {{0}};
    unsigned count = 1;
    int rc = 0;
    if (w->db.metadata.ip_version == 4)
        stack[0].depth = 96;
    for (uint64_t steps = 0; rc == 0 && count > 0 && steps <= w->db.metadata.node_count; steps++) {
        const struct position at = stack[--count];
        MMDB_search_node_s node;
        if (MMDB_read_node(&w->db, at.node, &node) != MMDB_SUCCESS) {
            w->bad_records++;
            continue;
        }
        rc = take_branch(w, &at, 1, node.right_record, node.right_record_type, &node.right_record_entry, stack, &count);
        if (rc == 0)
            rc =
                take_branch(w, &at, 0, node.left_record, node.left_record_type, &node.left_record_entry, stack, &count);
    }
    return rc ? rc : (w->bad_records > RECORDS_BAD_MAX ? -EINVAL : 0);
}

static int open_database(MMDB_s *db, const char *path, struct config_errors *errors)
{
    const int status = MMDB_open(path, MMDB_MODE_MMAP, db);
    if (status == MMDB_SUCCESS)
        return 0;
    config_errors_add(errors, CONFIG_ERROR, path, 0, "geoip", NULL, "not a usable MaxMind database: %s",
                      MMDB_strerror(status));
    return -EINVAL;
}

static int walk_database(struct walk *w, const char *path, struct config_errors *errors)
{
    int rc = open_database(&w->db, path, errors);
    if (rc)
        return rc;
    w->first = w->list->count;
    rc = walk_tree(w);
    MMDB_close(&w->db);
    if (rc == -EINVAL || w->bad_records)
        config_errors_add(errors, rc ? CONFIG_ERROR : CONFIG_WARNING, path, 0, "geoip", NULL,
                          "%u damaged records in the database", w->bad_records);
    w->bad_records = 0;
    return rc;
}

// What the configuration itself says, as a map. Null when it says nothing or memory is short (then nothing is hidden).
static void *configured_map(const struct config *config)
{
    size_t count = 0, len;
    for (unsigned i = 0; i < config->region_count; i++)
        count += config->regions[i].prefix_count;
    struct region_prefix *prefix = count ? calloc(count, sizeof *prefix) : NULL;
    void *map = NULL;
    if (!prefix)
        return NULL;
    count = 0;
    for (unsigned i = 0; i < config->region_count; i++)
        for (unsigned k = 0; k < config->regions[i].prefix_count; k++) {
            const struct config_prefix *from = &config->regions[i].prefixes[k];
            prefix[count] = (struct region_prefix){
                .is_ipv6 = from->address.is_ipv6, .prefix_len = from->prefix_len, .region = (uint16_t)(i + 1)};
            memcpy(prefix[count++].address, from->address.address, 16);
        }
    if (region_map_build(prefix, count, &map, &len) < 0)
        map = NULL;
    free(prefix);
    return map;
}

static int find_places(struct walk *w, const struct config *config)
{
    if (config->geoip.nearest_count == 0)
        return 0;
    w->places = calloc(1, sizeof *w->places);
    if (!w->places)
        return -ENOMEM;
    nearest_init(&w->places->nearest, config);
    w->places->first_region = config->geoip.nearest_at + 1;
    return w->places->nearest.class_count == config->geoip.nearest_count ? 0 : -EINVAL; // from the same coordinates
}

int region_geoip_add(struct region_list *list, const struct config *config, struct config_errors *errors)
{
    const char *file = config->geoip.file, *asn_file = config->geoip.asn_file;
    const bool has_file = file && file[0], has_asn = asn_file && asn_file[0];
    if (!has_file && !has_asn)
        return 0;
    struct walk w = {.list = list, .configured = configured_map(config)};
    int rc = collect_codes(&w.codes, config);
    MMDB_s asn;
    rc = rc ? rc : find_places(&w, config);
    if (rc == 0 && has_asn && has_file) {
        rc = open_database(&asn, asn_file, errors);
        w.asn = rc ? NULL : &asn;
    }
    if (rc == 0 && has_file)
        rc = walk_database(&w, file, errors);
    if (w.asn)
        MMDB_close(w.asn);
    w.asn = NULL;
    if (rc == 0 && has_asn)
        rc = walk_database(&w, asn_file, errors);
    free(w.codes.code);
    free((void *)w.configured);
    free(w.places);
    return rc;
}
