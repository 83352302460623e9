// SPDX-License-Identifier: Apache-2.0
// Checks across records: what every authoritative server refuses, and what operators want to be warned of.
#include <stdlib.h>
#include <string.h>

#include "table/order_image.h"
#include "table/zone_builder_private.h"

// Octets of a record set: with its question, an OPT record and its options it must fit a message over TCP.
enum { SET_MAX = 65535 - 512, RECORD_FRAME_LEN = 12 };

// Is record x before y: by type, then in the order of input.
static bool is_before(const struct zone_builder *b, uint32_t x, uint32_t y)
{
    return b->record[x].type != b->record[y].type ? b->record[x].type < b->record[y].type : x < y;
}

static uint32_t merge(struct zone_builder *b, uint32_t a, uint32_t c)
{
    uint32_t head = BUILDER_NONE, *tail = &head;
    while (a != BUILDER_NONE && c != BUILDER_NONE) {
        uint32_t *from = is_before(b, a, c) ? &a : &c;
        *tail = *from;
        tail = &b->record[*from].next;
        *from = *tail;
    }
    *tail = a != BUILDER_NONE ? a : c;
    return head;
}

// Merge sort, bottom up: bins[i] holds a sorted list of 2^i records.
static uint32_t sort_records(struct zone_builder *b, uint32_t first)
{
    uint32_t bins[32];
    memset(bins, 0xff, sizeof bins);
    while (first != BUILDER_NONE) {
        uint32_t list = first;
        first = b->record[first].next;
        b->record[list].next = BUILDER_NONE;
        unsigned i = 0;
        for (; i < 31 && bins[i] != BUILDER_NONE; i++) {
            list = merge(b, bins[i], list);
            bins[i] = BUILDER_NONE;
        }
        bins[i] = list;
    }
    uint32_t all = BUILDER_NONE;
    for (unsigned i = 0; i < 32; i++)
        if (bins[i] != BUILDER_NONE)
            all = all == BUILDER_NONE ? bins[i] : merge(b, bins[i], all);
    return all;
}

static bool is_same_rdata(const struct zone_builder *b, const struct builder_record *x, const struct builder_record *y)
{
    if (x->rdata_len != y->rdata_len)
        return false;
    int name_at = builder_rdata_name_at(x->type);
    if (name_at < 0 || x->type == TYPE_SOA || x->type == TYPE_SVCB || x->type == TYPE_HTTPS)
        return memcmp(builder_rdata(b, x), builder_rdata(b, y), x->rdata_len) == 0;
    return memcmp(builder_rdata(b, x), builder_rdata(b, y), (size_t)name_at) == 0 &&
           name_equal(builder_rdata(b, x) + name_at, builder_rdata(b, y) + name_at);
}

struct seen {
    uint64_t hash;
    uint32_t record;
    uint32_t order;
};

static int compare_seen(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static uint64_t rdata_hash(const struct zone_builder *b, const struct builder_record *record)
{
    uint64_t h = 0xcbf29ce484222325ull; // FNV-1a, folded so that names that differ in case meet
    const uint8_t *p = builder_rdata(b, record);
    for (unsigned i = 0; i < record->rdata_len; i++)
        h = (h ^ (p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32u : p[i])) * 0x100000001b3ull;
    return h;
}

// Drops equal records of one type (`count` of them from *link on) and evens their TTLs. Sorting keeps a set of
// thousands of records from costing the square of its size.
static void tidy_rrset(struct zone_builder *b, uint32_t node, uint32_t *link, uint32_t count)
{
    struct seen *seen = malloc(count * sizeof *seen);
    uint32_t ttl = UINT32_MAX, at = *link, dropped = 0;
    bool is_ttl_mixed = false;
    if (!seen) {
        builder_report(b, ZONE_ISSUE_ERROR, node, 0, "out of memory");
        return;
    }
    for (uint32_t i = 0; i < count; i++, at = b->record[at].next) {
        seen[i] = (struct seen){rdata_hash(b, &b->record[at]), at, i};
        is_ttl_mixed |= ttl != UINT32_MAX && ttl != b->record[at].ttl;
        ttl = b->record[at].ttl < ttl ? b->record[at].ttl : ttl;
    }
    const uint32_t after = at;
    const uint16_t type = b->record[*link].type;
    qsort(seen, count, sizeof *seen, compare_seen);
    uint8_t *is_equal = calloc(count, 1);
    for (uint32_t i = 1; is_equal && i < count; i++)
        is_equal[seen[i].order] = seen[i].hash == seen[i - 1].hash &&
                                  is_same_rdata(b, &b->record[seen[i].record], &b->record[seen[i - 1].record]);
    at = *link;
    for (uint32_t i = 0; i < count; i++) {
        struct builder_record *r = &b->record[at];
        at = r->next;
        r->ttl = ttl;
        if (is_equal && is_equal[i]) {
            dropped++;
            builder_report(b, ZONE_ISSUE_WARNING, node, r->number, "duplicate record of type %u ignored", type);
        } else {
            *link = (uint32_t)(r - b->record);
            link = &r->next;
        }
    }
    *link = after;
    if (is_ttl_mixed)
        builder_report(b, ZONE_ISSUE_WARNING, node, b->record[seen[0].record].number,
                       "records of type %u have differing TTLs; the least, %u, is used for all", type, ttl);
    free(seen);
    free(is_equal);
}

// What no message could carry is refused here, with the record's place, and not when the image is made.
static void check_set_size(struct zone_builder *b, uint32_t node, uint32_t first)
{
    const uint16_t type = b->record[first].type;
    uint64_t bytes = 0;
    for (uint32_t i = first; i != BUILDER_NONE && b->record[i].type == type; i = b->record[i].next)
        bytes += RECORD_FRAME_LEN + b->record[i].rdata_len + 1u;
    if (bytes > SET_MAX)
        builder_report(b, ZONE_ISSUE_ERROR, node, b->record[first].number,
                       "the records of type %u take %llu octets; a message has room for %d", type,
                       (unsigned long long)bytes, SET_MAX);
}

static void tidy_node(struct zone_builder *b, uint32_t node)
{
    struct builder_node *n = &b->node[node];
    n->first_record = sort_records(b, n->first_record);
    uint32_t *link = &n->first_record;
    while (*link != BUILDER_NONE) {
        const uint16_t type = b->record[*link].type;
        uint32_t count = 0;
        for (uint32_t i = *link; i != BUILDER_NONE && b->record[i].type == type; i = b->record[i].next)
            count++;
        if (count > 1)
            tidy_rrset(b, node, link, count);
        check_set_size(b, node, *link);
        while (*link != BUILDER_NONE && b->record[*link].type == type)
            link = &b->record[*link].next;
    }
}

static unsigned count_of(const struct zone_builder *b, const struct builder_node *node, uint16_t type)
{
    unsigned count = 0;
    for (uint32_t i = node->first_record; i != BUILDER_NONE; i = b->record[i].next)
        count += b->record[i].type == type;
    return count;
}

static void check_alias(struct zone_builder *b, uint32_t node)
{
    const struct builder_node *n = &b->node[node];
    const struct builder_record *cname = builder_rrset(b, n, TYPE_CNAME), *dname = builder_rrset(b, n, TYPE_DNAME);
    if (cname) {
        bool has_other = false; // RFC 1034 section 3.6.2; RFC 2181 section 10.1
        for (uint32_t i = n->first_record; i != BUILDER_NONE; i = b->record[i].next)
            has_other |=
                b->record[i].type != TYPE_CNAME && b->record[i].type != 46 && b->record[i].type != 47; // RRSIG, NSEC
        if (has_other || n->service >= 0)
            builder_report(b, ZONE_ISSUE_ERROR, node, cname->number, "a CNAME stands beside other data");
        if (count_of(b, n, TYPE_CNAME) > 1)
            builder_report(b, ZONE_ISSUE_ERROR, node, cname->number, "more than one CNAME");
    }
    if (dname && count_of(b, n, TYPE_DNAME) > 1) // RFC 6672 section 2.4
        builder_report(b, ZONE_ISSUE_ERROR, node, dname->number, "more than one DNAME");
}

static void check_node(struct zone_builder *b, uint32_t node)
{
    struct builder_node *n = &b->node[node];
    const struct builder_node *parent = n->parent == BUILDER_NONE ? NULL : &b->node[n->parent];
    const bool is_apex = n->flags & NODE_APEX;
    if (!is_apex && builder_rrset(b, n, TYPE_SOA))
        builder_report(b, ZONE_ISSUE_ERROR, node, builder_rrset(b, n, TYPE_SOA)->number, "SOA record below the apex");
    n->flags &= (uint16_t)(NODE_APEX | NODE_WILDCARD);
    n->cut = parent ? parent->cut : BUILDER_NONE;
    if (parent && parent->cut != BUILDER_NONE) {
        n->flags |= NODE_BELOW_CUT;
    } else if (!is_apex && builder_rrset(b, n, TYPE_NS)) {
        n->flags |= NODE_CUT;
        n->cut = node;
    }
    if (builder_rrset(b, n, TYPE_CNAME))
        n->flags |= NODE_CNAME;
    if (builder_rrset(b, n, TYPE_DNAME))
        n->flags |= NODE_DNAME;
    if (n->service >= 0)
        n->flags |= NODE_SERVICE;
    check_alias(b, node);
    if (parent && (parent->flags & NODE_DNAME)) // RFC 6672 section 2.4
        builder_report(b, ZONE_ISSUE_ERROR, node,
                       n->first_record == BUILDER_NONE ? 0 : b->record[n->first_record].number, "data below a DNAME");
    if (n->service >= 0 && n->cut != BUILDER_NONE)
        builder_report(b, ZONE_ISSUE_ERROR, node, 0, "a service lies at or below a delegation");
    if (n->service >= 0 && (builder_rrset(b, n, TYPE_A) || builder_rrset(b, n, TYPE_AAAA)))
        builder_report(b, ZONE_ISSUE_ERROR, node, 0,
                       "static addresses stand at the name of a service, which brings its own");
}

static void check_apex(struct zone_builder *b, uint32_t zone)
{
    uint32_t node = b->zone[zone].apex;
    const struct builder_node *apex = &b->node[node];
    unsigned soas = count_of(b, apex, TYPE_SOA);
    if (soas == 0)
        builder_report(b, ZONE_ISSUE_ERROR, node, 0, "the zone has no SOA record at its apex");
    else if (soas > 1)
        builder_report(b, ZONE_ISSUE_ERROR, node, builder_rrset(b, apex, TYPE_SOA)->number, "more than one SOA record");
    if (!builder_rrset(b, apex, TYPE_NS))
        builder_report(b, ZONE_ISSUE_WARNING, node, 0, "the zone has no NS record at its apex");
}

// Warnings about what NS and MX records point to.
static void check_targets(struct zone_builder *b, uint32_t node)
{
    const struct builder_node *n = &b->node[node];
    const struct builder_node *apex = &b->node[b->zone[n->zone].apex];
    for (uint32_t i = n->first_record; i != BUILDER_NONE; i = b->record[i].next) {
        const struct builder_record *r = &b->record[i];
        if (r->type != TYPE_NS && r->type != TYPE_MX)
            continue;
        uint8_t target[NAME_MAX_LEN];
        const uint8_t *rdata = builder_rdata(b, r) + builder_rdata_name_at(r->type);
        int len = name_check(rdata, NAME_MAX_LEN, NULL);
        if (len <= 1 || !name_is_at_or_below(rdata, (size_t)len, builder_name(b, apex), apex->name_len))
            continue;
        name_fold(target, rdata, (size_t)len);
        uint32_t at = builder_find(b, n->zone, target, (unsigned)len);
        const char *kind = r->type == TYPE_NS ? "NS" : "MX";
        if (at != BUILDER_NONE && builder_rrset(b, &b->node[at], TYPE_CNAME)) // RFC 2181 section 10.3
            builder_report(b, ZONE_ISSUE_WARNING, node, r->number, "%s points to a CNAME", kind);
        else if (r->type == TYPE_NS &&
                 (at == BUILDER_NONE || (!builder_rrset(b, &b->node[at], TYPE_A) &&
                                         !builder_rrset(b, &b->node[at], TYPE_AAAA) && b->node[at].service < 0)))
            builder_report(b, ZONE_ISSUE_WARNING, node, r->number,
                           "NS points to a name of this zone that has no address (missing glue)");
    }
}

// Hides what lies in the zones above this one at its apex; the closest of them has the delegation that answers for DS.
static void hide_at_apex(struct zone_builder *b, uint32_t zone)
{
    const struct builder_node *apex = &b->node[b->zone[zone].apex];
    const uint8_t *name = builder_name(b, apex);
    bool is_closest = true;
    for (unsigned at = 0; name[at] != 0;) {
        at += name[at] + 1u;
        const uint32_t above = builder_find_zone(b, name + at, apex->name_len - at);
        if (above == BUILDER_NONE)
            continue;
        const uint32_t covered = builder_find(b, above, name, apex->name_len);
        if (covered != BUILDER_NONE) {
            b->node[covered].is_hidden = 1;
            b->node[covered].is_parent_cut = is_closest;
            b->zone[zone].parent_cut = is_closest ? covered : b->zone[zone].parent_cut;
        }
        is_closest = false;
    }
}

// Nodes of a zone at or below the apex of another served zone are hidden by that zone (longest match).
static void hide_covered(struct zone_builder *b)
{
    for (uint32_t i = 0; i < b->node_count; i++) {
        b->node[i].is_hidden = b->zone[b->node[i].zone].is_dropped;
        b->node[i].is_parent_cut = 0;
    }
    for (uint32_t z = 0; z < b->zone_count; z++) {
        b->zone[z].parent_cut = BUILDER_NONE;
        if (!b->zone[z].is_dropped)
            hide_at_apex(b, z);
    }
    for (uint32_t i = 0; i < b->node_count; i++) // parents come before their children
        if (b->node[i].parent != BUILDER_NONE && b->node[b->node[i].parent].is_hidden)
            b->node[i].is_hidden = 1;
}

unsigned zone_builder_check(struct zone_builder *b)
{
    unsigned errors = 0;
    for (uint32_t i = 0; i < b->node_count; i++)
        if (!b->zone[b->node[i].zone].is_dropped && !b->is_checked)
            tidy_node(b, i);
    for (uint32_t i = 0; i < b->node_count && !b->is_checked; i++)
        if (!b->zone[b->node[i].zone].is_dropped)
            check_node(b, i);
    for (uint32_t i = 0; i < b->node_count && !b->is_checked; i++)
        if (!b->zone[b->node[i].zone].is_dropped)
            check_targets(b, i);
    for (uint32_t i = 0; i < b->zone_count; i++) {
        if (b->zone[i].is_dropped)
            continue;
        if (!b->is_checked)
            check_apex(b, i);
        errors += b->zone[i].errors;
    }
    hide_covered(b);
    b->is_checked = 1;
    return errors;
}
