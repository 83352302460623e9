// SPDX-License-Identifier: Apache-2.0
// After the second stage of the short way: names and types that are not there, and wildcards. What the closest encloser
// says by itself is answered: NXDOMAIN, NODATA, REFUSED, an address from a wildcard. Aliases, delegations and services
// are left to the plain way.
#ifdef __SSE4_1__
#include "dataplane/fast_stages.h"

#include "dataplane/query.h"
#include "dataplane/rate_limit.h"

// REFUSED has no records. Blocks behind a set are read.
static const struct {
    struct rrset set;
    uint8_t wire[IMAGE_TAIL];
} no_records = {{.wire_len = 0}, {0}};

// The name as the plain way's key; false when its octets are not labels up to its end.
static bool take_key(struct zone_key *key, const struct fast_query *q)
{
    unsigned at = 0;
    key->label_count = 0;
    while (q->name[at] != 0) { // each round takes an octet or more; a zero stands at name_len - 1, and none before
        if (q->name[at] > LABEL_MAX_LEN)
            return false;
        at += q->name[at] + 1u;
        if (at >= q->name_len)
            return false;
        key->label_count++;
    }
    memcpy(key->name, q->name, FAST_NAME_CAP);
    memset(key->name + q->name_len, 0, 16);
    key->len = q->name_len;
    return at + 1 == q->name_len;
}

// NXDOMAIN or NODATA: the zone's SOA (RFC 2308 section 3), its owner the apex inside of the question.
static void deny(struct fast_burst *b, struct fast_query *q, const struct zone_node *node, bool is_name_there)
{
    const struct zone_index *index = zone_image_index(b->zone_image);
    const struct zone_entry *zone = (const struct zone_entry *)image_at(b->zone_image, index->zone_at) + node->zone;
    const struct zone_node *apex = (const struct zone_node *)image_at(b->zone_image, zone->apex_at);
    q->apex_at = (uint16_t)(DNS_HEADER_LEN + q->name_len - apex->name_len);
    q->rcode = is_name_there ? RCODE_NOERROR : RCODE_NXDOMAIN;
    q->rate_class = is_name_there ? RATE_LIMIT_EMPTY : RATE_LIMIT_NXDOMAIN;
    q->at = image_at(b->zone_image, zone->negative_soa_at);
}

// By the node that stands for the name. False: more than one set belongs into the answer.
static bool answer_at(struct fast_burst *b, struct fast_query *q, const struct zone_node *node)
{
    if (node->flags & (NODE_CUT | NODE_CNAME | NODE_DNAME | NODE_SERVICE))
        return false;
    const struct rrset *set = zone_node_rrset(b->zone_image, node, q->type);
    if (set)
        q->at = set;
    else
        deny(b, q, node, true);
    return true;
}

// Would the OPT record of the answer be longer than the query's? The plain way then leaves a cookie out of an error.
static bool does_opt_grow(const struct fast_query *q)
{
    return q->marks & FAST_COOKIE && q->options.shape->reply_len > q->options.shape->query_len;
}

// False: the plain way knows more.
static bool answer_miss(struct fast_burst *b, struct fast_query *q)
{
    struct zone_key key;
    unsigned suffix_at = 0;
    if (!take_key(&key, q))
        return false;
    q->rcode = RCODE_NOERROR;
    q->rate_class = RATE_LIMIT_ANSWER;
    q->apex_at = 0;
    q->is_wildcard = false;
    const struct zone_node *node = zone_image_find_closest(b->zone_image, &key, &suffix_at);
    q->hash = node ? (uint64_t)node->tag << 32 : 0; // by which the rate limit counts
    if (!node && does_opt_grow(q))
        return false;
    if (!node) {
        q->rcode = RCODE_REFUSED;
        q->rate_class = RATE_LIMIT_ERROR;
        q->at = &no_records.set;
        return true;
    }
    if (node->cut_at)
        return false;
    if (suffix_at == 0)
        return answer_at(b, q, node);
    if (node->flags & NODE_DNAME)
        return false;
    q->is_wildcard = node->wildcard_at != 0;
    if (q->is_wildcard)
        return answer_at(b, q, (const struct zone_node *)image_at(b->zone_image, node->wildcard_at));
    deny(b, q, node, false);
    return true;
}

void fast_miss(struct fast_burst *b, const struct packet_slot *slot)
{
    unsigned count = 0; // of those that are answered
    for (unsigned i = 0; i < b->missed_count; i++) {
        const unsigned number = b->missed[i];
        struct fast_query *q = &b->query[number];
        const void *before = q->at;
        if (!answer_miss(b, q)) {
            q->at = before;
            continue;
        }
        b->missed[count++] = (uint16_t)number;
        if ((q->marks & (FAST_EDNS | FAST_OPTIONS)) ==
            FAST_EDNS) { // an SOA may be of odd length: the sum is made there
            const uint8_t *frame = slot[number].frame, *opt = frame + fast_end(q->name_len);
            const uint64_t marks = q->marks;
            if (marks & FAST_IPV6)
                fast_take_options6(q, opt + FAST_IPV6_SHIFT, b, fast_client_of(frame, true));
            else
                fast_take_options4(q, opt, b, fast_client_of(frame, false));
            q->marks |= marks;
        }
        q->marks |= FAST_MISS;
    }
    b->missed_count = count;
}

#endif
